"""Which libraries of a directory are to be run before the imitation, and what they want from HIP."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from buildtool.errors import InvalidInputError

RUNTIME = re.compile(r"libamdhip64\.so\.(\d+)$")
ROCBLAS = re.compile(r"librocblas(?:-[0-9a-f]+)?\.so(?:\.\d+)*$")
MODULE = re.compile(r"libggml-hip(?:-[0-9a-f]+)?\.so(?:\.\d+)*$")
BASE = re.compile(r"libggml-base(?:-[0-9a-f]+)?\.so(?:\.\d+)*$")
SHARED = re.compile(r"\.so(?:\.\d+)*$")
HIP_NAME = re.compile(r"(?:__)?hip[A-Z]\w*$")


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """A set of libraries to prove.

    Attributes:
        directory: what was named.
        rocblas: the rocBLAS to call, None without one.
        module: ggml's HIP backend, None without one.
        base: the ``libggml-base`` that goes with it.
        search: directories that hold libraries, for the dynamic loader.
        runtime: name of the HIP library that they were linked with, "" when none was.
        imports: functions they import from it, with the symbol version ("" without one).
    """

    directory: Path
    rocblas: Path | None
    module: Path | None
    base: Path | None
    search: tuple[Path, ...]
    runtime: str
    imports: tuple[tuple[str, str], ...]

    @property
    def runtime_major(self) -> int:
        """Return the major release of the HIP library."""
        found = RUNTIME.match(self.runtime)
        return int(found[1]) if found else 0


def find(directory: Path, beside: Sequence[Path] = ()) -> Libraries:
    """Look through a directory, and through further ones for what its libraries lean on.

    Args:
        directory: holds rocBLAS, ggml's HIP module, or both, in it or below.
        beside: further directories with libraries, such as the one of ``libggml-base``.

    Raises:
        InvalidInputError: it is no directory, holds neither, or its libraries want two releases of HIP.
    """
    if not directory.is_dir():
        what = f"{directory} is not a directory."
        raise InvalidInputError(what)
    directory = directory.absolute()
    own = _shared(directory.rglob("*.so*"))
    # Ollama keeps what all its backends share one folder higher.
    outer = _shared(path for folder in (*beside, directory.parent) for path in folder.absolute().glob("*.so*"))
    rocblas, module = _first(ROCBLAS, own), _first(MODULE, own)
    if rocblas is None and module is None:
        what = f"{directory} holds neither a rocBLAS nor ggml's HIP module."
        raise InvalidInputError(what, why="Looked for librocblas.so* and libggml-hip*.so in it and below.")
    wanted = _wanted([*own, *(path for path in outer if path.parent != directory.parent)])
    if len(wanted) > 1:
        what = f"The libraries in {directory} want {' and '.join(sorted(wanted))}."
        raise InvalidInputError(what, why="One process has one HIP runtime.")
    runtime, imports = next(iter(wanted.items()), ("", frozenset[tuple[str, str]]()))
    folders = [path.parent for path in (module, rocblas) if path is not None]
    base = _first(BASE, own) or _first(BASE, outer)
    folders += [base.parent] if base is not None else []
    folders += [path.parent for path in own] + [folder.absolute() for folder in beside]
    return Libraries(
        directory=directory,
        rocblas=rocblas,
        module=module,
        base=base,
        search=tuple(dict.fromkeys(folders)),
        runtime=runtime,
        imports=tuple(sorted(imports)),
    )


def _shared(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if SHARED.search(path.name) and path.is_file())


def _first(name: re.Pattern[str], paths: Iterable[Path]) -> Path | None:
    """Return the file with the shortest fitting name: the link that other libraries ask for, where there is one."""
    return min((path for path in paths if name.match(path.name)), key=lambda path: len(path.name), default=None)


def _wanted(paths: Iterable[Path]) -> dict[str, frozenset[tuple[str, str]]]:
    """Return, for every HIP library that is asked for, the functions and their versions."""
    from elftools.common.exceptions import ELFError

    found: dict[str, frozenset[tuple[str, str]]] = {}
    for path in dict.fromkeys(path.resolve() for path in paths):
        try:
            runtime, names = _imports(path)
        except ELFError:
            continue  # a linker script, or not a library at all: nothing that could be loaded
        if runtime:
            found[runtime] = found.get(runtime, frozenset()) | names
    return found


def _imports(path: Path) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return the HIP library that a library was linked with, and what it imports from it."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerSymSection
    from elftools.elf.sections import SymbolTableSection

    with path.open("rb") as stream:
        sections = list(ELFFile(stream).iter_sections())
        runtime = _runtime_of(sections)
        if not runtime:
            return "", frozenset()
        versions = _versions_of(sections)
        numbers = next((one for one in sections if isinstance(one, GNUVerSymSection)), None)
        table = next((one for one in sections if isinstance(one, SymbolTableSection) and one.name == ".dynsym"), None)
        names = set()
        for index, symbol in enumerate(table.iter_symbols() if table is not None else ()):
            if symbol["st_shndx"] == "SHN_UNDEF" and HIP_NAME.match(symbol.name):
                number = numbers.get_symbol(index)["ndx"] if numbers is not None else 0
                names.add((symbol.name, versions.get(number, "")))
        return runtime, frozenset(names)


def _runtime_of(sections: Iterable[object]) -> str:
    from elftools.elf.dynamic import DynamicSection

    tags = [tag for one in sections if isinstance(one, DynamicSection) for tag in one.iter_tags("DT_NEEDED")]
    needed = (str(getattr(tag, "needed", "")) for tag in tags)
    return next((name for name in needed if RUNTIME.match(name)), "")


def _versions_of(sections: Iterable[object]) -> dict[int, str]:
    """Return the names of the symbol versions that are wanted of the HIP library, by their numbers in this file."""
    from elftools.elf.gnuversions import GNUVerNeedSection

    found: dict[int, str] = {}
    for section in sections:
        if isinstance(section, GNUVerNeedSection):
            for need, rows in section.iter_versions():
                if RUNTIME.match(need.name or ""):
                    found |= {row["vna_other"]: str(row.name) for row in rows}
    return found
