"""The vendors' own tools as oracles: what they list in a binary, in the words of `buildtool.codeobj`.

``python codeobj_oracles.py FILE...`` compares any files; ``CUOBJDUMP`` names NVIDIA's cuobjdump, and ``LLVM_RUN`` a
command that runs an LLVM tool by name (else the newest one on PATH is used).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from buildtool.codeobj import Image, bundle, inspect
from buildtool.codeobj.view import open_view, read

FATBIN_SECTIONS = (".nv_fatbin", "__nv_relfatbin", ".nv_fatb", "__nv_rel")
UNLISTED_SECTIONS = (".cask_resource", ".cask_re")  # cuobjdump does not look there, but reads what it is handed of it
BUNDLE_SECTIONS = (".hip_fatbin", ".hip_fat")
FATBIN_START = re.compile(rb"\x50\xed\x55\xba\x01\0\x10\0")
BUNDLE_START = re.compile(rb"__CLANG_OFFLOAD_BUNDLE__|CCOB[\1\2\3]\0[\0\1]\0")
KINDS = {"elf": "cubin", "ptx": "ptx", "nvvm": "lto-ir"}
NEWEST_LLVM = range(25, 13, -1)


class OracleRefusedError(Exception):
    """No release of the tool at hand takes the file."""


def llvm(tool: str) -> list[str] | None:
    """The command of an LLVM tool, None when there is none."""
    if "LLVM_RUN" in os.environ:
        return [os.environ["LLVM_RUN"], tool]
    names = [*(f"{tool}-{version}" for version in NEWEST_LLVM), tool]
    found = next((path for name in names if (path := shutil.which(name))), None)
    return [found] if found else None


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def llvm_run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = llvm(tool)
    assert command is not None, f"{tool} is not on PATH"
    return run([*command, *arguments])


def dumped_sections(path: Path, names: tuple[str, ...], folder: Path) -> list[Path]:
    """Write the named sections of an ELF or PE file into `folder`."""
    present = re.findall(r"Name: (\S+)", llvm_run("llvm-readobj", "--sections", str(path)).stdout)
    found = []
    for name in dict.fromkeys(name for name in present if name in names):
        target = folder / f"section{len(found)}"
        done = llvm_run("llvm-objcopy", f"--dump-section={name}={target}", str(path), os.devnull)
        assert done.returncode == 0, done.stderr
        found.append(target)
    return found


def cuobjdump(programs: list[str], path: Path, folder: Path) -> Counter[tuple[object, ...]]:
    """Count (kind, target, PTX ISA, compressed) of every fat binary entry that cuobjdump lists.

    It refuses Windows files and some repacked libraries: their sections are handed to it in an object file instead.
    Each release refuses the chips it has dropped: the first of `programs` that takes the file answers.
    """
    listing = _first_answer(programs, path)
    if listing:
        return listing + _handed(programs, path, UNLISTED_SECTIONS, folder)
    return _handed(programs, path, FATBIN_SECTIONS + UNLISTED_SECTIONS, folder)


def _handed(programs: list[str], path: Path, names: tuple[str, ...], folder: Path) -> Counter[tuple[object, ...]]:
    """Count the entries of some sections, each handed to cuobjdump in an object file."""
    total: Counter[tuple[object, ...]] = Counter()
    empty = folder / "empty.o"
    for number, section in enumerate(dumped_sections(path, names, folder)):
        _only_fatbins(section)
        assert run(["cc", "-c", "-x", "c", os.devnull, "-o", str(empty)]).returncode == 0
        wrapped = folder / f"wrapped{number}.o"
        add = [f"--add-section=.nv_fatbin={section}", "--set-section-flags=.nv_fatbin=alloc"]
        assert llvm_run("llvm-objcopy", *add, str(empty), str(wrapped)).returncode == 0
        answer = _first_answer(programs, wrapped)
        if answer is None:
            raise OracleRefusedError(path)
        total += answer
    return total


def _only_fatbins(section: Path) -> None:
    """Take what else lies between the fat binaries of a section away; cuobjdump refuses it."""
    data = section.read_bytes()
    starts = [found.start() for found in FATBIN_START.finditer(data) if found.start() % 8 == 0]
    with section.open("wb") as stream:
        end = 0
        for start in starts:
            if start >= end:  # else one inside another's code
                end = start + 16 + struct.unpack_from("<Q", data, start + 8)[0]
                stream.write(data[start:end] + bytes(-(end - start) % 8))


def _first_answer(programs: list[str], path: Path) -> Counter[tuple[object, ...]] | None:
    for program in programs:
        done = run([program, "-all", str(path)])
        if done.returncode == 0:
            return _listing(done.stdout)
    return None


def _listing(text: str) -> Counter[tuple[object, ...]]:
    found: Counter[tuple[object, ...]] = Counter()
    for block in re.split(r"\n(?=Fatbin \S+ code:)", text):
        title, arch = re.match(r"\s*Fatbin (\S+) code:", block), re.search(r"arch = (\S+)", block)
        version = re.search(r"code version = \[(\d+),(\d+)\]", block)
        if title and arch and version:
            kind = KINDS.get(title[1], title[1])
            isa = f"{version[1]}.{version[2]}" if kind == "ptx" else None
            found[kind, arch[1], isa, "\ncompressed" in block] += 1
    return found


def ours_nvidia(images: list[Image]) -> Counter[tuple[object, ...]]:
    """Count our images in the oracle's words; images outside of the sections it reads do not count."""
    rows = [
        (image.kind, re.sub("^(compute|lto)_", "sm_", image.target), image.isa, bool(image.compression))
        for image in images
        if image.kind != "hsaco" and (image.section is not None or image.container == "fatbin")
    ]
    return Counter(rows)


