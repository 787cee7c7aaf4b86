from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildtool.verify.parse_ops import accepts_workers, parse_ops

GREEN, RED, END = "\x1b[1;32m", "\x1b[1;31m", "\x1b[0m"

CUDA_WITH_FAILURE = f"""\
ggml_cuda_init: found 1 CUDA devices (Total VRAM: 81079 MiB):
  Device 0: NVIDIA H100 80GB HBM3, compute capability 9.0, VMM: yes, VRAM: 81079 MiB
Testing 2 devices

Backend 1/2: CUDA0
  Device description: NVIDIA H100 80GB HBM3
  Device memory: 81079 MB (80500 MB free)

  ADD(type=f32,ne=[1,1,8,1],nr=[1,1,1,1],nf=1): {GREEN}OK{END}
  ADD(type=bf16,ne=[1,1,8,1],nr=[1,1,1,1],nf=1): not supported [CUDA0]
  MUL_MAT(type_a=q4_0,type_b=f32,m=16,n=1,k=256): [MUL_MAT] ERR = 0.000700000 > 0.000500000 {RED}FAIL{END}
  2/3 tests passed

Failing tests:
  MUL_MAT(type_a=q4_0,type_b=f32,m=16,n=1,k=256)
  Backend CUDA0: {RED}FAIL{END}
Backend 2/2: CPU
  Skipping
1/2 backends passed
{RED}FAIL{END}
"""


def test_counts_failures_and_what_is_not_supported() -> None:
    output = parse_ops(CUDA_WITH_FAILURE)
    device = output.device("CUDA0")
    assert output.complete
    assert device is not None
    assert (device.passed, device.total, device.unsupported) == (2, 3, 1)
    assert device.failing == ("MUL_MAT(type_a=q4_0,type_b=f32,m=16,n=1,k=256)",)
    assert device.status == "FAIL"
    assert device.description == "NVIDIA H100 80GB HBM3"


def test_a_filtered_device_is_skipped_not_passed() -> None:
    device = parse_ops(CUDA_WITH_FAILURE).device("CPU")
    assert device is not None
    assert device.skipped
    assert device.total is None


def test_a_crash_keeps_the_last_case_and_is_not_complete() -> None:
    died = CUDA_WITH_FAILURE.partition("  2/3 tests passed")[0] + "CUDA error: an illegal memory access\n"
    output = parse_ops(died)
    assert not output.complete
    assert output.devices[0].last_case == "MUL_MAT(type_a=q4_0,type_b=f32,m=16,n=1,k=256)"
    assert output.devices[0].total is None


def test_workers_are_used_only_where_the_program_knows_them() -> None:
    assert accepts_workers("  -j <n>                      run tests using <n> parallel worker threads\n")
    assert not accepts_workers("  -p <params regex>           filter test cases\n")


_CASES = st.from_regex(r"[A-Z][A-Z_]{0,10}\(type=[a-z0-9]{1,4},ne=\[[0-9]{1,3},[0-9]{1,3}\]\)", fullmatch=True)


@given(
    failing=st.lists(_CASES, max_size=5, unique=True),
    passed=st.integers(0, 99_999),
    unsupported=st.lists(_CASES, max_size=5),
    noise=st.lists(st.sampled_from(["CUDA note", "", "warning: x", "  Device 0: y"]), max_size=3),
)
def test_whatever_is_printed_is_read_back(
    failing: list[str], passed: int, unsupported: list[str], noise: list[str]
) -> None:
    total = passed + len(failing)
    lines = ["Testing 1 devices", "", "Backend 1/1: ROCm1", *noise]
    lines += [f"  {case}: not supported [ROCm1]" for case in unsupported]
    lines += [f"  {passed}/{total} tests passed"]
    lines += ["", "Failing tests:", *(f"  {case}" for case in failing)] if failing else []
    lines += [f"  Backend ROCm1: {RED}FAIL{END}" if failing else f"  Backend ROCm1: {GREEN}OK{END}"]
    lines += ["0/1 backends passed" if failing else "1/1 backends passed"]
    device = parse_ops("\n".join(lines)).device("ROCm1")
    assert device is not None
    assert (device.passed, device.total) == (passed, total)
    assert device.failing == tuple(failing)
    assert device.unsupported == len(unsupported)
    assert device.status == ("FAIL" if failing else "OK")


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    assert parse_ops(text).devices == () or "Backend" in text
