"""Which source tree: a name the recipe offers, a path, a git URL with a tag, or an archive URL."""

from __future__ import annotations

import datetime as dt
import hashlib
import re

import msgspec

from buildtool.compat.model import Pin, PlanSource
from buildtool.compat.recipes import Recipe, RecipeSource
from buildtool.compat.versions import suggest
from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.store.address import split_address

ARCHIVES = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")
UNKNOWN_VERSION = "0.0.0"
_URL = re.compile(r"^(?:git\+)?[a-z][a-z0-9+.-]*://|^[\w.-]+@[\w.-]+:")
_SHA256 = re.compile(r"^sha256=([0-9a-f]{64})$")


class SourceChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A source with what the engine must know about it.

    Attributes:
        plan: what the Plan records.
        date: how old the tree is at most; None for today's upstream.
        label: what tells it apart in a wheel's local version.
        build: upstream's number of the build, 0 where nothing tells it.
        facts: where the facts about it come from.
    """

    plan: PlanSource
    date: dt.date | None
    label: str
    build: int = 0
    facts: tuple[str, ...] = ()


def choose_sources(wish: str | None, recipe: Recipe) -> tuple[SourceChoice, ...]:
    """Return the sources that `wish` admits, best first; without a wish, all that the recipe offers.

    Raises:
        UnknownNameError: a name that the recipe does not offer.
        InvalidInputError: a URL that is none, or names neither an archive nor a tag.
    """
    if wish is None:
        return tuple(_offered(row) for row in recipe.sources)
    text = wish.strip()
    if _URL.match(text):
        return (_from_url(text),)
    found = _by_name(text, recipe)
    if found:
        return (_offered(found),)
    if is_path(text, recipe):
        return (_local(text),)
    raise _unknown(text, recipe)


def is_path(text: str, recipe: Recipe) -> bool:
    """Whether a wish means a local tree: it looks like a path, and is neither a name nor a URL."""
    looks = text in {".", ".."} or "/" in text or "\\" in text or text.startswith("~")
    return looks and not _URL.match(text) and _by_name(text, recipe) is None


def _offered(row: RecipeSource) -> SourceChoice:
    pin = Pin(name=row.distribution, version=row.release, filename=row.filename, sha256=row.sha256)
    plan = PlanSource(kind="sdist", name=row.name, version=row.version, pin=pin, subdir=row.subdir)
    return SourceChoice(plan=plan, date=row.date, label=row.label, build=row.build, facts=row.source)


def _by_name(text: str, recipe: Recipe) -> RecipeSource | None:
    word = re.sub(r"\s*(==|@)\s*", "-", text.lower())
    for row in recipe.sources:
        if word in {row.name, row.label, row.distribution}:
            return row
    return None


def _local(text: str) -> SourceChoice:
    plan = PlanSource(kind="local", name=text, version=UNKNOWN_VERSION, url=text)
    return SourceChoice(plan=plan, date=None, label="local")


def _from_url(text: str) -> SourceChoice:
    url, _, fragment = text.removeprefix("git+").partition("#")
    if "://" in url:  # not as git's own way to write user@host:path
        split_address(url)
    if url.lower().endswith(ARCHIVES) and not text.startswith("git+"):
        checked = _SHA256.match(fragment.lower())
        if fragment and checked is None:
            what = f"{fragment!r} is not a checksum."
            raise InvalidInputError(what, hint=f"Write it as {url}#sha256=<64 hexadecimal digits>.")
        sha256 = checked[1] if checked else None
        label = "archive." + (sha256 or hashlib.sha256(url.encode()).hexdigest())[:8]
        plan = PlanSource(kind="archive", name=url, version=UNKNOWN_VERSION, url=url, sha256=sha256)
        return SourceChoice(plan=plan, date=None, label=label)
    if not fragment:
        what = f"{text!r} names neither an archive nor a tag."
        raise InvalidInputError(what, hint=f"Name the tag or commit: {url}#b11434")
    label = "git." + (re.sub(r"[^a-z0-9]+", "", fragment.lower()) or "ref")
    plan = PlanSource(kind="git", name=url, version=_tag_version(fragment), url=url, ref=fragment)
    return SourceChoice(plan=plan, date=None, label=label)


def _tag_version(ref: str) -> str:
    """Return the version a tag states (``v0.6.0``), else "unknown": a build tag does not tell it."""
    found = re.fullmatch(r"v?(\d+(?:\.\d+)+)", ref)
    return found[1] if found else UNKNOWN_VERSION


def _unknown(text: str, recipe: Recipe) -> UnknownNameError:
    names = [row.name for row in recipe.sources]
    near = suggest(text.lower(), names)
    what = f"The recipe {recipe.name} offers no source {text!r}."
    hint = f"Did you mean {near[0]!r}?" if near else "A path needs a slash (./tree); a URL needs #tag."
    return UnknownNameError(what, hint=hint, details=tuple(names))
