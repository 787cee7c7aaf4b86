from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from archive_samples import Change, kind, mode, tar, zipped
from hypothesis import given
from hypothesis import strategies as st

from buildtool.errors import IntegrityError, StorageError, UnsafeArchiveError
from buildtool.store.archive import unpack
from buildtool.store.members import Bounds, checked_name

HONEST = [("top/a/one.txt", b"one"), ("top/b/two.sh", b"two")]


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into here, bitte schön"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("compression", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_tar_flavour_arrives_whole(tmp_path: Path, into: Path, compression: str) -> None:
    unpack(tar(tmp_path / "x", HONEST, compression), into)
    assert {path.relative_to(into).as_posix(): path.read_bytes() for path in into.rglob("*.*")} == dict(HONEST)


def test_many_members_of_block_size_arrive_whole(tmp_path: Path, into: Path) -> None:
    members: list[tuple[str, bytes | Change]] = [(f"f{n}", bytes([n]) * 512 * n) for n in range(40)]
    unpack(tar(tmp_path / "x", members), into)
    assert all((into / name).read_bytes() == content for name, content in members)


def test_only_wanted_members_are_written(tmp_path: Path, into: Path) -> None:
    unpack(tar(tmp_path / "x", HONEST), into, wanted=lambda name: name.startswith("top/a/"))
    assert [path.name for path in into.rglob("*.*")] == ["one.txt"]


