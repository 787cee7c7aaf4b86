"""The imitated HIP runtime, compiled: it takes and refuses code as the real loader, and tells what it was given."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import codeobj_samples as samples
import pytest
import rig_samples as rigs
from rig_samples import GFX10_3, GFX90A, GFX1030, GFX1032

from buildtool.store.entries import Store
from buildtool.verify.rig import LoaderProof, loader_proof
from buildtool.verify.rig.compile import Rig, build
from buildtool.verify.rig.devices import Device, configuration, device_for
from buildtool.verify.rig.libraries import Libraries

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("g++"), reason="needs Linux and g++"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("a store é"))


@pytest.fixture(scope="module")
def rig(store: Store) -> Rig:
    libraries = Libraries(
        directory=Path(), rocblas=None, module=None, base=None, search=(), runtime=rigs.RUNTIME, imports=()
    )
    return build(libraries, store=store)


# Loads images in a process of its own, which is one device's world, and prints HIP's answer to each.
LOADER = """
import ctypes, sys
hip = ctypes.CDLL(sys.argv[1])
for name in sys.argv[2:]:
    image = ctypes.create_string_buffer(open(name, "rb").read() + bytes(64))
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    answer = hip.hipModuleLoadData(ctypes.byref(module), image)
    if not answer:
        answer = hip.hipModuleGetFunction(ctypes.byref(function), module, b"scale")
    print(answer)
"""


def answers(rig: Rig, folder: Path, device: str | Device, *images: bytes) -> tuple[list[int], list[dict[str, object]]]:
    """Give images to the loader of one device: its answers (0, 209 no binary, 200 invalid), and the record."""
    log, config = folder / "log.jsonl", folder / "rig.conf"
    log.unlink(missing_ok=True)
    target = device if isinstance(device, Device) else device_for(device)
    config.write_text(configuration([target], log, 6))
    names = []
    for number, image in enumerate(images):
        (folder / f"image{number}").write_bytes(image)
        names.append(str(folder / f"image{number}"))
    argv = [sys.executable, "-c", LOADER, str(rig.runtime), *names]
    done = subprocess.run(argv, env={"GPUBUILD_RIG": str(config)}, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()], [json.loads(line) for line in log.read_text().splitlines()]


def test_code_is_taken_only_for_exactly_the_processor(rig: Rig, tmp_path: Path) -> None:
    right, wrong = (rigs.code_object(mach, ("scale",)) for mach in (GFX1032, GFX1030))
    got, record = answers(rig, tmp_path, "gfx1032", right, wrong)
    assert got == [0, 209]
    modules = [event for event in record if event["event"] == "module"]
    assert [event["target"] for event in modules] == ["gfx1032", "gfx1030"]
    assert modules[1]["reason"] == "its e_flags name gfx1030, the device is gfx1032"


def test_a_bundle_is_chosen_from_by_its_ids_and_then_believed_only_by_its_e_flags(rig: Rig, tmp_path: Path) -> None:
    both = rigs.fat_binary(("gfx1030", GFX1030), ("gfx1032", GFX1032))
    none = rigs.fat_binary(("gfx1030", GFX1030))
    lying = rigs.fat_binary(("gfx1032", GFX1030))  # what a rename without the machine number leaves
    unnamed = rigs.fat_binary(("gfx1030", GFX1032))  # and the other way round
    got, record = answers(rig, tmp_path, "gfx1032", both, none, lying, unnamed)
    assert got == [0, 209, 209, 209]
    modules = [event for event in record if event["event"] == "module"]
    assert modules[0]["chosen"] == samples.hip_id("gfx1032")
    assert modules[1]["reason"] == "the bundle has no entry for gfx1032"
    assert "e_flags name gfx1030" in str(modules[2]["reason"])


@pytest.mark.parametrize("method", ["zlib", "zstd"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_compressed_bundles_are_unpacked_when_they_are_loaded(
    rig: Rig, tmp_path: Path, method: str, version: int
) -> None:
    whole = samples.ccob(rigs.fat_binary(("gfx1030", GFX1030), ("gfx1032", GFX1032)), version, method)
    other = samples.ccob(rigs.fat_binary(("gfx1030", GFX1030)), version, method)
    damaged = bytearray(whole)
    damaged[-8:] = bytes(8)  # the end of the stream, or its checksum
    got, record = answers(rig, tmp_path, "gfx1032", whole, other, bytes(damaged))
    if version == 1:  # says nowhere how long it is, and HIP's interface does not either
        assert got == [209, 209, 209]
        return
    assert got == [0, 209, 209]
    assert record[0]["format"] == "ccob"
    assert record[0]["target"] == "gfx1032"


def test_features_must_be_as_the_code_wants_them(rig: Rig, tmp_path: Path) -> None:
    def code(xnack: int, sramecc: int, version: int = 5) -> bytes:
        return rigs.code_object(GFX90A, ("scale",), xnack | sramecc << 2, version=version)

    either, off, on = 1, 2, 3
    images = (code(either, either), code(off, on), code(on, on), code(off, off), code(0, 0, version=3))
    assert answers(rig, tmp_path, "gfx90a:sramecc+:xnack-", *images)[0] == [0, 0, 209, 209, 209]
    assert answers(rig, tmp_path, "gfx90a:sramecc-:xnack-", *images)[0] == [0, 209, 209, 0, 0]
    named = samples.bundle(
        [(samples.hip_id("gfx90a:xnack+"), code(on, either)), (samples.hip_id("gfx90a:xnack-"), code(off, either))]
    )
    _, record = answers(rig, tmp_path, "gfx90a", named)
    assert record[0]["chosen"] == samples.hip_id("gfx90a:xnack-")


def test_generic_code_serves_its_processors_from_its_first_version_on(rig: Rig, tmp_path: Path) -> None:
    generic = rigs.code_object(GFX10_3, ("scale",), version=6, generic=1)
    old = rigs.code_object(GFX10_3, ("scale",), version=6, generic=0)
    only = samples.bundle([(samples.hip_id("gfx10-3-generic"), generic)])
    both = samples.bundle(
        [
            (samples.hip_id("gfx10-3-generic"), generic),
            (samples.hip_id("gfx1032"), rigs.code_object(GFX1032, ("scale",))),
        ]
    )
    got, record = answers(rig, tmp_path, "gfx1032", generic, old, only, both)
    assert got == [0, 209, 0, 0]
    assert [event["chosen"] for event in record if event["event"] == "module"][2:] == [
        samples.hip_id("gfx10-3-generic"),
        samples.hip_id("gfx1032"),
    ]
    assert answers(rig, tmp_path, "gfx1100", generic, only)[0] == [209, 209]


def test_what_is_no_device_code_is_refused_without_a_crash(rig: Rig, tmp_path: Path) -> None:
    whole = rigs.fat_binary(("gfx1032", GFX1032))
    liar = bytearray(whole)
    liar[24:32] = b"\xff" * 8  # as many entries
    foreign = samples.library({".text": b"code"})
    old = samples.code_object(GFX1032, version=2)
    got, _ = answers(rig, tmp_path, "gfx1032", b"", b"MZ", bytes(liar), foreign, old, b"CCOB\x09\0\x09\0" + bytes(64))
    assert got[0] == got[1] == 200
    assert all(got)


ASKER = """
import ctypes, sys
hip = ctypes.CDLL(sys.argv[1])
count, free, total = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_size_t()
assert hip.hipGetDeviceCount(ctypes.byref(count)) == 0
for number in range(count.value):
    properties, pointer = ctypes.create_string_buffer(1472), ctypes.c_void_p()
    assert hip.hipSetDevice(number) == 0
    assert hip.hipGetDevicePropertiesR0600(properties, number) == 0
    assert hip.hipMalloc(ctypes.byref(pointer), ctypes.c_size_t(1 << 20)) == 0
    assert hip.hipMemGetInfo(ctypes.byref(free), ctypes.byref(total)) == 0
    print(properties.raw[1160:].split(b"\\0")[0].decode(), total.value, total.value - free.value)
    assert hip.hipMalloc(ctypes.byref(pointer), ctypes.c_size_t(total.value)) == 2
