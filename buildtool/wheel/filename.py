"""The file name of a wheel: its fields, and the label that a variant (PEP 825, a draft) has behind them."""

from __future__ import annotations

PLATFORM = 4  # place of the platform tag, counted from 0, in a name without a build tag
FIELDS = 5


def label_of(filename: str) -> str:
    """Return the label of a variant wheel, "" for any other."""
    fields = filename.removesuffix(".whl").split("-")
    plain = FIELDS + (len(fields) > FIELDS and fields[2][:1].isdigit())  # a build tag begins with a digit
    return fields[plain] if len(fields) == plain + 1 else ""


def plain_name(filename: str) -> str:
    """Return the name that a variant wheel has as a plain one, for programs that know of no variants."""
    label = label_of(filename)
    return f"{filename.removesuffix(f'-{label}.whl')}.whl" if label else filename


def platform_of(filename: str) -> str:
    """Return the platform tag of a wheel without a build tag."""
    return filename.removesuffix(".whl").split("-")[PLATFORM]


def with_platform(filename: str, tag: str) -> str:
    """Return the name of the same wheel for another platform."""
    fields = filename.removesuffix(".whl").split("-")
    fields[PLATFORM] = tag
    return "-".join(fields) + ".whl"
