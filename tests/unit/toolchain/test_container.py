from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
from engine_samples import ID, Engine, image
from hypothesis import given, settings
from hypothesis import strategies as st

from buildtool.cli.main import main
from buildtool.compat import resolve
from buildtool.compat.model import Plan, PlanCompiler, PlanToolkit, Request
from buildtool.errors import GpubuildError, IncompatibleError, InvalidInputError, MissingToolError, ProcessError
from buildtool.probe.model import Device, Host, OperatingSystem
from buildtool.process import run
from buildtool.toolchain import acquire, require_usable
from buildtool.toolchain.container import sandbox as container_sandbox
from buildtool.toolchain.container.engine import find_engine, find_image, parse_image
from buildtool.toolchain.container.look import host_with
from buildtool.toolchain.container.sandbox import ContainerSandbox, open_image

pytestmark = [
    pytest.mark.usefixtures("place"),
    pytest.mark.skipif(sys.platform != "linux", reason="images are entered on Linux"),
]
GCC = PlanCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc")
HOST = Host(
    os=OperatingSystem(system="linux", machine="x86_64", id="arch", version="", name="Arch", kernel="6.9"),
    devices=(Device(vendor="nvidia", name="RTX 4090", target="sm_89", source="nvml"),),
)


def engine_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> Engine:
    folder = tmp_path / "engine"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin-of-nothing:/bin-of-nothing:{tmp_path / 'tools'}")
    (tmp_path / "tools").mkdir()
    for tool in ("cat", "dirname", "basename", "env", "sh"):
        (tmp_path / "tools" / tool).symlink_to(f"/usr/bin/{tool}")
    return Engine(folder, *names)


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    return engine_in(tmp_path, monkeypatch, "podman")


def opened() -> ContainerSandbox:
    engine = find_engine("podman://gcc:12")
    return open_image(engine, find_image(engine, "podman://gcc:12"))


def test_a_build_in_an_image_sees_the_images_compilers_and_the_machines_devices(podman: Engine) -> None:
    root = podman.cuda("12.4.131")
    engine = find_engine("podman://gcc:12")
    found = host_with(engine, find_image(engine, "podman://gcc:12"), HOST)
    assert found.devices == HOST.devices
    assert [(one.family, one.version, one.cxx) for one in found.host_compilers][:1] == [
        ("gcc", "12.2.0", str(podman.folder / "inside" / "g++"))
    ]
    assert [(one.version, one.path) for one in found.toolkits if one.kind == "cuda"][:1] == [("12.4.131", str(root))]
    assert found.image == image()
    assert (found.tools, found.os.kernel, found.os.container) == ((), "6.9", "podman")
    assert podman.asked("rm") == ["podman rm --force container-1"]
    questions = len(podman.asked("exec"))
    assert host_with(engine, find_image(engine, "podman://gcc:12"), HOST) == found
    assert len(podman.asked("exec")) == questions, "an image never changes"


def test_what_the_engine_warns_of_is_no_answer(podman: Engine) -> None:
    """As podman does for every command where systemd runs no session for the user."""
    podman.say("warns", 'time="2026-11-25T00:00:00Z" level=warning msg="The cgroupv2 manager is set to systemd but"\n')
    podman.cuda("12.4.131")
    engine = find_engine("podman://gcc:12")
    found = find_image(engine, "podman://gcc:12")
    assert (found.id, found.machine) == (f"sha256:{ID}", "amd64")
    inside = host_with(engine, found, HOST)
    assert [one.version for one in inside.host_compilers][:1] == ["12.2.0"]
    assert [one.version for one in inside.toolkits if one.kind == "cuda"][:1] == ["12.4.131"]
    assert podman.asked("rm") == ["podman rm --force container-1"]


def test_a_plan_in_an_image_takes_what_is_in_it_and_nothing_else(podman: Engine) -> None:
    root = podman.cuda("12.4.131")
    engine = find_engine("docker://gcc:12")
    inside = host_with(engine, find_image(engine, "docker://gcc:12"), HOST)
    plan = resolve(Request(backend="cuda", targets=("sm_61",), inside="docker://gcc:12"), inside)
    assert plan.toolkit is not None
    assert (plan.toolkit.provider, plan.toolkit.path) == ("system", str(root))
    assert (plan.inside, plan.launchers) == (image("docker://gcc:12"), ("ccache",))
    assert [one.choice for one in plan.decisions if one.rule == "image"] == ["docker://gcc:12 (sha256:0123456789ab)"]
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    with pytest.raises(GpubuildError) as caught:
        resolve(Request(backend="cuda", targets=("sm_120",), inside="docker://gcc:12"), inside)
    assert "take an image that has CUDA" in f"{caught.value.details}"
    assert "--in docker://gcc:12" in f"{caught.value.details}"
    assert "root filesystem" not in f"{caught.value.details}"
    with pytest.raises(InvalidInputError, match="cannot be bundled"):
        resolve(Request(backend="cuda", targets=("sm_61",), runtime="bundle"), inside)


