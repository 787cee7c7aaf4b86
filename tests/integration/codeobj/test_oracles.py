"""`inspect` against the vendors' own tools, over libraries that nobody here built."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from codeobj_oracles import BUNDLE_SECTIONS, OracleRefusedError, bundle_ids, differences, llvm, readelf_target

from buildtool.codeobj import inspect

pytestmark = [pytest.mark.network]
WINDOWS = ("--platform", "win_amd64", "--only-binary=:all:", "--python-version", "3.12")
needs_llvm = pytest.mark.skipif(
    llvm("clang-offload-bundler") is None or llvm("llvm-readelf") is None,
    reason="clang-offload-bundler and llvm-readelf are not on PATH",
)
Unpacked = Callable[..., list[Path]]


def version_of_bundler() -> int:
    command = llvm("clang-offload-bundler")
    text = subprocess.run([*(command or []), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)", text)
    return int(found[1]) if found else 0


@needs_llvm
@pytest.mark.parametrize("options", [(), WINDOWS], ids=["linux", "windows"])
@pytest.mark.parametrize("wheel", ["bitsandbytes", "nvidia-curand"])
def test_cuda_wheels(
    unpacked: Unpacked, cuobjdump: Path, monkeypatch: pytest.MonkeyPatch, wheel: str, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUOBJDUMP", str(cuobjdump))
    files = [path for path in unpacked(wheel, *options) if "rocm" not in path.name and "xpu" not in path.name]
    with_code = [path for path in files if inspect(path).files]
    compared: dict[str, list[str]] = {}
    for path in with_code:
        with contextlib.suppress(OracleRefusedError):  # current releases dropped the oldest chips
            compared[path.name] = differences(path)
    assert compared
    assert len(compared) >= len(with_code) - 2
    assert [name for name, wrong in compared.items() if wrong] == [], compared


@needs_llvm
@pytest.mark.parametrize("options", [(), WINDOWS], ids=["linux", "windows"])
def test_compressed_rocm_bundles(unpacked: Unpacked, tmp_path: Path, options: tuple[str, ...]) -> None:
    if version_of_bundler() < 21:
        pytest.skip("compressed bundles of version 3 need clang-offload-bundler 21")
    for path in (path for path in unpacked("bitsandbytes", *options) if "rocm" in path.name):
        (file,) = inspect(path).files
        assert bundle_ids(path, tmp_path) == Counter(image.bundle_id for image in file.images)


@needs_llvm
@pytest.mark.slow
@pytest.mark.parametrize("wheel", ["cyllama-rocm", "onnxruntime-rocm"])
def test_plain_rocm_bundles(unpacked: Unpacked, tmp_path: Path, wheel: str) -> None:
    path = max(unpacked(wheel), key=lambda path: path.stat().st_size)
    (file,) = inspect(path).files
    assert bundle_ids(path, tmp_path) == Counter(image.bundle_id for image in file.images)
    with path.open("rb") as stream:
        for image in file.images[:: max(1, len(file.images) // 50)]:
            assert image.section in BUNDLE_SECTIONS
            stream.seek(image.offset)
            assert readelf_target(stream.read(image.bytes), tmp_path) == image.target


def test_a_wheel_and_its_unpacked_files_say_the_same(fetch: Callable[..., Path], unpacked: Unpacked) -> None:
    wheel = fetch("bitsandbytes")
    inside = {file.path.rsplit("/", 1)[1]: file.images for file in inspect(wheel).files}
    beside = {
        file.path.rsplit("/", 1)[1]: file.images for path in unpacked("bitsandbytes") for file in inspect(path).files
    }
    assert inside == beside
    assert len(inside) > 10


def test_kernel_names_are_those_of_cuobjdump(unpacked: Unpacked, cuobjdump: Path) -> None:
    (path,) = [path for path in unpacked("bitsandbytes") if path.name.endswith("cuda130.so")]
    listed = subprocess.run([cuobjdump, "-symbols", "-arch", "sm_90", path], capture_output=True, text=True, check=True)
    expected = set(re.findall(r"^FUNC\s+\w+\s+\w+\s+ENTRY\s+(\S+)", listed.stdout, re.MULTILINE))
    (file,) = inspect(path, kernels=True).files
    ours = {name for image in file.images if image.target == "sm_90" for name in image.kernels}
    assert ours == expected
    assert ours
