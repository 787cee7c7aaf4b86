"""What happens to an installation when a change breaks off at any point: kills and faults, driven from here.

A small installation, a service that is a file, and the real transactions of `buildtool.deploy`. Used by the unit tests
(a few points) and by ``ci/ollama-faults.py`` (hundreds).
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from buildtool.deploy.disk import Disk, digest, entries
from buildtool.deploy.facts import facts
from buildtool.deploy.install import Hands
from buildtool.deploy.model import Installation, Known, Log, Models, Service
from buildtool.deploy.order import Order
from buildtool.deploy.prove import Proof
from buildtool.deploy.runners import MARK
from buildtool.deploy.server import Server
from buildtool.deploy.site import Site
from buildtool.deploy.stage import Staged
from buildtool.errors import GpubuildError, ServiceError, VerificationError

CHANGES = ("copy_file", "write", "rename", "make", "remove", "touch", "sync")
RUNNER = "rocm_v7_2_gpubuild_gfx1032"


class Quiet:
    """Nobody to talk to."""

    def note(self, text: str) -> None:
        pass

    def ask(self, question: str) -> bool:
        raise AssertionError(question)


class FileService:
    """A service that is a file: its content says how often it was started, and with which drop-in."""

    commands = (("restart",),)
    by_hand = ""

    def __init__(self, place: Path, *, refuses: int = 0) -> None:
        self.place, self.refuses = place, refuses

    def restart(self) -> None:
        if self.refuses:
            self.refuses -= 1
            what = "the service does not start"
            raise ServiceError(what)
        self.place.write_text("started")

    def wait(self, server: Server) -> str:
        return server.words


class Broken(Disk):
    """Changes of which the n-th fails, or is the last thing that happens.

    Args:
        number: which change, counted from 1; 0 for none.
        fault: an errno, or None for SIGKILL.
        after: it fails after it was done.
        lasting: all that follow fail as well, as on a disk that became read-only.
    """

    def __init__(
        self, number: int = 0, fault: int | None = None, *, after: bool = False, lasting: bool = False
    ) -> None:
        self.number, self.fault, self.after, self.lasting = number, fault, after, lasting
        self.count = 0

    def _fails(self) -> None:
        if self.fault is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self.fault, os.strerror(self.fault or 0))


def _counted(name: str) -> Callable[..., object]:
    plain = getattr(Disk, name)

    def change(self: Broken, *words: object, **more: object) -> object:
        self.count += 1
        due = self.number and (self.count >= self.number if self.lasting else self.count == self.number)
        if due and not self.after:
            self._fails()
        done = plain(self, *words, **more)
        if due and self.after:
            self._fails()
        return done

    return change


for _name in CHANGES:
    setattr(Broken, _name, _counted(_name))


class Ground:
    """An installation in a folder of its own, and what can be done to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.libraries = root / "prefix/lib/ollama"
        self.units = root / "home/.config/systemd/user"

    def make(self) -> None:
        """Ollama's own files: a program, libraries, one runner, a unit."""
        files = {"llama-server": "engine", "rocm_v7_2/libggml-hip.so": "module", "libggml-base.so.0": "base"}
        for name, text in files.items():
            place = self.libraries / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        self.units.mkdir(parents=True)
        (self.units / "ollama.service").write_text("[Service]\nExecStart=ollama serve\n")
        for version in ("1", "2"):
            staged = self.root / f"staged-{version}"
            (staged / "rocblas/library").mkdir(parents=True)
            (staged / "libggml-hip.so").write_text(f"module {version}" * 1000)
            (staged / MARK).write_text(version)
            (staged / "rocblas/library/TensileLibrary_lazy_gfx1032.dat").write_text(version)
            (staged / "librocblas.so").symlink_to("librocblas.so.5")
            (staged / f"only-{version}").write_text(version)

    def hands(self, disk: Disk | None = None, *, refuses: int = 0) -> Hands:
        service = Service(manager="systemd-user", name="ollama.service", unit=str(self.units / "ollama.service"))
        one = Installation(
            prefix=str(self.root / "prefix"), program=str(self.root / "prefix/bin/ollama"),
            libraries=str(self.libraries),
            kind="prefix", writable=True, may_write=True, generation="new", layout=facts().layouts[0].words,
            version=Known(value="0.35.0", source="imitation"), llama_cpp=Known(value="b11081", source="imitation"),
            service=service, models=Models(path="", source=""), log=Log(source=""),
        )  # fmt: skip
        site = Site(system="linux", environ={"HOME": str(self.root / "home")})
        hands = Hands(site, one, Quiet(), disk=disk)
        hands.manager = FileService(self.root / "service", refuses=refuses)  # type: ignore[assignment]
        return hands

    def order(self, version: str = "1", *, env: bool = True) -> Order:
        staged = Staged(runner=RUNNER, folder=str(self.root / f"staged-{version}"), module="libggml-hip.so",
                        env={"OLLAMA_IGPU_ENABLE": "1"} if env else {})  # fmt: skip
        return Order(method="retarget", target="gfx1032", device="RX 6600", staged=staged)

    def snapshot(self) -> dict[str, str]:
        """Everything that Ollama and systemd see, by content and mode."""
        found = {f"lib/{name}": words for name, words in entries(self.libraries)}
        return found | {f"units/{name}": words for name, words in entries(self.units)}

    def times(self) -> dict[str, int]:
        """When each file and folder changed, for what has to come back bit for bit."""
        places = [self.libraries.parent, *self.libraries.rglob("*"), self.libraries, self.units, *self.units.rglob("*")]
        return {str(place): place.lstat().st_mtime_ns for place in places}


