"""`retarget` and `thin` over libraries that others built, with the vendors' own tools as judges.

``GPUBUILD_TEST_STEP`` chooses how many of rocBLAS's code objects are disassembled: every n-th (1: all).
``GPUBUILD_TEST_ROCBLAS`` names a folder with ``librocblas.so.4.*`` and its ``rocblas/`` instead of Debian's package.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from codeobj_oracles import (
    BUNDLE_SECTIONS,
    bundle_ids,
    differences,
    dumped_sections,
    llvm,
    llvm_run,
    readelf_target,
    run,
)
from debian_package import debian

from buildtool.codeobj import Image, inspect, restore, retarget, thin

network = pytest.mark.network
WINDOWS = ("--platform", "win_amd64", "--only-binary=:all:", "--python-version", "3.12")
needs_llvm = pytest.mark.skipif(llvm("llvm-readelf") is None or llvm("llvm-objdump") is None, reason="no LLVM on PATH")
needs_bundler = pytest.mark.skipif(llvm("clang-offload-bundler") is None, reason="no clang-offload-bundler on PATH")
OLD, NEW = "gfx1030", "gfx1032"
STEP = int(os.environ.get("GPUBUILD_TEST_STEP", "16"))
Unpacked = Callable[..., list[Path]]


def unpacked_package(package: str, folder: Path) -> Path:
    try:
        return debian(package, folder)
    except LookupError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def rocblas(downloads: Path) -> Path:
    if "GPUBUILD_TEST_ROCBLAS" in os.environ:
        return Path(os.environ["GPUBUILD_TEST_ROCBLAS"])
    library = next(unpacked_package("librocblas4", downloads).rglob("librocblas.so.4.*"))
    return library.parent


def objects(root: Path, chip: str) -> Iterator[tuple[Path, int, Image]]:
    for file in inspect(root).files:
        wanted = [image for image in file.images if image.kind == "hsaco" and image.target == chip]
        yield from ((Path(file.path), number, image) for number, image in enumerate(wanted))


def cut_out(path: Path, image: Image) -> bytes:
    with path.open("rb") as stream:
        stream.seek(image.offset)
        return stream.read(image.bytes)


class Disassembly(NamedTuple):
    digest: str
    lines: int
    unknown: int


def disassembly(data: bytes, folder: Path) -> Disassembly:
    """Return a digest of what llvm-objdump prints for a code object, read as it comes: some print a gigabyte."""
    (folder / "object").write_bytes(data)
    command = [*(llvm("llvm-objdump") or []), "-d", str(folder / "object")]
    digest, lines, unknown = hashlib.sha256(), 0, 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        for line in running.stdout:
            digest.update(line)
            lines += 1
            unknown += b"<unknown>" in line
    assert running.returncode == 0
    assert lines > 10
    return Disassembly(digest.hexdigest(), lines, unknown)


@network
@needs_llvm
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Debian's packages are unpacked on Linux")
def test_a_whole_rocblas(rocblas: Path, tmp_path: Path) -> None:
    out, begin = tmp_path / "out", time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = ["retarget", str(rocblas), "--from", OLD, "--to", NEW, "--thin", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "buildtool", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computing = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{time.monotonic() - begin:.1f} s, {computing:.1f} s of them computing; {after.ru_maxrss >> 10} MiB")  # noqa: T201
    assert computing <= 20
    assert after.ru_maxrss >> 10 <= 512

    pairs = list(zip(objects(rocblas, OLD), objects(out, NEW), strict=True))
    assert len(pairs) > 100
    assert inspect(out).targets == (NEW,)
    compared: list[int] = []
    for number, ((path, _, image), (new_path, _, new_image)) in enumerate(pairs):
        assert new_path.relative_to(out).as_posix() == path.relative_to(rocblas).as_posix().replace(OLD, NEW)
        fresh = cut_out(new_path, new_image)
        assert readelf_target(fresh, tmp_path) == NEW
        assert OLD.encode() not in fresh
        if number % STEP == 0:
            found = disassembly(fresh, tmp_path)
            assert found == disassembly(cut_out(path, image), tmp_path)
            assert not found.unknown
            compared.append(found.lines)
    print(f"{len(pairs)} code objects; {len(compared)} disassembled before and after: {sum(compared)} equal lines")  # noqa: T201
    for path in out.rglob("*"):
        assert OLD not in path.name
        assert path.suffix != ".dat" or OLD.encode() not in path.read_bytes()
    library = next(out.glob("librocblas.so.4.*"))
    assert not llvm_run("llvm-readelf", "-lSW", str(library)).stderr
    assert sum(path.stat().st_size for path in out.rglob("*") if not path.is_dir() and not path.is_symlink()) < 3e8

    thin(rocblas, [OLD], tmp_path / "thin")
    restore(out, out / "gpubuild-retarget.json", tmp_path / "undone")
    assert subprocess.run(["diff", "-r", tmp_path / "thin", tmp_path / "undone"], check=False).returncode == 0


@network
@needs_llvm
@needs_bundler
@pytest.mark.slow
def test_a_rocm_backend_of_debian(downloads: Path, tmp_path: Path) -> None:
    library = next(unpacked_package("libggml0-backend-hip", downloads).rglob("libggml-hip.so"))
    retarget(library, OLD, NEW, tmp_path / "out.so", thinned=True)
    assert inspect(tmp_path / "out.so").targets == (NEW,)
    assert set(bundle_ids(tmp_path / "out.so", tmp_path)) == {f"hipv4-amdgcn-amd-amdhsa--{NEW}"}
    for path, number, image in objects(tmp_path / "out.so", NEW):
        data = cut_out(path, image)
        assert readelf_target(data, tmp_path) == NEW
        assert OLD.encode() not in data
        assert number % STEP or disassembly(data, tmp_path).unknown == 0


@network
@needs_llvm
@needs_bundler
@pytest.mark.parametrize(
    ("options", "pair"), [((), (OLD, NEW)), (WINDOWS, ("gfx1200", "gfx1201"))], ids=["linux", "windows"]
)
def test_compressed_bundles(
    unpacked: Unpacked, tmp_path: Path, options: tuple[str, ...], pair: tuple[str, str]
) -> None:
    old, new = pair
    compared = 0
    for number, path in enumerate(path for path in unpacked("bitsandbytes", *options) if "rocm" in path.name):
        held = set(inspect(path).targets)
        thin(path, [old], tmp_path / f"thin{number}")
        if new in held:
            continue
        retarget(path, old, new, tmp_path / f"out{number}", thinned=False)
        (file,) = inspect(tmp_path / f"out{number}").files
        assert {image.target for image in file.images} == held - {old} | {new}
        assert bundle_ids(tmp_path / f"out{number}", tmp_path) == Counter(image.bundle_id for image in file.images)
        restore(tmp_path / f"out{number}", tmp_path / f"out{number}.retarget.json", tmp_path / f"undone{number}")
        assert (tmp_path / f"undone{number}").read_bytes() == path.read_bytes()
        compared += 1
    for result in tmp_path.glob("thin*"):
        (file,) = inspect(result).files
        assert {image.target for image in file.images} == {old}
        assert all(image.section in BUNDLE_SECTIONS for image in file.images)
        assert bundle_ids(result, tmp_path) == Counter(image.bundle_id for image in file.images)
    assert compared or options


@network
@needs_llvm
@pytest.mark.parametrize("options", [(), WINDOWS], ids=["linux", "windows"])
@pytest.mark.parametrize(("wheel", "pattern"), [("bitsandbytes", "cuda13"), ("nvidia-curand", "curand")])
def test_cuda_libraries(
    unpacked: Unpacked,
    cuobjdump: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wheel: str,
    pattern: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setenv("CUOBJDUMP", str(cuobjdump))
    paths = [path for path in unpacked(wheel, *options) if pattern in path.name and inspect(path).files]
    assert paths
    for path in paths:
        out = tmp_path / path.name
        result = thin(path, ["sm_90"], out)
        assert not result.notes
        assert out.stat().st_size < path.stat().st_size
        assert {image.target for image in inspect(out).files[0].images if image.kind == "cubin"} <= {"sm_90", "sm_90a"}
        assert differences(out) == []
        assert not llvm_run("llvm-readobj", "--sections", str(out)).stderr
        for names in ((".text",), (".rodata", ".rdata"), (".data",), (".cask_resource", ".cask_re")):
            before, after = (
                [one.read_bytes() for one in dumped_sections(file, names, tmp_path)] for file in (path, out)
            )
            assert before == after


SOURCE = r"""
#include <cstdio>
#include <stdexcept>
__asm__(".section .hip_fatbin,\"a\"\n.p2align 12\none:\n.incbin \"{one}\"\n"
        ".p2align 12\ntwo:\n.incbin \"{two}\"\n.text\n");
