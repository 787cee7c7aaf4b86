"""Toolkits, compilers, tools, operating system and limits, on imitated machines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from machines import ImitatedMachine, hanging, printing  # type: ignore[import-not-found]

from buildtool.probe import compilers, programs, system, toolkits
from buildtool.probe.machine import LocalMachine, Output

NVCC_12_0 = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.0, V12.0.140\n"
VERSION_JSON = '{"cuda": {"name": "CUDA SDK", "version": "12.8.1"}, "cuda_cudart": {"name": "x", "version": "12.8.90"}}'


def test_cuda_by_environment_path_and_usual_place_is_one_toolkit() -> None:
    machine = ImitatedMachine(
        files={"/usr/local/cuda-12.8/version.json": VERSION_JSON},
        links={
            "/usr/local/cuda": "/usr/local/cuda-12.8",
            "/usr/bin/nvcc": "/usr/local/cuda-12.8/bin/nvcc",
        },
        programs={"/usr/local/cuda-12.8/bin/nvcc": printing("must not be started"), "/usr/bin/nvcc": printing("")},
        environ={"CUDA_PATH": "/usr/local/cuda-12.8"},
    )
    assert [(t.version, t.path, t.compiler) for t in toolkits.cuda_toolkits(machine)] == [
        ("12.8.1", "/usr/local/cuda-12.8", "/usr/local/cuda-12.8/bin/nvcc")
    ]


def test_a_distribution_nvcc_has_its_root_in_usr() -> None:
    machine = ImitatedMachine(
        files={"/usr/include/cuda_runtime.h": ""}, programs={"/usr/bin/nvcc": printing(NVCC_12_0)}
    )
    assert [(t.version, t.path) for t in toolkits.cuda_toolkits(machine)] == [("12.0.140", "/usr")]


def test_a_toolkit_tells_which_math_libraries_it_lacks() -> None:
    def found(*headers: str) -> list[tuple[str, ...]]:
        files = {"/opt/cuda/version.json": VERSION_JSON, **dict.fromkeys(headers, "")}
        machine = ImitatedMachine(files=files, programs={"/opt/cuda/bin/nvcc": printing(NVCC_12_0)})
        return [one.lacks for one in toolkits.cuda_toolkits(machine)]

    assert found() == [("cuBLAS",)]
    assert found("/opt/cuda/include/cublas_v2.h") == [()]
    assert found("/opt/cuda/targets/x86_64-linux/include/cublas_v2.h") == [()]
    rocm = {"/opt/rocm/.info/version": "6.4.1", "/opt/rocm/include/rocblas/rocblas.h": ""}
    assert [one.lacks for one in toolkits.rocm_toolkits(ImitatedMachine(files=rocm))] == [("hipBLAS",)]


def test_a_wrapper_or_compiler_cache_named_nvcc_is_no_toolkit() -> None:
    wrapper = ImitatedMachine(programs={"/usr/local/bin/nvcc": printing(NVCC_12_0)})
    cache = ImitatedMachine(
        programs={"/usr/lib/ccache/nvcc": printing(NVCC_12_0)}, links={"/usr/lib/ccache/nvcc": "/usr/bin/ccache"}
    )
    assert toolkits.cuda_toolkits(wrapper) == ()
    assert toolkits.cuda_toolkits(cache) == ()


def test_an_nvcc_that_hangs_has_no_version() -> None:
    machine = ImitatedMachine(
        files={"/opt/cuda/bin/nvcc.profile": ""}, programs={"/opt/cuda/bin/nvcc": hanging}, environ={"PATH": ""}
    )
    assert [(t.version, t.path) for t in toolkits.cuda_toolkits(machine)] == [(None, "/opt/cuda")]


def test_rocm_and_the_windows_hip_sdk() -> None:
    linux = ImitatedMachine(
        files={"/opt/rocm-6.4.1/.info/version": "6.4.1-83\n"},
        programs={"/opt/rocm-6.4.1/lib/llvm/bin/clang++": printing("")},
    )
    assert [(t.version, t.compiler) for t in toolkits.rocm_toolkits(linux)] == [
        ("6.4.1", "/opt/rocm-6.4.1/lib/llvm/bin/clang++")
    ]
    root = "C:\\Program Files\\AMD\\ROCm\\6.2"
    windows = ImitatedMachine(
        system="windows",
        programs={
            f"{root}\\bin\\hipconfig.exe": printing("HIP version: 6.2.41512-db3292736\nHIP_PATH: C:\\x\n"),
            f"{root}\\bin\\clang++.exe": printing(""),
        },
        environ={"HIP_PATH": f"{root}\\"},
    )
    assert [(t.version, t.compiler) for t in toolkits.rocm_toolkits(windows)] == [
        ("6.2.41512-db3292736", f"{root}\\bin\\clang++.exe")
    ]


def test_vulkan_by_its_header() -> None:
    header = (
        "#define VK_HEADER_VERSION 313\n"
        "#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, 1, 4, VK_HEADER_VERSION)\n"
    )
    machine = ImitatedMachine(
        files={"/usr/include/vulkan/vulkan_core.h": header}, programs={"/usr/bin/glslc": printing("")}
    )
    assert [(t.version, t.compiler) for t in toolkits.vulkan_toolkits(machine)] == [("1.4.313", "/usr/bin/glslc")]


def gcc(version: str) -> object:
    return lambda argv: Output(
        returncode=0, text=version if "-dumpfullversion" in argv else version.split(".", maxsplit=1)[0]
    )


def clang(version: str) -> object:
    def answer(argv: tuple[str, ...]) -> Output:
        known = "-dumpfullversion" not in argv
        return Output(returncode=int(not known), text=version if known else "error: unknown argument")

    return answer


TWO_LIBRARIES = """\
Debian clang version 21.1.8 (14)
Found candidate GCC installation: /usr/lib/gcc/x86_64-linux-gnu/15
Found candidate GCC installation: /usr/lib/gcc/x86_64-linux-gnu/16
Selected GCC installation: /usr/lib/gcc/x86_64-linux-gnu/16
"""


@pytest.mark.parametrize(
    ("said", "library"),
    [
        (TWO_LIBRARIES, "16"),
        ("clang version 18.1.8\nSelected GCC installation: /usr/lib/gcc/x86_64-redhat-linux/14.2.1\n", "14"),
        ("clang version 18.1.8\nTarget: x86_64-pc-linux-gnu\n", None),
        ("Selected GCC installation: /opt/cross\n", None),
    ],
)
def test_a_clang_tells_whose_c_plus_plus_library_it_takes(said: str, library: str | None) -> None:
    def answer(argv: tuple[str, ...]) -> Output:
        return Output(returncode=0, text=said if "-v" in argv else "18.1.8")

    machine = ImitatedMachine(programs={"/usr/bin/clang++": answer, "/usr/bin/g++": gcc("12.2.0")})
    found, _ = compilers.host_compilers(machine)
    assert [(one.family, one.libstdcxx) for one in found] == [("gcc", None), ("clang", library)]
    told = re.search(r"version ([\d.]+)", said)
    assert found[1].version == (told[1] if told else "18.1.8"), "one answer tells both"


def test_compilers_are_ordered_and_distinct() -> None:
    machine = ImitatedMachine(
        programs={
            "/usr/bin/g++": gcc("12.2.0"),
            "/usr/bin/g++-12": gcc("12.2.0"),
            "/usr/bin/gcc": printing(""),
            "/usr/bin/g++-9": gcc("9.5.0"),
            "/usr/bin/g++-14": gcc("14.2.0"),
            "/usr/bin/clang++-19": clang("19.1.7"),
            "/usr/lib/ccache/g++": printing("must not be started"),
            "/opt/own/bin/c++": clang("17.0.0"),
        },
        links={"/usr/bin/g++": "/usr/bin/g++-12", "/usr/lib/ccache/g++": "/usr/bin/ccache"},
        environ={"CXX": "ccache g++-14 -std=c++17"},
    )
    found, warnings = compilers.host_compilers(machine)
    assert [(c.family, c.version, c.cxx, c.cc) for c in found] == [
        ("gcc", "14.2.0", "/usr/bin/g++-14", None),
        ("gcc", "12.2.0", "/usr/bin/g++", "/usr/bin/gcc"),
        ("clang", "17.0.0", "/opt/own/bin/c++", None),
        ("clang", "19.1.7", "/usr/bin/clang++-19", None),
        ("gcc", "9.5.0", "/usr/bin/g++-9", None),
    ]
    assert warnings == ()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("cmake version 3.31.6-dirty\n", "3.31.6"),
        ("git version 2.39.5 (Apple Git-154)\n", "2.39.5"),
        ("1.12.1.git.kitware.jobserver-1\n", "1.12.1"),
        ("uv 0.9.2 (abc 2026-01-01)\n", "0.9.2"),
        ("no number\n", None),
    ],
)
def test_versions_of_tools(text: str, version: str | None) -> None:
    assert programs.parse_version(text) == version


def test_a_tool_that_fails_keeps_its_place_without_a_version() -> None:
    machine = ImitatedMachine(programs={"/usr/bin/git": hanging, "/usr/bin/docker": printing("must not be started")})
    found, _ = programs.tools(machine)
    assert [(tool.name, tool.version) for tool in found] == [("git", None), ("docker", None)]


def test_the_system_in_wsl_and_in_a_container() -> None:
    release = 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n# comment\n'
    wsl = ImitatedMachine(files={"/etc/os-release": release}, kernel="6.6.87.2-microsoft-standard-WSL2")
    found = system.operating_system(wsl)
    assert (found.id, found.version, found.name, found.wsl, found.container) == (
        "ubuntu",
        "24.04",
        "Ubuntu 24.04.3 LTS",
        True,
        None,
    )
    podman = ImitatedMachine(files={"/etc/os-release": release, "/run/.containerenv": ""})
    assert system.operating_system(podman).container == "podman"
    kubernetes = ImitatedMachine(files={"/proc/1/cgroup": "0::/kubepods/burstable/pod1\n"})
    assert system.operating_system(kubernetes).container == "kubernetes"


def test_control_groups_limit_cpus_and_memory() -> None:
    machine = ImitatedMachine(
        files={
            "/proc/self/cgroup": "0::/user.slice/build\n",
            "/sys/fs/cgroup/user.slice/build/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/user.slice/cpu.max": "250000 100000\n",
            "/sys/fs/cgroup/user.slice/memory.max": f"{4 << 30}\n",
            "/proc/meminfo": "MemTotal:       16384000 kB\n",
        }
    )
    assert system.cpu_limit(machine) == 3
    assert system.memory_limit_mib(machine) == 4096
    assert system.cpu_limit(ImitatedMachine()) == 8
    assert system.memory_limit_mib(ImitatedMachine()) == 16384


GIB = 1 << 30


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"max": "max", "current": f"{GIB}"}, 32),
        ({"max": f"{8 * GIB}", "current": f"{2 * GIB}"}, 6),
        ({"max": f"{8 * GIB}", "current": f"{7 * GIB}", "stat": f"anon {2 * GIB}\ninactive_file {5 * GIB}\n"}, 6),
        ({"max": f"{8 * GIB}", "current": f"{9 * GIB}"}, 0),
        ({"limit_in_bytes": f"{8 * GIB}", "usage_in_bytes": f"{2 * GIB}"}, 6),
    ],
    ids=["nothing told", "no limit", "a limit", "files that were read", "over the limit", "version 1"],
)  # fmt: skip
def test_memory_that_can_be_had_is_the_limit_without_what_programs_use(
    files: dict[str, str], expected: int | None
) -> None:
    folder = "/sys/fs/cgroup/memory/memory" if "limit_in_bytes" in files else "/sys/fs/cgroup/user.slice/memory"
    told = {f"{folder}.{name}": text for name, text in files.items()}
    told["/proc/self/cgroup"] = "0::/user.slice/build\n"
    if files:
        told["/proc/meminfo"] = f"MemTotal: {64 * GIB >> 10} kB\nMemAvailable: {32 * GIB >> 10} kB\n"
    found = system.memory_available_mib(ImitatedMachine(files=told))
    assert found == (None if expected is None else expected * 1024)


def test_musl_is_known_by_its_loader() -> None:
    loader = "/lib/ld-musl-x86_64.so.1"
    machine = ImitatedMachine(
        programs={loader: printing("musl libc (x86_64)\nVersion 1.2.5\nDynamic Program Loader", 1)}
    )
    machine.glibc_version = lambda: None
    libc = system.c_library(machine)
    assert libc is not None
    assert (libc.name, libc.version) == ("musl", "1.2.5")


def test_this_machine_answers_without_an_exception(tmp_path: Path) -> None:
    machine = LocalMachine({"PATH": ""})
    assert machine.read_text("/nowhere/at\0all") is None
    assert machine.list_dir(str(tmp_path / "nowhere")) == ()
    assert machine.which("gcc") is None
    assert machine.run((str(tmp_path / "program"),), 1.0) is None
    assert machine.cpu_count() >= 1
