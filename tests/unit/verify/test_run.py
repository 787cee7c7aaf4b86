"""Whole proofs of a fake build: real processes, real HTTP, programs that say what a test wants to hear."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from buildtool.errors import InvalidInputError, MissingToolError, NotProvedError, VerificationError
from buildtool.verify.model import Options, Report, Timeouts
from buildtool.verify.run import require, verify
from buildtool.verify.steps import origin
from buildtool.verify.subject import INSIDE

PROGRAM = Path(__file__).with_name("fake_program.py")
NAMES = ("llama-server", "llama-bench", "test-backend-ops", "llama-quantize")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the fake programs are scripts")

Prove = Callable[..., Report]


def lay_out(directory: Path, modules: tuple[str, ...] = ()) -> Path:
    directory.mkdir()
    for name in NAMES:
        (directory / name).write_text(f"#!{sys.executable} -S\n{PROGRAM.read_text()}")
        (directory / name).chmod(0o755)
    libc = next(Path("/lib").glob("*/libc.so.6"), None) or next(Path("/usr/lib").glob("libc.so.6"))
    for name in ("libllama.so", *modules):
        shutil.copyfile(libc, directory / name)
    return directory


def without_gguf(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object) -> str:
        what = "A dependency was not found."
        raise MissingToolError(what)

    monkeypatch.setattr("buildtool.verify.models._GGUF_PACKAGES", ("no_such_package",))
    monkeypatch.setattr("buildtool.verify.models.install", nowhere)


@pytest.fixture
def prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prove:
    model = tmp_path / "own.gguf"
    model.write_bytes(b"GGUF")
    without_gguf(monkeypatch)
    scratch = tmp_path / "scratch with spaces é"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def run(modules: tuple[str, ...] = (), fake: dict[str, object] | None = None, **wishes: object) -> Report:
        monkeypatch.setenv("FAKE", json.dumps(fake or {}))
        build = lay_out(tmp_path / "build", modules)
        options = {"model": str(model), "offline": True, **wishes}
        report = verify([build], Options(**options))
        assert list(scratch.iterdir()) == [] or report.environment
        return report

    return run


def test_a_cpu_build_proves_itself(prove: Prove) -> None:
    report = prove(keep=True)
    assert report.verdict == "passed"
    assert report.exit_code == 0
    assert [step.name for step in report.steps] == ["modules", "devices", "ops", "model", "bench"]
    assert report.operations[0].device == "CPU"
    assert {agreement.subject for agreement in report.agreements} == {"second run"}
    assert [figure.test for figure in report.figures] == ["pp64", "tg16"]
    assert report.environment is not None
    assert (Path(report.environment) / "venv").is_dir()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
    require(report)


def test_a_device_that_agrees_passes(prove: Prove) -> None:
    report = prove(("libggml-cuda.so",), {"devices": ["CUDA0"]}, mode="full")
    assert report.verdict == "passed"
    assert report.backends == ("cuda",)
    assert {agreement.subject for agreement in report.agreements} == {"CUDA0"}
    assert any("3/3 layers on CUDA0" in line for step in report.steps for line in step.evidence)


def test_a_missing_device_is_its_own_outcome(prove: Prove) -> None:
    report = prove(("libggml-cuda.so",))
    assert report.verdict == "not-proved"
    assert report.exit_code == NotProvedError.exit_code == 14
    assert {step.name: step.verdict for step in report.steps} == {
        "modules": "passed", "devices": "not-proved", "ops": "passed", "model": "passed", "bench": "passed",
    }  # fmt: skip
    with pytest.raises(NotProvedError, match="not proved on a device"):
        require(report)


def test_a_wrong_answer_fails(prove: Prove) -> None:
    report = prove(("libggml-cuda.so",), {"devices": ["CUDA0"], "wrong": "CUDA0"})
    assert report.verdict == "failed"
    assert report.exit_code == VerificationError.exit_code == 13
    with pytest.raises(VerificationError) as raised:
        require(report)
    assert "largest difference 1.4" in raised.value.details[0]


@pytest.mark.parametrize(("program", "crashed"), [("llama-server", "model"), ("test-backend-ops", "ops")])
def test_a_crash_fails_its_step_and_the_others_still_run(prove: Prove, program: str, crashed: str) -> None:
    report = prove(fake={"crash": program})
    steps = {step.name: step for step in report.steps}
    step = steps.pop(crashed)
    assert step.verdict == "failed"
    assert "signal 6" in " ".join((step.summary, *step.evidence))
    assert {other.verdict for other in steps.values()} == {"passed"}


def test_a_hanging_server_is_ended(prove: Prove) -> None:
    started = time.monotonic()
    report = prove(fake={"crash": "hang"}, timeouts=Timeouts(model=2.0))
    assert time.monotonic() - started < 30
    assert next(step for step in report.steps if step.name == "model").verdict == "failed"


def test_a_failure_the_baseline_shares_is_not_ours(prove: Prove, tmp_path: Path) -> None:
    upstream = lay_out(tmp_path / "upstream")
    fake = {"failing": ["ADD(type=f32)"], "speed": 20.0}
    report = prove(fake=fake, baseline=str(upstream))
    assert report.operations[0].upstream_failing == ("ADD(type=f32)",)
    assert report.verdict == "passed"
    assert {figure.ratio for figure in report.figures} == {1.0}
    assert {figure.rounds for figure in report.figures} == {2}


def test_a_failure_of_our_own_fails_with_its_name(prove: Prove) -> None:
    report = prove(fake={"failing": ["ADD(type=f32)"]})
    step = next(step for step in report.steps if step.name == "ops")
    assert step.verdict == "failed"
    assert step.evidence[0] == "CPU: ADD(type=f32)"


def test_without_any_model_the_model_is_not_proved(prove: Prove) -> None:
    report = prove(model=None)
    step = next(step for step in report.steps if step.name == "model")
    assert step.verdict == "not-proved"
    assert report.exit_code == 14


def test_an_answer_that_may_come_from_elsewhere_proves_no_device(prove: Prove) -> None:
    report = prove(("libggml-cuda.so",), {"devices": ["CUDA0"], "silent": True})
    step = next(step for step in report.steps if step.name == "model")
    assert (step.verdict, report.exit_code) == ("not-proved", 14)
    assert "does not say how many layers went to CUDA0" in step.summary


def test_a_crash_after_the_last_case_is_a_crash(prove: Prove) -> None:
    step = next(step for step in prove(fake={"exit": 139}).steps if step.name == "ops")
    assert step.verdict == "failed"
    assert "exit code 139" in step.summary
    assert "every case had ended" in step.evidence[0]


def test_a_model_that_cannot_be_had_is_no_failure_of_the_artefact(prove: Prove) -> None:
    report = prove(model="smollm2")
    step = next(step for step in report.steps if step.name == "model")
    assert (step.verdict, step.summary, report.exit_code) == ("not-proved", "SmolLM2 could not be had.", 14)


@pytest.fixture
def our_programs(prove: Prove, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that write the tiny model and its answers, instead of ours."""
    assert prove
    inside = tmp_path / "inside"
    shutil.copytree(INSIDE, inside)
    monkeypatch.setattr("buildtool.verify.models.INSIDE", inside)
    monkeypatch.setattr("buildtool.verify.models._GGUF_PACKAGES", ("sys",))
    return inside


