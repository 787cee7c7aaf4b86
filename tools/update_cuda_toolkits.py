"""Compare buildtool/compat/data/cuda_toolkits.toml with NVIDIA's own wheels, and bring it up to date.

For every CUDA minor release that NVIDIA publishes as wheels (11.7 and 11.8, 12.0 to 12.9, 13.0 and later) the newest
update is fetched from the configured registry, checked against the sha256 the registry states, and asked:

    targets        ``ptxas --help``
    PTX ISA        ptxas' complaint about a file of an unknown ``.version``
    GCC, clang     newest major that ``crt/host_config.h`` accepts
    MSVC           the range of ``_MSC_VER`` there
    glibc          which of glibc's own functions ``crt/math_functions.h`` makes room for
    C++ standard   ``nvcc --help``, where the wheels hold nvcc (from 13.0 on)

The oldest compilers and CMake, the drivers and the sources of a row come from elsewhere and stay as they are.

Usage: python tools/update_cuda_toolkits.py [--check | --write] [--table FILE] [RELEASE ...]

Prints one line per release and the difference as a patch. Exit code: 0 when there is none, or after ``--write``;
1 when there is one.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from buildtool.errors import DataError, GpubuildError, UnknownNameError
from buildtool.process import run
from buildtool.store.download import Downloads, locate
from buildtool.store.index import Index, RemoteFile
from buildtool.store.members import Bounds, damage_told, members_of

TABLE = Path(__file__).parents[1] / "buildtool/compat/data/cuda_toolkits.toml"
COMPILERS = ("nvidia-cuda-nvcc-cu11", "nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc")
HEADERS = "nvidia-cuda-crt"  # from CUDA 13 on, the headers are in a wheel of their own
SUFFIX = ".exe" if sys.platform == "win32" else ""
WANTED = (f"bin/ptxas{SUFFIX}", "crt/host_config.h", "crt/math_functions.h")
NVCC = f"bin/nvcc{SUFFIX}"
TOOL_TIMEOUT_S = 60.0
WIDTH = 116
OLD_STANDARDS = 90  # C++98 and C++03 are written as 98 and 03
SOURCE = (
    "NVIDIA's own wheels of this toolkit: ptxas --help (targets), ptxas' message on an unknown .version (PTX ISA), "
    "crt/host_config.h (compilers), crt/math_functions.h (glibc)"
)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the files of one toolkit say; see the table's head for the meaning."""

    targets: tuple[str, ...]
    ptx: str
    gcc: int
    clang: int
    msc: tuple[int, int]
    glibc_max: str
    cxx: int | None  # None: there is no nvcc to ask


class Wheels(msgspec.Struct, frozen=True, kw_only=True):
    """The wheels that hold one toolkit's ptxas and headers, by package."""

    release: str
    version: str
    files: tuple[tuple[str, RemoteFile], ...]


def newest_gcc(header: str) -> int:
    """Return the newest major of GCC that ``host_config.h`` accepts."""
    return int(_found(r"^#if __GNUC__ > (\d+)", header, "the limit for GCC")[1])


def newest_clang(header: str) -> int:
    """Return the newest major of clang that it accepts; other makers' clangs have blocks of their own."""
    pattern = r"^#if defined\(__clang__\) && [^\n]*\n\s*#if \(__clang_major__ >= (\d+)\)"
    return int(_found(pattern, header, "the limit for clang")[1]) - 1


def msvc_range(header: str) -> tuple[int, int]:
    """Return the oldest accepted and the first refused ``_MSC_VER``."""
    found = _found(r"^#if _MSC_VER < (\d+) \|\| _MSC_VER >= (\d+)", header, "the limits for MSVC")
    return int(found[1]), int(found[2])


def newest_glibc(header: str) -> str:
    """Return the newest glibc that ``math_functions.h`` compiles with; "" when no limit is known.

    glibc 2.41 declares sinpi and cospi, 2.42 rsqrt: without a guard they clash with CUDA's own.
    """
    if "__NV_GLIBC_PROVIDES_IEC_60559_FUNCS" not in header:
        return "2.40"
    return "" if "_NV_RSQRT_SPECIFIER" in header else "2.41"


def targets_in(text: str) -> tuple[str, ...]:
    """Return the real architectures in the output of ``ptxas --help``, oldest first."""
    names = text.partition("--gpu-name")[2].partition("Default value")[0]
    return tuple(sorted(set(re.findall(r"'(sm_\w+)'", names)), key=_order))


