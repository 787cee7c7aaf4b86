"""The same Plan as a script that a person can review and run without gpubuild: bash on Linux, PowerShell on Windows."""

from __future__ import annotations

from buildtool.compat.model import Plan
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
        InvalidInputError: the plan is for a system where that shell builds nothing.
    """
    if shell.lower() not in SHELLS:
        what = f"gpubuild writes no {shell!r} script."
        raise UnknownNameError(what, hint=f"Choose from {', '.join(SHELLS)}.")
    system = plan.platform.partition("-")[0]
    own = _OF_SYSTEM.get(system)
    if own is None:
        what = f"gpubuild writes no script for {plan.platform}."
        raise InvalidInputError(what, hint="Scripts are for Linux and Windows.")
    if shell.lower() not in {"auto", own}:
        what = f"The plan is for {plan.platform}, where the script is one of {own}, not of {shell}."
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
