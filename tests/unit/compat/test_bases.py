"""Plans that compile in an old system, so that wheels run on old systems."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from compat_machines import debian

from buildtool.compat import resolve
from buildtool.compat.bases import base_system, base_systems
from buildtool.compat.lock import load_lock, save_lock
from buildtool.compat.model import Plan, Request
from buildtool.compat.parts import plan_of_wheel
from buildtool.compat.tables import cuda_toolkits
from buildtool.errors import IncompatibleError, InvalidInputError
from buildtool.probe.model import ContainerImage, Host, Tool


def machine() -> Host:
    """A Debian 12 that can make and enter a root filesystem."""
    names = ("mmdebstrap", "bwrap")
    return debian(tools=tuple(Tool(name=name, version="1", path=f"/usr/bin/{name}") for name in names))


def plan(**wish: object) -> Plan:
    return resolve(Request(manylinux="2_31", **wish), machine())  # type: ignore[arg-type]


@pytest.mark.parametrize("wish", ["2_31", "2.31", "manylinux_2_31", "MANYLINUX_2_34", "2_40"])
def test_the_newest_system_that_is_old_enough_is_taken(wish: str) -> None:
    assert base_system(wish, "linux-x86_64").glibc == "2.31"


@pytest.mark.parametrize("wish", ["", "new", "2", "2_31_x86_64", "manylinux2014"])
def test_what_names_no_c_library_is_refused(wish: str) -> None:
    with pytest.raises(InvalidInputError, match="names no version"):
        base_system(wish, "linux-x86_64")


def test_an_older_one_than_there_is_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(IncompatibleError) as caught:
        base_system("2_17", "linux-x86_64")
    assert "2_31" in caught.value.hint
    with pytest.raises(IncompatibleError, match="no system"):
        base_system("2_31", "linux-aarch64")


def test_the_plan_uses_the_compiler_inside_and_nothing_of_this_machine() -> None:
    made = plan(backend="cpu")
    assert made.base
    assert made.base.rootfs is not None
    assert (made.base.kind, made.base.version, made.base.rootfs.suites) == ("host", "2.31", ("bullseye",))
    assert made.host_compiler.cxx == "/usr/bin/clang++-16"
    assert made.launchers == ("ccache",)
    assert made.decisions[-1].choice == made.base.rootfs.name
    assert made.digest() != resolve(Request(backend="cpu"), machine()).digest()


def test_cuda_comes_from_wheels_whose_nvcc_takes_the_compiler_inside() -> None:
    made = plan(targets=("sm_90",))
    assert made.toolkit is not None
    assert made.toolkit.provider == "pypi"
    row = next(row for row in cuda_toolkits() if made.toolkit.version.startswith(row.version))
    assert row.clang[0] <= int(made.host_compiler.version) <= row.clang[1]


def test_the_runtime_wheel_keeps_the_system_it_was_compiled_in() -> None:
    made = plan(targets=("sm_90",))
    assert plan_of_wheel(made, made.wheels[0]).base == made.base
    assert plan_of_wheel(made, made.wheels[0]).digest() == plan_of_wheel(plan(backend="cpu"), made.wheels[0]).digest()


def test_a_lock_carries_the_system_and_one_without_is_as_before(tmp_path: Path) -> None:
    made = plan(backend="cpu")
    save_lock(made, tmp_path / "a.lock")
    assert load_lock(tmp_path / "a.lock") == made
    assert b'"base"' not in msgspec.json.encode(resolve(Request(backend="cpu"), machine()))


@pytest.mark.parametrize("backend", ["vulkan", "rocm"])
def test_other_backends_are_refused(backend: str) -> None:
    with pytest.raises(IncompatibleError, match="old system yet"):
        plan(backend=backend, targets=("gfx1032",) if backend == "rocm" else ())


def test_a_machine_without_the_programs_is_told_which() -> None:
    with pytest.raises(IncompatibleError, match="mmdebstrap and bwrap"):
        resolve(Request(backend="cpu", manylinux="2_31"), debian())


def test_an_image_and_an_old_system_exclude_each_other() -> None:
    inside = msgspec.structs.replace(machine(), image=ContainerImage(name="docker://x", id="sha256:" + "a" * 64))
    with pytest.raises(InvalidInputError, match="both name"):
        resolve(Request(backend="cpu", manylinux="2_31"), inside)


def test_every_row_has_its_compiler_among_its_packages() -> None:
    for row in base_systems():
        assert Path(row.compiler.cc).name in row.packages or f"g++-{row.major}" in row.packages
