"""``gpubuild patch``: source patches; what there is, what it fits, what it would change, and patched copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli.console import print_json, stderr_console

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildtool.compat.series import PatchRow, Series
    from buildtool.compat.targets import Target
    from buildtool.patch import Column, KnownSource, Verdict
    from buildtool.patch.rehearse import Draft
    from buildtool.source import SourceTree

SCHEMA = 1
EPILOG = (
    "Examples: [bold]gpubuild patch list[/bold] · [bold]gpubuild patch check[/bold] · "
    "[bold]gpubuild patch show hip-rdna1 --target gfx1013[/bold] · "
    "[bold]gpubuild patch apply --target gfx1013 --out patched[/bold]"
)
WORDS = {"applies": "applies", "not-needed": "not needed", "conflicts": "CONFLICTS", "elsewhere": "-"}

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Project = Annotated[
    str, typer.Option("--project", metavar="NAME", help="Whose patches: llama.cpp, ollama. Default: llama.cpp.")
]
SeriesOption = Annotated[
    Path | None, typer.Option("--series", metavar="DIR", help="Use the series in this folder, not the shipped one.")
]
SourceOption = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME|PATH|URL", help="A known source, a tree, a git URL#tag, or an archive."),
]
TargetOption = Annotated[
    list[str] | None, typer.Option("--target", metavar="T[;T...]", help="For these targets; repeatable.")
]

patch_app = typer.Typer(
    help="Source patches: list, check, show, apply to a copy; your own tree is never changed.",
    no_args_is_help=True,
    epilog=EPILOG,
)


@patch_app.command("list", epilog="Example: [bold]gpubuild patch list --json[/bold]")
def list_patches(project: Project = "", series: SeriesOption = None, as_json: Json = False) -> None:
    """Show every patch: for which targets, and what it is for."""
    every = list(_all_series(project, series))
    if as_json:
        print_json({"schema": SCHEMA, "series": [one for _, one in every]})
        return
    for _, one in every:
        typer.echo(f"{one.words}")
        for row in one.patches:
            typer.echo(f"  {row.name:18} {', '.join(row.targets)}{_days(row)}\n{'':21}{row.purpose}")


@patch_app.command(
    "show", epilog="Example: [bold]gpubuild patch show hip-rdna1 --source llama-cpp-python-0.3.36[/bold]"
)
def show_patch(
    name: Annotated[str, typer.Argument(help="A name from the list.")],
    project: Project = "llama.cpp",
    series: SeriesOption = None,
    source: SourceOption = None,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Show one patch; with --source, the lines that it would change there."""
    from buildtool.patch import load_body, targets_of

    folder, rows = _one_series(project, series)
    row = rows.patch(name)
    body = load_body(folder, row)
    draft: Draft | None = None
    if source is not None:
        tree = _tree(rows, source, quiet=as_json)
        draft, _ = _rehearsed(folder, [(row, _targets(target) or targets_of(row))], tree)
    changes = _diff(draft) if draft is not None else ""
    if as_json:
        print_json({"schema": SCHEMA, "patch": row, "body": body, "diff": changes if draft is not None else None})
        return
    if draft is not None:
        typer.echo(changes or "Nothing: these targets need no change there.", nl=not changes)
        return
    facts = {"for": f"{', '.join(row.targets)}{_days(row)}", "purpose": row.purpose, "upstream": row.upstream}
    facts |= {"sha256": row.sha256, "file": str(folder / row.file)}
    typer.echo("\n".join([row.name, *(f"  {key:9} {value}" for key, value in facts.items())]))
    typer.echo("\n".join(f"  {'source':9} {fact}" for fact in row.source))
    typer.echo("\n" + (folder / row.file).read_text("utf-8"), nl=False)


