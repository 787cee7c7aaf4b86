"""The same Plan as a script that a person can review and run without gpubuild: bash on Linux, PowerShell on Windows."""

from __future__ import annotations

from buildtool.compat.model import Plan
from buildtool.compat.vendor import SERVERS
from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.script import bash, powershell
from buildtool.script.compose import compose
from buildtool.script.patches import patch_text

__all__ = ["SHELLS", "patch_text", "script_text", "shell_for"]

SHELLS = ("auto", "bash", "powershell")
_OF_SYSTEM = {"linux": "bash", "windows": "powershell"}


def shell_for(plan: Plan, shell: str) -> str:
    """Return the shell in which a plan's script is written.

    Raises:
        UnknownNameError: `shell` is none of `SHELLS`.
        InvalidInputError: the plan is for a system where that shell builds nothing, or a place that no script enters.
    """
    if shell.lower() not in SHELLS:
        what = f"gpubuild writes no {shell!r} script."
        raise UnknownNameError(what, hint=f"Choose from {', '.join(SHELLS)}.")
    if plan.inside is not None or (plan.toolkit is not None and plan.toolkit.provider in SERVERS):
        place = f"in {plan.inside.name}" if plan.inside is not None else "with a toolkit from a vendor's server"
        what = f"gpubuild writes no script for a build {place}."
        hint = "Write one for an installed toolkit, or build with gpubuild: gpubuild compile"
        raise InvalidInputError(what, hint=hint)
    system = plan.platform.partition("-")[0]
    own = _OF_SYSTEM.get(system)
    if own is None:
        what = f"gpubuild writes no script for {plan.platform}."
        raise InvalidInputError(what, hint="Scripts are for Linux and Windows.")
    if shell.lower() not in {"auto", own}:
        what = f"The plan is for {plan.platform}, whose scripts are written in {own}, not in {shell}."
        hint = f"Write --print-script {own}"
        other = "Windows" if own == "bash" else "Linux"
        hint += (
            f", or plan for a {other} machine: gpubuild plan --host FILE, with what gpubuild detect --json wrote there."
        )
        raise InvalidInputError(what, hint=hint)
    return own


def script_text(plan: Plan, shell: str = "auto", patch: str = "") -> str:
    """Return a plan as a script.

    Args:
        plan: with its source and its root filesystem's packages fixed.
        shell: ``auto``, ``bash`` or ``powershell``.
        patch: what the plan's patches change, from `patch_text`.

    Raises:
        GpubuildError: as `shell_for` and `buildtool.script.compose.compose`.
    """
    render = {"bash": bash.render, "powershell": powershell.render}[shell_for(plan, shell)]
    return render(compose(plan, patch))
