"""Will it run? The loaders' rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from codeobj_samples import FIXTURES, bundle, code_object, hip_id, library

from buildtool.codeobj import Image, inspect, judge, will_run
from buildtool.errors import UnknownNameError


def image(kind: str, target: str, isa: str | None = None) -> Image:
    return Image(kind=kind, target=target, bytes=1, offset=0, isa=isa)


@pytest.mark.parametrize(
    ("target", "device", "answer"),
    [
        ("sm_90", "sm_90", "yes"),
        ("sm_80", "sm_89", "yes"),
        ("sm_86", "sm_80", "no"),
        ("sm_80", "sm_90", "no"),
        ("sm_90a", "sm_90", "yes"),
        ("sm_100a", "sm_103", "no"),
        ("sm_100f", "sm_103", "yes"),
        ("sm_120f", "sm_121", "yes"),
        ("sm_121f", "sm_120", "no"),
        ("sm_100f", "sm_120", "no"),
        ("sm_86", "sm_87", "only-if"),
        ("sm_87", "sm_89", "only-if"),
        ("sm_90", "gfx1032", "no"),
    ],
)
def test_cubins(target: str, device: str, answer: str) -> None:
    assert will_run(image("cubin", target), device).answer == answer


@pytest.mark.parametrize(
    ("target", "isa", "device", "driver", "answer"),
    [
        ("compute_75", "9.0", "sm_120", None, "only-if"),
        ("compute_75", "9.0", "sm_120", "13.0", "yes"),
        ("compute_75", "9.0", "sm_120", "12.8", "no"),
        ("compute_90", "8.0", "sm_89", "13.0", "no"),
        ("compute_90a", "8.0", "sm_100", "13.0", "no"),
        ("compute_90a", "8.0", "sm_90", "13.0", "yes"),
        ("compute_100f", "9.0", "sm_103", "13.0", "yes"),
        ("compute_100f", "9.0", "sm_120", "13.0", "no"),
        ("compute_75", "99.0", "sm_120", "13.0", "only-if"),
    ],
)
def test_ptx(target: str, isa: str, device: str, driver: str | None, answer: str) -> None:
    verdict = will_run(image("ptx", target, isa), device, driver_cuda=driver)
    assert verdict.answer == answer, verdict.reason


def test_link_time_code_needs_a_linker() -> None:
    assert will_run(image("lto-ir", "lto_75"), "sm_90").answer == "only-if"


@pytest.mark.parametrize(
    ("target", "device", "answer", "word"),
    [
        ("gfx1032", "gfx1032", "yes", "own"),
        ("gfx1030", "gfx1032", "only-if", "patched"),
        ("gfx10-3-generic", "gfx1032", "only-if", "ROCm 6.4"),
        ("gfx11-generic", "gfx1032", "no", "not"),
        ("gfx1100", "gfx1103", "no", "not"),
        ("gfx90a:xnack-", "gfx90a", "only-if", "xnack off"),
        ("gfx90a:xnack-", "gfx90a:xnack-", "yes", "own"),
        ("gfx90a:xnack+", "gfx90a:sramecc+:xnack-", "no", "xnack+"),
        ("gfx90a", "gfx90a:sramecc+:xnack-", "yes", "own"),
        ("", "gfx1032", "no", "unknown"),
        ("sm_90", "gfx1032", "no", "vendor"),
    ],
)
def test_amd(target: str, device: str, answer: str, word: str) -> None:
    kind = "cubin" if target.startswith("sm") else "hsaco"
    verdict = will_run(image(kind, target), device)
    assert verdict.answer == answer
    assert word in verdict.reason


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        will_run(image("cubin", "sm_90"), "sm_91")


def test_a_file_is_judged_by_its_best_image_and_says_how_much_of_it_fits(tmp_path: Path) -> None:
    one = bundle([(hip_id("gfx1030"), code_object(0x36)), (hip_id("gfx1032"), code_object(0x38))])
    two = bundle([(hip_id("gfx1030"), code_object(0x36))])
    (tmp_path / "x.so").write_bytes(library({".hip_fatbin": one + bytes(-len(one) % 4096) + two}))
    (verdict,) = judge(inspect(tmp_path / "x.so"), "gfx1032").verdicts
    assert (verdict.answer, "1 of 2" in verdict.reason) == ("yes", True)


def test_a_refusal_names_what_is_there() -> None:
    (verdict,) = judge(inspect(FIXTURES / "zstd.fatbin"), "gfx1032").verdicts
    assert verdict.answer == "no"
    assert "sm_86" in verdict.reason


@pytest.mark.parametrize(("chip", "answer"), [("gfx1030", "yes"), ("gfx1032", "no")])
def test_a_rocblas_folder_is_judged_by_its_lazy_index(tmp_path: Path, chip: str, answer: str) -> None:
    folder = tmp_path / "rocblas" / "library"
    folder.mkdir(parents=True)
    for name in ("gfx1030", "gfx900"):
        (folder / f"TensileLibrary_lazy_{name}.dat").write_bytes(b"\x82rest")
    verdicts = {verdict.path: verdict.answer for verdict in judge(inspect(tmp_path), chip).verdicts}
    assert verdicts[str(folder)] == answer
