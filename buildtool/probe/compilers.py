"""Host C++ compilers: the one CXX names, the gcc and clang families on PATH, MSVC where vswhere finds it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from functools import partial
from operator import itemgetter

import msgspec

from buildtool.probe.gather import gather
from buildtool.probe.machine import Machine, basename, dirname, join
from buildtool.probe.model import HostCompiler
from buildtool.probe.sighting import dotted

TIMEOUT_S = 3.0
CACHES = {"ccache", "sccache", "distcc", "icecc"}
_NAME = re.compile(r"(?:g\+\+|clang\+\+|c\+\+)(?:-\d{1,2})?(?:\.exe)?")


class VisualStudio(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One installation in ``vswhere -format json``."""

    installation_path: str


def host_compilers(
    machine: Machine, limit_s: float = TIMEOUT_S * 2
) -> tuple[tuple[HostCompiler, ...], tuple[str, ...]]:
    """Find compilers, best first: CXX, then the plain names, then the newest versions.

    Args:
        machine: where to look.
        limit_s: seconds they may take to answer, all together.

    Returns:
        The compilers and warnings about those that did not answer.
    """
    questions: dict[str, Callable[[], HostCompiler | None]] = {
        path: partial(_describe, machine, path) for path in _candidates(machine)
    }
    if machine.system == "windows":
        questions["msvc"] = partial(_msvc, machine)
    answers, failures = gather(questions, limit_s)
    warnings = tuple(f"The compiler {path} {why}." for path, why in failures.items())
    return tuple(compiler for compiler in answers.values() if compiler is not None), warnings


def _candidates(machine: Machine) -> Iterable[str]:
    """Return one path for each distinct compiler."""
    named = [machine.which(word) or word for word in _words(machine.environ.get("CXX", ""))]
    separator = ";" if machine.system == "windows" else ":"
    plain: list[str] = []
    versioned: list[tuple[int, str]] = []
    for folder in dict.fromkeys(machine.environ.get("PATH", "").split(separator)):
        for name in machine.list_dir(folder) if folder else ():
            if _NAME.fullmatch(name):
                path = join(machine, folder, name)
                number = re.search(r"-(\d+)", name)
                versioned.append((-int(number[1]), path)) if number else plain.append(path)
    order = {"g++": 0, "clang++": 1, "c++": 2}
    plain.sort(key=lambda path: order.get(basename(machine, path).removesuffix(".exe"), 3))
    seen: set[str] = set()
    for path in (*named, *plain, *(path for _, path in sorted(versioned, key=itemgetter(0)))):
        real = machine.real_path(path)
        if real not in seen and machine.exists(path) and basename(machine, real) not in CACHES:
            seen.add(real)
            yield path


def _words(command: str) -> list[str]:
    """Return the compiler of a ``CXX`` value, which may hold a launcher and options around it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    return [word for word in words if not word.startswith("-") and word.rpartition("/")[2] not in CACHES][:1]


def _describe(machine: Machine, path: str) -> HostCompiler | None:
    is_clang = "clang" in basename(machine, machine.real_path(path))
    # gcc answers the first option it knows with its full version; clang, which may be called g++, fails on it.
    version = None if is_clang else _ask(machine, path, "-dumpfullversion", "-dumpversion")
    if version is not None:
        return HostCompiler(family="gcc", version=version, cxx=path, cc=_c_sibling(machine, path))
    version, libstdcxx = _clang(machine, path)
    version = version or _ask(machine, path, "-dumpversion")
    if version is None:
        return None
    cc = _c_sibling(machine, path)
    return HostCompiler(family="clang", version=version, cxx=path, cc=cc, libstdcxx=libstdcxx)


def _clang(machine: Machine, path: str) -> tuple[str | None, str | None]:
    """Ask a clang for its version, and on Linux for the major of the GCC whose C++ library it takes.

    That is the newest that is installed, whatever g++ is.
    """
    output = machine.run((path, "-v"), TIMEOUT_S)
    text = output.text if output is not None and output.returncode == 0 else ""
    version = re.search(r"\bclang version (\d{1,3}(?:\.\d{1,9}){1,3})", text, re.ASCII)
    library = re.search(r"^Selected GCC installation: \S*/(\d{1,3})(?:\.[\d.]+)?/?$", text, re.MULTILINE | re.ASCII)
    taken = library[1] if library is not None and machine.system == "linux" else None
    return version[1] if version is not None else None, taken


def _ask(machine: Machine, path: str, *options: str) -> str | None:
    output = machine.run((path, *options), TIMEOUT_S)
    return _version(output.text) if output is not None and output.returncode == 0 else None


def _version(text: str) -> str | None:
    line = text.strip()
    return dotted(line) or (line if re.fullmatch(r"\d{1,2}", line, re.ASCII) else None)


def _c_sibling(machine: Machine, path: str) -> str | None:
    name = basename(machine, path)
    for cxx, cc in (("clang++", "clang"), ("g++", "gcc"), ("c++", "cc")):
        if cxx in name:
            sibling = join(machine, dirname(machine, path), name.replace(cxx, cc))
            return sibling if machine.exists(sibling) else None
    return None


def _msvc(machine: Machine) -> HostCompiler | None:
    """Ask vswhere, which every Visual Studio since 2017 installs at a fixed place (github.com/microsoft/vswhere)."""
    root = machine.environ.get("ProgramFiles(x86)", r"C:\Program Files (x86)")
    vswhere = join(machine, root, "Microsoft Visual Studio", "Installer", "vswhere.exe")
    part = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    options = ("-latest", "-products", "*", "-requires", part, "-format", "json", "-utf8")
    output = machine.run((vswhere, *options), TIMEOUT_S) if machine.exists(vswhere) else None
    return msvc_at(machine, parse_vswhere(output.text)) if output is not None else None


def parse_vswhere(text: str) -> str | None:
    """Return the installation path of the first Visual Studio in ``vswhere -format json``."""
    try:
        found = msgspec.json.decode(text, type=list[VisualStudio])
    except (msgspec.DecodeError, RecursionError):
        return None
    return found[0].installation_path if found else None


def msvc_at(machine: Machine, root: str | None) -> HostCompiler | None:
    """Describe the default toolset of a Visual Studio; the version is the toolset's, such as ``14.44.35207``."""
    if root is None:
        return None
    tools = join(machine, root, "VC")
    text = machine.read_text(join(machine, tools, "Auxiliary", "Build", "Microsoft.VCToolsVersion.default.txt"))
    version = dotted(text)
    if version is None:
        return None
    compiler = join(machine, tools, "Tools", "MSVC", version, "bin", "Hostx64", "x64", "cl.exe")
    return HostCompiler(family="msvc", version=version, cxx=compiler, cc=compiler)
