from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.verify.select import select


def wheel(directory: Path, name: str) -> Path:
    path = directory / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.py", name)
    return path


def test_a_directory_stands_for_the_newest_wheel_of_every_distribution(tmp_path: Path) -> None:
    wheel(tmp_path, "gpubuild_llama-0.9.0-py3-none-linux_x86_64.whl")
    newest = wheel(tmp_path, "gpubuild_llama-0.10.0-py3-none-linux_x86_64.whl")
    backend = wheel(tmp_path, "gpubuild_llama_cuda13-0.10.0-py3-none-linux_x86_64.whl")
    selection = select([tmp_path])
    assert set(selection.wheels) == {newest, backend}
    described = {entry.distribution: entry for entry in selection.described}
    assert described["gpubuild-llama"].version == "0.10.0"
    assert described["gpubuild-llama"].sha256 == hashlib.sha256(newest.read_bytes()).hexdigest()


def test_of_two_builds_of_one_version_the_later_counts(tmp_path: Path) -> None:
    older = wheel(tmp_path, "gpubuild_llama-0.9.0-py3-none-manylinux_2_17_x86_64.whl")
    later = wheel(tmp_path, "gpubuild_llama-0.9.0-py3-none-linux_x86_64.whl")
    os.utime(older, (1, 1))
    assert select([tmp_path]).wheels == (later,)


def test_named_wheels_are_taken_as_they_are(tmp_path: Path) -> None:
    one = wheel(tmp_path, "gpubuild_llama-0.9.0-py3-none-any.whl")
    wheel(tmp_path, "gpubuild_llama-1.0.0-py3-none-any.whl")
    assert select([one, one]).wheels == (one,)


@pytest.mark.parametrize("place", [".", "bin", "build/bin"])
def test_a_build_directory_stands_for_its_executables(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "llama-bench").touch()
    assert select([tmp_path]).executables == (tmp_path / place).absolute()


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no file or directory"):
        select([tmp_path / "nothing"])
    with pytest.raises(InvalidInputError, match="neither wheels nor"):
        select([tmp_path])
    with pytest.raises(InvalidInputError, match="no wheel"):
        select([])


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("x")
    with pytest.raises(InvalidInputError, match="not the name of a wheel"):
        select([text])
    cut = wheel(tmp_path, "gpubuild_llama-0.9.0-py3-none-any.whl")
    cut.write_bytes(cut.read_bytes()[:20])
    with pytest.raises(IntegrityError, match="damaged"):
        select([cut])
