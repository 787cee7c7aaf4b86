"""``--print-script`` of ``plan`` and ``compile``: the plan as a script instead of what the command does otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from buildtool.compat.model import Plan

PrintScriptOption = Annotated[
    str | None,
    typer.Option(
        "--print-script",
        metavar="auto|bash|powershell",
        help="Print the plan as a script that builds it without gpubuild, and do nothing else.",
    ),
]


def print_script(plan: Plan, shell: str, *, as_json: bool) -> None:
    """Print a plan as a script, with nothing in it left open.

    Raises:
        GpubuildError: as `buildtool.script.script_text`, or the source that patches change cannot be had.
    """
    from buildtool.cli.console import print_json
    from buildtool.cli.progress import Reporter
    from buildtool.compat.fixed import with_source, with_toolkit
    from buildtool.compat.patches import with_patches
    from buildtool.patch import patched_source
    from buildtool.script import patch_text, script_text, shell_for
    from buildtool.source import acquire, resolve
    from buildtool.toolchain import pinned

    name = shell_for(plan, shell)
    changes = ""
    with Reporter(quiet=as_json) as reporter:
        downloads = reporter.downloads()
        plan = with_source(plan, resolve(plan.source, progress=downloads))
        plan = with_toolkit(plan, pinned(plan.toolkit, progress=downloads))
        if plan.patches:
            source = acquire(plan.source, progress=downloads)
            patched = patched_source(plan.patches, plan.recipe, source, progress=downloads)
            plan, changes = with_patches(plan, patched.applied), patch_text(source, patched.tree)
    text = script_text(plan, name, changes)
    if as_json:
        print_json({"schema": 1, "plan": plan.digest(), "shell": name, "script": text})
        return
    typer.echo(text, nl=False)
