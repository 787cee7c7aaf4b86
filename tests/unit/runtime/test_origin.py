"""Whose a file is: by dpkg's records, by the vendor's wheels, by the installation's own licence."""

from __future__ import annotations

from pathlib import Path

from runtime_samples import Tree

from buildtool.runtime.origin import DebianOrigin, InstalledOrigin, WheelOrigin


def test_packages_that_list_their_files_below_lib(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.package("zlib1g", {"libz.so.1.3": b""})
    tree.link("libz.so.1", "libz.so.1.3")
    listing = tmp_path / "var/lib/dpkg/info/zlib1g.md5sums"
    listing.rename(listing.with_name("zlib1g:amd64.md5sums")).write_text(
        f"{'0' * 32}  lib/x86_64-linux-gnu/libz.so.1.3\n"
    )
    origin = DebianOrigin(tmp_path)
    assert tree.lib in origin.folders
    found = origin.provenance([tree.lib / "libz.so.1", tree.root / "var/lib/dpkg/status"])
    assert {path.name: one.package for path, one in found.items()} == {"libz.so.1": "zlib1g"}


def test_a_package_with_its_licence_below_its_own_root(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.package("rocblas", {"librocblas.so.4": b""}, licence=None)
    text = tmp_path / "opt/rocm-6.4.1/share/doc/rocblas/LICENSE.md"
    text.parent.mkdir(parents=True)
    text.write_text("AMD's terms")
    with (tmp_path / "var/lib/dpkg/info/rocblas.md5sums").open("a") as listing:
        listing.write(f"{'0' * 32}  opt/rocm-6.4.1/share/doc/rocblas/LICENSE.md\n")
    (found,) = DebianOrigin(tmp_path).provenance([tree.lib / "librocblas.so.4"]).values()
    assert found.licences == (text,)


def test_a_wheels_own_list(tmp_path: Path) -> None:
    lib = tmp_path / "nvidia/cu13/lib"
    lib.mkdir(parents=True)
    (lib / "libcublas.so.13").touch()
    info = tmp_path / "nvidia_cublas-13.0.2.14.dist-info"
    (info / "licenses").mkdir(parents=True)
    (info / "licenses/License.txt").write_text("terms")
    (info / "RECORD").write_text("nvidia/cu13/lib/libcublas.so.13,sha256=x,1\n")
    origin = WheelOrigin(tmp_path / "nvidia/cu13", (lib,))
    (found,) = origin.provenance([lib / "libcublas.so.13"]).values()
    assert found[:2] == ("nvidia-cublas", "13.0.2.14")
    assert [path.read_text() for path in found.licences] == ["terms"]


def test_an_installation_with_one_licence_for_all(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/librocblas.so.4").touch()
    (tmp_path / "LICENSE").write_text("terms")
    origin = InstalledOrigin(tmp_path, (tmp_path / "lib",))
    found = origin.provenance([tmp_path / "lib/librocblas.so.4"])
    assert [one.licences for one in found.values()] == [(tmp_path / "LICENSE",)]
