"""A bundle from a made-up ROCm in a Debian tree: cut down, renamed, licensed, laid out."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from codeobj_hosts import gfx_object, hip_bundle, shared_object
from runtime_samples import Tree, shared

import buildtool.runtime.stage as staging
from buildtool.build.model import BuildTree
from buildtool.codeobj import inspect
from buildtool.compat.model import Plan, PlanCompiler, PlanSource, PlanToolkit
from buildtool.errors import BuildError, IncompatibleError
from buildtool.runtime import RuntimeSet, collect, require_served
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.sandbox import Sandbox

HELD = ("gfx900", "gfx1030", "gfx1100")


def index(chip: str) -> dict[str, object]:
    """As Tensile writes it, less what the tables hold."""
    processor = {"type": "AMDGPU", "value": {"type": "Processor", "value": chip}}
    tuned = {"predicate": processor, "library": {"type": "Placeholder", "value": f"TensileLibrary_Type_SS_{chip}"}}
    rest = {"predicate": {"type": "TruePred"}, "library": {"type": "Placeholder", "value": "TensileLibrary_fallback"}}
    return {"solutions": [], "library": {"type": "Hardware", "rows": [tuned, rest]}}


def kernels() -> dict[str, bytes]:
    folder = "rocblas/4.4.1/library"
    files = {f"{folder}/TensileLibrary_Type_SS_fallback.dat": b"\x81\xa1a\x01"}
    for chip in HELD:
        files |= {
            f"{folder}/TensileLibrary_lazy_{chip}.dat": msgspec.msgpack.encode(index(chip)),
            f"{folder}/TensileLibrary_Type_SS_{chip}.co": gfx_object(chip),
        }
    return files


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "größe" / "tree")
    made.package(
        "librocblas4", {"librocblas.so.4.4": shared_object([hip_bundle(*HELD)] * 2), **kernels()}, version="6.4"
    )
    made.link("librocblas.so.4", "librocblas.so.4.4")
    made.package("libroctx64-4", {"libroctx64.so.4": shared("libc.so.6")})
    words = "see /usr/share/common-licenses/GPL-2."
    made.package("libnuma1", {"libnuma.so.1": shared()}, version="1:2.0-1", licence=words)
    made.package(
        "libhip",
        {"libamdhip64.so.6": shared("libnuma.so.1", "libroctx64.so.4", "libc.so.6")},
        source="hip",
        licence=None,
    )
    made.package("libhip-dev", {}, source="hip")
    return made


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildTree:
    monkeypatch.setattr(staging, "look_beside", lambda path: path.write_bytes(path.read_bytes() + b"patched"))
    (tmp_path / "build/bin").mkdir(parents=True)
    (tmp_path / "build/bin/libggml-hip.so").write_bytes(shared("librocblas.so.4", "libamdhip64.so.6"))
    return BuildTree(
        path=str(tmp_path / "build"), source="", cmake_args=(), env={}, cmake="cmake", ninja="ninja", steps=1,
        seconds=0.0, log="",
    )  # fmt: skip


def plan(*targets: str, runtime: str = "bundle") -> Plan:
    return Plan(
        recipe="llama.cpp", source=PlanSource(kind="sdist", name="any", version="1"), backend="rocm", targets=targets,
        toolkit=PlanToolkit(kind="rocm", version="7.0", provider="rootfs"), profile="portable", cmake_options={},
        host_compiler=PlanCompiler(family="gcc", version="16", cxx="g++", cc="gcc"), runtime=runtime, wheels=(),
        platform="linux-x86_64",
    )  # fmt: skip


def toolchain(tree: Tree) -> Toolchain:
    return Toolchain(
        kind="rocm", version="7.0", root="/usr", provider="rootfs", cmake_options={}, env={}, cmake="cmake",
        ninja="ninja", sandbox=Sandbox(tree=str(tree.root), program="bwrap", isolation=()),
    )  # fmt: skip


def test_a_siblings_kernels_are_cut_out_and_renamed(tree: Tree, build: BuildTree) -> None:
    made = collect(plan("gfx1032"), toolchain(tree), build)
    names = [one.soname for one in made.libraries]
    assert names == ["libamdhip64.so.6", "libnuma.so.1", "librocblas.so.4", "libroctx64.so.4"]
    assert made.root is not None
    assert inspect(Path(made.root)).targets == ("gfx1032",)
    names = {path.name for path in Path(made.root).rglob("*") if path.is_file()}
    assert names >= {"TensileLibrary_lazy_gfx1032.dat", "TensileLibrary_Type_SS_fallback.dat"}
    assert not [name for name in names if "gfx1030" in name or "gfx900" in name]
    (rung,) = made.rungs
    assert (rung.target, rung.name, rung.donor) == ("gfx1032", "sibling", "gfx1030")
    by_name = {one.soname: one for one in made.libraries}
    assert by_name["librocblas.so.4"].rungs == made.data[0].rungs == (rung,)
    assert by_name["libnuma.so.1"].rungs == ()
    assert {one.soname for one in made.left_out} == {"libc.so.6"}
    assert (Path(made.root).parent / "manifests/retarget-gfx1030-gfx1032.json").is_file()


def test_a_renamed_index_is_open_to_a_device_that_the_host_code_does_not_know(tree: Tree, build: BuildTree) -> None:
    made = collect(plan("gfx1032", "gfx1100"), toolchain(tree), build)
    rows = {}
    for path in Path(str(made.root)).rglob("TensileLibrary_lazy_*.dat"):
        rows[path.name] = msgspec.msgpack.decode(path.read_bytes())["library"]["rows"]
    first, second = rows["TensileLibrary_lazy_gfx1032.dat"]
    assert first["predicate"]["type"] == "TruePred"
    assert first["library"]["value"] == "TensileLibrary_Type_SS_gfx1032"
    assert second == index("gfx1032")["library"]["rows"][1]  # type: ignore[index]
    assert rows["TensileLibrary_lazy_gfx1100.dat"] == index("gfx1100")["library"]["rows"]  # type: ignore[index]
    assert len((tree.lib / "rocblas/4.4.1/library/TensileLibrary_lazy_gfx1030.dat").read_bytes()) == next(
        path.stat().st_size for path in Path(str(made.root)).rglob("TensileLibrary_lazy_gfx1032.dat")
    )


def test_packages_versions_and_licences_travel(tree: Tree, build: BuildTree) -> None:
    made = collect(plan("gfx900"), toolchain(tree), build)
    found = {one.soname: (one.package, one.version, one.licence) for one in made.libraries}
    assert found["libnuma.so.1"] == ("libnuma1", "1:2.0-1", "libnuma1.txt")
    assert found["libamdhip64.so.6"] == ("libhip", "1.0-1", "libhip.txt")
    texts = {Path(path).name: Path(path).read_text() for path in made.licences}
    assert texts["common-GPL-2.txt"] == "GPL, whole"
    assert "common-Apache-2.0.txt" not in texts
    assert texts["libhip.txt"] == "terms of libhip-dev", "packages of one source share their licence"
    assert all(one.licence in texts for one in (*made.libraries, *made.data))
    assert made.data[0].package == "librocblas4"
    assert [one.name for one in made.rungs] == ["vendor"]


def test_several_targets_in_one_bundle(tree: Tree, build: BuildTree) -> None:
    made = collect(plan("gfx1032", "gfx1100"), toolchain(tree), build)
    assert inspect(Path(str(made.root))).targets == ("gfx1032", "gfx1100")


def test_only_what_loads_others_is_told_to_look_beside_itself(tree: Tree, build: BuildTree) -> None:
    root = Path(str(collect(plan("gfx900"), toolchain(tree), build).root))
    assert (root / "libamdhip64.so.6").read_bytes().endswith(b"patched")
    assert not (root / "libnuma.so.1").read_bytes().endswith(b"patched")
    assert not (root / "libroctx64.so.4").read_bytes().endswith(b"patched"), "it needs the C library only"


def test_files_of_a_read_only_store_can_be_packed_and_removed(tree: Tree, build: BuildTree) -> None:
    for folder, _, _ in os.walk(tree.root):
        Path(folder).chmod(0o555)
    root = Path(str(collect(plan("gfx1032"), toolchain(tree), build).root))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {0o755, 0o644}
    for folder, _, _ in os.walk(tree.root):
        Path(folder).chmod(0o755)


def test_a_second_run_takes_what_is_there_and_other_targets_replace_it(tree: Tree, build: BuildTree) -> None:
    first = collect(plan("gfx1032"), toolchain(tree), build)
    stamp = (Path(str(first.root)) / "librocblas.so.4").stat().st_mtime_ns
    assert collect(plan("gfx1032"), toolchain(tree), build) == first
    assert (Path(str(first.root)) / "librocblas.so.4").stat().st_mtime_ns == stamp
    assert msgspec.json.decode(msgspec.json.encode(first), type=RuntimeSet) == first
    collect(plan("gfx1100"), toolchain(tree), build)
    assert len(list((Path(build.path) / "runtime").iterdir())) == 1
    assert not Path(str(first.root)).exists()


def test_a_library_without_a_licence_is_not_copied(tree: Tree, build: BuildTree) -> None:
    (tree.root / "usr/share/doc/libnuma1/copyright").unlink()
    with pytest.raises(BuildError, match="No licence text") as caught:
        collect(plan("gfx1032"), toolchain(tree), build)
    assert "libnuma1" in caught.value.why
    assert not list((Path(build.path) / "runtime").iterdir()), "nothing half-made stays"


def test_a_target_without_kernels_is_refused_before_anything_is_compiled(tree: Tree, build: BuildTree) -> None:
    for ask in (
        lambda: collect(plan("gfx1201"), toolchain(tree), build),
        lambda: require_served(plan("gfx1201"), toolchain(tree)),
    ):
        with pytest.raises(IncompatibleError, match="no kernels"):
            ask()
    require_served(plan("gfx1032"), toolchain(tree))
    require_served(plan("gfx1201", runtime="system"), toolchain(tree))
    other = tree.root / "usr/lib"
    other.joinpath("librocblas.so.5").write_bytes(shared_object([hip_bundle("gfx900")]))
    require_served(plan("gfx1032"), toolchain(tree))  # the bundle does not take that one


@pytest.mark.parametrize("runtime", ["pip", "system"])
def test_nothing_travels_unless_it_is_to(tree: Tree, build: BuildTree, runtime: str) -> None:
    assert collect(plan("gfx1032", runtime=runtime), toolchain(tree), build) == RuntimeSet(mode=runtime)  # type: ignore[arg-type]


def test_device_code_is_compressed_where_the_loader_reads_that(tree: Tree, build: BuildTree) -> None:
    loader = tree.lib / "libamdhip64.so.6"
    plain = collect(plan("gfx1032"), toolchain(tree), build)
    before = {file.path: file for file in inspect(Path(str(plain.root))).files}
    assert not any("compressed" in note for note in plain.notes)
    loader.chmod(0o644)
    loader.write_bytes(shared("libnuma.so.1", "libc.so.6", strings=("CCOB",)))
    shutil.rmtree(Path(build.path) / "runtime")
    made = collect(plan("gfx1032"), toolchain(tree), build)
    files = inspect(Path(str(made.root))).files
    held = [image for file in files for image in file.images if image.kind == "hsaco"]
    assert {image.container for image in held} == {"ccob"}
    assert {image.target for image in held} == {"gfx1032"}
    assert len(held) == sum(image.kind == "hsaco" for file in before.values() for image in file.images)
    assert made.bytes < plain.bytes
    assert any("compressed" in note for note in made.notes)


def test_two_runs_of_one_plan_share_the_bundle(tree: Tree, build: BuildTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first is at work: it waits, and deletes nothing under its hands."""
    inside, go_on = threading.Event(), threading.Event()
    make, made = staging.Stage.make, []

    def slow(self: staging.Stage, targets: Sequence[str]) -> RuntimeSet:
        made.append(targets)
        inside.set()
        go_on.wait(5)
        return make(self, targets)

    monkeypatch.setattr(staging.Stage, "make", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(collect, plan("gfx900"), toolchain(tree), build)
        assert inside.wait(20)
        second = pool.submit(collect, plan("gfx900"), toolchain(tree), build)
        time.sleep(0.3)
        go_on.set()
        assert first.result(60) == second.result(60)
    assert len(made) == 1
