"""``gpubuild matrix run``: the same jobs as in CI, here, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildtool.cli import matrix as options
from buildtool.cli.console import print_json, stdout_console

if TYPE_CHECKING:
    from buildtool.cli.progress import Reporter
    from buildtool.errors import GpubuildError
    from buildtool.matrix import Job
    from buildtool.matrix.run import Cost, Ran

WIDTH = 80
EPILOG = 'Example: [bold]gpubuild matrix run --cover "RTX 3060, H100" --also cpu --dir wheels[/bold]'


def run_command(  # noqa: PLR0913, PLR0917 - one parameter per option
    cover: options.Cover = None,
    survey: options.Survey = None,
    backends: options.Backends = None,
    also: options.Also = None,
    toolkits: options.Toolkits = None,
    max_jobs: options.MaxJobs = None,
    max_mb: options.MaxMb = None,
    max_minutes: options.MaxMinutes = None,
    driver: options.Driver = None,
    profile: options.Profile = "portable",
    source: options.Source = None,
    cores: options.Cores = 4,
    partial: options.Partial = False,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Wheels of each job, logs, state, and the index.")
    ] = Path("gpubuild-matrix-run"),
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Parallel compile jobs.")] = None,
    as_json: options.Json = False,
) -> None:
    """Run every job of a matrix on this machine, then check and index the wheels. Goes on where it was stopped."""
    wish = options.make_wish(
        cover=cover, survey=survey, backends=backends, also=also, systems="here", toolkits=toolkits, glibc=None,
        driver=driver, profile=profile, source=source, cores=cores, partial=partial,
        limits=(max_jobs, max_mb, max_minutes),
    )  # fmt: skip
    from buildtool.cli.progress import Reporter
    from buildtool.matrix import solve
    from buildtool.matrix.run import run

    matrix = solve(wish, options.find_sites(wish))
    with Reporter(quiet=as_json) as reporter:
        ran = run(matrix, folder, _Told(reporter), jobs=jobs)
    if as_json:
        print_json({"schema": 1, "ran": ran})
        return
    _show(ran)


class _Told:
    """Shows the jobs: a line for each, and the build's own last line while it runs."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.label = ""
        self.place = (0, 1)

    def job(self, number: int, total: int, job: Job) -> None:
        self.place = (number - 1, total)
        self.label = f"{number}/{total} {job.name}"
        self.reporter.note(f"{self.label}: {job.toolkit or 'host compiler'} {' '.join(job.targets)}".rstrip())

    def line(self, text: str) -> None:
        self.reporter.show(self.label, *self.place, text.strip()[: max(20, WIDTH - len(self.label) - 2)])

    def done(self, cost: Cost, *, before: bool) -> None:
        from buildtool.cli.progress import clock

        self.reporter.clear()
        self.reporter.note(f"  {'was done before' if before else 'done'}, {clock(cost.seconds)} in all")

    def failed(self, job: Job, error: GpubuildError) -> None:
        self.reporter.clear()
        self.reporter.note(f"  {job.name} failed: {error.what}")


def _show(ran: Ran) -> None:
    from rich.table import Table

    from buildtool.cli.progress import clock

    table = Table(box=None, pad_edge=False, show_edge=False)
    for title in ("Job", "Time", "Cache hits", "Misses", "MB"):
        table.add_column(title, justify="left" if title == "Job" else "right")
    for cost in ran.costs:
        megabytes = sum(made.bytes for made in cost.wheels) / 1e6
        table.add_row(cost.job, clock(cost.seconds), str(cost.hits), str(cost.misses), f"{megabytes:.1f}")
    total = sum(cost.seconds for cost in ran.costs)
    table.add_row("all", clock(total), "", "", "")
    stdout_console().print(table)
    typer.echo(f"\nIndex: {ran.index.path}; serve it: gpubuild index serve {ran.index.path}")