def ptx_in(text: str) -> str:
    """Return the PTX ISA that ptxas names when it meets an unknown one."""
    return _found(r"current version is '(\d+\.\d+)'", text, "the PTX ISA")[1]


def newest_standard(text: str) -> int:
    """Return the newest C++ standard in the output of ``nvcc --help``, such as 20."""
    listed = _found(r"^--std \{([^}]*)\}", text, "the list of C++ standards")[1]
    return max(int(name) for name in re.findall(r"c\+\+(\d+)", listed) if int(name) < OLD_STANDARDS)


def _found(pattern: str, text: str, what: str) -> re.Match[str]:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        message = f"{what[0].upper()}{what[1:]} is not where it was in NVIDIA's files."
        raise DataError(message, hint="Look at the file, and teach this script its new form.")
    return found


def _order(target: str) -> tuple[int, str]:
    number = re.sub(r"\D", "", target)
    return int(number), target


def read_facts(ptxas: Path, host_config: Path, math_functions: Path, nvcc: Path) -> Facts:
    """Ask one toolkit's files; `nvcc` may be missing.

    Raises:
        DataError: a file has a form nobody knows.
        ProcessError: ptxas does not run.
    """
    limits = host_config.read_text("utf-8")
    targets = targets_in(run([str(ptxas), "--help"], timeout_s=TOOL_TIMEOUT_S).output)
    with tempfile.TemporaryDirectory() as folder:
        unknown = Path(folder, "unknown.ptx")
        unknown.write_text(f".version 99.9\n.target {targets[0]}\n.address_size 64\n", encoding="utf-8")
        command = [str(ptxas), str(unknown), "-o", str(unknown.with_suffix(".cubin"))]
        complaint = run(command, timeout_s=TOOL_TIMEOUT_S, check=False).output
    return Facts(
        targets=targets,
        ptx=ptx_in(complaint),
        gcc=newest_gcc(limits),
        clang=newest_clang(limits),
        msc=msvc_range(limits),
        glibc_max=newest_glibc(math_functions.read_text("utf-8")),
        cxx=newest_standard(run([str(nvcc), "--help"], timeout_s=TOOL_TIMEOUT_S).output) if nvcc.is_file() else None,
    )


def published(index: Index, releases: list[str]) -> Iterator[Wheels]:
    """Yield the newest update of every minor release that has wheels for this machine, oldest first."""
    headers = {file.version: file for file in _fitting(index, HEADERS)}
    newest: dict[str, tuple[str, RemoteFile]] = {}
    for package in COMPILERS:
        for file in _fitting(index, package):
            version = Version(file.version)
            release = f"{version.major}.{version.minor}"
            if release not in newest or Version(newest[release][1].version) < version:
                newest[release] = (package, file)
    for release, (package, file) in sorted(newest.items(), key=lambda item: Version(item[0])):
        if not releases or release in releases:
            more = ((HEADERS, headers[file.version]),) if package == COMPILERS[-1] else ()
            yield Wheels(release=release, version=file.version, files=((package, file), *more))


def _fitting(index: Index, package: str) -> Iterator[RemoteFile]:
    here = frozenset(sys_tags())
    for file in index.files(package):
        ours = file.filename.endswith(".whl") and not here.isdisjoint(parse_wheel_filename(file.filename)[3])
        if ours and file.sha256 and not file.yanked and not Version(file.version).is_prerelease:
            yield file


def fetch_facts(index: Index, wheels: Wheels) -> Facts:
    """Fetch one toolkit's wheels, take the three files out and ask them.

    Raises:
        GpubuildError: a wheel cannot be fetched, is damaged, or does not hold what it should.
    """
    downloads = Downloads(index)
    with tempfile.TemporaryDirectory() as folder:
        for package, file in wheels.files:
            wanted = locate(index, package, file.filename, file.sha256 or "")
            with downloads.fetched(wanted) as path, damage_told(path):
                for member, content, _ in members_of(path, Bounds()):
                    name = next((name for name in (*WANTED, NVCC) if member.name.endswith(f"/{name}")), None)
                    if name is not None:
                        Path(folder, Path(name).name).write_bytes(content().read())
        nvcc = Path(folder, Path(NVCC).name)
        ptxas, *headers = (Path(folder, Path(name).name) for name in WANTED)
        if missing := [path.name for path in (ptxas, *headers) if not path.is_file()]:
            what = f"The wheels of CUDA {wheels.version} hold no {', '.join(missing)}."
            raise DataError(what, why=", ".join(file.filename for _, file in wheels.files))
        for program in filter(Path.is_file, (ptxas, nvcc)):
            program.chmod(0o755)
        return read_facts(ptxas, headers[0], headers[1], nvcc)


