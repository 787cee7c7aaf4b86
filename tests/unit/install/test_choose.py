from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from compat_machines import amd, debian, driver, nvidia, windows
from index_samples import VERSION, backend, everything, make_wheel, runtime

from buildtool.errors import IncompatibleError, UnknownNameError
from buildtool.index import Catalogue, build_index, yank
from buildtool.install import Choice, Target, choose
from buildtool.install.fits import misfit
from buildtool.probe.model import Device, Host, Libc

TARGET = Target(python="/usr/bin/python3", version="3.11.7")
NEW = (driver("580.95.05", "13.0"),)


def chosen(folder: Path, host: Host, name: str = "auto", *, vulkan: bool = True) -> Choice:
    return choose(build_index((folder,), folder).catalogue, host, TARGET, name, vulkan=vulkan)


def family(choice: Choice) -> tuple[str, tuple[str, ...]]:
    assert choice.backend is not None
    return choice.backend.family, choice.backend.targets


@pytest.mark.parametrize(
    ("devices", "expected"),
    [((nvidia("sm_90"),), ("cuda13", ("sm_89", "sm_90"))), ((nvidia("sm_120"),), ("cuda13", ("sm_120",))),
     ((amd("gfx1032"),), ("rocm7", ("gfx1032",))), ((amd("gfx1100"),), ("vulkan", ())),
     ((nvidia("sm_52"),), ("vulkan", ())), ((Device(vendor="intel", name="Arc", source="lspci"),), ("vulkan", ())),
     ((amd("gfx1032"), nvidia("sm_90")), ("cuda13", ("sm_89", "sm_90")))],
)  # fmt: skip
def test_each_card_gets_the_pair_that_serves_it(
    tmp_path: Path, devices: tuple[Device, ...], expected: tuple[str, tuple[str, ...]]
) -> None:
    choice = chosen(everything(tmp_path), debian(devices=devices, drivers=NEW))
    assert family(choice) == expected
    assert choice.runtime.version == VERSION
    assert len(choice.objections) == 3


def test_without_a_gpu_or_when_asked_for_the_processor_is_used(tmp_path: Path) -> None:
    everything(tmp_path)
    assert chosen(tmp_path, debian()).backend is None
    assert chosen(tmp_path, debian(devices=(nvidia("sm_90"),), drivers=NEW), "cpu").backend is None


def test_a_second_vendors_card_is_not_forgotten(tmp_path: Path) -> None:
    choice = chosen(everything(tmp_path), debian(devices=(amd("gfx1032", "RX 6600"), nvidia("sm_90")), drivers=NEW))
    assert choice.warnings == ("RX 6600 (gfx1032) is not served by this backend.",)
    assert (
        family(chosen(tmp_path, debian(devices=(amd("gfx1032"), nvidia("sm_90")), drivers=NEW), "rocm"))[0] == "rocm7"
    )


def test_code_of_an_older_chip_of_the_major_serves_but_exact_code_is_preferred(tmp_path: Path) -> None:
    runtime(tmp_path)
    backend(tmp_path, "cuda13", ("sm_80",), label="cu130")
    host = debian(devices=(nvidia("sm_86"),), drivers=NEW)
    choice = chosen(tmp_path, host)
    assert family(choice) == ("cuda13", ("sm_80",))
    assert "sm_86 runs its sm_80 code" in choice.reason
    backend(tmp_path, "cuda13", ("sm_86", "sm_90", "sm_120"), label="cu130")
    assert family(chosen(tmp_path, host)) == ("cuda13", ("sm_86", "sm_90", "sm_120"))


