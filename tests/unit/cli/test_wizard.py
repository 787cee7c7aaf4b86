"""The wizard: asks only what it cannot find out, refuses what cannot be done, runs only with consent."""

from __future__ import annotations

import json
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from buildtool.cli import wizard as room
from buildtool.cli.main import app
from buildtool.errors import (
    GpubuildError,
    IncompatibleError,
    InputEndedError,
    InvalidInputError,
    MissingToolError,
    UnknownNameError,
)
from buildtool.probe.model import Device, Host, HostCompiler, Libc, OperatingSystem, ToolkitInstall

GCC = HostCompiler(family="gcc", version="13.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc")
LINUX = OperatingSystem(
    system="linux", machine="x86_64", id="ubuntu", version="24.04", name="Ubuntu 24.04", kernel="6.8"
)
H100 = Device(vendor="nvidia", name="NVIDIA H100", target="sm_90", source="nvml")
A100 = Device(vendor="nvidia", name="NVIDIA A100", target="sm_80", source="nvml")
RX_6600 = Device(vendor="amd", name="RX 6600", target="gfx1032", source="kfd", integrated=False)
NAMELESS = Device(vendor="amd", name="AMD Something", source="pci")
VULKAN = ToolkitInstall(kind="vulkan", version="1.4.313", path="/usr", compiler="/usr/bin/glslc")

Ask = Callable[..., Result]


def machine(*devices: Device, **changes: Any) -> Host:
    facts: dict[str, Any] = {"libc": Libc(name="glibc", version="2.39"), "host_compilers": (GCC,)} | changes
    return Host(os=LINUX, devices=devices, **facts)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Collect the commands that the wizard runs, in the place of running them."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(room, "_run", lambda words, _context: commands.append(tuple(words)))
    monkeypatch.setattr(room, "_installed", lambda: None)
    return commands


def ask(monkeypatch: pytest.MonkeyPatch, host: Host, *words: str, typed: str = "") -> Result:
    monkeypatch.setattr(room, "find_host", lambda _file, _replay: host)
    return CliRunner().invoke(app, ["wizard", *words], input=typed)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, ran: list[tuple[str, ...]]) -> Ask:
    assert ran == []
    return lambda host, *words, typed="": ask(monkeypatch, host, *words, typed=typed)


def error(result: Result, kind: type[GpubuildError]) -> GpubuildError:
    assert isinstance(result.exception, kind), (result.output, result.exception)
    return result.exception


COMPILE = ("gpubuild", "compile", "--backend", "cuda", "--target", "sm_90")
VERIFY = ("gpubuild", "verify", "dist")


def test_one_card_is_not_asked_for_and_nothing_runs_without_consent(on: Ask, ran: list[tuple[str, ...]]) -> None:
    refused = on(machine(H100), typed="\n\n")
    assert refused.exit_code == 0
    assert "Which card" not in refused.output
    assert "Which one" not in refused.output
    assert "Nothing was run." in refused.output
    assert ran == []
    agreed = on(machine(H100), typed="\ny\n")
    assert agreed.exit_code == 0
    assert ran == [COMPILE, VERIFY]


def test_the_commands_shown_are_the_commands_run(on: Ask, ran: list[tuple[str, ...]]) -> None:
    shown = on(machine(H100, A100), typed="3\n\ny\n").output
    lines = [line.strip() for line in shown.splitlines() if line.startswith("  gpubuild")]
    assert [tuple(shlex.split(line)) for line in lines] == ran
    assert ran[0][-1] == "sm_80;sm_90"


def test_of_several_cards_one_is_chosen(on: Ask, ran: list[tuple[str, ...]]) -> None:
    result = on(machine(H100, A100, RX_6600), typed="7\n0\nNVIDIA H100\n\ny\n")
    assert result.exit_code == 0, result.output
    assert result.output.count("Which one?") == 3
    assert ran[0] == COMPILE


def test_a_card_that_is_elsewhere_is_named_and_the_wheels_are_carried_there(on: Ask) -> None:
    result = on(machine(), typed="RX 6660\nH100\n\nn\n")
    assert "Did you mean" in result.output
    assert "For: H100 (sm_90)" in result.output
    assert "carry dist/ to it" in " ".join(result.output.split())
    assert "verify dist\n" not in result.output.split("carry")[0]


def test_a_card_without_a_target_is_asked_for_and_never_guessed(on: Ask) -> None:
    assert "nothing tells its target: AMD Something" in on(machine(NAMELESS), typed="gfx1032\n6\n\n").output
    assert "AMD Something" in error(on(machine(NAMELESS), "--yes"), InvalidInputError).what


