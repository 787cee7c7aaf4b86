"""Step 1: every shared library loads, with all its symbols resolved, and says whether it suits this CPU."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.verify.backends import backend_of_module, is_driver_library
from buildtool.verify.findings import Findings
from buildtool.verify.model import Module, Options, Verdict
from buildtool.verify.subject import INSIDE, Subject

TITLE = "modules load"
_MISSING = re.compile(r"^(?P<name>\S+): cannot open shared object file")


class _Loaded(msgspec.Struct, frozen=True):
    loaded: bool
    error: str
    score: int | None


def check(subject: Subject, options: Options) -> Findings:
    """Load every library in a process of its own."""
    libraries = subject.libraries()
    base = [path for path in libraries if path.name.startswith(("libggml-base.", "ggml-base."))][:1]
    modules = tuple(_load(subject, path, base, options.timeouts.modules) for path in libraries)
    return judge(modules, subject.problems)


def _load(subject: Subject, path: Path, base: list[Path], timeout_s: float) -> Module:
    before = [str(library) for library in base if library != path]
    argv = [str(subject.python), "-I", str(INSIDE / "load.py"), str(path), *before]
    done = process.run(argv, cwd=subject.scratch, env=subject.env, timeout_s=timeout_s, check=False)
    return reading(path.name, done)


def reading(name: str, done: process.Completed) -> Module:
    """Turn the output of the loading program into a `Module`."""
    backend = backend_of_module(name)
    try:
        loaded = msgspec.json.decode(done.output.strip().rpartition("\n")[2], type=_Loaded)
    except msgspec.MsgspecError:
        error = process.failure(done, ()).what if done.returncode or done.timed_out else "no answer"
        return Module(name=name, backend=backend, loaded=False, error=f"loading it ended the process: {error}")
    match = _MISSING.match(loaded.error)
    return Module(
        name=name,
        backend=backend,
        loaded=loaded.loaded,
        score=loaded.score,
        error=loaded.error,
        missing=match["name"] if match else None,
    )


def judge(modules: tuple[Module, ...], problems: tuple[str, ...] = ()) -> Findings:
    """Decide: a module that lacks only a driver's library is unproved; anything else that does not load fails."""
    broken = [module for module in modules if not module.loaded and not _lacks_driver(module)]
    waiting = [module for module in modules if not module.loaded and _lacks_driver(module)]
    cpu = [module for module in modules if module.backend == "cpu"]
    unusable = bool(cpu) and all(not module.loaded or module.score == 0 for module in cpu)
    evidence = [f"{module.name}: {module.error}" for module in (*broken, *waiting)] + list(problems)
    best = best_variant(modules)
    if best is not None:
        evidence.append(f"{best.name} suits this CPU best (score {best.score})")
    verdict: Verdict = "passed"
    summary = f"{len(modules)} libraries load"
    if not modules:
        verdict, summary = "failed", "There is no shared library in the artefact."
    elif broken or problems:
        verdict, summary = "failed", f"{len(broken) + len(problems)} of {len(modules)} libraries cannot be used"
    elif unusable:
        verdict, summary = "failed", "No CPU module runs on this processor."
    elif waiting:
        names = ", ".join(f"{module.name} needs {module.missing}" for module in waiting)
        verdict, summary = "not-proved", f"{names}, which comes with the driver and is not on this machine"
    return Findings(verdict=verdict, summary=summary, evidence=tuple(evidence), modules=modules)


def _lacks_driver(module: Module) -> bool:
    return module.missing is not None and is_driver_library(module.missing)


def best_variant(modules: tuple[Module, ...]) -> Module | None:
    """Return the CPU module that ggml chooses: the one with the highest score above 0."""
    scored = [module for module in modules if module.backend == "cpu" and module.loaded and module.score]
    return max(scored, key=lambda module: module.score or 0, default=None)