def test_family_specific_code_serves_its_chip(tmp_path: Path) -> None:
    runtime(tmp_path)
    backend(tmp_path, "cuda13", ("sm_120a",), label="cu130")
    assert family(chosen(tmp_path, debian(devices=(nvidia("sm_120"),), drivers=NEW))) == ("cuda13", ("sm_120a",))
    with pytest.raises(IncompatibleError):
        chosen(tmp_path, debian(devices=(nvidia("sm_121"),), drivers=NEW))


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"drivers": (driver("550.54.14", "12.4"),)}, "CUDA 13.0 needs NVIDIA driver 580 or newer, this machine has 550"),
     ({"drivers": ()}, "no NVIDIA driver was detected"),
     ({"libc": Libc(name="glibc", version="2.31")}, "it needs glibc 2.34, this machine has 2.31"),
     ({"libc": Libc(name="musl", version="1.2.5")}, "it needs glibc 2.34, this machine has musl"),
     ({"devices": (nvidia("sm_61"),)}, "it has code for sm_120, not for sm_61")],
)  # fmt: skip
def test_what_is_missing_is_said(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    everything(tmp_path)
    host = debian(**({"devices": (nvidia("sm_120"),), "drivers": NEW} | change))
    with pytest.raises(IncompatibleError) as caught:
        chosen(tmp_path, host, "cuda")
    assert any(reason in line for line in caught.value.details), caught.value.details
    assert "gpubuild compile --target" in caught.value.hint


def test_vulkan_needs_its_loader(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError) as caught:
        chosen(everything(tmp_path), debian(devices=(amd("gfx1100"),)), vulkan=False)
    assert any("libvulkan.so.1" in line for line in caught.value.details)


def test_a_withdrawn_wheel_is_not_chosen(tmp_path: Path) -> None:
    build_index((everything(tmp_path),), tmp_path)
    yank(tmp_path, next(tmp_path.glob("*rocm7*.whl")).name, "wrong results")
    host = debian(devices=(amd("gfx1032"),))
    choice = chosen(tmp_path, host)
    assert family(choice)[0] == "vulkan"
    assert any("withdrawn: wrong results" in one.why for one in choice.objections)


def test_a_backend_without_its_own_runtime_is_not_chosen(tmp_path: Path) -> None:
    make_wheel(tmp_path, "gpubuild-llama", "0.4.0+other.portable")
    backend(tmp_path, "vulkan", label="vulkan")
    with pytest.raises(IncompatibleError) as caught:
        chosen(tmp_path, debian(devices=(amd("gfx1100"),)))
    assert any(f"its runtime {VERSION} is not in the index" in line for line in caught.value.details)


def test_wheels_for_other_systems_are_passed_over(tmp_path: Path) -> None:
    runtime(tmp_path, tag="win_amd64")
    with pytest.raises(IncompatibleError) as caught:
        chosen(tmp_path, debian())
    assert "it is for win_amd64, this machine is linux-x86_64" in caught.value.details[0]
    assert chosen(tmp_path, windows()).backend is None


@pytest.mark.parametrize(
    ("tag", "libc", "fits"),
    [("manylinux2014_x86_64", "2.17", True), ("manylinux1_x86_64", "2.36", True), ("linux_x86_64", "2.36", True),
     ("manylinux_2_36_x86_64", "2.36", True), ("manylinux_2_100_x86_64", "2.36", False),
     ("manylinux_2_28_aarch64", "2.36", False), ("any", "2.36", True),
     ("win_amd64", "2.36", False), ("musllinux_1_2_x86_64", "2.36", False)],
)  # fmt: skip
def test_platform_tags(tmp_path: Path, tag: str, libc: str, *, fits: bool) -> None:
    (wheel,) = build_index((runtime(tmp_path, tag=tag).parent,), tmp_path).catalogue.wheels
    assert (misfit(wheel, debian(libc=Libc(name="glibc", version=libc)), "3.11.7") == "") is fits
    assert "needs Python >=3.9" in misfit(wheel, debian(), "3.8.1") or not fits


def test_a_misspelt_backend_says_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        chosen(everything(tmp_path), debian(), "cuda12")
    assert "cuda13" in caught.value.hint
    with pytest.raises(IncompatibleError):
        choose(Catalogue(wheels=()), debian(devices=(nvidia("sm_90"),)), TARGET, "rocm", vulkan=True)


def test_a_requirement_that_is_no_version_is_an_objection(tmp_path: Path) -> None:
    make_wheel(tmp_path, "gpubuild-llama-vulkan", requires=("gpubuild-llama==today",), targets=())
    runtime(tmp_path)
    with pytest.raises(IncompatibleError) as told:
        chosen(tmp_path, debian(devices=(nvidia("sm_90"),), drivers=NEW))
    assert "'today', which is no version" in str(told.value.details)


def test_a_rocm_backend_warns_of_libraries_only_where_it_lacks_them(tmp_path: Path) -> None:
    everything(tmp_path)
    catalogue = build_index((tmp_path,), tmp_path).catalogue
    host = debian(devices=(amd("gfx1032"),))
    assert any("ROCm's own libraries" in one for one in choose(catalogue, host, TARGET, vulkan=True).warnings)
    inside = tuple(msgspec.structs.replace(wheel, bundled=wheel.role == "backend") for wheel in catalogue.wheels)
    assert not choose(Catalogue(wheels=inside), host, TARGET, vulkan=True).warnings


def test_of_two_that_serve_equally_the_newer_is_chosen(tmp_path: Path) -> None:
    """Newer is said by llama.cpp's version, which is in the local part; the targets behind it say nothing of age."""
    newer = VERSION.replace("0.3.36", "0.3.40")
    make_wheel(tmp_path, "gpubuild-llama", newer)
    runtime(tmp_path)
    make_wheel(
        tmp_path, "gpubuild-llama-cuda13", f"{newer}.cu130.sm120.sm90", targets=("sm_120", "sm_90"),
        requires=(f"gpubuild-llama=={newer}",), content="larger" * 1000,
    )  # fmt: skip
    backend(tmp_path, "cuda13", ("sm_90",), label="cu130")
    host = debian(devices=(nvidia("sm_90"),), drivers=NEW)
    assert chosen(tmp_path, host).runtime.version == newer
    backend(tmp_path, "cuda13", ("sm_89", "sm_90"), label="cu130")
    next(tmp_path.glob("*sm120*.whl")).unlink()
    assert family(chosen(tmp_path, host)) == ("cuda13", ("sm_90",))


def test_requirements_of_thousands_of_digits_are_objections(tmp_path: Path) -> None:
    catalogue = build_index((everything(tmp_path),), tmp_path).catalogue
    host = debian(devices=(amd("gfx1100"),))
    digits = "9" * 5000
    changes: list[dict[str, Any]] = [{"requires": (f"gpubuild-llama=={digits}",)}, {"requires_python": f">={digits}"}]
    for change in changes:
        odd = tuple(
            msgspec.structs.replace(wheel, **change) if wheel.role == "backend" else wheel for wheel in catalogue.wheels
        )
        with pytest.raises(IncompatibleError):
            choose(Catalogue(wheels=odd), host, TARGET, vulkan=True)