def test_ways_that_do_not_hold_are_explained_and_asked_for_again(on: Ask) -> None:
    host = machine(RX_6600, toolkits=(VULKAN,))
    result = on(host, typed="recmpile\n9\nvulkan\nmaybe\nn\n")
    words = " ".join(result.output.split())
    assert result.exit_code == 0
    assert "Did you mean recompile?" in words
    assert "There is no way '9'." in words
    assert "'maybe' is neither y nor n." in words
    assert "For an installed Ollama: gpubuild ollama enable" in words


def test_an_override_is_for_the_users_own_shell(on: Ask, ran: list[tuple[str, ...]]) -> None:
    result = on(machine(RX_6600), typed="override\n")
    assert "In your own shell:\n  export HSA_OVERRIDE_GFX_VERSION=10.3.0\n" in result.output
    assert result.exit_code == 0
    assert ran == []


def test_an_existing_binary_is_asked_for_only_when_it_is_wanted_and_then_read(
    on: Ask, ran: list[tuple[str, ...]], tmp_path: Path
) -> None:
    fixtures = Path(__file__).parents[2] / "fixtures" / "codeobj"
    folder = tmp_path / "my backend"
    folder.mkdir()
    shutil.copy(fixtures / "sm_90a.cubin", folder)
    (tmp_path / "empty").mkdir()
    result = on(machine(H100), typed=f"served\n{tmp_path}/nowhere\n\n{tmp_path}/empty\nserved\n{folder}\n1\ny\n")
    words = " ".join(result.output.split())
    assert "There is no file or folder" in words
    assert "it holds no device code" in words
    assert result.exit_code == 0, result.output
    assert ran[0][:2] == ("gpubuild", "inspect")
    assert Path(ran[0][2]).exists()
    named = on(machine(H100), "--have", str(folder), "--json")
    assert json.loads(named.stdout)["chosen"] == "served"


def test_a_binary_inside_an_archive_is_proved_by_a_command_that_runs(on: Ask, tmp_path: Path) -> None:
    wheel = tmp_path / "backend-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(Path(__file__).parents[2] / "fixtures" / "codeobj" / "sm_90a.cubin", "lib/sm_90a.cubin")
    found = json.loads(on(machine(H100), "--have", str(wheel), "--json").stdout)
    assert "!lib/sm_90a.cubin" in found["ladder"][0]["reason"]
    assert found["script"]["commands"] == [["gpubuild", "inspect", str(wheel), "--for", "sm_90"]]


def test_what_must_be_installed_first_is_never_run(on: Ask, ran: list[tuple[str, ...]]) -> None:
    result = on(machine(RX_6600), typed="\n")
    assert result.exit_code == 0
    assert "First, as root:\n  # install ROCm" in result.output
    assert "install" in error(on(machine(RX_6600), "--yes"), MissingToolError).hint.lower()
    assert ran == []


def test_yes_asks_nothing_and_runs_the_best_way(on: Ask, ran: list[tuple[str, ...]]) -> None:
    result = on(machine(A100, H100), "--yes")
    assert result.exit_code == 0
    assert "?" not in result.output
    assert ran == [("gpubuild", "compile", "--backend", "cuda", "--target", "sm_80"), VERIFY]
    assert on(machine(), "--yes").exit_code == 0
    assert ran[2:] == [("gpubuild", "compile", "--backend", "cpu"), VERIFY]


