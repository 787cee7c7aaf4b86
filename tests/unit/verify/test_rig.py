"""The loader proof without a compiler: devices, what is generated, and what a record amounts to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildtool.errors import InvalidInputError, UnknownNameError, VerificationError
from buildtool.process import Completed
from buildtool.verify.loading import Exercise, overall
from buildtool.verify.rig import LABEL, record
from buildtool.verify.rig.compile import absent_functions, implemented, version_script
from buildtool.verify.rig.devices import Device, configuration, device_for
from buildtool.verify.rig.judge import judge
from buildtool.verify.rig.libraries import find
from buildtool.verify.rig.run import Ran


@pytest.mark.parametrize(
    ("target", "reported"),
    [
        ("gfx1032", "gfx1032"),
        ("gfx90a", "gfx90a:sramecc+:xnack-"),
        ("gfx90a:xnack+", "gfx90a:sramecc+:xnack+"),
        ("gfx906:sramecc-", "gfx906:sramecc-:xnack-"),
        ("gfx900", "gfx900:xnack-"),
        ("gfx10-3-generic", "gfx1030"),
    ],
)
def test_a_device_reports_every_feature_that_its_processor_has(target: str, reported: str) -> None:
    assert device_for(target).target == reported


@pytest.mark.parametrize("target", ["gfx9999", "nonsense"])
def test_nobody_imitates_an_unknown_device(target: str) -> None:
    with pytest.raises(UnknownNameError):
        device_for(target)


@pytest.mark.parametrize("target", ["sm_90", "gfx103X"])
def test_only_one_amd_device_is_imitated_at_a_time(target: str) -> None:
    with pytest.raises(InvalidInputError):
        device_for(target)


def test_the_configuration_holds_all_devices_in_order_and_the_loaders_facts() -> None:
    devices = [device_for("gfx1032"), Device(target="gfx90a:sramecc+:xnack-", name="MI210", memory=64, units=104)]
    rows = [line.split("\t") for line in configuration(devices, Path("/a b/log"), 6).splitlines()]
    assert ["log", "/a b/log"] in rows
    assert ["runtime", "60000000"] in rows
    assert ["machine", "56", "gfx1032", "0", "0"] in rows
    assert ["machine", "63", "gfx90a", "1", "1"] in rows
    assert ["generic", "gfx10-3-generic", "1"] in rows
    first, second = (row for row in rows if row[0] == "device")
    assert (first[1], first[2], first[6:]) == ("gfx1032", "gfx10-3-generic", ["32", "10", "3"])
    assert second[1:] == ["gfx90a:sramecc+:xnack-", "", "MI210", "64", "104", "64", "9", "0"]


def test_the_sources_define_what_rocblas_and_ggml_import() -> None:
    """The imports of Debian's librocblas 4.4.1 and libggml-hip 0.27, beside the ones that only answer."""
    imports = json.loads((Path(__file__).parent / "hip_imports.json").read_text())
    assert set(imports) <= implemented()


def test_what_is_imported_and_not_imitated_gets_a_function_that_tells() -> None:
    text = absent_functions((("hipMalloc", "hip_4.2"), ("hipMemCreate", "hip_4.5"), ("hipMemCreate", "")))
    assert text.count("RIG_API hipError_t hipMemCreate()") == 1
    assert "hipMalloc" not in text


def test_every_symbol_version_that_a_library_may_ask_for_is_declared() -> None:
    script = version_script((("hipB", "hip_4.2"), ("hipC", "hip_99.1"), ("hipD", "")))
    assert {"hip_4.2 { };", "hip_6.0 { };", "hip_99.1 { };"} <= set(script.splitlines())


def fat(library: str = "librocblas.so.4", *, accepted: bool = True) -> record.FatBinaryEvent:
    return record.FatBinaryEvent(
        library=f"/x/{library}",
        device=0,
        format="bundle",
        entries=(),
        chosen="",
        target="gfx1032",
        accepted=accepted,
        reason="" if accepted else "the bundle has no entry for gfx1032",
    )


def launch(kernel: str) -> record.LaunchEvent:
    return record.LaunchEvent(
        kernel=kernel, target="gfx1032", library="", groups=("1", "1", "1"), block=("64", "1", "1"), shared=0
    )