def single_bundles(path: Path, folder: Path) -> Iterator[Path]:
    """Every bundle of a file by itself, one after the other under the same name."""
    one = folder / "bundle"
    for section in dumped_sections(path, BUNDLE_SECTIONS, folder):
        with section.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            starts = [match.start() for match in BUNDLE_START.finditer(data) if match.start() % 4096 == 0]
            for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
                one.write_bytes(_trimmed(data[start:end]))
                yield one
        section.unlink()


def _listed(one: Path) -> list[str]:
    done = llvm_run("clang-offload-bundler", "-list", "-type=o", f"-input={one}")
    assert done.returncode == 0, done.stderr
    return [name for name in done.stdout.split() if not name.startswith("host-")]


def bundle_ids(path: Path, folder: Path) -> Counter[str]:
    """Count the device entries that clang-offload-bundler lists in every bundle of a file."""
    return Counter(name for one in single_bundles(path, folder) for name in _listed(one))


Extracts = Counter[tuple[str, int, str]]


def _extract(name: str, path: Path) -> tuple[str, int, str]:
    with path.open("rb") as stream:
        return name, path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def unbundled(path: Path, folder: Path) -> Extracts:
    """Count (entry id, bytes, SHA-256) of every code object that clang-offload-bundler takes out of a file."""
    found: Extracts = Counter()
    for one in single_bundles(path, folder):
        names = _listed(one)
        outs = [folder / f"unbundled{number}" for number in range(len(names))]
        words = [f"-targets={','.join(names)}", *(f"-output={out}" for out in outs)]
        if names:
            done = llvm_run("clang-offload-bundler", "-unbundle", "-type=o", f"-input={one}", *words)
            assert done.returncode == 0, done.stderr
        for name, out in zip(names, outs, strict=True):
            found[_extract(name, out)] += 1
            out.unlink()
    return found


def _trimmed(data: bytes) -> bytes:
    """Cut a compressed bundle at the size it states; the bundler refuses padding behind it."""
    if not data.startswith(b"CCOB"):
        return data
    (version,) = struct.unpack_from("<H", data, 4)
    layout = {2: "<I", 3: "<Q"}.get(version)
    return data if layout is None else data[: struct.unpack_from(layout, data, 8)[0]]


