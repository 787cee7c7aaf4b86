"""``gpubuild inspect``: which device code is inside a binary, wheel or directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from buildtool.cli.console import print_json, stderr_console, stdout_console

if TYPE_CHECKING:
    from rich.console import Console

    from buildtool.codeobj import FileReport, Image, Inspection

EPILOG = (
    "Examples: [bold]gpubuild inspect dist/[/bold] · "
    "[bold]gpubuild inspect libcublasLt.so.13 --json[/bold] · "
    "[bold]gpubuild inspect some-rocm.whl --for-device 'RX 6600'[/bold] · "
    "[bold]gpubuild inspect libggml-cuda.so --kernels[/bold] · "
    "[bold]gpubuild inspect dist/ --about[/bold]"
)
SCREEN = 25  # verdicts; more of them are told by their reasons
COLOURS = {"yes": "green", "only-if": "yellow", "no": "red"}
ORDER = ["yes", "only-if", "no"]
ANSWERS = {"yes": "yes", "only-if": "only if", "no": "no"}


def inspect(  # noqa: PLR0913, PLR0917 - one parameter per option
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Binaries, wheels, archives, folders.")],
    device: Annotated[
        str | None,
        typer.Option("--for", metavar="TARGET", help="Say whether it runs on a device of this target."),
    ] = None,
    card: Annotated[
        str | None,
        typer.Option("--for-device", metavar="NAME", help="The same for a card by its name: 'RX 6600'."),
    ] = None,
    driver_cuda: Annotated[
        str | None,
        typer.Option("--driver-cuda", metavar="X.Y", help="Newest CUDA release the NVIDIA driver supports (for PTX)."),
    ] = None,
    kernels: Annotated[bool, typer.Option("--kernels", help="Unpack the code and list kernel names.")] = False,
    about: Annotated[
        bool,
        typer.Option("--about", help="Check wheels against what they say of themselves: plan, materials, signature."),
    ] = False,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="PUBLIC_KEY", help="With --about: demand a signature of this key.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show which GPU targets are inside a library, executable, wheel, package or folder."""
    if about or key is not None:
        from buildtool.cli.about import show_about

        show_about(paths, key, as_json=as_json)
        return
    from buildtool import codeobj

    device = _device(device, card)
    result = _merged([codeobj.inspect(path, kernels=kernels) for path in paths])
    if device is not None:
        from buildtool.codeobj import rules

        result = rules.judge(result, device, driver_cuda=driver_cuda)
    if as_json:
        print_json(result)
        return
    _render(result, kernels=kernels)


def _device(target: str | None, card: str | None) -> str | None:
    if card is None:
        return target
    if target is not None:
        raise typer.BadParameter("--for and --for-device both name the device.")  # noqa: EM101, TRY003 - typer's own error
    from buildtool.compat.devices import device_target

    return str(device_target(card))


def _merged(parts: list[Inspection]) -> Inspection:
    from buildtool.codeobj import natural

    if len(parts) == 1:
        return parts[0]
    return msgspec.structs.replace(
        parts[0],
        targets=natural({target for part in parts for target in part.targets}),
        files=tuple(file for part in parts for file in part.files),
        scanned=sum(part.scanned for part in parts),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def _render(result: Inspection, *, kernels: bool) -> None:
    from rich.markup import escape

    out = stdout_console()
    for problem in result.problems:
        stderr_console().print(f"[yellow]warning:[/yellow] {escape(problem.path)}: {escape(problem.what)}")
    if not result.files:
        out.print(f"no device code ({result.scanned} file{'s' * (result.scanned != 1)} read)")
        return
    if len(result.files) == 1:
        out.print(f"[bold]{escape(result.files[0].path)}[/bold]  {_about(result.files[0])}")
        _table(out, result.files[0])
    else:
        for file in result.files:
            out.print(f"[bold]{escape(file.path)}[/bold]  {_about(file)}  {escape(_summary(file))}")
    if kernels:
        for file in result.files:
            _kernels(out, file)
    out.print(f"targets: [bold]{escape(' '.join(result.targets))}[/bold]")
    _verdicts(out, result)


def _verdicts(out: Console, result: Inspection) -> None:
    """One line per file; of more than a screenful, one line per reason."""
    from rich.markup import escape

    lines: list[tuple[str, str]]
    if len(result.verdicts) <= SCREEN:
        lines = [(verdict.answer, f"{verdict.path}: {verdict.reason}") for verdict in result.verdicts]
    else:
        groups: dict[tuple[str, str], list[str]] = {}
        files = {file.path for file in result.files}
        for verdict in result.verdicts:
            nothing = verdict.answer == "no" and verdict.path in files
            reason = "nothing in it loads" if nothing else verdict.reason
            groups.setdefault((verdict.answer, reason), []).append(verdict.path)
        lines = [
            (answer, f"{_several(paths)}: {reason}")
            for (answer, reason), paths in sorted(groups.items(), key=lambda group: ORDER.index(group[0][0]))
        ]
    about = escape(str(result.device))
    for answer, words in lines:
        out.print(f"on {about}: [{COLOURS[answer]}]{ANSWERS[answer]}[/{COLOURS[answer]}]  {escape(words)}")


def _several(paths: list[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{len(paths)} files, {paths[0]} and others"


def _about(file: FileReport) -> str:
    return f"({file.format}, {_size(file.bytes)})"


def _groups(file: FileReport) -> dict[tuple[str, str], list[Image]]:
    """Images by kind and target, in natural order."""
    from buildtool.codeobj import natural

    groups: dict[tuple[str, str], list[Image]] = {}
    for image in file.images:
        groups.setdefault((image.kind, image.target), []).append(image)
    order = natural({target for _, target in groups})
    return dict(sorted(groups.items(), key=lambda item: (item[0][0], order.index(item[0][1]))))


def _summary(file: FileReport) -> str:
    kinds: dict[str, list[str]] = {}
    for kind, target in _groups(file):
        kinds.setdefault(kind, []).append(target or "?")
    return "; ".join(f"{kind} {' '.join(targets)}" for kind, targets in kinds.items())


def _table(out: Console, file: FileReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    table.add_column("kind")
    table.add_column("target")
    table.add_column("images", justify="right")
    table.add_column("bytes", justify="right")
    for (kind, target), images in _groups(file).items():
        table.add_row(kind, escape(target) or "?", str(len(images)), _size(sum(image.bytes for image in images)))
    out.print(table)


def _kernels(out: Console, file: FileReport) -> None:
    from rich.markup import escape

    for (kind, target), images in _groups(file).items():
        names = sorted({name for image in images for name in image.kernels})
        if names:
            out.print(f"[bold]{escape(file.path)}[/bold]  {kind} {escape(target)}: {len(names)} kernels")
            for name in names:
                out.print(f"  {escape(name)}")


def _size(count: int) -> str:
    value, units = float(count), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:  # noqa: PLR2004 - decimal units
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
