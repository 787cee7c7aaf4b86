"""From a checkout and a plan to the parts that are built: which presets, for which targets."""

from __future__ import annotations

import re
from pathlib import Path

from buildtool import process
from buildtool.checkout.facts import PartRow, facts
from buildtool.checkout.model import Order, Part
from buildtool.checkout.presets import Presets
from buildtool.compat.model import Backend, Plan
from buildtool.compat.targets import Target, cmake_cuda, parse_targets
from buildtool.errors import GpubuildError, IncompatibleError
from buildtool.source.ollama import OllamaTree

ASK_S = 20.0
NO_VERSION = "0.0.0"  # Ollama's own word for a build without one
MAJOR = "{major}"
RUNNER_DIR = "OLLAMA_RUNNER_DIR"
RELEASE = re.compile(r"(rocm_v)\d+_\d+")


def presets_of(tree: OllamaTree) -> Presets:
    """Return the presets of a checkout.

    Raises:
        InvalidInputError: its file of presets is damaged.
    """
    return Presets(Path(tree.path) / facts().presets(tree.layout))


def majors(tree: OllamaTree) -> tuple[int, ...]:
    """Return the major releases of CUDA that a checkout has presets for, the newest first."""
    pattern = re.escape(facts().part(tree.layout, "cuda").exact).replace(re.escape(MAJOR), r"(\d+)")
    found = (re.fullmatch(pattern, name) for name in presets_of(tree).names)
    return tuple(sorted({int(one[1]) for one in found if one is not None}, reverse=True))


def make_order(tree: OllamaTree, plan: Plan, added: tuple[str, ...], *, whole: bool) -> Order:
    """Decide what is built.

    Args:
        tree: the checkout.
        plan: backend, targets and toolkit, as the engine decided them.
        added: targets beside Ollama's own list.
        whole: build for Ollama's own list, not for the plan's targets.

    Raises:
        InvalidInputError: its file of presets is damaged.
        IncompatibleError: the checkout has no preset for the backend or the toolkit.
    """
    presets = presets_of(tree)
    targets = parse_targets(added if whole else plan.targets)
    parts = [_part(presets, tree, plan, "cpu", (), whole=False)]
    if plan.backend != "cpu":
        parts.append(_part(presets, tree, plan, plan.backend, targets, whole=whole))
    return Order(
        tree=tree,
        backend=plan.backend,
        targets=tuple(map(str, targets)),
        presets=facts().presets(tree.layout),
        parts=tuple(parts),
        toolkit=f"{plan.toolkit.kind} {plan.toolkit.version}" if plan.toolkit is not None else "",
        version=_version(tree.path),
    )


def _part(
    presets: Presets, tree: OllamaTree, plan: Plan, backend: Backend, targets: tuple[Target, ...], *, whole: bool
) -> Part:  # fmt: skip
    row = facts().part(tree.layout, backend)
    name = _preset(presets, row, plan, whole=whole)
    build_dir = presets.build_dir(name).relative_to(Path(tree.path))
    return Part(
        backend=backend,
        preset=name,
        build=presets.build_of(name),
        build_dir=build_dir.as_posix(),
        variables=_variables(presets.value(name, row.variable), row, targets, whole=whole),
        component=row.component,
        runner=_runner(presets.value(name, RUNNER_DIR), plan) if backend == "rocm" else "",
    )


def _runner(named: str, plan: Plan) -> str:
    """Return a name by the ROCm that is really inside, "" where the preset's own says it, or names no release.

    Ollama finds a runner by its module, whatever the folder is called; of the presets only the highest takes a list of
    targets, so another ROCm's runner would bear that one's number.
    """
    release = RELEASE.fullmatch(named)
    if release is None or plan.toolkit is None:
        return ""
    major, minor, *_ = (*plan.toolkit.version.split("."), "0")
    real = f"{release[1]}{major}_{minor}"
    return real if real != named else ""


def _preset(presets: Presets, row: PartRow, plan: Plan, *, whole: bool) -> str:
    major = plan.toolkit.version.partition(".")[0] if plan.toolkit is not None else ""
    pattern = (row.whole if whole else row.exact).replace(MAJOR, major)
    highest = presets.fitting(row.whole) if "*" in row.whole and not whole else ""
    if highest:  # of the releases in the file, those without a list for this system are for another one
        pattern = highest.removesuffix(row.whole.rpartition("*")[2]) + row.exact.rpartition("*")[2]
    found = presets.fitting(pattern)
    if not found:
        what = f"{presets.file} has no preset {pattern!r}."
        hint = "Take another toolkit (--toolkit) or backend (--backend)."
        raise IncompatibleError(what, why=f"It has {', '.join(presets.names)}.", hint=hint)
    return found


def _variables(listed: str, row: PartRow, targets: tuple[Target, ...], *, whole: bool) -> dict[str, str]:
    """Return the variable that names the targets: these, or these beside the preset's own list."""
    words = [cmake_cuda(target) if target.platform == "cuda" else str(target) for target in targets]
    if not row.variable or not words or (whole and not listed):  # a list of another name is patched instead
        return {}
    own = listed.split(";") if whole else []
    return {row.variable: ";".join([*own, *(word for word in words if word.removesuffix("-real") not in own)])}


def _version(path: str) -> str:
    """Return what the checkout's tags call it."""
    try:
        told = process.run(("git", "-C", path, "describe", "--tags", "--always"), timeout_s=ASK_S, check=False)
    except GpubuildError:
        return NO_VERSION
    words = told.output.strip().removeprefix("v")
    return words if told.returncode == 0 and re.fullmatch(r"[0-9A-Za-z][\w.+-]*", words) else NO_VERSION
