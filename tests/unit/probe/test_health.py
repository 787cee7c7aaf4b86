"""What the doctor asks of a machine, on imitated machines."""

from __future__ import annotations

from machines import ImitatedMachine, hanging, printing  # type: ignore[import-not-found]

from buildtool.probe.health import Guards, examine
from buildtool.probe.model import Host, OperatingSystem, ToolkitInstall

OS = OperatingSystem(system="linux", machine="x86_64", id="debian", version="13", name="Debian 13", kernel="6.12")
HOST = Host(os=OS, toolkits=(ToolkitInstall(kind="cuda", version="12.9.86", path="/opt/cuda"),))
STATUS = "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t27 44 1000 \n"
GROUPS = "root:x:0:\nvideo:x:44:me\nrender:x:105:\nbroken\n"


def test_modules_nodes_groups_and_variables() -> None:
    machine = ImitatedMachine(
        files={
            "/sys/module/nouveau/refcnt": "1", "/dev/kfd": "", "/dev/dri/renderD128": "", "/dev/dri/card0": "",
            "/proc/self/status": STATUS, "/etc/group": GROUPS,
        },
        environ={"HSA_OVERRIDE_GFX_VERSION": "10.3.0", "HIP_VISIBLE_DEVICES": "", "HOME": "/root"},
        closed=("/dev/kfd",),
    )  # fmt: skip
    found = examine(HOST, machine)
    assert found.modules == ("nouveau",)
    assert found.nodes == {"/dev/kfd": "denied", "/dev/dri/renderD128": "open"}
    assert found.missing_groups == ("render",)
    assert found.environment == {"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}


def test_root_needs_no_group() -> None:
    status = STATUS.replace("1000", "0")
    machine = ImitatedMachine(files={"/proc/self/status": status, "/etc/group": GROUPS})
    assert examine(HOST, machine).missing_groups == ()


def test_the_header_tells_which_glibc_it_is_prepared_for() -> None:
    header = "/opt/cuda/targets/x86_64-linux/include/crt/math_functions.h"
    for text, guards in (
        ("double cospi(double);", (False, False)),
        ("#if __NV_GLIBC_PROVIDES_IEC_60559_FUNCS", (True, False)),
        ("__NV_GLIBC_PROVIDES_IEC_60559_FUNCS _NV_RSQRT_SPECIFIER", (True, True)),
    ):
        found = examine(HOST, ImitatedMachine(files={header: text})).headers
        assert found == (Guards(path="/opt/cuda", glibc_2_41=guards[0], glibc_2_42=guards[1]),)
    assert examine(HOST, ImitatedMachine()).headers == ()


def test_rocm_that_does_not_start_is_quoted() -> None:
    files = {"/dev/kfd": ""}
    line = "hsa api call failure at: /src/rocminfo/rocminfo.cc:1220"
    failing = ImitatedMachine(files=files, programs={"/opt/rocm/bin/rocminfo": printing(line, 1)})
    assert examine(HOST, failing).hsa == line
    working = ImitatedMachine(files=files, programs={"/opt/rocm/bin/rocminfo": printing("Agent 1\n")})
    assert examine(HOST, working).hsa == ""
    unheard = ImitatedMachine(files=files, programs={"/opt/rocm/bin/rocminfo": printing("\nit is broken\n\n", 1)})
    assert examine(HOST, unheard).hsa == "it is broken"
    silent = ImitatedMachine(files=files, programs={"/opt/rocm/bin/rocminfo": printing("", -11)})
    assert examine(HOST, silent).hsa == "it ended with exit code -11"
    slow = ImitatedMachine(files=files, programs={"/opt/rocm/bin/rocminfo": hanging})
    assert "did not answer" in examine(HOST, slow).hsa
    assert examine(HOST, ImitatedMachine(programs={"/opt/rocm/bin/rocminfo": printing(line, 1)})).hsa == ""


def test_windows_has_variables_only() -> None:
    machine = ImitatedMachine(system="windows", environ={"HIP_VISIBLE_DEVICES": "1"})
    assert examine(HOST, machine).environment == {"HIP_VISIBLE_DEVICES": "1"}


def test_this_machine_is_looked_at_without_harm() -> None:
    assert isinstance(examine(HOST).nodes, dict)
