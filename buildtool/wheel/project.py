"""The small Python project around a built CMake component; scikit-build-core turns it into a wheel.

Its ``CMakeLists.txt`` compiles nothing: it installs one component of the build tree, so that packing never starts a
second compile.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan, PlanWheel
from buildtool.compat.parts import plan_of_wheel
from buildtool.errors import BuildError
from buildtool.runtime import MODULES, RuntimeSet, VendorData, VendorLibrary
from buildtool.wheel.embedded import embedded_code
from buildtool.wheel.variants import Variant, providers

PAYLOAD = Path(__file__).with_name("payload")
PRIVATE = "Private :: Do Not Upload"  # package registries refuse a wheel that says so
COMMANDS = ("llama-server", "llama-cli", "llama-bench", "llama-quantize", "test-backend-ops")

_HEAD = "cmake_minimum_required(VERSION 3.26)\nproject(gpubuild_pack LANGUAGES NONE)\n"
_INSTALL = """
    execute_process(
        COMMAND {cmake} --install {tree} --component {component} --prefix "${{CMAKE_INSTALL_PREFIX}}" --strip
        OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
"""

_VENDOR = "install(PROGRAMS {path} DESTINATION . RENAME {name})\n"
_DATA = "install(DIRECTORY {path} DESTINATION .)\n"

_BACKEND_INIT = '''\
"""The {backend} backend of llama.cpp for {targets}; found by gpubuild_llama through its entry point."""

from __future__ import annotations

import sys
from pathlib import Path

DISTRIBUTION = {distribution!r}
RUNTIME_VERSION = {runtime_version!r}
TARGETS = {target_tuple!r}
PATCHES = {patches!r}
LIBRARY = Path(__file__).resolve().parent / "lib" / ({module!r} + (".dll" if sys.platform == "win32" else ".so"))
'''


def write_project(
    folder: Path, plan: Plan, wheel: PlanWheel, tree: BuildTree, vendor: RuntimeSet, *, variant: Variant | None = None
) -> None:
    """Write the packaging project of one wheel into the empty directory `folder`.

    Args:
        folder: where to.
        plan: what was built.
        wheel: which of its wheels this is.
        tree: the build tree.
        vendor: what travels with a backend.
        variant: what makes the wheel a variant; None for a plain one.

    Raises:
        BuildError: the source tree carries no licence to ship.
    """
    package = folder / wheel.package
    if wheel.role == "runtime":
        shutil.copytree(PAYLOAD / "gpubuild_llama", package, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        package.mkdir()
        (package / "__init__.py").write_text(_backend_module(plan, wheel), encoding="utf-8")
    for text in vendor.licences if wheel.role == "backend" else ():
        (folder / "licenses").mkdir(exist_ok=True)
        shutil.copyfile(text, folder / "licenses" / Path(text).name)
    (folder / "CMakeLists.txt").write_text(_cmake_lists(wheel, tree, vendor), encoding="utf-8")
    (folder / "README.md").write_text(_readme(plan, wheel, vendor), encoding="utf-8")
    _copy_licence(Path(tree.source), folder / "LICENSE")
    licences = _embedded_licences(plan, tree, folder) if wheel.role == "runtime" else ["MIT"]
    if wheel.role == "backend" and (folder / "licenses").is_dir():
        licences.append("LicenseRef-Vendor")
    texts = ["LICENSE", *(["licenses/*"] if (folder / "licenses").is_dir() else [])]
    text = _pyproject(plan, wheel, licences, texts) + (provider_tables(variant) if variant is not None else "")
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def _cmake_lists(wheel: PlanWheel, tree: BuildTree, vendor: RuntimeSet) -> str:
    """Return the commands that install a component of the build tree, and what travels with it."""
    code = _INSTALL.format(cmake=_path(tree.cmake), tree=_path(tree.path), component=f"gpubuild_{wheel.role}")
    lines = [_HEAD, f"install(CODE {bracket(code)})\n"]
    if wheel.role == "backend":
        lines += [_VENDOR.format(path=_path(one.path), name=bracket(one.soname)) for one in vendor.libraries]
        lines += [_DATA.format(path=_path(one.path)) for one in vendor.data]
    return "".join(lines)


def _path(path: str) -> str:
    return bracket(Path(path).as_posix())


def bracket(text: str) -> str:
    """Write text as one argument that CMake takes letter by letter, whatever quotes, dollars and semicolons it has."""
    marks = ""
    while f"]{marks}]" in f"{text}]":
        marks += "="
    begin = "\n" if text.startswith("\n") else ""  # CMake passes over a line end at the beginning
    return f"[{marks}[{begin}{text}]{marks}]"


def _backend_module(plan: Plan, wheel: PlanWheel) -> str:
    return _BACKEND_INIT.format(
        backend=plan.backend,
        targets=", ".join(plan.targets) or "every device",
        distribution=wheel.distribution,
        runtime_version=runtime_wheel(plan).version,
        target_tuple=plan.targets,
        patches=tuple((one.name, one.sha256, *one.targets) for one in plan.patches),
        module=Path(MODULES[plan.backend]).stem,
    )


def runtime_wheel(plan: Plan) -> PlanWheel:
    """Return the plan's runtime wheel."""
    return next(wheel for wheel in plan.wheels if wheel.role == "runtime")


def _copy_licence(source: Path, target: Path) -> None:
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "COPYING"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target)
            return
    what = f"The source tree {source} has no licence file."
    raise BuildError(what, hint="A wheel must carry the licence of what it contains; add a LICENSE file to the tree.")


