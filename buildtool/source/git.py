"""Sources from a git repository: one commit, fetched shallow, exported as an archive."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from buildtool.errors import InvalidInputError, MissingToolError, NetworkError, ProcessError, UnknownNameError
from buildtool.process import run

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{7,63}")
ALLOWED_PROTOCOLS = "https:http:ssh:git:file"
LIST_TIMEOUT_S = 120.0
FETCH_TIMEOUT_S = 3600.0
NETWORK_HINT = "Check the address and the network; git uses its own proxy settings (git config http.proxy)."


def checked_address(url: str, ref: str) -> None:
    """Refuse what git would take for an option or for a command to run.

    Raises:
        InvalidInputError: `url` or `ref` is such.
    """
    for value, name in ((url, "repository"), (ref, "tag or commit")):
        if not value or value.startswith("-") or any(ord(sign) < ord(" ") for sign in value):
            what = f"{value!r} is not a {name} that can be fetched."
            raise InvalidInputError(what, hint="Write it as https://host/path#tag.")
    if re.match(r"^\w+::", url):
        what = f"{url!r} names a git remote helper, which would run a command."
        raise InvalidInputError(what, hint="Use an https, ssh or file address.")
    if re.search(r"[ ~^:?*\[\\]|\.\.|@\{|/$|\.lock$", ref):
        what = f"{ref!r} is not the name of a tag, branch or commit."
        raise InvalidInputError(what)


def resolve_commit(url: str, ref: str) -> str:
    """Return the commit that `ref` names in the repository at `url`; a full commit names itself.

    A commit may be shortened where a tag or branch points at it, and at no other that begins so.

    Raises:
        UnknownNameError: the repository has no such tag or branch.
        NetworkError: the repository cannot be reached.
        MissingToolError: git is not installed.
    """
    checked_address(url, ref)
    if COMMIT.fullmatch(ref):
        return ref
    listed = _git(["ls-remote", "--", url], timeout_s=LIST_TIMEOUT_S)
    rows = (line.partition("\t") for line in listed.splitlines())
    names = {name: commit for commit, tab, name in rows if tab}
    for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
        if name in names:
            return names[name]
    begun = {commit for commit in names.values() if commit.startswith(ref)} if SHORT_COMMIT.fullmatch(ref) else set()
    if len(begun) == 1:
        return begun.pop()
    what = f"{url} has no tag or branch {ref!r}."
    tags = [name.removeprefix("refs/tags/") for name in names if name.startswith("refs/tags/")]
    near = _near(ref, [tag for tag in tags if not tag.endswith("^{}")])
    hint = f"Did you mean {near}?" if near else "Name a tag, a branch or a full commit."
    raise UnknownNameError(what, hint=hint)


def _near(name: str, names: Sequence[str]) -> str:
    import difflib

    return ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.5))


@contextmanager
def exported(url: str, commit: str, room: Path) -> Iterator[Path]:
    """Yield a tar archive of `commit`, made below the folder `room` and deleted afterwards.

    The tree is exported as an archive and not checked out, so that it passes the same door as every other
    source, and no hook or filter of the repository runs. Submodules are left out.

    Raises:
        NetworkError: the repository cannot be reached or does not give this commit.
    """
    checked_address(url, commit)
    with tempfile.TemporaryDirectory(prefix="git-", dir=room) as folder:
        repository, archive = Path(folder, "r"), Path(folder, f"{commit[:12]}.tar")
        _git(["init", "--quiet", "--bare", str(repository)], timeout_s=LIST_TIMEOUT_S)
        fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, commit]
        _git([f"--git-dir={repository}", *fetch], timeout_s=FETCH_TIMEOUT_S)
        _git(
            [f"--git-dir={repository}", "archive", "--format=tar", f"--output={archive}", "FETCH_HEAD"],
            timeout_s=FETCH_TIMEOUT_S,
        )
        yield archive


def _git(arguments: Sequence[str], *, timeout_s: float) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "SSL" in name}
    env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ALLOWED_PROTOCOLS, "LC_ALL": "C"}
    try:
        return run(["git", *arguments], env=env, timeout_s=timeout_s).output
    except ProcessError as error:
        what = "git could not fetch the source."
        raise NetworkError(what, why=error.why, hint=NETWORK_HINT, details=error.details) from error
    except MissingToolError as error:
        what = "git is not installed, and this source is a git repository."
        hint = "Install git (apt install git, dnf install git), or use a source from the package registry."
        raise MissingToolError(what, hint=hint) from error