def test_trouble_with_a_program_of_our_own_is_no_failure_of_the_artefact(prove: Prove, our_programs: Path) -> None:
    (our_programs / "tiny_model.py").write_text("raise SystemExit('gguf has changed')")
    step = next(step for step in prove(model=None).steps if step.name == "model")
    assert step.verdict == "not-proved"
    assert "gguf has changed" in step.evidence


def test_what_is_warned_of_before_the_right_answers_is_passed_over(prove: Prove, our_programs: Path) -> None:
    top = [{"id": 5, "logprob": -0.1}, {"id": 6, "logprob": -3.0}]
    answers = [{"completion_probabilities": [{**top[0], "top_logprobs": top}] * 16}] * 2
    (our_programs / "tiny_model.py").write_text("import sys; open(sys.argv[1], 'wb').write(b'GGUF')")
    (our_programs / "tiny_reference.py").write_text(
        f"import sys; print('OpenBLAS warning', file=sys.stderr); print({json.dumps(answers)!r})"
    )
    report = prove(model=None)
    assert report.verdict == "passed"
    assert {agreement.reference for agreement in report.agreements} == {"64-bit numpy", "CPU"}


def test_packages_that_only_this_process_sees_do_not_count(
    prove: Prove, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_ours").mkdir()
    (tmp_path / "only_ours" / "ours_alone.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "only_ours")
    monkeypatch.setattr("buildtool.verify.models._GGUF_PACKAGES", ("ours_alone",))
    step = next(step for step in prove(model=None).steps if step.name == "model")
    assert (step.verdict, "the package gguf is not here" in step.summary) == ("not-proved", True)


def test_a_key_asks_for_the_runtime_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip would take it from beside or from an index, and nobody would have looked at its signature."""
    monkeypatch.setattr("buildtool.wheel.signing.read_public_key", lambda _path: object())
    with pytest.raises(InvalidInputError, match="runtime is not among the wheels"):
        origin.check((tmp_path / "gpubuild_llama_cuda13-1-py3-none-any.whl",), Options(key="key.pem"))


def test_what_the_user_named_is_checked_before_work_starts(tmp_path: Path) -> None:
    build = lay_out(tmp_path / "build")
    text = tmp_path / "model.gguf"
    text.write_text("not a model")
    for options, message in [
        (Options(model=str(text)), "not a GGUF"),
        (Options(model=str(tmp_path / "none.gguf")), "cannot be read"),
        (Options(baseline=str(tmp_path / "none")), "neither wheels nor"),
        (Options(find_links=(str(tmp_path / "none"),)), "not a directory"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            verify([build], options)


def test_an_interrupt_leaves_neither_servers_nor_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = lay_out(tmp_path / "build")
    model = tmp_path / "own.gguf"
    model.write_bytes(b"GGUF")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    without_gguf(monkeypatch)
    monkeypatch.setenv("FAKE", json.dumps({"crash": "hang"}))

    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not _servers(build) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(os.getpid(), 2)

    threading.Thread(target=interrupt, daemon=True).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            verify([build], Options(model=str(model), offline=True))
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(scratch.iterdir()) == []
    assert _servers(build) == []


def _servers(build: Path) -> list[str]:
    """Return the processes that run the fake server with a model."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(build / "llama-server") in line and "--port" in line:
            found.append(line)
    return found
