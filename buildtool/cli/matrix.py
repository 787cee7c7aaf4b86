"""``gpubuild matrix``: which builds serve these cards; as a table or as CI jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from buildtool.cli.console import print_json, stderr_console, stdout_console

if TYPE_CHECKING:
    from buildtool.matrix import Matrix, Wish
    from buildtool.matrix.ci import Ci
    from buildtool.matrix.platforms import Site
    from buildtool.matrix.write import Provider

EXAMPLE = '[bold]gpubuild matrix --cover "GTX 970, RTX 3060, RX 6600, Arc A770"[/bold]'
EPILOG = (
    f"Examples: {EXAMPLE} · [bold]gpubuild matrix --survey cards.txt --max-wheel-mb 200 --format github --out .[/bold]"
)
LIMITS = "Limits"
FORMATS = ("table", "json", "github", "gitlab")

Cover = Annotated[
    list[str] | None, typer.Option("--cover", metavar="CARDS", help="Cards or targets, parted by commas; repeatable.")
]
Survey = Annotated[
    Path | None,
    typer.Option("--survey", metavar="FILE", help="One card a line, perhaps with a share; or machines as JSON."),
]
Backends = Annotated[
    str | None, typer.Option("--backends", metavar="B,B", help="Which may be used. Default: cuda,rocm,vulkan.")
]
Also = Annotated[
    str | None, typer.Option("--also", metavar="B,B", help="Build these too, for any machine: cpu, vulkan.")
]
Os = Annotated[
    str | None, typer.Option("--os", metavar="S,S", help="Systems or platforms to serve. Default: linux-x86_64.")
]
Toolkits = Annotated[
    list[str] | None,
    typer.Option("--toolkits", metavar="SPEC", help='Only these, such as "cuda==13.*"; repeatable.',
                 rich_help_panel=LIMITS),
]  # fmt: skip
MaxJobs = Annotated[int | None, typer.Option("--max-jobs", metavar="N", min=1, rich_help_panel=LIMITS)]
MaxMb = Annotated[
    int | None,
    typer.Option("--max-wheel-mb", metavar="N", min=1, help="Estimated; more targets go into another wheel.",
                 rich_help_panel=LIMITS),
]  # fmt: skip
MaxMinutes = Annotated[
    int | None,
    typer.Option("--max-minutes", metavar="N", min=1, help="Of a cold job, estimated; more targets go into another.",
                 rich_help_panel=LIMITS),
]  # fmt: skip
Glibc = Annotated[
    str | None,
    typer.Option("--glibc", metavar="VERSION", help="Oldest C library to start on.", rich_help_panel=LIMITS),
]
Driver = Annotated[
    str | None,
    typer.Option("--driver", metavar="VERSION", help="Oldest NVIDIA driver to run on.", rich_help_panel=LIMITS),
]
Profile = Annotated[str, typer.Option("--profile", metavar="portable|minimal", help="Of every job.")]
Source = Annotated[str | None, typer.Option("--source", metavar="NAME", help="One source for every job.")]
Cores = Annotated[int, typer.Option("--cores", metavar="N", min=1, help="Of the machine a job runs on.")]
Partial = Annotated[bool, typer.Option("--partial", help="Leave out what cannot be served instead of refusing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

matrix_app = typer.Typer(
    help="Which builds serve these cards? The smallest set, as a table or as CI jobs.", epilog=EPILOG
)


@matrix_app.callback(invoke_without_command=True)
def matrix_command(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    cover: Cover = None,
    survey: Survey = None,
    backends: Backends = None,
    also: Also = None,
    systems: Os = None,
    toolkits: Toolkits = None,
    max_jobs: MaxJobs = None,
    max_mb: MaxMb = None,
    max_minutes: MaxMinutes = None,
    glibc: Glibc = None,
    driver: Driver = None,
    profile: Profile = "portable",
    source: Source = None,
    cores: Cores = 4,
    partial: Partial = False,
    form: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS))] = "table",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="With github or gitlab: write workflow and locks into this repository."
        ),
    ] = None,
    gpubuild: Annotated[
        str | None, typer.Option("--gpubuild", metavar="SPEC", help="What the jobs' pip installs to have gpubuild.")
    ] = None,
    url: Annotated[str, typer.Option("--url", help="Where the index will be served, for the lines on its page.")] = "",
    cache: Annotated[
        str, typer.Option("--cache", metavar="URL", help="Shared compiler cache of the jobs: redis://..., s3://...")
    ] = "",
    as_json: Json = False,
) -> None:
    """Compute the smallest set of builds that serves a list of cards, with the reason of each."""
    if context.invoked_subcommand is not None:
        _refuse_misplaced(context, context.invoked_subcommand)
        return
    form = "json" if as_json else _known(form)
    wish = make_wish(
        cover=cover, survey=survey, backends=backends, also=also, systems=systems, toolkits=toolkits, glibc=glibc,
        driver=driver, profile=profile, source=source, cores=cores, partial=partial,
        limits=(max_jobs, max_mb, max_minutes),
    )  # fmt: skip
    _check_out(form, out)
    from buildtool.matrix import solve
    from buildtool.matrix.ci import Ci

    found = solve(wish, find_sites(wish))
    if form == "json":
        print_json(found)
    elif form == "table":
        show(found)
    else:
        ci = Ci(url=url, cache=cache) if gpubuild is None else Ci(gpubuild=gpubuild, url=url, cache=cache)
        _workflow(found, cast("Provider", form), ci, out)


def _refuse_misplaced(context: typer.Context, command: str) -> None:
    """Refuse options that stand before a command of the matrix, where it does not see them."""
    sources = [context.get_parameter_source(name) for name in context.params]
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        what = f"Options stand behind the command: gpubuild matrix {command} ..."
        raise typer.BadParameter(what)


def _check_out(form: str, out: Path | None) -> None:
    from buildtool.errors import InvalidInputError

    if out is not None and form not in {"github", "gitlab"}:
        what = f"--out writes a workflow and its locks; --format {form} is only printed."
        raise InvalidInputError(what, hint="Add --format github or --format gitlab.")


def _known(form: str) -> str:
    from buildtool.errors import UnknownNameError

    if form in FORMATS:
        return form
    what = f"There is no --format {form!r}."
    raise UnknownNameError(what, hint=f"Choose from {', '.join(FORMATS)}.")


def make_wish(  # noqa: PLR0913 - one parameter per option
    *,
    cover: list[str] | None,
    survey: Path | None,
    backends: str | None,
    also: str | None,
    systems: str | None,
    toolkits: list[str] | None,
    glibc: str | None,
    driver: str | None,
    profile: str,
    source: str | None,
    cores: int,
    partial: bool,
    limits: tuple[int | None, int | None, int | None],
) -> Wish:
    """Turn options into what the matrix is for.

    Raises:
        UnknownNameError: a backend, toolkit, source or profile nobody knows.
        InvalidInputError: a survey that cannot be read, a malformed version, or nothing to serve.
    """
    from buildtool.compat.model import Profile as Profiles
    from buildtool.matrix.survey import read_survey, split_cards
    from buildtool.matrix.wishes import backend_names, profile_name, system_names, version

    cards = tuple(card for text in cover or () for card in split_cards(text))
    cards += read_survey(survey) if survey is not None else ()
    from buildtool.matrix import Wish

    most_jobs, most_mb, most_minutes = limits
    return Wish(
        cards=cards,
        systems=system_names(systems),
        backends=backend_names("--backends", backends) or ("cuda", "rocm", "vulkan"),
        also=backend_names("--also", also, ("cpu", "vulkan")),
        toolkits=tuple(toolkits or ()),
        profile=cast("Profiles", profile_name(profile)),
        source=source,
        glibc=version("--glibc", glibc),
        driver=version("--driver", driver),
        most_jobs=most_jobs,
        most_mb=most_mb,
        most_minutes=most_minutes,
        cores=cores,
        partial=partial,
    )


def find_sites(wish: Wish) -> tuple[Site, ...]:
    """Return where the jobs run: platforms of the table, or this machine."""
    from buildtool.matrix import here, sites
    from buildtool.matrix.platforms import HERE

    if HERE in wish.systems:
        from buildtool.probe import detect

        return (here(detect()),)
    return sites(wish.systems)


def show(found: Matrix) -> None:
    """Print the table, why there are no fewer jobs, and what is not served."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("Job", "Toolkit", "Targets", "Serves", "glibc", "MB", "Minutes"):
        table.add_column(title, overflow="fold", justify="right" if title in {"MB", "Minutes"} else "left")
    for job in found.jobs:
        about = "" if job.measured else "~"
        table.add_row(
            job.name, job.toolkit + (" (root fs)" if job.provider == "rootfs" else ""), " ".join(job.targets),
            escape(", ".join(job.cards)), f"<={job.glibc}" if job.glibc else "", f"{about}{job.megabytes}",
            f"{about}{job.minutes}",
        )  # fmt: skip
    stdout_console().print(table)
    typer.echo("")
    for job in found.jobs:
        typer.echo(f"{job.name} on {job.platform}{'' if job.proved else ' (unproved)'}: {job.reason}.")
    typer.echo(f"\n{found.fewest} job{'' if found.fewest == 1 else 's'}, and no fewer will do:")
    for line in found.proof:
        typer.echo(f"  {line}")
    for one in found.unserved:
        typer.echo(f"not served: {one.card} on {one.os}: {'; '.join(one.why)}")
    if any(not job.measured for job in found.jobs):
        typer.echo("~ an estimate that nobody has measured yet")


