"""Every bad input gets one clear message and its own exit code, through the one door, and never a traceback."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from buildtool.cli import main as door
from buildtool.compat import tables, targets
from buildtool.errors import DataError
from buildtool.probe.model import Device, Driver, Host, HostCompiler, Libc, OperatingSystem

DEBIAN = Host(
    os=OperatingSystem(system="linux", machine="x86_64", id="debian", version="12", name="Debian 12", kernel="6.1"),
    libc=Libc(name="glibc", version="2.36"),
    host_compilers=(HostCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc"),),
)
EMPTY = Host(os=OperatingSystem(system="linux", machine="x86_64", id="", version="", name="Linux", kernel=""))
H100 = Device(vendor="nvidia", name="NVIDIA H100", target="sm_90", source="nvml")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run gpubuild on a described machine; returns the exit code, what it printed, and what it complained."""
    monkeypatch.chdir(tmp_path)

    def running(line: str, host: Host = DEBIAN) -> tuple[int, str, str]:
        (tmp_path / "host.json").write_bytes(msgspec.json.encode(host))
        monkeypatch.setattr(sys, "argv", ["gpubuild", *shlex.split(line)])
        with pytest.raises(SystemExit) as left:
            door.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return running


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        # cards and targets nobody knows
        ('plan --for-device "RX 66000"', 3, ["Nobody knows a card 'RX 66000'", "Did you mean", "RX 6600"]),
        ('plan --for-device "GTX 1666"', 3, ["Nobody knows a card", "GTX 1660"]),
        ('plan --for-device ""', 3, ["Nobody knows a card ''", "--target"]),
        ('plan --for-device "GT 1030"', 3, ["can be several cards", "sm_30", "sm_61"]),
        ("plan --target gfx1023", 3, ["Nobody knows a target 'gfx1023'", "Did you mean gfx1032"]),
        ("plan --target sm_91", 3, ["Nobody knows a target 'sm_91'", "sm_90"]),
        ("plan --target 1032", 3, ["Did you mean gfx1032?"]),
        ("plan --target 90-virtual", 12, ["asks for PTX"]),
        ("plan --target ''", 12, ["--target is empty"]),
        ("plan --source ~nobody-of-that-name/tree", 12, ["home directory", "whole path"]),
        # names of other things
        ("plan --backend cdua", 3, ["There is no backend 'cdua'", "Did you mean 'cuda'?"]),
        ("plan --recipe lama.cpp", 3, ["There is no recipe", "llama.cpp"]),
        ("plan --toolkit cdua==13", 3, ["names no toolkit", "cuda"]),
        ("plan --target sm_90 --toolkit cuda==99", 3, ["Nobody knows a toolkit cuda==99", "13."]),
        ("plan --toolkit 'cuda=>>13'", 12, ["not a version specifier"]),
        ("plan --profile nativ", 3, ["Did you mean native?"]),
        ("plan --why-not florps", 3, ["Nobody knows a target 'florps'"]),
        # wishes that contradict themselves or the tables
        ("plan --backend cuda --target gfx1032", 4, ["gfx1032 is an AMD target", "works: ROCm"]),
        ("plan --backend cpu --target sm_90", 4, ["means nothing to it", "works: CPU"]),
        ("plan --target 'sm_90;gfx1032'", 4, ["gives up gfx1032"]),
        ("plan --backend rocm --target gfx1100 --toolkit cuda==13.0", 4, ["does not use"]),
        ("plan --target sm_61 --toolkit 'cuda==13.*'", 4, ["sm_61 is known to CUDA 8.0 to 12.9 only"]),
        ("plan --target sm_90 --base recipe", 12, ["exact list"]),
        ("plan --all --ladder", 12, ["different questions"]),
        ("plan --all --lock gpubuild.lock", 12, ["belongs to a single plan"]),
        ("plan --lock gpubuild.lock --target sm_90", 12, ["A lock file decides everything; --host, --target"]),
        ("plan --backend cuda", 12, ["There is no target to build the cuda backend for"]),
        # files
        ("plan --source ./nowhere", 12, ["There is no directory"]),
        ("plan --ladder --target sm_90 --have nowhere", 12, ["nowhere"]),
        ("wizard --answers nowhere.toml", 12, ["cannot be read"]),
    ],
)
def test_one_clear_message_and_its_own_code(run: Run, line: str, code: int, words: list[str]) -> None:
    left, out, err = run(f"{line} --host host.json")
    assert left == code, (out, err)
    assert err.count("error:") == 1
    assert [word for word in words if word not in err] == []
    assert "Traceback" not in err
    as_json, out, _ = run(f"{line} --host host.json --json")
    assert as_json == code
    assert json.loads(out)["error"]["exit_code"] == code


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compile --source ~nobody-of-that-name/tree", ["home directory"]),
        ("install --index ~nobody-of-that-name/dist", ["home directory"]),
        ("install --index 'http://[x/'", ["is no address"]),
        ("verify . --timeout model=1e7", ["is not STEP=SECONDS", "at most 1000000 seconds"]),
        ("plan --source 'https://[x/y.tar.gz' --host host.json", ["'https://[x/y.tar.gz' is no address"]),
        ("plan --source 'https://x:y/z.git#tag' --host host.json", ["is no address"]),
        ("cache use 'redis://[x'", ["is no address"]),
        ("toolchain install cuda==13.* --cuda-redist 'http://[x'", ["is no address"]),
        ("toolchain install 'cuda @ file:///x'", ["names no version", "cuda==13.0.*"]),
        ("toolchain install 'cuda[all]==13.*'", ["names no version"]),
        ("install --python /bin/true", ["is no Python that answers", "It said nothing"]),
        ("compile --build-dir 'a;b'", ["do not carry: ;", "--build-dir"]),
        ("compile --build-dir 'a$b\"c'", ['do not carry: " $']),
    ],
)
def test_paths_that_nothing_can_be_done_with(run: Run, line: str, words: list[str]) -> None:
    code, _, err = run(line)
    assert code == 12, err
    assert err.count("error:") == 1
    assert [word for word in words if word not in err] == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("index build wheels --out file", 10),
        ("index yank loop x.whl", 10),
        ("matrix run --cover cpu --dir file", 10),
        ("matrix run --cover cpu --dir loop", 10),
        (f"plan --source ./{'a' * 300} --host host.json", 12),
        (f"inspect {'a' * 300}", 12),
    ],
)
def test_a_place_that_is_something_else_is_told_and_stays(run: Run, tmp_path: Path, line: str, code: int) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    left, _, err = run(line)
    assert left == code, err
    assert err.count("error:") == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_the_widely_copied_recipe_is_refused_for_the_right_reason_with_the_right_offers(run: Run) -> None:
    code, _, err = run('plan --toolkit "cuda==11.4" --target "30;35;37;50;52" --host host.json')
    assert code == 4
    assert "why: sm_30 is known to CUDA 7.5 to 10.2 only. You asked for cuda==11.4; CUDA 11.4 knows sm_35" in err
    offers = [line for line in err.splitlines() if "works:" in line]
    assert 'gpubuild plan --backend cuda --target "sm_35;sm_37;sm_50;sm_52" --toolkit "cuda==11.4"' in offers[0]
    assert "gives up sm_30" in offers[0]
    assert "install GCC 11 (apt-get install g++-11)" in offers[0]
    assert any("Vulkan" in line for line in offers)
    assert "CPU" in offers[-1]
    # Newer releases would serve sm_30 no better, and no release serves all five: llama.cpp needs CUDA 11.
    alone = run("plan --target 30 --host host.json")[2]
    assert "llama.cpp needs cuda>=11.0" in alone