def test_only_the_executable_bit_of_a_mode_survives(tmp_path: Path, into: Path) -> None:
    unpack(tar(tmp_path / "x", [("run", mode(0o777)), ("data", mode(0o666))]), into)
    assert stat.S_IMODE((into / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((into / "data").stat().st_mode) == 0o644


def test_links_inside_the_tree_are_kept(tmp_path: Path, into: Path) -> None:
    members = [
        ("d/link", kind(tarfile.SYMTYPE, "../a.txt")),
        ("a.txt", b"content"),
        ("hard", kind(tarfile.LNKTYPE, "a.txt")),
    ]
    unpack(tar(tmp_path / "x", members), into)
    assert (into / "d/link").readlink() == Path("../a.txt")
    assert (into / "d/link").read_bytes() == (into / "hard").read_bytes() == b"content"


HOSTILE: dict[str, list[tuple[str, bytes | Change]]] = {
    "climbs": [("a/../../evil", b"x")],
    "absolute": [("/tmp/evil", b"x")],
    "drive letter": [("C:/evil", b"x")],
    "backslash": [("..\\evil", b"x")],
    "link to an absolute path": [("evil", kind(tarfile.SYMTYPE, "/etc/passwd"))],
    "link out": [("evil", kind(tarfile.SYMTYPE, "../outside"))],
    "link out, from deep": [("a/b/evil", kind(tarfile.SYMTYPE, "../../../outside"))],
    "writing through a link": [("evil", kind(tarfile.SYMTYPE, ".")), ("evil/x", b"x")],
    "link below a link": [("l", kind(tarfile.SYMTYPE, ".")), ("l/evil", kind(tarfile.SYMTYPE, "x"))],
    "link into a folder beyond a link that leads out": [
        ("l", kind(tarfile.SYMTYPE, "..")),
        ("l/made-outside/evil", kind(tarfile.SYMTYPE, "x")),
    ],
    "link to nothing": [("evil", kind(tarfile.SYMTYPE, ""))],
    "links that escape only together": [
        ("p/q/keep", b"x"),
        ("evil", kind(tarfile.SYMTYPE, "p/q/b/../../..")),
        ("p/q/b", kind(tarfile.SYMTYPE, "../..")),
    ],
    "hard link out": [("evil", kind(tarfile.LNKTYPE, "../outside"))],
    "hard link to nothing": [("evil", kind(tarfile.LNKTYPE, "missing"))],
    "character device": [("evil", kind(tarfile.CHRTYPE))],
    "block device": [("evil", kind(tarfile.BLKTYPE))],
    "pipe": [("evil", kind(tarfile.FIFOTYPE))],
    "set-user-id": [("evil", mode(0o4755))],
    "set-group-id": [("evil", mode(0o2755))],
    "twice": [("evil", b"one"), ("evil", b"two")],
    "file as folder": [("evil", b"one"), ("evil/x", b"two")],
    "folder as file": [("evil/x", b"one"), ("evil", b"two")],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tar_is_refused_by_name(tmp_path: Path, into: Path, members: list[tuple[str, bytes | Change]]) -> None:
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(UnsafeArchiveError, match="evil"):
        unpack(tar(tmp_path / "hostile.tar.gz", members), into)
    assert (tmp_path / "outside").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "hostile.tar.gz", into.name}


@pytest.mark.parametrize(
    ("name", "bits"),
    [("../evil", 0o644), ("/evil", 0o644), ("evil", stat.S_IFIFO), ("evil", 0o104755), ("evil", stat.S_IFCHR)],
)
def test_hostile_zip_is_refused_by_name(tmp_path: Path, into: Path, name: str, bits: int) -> None:
    with pytest.raises(UnsafeArchiveError, match="evil"):
        unpack(zipped(tmp_path / "x.whl", [(name, b"x", bits)]), into)


def test_zip_link_out_is_refused(tmp_path: Path, into: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match="evil"):
        unpack(zipped(tmp_path / "x.whl", [("evil", b"../../etc", stat.S_IFLNK | 0o777)]), into)


def test_wheel_programs_stay_executable(tmp_path: Path, into: Path) -> None:
    unpack(zipped(tmp_path / "x.whl", [("p/run", b"x", 0o100755), ("p/data", b"y", 0o100644)]), into)
    assert os.access(into / "p/run", os.X_OK)
    assert not (into / "p/data").stat().st_mode & 0o111


def test_size_bomb_stops_at_its_bound(tmp_path: Path, into: Path) -> None:
    bomb = tar(tmp_path / "bomb.tar.gz", [("evil", bytes(8 << 20))])
    with pytest.raises(UnsafeArchiveError, match=r"evil.*bound"):
        unpack(bomb, into, bounds=Bounds(max_bytes=1 << 20))
    assert (into / "evil").stat().st_size <= 2 << 20


def test_unwanted_content_counts_towards_the_bound(tmp_path: Path, into: Path) -> None:
    bomb = tar(tmp_path / "bomb.tar.gz", [("skipped", bytes(8 << 20)), ("kept", b"x")])
    with pytest.raises(UnsafeArchiveError, match="bound"):
        unpack(bomb, into, wanted=lambda name: name == "kept", bounds=Bounds(max_bytes=1 << 20, max_members=10))


def test_zip_bomb_stops_at_its_bound(tmp_path: Path, into: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match=r"evil.*bound"):
        unpack(zipped(tmp_path / "x", [("evil", bytes(8 << 20), 0o644)]), into, bounds=Bounds(max_bytes=1 << 20))


def test_too_many_members_are_refused(tmp_path: Path, into: Path) -> None:
    crowd = tar(tmp_path / "x", [(f"f{n}", b"") for n in range(20)])
    with pytest.raises(UnsafeArchiveError, match=r"f10.*10 members"):
        unpack(crowd, into, bounds=Bounds(max_members=10))


def test_a_header_cannot_eat_the_memory(tmp_path: Path, into: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(UnsafeArchiveError, match="16 MiB"):
        unpack(tmp_path / "x.tar", into)


@pytest.mark.parametrize("keep", [0, 5, 40, -30])
@pytest.mark.parametrize("compression", ["w:gz", "w:bz2", "w:xz"])
def test_truncated_archive_is_damage(tmp_path: Path, into: Path, compression: str, keep: int) -> None:
    whole = tar(tmp_path / "whole", [("a", os.urandom(4096))], compression).read_bytes()
    (tmp_path / "part").write_bytes(whole[:keep])
    with pytest.raises(IntegrityError, match="damaged"):
        unpack(tmp_path / "part", into)


def test_flipped_bytes_in_a_wheel_are_damage(tmp_path: Path, into: Path) -> None:
    path = zipped(tmp_path / "x.whl", [("a", os.urandom(4096), 0o644)])
    content = bytearray(path.read_bytes())
    content[1000:1004] = b"oops"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged"):
        unpack(path, into)


def test_something_else_is_damage(tmp_path: Path, into: Path) -> None:
    (tmp_path / "x.tar.gz").write_text("<html>Not found</html>" * 100)
    with pytest.raises(IntegrityError, match=r"x\.tar\.gz is damaged"):
        unpack(tmp_path / "x.tar.gz", into)


def test_full_disk_is_told_as_such(tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar(tmp_path / "x.tar.gz", [("a", b"content")])
    genuine = Path.open

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda self, *args: Full() if args == ("xb",) else genuine(self, *args))
    with pytest.raises(StorageError, match="disk is full") as caught:
        unpack(archive, into)
    assert "free on" in caught.value.why
    assert "GPUBUILD_STORE" in caught.value.hint


@given(st.text(min_size=1, max_size=30))
def test_a_checked_name_never_leaves_its_folder(name: str) -> None:
    try:
        checked = checked_name(Path("x"), name)
    except UnsafeArchiveError:
        return
    root = Path("/root/folder")
    assert Path(os.path.normpath(root / checked)).is_relative_to(root)


def test_encrypted_zip_is_damage(tmp_path: Path, into: Path) -> None:
    path = zipped(tmp_path / "x.zip", [("a", b"secret", 0o644)])
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    path.write_bytes(content)
    assert zipfile.is_zipfile(path)
    with pytest.raises(IntegrityError, match="damaged"):
        unpack(path, into)
