"""``gpubuild index``: a static package index that pip, uv, people and ``gpubuild install`` read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stderr_console

if TYPE_CHECKING:
    from buildtool.index import Built

EPILOG = (
    "Examples: [bold]gpubuild index build dist[/bold] · "
    "[bold]gpubuild index build artefacts/ --out site --url https://wheels.example.org[/bold] · "
    "[bold]gpubuild index serve dist[/bold]"
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The index.")]

index_app = typer.Typer(
    help="A static package index over wheels: build it, serve it, withdraw from it.",
    no_args_is_help=True,
    epilog=EPILOG,
)


@index_app.command(
    "build",
    epilog="Examples: [bold]gpubuild index build dist[/bold] · "
    "[bold]gpubuild index build jobs/ --out site --url https://wheels.example.org[/bold]",
)
def build_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Searched for wheels.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where the index goes; DIR itself if left out.")
    ] = None,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where it will be served, for the lines on its page.")
    ] = "",
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Index only these wheels; one may replace a different one of its name."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Index wheels: PEP 503/691 pages for all, for each backend and each device target, and a page for people."""
    from buildtool.errors import InvalidInputError
    from buildtool.index import build_index

    if out is None and len(folders) > 1:
        what = "Several directories make one index only in a place of its own."
        raise InvalidInputError(what, hint="Name it with --out DIR.")
    if url and not url.startswith(("http://", "https://")):
        what = f"{url!r} is not the address of a web server."
        raise InvalidInputError(what, hint="Write it like https://wheels.example.org/llama")
    _tell(build_index(tuple(folders), out or folders[0], url=url, replace=replace), as_json=as_json)


def _tell(built: Built, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": 1, "index": built})
        return
    wheels = built.catalogue.wheels
    typer.echo(f"{len(wheels)} wheel{'' if len(wheels) == 1 else 's'} in {built.path}")
    typer.echo(f"sub-indexes: {', '.join(built.folders)}")
    for wheel in wheels:
        if wheel.yanked is not None:
            typer.echo(f"withdrawn: {wheel.filename}{f' ({wheel.yanked})' if wheel.yanked else ''}")
    stderr_console().print(f"{built.written} files written. Page for people: {built.path}/index.html", markup=False)


@index_app.command(
    "yank",
    epilog='Example: [bold]gpubuild index yank dist llama-1.0-py3-none-any.whl --reason "wrong results"[/bold]',
)
def yank_command(
    folder: Folder,
    wheel: Annotated[str, typer.Argument(help="File name of the wheel.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever sees it.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Offer it again.")] = False,
    as_json: Json = False,
) -> None:
    """Withdraw a wheel: installers no longer choose it by themselves (PEP 592). The file stays."""
    from buildtool.index import yank

    _tell(yank(folder, wheel, None if undo else reason), as_json=as_json)


@index_app.command(
    "serve",
    epilog="Examples: [bold]gpubuild index serve dist[/bold] · "
    "[bold]gpubuild index serve dist --bind 0.0.0.0 --port 8000[/bold]",
)
def serve_command(
    folder: Folder,
    bind: Annotated[
        str, typer.Option("--bind", metavar="ADDRESS", help="0.0.0.0 opens it to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 8000,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not log requests.")] = False,
) -> None:
    """Serve an index over HTTP until Ctrl-C; on this machine only, unless --bind says otherwise."""
    from buildtool.index.serve import IndexServer

    with IndexServer(folder, bind, port, quiet=quiet) as server:
        typer.echo(f"Serving {server.root} at {server.url}/ - stop with Ctrl-C.")
        server.serve_forever()
