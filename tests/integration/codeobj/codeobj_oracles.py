"""The vendors' own tools as oracles: what they list in a binary, in the words of `buildtool.codeobj`.

``python codeobj_oracles.py FILE...`` compares any files; ``CUOBJDUMP`` names NVIDIA's cuobjdump, and ``LLVM_RUN`` a
command that runs an LLVM tool by name (else the newest one on PATH is used).
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from buildtool.codeobj import Image, inspect

FATBIN_SECTIONS = (".nv_fatbin", "__nv_relfatbin", ".nv_fatb", "__nv_rel")
BUNDLE_SECTIONS = (".hip_fatbin", ".hip_fat")
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
        return listing
    total: Counter[tuple[object, ...]] = Counter()
    empty = folder / "empty.o"
    for number, section in enumerate(dumped_sections(path, FATBIN_SECTIONS, folder)):
        assert run(["cc", "-c", "-x", "c", os.devnull, "-o", str(empty)]).returncode == 0
        wrapped = folder / f"wrapped{number}.o"
        add = [f"--add-section=.nv_fatbin={section}", "--set-section-flags=.nv_fatbin=alloc"]
        assert llvm_run("llvm-objcopy", *add, str(empty), str(wrapped)).returncode == 0
        answer = _first_answer(programs, wrapped)
        if answer is None:
            raise OracleRefusedError(path)
        total += answer
    return total


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


def bundle_ids(path: Path, folder: Path) -> Counter[str]:
    """Count the device entries that clang-offload-bundler lists in every bundle of a file."""
    found: Counter[str] = Counter()
    for section in dumped_sections(path, BUNDLE_SECTIONS, folder):
        with section.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            starts = [match.start() for match in BUNDLE_START.finditer(data) if match.start() % 4096 == 0]
            for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
                one = folder / "bundle"
                one.write_bytes(_trimmed(data[start:end]))
                done = llvm_run("clang-offload-bundler", "-list", "-type=o", f"-input={one}")
                assert done.returncode == 0, done.stderr
                found.update(name for name in done.stdout.split() if not name.startswith("host-"))
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


def differences(path: Path) -> list[str]:
    """Compare one file with both oracles; an empty list is agreement."""
    report = [image for file in inspect(path).files for image in file.images]
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = cuobjdump(os.environ.get("CUOBJDUMP", "cuobjdump").split(os.pathsep), path, folder)
        ours = ours_nvidia(report)
        if theirs != ours:
            wrong.append(f"cuobjdump only: {dict(theirs - ours)}; ours only: {dict(ours - theirs)}")
        ids = Counter(image.bundle_id for image in report if image.section in BUNDLE_SECTIONS)
        if ids or any(image.kind == "hsaco" for image in report):
            listed = bundle_ids(path, folder)
            if listed != ids:
                wrong.append(f"bundler only: {dict(listed - ids)}; ours only: {dict(ids - listed)}")
        with path.open("rb") as stream:
            for image in report:
                if image.kind == "hsaco" and image.container in ("offload-bundle", "none"):
                    stream.seek(image.offset)
                    target = readelf_target(stream.read(image.bytes), folder)
                    if target != image.target:
                        wrong.append(f"{image.offset:#x}: readelf {target}, ours {image.target}")
    return wrong


if __name__ == "__main__":
    failed = 0
    for argument in sys.argv[1:]:
        lines = differences(Path(argument))
        failed += bool(lines)
        print("DIFFERENT" if lines else "same", argument, *lines, flush=True)  # noqa: T201 - a report for people
    print(f"{len(sys.argv) - 1} files, {failed} different")  # noqa: T201
    sys.exit(bool(failed))
