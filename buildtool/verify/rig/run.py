"""One run of a driver program before imitated devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.toolchain.sandbox import Sandbox
from buildtool.verify.environment import clean_environ
from buildtool.verify.rig import record
from buildtool.verify.rig.compile import Rig
from buildtool.verify.rig.devices import Device, configuration
from buildtool.verify.rig.libraries import Libraries

# Variables that choose another library directory, another device, or another search path than the one to be proved.
DIVERTING = frozenset(
    (
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "ROCBLAS_TENSILE_LIBPATH",
        "HIPBLASLT_TENSILE_LIBPATH",
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "GPU_DEVICE_ORDINAL",
        "HSA_OVERRIDE_GFX_VERSION",
    )
)


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run: how it ended and what it did."""

    completed: process.Completed
    events: tuple[record.Event, ...]


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """Where runs happen.

    Attributes:
        libraries: what is to be proved.
        rig: what was compiled for it.
        place: a directory of our own, for the record.
        sandbox: the root filesystem to run in, None for this machine itself.
        environment: further variables for the programs.
        timeout_s: how long one run may take.
    """

    libraries: Libraries
    rig: Rig
    place: Path
    sandbox: Sandbox | None
    environment: Mapping[str, str]
    timeout_s: float

    def run(self, program: Path, arguments: Sequence[Path], devices: Sequence[Device]) -> Ran:
        """Run a driver program; how it ended is the result, whatever it is."""
        log, config = self.place / "record.jsonl", self.place / "devices.conf"
        log.unlink(missing_ok=True)
        config.write_text(configuration(devices, log, self.libraries.runtime_major), "utf-8")
        search = ":".join(str(folder) for folder in (self.rig.runtime.parent, *self.libraries.search))
        # The loader is told the name alone, since it takes a space in a path for the end of one.
        words = {"LD_LIBRARY_PATH": search, "LD_PRELOAD": self.rig.runtime.name, "GPUBUILD_RIG": str(config)}
        assignments = [f"{name}={value}" for name, value in {**self.environment, **words}.items()]
        argv = ["/usr/bin/env", *assignments, str(program), *(str(path) for path in arguments)]
        if self.sandbox is None:
            env = {name: value for name, value in clean_environ().items() if name not in DIVERTING}
        else:
            env = self.sandbox.environment({})
            argv = self.sandbox.argv(argv, cwd=self.place, readable=self._shown(), writable=[self.place])
        done = process.run(argv, cwd=self.place, env=env, timeout_s=self.timeout_s, check=False)
        return Ran(completed=done, events=record.read(log))

    def _shown(self) -> list[Path]:
        """Return what must be seen inside: the libraries' folders, and where links in them lead."""
        folders = {self.libraries.directory, *self.libraries.search, self.rig.runtime.parent}
        for folder in tuple(folders):
            folders |= {path.resolve().parent for path in folder.iterdir() if path.is_symlink() and path.is_file()}
            folders |= {path.resolve() for path in folder.iterdir() if path.is_symlink() and path.is_dir()}
        outermost = [one for one in folders if not any(one != other and one.is_relative_to(other) for other in folders)]
        return sorted(outermost)