assert hip.hipSetDevice(count.value) == 101
"""


def test_several_devices_are_reported_as_they_were_chosen(rig: Rig, tmp_path: Path) -> None:
    devices = [device_for("gfx1032"), Device(target="gfx90a:sramecc+:xnack-", memory=64 << 30)]
    (tmp_path / "rig.conf").write_text(configuration(devices, tmp_path / "log", 6))
    argv = [sys.executable, "-c", ASKER, str(rig.runtime)]
    env = {"GPUBUILD_RIG": str(tmp_path / "rig.conf")}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"gfx1032 {8 << 30} {1 << 20}",
        f"gfx90a:sramecc+:xnack- {64 << 30} {1 << 20}",
    ]


def test_a_fat_library_is_proved_up_to_the_launch(store: Store, tmp_path: Path) -> None:
    fat = rigs.fat_binary(("gfx1030", GFX1030))
    folder = rigs.fake_rocblas(tmp_path / "with a space", fat, rigs.tensile("gfx1030", GFX1030), new_function=True)
    proof = loader_proof(folder, ["gfx1030", "gfx1032"], store=store)
    good, bad = proof.targets
    assert (proof.verdict, good.verdict, bad.verdict) == ("failed", "loader-proved", "failed")
    (exercise,) = good.exercises
    assert exercise.launches == ("scale", "SS", "HH")
    assert exercise.files[:2] == ("TensileLibrary_lazy_gfx1030.dat", "TensileLibrary_Type_SS_gfx1030.co")
    assert [row.target for row in exercise.code_objects] == ["gfx1030"] * 6
    assert (exercise.fat_binaries[0].registered, exercise.fat_binaries[0].accepted) == (1, 1)
    assert exercise.absent == ("hipSomethingNew",)
    assert "GPU arch : gfx1032" in bad.exercises[0].summary
    assert bad.exercises[0].fat_binaries[0].reason == "the bundle has no entry for gfx1032"


def test_a_library_whose_files_were_renamed_but_not_its_code_fails(store: Store, tmp_path: Path) -> None:
    files = {name.replace("gfx1030", "gfx1032"): data for name, data in rigs.tensile("gfx1030", GFX1030).items()}
    folder = rigs.fake_rocblas(tmp_path / "renamed", rigs.fat_binary(("gfx1032", GFX1032)), files)
    proof = loader_proof(folder, ["gfx1032"], store=store)
    assert proof.verdict == "failed"
    assert "rocblas_sgemm answered 3" in proof.summary
    assert not any(row.accepted for row in proof.targets[0].exercises[0].code_objects)


def test_retargeting_makes_it_pass(store: Store, tmp_path: Path) -> None:
    from buildtool.codeobj import retarget

    fat = rigs.fat_binary(("gfx1030", GFX1030))
    folder = rigs.fake_rocblas(tmp_path / "stock", fat, rigs.tensile("gfx1030", GFX1030))
    assert loader_proof(folder, ["gfx1032"], store=store).verdict == "failed"
    retarget(folder, "gfx1030", "gfx1032", tmp_path / "moved", thinned=False)
    proof: LoaderProof = loader_proof(tmp_path / "moved", ["gfx1032"], store=store)
    assert proof.verdict == "loader-proved", proof.summary
    assert {row.target for row in proof.targets[0].exercises[0].code_objects} == {"gfx1032"}
