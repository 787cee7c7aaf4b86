"""The real rocBLAS of Debian and real ggml HIP modules before imitated devices, as they are and rewritten.

Uses the user's own store: the root filesystem with ROCm is made once, by ``gpubuild toolchain install``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildtool.codeobj import retarget, thin
from buildtool.compat.model import PlanRootfs
from buildtool.process import run
from buildtool.store.entries import Store
from buildtool.toolchain.rootfs import resolve
from buildtool.toolchain.rootfs.suite import find_mirror
from buildtool.toolchain.sandbox import Sandbox, open_sandbox
from buildtool.verify.rig import Exercise, LoaderProof, loader_proof

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bubblewrap"),
]
Prove = Callable[..., LoaderProof]


@pytest.fixture(scope="module")
def tree() -> Path:
    found = [entry for entry in Store().entries("rootfs") if entry.facts.get("kind") == "rocm"]
    if not found:
        pytest.skip("the store has no root filesystem with ROCm: gpubuild toolchain install rocm-7.0-sid")
    return max(found, key=lambda entry: entry.created).path


@pytest.fixture(scope="module")
def prove(tree: Path) -> Prove:
    sandbox: Sandbox = open_sandbox(tree)

    def proved(folder: Path, *targets: str) -> LoaderProof:
        return loader_proof(folder, targets, sandbox=sandbox)

    return proved


@pytest.fixture(scope="module")
def stock(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's rocBLAS and hipBLAS, untouched: hard links, since they have four gigabytes."""
    folder, libraries = tmp_path_factory.mktemp("stock"), tree / "usr" / "lib" / "x86_64-linux-gnu"
    names = [*libraries.glob("librocblas.so*"), *libraries.glob("libhipblas.so*")]
    try:
        for path in names:
            if path.is_symlink():
                (folder / path.name).symlink_to(path.readlink())
            else:
                os.link(path, folder / path.name)
        shutil.copytree(libraries / "rocblas", folder / "rocblas", copy_function=os.link)
    except OSError as error:
        pytest.skip(f"the store is on another file system: {error}")
    return folder


def packages(names: list[str], *suites: str) -> Path:
    """Fetch Debian packages as apt does, in a world of its own, and unpack them."""
    if not shutil.which("dpkg"):
        pytest.skip("needs dpkg")
    rootfs = PlanRootfs(
        name="sid", architecture="amd64", suites=suites, components=("main",), packages=(), leave_out=()
    )
    place = Path(tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as world:
        env = resolve._world(Path(world), rootfs, find_mirror())
        run(["apt-get", "update"], env=env)
        run(["apt-get", "download", *names], env=env, cwd=place)
    for deb in place.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(deb), str(place / "tree")], check=True)
        deb.unlink()
    return place


@pytest.fixture(scope="module")
def module(stock: Path) -> None:
    """Adds Debian's ggml HIP module."""
    place = packages(["libggml0", "libggml0-backend-hip"], "sid")
    for path in (place / "tree").rglob("libggml-*.so*"):
        if path.name.startswith(("libggml-base", "libggml-hip")):
            shutil.copy2(path, stock / path.name, follow_symlinks=False)
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def newer() -> Iterator[Path]:
    """The rocBLAS 5 of ROCm 7.2, whose device code is in compressed bundles."""
    place = packages(["librocblas5/experimental", "libroctx64-4/experimental"], "sid", "experimental")
    yield place / "tree" / "usr" / "lib" / "x86_64-linux-gnu"
    shutil.rmtree(place)


def exercise(proof: LoaderProof, name: str, target: int = 0) -> Exercise:
    return next(one for one in proof.targets[target].exercises if one.name == name)