@patch_app.command("check", epilog="Example: [bold]gpubuild patch check --source ./llama.cpp[/bold]")
def check_patches(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PATCH]...", help="Only these patches.")] = None,
    project: Project = "llama.cpp",
    series: SeriesOption = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME|PATH|URL", help="Only this source; repeatable. Default: all known."),
    ] = None,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Try every patch on every known source version, and print what comes of it; fetches what is not here."""
    from buildtool.errors import PatchConflictError
    from buildtool.patch import check_tree

    folder, rows = _one_series(project, series)
    wanted = [rows.patch(name) for name in names] if names else list(rows.patches)
    targets = _targets(target)
    columns: list[Column] = []
    for known in _known(rows, source):
        tree = _acquired(known, quiet=as_json)
        columns.append(_column(known, check_tree(folder, wanted, tree.path, targets)))
    conflicts = [(one, verdict) for one in columns for verdict in one.verdicts if verdict.state == "conflicts"]
    if as_json:
        print_json({"schema": SCHEMA, "project": rows.name, "sources": columns})
    else:
        _print_matrix(columns, wanted)
        for one, verdict in conflicts:
            typer.echo(f"\n{verdict.patch} on {one.source}: {verdict.files[0]}: {verdict.reason}")
            typer.echo("".join(f"  | {line}\n" for line in verdict.excerpt), nl=False)
    if conflicts:
        raise typer.Exit(PatchConflictError.exit_code)


@patch_app.command("apply", epilog="Example: [bold]gpubuild patch apply --target gfx1013 --out patched[/bold]")
def apply_patches(
    target: TargetOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The new folder.")] = Path("patched"),
    patch: Annotated[
        list[str] | None, typer.Option("--patch", metavar="NAME", help="Only this patch; repeatable.")
    ] = None,
    project: Project = "llama.cpp",
    series: SeriesOption = None,
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Write a patched copy of a source: all patches that the targets need there, or none."""
    from buildtool.errors import InvalidInputError
    from buildtool.patch import write_patched

    folder, rows = _one_series(project, series)
    targets = _targets(target)
    if not targets:
        what = "Patches are for targets, and none is named."
        raise InvalidInputError(what, hint="Name one: --target gfx1013.")
    chosen = [rows.patch(name) for name in patch] if patch else list(rows.patches)
    tree = _tree(rows, source, quiet=as_json)
    wanted = [(row, tuple(one for one in targets if row.serves(one))) for row in rows.patches if row in chosen]
    draft, verdicts = _rehearsed(folder, [pair for pair in wanted if pair[1]], tree)
    if draft.edited:
        write_patched(tree, draft.edited, out)
    if as_json:
        place = str(out.absolute()) if draft.edited else None
        print_json({"schema": SCHEMA, "source": tree.path, "out": place, "patches": verdicts})
        return
    for verdict in verdicts:
        files = f": {', '.join(verdict.files)}" if verdict.files else ""
        stderr_console().print(f"{verdict.patch}: {WORDS[verdict.state]}{files}", markup=False, soft_wrap=True)
    if draft.edited:
        typer.echo(out.absolute())
    else:
        typer.echo("No patch is needed for these targets; nothing was written.", err=True)


def _all_series(project: str, folder: Path | None) -> Iterator[tuple[Path, Series]]:
    from buildtool.compat.series import series_names

    for name in [project] if project or folder is not None else series_names():
        yield _one_series(name, folder)


def _one_series(project: str, folder: Path | None) -> tuple[Path, Series]:
    from buildtool.compat.series import load_series, read_series, series_directory

    if folder is not None:
        return folder, read_series(folder)
    return series_directory(project), load_series(project)


def _targets(words: list[str] | None) -> tuple[Target, ...]:
    from buildtool.compat.targets import parse_targets

    return parse_targets(words or ())


def _rehearsed(
    folder: Path, wanted: Sequence[tuple[PatchRow, tuple[Target, ...]]], tree: SourceTree
) -> tuple[Draft, tuple[Verdict, ...]]:
    from buildtool.patch import rehearse

    return rehearse(folder, wanted, tree.path)


def _known(series: Series, wishes: list[str] | None) -> list[KnownSource]:
    """Return the sources wished for; without a wish, all known ones."""
    from buildtool.errors import InvalidInputError
    from buildtool.patch import known_sources

    every = list(known_sources(series))
    if wishes:
        return [_chosen(series, every, wish) for wish in wishes]
    if not every:
        what = f"No package registry has a source of {series.name}."
        raise InvalidInputError(what, hint="Name your own tree: --source PATH.")
    return every


def _chosen(series: Series, every: list[KnownSource], wish: str) -> KnownSource:
    from buildtool.compat.recipes import Recipe, load_recipe, recipe_names
    from buildtool.compat.sources import choose_sources
    from buildtool.patch import KnownSource

    for known in every:
        if wish.strip().lower() in {known.label, known.plan.name}:
            return known
    recipe = load_recipe(series.name) if series.name in recipe_names() else None
    recipe = recipe or Recipe(schema=1, name=series.name, words="", runtime="", sources=(), options=())
    (choice,) = choose_sources(wish, recipe)
    return KnownSource(label=Path(wish).name or wish, offered=False, plan=choice.plan)


def _tree(series: Series, wish: str | None, *, quiet: bool) -> SourceTree:
    return _acquired(_known(series, [wish] if wish else None)[0], quiet=quiet)


def _acquired(known: KnownSource, *, quiet: bool) -> SourceTree:
    from buildtool.cli.progress import Reporter
    from buildtool.source import acquire

    with Reporter(quiet=quiet) as reporter:
        return acquire(known.plan, progress=reporter.downloads())


def _column(known: KnownSource, verdicts: tuple[Verdict, ...]) -> Column:
    from buildtool.patch import Column

    return Column(source=known.plan.name, label=known.label, offered=known.offered, verdicts=verdicts)


def _print_matrix(columns: list[Column], rows: list[PatchRow]) -> None:
    lines = [("source", *(row.name for row in rows))]
    lines += [(one.label, *(WORDS[verdict.state] for verdict in one.verdicts)) for one in columns]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def _days(row: PatchRow) -> str:
    since, before = (f" {word} {day}" if day else "" for word, day in (("from", row.since), ("before", row.before)))
    return f" (trees{since}{before})" if since or before else ""


def _diff(draft: Draft) -> str:
    import difflib

    parts: list[str] = []
    for name, text in sorted(draft.edited.items()):
        before = draft.original(name).splitlines(keepends=True)
        parts += difflib.unified_diff(before, text.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=1)
    return "".join(parts)