def ran(*events: record.Event, output: str = "", code: int = 0, timed_out: bool = False) -> Exercise:
    done = Completed(argv=("gemm",), returncode=code, output=output, timed_out=timed_out)
    return judge("rocblas", Ran(completed=done, events=events))


OK = '{"call":"rocblas_sgemm","status":0}\n'


def test_calls_that_succeed_code_that_is_taken_and_kernels_that_are_launched_are_a_proof() -> None:
    opened = [
        record.OpenEvent(path=f"/x/{name}", opened=True)
        for name in ("TensileLibrary_lazy_gfx1032.dat", "TensileLibrary_Type_SS_Contraction_l_fallback.dat")
    ]
    found = ran(fat(), fat(), *opened, launch("k"), launch("k"), output=OK + "a warning\n")
    assert (found.verdict, found.launches, found.tuned) == ("loader-proved", ("k",), False)
    assert (found.fat_binaries[0].registered, found.fat_binaries[0].accepted) == (2, 2)
    assert found.output == ("a warning",)
    own = record.OpenEvent(path="/x/TensileLibrary_Type_SS_Contraction_l_gfx1032.dat", opened=True)
    assert ran(*opened, own, launch("k"), output=OK).tuned is True


@pytest.mark.parametrize(
    ("events", "output", "code", "words"),
    [
        ([fat(), fat(accepted=False), launch("k")], OK, 0, "1 of 2 fat binaries of librocblas.so.4: the bundle has no"),
        ([launch("k")], OK.replace("0}", "6}"), 0, "rocblas_sgemm answered 6"),
        (
            [launch("k")],
            OK + "rocBLAS error: Cannot read\n",
            134,
            "an abort after rocblas_sgemm: rocBLAS error: Cannot",
        ),
        ([launch("k")], OK, -11, "it ended with a crash"),
        ([], "libx.so.1: undefined symbol: hipNew\n", 3, "libx.so.1: undefined symbol: hipNew"),
        ([], OK, 0, "no kernel was launched"),
        (
            [launch("k"), record.RefusedEvent(kernel="add", library="/x/libggml-hip.so", reason="no code")],
            OK,
            0,
            "add of libggml-hip.so: no code",
        ),
    ],
)
def test_everything_else_is_a_failure_that_says_why(
    events: list[record.Event], output: str, code: int, words: str
) -> None:
    found = ran(*events, output=output, code=code)
    assert found.verdict == "failed"
    assert words in found.summary


def test_device_code_of_libraries_that_were_not_used_does_not_matter() -> None:
    assert ran(fat("libhipblaslt.so.0", accepted=False), fat(), launch("k"), output=OK).verdict == "loader-proved"


def test_a_program_that_hangs_fails() -> None:
    assert ran(fat(), launch("k"), output=OK, code=-9, timed_out=True).summary.startswith("it did not finish")


def test_libraries_for_a_newer_c_library_are_not_proved_here() -> None:
    found = ran(output="/lib/libc.so.6: version `GLIBC_2.38' not found (required by x)\n", code=3)
    assert found.verdict == "not-proved"


def test_a_library_that_is_not_here_is_named() -> None:
    found = ran(output="libroctx64.so.4: cannot open shared object file: No such file or directory\n", code=3)
    assert (found.verdict, found.summary) == ("not-proved", "they need libroctx64.so.4, which is not here")


def test_a_proof_is_as_good_as_its_worst_part() -> None:
    assert overall(("loader-proved", "failed", "not-proved")) == "failed"
    assert overall(("loader-proved", "not-proved")) == "not-proved"
    assert overall(("loader-proved",)) == "loader-proved"
    assert overall(()) == "not-proved"
    assert "not run" in LABEL


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    assert record.read(tmp_path / "none") == ()
    (tmp_path / "log").write_text('{"event":"launch"}\n')
    with pytest.raises(VerificationError):
        record.read(tmp_path / "log")


def test_a_directory_without_either_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "libother.so").write_bytes(b"\x7fELF")
    with pytest.raises(InvalidInputError, match="neither a rocBLAS nor"):
        find(tmp_path)
    with pytest.raises(InvalidInputError, match="not a directory"):
        find(tmp_path / "nowhere")