def test_a_command_inside_has_no_network_and_writes_only_what_it_is_given(podman: Engine, tmp_path: Path) -> None:
    words = opened().argv(
        ["ninja", "-n"], cwd=tmp_path / "build", readable=[tmp_path / "source"], writable=[tmp_path / "build"]
    )
    assert words[:2] == [str(podman.folder / "podman"), "run"]
    assert {"--rm", "--network=none", "--read-only", "--pull=never", "--entrypoint=/bin/sh"} <= set(words)
    assert f"--mount=type=bind,source={tmp_path}/source,target={tmp_path}/source,readonly" in words
    assert f"--mount=type=bind,source={tmp_path}/build,target={tmp_path}/build" in words
    assert f"--workdir={tmp_path}/build" in words
    assert words[-6:] == [f"sha256:{ID}", "-c", container_sandbox.SHELL, "sh", "ninja", "-n"]
    assert [word for word in words if word.startswith("--env")] == ["--env=GPUBUILD_INSIDE"]


@given(st.dictionaries(st.from_regex(r"\AX_[A-Z]{1,6}\Z"), st.text(st.characters(exclude_characters="\0",
       exclude_categories=["Cs"]), max_size=12), max_size=3))  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_any_environment_arrives_inside_as_it_is(added: dict[str, str]) -> None:
    env = ContainerSandbox(program="podman", image="x", user=()).environment(added)
    script = 'eval "$GPUBUILD_INSIDE"; ' + "".join(f'printf "%s\\0" "${name}"; ' for name in added) + 'echo "$HOME"'
    printed = run(["/bin/sh", "-c", script], env=env).output
    # The output is read as text, in which a carriage return is a line's end.
    assert printed.replace("\r", "\n").split("\0") == [
        *(value.replace("\r\n", "\n").replace("\r", "\n") for value in added.values()), "/tmp\n",
    ]  # fmt: skip


def test_the_shell_inside_hands_on_exit_codes_and_signals() -> None:
    env = {**os.environ, "GPUBUILD_INSIDE": "export A=b"}
    words = ["/bin/sh", "-c", container_sandbox.SHELL, "sh", "/bin/sh", "-c"]
    assert run([*words, 'test "$A" = b && test -z "$GPUBUILD_INSIDE" && exit 7'], env=env, check=False).returncode == 7
    # The command tells its shell to stop, and says so itself when that arrives.
    script = 'trap "echo told; exit 3" TERM; sleep 0.3; kill -TERM $PPID; sleep 5 & wait'
    done = run([*words, script], env=env, check=False, timeout_s=20)
    assert (done.output.strip(), done.returncode, done.timed_out) == ("told", 143, False)


def test_a_path_that_would_hide_the_images_own_or_that_no_engine_takes_is_refused(tmp_path: Path) -> None:
    sandbox = ContainerSandbox(program="podman", image="x", user=())
    for path in (Path("/usr"), Path("/etc/x"), tmp_path / "a,b", tmp_path / 'a"b'):
        with pytest.raises(InvalidInputError, match="cannot be shown inside"):
            sandbox.argv(["true"], cwd=tmp_path, readable=[path])


@pytest.mark.usefixtures("podman")
def test_a_program_that_lies_where_the_image_has_its_own_is_named() -> None:
    engine = find_engine("podman://gcc:12")
    with pytest.raises(InvalidInputError, match="/usr/bin cannot be shown inside"):
        open_image(engine, find_image(engine, "podman://gcc:12"), ("/usr/bin",))


@pytest.mark.usefixtures("podman")
def test_an_image_becomes_a_toolchain_and_is_proved_by_a_file_of_this_user() -> None:
    toolkit = PlanToolkit(kind="cuda", version="12.4.131", provider="system", path="/usr/local/cuda")
    chain = acquire(toolkit, GCC, inside=image())
    assert chain.cmake_options == {
        "CMAKE_C_COMPILER": "/usr/bin/gcc",
        "CMAKE_CXX_COMPILER": "/usr/bin/g++",
        "CMAKE_CUDA_COMPILER": "/usr/local/cuda/bin/nvcc",
        "CUDAToolkit_ROOT": "/usr/local/cuda",
        "CMAKE_CUDA_HOST_COMPILER": "/usr/bin/g++",
    }
    assert chain.sandbox is not None
    assert chain.sandbox.place == f"sha256:{ID}"
    assert acquire(None, GCC, inside=image()).kind == "host"


