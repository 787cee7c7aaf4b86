"""The imitation and its driver programs, compiled on demand for what a set of libraries asks for."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from buildtool.errors import MissingToolError
from buildtool.process import run
from buildtool.store.entries import Filled, Store
from buildtool.toolchain.sandbox import Sandbox
from buildtool.verify.rig.devices import symbol_versions
from buildtool.verify.rig.libraries import Libraries

SOURCE = Path(__file__).parent / "source"
KIND = "rig"
TIMEOUT_S = 600.0
CXX, CC = ("g++", "c++", "clang++"), ("gcc", "cc", "clang")
DEFINED = re.compile(r"^RIG_(?:API [^(\n]*?|OPEN(?:_AT)?\()(\w+)[()]", re.MULTILINE)
WARNINGS = ("-Wall", "-Wextra", "-Werror")
# Its C++ library stays inside: the program under test may have another one.
SHARED = ("-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-static-libstdc++", "-static-libgcc",
          "-Wl,--exclude-libs,ALL")  # fmt: skip
ABSENT = """RIG_API hipError_t {name}() {{
    rig::Event("absent").text("function", "{name}");
    return rig::failed(hipErrorNotSupported);
}}
"""


class Rig(msgspec.Struct, frozen=True, kw_only=True):
    """What was compiled: the imitated library under the name of the real one, and the driver programs."""

    runtime: Path
    gemm: Path
    graph: Path


def implemented() -> frozenset[str]:
    """Return the functions that the sources define."""
    return frozenset(name for path in SOURCE.glob("*.cpp") for name in DEFINED.findall(path.read_text("utf-8")))


def build(libraries: Libraries, sandbox: Sandbox | None = None, store: Store | None = None) -> Rig:
    """Return the compiled programs from the store, compiling them first when they are not there.

    Args:
        libraries: says which release of HIP, and which functions of it, are asked for.
        sandbox: root filesystem with the compilers, and the C library, to use instead of this machine's.
        store: where they are kept; by default the user's own store.

    Raises:
        MissingToolError: there is no compiler, or this is not Linux.
        ProcessError: the compiler failed.
        StorageError: the store cannot be written.
    """
    if sys.platform != "linux":
        what = "The imitated HIP runtime is a Linux library."
        raise MissingToolError(what, hint="Run this on a Linux machine; it needs no GPU there.")
    tools = tuple(_compiler(names, sandbox) for names in (CXX, CC))

    def fill(content: Path) -> Filled:
        _compile(libraries, tools, content, sandbox)
        return Filled(origin=f"compiled with {tools[0]}", facts={"runtime": libraries.runtime})

    tree = (store or Store()).ensure(KIND, _key(libraries, tools, sandbox), fill).path
    return Rig(runtime=tree / libraries.runtime, gemm=tree / "gemm", graph=tree / "graph")


def _compile(libraries: Libraries, tools: tuple[str, ...], place: Path, sandbox: Sandbox | None) -> None:
    cxx, cc = tools
    absent, exports = place / "absent.cpp", place / "exports.map"
    absent.write_text(absent_functions(libraries.imports), "utf-8")
    exports.write_text(version_script(libraries.imports), "utf-8")
    sources = [str(path) for path in sorted(SOURCE.glob("*.cpp"))]
    argv = [cxx, *SHARED, *WARNINGS, f"-I{SOURCE}", f"-Wl,-soname,{libraries.runtime}"]
    argv += [f"-Wl,--version-script={exports}", "-o", str(place / libraries.runtime), *sources, str(absent), "-ldl"]
    _run(argv, place, sandbox)
    for program in ("gemm", "graph"):
        argv = [cc, "-std=c11", "-O1", *WARNINGS, "-o", str(place / program), str(SOURCE / f"{program}.c"), "-ldl"]
        _run(argv, place, sandbox)


def _key(libraries: Libraries, tools: tuple[str, ...], sandbox: Sandbox | None) -> str:
    """Name the entry after everything that the result depends on."""
    parts = [*SHARED, *WARNINGS, libraries.runtime, sandbox.tree if sandbox else ""]
    parts += [f"{name} {version}" for name, version in libraries.imports]
    parts += [path.read_text("utf-8") for path in sorted(SOURCE.iterdir()) if path.suffix in (".h", ".c", ".cpp")]
    for tool in tools:
        program = Path(sandbox.tree, "usr", "bin", tool) if sandbox else Path(tool)
        status = program.stat()
        parts.append(f"{tool} {status.st_size} {status.st_mtime_ns}")
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{libraries.runtime}-{digest[:12]}"


def absent_functions(imports: Sequence[tuple[str, str]]) -> str:
    """Write functions that tell that they were called, for the imports that nobody imitates."""
    names = sorted({name for name, _ in imports} - implemented())
    return '#include "abi.h"\n#include "record.h"\n' + "".join(ABSENT.format(name=name) for name in names)


def version_script(imports: Sequence[tuple[str, str]]) -> str:
    """Declare the symbol versions that any library may ask for.

    The functions themselves stay without a version, so that a library that asks for any of them gets the one there is.
    """
    names = {*symbol_versions(), *(version for _, version in imports if version)}
    return "".join(f"{name} {{ }};\n" for name in sorted(names))


def _compiler(names: tuple[str, ...], sandbox: Sandbox | None) -> str:
    if sandbox is not None:
        found = next((name for name in names if Path(sandbox.tree, "usr", "bin", name).exists()), None)
    else:
        found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        what = "The imitated HIP runtime is compiled on demand, and there is no compiler."
        raise MissingToolError(what, why=f"Looked for {', '.join(names)}.", hint="Install one: apt-get install g++")
    return found


def _run(argv: list[str], place: Path, sandbox: Sandbox | None) -> None:
    if sandbox is None:
        run(argv, cwd=place, timeout_s=TIMEOUT_S)
        return
    words = sandbox.argv(argv, cwd=place, readable=[SOURCE], writable=[place])
    run(words, env=sandbox.environment({}), timeout_s=TIMEOUT_S)
