"""``gpubuild cache``: the compiler caches of this machine, and one that several machines share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json

if TYPE_CHECKING:
    from buildtool.share import Setting

SCHEMA = 1
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

cache_app = typer.Typer(
    help="Compiler caches: on this machine, and one shared by several machines.",
    no_args_is_help=True,
    epilog="Examples: [bold]gpubuild cache use redis://cache.lan:6379[/bold] · [bold]gpubuild cache status[/bold] · "
    "[bold]gpubuild cache stats[/bold] · [bold]gpubuild cache use none[/bold]",
)


@cache_app.command(
    "use",
    epilog="Examples: [bold]gpubuild cache use redis://cache.lan:6379[/bold] · "
    '[bold]gpubuild cache use "s3://bucket/folder?region=eu-central-1"[/bold] · '
    "[bold]gpubuild cache use https://me:password@host/dav[/bold] · [bold]gpubuild cache use none[/bold]",
)
def use_command(
    url: Annotated[str, typer.Argument(help="redis://, rediss://, s3://, https://, file://; or none.")],
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="The key of the other machines, in hexadecimal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Share the compiler cache through a server. Objects are sealed with a key that the machines have in common."""
    from buildtool.share import forget, keep, open_depot
    from buildtool.share.settings import NONE

    if url == NONE:
        there = forget()
        if as_json:
            print_json({"schema": SCHEMA, "forgotten": there})
        else:
            typer.echo("No shared cache is used any more." if there else "No shared cache was set.")
        return
    open_depot(url)  # says at once what is missing or malformed
    setting = keep(url, _key(key_file))
    if as_json:
        print_json({"schema": SCHEMA, "url": setting.shown, "file": setting.source})
        return
    _tell(setting)
    typer.echo(f"The key is in {setting.source}: give it to the other machines (--key-file), and to nobody else.")


def _key(path: Path | None) -> str | None:
    """Read a key: a file with nothing else in it, or another machine's cache.json."""
    if path is None:
        return None
    import msgspec

    from buildtool.errors import InvalidInputError
    from buildtool.share import Setting

    try:
        text = path.read_text(encoding="utf-8").strip()
        return msgspec.json.decode(text, type=Setting).key if text.startswith("{") else text
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        what = f"The key file {path} cannot be read."
        raise InvalidInputError(what, why=str(error)) from error


def _tell(setting: Setting) -> None:
    from buildtool.share.seal import fingerprint

    typer.echo(f"shared cache  {setting.shown}")
    typer.echo(f"key           {fingerprint(setting.secret)} (its fingerprint; the same on every machine)")
    typer.echo(f"set in        {setting.source}")


@cache_app.command("status", epilog="Example: [bold]gpubuild cache status[/bold]")
def status_command(as_json: Json = False) -> None:
    """Show which shared cache is set, and try it: an object is sealed, kept, fetched and opened."""
    from buildtool.share import current
    from buildtool.share.trial import trial

    setting = current()
    tried = trial(setting) if setting is not None else None
    if as_json:
        print_json({"schema": SCHEMA, "url": setting.shown if setting else None, "trial": tried})
        return
    if setting is None or tried is None:
        typer.echo("No shared cache is set. Set one: gpubuild cache use redis://HOST:6379")
        return
    _tell(setting)
    if tried.works:
        typer.echo(f"works         kept in {tried.put_ms} ms, fetched and opened in {tried.get_ms} ms")
    else:
        typer.echo(f"does not work {tried.problem}; builds go on without it")


@cache_app.command("stats", epilog="Example: [bold]gpubuild cache stats --json[/bold]")
def stats_command(as_json: Json = False) -> None:
    """Show how large this machine's compiler caches are, and what the shared cache has done."""
    from buildtool.share.record import load
    from buildtool.store.paths import cache_root
    from buildtool.store.storage import readable_size, tree_size

    local = {name: tree_size(cache_root() / name) for name in ("sccache", "ccache") if (cache_root() / name).is_dir()}
    record = load()
    if as_json:
        sizes = {name: {"bytes": size, "files": files} for name, (size, files) in local.items()}
        print_json({"schema": SCHEMA, "local": sizes, "shared": record})
        return
    for name, (size, files) in local.items():
        typer.echo(f"{name:8} {readable_size(size)} in {files} files: {cache_root() / name}")
    for address, tally in record.tallies.items():
        typer.echo(f"{address}: {record.builds[address]} builds")
        typer.echo(f"  {tally.hits} objects fetched ({readable_size(tally.received_bytes)}), {tally.misses} not there")
        typer.echo(f"  {tally.sent} objects sent ({readable_size(tally.sent_bytes)}), {tally.dropped} not sent")
        if tally.refused or tally.failures:
            typer.echo(
                f"  {tally.refused} refused by their seal, {tally.failures} failures, last: {tally.trouble or '-'}"
            )
    if not local and not record.tallies:
        typer.echo("Nothing is cached yet.")
