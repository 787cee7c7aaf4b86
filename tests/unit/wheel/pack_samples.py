"""A build tree whose install script CMake runs as it does a real one's: packed for real, with nothing compiled."""

from __future__ import annotations

import random
import shutil
import sys
import sysconfig
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from wheel_files import PLAN, RUNTIME, source_tree

from buildtool.build.model import BuildTree
from buildtool.compat.model import Plan
from buildtool.source.model import SourceTree

INSTALL = """\
if(CMAKE_INSTALL_COMPONENT STREQUAL "gpubuild_{role}")
  file(INSTALL DESTINATION "${{CMAKE_INSTALL_PREFIX}}" TYPE EXECUTABLE FILES "{program}")
  file(INSTALL DESTINATION "${{CMAKE_INSTALL_PREFIX}}" TYPE FILE FILES "{data}")
endif()
"""


def build_tree(folder: Path, *, megabytes: float = 1.0, role: str = "runtime") -> BuildTree:
    """A program of this machine's and a file of numbers, half of which compresses away."""
    (folder / "bin").mkdir(parents=True)
    program, data = folder / "bin" / "llama-server", folder / "bin" / "libdata.so"
    shutil.copyfile(next(path for path in map(Path, ("/bin/true", "/usr/bin/true")) if path.is_file()), program)
    program.chmod(0o755)
    noise = random.Random(1).randbytes(int(megabytes * 500_000))  # noqa: S311 - only to be hard to compress
    data.write_bytes(noise + bytes(int(megabytes * 500_000)))
    text = INSTALL.format(role=role, program=program.as_posix(), data=data.as_posix())
    (folder / "cmake_install.cmake").write_text(text, encoding="utf-8")
    cmake = shutil.which("cmake", path=sysconfig.get_path("scripts")) or "cmake"
    return BuildTree(
        path=str(folder), source=str(source_tree(folder.with_name(f"{folder.name} source"))), cmake_args=(), env={},
        cmake=cmake, ninja="ninja", steps=0, seconds=0.0, log=str(folder / "log"),
    )  # fmt: skip


def source_of(tree: BuildTree) -> SourceTree:
    return SourceTree(path=tree.source, digest="0" * 64)


def runtime_plan() -> Plan:
    return msgspec.structs.replace(PLAN, backend="cpu", targets=(), toolkit=None, patches=(), wheels=(RUNTIME,))
