"""Get the source tree that a plan names."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from buildtool.compat.model import PlanSource
from buildtool.errors import InvalidInputError
from buildtool.source.local import local_tree
from buildtool.source.model import SourceTree
from buildtool.source.unpacked import fill_tree
from buildtool.store.entries import Entry, Filled, Store
from buildtool.store.progress import Progress

KIND = "src"
LAYOUT = "1"  # part of every key: a change in what a tree of the store looks like makes new entries


def resolve(source: PlanSource, *, progress: Progress | None = None) -> PlanSource:
    """Fix what `source` leaves open, so that a lock file names exactly one tree: commit, or archive hash.

    Args:
        source: as the user or the recipe gave it.
        progress: told about a download.

    Returns:
        The same source with `ref` a commit (git) and `sha256` set (archive).

    Raises:
        NetworkError: the repository or server cannot be reached.
        UnknownNameError: the repository has no such tag.
    """
    if source.kind == "git":
        from buildtool.source.git import resolve_commit

        return msgspec.structs.replace(source, ref=resolve_commit(*_git_address(source)))
    if source.kind == "archive" and source.sha256 is None:
        from buildtool.store.download import Downloads
        from buildtool.store.index import Index

        with Index() as index:
            measured = Downloads(index, progress=progress).measure(_url(source))
        return msgspec.structs.replace(source, sha256=measured.sha256)
    return source


def acquire(source: PlanSource, *, progress: Progress | None = None, store: Store | None = None) -> SourceTree:
    """Return the tree of `source`, fetching it into the store when it is not there.

    Args:
        source: which tree.
        progress: told about downloads, unpacking and waiting.
        store: where trees are kept (default: the user's store).

    Raises:
        NetworkError: it cannot be fetched.
        IntegrityError: its bytes are not the pinned ones.
        UnsafeArchiveError: its archive would write outside its folder.
        InvalidInputError: it holds no CMakeLists.txt where the plan says.
        StorageError: the store is full or cannot be written.
    """
    if source.kind == "local":
        return local_tree(_url(source), source.subdir)
    source = resolve(source, progress=progress)
    store = store or Store()
    if source.kind == "git":
        return _tree(_from_git(source, store, progress))
    return _tree(_from_archive(source, store, progress))


def _tree(entry: Entry) -> SourceTree:
    return SourceTree(path=str(entry.path), digest=entry.facts["digest"])


def _from_git(source: PlanSource, store: Store, progress: Progress | None) -> Entry:
    from buildtool.source.git import exported

    url, commit = _git_address(source)
    name = re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))[-1]

    def fill(content: Path) -> Filled:
        with exported(url, commit, content.parent) as archive:
            return fill_tree(archive, source.subdir, f"{url} at {commit}", content, progress)

    key = _key(f"{name}-{commit[:10]}", url, commit, source.subdir)
    return store.ensure(KIND, key, fill, read_only=True, progress=progress)


def _from_archive(source: PlanSource, store: Store, progress: Progress | None) -> Entry:
    from buildtool.store.download import Downloads, Wanted, file_name, locate
    from buildtool.store.index import Index

    pin, url = source.pin, source.url
    if pin is not None:
        name, sha256, origin = f"{pin.name}-{pin.version}", pin.sha256, f"{pin.name} {pin.version} (package registry)"
    elif url is not None and source.sha256 is not None:
        name, sha256, origin = file_name(url).partition(".tar")[0], source.sha256, url
    else:
        what = f"The source {source.name!r} says neither which registry file nor which address it is."
        raise InvalidInputError(what)

    def wanted(index: Index) -> Wanted:
        if pin is not None:
            return locate(index, pin.name, pin.filename, pin.sha256)
        return Wanted(filename=file_name(str(url)), sha256=sha256, urls=(str(url),))

    def fill(content: Path) -> Filled:
        with Index() as index, Downloads(index, progress=progress).fetched(wanted(index)) as archive:
            return fill_tree(archive, source.subdir, origin, content, progress)

    return store.ensure(KIND, _key(name, sha256, source.subdir), fill, read_only=True, progress=progress)


def _key(name: str, *identity: str) -> str:
    words = re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-._+")[:48] or "source"
    digest = hashlib.sha256("\0".join((LAYOUT, *identity)).encode()).hexdigest()
    return f"{words}-{digest[:12]}"


def _git_address(source: PlanSource) -> tuple[str, str]:
    if not source.ref:
        what = f"The git source {source.name!r} names no tag or commit."
        raise InvalidInputError(what, hint="Write it as URL#TAG.")
    return _url(source), source.ref


def _url(source: PlanSource) -> str:
    if not source.url:
        what = f"The source {source.name!r} has no address."
        raise InvalidInputError(what)
    return source.url