def updated(text: str, release: str, facts: Facts) -> str:
    """Return the table with the row of one release set to `facts`; a value that agrees keeps its form."""
    rows = tomllib.loads(text)["toolkit"]
    row = next((row for row in rows if row["version"] == release), None)
    if row is None:
        return text.rstrip("\n") + "\n" + _new_row(release, facts, rows[-1])
    start = _found(rf'^\[\[toolkit\]\]\nversion = "{re.escape(release)}"\n', text, f"the row of {release}").start()
    end = text.find("\n[[toolkit]]", start + 1)
    block = text[start:] if end < 0 else text[start:end]
    for name, value in _fields(facts, row).items():
        if name == "targets" and set(row[name]) == set(facts.targets):
            continue
        if row.get(name) != value:
            block = _with_field(block, name, value)
    return text[:start] + block + ("" if end < 0 else text[end:])


def _fields(facts: Facts, row: dict[str, Any]) -> dict[str, list[Any] | str | int]:
    return {
        "targets": list(facts.targets),
        "ptx": facts.ptx,
        "gcc": [row["gcc"][0], facts.gcc],
        "clang": [row["clang"][0], facts.clang],
        "msc": list(facts.msc),
        "glibc_max": facts.glibc_max,
        "cxx": facts.cxx or row["cxx"],
    }


def _with_field(block: str, name: str, value: object) -> str:
    line = f"{name} = {_toml(value)}\n"
    changed, count = re.subn(rf"^{name} = (?:\[[^\]]*\]|[^\n]*)\n", lambda _: line, block, flags=re.MULTILINE)
    return changed if count else re.sub(r"^glibc_max", lambda _: f"{line}glibc_max", block, flags=re.MULTILINE)


def _toml(value: object) -> str:
    if not isinstance(value, list):
        return str(value) if isinstance(value, int) else f'"{value}"'
    items = [f'"{item}"' if isinstance(item, str) else str(item) for item in value]
    flat = f"[{', '.join(items)}]"
    if len(flat) <= WIDTH - len("targets = "):
        return flat
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 2 > WIDTH - 4:
            lines.append("")
        lines[-1] += f"{item}, "
    return "[\n" + "".join(f"  {line.rstrip()}\n" for line in lines) + "]"


def _new_row(release: str, facts: Facts, before: dict[str, Any]) -> str:
    """Return a row for a release the table does not know; what no file tells is that of the release before it."""
    print(f"CUDA {release} is new: its oldest compilers and CMake are those of {before['version']}: check them")
    fields = {name: _toml(value) for name, value in _fields(facts, before).items()}
    fields |= {"cmake_min": f'"{before["cmake_min"]}"', "verified": "true", "source": f'[\n  "{SOURCE}",\n]'}
    body = "".join(f"{name} = {value}\n" for name, value in fields.items())
    return f'\n[[toolkit]]\nversion = "{release}"\n{body}'


def compare(text: str, releases: list[str]) -> str:
    """Return the table as the wheels have it, telling on the way which releases agree."""
    with Index() as index:
        offered = list(published(index, releases))
        if unknown := set(releases) - {wheels.release for wheels in offered}:
            what = f"No wheels of CUDA {', '.join(sorted(unknown))} are published for this machine."
            raise UnknownNameError(what, hint="Without a release, all that are published are compared.")
        for wheels in offered:
            found = updated(text, wheels.release, fetch_facts(index, wheels))
            print(f"CUDA {wheels.release} ({wheels.version}): {'agrees' if found == text else 'differs'}", flush=True)
            text = found
    return text


def main() -> None:
    """Compare, show the difference, and write it when that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="only compare (the default)")
    mode.add_argument("--write", action="store_true", help="update the table")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help="such as 13.0; all that have wheels by default")
    wish = parser.parse_args()
    table: Path = wish.table
    old = table.read_text("utf-8")
    try:
        new = compare(old, wish.releases)
    except GpubuildError as error:
        sys.exit("\n".join(part for part in (f"error: {error.what}", error.why, error.hint) if part))
    lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
    sys.stdout.writelines(difflib.unified_diff(*lines, "the table", "NVIDIA's wheels"))
    if wish.write:
        table.write_text(new, encoding="utf-8", newline="\n")
    elif new != old:
        sys.exit(1)


if __name__ == "__main__":
    main()