def test_rocblas_as_it_is_serves_gfx1030_and_not_gfx1032(stock: Path, prove: Prove) -> None:
    proof = prove(stock, "gfx1030", "gfx1032")
    served = exercise(proof, "rocblas")
    assert served.verdict == "loader-proved", served.summary
    assert (served.fat_binaries[0].registered, served.fat_binaries[0].accepted, served.tuned) == (66, 66, True)
    refused = exercise(proof, "rocblas", 1)
    assert refused.verdict == "failed"
    assert refused.fat_binaries[0].accepted == 0
    assert "GPU arch : gfx1032" in refused.summary


@pytest.mark.network
@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("target", ["gfx1032", "gfx1036"])
def test_rewritten_rocblas_and_ggml_load_and_launch_what_the_original_card_gets(
    stock: Path, prove: Prove, tmp_path: Path, target: str
) -> None:
    original, untouched = prove(stock, "gfx1030"), prove(stock, target)
    assert exercise(untouched, "ggml-hip").verdict == "failed"
    retarget(stock, "gfx1030", target, tmp_path / "moved", thinned=True)
    proof = prove(tmp_path / "moved", target, "gfx1030")
    for name in ("rocblas", "ggml-hip"):
        found = exercise(proof, name)
        assert found.verdict == "loader-proved", found.summary
        assert {row.target for row in found.code_objects} == {target}
        assert found.launches == exercise(original, name).launches
        assert f"TensileLibrary_lazy_{target}.dat" in found.files
        assert not any("gfx1030" in file for file in found.files)
        assert all(row.registered == row.accepted for row in found.fat_binaries)
        assert exercise(proof, name, 1).verdict == "failed"  # it is for the other card now, and for that one alone


def test_thinned_for_gfx1030_it_chooses_the_kernels_of_the_whole(stock: Path, prove: Prove, tmp_path: Path) -> None:
    thin(stock, ["gfx1030"], tmp_path / "thin")
    whole, cut = (exercise(prove(folder, "gfx1030"), "rocblas") for folder in (stock, tmp_path / "thin"))
    assert cut.verdict == "loader-proved"
    assert (cut.launches, cut.files) == (whole.launches, whole.files)


@pytest.mark.network
def test_a_module_from_another_packager_is_judged_too(stock: Path, prove: Prove, tmp_path: Path) -> None:
    """cyllama-rocm holds gfx90a, gfx942 and gfx1100."""
    options = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.11", "--dest", str(tmp_path)]
    run(["python3", "-m", "pip", "download", *options, "cyllama-rocm==0.2.18"])
    folder = tmp_path / "set"
    folder.mkdir()
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if Path(name).name.startswith(("libggml-hip", "libggml-base")):
                (folder / Path(name).name).write_bytes(wheel.read(name))
    for path in stock.glob("lib*blas.so*"):
        os.link(path, folder / path.name, follow_symlinks=False)
    (folder / "rocblas").symlink_to(stock / "rocblas")
    proof = prove(folder, "gfx1100", "gfx1032")
    assert exercise(proof, "ggml-hip").verdict == "loader-proved"
    assert exercise(proof, "ggml-hip").fat_binaries[1].registered == 130
    assert exercise(proof, "ggml-hip", 1).fat_binaries[1].reason == "the bundle has no entry for gfx1032"


@pytest.mark.network
def test_the_next_release_of_rocblas_and_of_hip(newer: Path, prove: Prove, tmp_path: Path) -> None:
    proof = prove(newer, "gfx1030", "gfx90a", "gfx1032")
    assert proof.runtime == "libamdhip64.so.7"
    served = [exercise(proof, "rocblas", number) for number in range(3)]
    assert [one.verdict for one in served] == ["loader-proved", "loader-proved", "failed"]
    assert {row.target for row in served[1].code_objects} == {"gfx90a", "gfx90a:xnack-"}
    retarget(newer, "gfx1030", "gfx1032", tmp_path / "moved", thinned=True)
    moved = exercise(prove(tmp_path / "moved", "gfx1032"), "rocblas")
    assert (moved.verdict, moved.launches) == ("loader-proved", served[0].launches)