def _embedded_licences(plan: Plan, tree: BuildTree, folder: Path) -> list[str]:
    """Copy the licence texts of code that llama.cpp carries along; return the licences of all of it."""
    found = embedded_code(plan.recipe, Path(tree.source))
    for code in found:
        for text in code.texts:
            (folder / "licenses").mkdir(exist_ok=True)
            shutil.copyfile(Path(tree.source) / text, folder / "licenses" / f"{code.name}.txt")
    terms = (f"({code.licence})" if " " in code.licence else code.licence for code in found)
    return list(dict.fromkeys(["MIT", *terms]))


def _readme(plan: Plan, wheel: PlanWheel, vendor: RuntimeSet) -> str:
    served = f" for {', '.join(plan.targets)}" if wheel.role == "backend" and plan.targets else ""
    toolkit = f", {plan.toolkit.kind} {plan.toolkit.version}" if wheel.role == "backend" and plan.toolkit else ""
    kind = (
        "runtime (programs, libraries, CPU modules)" if wheel.role == "runtime" else f"{plan.backend} backend{served}"
    )
    patched = wheel.role == "backend" and plan.patches
    source = plan_of_wheel(plan, wheel).source.name  # of a local tree without its path, which nobody else has
    names = ", ".join(f"{one.name} ({' '.join(one.targets)}; sha256 {one.sha256})" for one in plan.patches)
    return (
        f"# {wheel.distribution}\n\nllama.cpp {kind}, built by gpubuild from {source}{toolkit}.\n\n"
        f"{f'The source was patched: {names}.' + chr(10) * 2 if patched else ''}"
        "Install the runtime and a backend into one environment; `llama-server` then uses the GPU.\n"
        "`python -m gpubuild_llama info` shows what is installed.\n"
        f"{_travelling(vendor) if wheel.role == 'backend' else ''}"
    )


def _travelling(vendor: RuntimeSet) -> str:
    """Say which vendor libraries are inside, under which licences, and how they serve the targets."""
    if not vendor.libraries:
        return ""
    lines = ["", "## Vendor libraries inside", ""]
    lines += [f"- {rung.target}: {rung.reason}" for rung in vendor.rungs]
    lines += ["", *vendor.notes] if vendor.notes else []
    lines += ["", "| file | package | version | licence |", "|---|---|---|---|"]
    named: list[tuple[str, VendorLibrary | VendorData]] = [(one.soname, one) for one in vendor.libraries]
    named += [(f"{one.name}/", one) for one in vendor.data]
    lines += [f"| {name} | {one.package} | {one.version} | licenses/{one.licence} |" for name, one in named]
    changed = [one for one in vendor.libraries if one.changes]
    lines += ["", "Changed by gpubuild:", ""] if changed else []
    lines += [f"- {one.soname} {'; '.join(one.changes)}" for one in changed]
    lines += ["", "Not inside, and why:", ""] if vendor.left_out else []
    lines += [f"- {one.soname} ({one.needed_by}): {one.reason}" for one in vendor.left_out]
    return "\n".join(lines) + "\n"


def _pyproject(plan: Plan, wheel: PlanWheel, licences: list[str], texts: list[str]) -> str:
    project: dict[str, object] = {
        "name": wheel.distribution,
        "version": wheel.version,
        "description": f"llama.cpp {plan.backend if wheel.role == 'backend' else 'runtime'} built by gpubuild",
        "readme": "README.md",
        "requires-python": ">=3.9",
        "license": " AND ".join(licences),
        "license-files": texts,
        "dependencies": list(wheel.requires),
        "classifiers": [PRIVATE] if plan.thin_vendor is True and wheel.role == "backend" else [],
        "keywords": ["llama.cpp", *(plan.targets if wheel.role == "backend" else ())],
    }
    lines = [
        "[build-system]",
        'requires = ["scikit-build-core"]',
        'build-backend = "scikit_build_core.build"',
        "",
    ]
    lines += ["[project]", *_toml(project), ""]
    if wheel.role == "runtime":
        scripts = {name: f"gpubuild_llama.commands:{name.replace('-', '_')}" for name in COMMANDS}
        lines += ["[project.scripts]", *_toml(scripts), ""]
    else:
        name = wheel.package.removeprefix("gpubuild_llama_")
        lines += ['[project.entry-points."gpubuild_llama.backends"]', *_toml({name: wheel.package}), ""]
    settings: dict[str, object] = {
        "wheel.packages": [wheel.package],
        "wheel.install-dir": f"{wheel.package}/lib",
        "wheel.py-api": "py3",
        "wheel.reproducible": True,
        "cmake.python-hints": False,
        "search.site-packages": False,
        "install.strip": False,
    }
    lines += ["[tool.scikit-build]", *_toml(settings, bare=True), ""]
    return "\n".join(lines)


def provider_tables(variant: Variant) -> str:
    """Render what variantlib reads: whom an installer asks about the properties."""
    lines = ["[variant.default-priorities]", *_toml({"namespace": list(variant.namespaces)})]
    for name in variant.namespaces:
        row = providers()[name]
        lines += ["", f"[variant.providers.{name}]"]
        lines += _toml({"requires": list(row.requires), "plugin-api": row.plugin_api})
    return "\n".join([*lines, ""])


def _toml(table: Mapping[str, object], *, bare: bool = False) -> list[str]:
    """Render a flat table; JSON's strings, lists and booleans are TOML's too."""
    return [
        f"{key if bare else json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()
    ]
