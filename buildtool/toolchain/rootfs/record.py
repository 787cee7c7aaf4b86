"""Which package a file of a root filesystem came from: dpkg's own records, which unpacking alone does not leave.

A library that travels needs its package's name, version and licence. The packages' control archives tell them, so no
data is unpacked a second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from buildtool.compat.model import Pin
from buildtool.errors import ProcessError
from buildtool.process import run

STATUS = "var/lib/dpkg/status"
INFO = "var/lib/dpkg/info"
DOCUMENTS = "usr/share/doc"
# Below a folder that is left out, files that are wanted nevertheless: the licences of what may be passed on.
KEPT = (f"/{DOCUMENTS}/*/copyright",)
TIMEOUT_S = 120.0
_SUM = re.compile(r"^[0-9a-f]{32}  (.+)$", re.MULTILINE)
_TEXT = re.compile(r"/share/doc/[^/]+/(?:copyright|LICEN[CS]E|COPYING)[^/]*$")
_FIELD = re.compile(r"^(Package|Version|Source|Architecture): *(\S+)", re.MULTILINE)


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a root filesystem.

    Attributes:
        name: of the binary package.
        version: as Debian writes it.
        source: of the source package, whose licence it shares.
    """

    name: str
    version: str
    source: str


def record(tree: Path, debs: Path, pins: Iterable[Pin]) -> None:
    """Write into `tree` what dpkg would know about the unpacked packages: names, versions, and whose each file is.

    Raises:
        ProcessError: dpkg-deb does not read a package.
    """
    info = tree / INFO
    info.mkdir(parents=True, exist_ok=True)
    paragraphs = []
    for pin in pins:
        said = _control(debs / pin.filename)
        fields = dict(_FIELD.findall(said))
        name = fields.get("Package", pin.name)
        (info / f"{name}.md5sums").write_text("".join(f"{line}\n" for line in _lines(said)), "utf-8")
        fields |= {"Package": name, "Status": "install ok unpacked"}
        paragraphs.append("".join(f"{key}: {value}\n" for key, value in fields.items()))
    (tree / STATUS).write_text("\n".join(paragraphs), "utf-8")


def _control(deb: Path) -> str:
    command = ["dpkg-deb", "--info", str(deb), "control"]
    try:
        return run([*command, "md5sums"], timeout_s=TIMEOUT_S).output
    except ProcessError:  # a package without files has no such list
        return run(command, timeout_s=TIMEOUT_S).output


def _lines(said: str) -> list[str]:
    return [found[0] for found in _SUM.finditer(said)]


def packages(tree: Path) -> dict[str, Package]:
    """Return the packages of a root filesystem by name; empty for one that was made without records."""
    found = {}
    status = tree / STATUS
    for paragraph in status.read_text("utf-8").split("\n\n") if status.is_file() else ():
        fields: dict[str, str] = dict(_FIELD.findall(paragraph))
        if "Package" in fields:
            name = fields["Package"]
            version, source = fields.get("Version", ""), fields.get("Source", name)
            found[name] = Package(name=name, version=version, source=source)
    return found


def owners(tree: Path, paths: Iterable[Path]) -> dict[Path, Package]:
    """Return the package of each file; links are followed first, and files that no package brought are left out.

    Args:
        tree: the root filesystem.
        paths: files in it, as they lie on this machine.
    """
    wanted: dict[str, Path] = {}
    for path in paths:
        name = path.resolve().relative_to(tree.resolve()).as_posix()
        # Where /lib is a link into /usr, some packages still list their files below /lib.
        wanted |= dict.fromkeys((name, name.removeprefix("usr/")), path)
    known = packages(tree)
    found = {}
    for listing in sorted((tree / INFO).glob("*.md5sums")):
        package = known.get(listing.name.removesuffix(".md5sums").partition(":")[0])
        if package is not None:
            for name in wanted.keys() & set(_SUM.findall(listing.read_text("utf-8"))):
                found[wanted[name]] = package
    return found


def licence(tree: Path, package: Package) -> Path | None:
    """Return the licence text of a package: its own, or that of another package of the same source.

    AMD's packages bring theirs below their own root (``/opt/rocm/share/doc``).
    """
    sources = [one.name for one in packages(tree).values() if one.source == package.source]
    for name in (package.name, *sorted(sources)):
        path = tree / DOCUMENTS / name / "copyright"
        if path.is_file():
            return path
    for listing in sorted((tree / INFO).glob(f"{package.name}[.:]*md5sums")):
        names: list[str] = _SUM.findall(listing.read_text("utf-8"))
        for name in sorted(names):
            if _TEXT.search(name) and (tree / name).is_file():
                return tree / name
    return None