def test_answers_come_from_a_file(on: Ask, ran: list[tuple[str, ...]], tmp_path: Path) -> None:
    path = tmp_path / "answers.toml"
    path.write_text('card = "all"\nway = "recompile"\nrun = true\n', encoding="utf-8")
    assert on(machine(H100, A100), "--answers", str(path)).exit_code == 0
    assert ran[0][-1] == "sm_80;sm_90"
    path.write_text('way = "best"\nrun = false\n', encoding="utf-8")
    assert "Nothing was run." in on(machine(H100), "--yes", "--answers", str(path)).output
    path.write_text('card = "RX 6600"\n', encoding="utf-8")
    assert "For: H100 (sm_90)" in on(machine(), "--for-device", "H100", "--answers", str(path), typed="\n\n").output


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ('crad = "RX 6600"', UnknownNameError, "Did you mean card?"),
        ("zzz = 1", UnknownNameError, "Answers: card, have, way, run."),
        ("run = 1", InvalidInputError, "Expected `bool"),
        ("card = [", InvalidInputError, "not TOML"),
        ("card = \xff", InvalidInputError, "not TOML"),
        ('card = "RX 66000"', UnknownNameError, "RX 66000"),
        ('card = "all"', InvalidInputError, "no several cards"),
        ('card = "4"', InvalidInputError, "no number 4"),
        ('way = "recompil"', UnknownNameError, "Did you mean recompile?"),
        ('way = "override"', UnknownNameError, "Ways: served, recompile, vulkan, cpu, best."),
        ('card = "gfx1032"\nway = "retarget"', InvalidInputError, "--have PATH"),
        ('card = "sm_30"\nway = "recompile"', IncompatibleError, "does not work here"),
        ('way = "served"', InvalidInputError, "--have PATH"),
    ],
)
def test_a_wrong_answer_in_a_file_is_one_clear_error(
    on: Ask, tmp_path: Path, text: str, kind: type[GpubuildError], words: str
) -> None:
    path = tmp_path / "answers.toml"
    path.write_bytes(text.encode("latin-1"))
    caught = error(on(machine(H100), "--yes", "--answers", str(path)), kind)
    assert words in f"{caught.what} {caught.why} {caught.hint}"


def test_missing_answers_are_one_clear_error(on: Ask, tmp_path: Path) -> None:
    assert "cannot be read" in error(on(machine(), "--answers", str(tmp_path / "no.toml")), InvalidInputError).what


def test_the_end_of_the_input_leaves_with_its_own_code(on: Ask, ran: list[tuple[str, ...]]) -> None:
    ended = error(on(machine(H100), typed=""), InputEndedError)
    assert ended.exit_code == 17
    assert "nothing was run" in ended.what
    assert "--yes" in ended.hint
    assert ran == []


def test_ctrl_c_leaves_with_a_message(on: Ask, ran: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    result = on(machine(H100))
    assert result.exit_code == 130
    assert "Stopped; nothing was run." in result.output
    assert ran == []


def test_json_asks_nothing_and_runs_nothing(on: Ask, ran: list[tuple[str, ...]]) -> None:
    found = json.loads(on(machine(H100, A100), "--json", "--yes", "--for-device", "sm_80;sm_90").stdout)
    assert found["targets"] == ["sm_80", "sm_90"]
    assert found["chosen"] == "recompile"
    assert found["lines"][0] == 'gpubuild compile --backend cuda --target "sm_80;sm_90"'
    assert found["script"]["commands"][0] == shlex.split(found["lines"][0])
    assert [one["step"] for one in found["ladder"]] == ["recompile", "vulkan", "cpu"]
    assert ran == []


def test_nothing_runs_for_a_machine_that_was_only_described(ran: list[tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / "host.json").write_bytes(msgspec.json.encode(machine(H100)))
    result = CliRunner().invoke(app, ["wizard", "--host", str(tmp_path / "host.json"), "--yes"])
    assert result.exit_code == 0, result.output
    assert "nothing is run here" in result.output
    assert ran == []


def test_a_command_really_runs_and_its_failure_is_the_wizards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_DEVICES", "none")
    context = typer.Context(typer.main.get_command(app))
    room._run(("gpubuild", "plan", "--backend", "cpu"), context)
    with pytest.raises(UnknownNameError):
        room._run(("gpubuild", "plan", "--target", "sm_99"), context)
    with pytest.raises(InvalidInputError):
        room._run(("gpubuild", "inspect", str(Path(__file__).parent / "nowhere")), context)


LINES = st.lists(
    st.sampled_from(["1", "2", "3", "9", "all", "cpu", "served", "recompile", "best", "y", "n", "", "RX 6600"])
    | st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r"), max_size=12),
    max_size=8,
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, which=st.integers(0, 3))
def test_whatever_is_typed_ends_with_commands_or_one_clear_error(
    on: Ask, monkeypatch: pytest.MonkeyPatch, lines: list[str], which: int
) -> None:
    monkeypatch.setattr(room, "_read", lambda _path, _choice: None)  # a path that is typed may be the whole disk
    host = (machine(), machine(H100), machine(RX_6600, toolkits=(VULKAN,)), machine(H100, A100, NAMELESS))[which]
    result = on(host, typed="".join(f"{line}\n" for line in lines))
    assert result.exception is None or isinstance(result.exception, (InputEndedError, SystemExit)), result.exception
    assert all(len(line) <= 80 or "gpubuild" in line or ": " in line for line in result.output.splitlines())
