"""The step that stands in for an AMD device that is not there."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildtool.errors import MissingToolError, NotProvedError, ProcessError, UnsafeArchiveError
from buildtool.toolchain.sandbox import Sandbox
from buildtool.verify.loading import Exercise, LoaderProof, ProofVerdict, TargetProof
from buildtool.verify.model import ListedDevice, Options, Report, overall
from buildtool.verify.rig import proof as rig_proof
from buildtool.verify.run import require, verify
from buildtool.verify.steps import loader

INSIDE = Sandbox(tree="/store/rootfs/rocm-7.0-sid-1/tree", program="bwrap", isolation=())


def proof(verdict: ProofVerdict = "loader-proved", *, tuned: bool = True, inside: str = "") -> LoaderProof:
    exercise = Exercise(name="rocblas", verdict=verdict, summary="8 calls", tuned=tuned, absent=("hipMemCreate",))
    target = TargetProof(target="gfx1032", verdict=verdict, exercises=(exercise,))
    return LoaderProof(directory="/x", verdict=verdict, summary="said", inside=inside, targets=(target,))


def device(name: str) -> ListedDevice:
    return ListedDevice(name=name, description="a card", total_mib=1, free_mib=1)


def test_it_runs_only_for_rocm_without_a_rocm_device() -> None:
    assert loader.is_called_for(("rocm",), ())
    assert loader.is_called_for(("rocm", "cuda"), (device("CUDA0"),))
    assert not loader.is_called_for(("rocm",), (device("ROCm0"),))
    assert not loader.is_called_for(("cuda",), ())


def test_what_it_finds_is_neither_passed_nor_failed() -> None:
    found = loader.judge(proof(tuned=False, inside="rocm-7.0-sid-1"))
    assert (found.verdict, found.summary, found.loader) == (
        "loader-proved",
        "said",
        proof(tuned=False, inside="rocm-7.0-sid-1"),
    )
    text = "\n".join(found.evidence)
    assert "gfx1032, rocblas: loader-proved: 8 calls" in text
    assert "the general kernels serve it" in text
    assert "not imitated: hipMemCreate" in text
    assert "in the root filesystem rocm-7.0-sid-1" in text
    assert overall(("passed", "loader-proved")) == "not-proved"
    assert overall(("failed", "loader-proved")) == "failed"


def test_libraries_for_a_newer_c_library_are_tried_in_a_root_filesystem(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def fake(_folder: Path, _targets: object, *, beside: object, sandbox: Sandbox | None = None) -> LoaderProof:  # noqa: ARG001
        asked.append(sandbox)
        return proof("not-proved" if sandbox is None else "loader-proved")

    monkeypatch.setattr(rig_proof, "loader_proof", fake)
    monkeypatch.setattr(loader, "targets_of", lambda _path: ("gfx1032",))
    monkeypatch.setattr(rig_proof, "_root_filesystems", lambda: iter([INSIDE, INSIDE]))
    assert loader.check([Path("/x/libggml-hip.so")], []).verdict == "loader-proved"
    assert asked == [None, INSIDE]


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*_: object, **__: object) -> LoaderProof:
        what = "There is no compiler."
        raise MissingToolError(what, hint="Install one.")

    monkeypatch.setattr(loader, "proof_here_or_inside", fake)
    monkeypatch.setattr(loader, "targets_of", lambda _path: ("gfx1032",))
    found = loader.check([Path("/x/libggml-hip.so")], [])
    assert (found.verdict, found.summary) == ("not-proved", "There is no compiler. Install one.")


def test_an_imitation_that_does_not_compile_says_nothing_of_the_artefact(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*_: object, **__: object) -> LoaderProof:
        what = "g++ failed with exit code 1."
        raise ProcessError(what, details=("ld: cannot find -lstdc++",))

    monkeypatch.setattr(loader, "proof_here_or_inside", fake)
    monkeypatch.setattr(loader, "targets_of", lambda _path: ("gfx1032",))
    found = loader.check([Path("/x/libggml-hip.so")], [])
    assert (found.verdict, found.evidence) == ("not-proved", ("ld: cannot find -lstdc++",))


def test_a_module_without_device_code_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "targets_of", lambda _path: ())
    assert loader.check([Path("/x/libggml-hip.so")], []).verdict == "failed"
    assert loader.check([Path("/x/libggml-cuda.so")], []).verdict == "skipped"


@pytest.fixture
def wheels(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, *members: str) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as wheel:
            for member in members:
                wheel.writestr(member, b"x")
        return path

    return make


def test_wheels_that_cannot_be_installed_are_unpacked(wheels: Callable[..., Path], tmp_path: Path) -> None:
    runtime = wheels("gpubuild_llama-1-py3-none-any.whl", "gpubuild_llama/lib/libggml-base.so")
    backend = wheels("gpubuild_llama_rocm-1-py3-none-any.whl", "gpubuild_llama_rocm/lib/libggml-hip.so")
    modules, beside = loader.unpacked([runtime, backend], tmp_path / "out")
    assert [path.name for path in modules] == ["libggml-hip.so"]
    assert [path.parts[-3:] for path in beside] == [("gpubuild_llama-1-py3-none-any", "gpubuild_llama", "lib")]
    with pytest.raises(UnsafeArchiveError):
        loader.unpacked([wheels("bad-1-py3-none-any.whl", "../../out.so")], tmp_path / "other")


def test_a_wheel_for_another_platform_is_still_looked_into(
    wheels: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheels(
        "gpubuild_llama_rocm7-1-py3-none-manylinux_2_99_x86_64.whl",
        "gpubuild_llama_rocm7/lib/libggml-hip.so",
        "gpubuild_llama_rocm7-1.dist-info/WHEEL",
    )
    monkeypatch.setattr(loader, "targets_of", lambda _path: ("gfx1032",))
    monkeypatch.setattr(loader, "proof_here_or_inside", lambda *_, **__: proof())
    report: Report = verify([wheel], Options(offline=True))
    assert [(step.name, step.verdict) for step in report.steps] == [
        ("origin", "not-proved"),
        ("install", "not-proved"),
        ("loader", "loader-proved"),
    ]
    assert (report.verdict, report.exit_code) == ("not-proved", 14)
    assert report.loader == proof()
    with pytest.raises(NotProvedError) as raised:
        require(report)
    assert any("an imitated device" in line for line in raised.value.details)