@pytest.mark.parametrize("line", ["plan", "plan --target sm_90", "plan --all", "plan --backend vulkan"])
def test_an_empty_machine_says_what_it_lacks(run: Run, line: str) -> None:
    code, _, err = run(f"{line} --host host.json", EMPTY)
    assert code == 5
    assert "No C++ compiler" in err
    assert "try: install g++" in err
    assert run("plan --ladder --for-device K80 --host host.json", EMPTY)[0] == 0
    assert run("detect --host host.json", EMPTY)[0] == 0


@pytest.mark.parametrize("version", ["banana", "", "999.99", "5", "580.95.05-beta+weird"])
@pytest.mark.parametrize("offered", ["banana", None, "", "99.9"])
def test_a_driver_nobody_has_seen_is_no_reason_to_fail(run: Run, version: str, offered: str | None) -> None:
    strange = Driver(vendor="nvidia", name="nvidia", version=version, cuda=offered)
    host = msgspec.structs.replace(DEBIAN, devices=(H100,), drivers=(strange,))
    code, out, err = run("plan --host host.json", host)
    # Driver 5 is a version, and too old for every CUDA.
    assert code == (4 if version == "5" and offered != "99.9" else 0), err
    assert ("CUDA 13" in out) is (code == 0)
    assert "no driver here" not in out
    assert run("plan --ladder --host host.json", host)[0] == 0


