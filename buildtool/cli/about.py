"""``gpubuild inspect --about``: what wheels say of themselves, checked against their bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from buildtool.cli.console import print_json, stdout_console

if TYPE_CHECKING:
    from buildtool.wheel.about import About


def show_about(paths: list[Path], key_file: Path | None, *, as_json: bool) -> None:
    """Check wheels and print what they are."""
    from buildtool.wheel.about import about_wheel

    key = None
    if key_file is not None:
        from buildtool.wheel.signing import read_public_key

        key = read_public_key(key_file)
    found = [about_wheel(path, key) for path in _wheels(paths)]
    if as_json:
        print_json({"schema": 1, "wheels": found})
        return
    for one in found:
        _render(one)


def _wheels(paths: list[Path]) -> list[Path]:
    """Return the wheels that paths name; a folder stands for those in it."""
    from buildtool.errors import InvalidInputError

    wheels: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.whl")) if path.is_dir() else [path]
        if not inside:
            what = f"There is no wheel in {path}."
            raise InvalidInputError(what, hint="--about is for wheels; without it, inspect reads any binary.")
        wheels += inside
    return wheels


def _render(about: About) -> None:
    from rich.markup import escape

    wheel, out = about.wheel, stdout_console()
    signed = {
        "none": "not signed",
        "not-checked": f"signed by key {', '.join(one[:16] for one in about.signers)}, not checked: give --key",
        "valid": f"signed by key {', '.join(one[:16] for one in about.signers)}, which is the one given",
    }
    rows = [
        ("sha256", wheel.sha256),
        ("files", f"{wheel.files}, each as RECORD lists it" + (", and as its provenance does" if wheel.tools else "")),
        ("plan", f"{wheel.plan} ({wheel.role})" if wheel.plan else "none inside: not packed by this gpubuild"),
        ("source", ", patched: ".join(filter(None, [wheel.source, " ".join(wheel.patches)]))),
        ("backend", " ".join(filter(None, [wheel.backend, *wheel.targets]))),
        ("variant", ": ".join(filter(None, [wheel.variant, ", ".join(wheel.properties)]))),
        ("built with", ", ".join(filter(None, [wheel.toolkit, wheel.compiler]))),
        ("packed with", ", ".join(f"{name} {version}" for name, version in sorted(wheel.tools.items()))),
        ("materials", f"{wheel.components} components (CycloneDX)" if wheel.components else ""),
        ("signature", signed[about.signature]),
    ]
    out.print(f"[bold]{escape(wheel.filename)}[/bold]")
    for name, value in rows:
        if value:
            out.print(f"  {name:<12} {escape(value)}")
