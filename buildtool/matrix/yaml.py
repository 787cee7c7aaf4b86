"""Writes YAML from plain values, in the order given; scalars are quoted as JSON, which is YAML too."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

Value = str | int | bool | list["Value"] | Mapping[str, "Value"]
_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_./-]*$")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def dump(value: Mapping[str, Value], comment: str = "") -> str:
    """Return a document; `comment` stands above it."""
    head = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*head, *_mapping(value, 0), ""])


def _mapping(value: Mapping[str, Value], depth: int) -> Iterator[str]:
    for key, inner in value.items():
        yield from _entry(f"{' ' * depth}{_key(key)}:", inner, depth)


def _entry(head: str, inner: Value, depth: int) -> Iterator[str]:
    if isinstance(inner, str) and "\n" in inner:
        yield f"{head} |"
        yield from (f"{' ' * (depth + 2)}{line}".rstrip() for line in inner.rstrip("\n").split("\n"))
    elif isinstance(inner, Mapping) and inner:
        yield head
        yield from _mapping(inner, depth + 2)
    elif isinstance(inner, list) and inner:
        yield head
        yield from _sequence(inner, depth + 2)
    else:
        yield f"{head} {_scalar(inner)}"


def _sequence(values: list[Value], depth: int) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping) and value:
            first, *rest = _mapping(value, depth + 2)
            yield f"{' ' * depth}- {first.strip()}"
            yield from rest
        else:
            yield from _entry(f"{' ' * depth}-", value, depth)


def _key(key: str) -> str:
    return key if _PLAIN.match(key) and key.lower() not in _WORDS else json.dumps(key, ensure_ascii=False)


def _scalar(value: Value) -> str:
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, ensure_ascii=False)
