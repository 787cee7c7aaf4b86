"""From a source to wheels whose ROCm runtime is complete: packed here, started in a Debian that has no ROCm.

llama.cpp is the small imitation; the compiler, AMD's libraries, the loader and comgr are the real ones. No card is
needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from buildtool.codeobj import inspect
from buildtool.codeobj.manifest import load, undo
from buildtool.compat.model import PlanRootfs, PlanToolkit
from buildtool.process import run
from buildtool.runtime.closure import needed
from buildtool.runtime.spare import Record
from buildtool.store.entries import Store
from buildtool.toolchain.provide import pinned
from buildtool.toolchain.rootfs.make import KIND, ensure
from buildtool.toolchain.sandbox import Sandbox, open_sandbox
from buildtool.verify.rig import loader_proof

pytestmark = [
    pytest.mark.network,
    pytest.mark.toolchain,
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("mmdebstrap") and shutil.which("bwrap")), reason="needs mmdebstrap and bwrap"),
]

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"
START = Path(__file__).parent / "inside" / "start.py"
SPARED = ("libedit.so.2", "libxml2.so.16", "libz3.so.4")  # libLLVM's, for what HIP never asks of it
MACHINE = 0x38  # EF_AMDGPU_MACH_AMDGCN_GFX1032
PLAIN = PlanToolkit(
    kind="rocm",
    version="0",
    provider="rootfs",
    rootfs=PlanRootfs(
        name="plain-sid",
        architecture="amd64",
        suites=("sid",),
        components=("main",),
        packages=("base-files", "bash", "coreutils", "dash", "grep", "libc-bin", "libstdc++6", "python3"),
        leave_out=("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"),
    ),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not [entry for entry in Store().entries(KIND) if entry.facts.get("name") == "rocm-7.0-sid"]:
        pytest.skip("gpubuild toolchain install 'rocm==7.0' makes the toolkit; 5 GB")
    place = tmp_path_factory.mktemp("rocm é")
    shutil.copytree(MINI, place / "llama.cpp")
    argv = [sys.executable, "-m", "buildtool", "compile", "--backend", "rocm", "--target", "gfx1032", "--json"]
    argv += ["--source", str(place / "llama.cpp"), "--out", str(place / "dist"), "--build-dir", str(place / "build")]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=os.environ | {"GPUBUILD_DEVICES": "none"}
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture(scope="module")
def site(built: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both wheels, unpacked as pip does it."""
    place = tmp_path_factory.mktemp("site")
    for wheel in built["wheels"]:
        with zipfile.ZipFile(wheel["path"]) as archive:
            archive.extractall(place)
    return place


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A Debian sid with Python, and nothing of ROCm."""
    root = tmp_path_factory.mktemp("fresh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUBUILD_CACHE", str(root / "cache"))
        store = Store(root / "store")
        entry = ensure(pinned(PLAIN, store=store), store=store)
    found = open_sandbox(entry.path)
    assert not [path for path in (Path(found.tree) / "usr/lib").rglob("*") if "amd" in path.name and ".so" in path.name]
    return found


def inside(sandbox: Sandbox, script: str, *shown: Path) -> str:
    argv = sandbox.argv(["/bin/sh", "-c", script], cwd=Path("/"), readable=list(shown))
    return run(argv, env=sandbox.environment({}), timeout_s=300).output


def lib(site: Path) -> Path:
    return site / "gpubuild_llama_rocm7" / "lib"


def test_the_result_says_what_travels_and_why_it_serves(built: dict[str, Any]) -> None:
    found = built["runtime"]
    assert found["mode"] == "bundle"
    assert [(one["target"], one["name"], one["donor"]) for one in found["rungs"]] == [("gfx1032", "sibling", "gfx1030")]
    libraries = {one["soname"]: one for one in found["libraries"]}
    assert {"librocblas.so.4", "libamd_comgr.so.3", "libhsa-runtime64.so.1", "libLLVM.so.21.1"} <= set(libraries)
    assert all(one["package"] and one["version"] and one["licence"] for one in libraries.values())
    assert "libc.so.6" not in libraries
    gone = {one["soname"]: one["needed_by"] for one in found["left_out"]}
    assert {name: gone[name] for name in SPARED} == dict.fromkeys(SPARED, "libLLVM.so.21.1")
    assert not libraries.keys() & {*SPARED, "libtinfo.so.6", "libbsd.so.0"}
    assert libraries["libLLVM.so.21.1"]["changes"][-1] == f"does not need {', '.join(SPARED)}"
    size = sum(one["bytes"] for one in (*found["libraries"], *found["data"]))
    assert size <= 300_000_000


def test_the_wheel_holds_code_for_the_card_alone_and_a_licence_for_each_library(
    built: dict[str, Any], site: Path
) -> None:
    found = inspect(lib(site))
    # libhsa-runtime64 has its trap handlers for every processor in its plain data.
    kernels = [image for file in found.files for image in file.images if image.section or "/rocblas/" in file.path]
    assert {image.target for image in kernels} == {"gfx1032"}
    assert not found.problems
    info = next(path for path in site.glob("*.dist-info") if "rocm" in path.name)
    texts = {path.name for path in (info / "licenses").rglob("*") if path.is_file()}
    assert {one["licence"] for one in built["runtime"]["libraries"]} <= texts
    assert "librocblas.so.4's kernels for gfx1030" in (info / "METADATA").read_text("utf-8")
    backend = next(wheel for wheel in built["wheels"] if wheel["role"] == "backend")
    assert int(backend["tag"].split("_")[2]) >= 38, "AMD's libraries ask for glibc 2.38"


def test_every_rename_is_on_record(built: dict[str, Any]) -> None:
    record = Path(built["runtime"]["root"]).parent / "manifests" / "retarget-gfx1030-gfx1032.json"
    changed = {row.path for row in load(record).files}
    assert "librocblas.so.4" in changed
    assert "rocblas/4.4.1/library/TensileLibrary_lazy_gfx1032.dat" in changed


def test_every_need_taken_off_is_on_record_and_can_be_given_back(built: dict[str, Any], tmp_path: Path) -> None:
    root = Path(built["runtime"]["root"])
    record = msgspec.json.decode((root.parent / "manifests" / "spared-libLLVM.so.21.1.json").read_bytes(), type=Record)
    assert record.without == SPARED
    assert {name.split("_")[0] for name in record.symbols if not name.startswith("xml")} == {"Z3", "el", "history"}
    copy = tmp_path / "libLLVM.so.21.1"
    shutil.copy(root / copy.name, copy)
    undo(copy, record.file)
    assert set(SPARED) <= set(needed(copy))


def test_the_real_rocblas_takes_kernels_made_for_the_processor(built: dict[str, Any]) -> None:
    made = [entry for entry in Store().entries(KIND) if entry.facts.get("name") == "rocm-7.0-sid"]
    toolkit = max(made, key=lambda entry: entry.created)
    proof = loader_proof(Path(built["runtime"]["root"]), ["gfx1032"], sandbox=open_sandbox(toolkit.path))
    assert proof.verdict == "loader-proved", proof.summary
    (rocblas,) = proof.targets[0].exercises
    assert rocblas.tuned
    assert all(one.accepted == one.registered for one in rocblas.fat_binaries)


def test_in_a_debian_without_rocm_everything_resolves(fresh: Sandbox, site: Path) -> None:
    said = inside(fresh, f"for one in '{lib(site)}'/*.so*; do ldd $one || exit 1; done", site)
    assert "not found" not in said
    foreign = [line.split("=>")[1].split()[0] for line in said.splitlines() if "=> /" in line]
    system = {Path(path).name for path in foreign if not path.startswith(str(site))}
    assert system <= {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0"}


@pytest.mark.parametrize("binding", ["", "LD_BIND_NOW=1"])
def test_amds_own_libraries_start_there_and_do_all_that_hip_asks_of_them(
    fresh: Sandbox, site: Path, tmp_path: Path, binding: str
) -> None:
    shutil.copy(START, tmp_path / "start.py")
    said = json.loads(
        inside(fresh, f"{binding} python3 '{tmp_path}/start.py' '{lib(site)}' gfx1032", site, tmp_path).splitlines()[-1]
    )
    assert said["error"] == "hipErrorNoDevice"
    assert said["devices"] == -1
    for compiled in ("opencl", "hip", "hiprtc"):
        assert said[compiled] == {"elf": True, "machine": MACHINE}, compiled
    assert said["packed"]["magic"] == "CCOB"
    assert said["packed"]["unpacked"] > said["packed"]["bytes"]
    assert (said["packed"]["elf"], said["packed"]["machine"]) == (True, MACHINE), "comgr unpacks what was compressed"
    assert said["read"]["isa"] == said["read"]["target"] == "amdgcn-amd-amdhsa--gfx1032"
    assert said["read"]["last"].startswith("Cijk_")
    assert not [path for path in said["loaded"] if Path(path).name in SPARED]
    assert {Path(path).name for path in said["loaded"] if path.startswith(str(site))} >= {
        "librocblas.so.4", "libamdhip64.so.6", "libhsa-runtime64.so.1", "libamd_comgr.so.3", "libLLVM.so.21.1",
    }  # fmt: skip