def _workflow(found: Matrix, provider: Provider, ci: Ci, out: Path | None) -> None:
    from buildtool.matrix.write import render, write

    if ci.secret_cache:
        where = "a secret" if provider == "github" else "a masked variable"
        note = f"The cache's address holds a password, so it is not written down: set GPUBUILD_REMOTE_CACHE as {where}."
        stderr_console().print(note, markup=False, soft_wrap=True)
    if out is None:
        typer.echo(render(found, provider, ci), nl=False)
        stderr_console().print("The jobs need their locks beside it: write both with --out DIR.", markup=False)
        return
    for path in write(found, provider, ci, out):
        typer.echo(str(path))


@matrix_app.command("check", epilog="Example: [bold]gpubuild matrix check gpubuild-matrix/matrix.json jobs/[/bold]")
def check_command(
    matrix: Annotated[Path, typer.Argument(metavar="FILE", help="matrix.json, as --out wrote it.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The wheels of all jobs, in any folders below.")],
    as_json: Json = False,
) -> None:
    """Check that every promised wheel is there, unchanged since it was packed, with exactly the planned device code."""
    from buildtool.matrix.check import check, load_listed

    done = check(load_listed(matrix), folder)
    if as_json:
        print_json({"schema": 1, "checked": done})
        return
    for one in done:
        inside = f" ({', '.join(one.targets)})" if one.targets else ""
        typer.echo(f"{one.wheel}: as {one.job} promised{inside}")
