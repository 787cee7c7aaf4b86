"""`detect`: ask every source, merge what they say, and describe the machine as one `Host`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from buildtool.probe.compilers import host_compilers
from buildtool.probe.gather import gather
from buildtool.probe.machine import LocalMachine, Machine
from buildtool.probe.model import DEVICES_VARIABLE, Device, Driver, Host, HostCompiler, Tool, ToolkitInstall
from buildtool.probe.programs import tools
from buildtool.probe.system import c_library, cpu_limit, memory_limit_mib, operating_system
from buildtool.probe.toolkits import FINDERS

if TYPE_CHECKING:
    from buildtool.probe.replay import Replayed

LIMIT_S = 17.0


class Part(NamedTuple):
    """A share of the answer; the parts are asked for side by side."""

    devices: tuple[Device, ...] = ()
    drivers: tuple[Driver, ...] = ()
    toolkits: tuple[ToolkitInstall, ...] = ()
    compilers: tuple[HostCompiler, ...] = ()
    tools: tuple[Tool, ...] = ()
    warnings: tuple[str, ...] = ()


def detect(
    replays: Mapping[str, Path] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    machine: Machine | None = None,
) -> Host:
    """Describe this machine: GPUs, drivers, toolkits, compilers, tools, operating system.

    Order of the sources of GPUs: recordings (`replays`) instead of the machine; else ``GPUBUILD_DEVICES``; else the
    chains of `buildtool.probe.registry.CHAINS`. A source that hangs, crashes or lies costs its result and a warning.

    Args:
        replays: tool name (see `buildtool.probe.replay.TOOLS`) to a recorded output.
        environ: the environment to read, or None for this process's.
        machine: another machine to look at; tests imitate one here.

    Raises:
        UnknownNameError: a tool, or a target in ``GPUBUILD_DEVICES``, that nobody knows.
        InvalidInputError: a recording that cannot be read, or a malformed ``GPUBUILD_DEVICES``.
    """
    here = machine if machine is not None else LocalMachine(environ)
    recorded = _recorded(here, replays) if replays else None
    declaration = here.environ.get(DEVICES_VARIABLE)
    questions: dict[str, Callable[[], Part]] = {
        "toolkits": partial(_toolkits, here, recorded.toolkits if recorded else {}),
        "compilers": partial(_compilers, here),
        "tools": partial(_tools, here),
    }
    if recorded is not None:
        gpus = _replayed(recorded, declared=declaration is not None)
    elif declaration is not None:
        gpus = _declared(declaration)
    else:
        gpus = Part()
        questions["devices"] = partial(_probed, here)
    answers, failures = gather(questions, LIMIT_S)
    parts = (answers.get("devices", gpus), *(part for name, part in answers.items() if name != "devices"))
    return Host(
        devices=parts[0].devices,
        drivers=parts[0].drivers,
        toolkits=tuple(toolkit for part in parts for toolkit in part.toolkits),
        host_compilers=tuple(compiler for part in parts for compiler in part.compilers),
        tools=tuple(tool for part in parts for tool in part.tools),
        os=operating_system(here),
        libc=c_library(here),
        cpus=cpu_limit(here),
        memory_mib=memory_limit_mib(here),
        warnings=(
            *(text for part in parts for text in part.warnings),
            *(f"The search for {name} {why}." for name, why in failures.items()),
        ),
    )


def detect_recorded(path: Path, replays: Mapping[str, Path] | None = None) -> Host:
    """Describe the machine that a file holds; recordings replace its GPUs, their drivers and toolkits.

    Args:
        path: what ``gpubuild detect --json`` printed there.
        replays: tool name (see `buildtool.probe.replay.TOOLS`) to a recorded output.

    Raises:
        UnknownNameError: a tool nobody knows.
        InvalidInputError: a file that cannot be read.
    """
    from buildtool.probe.recorded import load_host

    host = load_host(path)
    if not replays:
        return host
    recorded = _recorded(LocalMachine(), replays)
    gpus = _replayed(recorded, declared=False)
    kept = (one for one in host.toolkits if one.kind not in recorded.toolkits)
    replaced = (one for part in recorded.toolkits.values() for one in part)
    return msgspec.structs.replace(
        host, devices=gpus.devices, drivers=gpus.drivers, toolkits=(*kept, *replaced), warnings=gpus.warnings
    )


# What most runs do not need is imported where it is used: detect has half a second for everything.


def _recorded(machine: Machine, replays: Mapping[str, Path]) -> Replayed:
    from buildtool.probe.replay import replay

    return replay(machine, replays)


def _replayed(recorded: Replayed, *, declared: bool) -> Part:
    from buildtool.probe.assemble import assemble

    facts = assemble(recorded.reports, verbose=True)
    note = (f"{DEVICES_VARIABLE} is set but not used, because --replay was given.",) if declared else ()
    return Part(devices=facts.devices, drivers=facts.drivers, warnings=(*facts.warnings, *recorded.warnings, *note))


def _declared(declaration: str) -> Part:
    from buildtool.probe.declared import declared_devices

    return Part(devices=declared_devices(declaration))


def _probed(machine: Machine) -> Part:
    from buildtool.probe.devices import probe_devices

    reports, drivers, stuck = probe_devices(machine)
    if not any(report.devices or report.trouble or report.driver_version for _, report in reports):
        return Part(drivers=drivers, warnings=stuck)
    from buildtool.probe.assemble import assemble

    facts = assemble(reports, verbose=False, drivers=drivers)
    return Part(devices=facts.devices, drivers=facts.drivers, warnings=(*facts.warnings, *stuck))


def _toolkits(machine: Machine, recorded: Mapping[str, tuple[ToolkitInstall, ...]]) -> Part:
    found = (recorded[kind] if kind in recorded else find(machine) for kind, find in FINDERS.items())
    return Part(toolkits=tuple(toolkit for part in found for toolkit in part))


def _compilers(machine: Machine) -> Part:
    compilers, warnings = host_compilers(machine)
    return Part(compilers=compilers, warnings=warnings)


def _tools(machine: Machine) -> Part:
    found, warnings = tools(machine)
    return Part(tools=found, warnings=warnings)
