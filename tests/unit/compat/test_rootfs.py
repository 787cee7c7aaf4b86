"""When a toolkit is a root filesystem, and when it is not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from compat_machines import cuda, debian, driver, gcc, nvidia, rocm

from buildtool.compat import resolve
from buildtool.compat.model import Plan, Request
from buildtool.compat.refusal import InstallFirstError
from buildtool.compat.rootfs import rootfs_row, rootfs_rows
from buildtool.compat.tables import cuda_toolkits
from buildtool.errors import GpubuildError, IncompatibleError
from buildtool.probe.model import Host, Libc, Tool, ToolkitInstall

TOOLS = tuple(Tool(name=name, version=None, path=f"/usr/bin/{name}") for name in ("mmdebstrap", "bwrap"))


def able(**changes: Any) -> Host:
    return debian(**({"tools": TOOLS} | changes))


def plan(host: Host, **wish: Any) -> Plan:
    return resolve(Request(**wish), host)


def origin(found: Plan) -> str:
    assert found.toolkit is not None
    return found.toolkit.rootfs.name if found.toolkit.rootfs is not None else found.toolkit.provider


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ({"add_targets": ("gfx1032",)}, "rocm-7.0-sid"),
        ({"add_targets": ("gfx1032",), "toolkit": "rocm==7.2"}, "rocm-7.2-experimental"),
        ({"targets": ("sm_35", "sm_37", "sm_50", "sm_52"), "toolkit": "cuda==11.8"}, "cuda-11.8-bookworm"),
        ({"targets": ("sm_35",)}, "cuda-11.8-bookworm"),
        ({"targets": ("sm_61", "sm_70"), "toolkit": "cuda==12.4"}, "cuda-12.4-trixie"),
        ({"targets": ("sm_90",)}, "pypi"),
        ({"targets": ("sm_75",), "toolkit": "cuda==12.*"}, "cuda-12.4-trixie"),
    ],
)
def test_a_root_filesystem_serves_what_no_registry_does(wish: dict[str, Any], name: str) -> None:
    assert origin(plan(able(), **wish)) == name


def test_the_plan_says_everything_that_makes_it() -> None:
    found = plan(able(), add_targets=("gfx1032",))
    row = rootfs_row("rocm-7.0-sid")
    assert row is not None
    assert found.toolkit is not None
    assert found.toolkit.rootfs is not None
    assert (found.toolkit.rootfs.suites, found.toolkit.rootfs.architecture) == (("sid",), "amd64")
    assert set(row.packages) == set(found.toolkit.rootfs.packages)
    assert found.host_compiler.cxx == "/usr/bin/g++-16"
    assert found.launchers == ("ccache",)
    decisions = {one.rule: one for one in found.decisions}
    assert "private root filesystem of Debian sid" in decisions["toolkit-rootfs"].choice
    assert "gfx1032" in decisions["rocblas-kernels"].reason
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found


def test_an_installed_toolkit_comes_first() -> None:
    assert origin(plan(able(toolkits=(rocm("6.4.1"),)), add_targets=("gfx1032",))) == "system"
    assert origin(plan(able(toolkits=(cuda("11.8.89"),), host_compilers=(gcc(11),)), targets=("sm_35",))) == "system"


@pytest.mark.parametrize("present", [(), TOOLS[:1], TOOLS[1:]])
def test_without_its_programs_the_refusal_says_what_installing_them_would_bring(present: tuple[Tool, ...]) -> None:
    with pytest.raises(InstallFirstError) as caught:
        plan(debian(tools=present), add_targets=("gfx1032",))
    (line,) = [line for line in caught.value.details if "private root filesystem" in line]
    assert "ROCm 7.0 or ROCm 7.2" in line
    assert ("mmdebstrap" in line) == (TOOLS[0] not in present)
    assert ("bubblewrap" in line) == (TOOLS[1] not in present)


def test_nothing_is_promised_that_a_root_filesystem_cannot_do() -> None:
    for host in (debian(), able()):
        with pytest.raises(GpubuildError) as caught:
            plan(host, targets=("sm_30",))
        assert isinstance(caught.value, IncompatibleError)
        assert not any("root filesystem" in line for line in caught.value.details)


def test_the_rocm_of_a_root_filesystem_travels_unless_the_wish_is_another() -> None:
    assert plan(able(), add_targets=("gfx1032",)).runtime == "bundle"
    assert plan(able(), add_targets=("gfx1032",), runtime="bundle").runtime == "bundle"
    assert plan(able(), add_targets=("gfx1032",), runtime="system").runtime == "system"
    installed = able(toolkits=(rocm("7.0.2"),))
    assert plan(installed, add_targets=("gfx1032",)).runtime == "system"
    assert plan(installed, add_targets=("gfx1032",), runtime="bundle").runtime == "bundle"


def test_the_plan_says_whose_kernels_travel() -> None:
    decisions = {one.rule: one for one in plan(able(), add_targets=("gfx1032",)).decisions}
    assert "gfx1032 takes those of gfx1030" in decisions["rocblas-kernels"].reason
    assert "copied into the wheel" in decisions["runtime"].reason


def test_kernels_that_travel_must_fit() -> None:
    with pytest.raises(IncompatibleError) as caught:
        plan(able(), targets=("gfx1103",), toolkit="rocm==7.0")
    assert "none for gfx1103" in caught.value.why
    assert plan(able(), targets=("gfx1103",), toolkit="rocm==7.0", runtime="system").runtime == "system"


@pytest.mark.parametrize("targets", [("gfx1030", "gfx1032"), ("gfx1031", "gfx1032", "gfx1100")])
def test_one_wheel_does_not_hold_the_same_kernels_under_two_names(targets: tuple[str, ...]) -> None:
    with pytest.raises(IncompatibleError, match="cannot serve") as caught:
        plan(able(), targets=targets)
    assert f"--target {targets[0]}, --target gfx1032" in caught.value.hint
    assert plan(able(), targets=targets, runtime="system").targets == targets
    assert plan(able(), targets=("gfx1032", "gfx1100")).runtime == "bundle"
    assert plan(able(), targets=("gfx90a:xnack+", "gfx90a:xnack-")).runtime == "bundle"


def test_upstreams_whole_list_holds_the_targets_that_one_bundle_can() -> None:
    listed = plan(able(), backend="rocm", base="recipe", toolkit="rocm==7.0").targets
    assert "gfx1030" in listed
    assert not {"gfx1031", "gfx1032", "gfx1201"} & set(listed)
    assert "gfx1201" in plan(able(), backend="rocm", base="recipe", toolkit="rocm==7.0", runtime="system").targets


def test_of_cuda_the_vendors_own_wheels_travel() -> None:
    with pytest.raises(GpubuildError):
        plan(able(), targets=("sm_35",), runtime="bundle")


def test_its_own_c_library_and_compiler_count_and_not_the_machines() -> None:
    musl = able(libc=Libc(name="musl", version="1.2.5"), host_compilers=())
    assert origin(plan(musl, targets=("sm_61",), toolkit="cuda==12.4")) == "cuda-12.4-trixie"


def test_the_machines_driver_still_counts() -> None:
    old = able(devices=(nvidia("sm_61"),), drivers=(driver("470.256.02", "11.4"),))
    assert origin(plan(old)) == "cuda-11.8-bookworm"
    with pytest.raises(GpubuildError):
        plan(old, targets=("sm_61",), toolkit="cuda==12.4")


def test_every_row_holds_together() -> None:
    rows = rootfs_rows()
    assert len({row.name for row in rows}) == len(rows)
    limits = {row.version: row.gcc for row in cuda_toolkits()}
    for row in rows:
        assert row.version in row.name
        assert row.suites[-1] in row.name
        assert bool(row.prefer) == (len(row.suites) > 1)
        assert "dash" in row.packages
        assert 0 < row.download < row.unpacked
        if row.kind == "vulkan":
            assert row.compiler is None
            assert "ccache" not in row.packages, "nothing compiles inside"
            continue
        assert "ccache" in row.packages
        if row.kind == "cuda":
            assert limits[row.version][0] <= row.gcc <= limits[row.version][1]
            assert f"g++-{row.gcc}" in row.packages
        else:
            assert row.llvm


MAKER = TOOLS[:1]


def vulkan(version: str | None, *lacks: str) -> ToolkitInstall:
    return ToolkitInstall(kind="vulkan", version=version, path="/usr", compiler="/usr/bin/glslc", lacks=lacks)


def test_vulkan_needs_no_entrance_and_uses_this_machines_compiler() -> None:
    found = plan(debian(tools=MAKER), backend="vulkan")
    assert origin(found) == "vulkan-1.4.309-trixie"
    assert found.host_compiler.cxx == "/usr/bin/g++-12"
    assert found.launchers == ("sccache", "ccache")
    (decision,) = [one for one in found.decisions if one.rule == "toolkit-rootfs"]
    assert "this machine's own C++ compiler" in decision.reason
    newer = plan(debian(tools=MAKER), backend="vulkan", toolkit="vulkan>=1.4.310")
    assert origin(newer) == "vulkan-1.4.363-sid"


@pytest.mark.parametrize(
    ("installed", "where"),
    [
        (vulkan("1.3.239"), "vulkan-1.4.309-trixie"),
        (vulkan("1.4.309", "SPIRV-Headers"), "vulkan-1.4.309-trixie"),
        (vulkan("1.3.275"), "system"),
        (vulkan(None), "system"),
    ],
)
def test_an_installed_vulkan_is_used_when_it_is_new_enough_and_whole(installed: ToolkitInstall, where: str) -> None:
    assert origin(plan(debian(tools=MAKER, toolkits=(installed,)), backend="vulkan")) == where


def test_an_old_vulkan_still_builds_an_old_source() -> None:
    found = plan(debian(toolkits=(vulkan("1.3.239"),)), backend="vulkan")
    assert origin(found) == "system"
    assert found.source.name == "llama-cpp-python-0.3.16"


@pytest.mark.parametrize(("version", "command"), [("12", "mmdebstrap"), ("13", "libvulkan-dev")])
def test_where_vulkan_is_missing_the_step_that_helps_is_named(version: str, command: str) -> None:
    with pytest.raises(InstallFirstError) as caught:
        plan(debian(version), backend="vulkan")
    assert command in caught.value.hint
    assert any("gpubuild makes Vulkan 1.4.309" in line for line in caught.value.details)
