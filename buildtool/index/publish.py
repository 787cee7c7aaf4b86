"""Writes an index: wheels first, then the pages that name them, then away with what no page names any more.

Every file appears by a rename. A reader who comes in between sees a page as it was or as it will be, and finds every
wheel it names. Nothing in an index depends on when or where it was written.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from buildtool.errors import InvalidInputError, UnknownNameError
from buildtool.index.collect import Found, catalogue_of, collect, require_folder
from buildtool.index.groups import Group, groups
from buildtool.index.model import CATALOGUE, Catalogue, IndexedWheel
from buildtool.index.page import people_page
from buildtool.index.simple import group_pages
from buildtool.store.digest import sha256_of
from buildtool.store.paths import resolved
from buildtool.store.placing import draft_of, write_whole
from buildtool.store.storage import require_space, storage_errors

PAGES = ("index.html", "index.json")


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """An index that was written: where, its catalogue, and its sub-indexes by folder."""

    path: str
    catalogue: Catalogue
    folders: tuple[str, ...]
    written: int


def build_index(folders: tuple[Path, ...], out: Path, *, url: str = "", replace: bool = False) -> Built:
    """Index the wheels below some folders in `out`, which may be one of them.

    Args:
        folders: are searched for wheels; those of `out` itself stay.
        out: the index; wheels from elsewhere are copied into it.
        url: where it will be served, for the lines on its page.
        replace: let a wheel take the place of a different one published under its name.

    Raises:
        InvalidInputError: no wheels, something that is no wheel, or two wheels of one name.
        IntegrityError: a wheel was changed after packing or after it was published.
        StorageError: `out` cannot be written.
    """
    from filelock import FileLock

    for folder in folders:
        require_folder(folder)
    with storage_errors(out, "the index"):
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".gpubuild-index.lock"):
            published = catalogue_of(out)
            sources = dict.fromkeys(resolved(path) for path in (*folders, out))
            if replace:
                published = Catalogue(wheels=())
                sources = dict.fromkeys(resolved(path) for path in folders)
            found = collect(sources, published)
            return _write(found, out, url)


def yank(folder: Path, name: str, reason: str | None) -> Built:
    """Withdraw a wheel (PEP 592), or with `reason` None take that back; its page and catalogue tell why.

    Args:
        folder: the index.
        name: the wheel's file name.
        reason: in words; may be empty.

    Raises:
        UnknownNameError: the index has no such wheel.
        InvalidInputError: there is no such folder.
    """
    from filelock import FileLock

    if not folder.exists() and not folder.is_symlink():
        require_folder(folder)  # the lock would make it
    with storage_errors(folder, "the index"), FileLock(folder / ".gpubuild-index.lock"):
        catalogue = catalogue_of(folder)
        if all(wheel.filename != name for wheel in catalogue.wheels):
            what = f"The index {folder} has no wheel {name}."
            raise UnknownNameError(what, hint="Name one of its files.", details=_names(catalogue))
        marked = tuple(
            msgspec.structs.replace(wheel, yanked=reason) if wheel.filename == name else wheel
            for wheel in catalogue.wheels
        )
        return _write(collect([resolved(folder)], Catalogue(wheels=marked)), folder, _url_of(folder))


def _names(catalogue: Catalogue) -> tuple[str, ...]:
    return tuple(wheel.filename for wheel in catalogue.wheels)


URL_FILE = ".gpubuild-index-url"  # so that yanking writes the page with the same address


def _url_of(folder: Path) -> str:
    path = folder / URL_FILE
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _write(found: tuple[Found, ...], out: Path, url: str) -> Built:
    wheels = tuple(one.wheel for one in found)
    made = groups(wheels)
    written = sum(_place_wheel(one, out) for one in found)
    for group in made:
        for name, content in group_pages(group).items():
            written += _place(out / group.folder / name, content)
    written += _place(out / "index.html", people_page(made, wheels, url))
    catalogue = Catalogue(wheels=wheels)
    encoded = msgspec.json.format(msgspec.json.encode(catalogue), indent=1) + b"\n"
    written += _place(out / CATALOGUE, encoded)
    if url:
        _place(out / URL_FILE, f"{url}\n".encode())
    else:
        (out / URL_FILE).unlink(missing_ok=True)
    _sweep(out, made, wheels)
    folders = tuple(group.folder for group in made)
    return Built(path=str(out.absolute()), catalogue=catalogue, folders=folders, written=written)


def _place_wheel(one: Found, out: Path) -> int:
    target = out / one.wheel.filename
    count = _place(out / f"{one.wheel.filename}.metadata", one.metadata)
    if one.path.resolve() == target.resolve():
        return count
    if target.is_file() and sha256_of(target) == one.wheel.sha256:
        return count
    require_space(out, one.wheel.bytes, "a copy of the wheel")
    with draft_of(target) as draft:
        shutil.copyfile(one.path, draft)
        if sha256_of(draft) != one.wheel.sha256:
            what = f"{one.path} changed while it was copied."
            raise InvalidInputError(what, hint="Index again when nothing writes there.")
    return count + 1


def _place(path: Path, content: bytes) -> int:
    """Write a file unless it is there already; return how many were written."""
    if path.is_file() and path.read_bytes() == content:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return 1


def _sweep(out: Path, made: tuple[Group, ...], wheels: tuple[IndexedWheel, ...]) -> None:
    """Delete pages of an earlier index that this one does not have, and nothing else."""
    kept = {out / group.folder / name for group in made for name in group_pages(group)}
    for page in sorted(out.glob("*/index.*")) + sorted(out.glob("*/*/index.*")):
        if page.name in PAGES and page not in kept and _is_ours(page):
            page.unlink()
            for folder in (page.parent, page.parent.parent):
                if folder != out and not any(folder.iterdir()):
                    folder.rmdir()
    names = {f"{wheel.filename}.metadata" for wheel in wheels}
    for path in out.glob("*.whl.metadata"):
        if path.name not in names:
            path.unlink()


def _is_ours(page: Path) -> bool:
    head = page.read_bytes()[:400]
    return b'name="pypi:repository-version"' in head or b'"api-version"' in page.read_bytes()
