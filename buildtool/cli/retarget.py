"""``gpubuild retarget``: AMD device code for one processor made code for a sibling with the same instructions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stdout_console
from buildtool.cli.thin import counted, print_notes, saved

if TYPE_CHECKING:
    from buildtool.codeobj.retarget import Outcome

EPILOG = """
[bold]Examples[/bold]

gpubuild retarget libggml-hip.so --from gfx1030 --to gfx1032 --out new/libggml-hip.so

gpubuild retarget ~/ollama/lib/ollama/rocm --from gfx1030 --to gfx1032 --thin --out rocm-gfx1032

gpubuild retarget rocm-gfx1032 --verify rocm-gfx1032/gpubuild-retarget.json

gpubuild retarget rocm-gfx1032 --undo rocm-gfx1032/gpubuild-retarget.json --out rocm-gfx1030

Only processors that LLVM lists without any difference are retargeted. It is proved by disassembly, on no device.
"""


def retarget(  # noqa: PLR0913, PLR0917 - one parameter per command-line option
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A code object, bundle, library, or a folder.")],
    old: Annotated[
        str | None, typer.Option("--from", metavar="TARGET", help="Processor the code is for: gfx1030.")
    ] = None,
    new: Annotated[
        str | None, typer.Option("--to", metavar="TARGET", help="Processor it shall be for: gfx1032.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DST", help="Where the result goes; must not exist.")
    ] = None,
    thinned: Annotated[bool, typer.Option("--thin", help="Leave out the code for other processors.")] = False,
    undo: Annotated[
        Path | None, typer.Option("--undo", metavar="MANIFEST", help="Give SRC its old bytes and names back.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", metavar="MANIFEST", help="Check that SRC is what the manifest says.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make AMD device code for one processor code for a sibling that runs the same instructions."""
    from buildtool import codeobj
    from buildtool.cli.progress import Reporter

    _one_task(old, new, out, thinned=thinned, undo=undo, verify=verify)
    if verify is not None:
        found = codeobj.verify(source, verify)
        words = f"{source}: as the manifest says, {counted(len(found.files), 'file')} for {found.target}"
        print_json({"verified": len(found.files)}) if as_json else stdout_console().print(words, markup=False)
        return
    with Reporter(quiet=as_json) as reporter:
        if undo is not None and out is not None:
            outcome = codeobj.restore(source, undo, out, progress=reporter.downloads())
            words = (
                f"{out}: {counted(len(outcome.manifest.files), 'file')} as before, for {outcome.manifest.source_target}"
            )
        else:
            done = codeobj.retarget(
                source, str(old), str(new), Path(str(out)), thinned=thinned, progress=reporter.downloads()
            )
            outcome, words = done, f"{out}: {_what(done)}"
    if as_json:
        print_json(_summary(outcome))
        return
    print_notes(outcome.notes)
    stdout_console().print(words, markup=False)


def _one_task(
    old: str | None, new: str | None, out: Path | None, *, thinned: bool, undo: Path | None, verify: Path | None
) -> None:
    """Refuse options that do not go together.

    Raises:
        typer.BadParameter: which ones.
    """
    if undo is not None or verify is not None:
        if old or new or thinned or (undo is not None and verify is not None):
            what = "--undo and --verify stand alone: the manifest knows the processors."
            raise typer.BadParameter(what)
    elif not old or not new:
        what = "Name both processors: --from gfx1030 --to gfx1032."
        raise typer.BadParameter(what)
    if (out is None) != (verify is not None):
        what = "--verify writes nothing." if out else "Say where the result goes: --out DST."
        raise typer.BadParameter(what)


def _what(outcome: Outcome) -> str:
    found = outcome.manifest
    lost = f", {counted(len(found.dropped), 'file')} left out" if found.dropped else ""
    names = sum(row.path != row.was for row in found.files)
    renamed = f", {counted(names, 'file')} renamed" if names else ""
    return (
        f"{counted(outcome.images, 'code object')} for {found.target}{renamed}{lost}; "
        f"{saved(outcome.bytes_before, outcome.bytes_after)}\nmanifest: {outcome.manifest_path}"
    )


def _summary(outcome: Outcome) -> dict[str, object]:
    found = outcome.manifest
    return {
        "from": found.source_target,
        "to": found.target,
        "images": outcome.images,
        "files": len(found.files),
        "dropped": found.dropped,
        "bytes_before": outcome.bytes_before,
        "bytes_after": outcome.bytes_after,
        "manifest": str(outcome.manifest_path),
        "notes": outcome.notes,
    }