def proved(_server: Server) -> Proof:
    return Proof(lines=("proved",), whole=True)


def not_proved(_server: Server) -> Proof:
    what = "the model answered from the CPU"
    raise VerificationError(what)


def enable(ground: Ground, hands: Hands) -> None:
    hands.put(ground.order(), proved, now=True)


def switch(ground: Ground, hands: Hands) -> None:
    """Another runner in the place of the first, and no variable any more."""
    hands.put(ground.order("2", env=False), proved, now=True)


def reapply(ground: Ground, hands: Hands) -> None:
    hands.put(ground.order(), proved, purpose="reapply", now=True)


def restore(_ground: Ground, hands: Hands) -> None:
    hands.take_out(now=True)


def upgraded(ground: Ground) -> None:
    """An upgrade of Ollama: its installer removes lib/ollama and unpacks another."""
    shutil.rmtree(ground.libraries)
    (ground.libraries / "rocm_v7_2").mkdir(parents=True)
    (ground.libraries / "llama-server").write_text("engine of tomorrow")
    (ground.libraries / "rocm_v7_2/libggml-hip.so").write_text("module of tomorrow")


class Scenario:
    """A change, and what has to be done before it."""

    def __init__(
        self, name: str, change: Callable[[Ground, Hands], None], *, enabled: bool, wiped: bool = False
    ) -> None:
        self.name, self.change, self.enabled, self.wiped = name, change, enabled, wiped

    def begin(self, ground: Ground) -> None:
        ground.make()
        if self.enabled:
            enable(ground, ground.hands())
        if self.wiped:
            upgraded(ground)


SCENARIOS = (
    Scenario("enable", enable, enabled=False),
    Scenario("switch", switch, enabled=True),
    Scenario("reapply", reapply, enabled=True, wiped=True),
    Scenario("restore", restore, enabled=True),
)


class Course:
    """A scenario's ground before and after, to try the same change with everything that may go wrong."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        good = Ground(folder / "good")
        scenario.begin(good)
        self.old = good.snapshot()
        disk = Broken()
        started = time.monotonic()
        scenario.change(good, good.hands(disk))
        self.seconds, self.count, self.new = time.monotonic() - started, disk.count, good.snapshot()
        plain = Ground(folder / "plain")
        plain.make()
        if scenario.wiped:
            upgraded(plain)
        self.original = plain.snapshot()

    def fresh(self, name: str) -> Ground:
        ground = Ground(self.folder / name)
        self.scenario.begin(ground)
        return ground

    def judge(self, ground: Ground) -> str:
        """After whatever happened: recover, compare, do it again, take it out; return which state it was in.

        Raises:
            AssertionError: something is neither old nor new, lost, or does not complete.
        """
        ground.hands().recover()
        found = ground.snapshot()
        assert found in (self.old, self.new), sorted(set(found.items()) ^ set(self.old.items()))
        state = "old" if found == self.old else "new"
        hands = ground.hands()
        if self.scenario.name != "restore" or hands.transactions.state.record() is not None:
            self.scenario.change(ground, hands)
        assert ground.snapshot() == self.new, "a second run completes"
        if ground.hands().transactions.state.record() is not None:
            restore(ground, ground.hands())
        assert ground.snapshot() == self.original, "restore gives the original"
        left = [*ground.root.joinpath("prefix").rglob("*gpubuild*"), *ground.units.rglob("*gpubuild*")]
        assert not left, left
        return state


def killed_at(course: Course, name: str, number: int, *, after: bool) -> str:
    """Kill a run at its n-th change; return the state that recovery led to."""
    ground = course.fresh(name)
    child = os.fork()
    if not child:
        try:
            course.scenario.change(ground, ground.hands(Broken(number, after=after)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return course.judge(ground)


def killed_after(course: Course, name: str, seconds: float) -> tuple[str, bool]:
    """Kill a run after some time; return the state that recovery led to, and whether the kill came in time."""
    ground = course.fresh(name)
    child = os.fork()
    if not child:
        try:
            course.scenario.change(ground, ground.hands())
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return course.judge(ground), os.WIFSIGNALED(status)


def failed_at(course: Course, name: str, number: int, fault: int, *, after: bool = False, lasting: bool = False) -> str:
    """Let the n-th change of a run fail; return the state that recovery led to."""
    ground = course.fresh(name)
    with contextlib.suppress(GpubuildError):
        course.scenario.change(ground, ground.hands(Broken(number, fault, after=after, lasting=lasting)))
    return course.judge(ground)


def service_refuses(course: Course, name: str, times: int) -> str:
    """Let the service not start, once or for good; return the state that recovery led to."""
    ground = course.fresh(name)
    with contextlib.suppress(ServiceError):
        course.scenario.change(ground, ground.hands(refuses=times))
    return course.judge(ground)


def proof_fails(course: Course, name: str) -> str:
    """Let the proof fail; return the state that was left."""
    ground = course.fresh(name)
    with contextlib.suppress(VerificationError):
        ground.hands().put(ground.order("2"), not_proved, now=True)
    return course.judge(ground)


def draws(seed: int) -> random.Random:
    return random.Random(seed)


FAULTS = {
    "full disk": errno.ENOSPC,
    "read-only": errno.EROFS,
    "permission": errno.EACCES,
    "busy": errno.EBUSY,
    "quota": errno.EDQUOT,
    "device": errno.EIO,
}
__all__ = [
    "FAULTS",
    "SCENARIOS",
    "Course",
    "digest",
    "draws",
    "failed_at",
    "killed_after",
    "killed_at",
    "proof_fails",
    "service_refuses",
]
