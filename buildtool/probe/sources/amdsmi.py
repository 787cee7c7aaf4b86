"""AMD's ``amdsmi`` Python library, where it is installed, in a process of its own."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from buildtool.probe.machine import Machine
from buildtool.probe.messages import explain
from buildtool.probe.sighting import Report, Trouble
from buildtool.probe.sources.amd_smi import parse_json

TIMEOUT_S = 5.0
CHILD = (sys.executable, "-m", "buildtool.probe.amdsmi_child")


def collect(machine: Machine) -> Report | None:
    """Run the child when the library can be imported and the kernel driver is there."""
    if not machine.exists("/dev/kfd") or find_spec("amdsmi") is None:
        return None
    output = machine.run(CHILD, TIMEOUT_S)
    if output is None:
        return None
    if output.timed_out:
        return Report(trouble=Trouble(kind="crashed", line=f"did not answer within {TIMEOUT_S:g} s"))
    return parse_json(output.text) if output.returncode == 0 else Report(trouble=explain(output.text))
