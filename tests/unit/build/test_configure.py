"""The configure step: what a failure tells, and which directories are refused before it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from buildtool.build.configure import configure, require_carried
from buildtool.build.door import Door
from buildtool.errors import BuildError, InvalidInputError, StorageError
from buildtool.source.model import SourceTree
from buildtool.toolchain.model import Toolchain


def fail(folder: Path, says: str) -> None:
    """Configure with a CMake that says something and fails."""
    program = folder / "cmake"
    program.write_text(f"#!{sys.executable}\nprint({says!r})\nraise SystemExit(1)\n")
    program.chmod(0o755)
    toolchain = Toolchain(
        kind="host", version="", root=None, provider="host", cmake_options={}, env={}, cmake=str(program), ninja="ninja"
    )
    log = io.StringIO()
    log.name = "the.log"
    tree = SourceTree(path=str(folder), digest="0")
    configure(folder, tree, toolchain, (), door=Door(env={}), log=log)


def test_the_first_error_is_told_however_much_was_said_after_it(tmp_path: Path) -> None:
    says = "-- looking\nCMake Error at CMakeLists.txt:1:\n  the reason\n" + "later\n" * 100
    with pytest.raises(BuildError, match="could not configure") as told:
        fail(tmp_path, says)
    assert told.value.details[:2] == ("CMake Error at CMakeLists.txt:1:", "  the reason")
    assert told.value.hint == "The full log is the.log"
    assert "-G Ninja" in told.value.why


def test_a_full_disk_while_configuring_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk filled up") as told:
        fail(tmp_path, "CMake Error: cannot write: No space left on device\n" + "later\n" * 100)
    assert told.value.exit_code == StorageError.exit_code == 10


@pytest.mark.parametrize("name", ['a"b', "a$b", "a;b", "a|b", "a<b", "a\nb", "a\x7fb"])
def test_a_directory_that_cmake_does_not_carry_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="CMake and Ninja do not carry"):
        require_carried(Path("/builds", name), "Elsewhere.")


def test_other_names_are_carried() -> None:
    for name in ("a b", "ä(b)", "a]]b", "a'b", "a#b", "a:b", "a=b", "日本"):
        require_carried(Path("/builds", name), "")