def readelf_target(data: bytes, folder: Path) -> str:
    """Return the target id in llvm-readelf's reading of a code object's ``e_flags``."""
    one = folder / "object"
    one.write_bytes(data)
    flags = re.search(r"Flags:\s+0x[0-9a-fA-F]+, (.*)", llvm_run("llvm-readelf", "-h", str(one)).stdout)
    assert flags is not None
    name, *features = [part.strip() for part in flags[1].split(",")]
    return ":".join([name, *sorted(feature for feature in features if feature.endswith(("+", "-")))])


def contents(path: Path, images: list[Image]) -> Iterator[tuple[Image, bytes]]:
    """Every AMD code object of a file with its bytes, unpacked; those of one bundle after the other."""
    with open_view(path) as view:
        start, inner = -1, view
        for image in images:
            if image.kind != "hsaco" or image.container == "kpack":
                continue
            if image.container == "ccob" and image.container_offset != start:
                start = image.container_offset
                inner = bundle.unpacked_view(view, start, start + (image.container_bytes or 0))
            yield image, read(inner if image.container == "ccob" else view, image.offset, image.bytes)


def extracted(path: Path, folder: Path) -> Extracts:
    """Count what ``llvm-objdump --offloading`` takes out; of compressed bundles, LLVM 22 writes wrong bytes."""
    place = folder / "extracted"
    place.mkdir()
    (place / "x").symlink_to(path.resolve())
    command = [*(llvm("llvm-objdump") or []), "--offloading", "x"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: Extracts = Counter()
    for one in sorted(place.iterdir()):
        name = re.match(r"x\.\d+\.(.+)$", one.name)
        if name and not name[1].startswith("host-"):
            found[_extract(name[1], one)] += 1
        one.unlink()
    place.rmdir()
    return found


def amd_differences(path: Path, images: list[Image], folder: Path) -> list[str]:
    """Compare ids and bytes with clang-offload-bundler and llvm-objdump, targets with llvm-readelf."""
    wrong = []
    ours: Extracts = Counter()
    in_sections = [image for image in images if image.section in BUNDLE_SECTIONS]
    for image, data in contents(path, images):
        target = readelf_target(data, folder)
        if target != image.target:
            wrong.append(f"{image.offset:#x}: readelf {target}, ours {image.target}")
        if image.section in BUNDLE_SECTIONS:
            ours[image.bundle_id or "", image.bytes, hashlib.sha256(data).hexdigest()] += 1
    oracles = [("bundler", unbundled)]
    if objdump_extracts(path, in_sections):
        oracles.append(("objdump", extracted))
    for name, oracle in oracles:
        theirs = oracle(path, folder)
        if theirs != ours:
            wrong.append(f"{name} only: {list(theirs - ours)[:5]}; ours only: {list(ours - theirs)[:5]}")
    return wrong


def objdump_extracts(path: Path, images: list[Image]) -> bool:
    """Whether ``llvm-objdump --offloading`` takes a file's code objects out rightly: Linux files, plain bundles."""
    with path.open("rb") as stream:
        linux = stream.read(4) == b"\x7fELF"
    return linux and bool(images) and all(image.container == "offload-bundle" for image in images)


def differences(path: Path) -> list[str]:
    """Compare one file with all oracles; an empty list is agreement."""
    report = [image for file in inspect(path).files for image in file.images]
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = cuobjdump(os.environ.get("CUOBJDUMP", "cuobjdump").split(os.pathsep), path, folder)
        ours = ours_nvidia(report)
        if theirs != ours:
            wrong.append(f"cuobjdump only: {dict(theirs - ours)}; ours only: {dict(ours - theirs)}")
        if any(image.kind == "hsaco" for image in report):
            wrong += amd_differences(path, report, folder)
    return wrong


if __name__ == "__main__":
    failed = 0
    for argument in sys.argv[1:]:
        lines = differences(Path(argument))
        failed += bool(lines)
        print("DIFFERENT" if lines else "same", argument, *lines, flush=True)  # noqa: T201 - a report for people
    print(f"{len(sys.argv) - 1} files, {failed} different")  # noqa: T201
    sys.exit(bool(failed))
