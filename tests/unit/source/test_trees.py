from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import pytest
from archive_samples import kind, tar
from file_server import FileServer, loopback
from source_samples import FILES, repository, sdist, write_tree

from buildtool.compat.model import Pin, PlanSource
from buildtool.errors import (
    IntegrityError,
    InvalidInputError,
    MissingToolError,
    NetworkError,
    UnknownNameError,
    UnsafeArchiveError,
)
from buildtool.source import acquire, resolve
from buildtool.source.digest import tree_digest

NAME = "tiny-1.0.tar.gz"
pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(autouse=True)
def without_pip(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildtool.store.index.configured_registry", lambda: loopback(server))


def pinned(sha256: str, subdir: str = "vendor/tiny") -> PlanSource:
    pin = Pin(name="tiny", version="1.0", filename=NAME, sha256=sha256)
    return PlanSource(kind="sdist", name="tiny", version="1.0", pin=pin, subdir=subdir)


def archived(url: str, sha256: str | None = None) -> PlanSource:
    return PlanSource(kind="archive", name=url, version="1.0", url=url, sha256=sha256, subdir="vendor/tiny")


def from_git(url: str, ref: str, subdir: str = "") -> PlanSource:
    return PlanSource(kind="git", name=url, version="1.0", url=url, ref=ref, subdir=subdir)


def content(tree: str) -> dict[str, bytes]:
    root = Path(tree)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_only_the_named_folder_of_an_sdist_is_kept(place: Path, server: FileServer, tmp_path: Path) -> None:
    sha256 = server.add_package("tiny", NAME, sdist(tmp_path / "x"))
    tree = acquire(pinned(sha256))
    assert content(tree.path) == FILES
    assert not tree.mutable
    assert Path(tree.path).is_relative_to(place / "store")
    assert not [path for path in (place / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_second_time_nothing_is_fetched(server: FileServer, tmp_path: Path) -> None:
    sha256 = server.add_package("tiny", NAME, sdist(tmp_path / "x"))
    first = acquire(pinned(sha256))
    server.requests.clear()
    assert acquire(pinned(sha256)) == first
    assert not server.requests


def test_the_tree_is_read_only(server: FileServer, tmp_path: Path) -> None:
    tree = acquire(pinned(server.add_package("tiny", NAME, sdist(tmp_path / "x"))))
    assert not (Path(tree.path) / "CMakeLists.txt").stat().st_mode & 0o222


def test_a_changed_sdist_is_refused_and_nothing_stays(place: Path, server: FileServer, tmp_path: Path) -> None:
    true = server.add_package("tiny", NAME, sdist(tmp_path / "x"), sha256="")
    server.pages[f"/files/{NAME}"].content += b"!"
    with pytest.raises(IntegrityError):
        acquire(pinned(true))
    assert not list((place / "store").glob("src/*"))
    assert not list((place / "store").glob("tmp/*"))


def test_a_hostile_sdist_is_refused_and_nothing_stays(place: Path, server: FileServer, tmp_path: Path) -> None:
    evil = tar(tmp_path / "x", [("tiny-1.0/vendor/tiny/CMakeLists.txt", b""), ("../evil", b"")]).read_bytes()
    with pytest.raises(UnsafeArchiveError, match="evil"):
        acquire(pinned(server.add_package("tiny", NAME, evil)))
    assert not list((place / "store").glob("*/*-*/tree"))
    assert not list((place / "store").glob("tmp/*"))


def test_a_link_from_the_tree_into_the_rest_of_the_archive_is_refused(server: FileServer, tmp_path: Path) -> None:
    members = [
        ("tiny-1.0/vendor/tiny/CMakeLists.txt", b""),
        ("tiny-1.0/vendor/tiny/link", kind(tarfile.SYMTYPE, "../other/x")),
    ]
    with pytest.raises(UnsafeArchiveError, match="link"):
        acquire(pinned(server.add_package("tiny", NAME, tar(tmp_path / "x", members).read_bytes())))


def test_a_folder_that_is_not_there_is_told(server: FileServer, tmp_path: Path) -> None:
    sha256 = server.add_package("tiny", NAME, sdist(tmp_path / "x"))
    with pytest.raises(InvalidInputError, match=r"holds no elsewhere/CMakeLists\.txt"):
        acquire(pinned(sha256, subdir="elsewhere"))


def test_an_archive_without_a_top_folder_works(server: FileServer, tmp_path: Path) -> None:
    data = sdist(tmp_path / "x", top="", subdir="")
    url = server.add("/flat.tar.gz", data)
    source = PlanSource(kind="archive", name=url, version="1", url=url, sha256=hashlib.sha256(data).hexdigest())
    assert FILES.items() <= content(acquire(source).path).items()


@pytest.mark.parametrize("path", ["/tree.tar.gz", "/a%20tree.tar.gz", "/tree.tar.gz?token=1", "/folder/?file=tree"])
def test_an_unpinned_archive_gets_pinned_with_one_download(server: FileServer, tmp_path: Path, path: str) -> None:
    data = sdist(tmp_path / "x")
    source = resolve(archived(server.add(path, data)))
    assert source.sha256 == hashlib.sha256(data).hexdigest()
    assert content(acquire(source).path) == FILES
    assert len(server.requests) == 1


def test_an_archive_with_the_wrong_hash_is_refused(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        acquire(archived(server.add("/tree.tar.gz", sdist(tmp_path / "x")), "0" * 64))


def test_a_tag_means_its_commit(tmp_path: Path) -> None:
    url, commit = repository(tmp_path / "Größe repo")
    assert resolve(from_git(url, "v1")).ref == commit
    tree = acquire(from_git(url, "v1"))
    assert content(tree.path) == FILES
    assert acquire(from_git(url, commit)) == tree


def test_a_branch_of_a_repository_is_found(tmp_path: Path) -> None:
    url, commit = repository(tmp_path / "repo")
    assert resolve(from_git(url, "main")).ref not in {commit, "main"}


def test_an_unknown_tag_suggests_a_near_one(tmp_path: Path) -> None:
    url, _ = repository(tmp_path / "repo")
    with pytest.raises(UnknownNameError) as caught:
        resolve(from_git(url, "v2"))
    assert caught.value.hint == "Did you mean v1?"


def test_a_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NetworkError) as caught:
        resolve(from_git((tmp_path / "nothing").as_uri(), "v1"))
    assert any("nothing" in line for line in caught.value.details)


@pytest.mark.parametrize("ref", ["--upload-pack=touch x", "-v", "a b", "a..b", "a:b", "x.lock", "\n", "a@{1}"])
def test_a_ref_is_never_an_option(ref: str) -> None:
    with pytest.raises(InvalidInputError):
        resolve(from_git("file:///nowhere", ref))


@pytest.mark.parametrize("url", ["--upload-pack=touch x", "ext::sh -c true", "fd::3", "-x"])
def test_an_address_is_never_a_command(url: str) -> None:
    with pytest.raises(InvalidInputError):
        resolve(from_git(url, "v1"))


def test_no_git_is_told_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        resolve(from_git("file:///nowhere", "v1"))
    assert "apt install git" in caught.value.hint


def test_a_local_tree_is_used_where_it_lies(place: Path, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "my tree, größer")
    source = PlanSource(kind="local", name=str(folder), version="1.0", url=str(folder))
    before = content(str(folder))
    tree = acquire(source)
    assert (tree.path, tree.mutable) == (str(folder), True)
    assert content(str(folder)) == before
    assert not (place / "store").exists()


@pytest.mark.parametrize("what", ["missing", "no lists"])
def test_what_is_no_tree_is_told(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "tree"
    if what == "no lists":
        folder.mkdir()
    with pytest.raises(InvalidInputError, match="not a source tree"):
        acquire(PlanSource(kind="local", name="x", version="1.0", url=str(folder)))


def test_the_same_tree_has_the_same_digest_wherever_it_comes_from(server: FileServer, tmp_path: Path) -> None:
    local = acquire(PlanSource(kind="local", name="x", version="1", url=str(write_tree(tmp_path / "tree")))).digest
    sha256 = server.add_package("tiny", NAME, sdist(tmp_path / "x"))
    url, _ = repository(tmp_path / "repo")
    assert acquire(pinned(sha256)).digest == acquire(from_git(url, "v1")).digest == local


@pytest.mark.parametrize("change", ["content", "name", "mode", "new", "gone", "link"])
def test_every_change_changes_the_digest(tmp_path: Path, change: str) -> None:
    tree = write_tree(tmp_path / "tree")
    before = tree_digest(tree)
    file = tree / "src/main.cpp"
    {
        "content": lambda: file.write_text("int main() { return 1; }"),
        "name": lambda: file.rename(tree / "src/other.cpp"),
        "mode": lambda: file.chmod(0o755),
        "new": (tree / "new").touch,
        "gone": file.unlink,
        "link": lambda: (tree / "link").symlink_to("src"),
    }[change]()
    assert tree_digest(tree) != before


def test_what_is_not_source_does_not_count(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    before = tree_digest(tree)
    for name in (".git/index", "out/CMakeCache.txt", "out/x.o", "sub/__pycache__/x.pyc"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    (tree / "src/main.cpp").chmod(0o400)
    assert tree_digest(tree) == before
    shutil.rmtree(tree / "sub")


def test_odd_names_have_a_digest(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    (tree / "dangling").symlink_to("nowhere")
    Path(str(tree).encode().decode() + "/b\udcff").touch()
    assert len(tree_digest(tree)) == 64


def test_a_commit_may_be_shortened_where_a_tag_or_branch_points_at_it(tmp_path: Path) -> None:
    url, commit = repository(tmp_path / "r")
    assert resolve(from_git(url, commit[:7])).ref == commit
    with pytest.raises(UnknownNameError):
        resolve(from_git(url, "0" * 7))
