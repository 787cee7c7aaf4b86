"""Read the probe's own data tables; a wrong row is `DataError`, never a surprise later."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from buildtool.errors import DataError

DATA = Path(__file__).parent / "data"
Table = TypeVar("Table")


def load_table(name: str, kind: type[Table]) -> Table:
    """Read ``data/<name>`` as `kind`.

    Raises:
        DataError: the file is missing, is no TOML, or has an unknown or ill-typed field.
    """
    try:
        return msgspec.convert(tomllib.loads((DATA / name).read_text(encoding="utf-8")), kind)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        what = f"The probe's table {name} cannot be used."
        raise DataError(what, why=str(error), hint="Reinstall gpubuild.") from error