@pytest.mark.parametrize("version", ["weird", ""])
def test_a_compiler_or_toolkit_without_a_readable_version_is_passed_over(run: Run, version: str) -> None:
    odd = msgspec.structs.replace(DEBIAN.host_compilers[0], version=version)
    code, _, err = run("plan --host host.json", msgspec.structs.replace(DEBIAN, host_compilers=(odd,)))
    assert code == 5
    assert "/usr/bin/g++" in err


def lock(run: Run, path: Path) -> dict[str, Any]:
    assert run("plan --backend cpu --out gpubuild.lock")[0] == 0
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 99}, ["of schema 99", "Update gpubuild"]),
        ({"digest": "0" * 64}, ["was edited by hand"]),
        ({"plan": {"profile": "native"}}, ["was edited by hand"]),
        ({"plan": {"schema": 99, "new": 1}}, ["of schema 99", "Update gpubuild"]),
        ({"plan": {"backend": "opencl"}}, ["holds no plan"]),
        ({"colour": "green"}, ["is damaged"]),
    ],
)
def test_a_lock_of_a_newer_schema_or_edited_by_hand_is_refused(
    run: Run, tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    path = tmp_path / "gpubuild.lock"
    content = lock(run, path)
    if "plan" in change:
        change = {"plan": content["plan"] | change["plan"]}
    path.write_text(json.dumps(content | change), "utf-8")
    for command in ("plan", "compile"):
        code, _, err = run(f"{command} --lock gpubuild.lock")
        assert code == 11
        assert [word for word in words if word not in err] == []
        assert "gpubuild plan --out gpubuild.lock" in err


def test_a_damaged_table_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(tables.__file__).parent / "data" / "cuda_drivers.toml").read_text("utf-8")
    monkeypatch.setattr(
        tables,
        "cuda_drivers",
        lambda: tables.decode_table(text.replace("source", "sauce"), tables._CudaDrivers, "x.toml"),
    )
    host = msgspec.structs.replace(
        DEBIAN, devices=(H100,), drivers=(Driver(vendor="nvidia", name="nvidia", version="580.1"),)
    )
    code, _, err = run("plan --host host.json", host)
    assert code == 15
    assert "The table x.toml is damaged." in err
    assert "sauce" in err


@pytest.mark.parametrize("line", ["plan", "plan --ladder", "wizard --yes"])
def test_a_damaged_table_is_never_taken_for_an_unknown_device(
    run: Run, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    def damaged() -> frozenset[str]:
        message = "The table cuda_toolkits.toml is damaged."
        raise DataError(message)

    monkeypatch.setattr(targets, "known_cuda", damaged)
    code, _, err = run(f"{line} --host host.json", msgspec.structs.replace(DEBIAN, devices=(H100,)))
    assert code == 15
    assert "cuda_toolkits.toml is damaged" in err