extern "C" __attribute__((visibility("hidden"))) const char one[], two[];
struct wrapper {{ unsigned magic, version; const unsigned char *binary; void *unused; }};
__attribute__((section(".hipFatBinSegment"), used)) static wrapper wrappers[] = {{
    {{0x48495046, 1, (const unsigned char *)one, nullptr}}, {{0x48495046, 1, (const unsigned char *)two, nullptr}}}};
static const char *words[] = {{"first", "second"}};
static const char *word(int n) {{
    try {{ if (n > 1) throw std::runtime_error(words[1]); }} catch (const std::exception &) {{ return "caught"; }}
    return words[n];
}}
extern "C" int report() {{
    printf("%s %s %s\n", word(0), word(1), word(2));
    for (const wrapper &one : wrappers) {{
        const unsigned long *row = (const unsigned long *)(one.binary + 32);
        printf("%lu %.*s ", row[-1], (int)row[2], (const char *)(row + 3));
        for (unsigned long n = 0; n < row[1]; n++) printf("%02x", one.binary[row[0] + n]);
        puts("");
    }}
    return fflush(stdout);
}}
int main() {{ return report(); }}
"""


@pytest.mark.toolchain
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("g++") is None, reason="g++ makes the binaries")
@pytest.mark.parametrize("kind", ["-shared", "-pie", "-no-pie"])
@pytest.mark.parametrize("linker", ["bfd", "bfd -Wl,-z,pack-relative-relocs", "lld", "gold"])
def test_a_thinned_binary_is_loaded_by_the_system(tmp_path: Path, linker: str, kind: str) -> None:
    """The loader maps it, relocates it, and unwinds an exception through it."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "codeobj"))
    from codeobj_hosts import gfx_object
    from codeobj_samples import bundle, hip_id

    def one(chip: str, body: int) -> tuple[str, bytes]:
        return hip_id(chip), gfx_object(chip, body=bytes([body]) * 40000)

    (tmp_path / "one").write_bytes(bundle([one(OLD, 1), one("gfx900", 2), one("gfx1100", 3)]))
    (tmp_path / "two").write_bytes(bundle([one("gfx900", 4), one(OLD, 5)]))
    (tmp_path / "x.cpp").write_text(SOURCE.format(one=tmp_path / "one", two=tmp_path / "two"))
    position = "-fno-pic" if kind == "-no-pie" else "-fPIC"
    linking = f"-fuse-ld={linker}".split()
    made = run(["g++", kind, position, *linking, "-o", f"{tmp_path}/x", f"{tmp_path}/x.cpp"])
    if made.returncode:
        pytest.skip(f"no {linker}: {made.stderr[-200:]}")
    result = retarget(tmp_path / "x", OLD, NEW, tmp_path / "out", thinned=True)
    assert not result.notes
    assert (tmp_path / "out").stat().st_size < (tmp_path / "x").stat().st_size - 100_000
    call = f"import ctypes; ctypes.CDLL('{tmp_path}/out').report()"
    ran = run([sys.executable, "-c", call] if kind == "-shared" else [str(tmp_path / "out")])
    lines = ran.stdout.splitlines()
    assert lines[0] == "first second caught", ran.stderr
    for line, body in zip(lines[1:], (1, 5), strict=True):
        count, name, content = line.split()
        assert (count, name) == ("1", hip_id(NEW))
        assert bytes.fromhex(content) == gfx_object(NEW, body=bytes([body]) * 40000)