def test_the_clang_of_a_rocm_is_asked_for_inside(podman: Engine, tmp_path: Path) -> None:
    clang = podman.program(tmp_path / "opt rocm/lib/llvm/bin/clang++", "#!/bin/sh\n")
    toolkit = PlanToolkit(kind="rocm", version="7.0", provider="system", path=str(tmp_path / "opt rocm"))
    chain = acquire(toolkit, GCC, inside=image())
    assert chain.cmake_options["CMAKE_HIP_COMPILER"] == str(clang)
    for number in (17, 21):
        podman.program(tmp_path / f"opt rocm/lib/llvm-{number}/bin/clang++", "#!/bin/sh\n")
    (tmp_path / "opt rocm/lib/llvm-17/lib/clang/17/amdgcn").mkdir(parents=True)
    assert "llvm-17" in acquire(toolkit, GCC, inside=image()).cmake_options["CMAKE_HIP_COMPILER"]
    gone = msgspec.structs.replace(toolkit, path=str(tmp_path / "nothing"))
    with pytest.raises(MissingToolError, match="no clang"):
        acquire(gone, GCC, inside=image())


def test_files_that_would_belong_to_another_user_are_not_written(
    podman: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.getuid()
    monkeypatch.setattr("buildtool.toolchain.container.sandbox.os.getuid", lambda: real + 1)
    with pytest.raises(MissingToolError, match="cannot run a build") as caught:
        opened()
    assert "another user" in f"{caught.value.details}"
    assert any("--userns=keep-id" in line for line in podman.asked("run")), "the second way was tried"


def test_an_engine_of_another_machine_is_told(podman: Engine) -> None:
    podman.say("elsewhere", "")
    with pytest.raises(MissingToolError, match="cannot run a build") as caught:
        opened()
    assert "another machine" in f"{caught.value.details}"


def test_no_engine_is_told_once_with_what_works_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_in(tmp_path, monkeypatch, "docker")
    engine.say("docker-version-fails", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n")
    with pytest.raises(MissingToolError, match="no container engine") as caught:
        find_engine("docker://gcc:12")
    assert caught.value.details == (
        "docker: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "podman: not installed",
    )  # fmt: skip
    assert "root filesystem" in caught.value.hint


def test_each_scheme_means_its_engine_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_in(tmp_path, monkeypatch, "docker", "podman")
    assert find_engine("docker://gcc:12").name == "docker"
    assert find_engine("podman://gcc:12").name == "podman"
    engine.say("podman-version-fails", "broken\n")
    assert find_engine("podman://gcc:12").name == "docker"


def test_an_image_that_is_missing_or_another_one_is_told(podman: Engine) -> None:
    engine = find_engine("podman://gcc:13")
    with pytest.raises(MissingToolError, match="no image gcc:13") as caught:
        find_image(engine, "podman://gcc:13")
    assert "podman pull gcc:13" in caught.value.hint
    require_usable(None, image())
    podman.say("id", "f" * 64)
    with pytest.raises(MissingToolError, match="no longer the image"):
        require_usable(None, image())
    podman.say("podman-image-fails", "database is locked\n")
    with pytest.raises(ProcessError, match="failed to look"):
        find_image(engine, "podman://gcc:12")


def test_an_image_for_another_machine_is_refused(podman: Engine) -> None:
    podman.say("machine", "arm64")
    engine = find_engine("podman://gcc:12")
    with pytest.raises(IncompatibleError, match="aarch64"):
        host_with(engine, find_image(engine, "podman://gcc:12"), HOST)


@pytest.mark.parametrize("text", ["gcc:12", "ssh://gcc", "docker://", "docker://-v", "docker://a b", "docker://x\n"])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="names no container image"):
        parse_image(text)


def gpubuild(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpubuild", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


@pytest.mark.usefixtures("podman")
def test_the_commands_take_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "gpubuild.lock"
    wish = ("--backend", "cpu", "--source", str(Path(__file__).parents[2] / "fixtures" / "mini-llama"))
    assert gpubuild(monkeypatch, "plan", "--in", "docker://gcc:12", *wish, "--json", "--out", str(lock)) == 0
    assert json.loads(capsys.readouterr().out)["inside"]["name"] == "docker://gcc:12"
    assert gpubuild(monkeypatch, "plan", "--lock", str(lock), "--in", "docker://gcc:12") == 12
    assert "--in cannot change it" in capsys.readouterr().err
    assert gpubuild(monkeypatch, "plan", "--in", "docker://gcc:12", *wish, "--print-script", "auto") == 12
    assert "no script for a build in docker://gcc:12" in capsys.readouterr().err
    assert gpubuild(monkeypatch, "compile", "--in", "docker://gcc:13", *wish, "--out", str(tmp_path / "dist")) == 5
    assert "podman pull gcc:13" in capsys.readouterr().err
