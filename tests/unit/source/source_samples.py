"""A tiny source tree, as an archive and as a git repository."""

from __future__ import annotations

from pathlib import Path

from archive_samples import tar

from buildtool.process import run

FILES = {"CMakeLists.txt": b"project(tiny)", "src/main.cpp": b"int main() {}", "docs/readme": b"words"}


def sdist(path: Path, top: str = "tiny-1.0/", subdir: str = "vendor/tiny/") -> bytes:
    """Return a source distribution that holds the tree in `subdir`, beside other things."""
    members = [(f"{top}{subdir}{name}", content) for name, content in FILES.items()]
    return tar(path, [(f"{top}PKG-INFO", b"Name: tiny"), *members, (f"{top}vendor/other/x", b"x")]).read_bytes()


def write_tree(folder: Path) -> Path:
    """Write the tree itself."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` as somebody."""
    who = ["-c", "user.name=n", "-c", "user.email=e@example.invalid", "-c", "init.defaultBranch=main"]
    return run(["git", *who, *arguments], cwd=folder).output.strip()


def repository(folder: Path) -> tuple[str, str]:
    """Make a repository with the tag ``v1``; return its address and the tagged commit."""
    write_tree(folder)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    git(folder, "tag", "-am", "first", "v1")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "later").write_text("later")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "two")
    return folder.as_uri(), commit
