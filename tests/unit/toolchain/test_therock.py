from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from file_server import FileServer, loopback
from therock_samples import FAMILY, TREE, VERSION, TheRock
from toolkit_samples import compiler

from buildtool.cli.main import main
from buildtool.compat.model import PlanToolkit
from buildtool.compat.vendor import family_targets, is_placeholder
from buildtool.errors import (
    GpubuildError,
    IncompatibleError,
    IntegrityError,
    NetworkError,
    ProcessError,
    StorageError,
    UnknownNameError,
    UnsafeArchiveError,
)
from buildtool.store import download, storage
from buildtool.toolchain import Toolchain, acquire, choose, install, installed, pinned, remove, show
from buildtool.toolchain.vendor.offers import look
from buildtool.toolchain.vendor.therock import offered

pytestmark = [
    pytest.mark.usefixtures("place"),
    pytest.mark.skipif(sys.platform != "linux", reason="trees with links are unpacked on Linux"),
]
LINUX = "linux-x86_64"
ARCHIVE = f"therock-dist-linux-{FAMILY}-{VERSION}.tar.gz"


@pytest.fixture
def rock(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> TheRock:
    for module in ("store.index", "toolchain.vendor.server"):
        monkeypatch.setattr(f"buildtool.{module}.configured_registry", lambda: loopback(server))
    for module in ("provide", "fetch"):
        monkeypatch.setattr(f"buildtool.toolchain.{module}.platform_name", lambda: LINUX)
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)
    found = TheRock(server)
    monkeypatch.setenv("GPUBUILD_THEROCK", found.url)
    monkeypatch.setenv("GPUBUILD_THEROCK_INDEX", found.index)
    return found


def wish(provider: str = "therock", **changes: str) -> PlanToolkit:
    values = {"kind": "rocm", "version": VERSION, "provider": provider, "family": FAMILY} | changes
    return PlanToolkit(**values)  # type: ignore[arg-type]


def made(tmp_path: Path, toolkit: PlanToolkit | None = None) -> Toolchain:
    return acquire(pinned(toolkit or wish(), LINUX), compiler(tmp_path))


def fetches(rock: TheRock) -> int:
    return sum(path == rock.archive for path, _ in rock.server.requests)


def test_an_archive_becomes_a_rocm_whose_device_libraries_are_named(rock: TheRock, tmp_path: Path) -> None:
    rock.sum()
    chain = made(tmp_path)
    root = Path(str(chain.root))
    assert (chain.kind, chain.provider, chain.version) == ("rocm", "therock", VERSION)
    assert chain.cmake_options["CMAKE_HIP_COMPILER"] == f"{root}/lib/llvm/bin/clang++"
    assert chain.cmake_options["CMAKE_PREFIX_PATH"] == str(root)
    assert chain.env["ROCM_PATH"] == str(root)
    assert chain.env["HIP_DEVICE_LIB_PATH"] == f"{root}/lib/llvm/amdgcn/bitcode"
    assert (root / "lib/libamdhip64.so").readlink() == Path("libamdhip64.so.7")
    assert fetches(rock) == 2, "asked for its size, and fetched"
    (only,) = installed()
    assert show(VERSION) == show(f"rocm {VERSION}") == only
    assert only.origin == f"AMD's TheRock archives, {FAMILY}"
    assert remove(VERSION) == only
    assert not root.exists()


@pytest.mark.parametrize("ending", [".sha256sum", ".sha256"])
def test_a_published_sum_is_what_counts(rock: TheRock, tmp_path: Path, ending: str) -> None:
    rock.sum(ending, digest="0" * 64)
    assert [pin.sha256 for pin in pinned(wish(), LINUX).pins] == ["0" * 64]
    with pytest.raises(IntegrityError, match="not the pinned file"):
        made(tmp_path)
    assert installed() == []


def test_without_a_sum_what_came_first_is_pinned_and_fetched_once(rock: TheRock, tmp_path: Path) -> None:
    exact = pinned(wish(), LINUX)
    assert len(exact.pins[0].sha256) == 64
    assert exact.pins[0].bytes == len(rock.server.pages[rock.archive].content)
    before = fetches(rock)
    acquire(exact, compiler(tmp_path))
    assert fetches(rock) == before
    rock.publish(FAMILY, VERSION, TREE | {"bin/more": b""})
    remove(VERSION)
    with pytest.raises(IntegrityError, match="not the pinned file"):
        acquire(exact, compiler(tmp_path))


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({"bin/hipcc": b""}, IntegrityError, "holds no compiler"),
        (TREE | {"lib/llvm/bin/clang++": b"#!/bin/sh\nexit 1\n"}, ProcessError, "failed"),
        (TREE | {"../outside": b""}, UnsafeArchiveError, "outside"),
    ],
)
def test_what_is_no_rocm_never_enters_the_store(
    rock: TheRock, tmp_path: Path, files: dict[str, bytes], error: type[GpubuildError], words: str
) -> None:
    rock.publish(FAMILY, VERSION, files)
    with pytest.raises(error) as caught:
        made(tmp_path)
    assert words in f"{caught.value}"
    assert installed() == []


def test_too_small_a_disk_is_told_before_an_archive_is_fetched(rock: TheRock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "free_bytes", lambda _: 500)
    with pytest.raises(StorageError, match=f"the toolkit ROCm {VERSION}"):
        pinned(wish(), LINUX)
    assert fetches(rock) == 1


def test_an_archive_that_is_gone_suggests_one_that_is_there(rock: TheRock) -> None:
    with pytest.raises(UnknownNameError, match="has no therock-dist-linux-gfx103X-dgpu-7") as caught:
        pinned(wish(version="7.9.0"), LINUX)
    assert "7.9.0rc1" in caught.value.hint
    del rock.server.pages["/tarball/"]
    with pytest.raises(NetworkError, match="There is no"):
        pinned(wish(version="7.9.0"), LINUX)


def test_offers_are_read_from_a_buckets_list_newest_first(rock: TheRock) -> None:
    found, failures = look(LINUX, {"therock-wheels": rock.url})
    assert [(one.version, one.family) for one in found if one.provider == "therock"] == [
        ("7.11.0a20251120", "gfx1151"), (VERSION, FAMILY), ("7.9.0rc1", FAMILY), ("6.4.0.dev0+e015c807", "multiarch"),
    ]  # fmt: skip
    assert len(failures) == 1, "an archive server is no package index, and that is told"
    assert offered(("therock-dist-linux-x.tar.gz", "therock-dist-linux-gfx1-1.tar.gz"), LINUX) == ()


def test_the_family_that_serves_the_targets_is_chosen(rock: TheRock) -> None:
    found, _ = look(LINUX)
    chosen = choose("rocm>=7.9", LINUX, found, targets=("gfx1032",))
    assert (chosen.version, getattr(chosen, "family", "")) == (VERSION, FAMILY)
    with pytest.raises(IncompatibleError) as caught:
        choose("rocm>=7.9", LINUX, found, server_first=True)
    assert "--target gfx" in caught.value.hint
    assert f"{VERSION} for {FAMILY}: gfx1030, gfx1032" in caught.value.details
    with pytest.raises(IncompatibleError, match="gfx1201"):
        choose("rocm>=7", LINUX, found, targets=("gfx1201",), server_first=True)
    del rock


def test_wheels_become_a_rocm_by_its_own_program(rock: TheRock, tmp_path: Path) -> None:
    rock.wheels()
    exact = pinned(wish("therock-wheels"), LINUX)
    assert [pin.name for pin in exact.pins] == [
        "rocm", "rocm-sdk-core", f"rocm-sdk-libraries-{FAMILY}", "rocm-sdk-devel",
    ]  # fmt: skip
    assert all(pin.bytes for pin in exact.pins)
    chain = acquire(exact, compiler(tmp_path))
    root = Path(str(chain.root))
    assert root.name == "_rocm_sdk_devel"
    assert (root / "lib/llvm/bin/clang++").resolve() == root.parent / "_rocm_sdk_core/lib/llvm/bin/clang++"
    assert chain.cmake_options["CMAKE_HIP_COMPILER"] == f"{root}/lib/llvm/bin/clang++"
    assert chain.env["HIP_DEVICE_LIB_PATH"] == f"{root}/lib/llvm/amdgcn/bitcode"
    (only,) = installed()
    assert only.path == str(root)
    rock.server.requests.clear()
    assert acquire(exact, compiler(tmp_path)) == chain
    assert not rock.server.requests


def test_wheels_on_offer_are_those_of_the_index(rock: TheRock) -> None:
    rock.wheels()
    rock.wheels("7.11.0rc1")
    found, failures = look(LINUX)
    assert failures == ()
    assert [(one.version, one.family) for one in found if one.provider == "therock-wheels"] == [
        ("7.11.0rc1", FAMILY), (VERSION, FAMILY),
    ]  # fmt: skip


def test_packages_that_only_reserve_amds_names_are_refused(rock: TheRock) -> None:
    rock.wheels("0.1.0")
    _, (failure,) = look(LINUX)
    assert "only reserves the name" in str(failure)
    with pytest.raises(IncompatibleError, match="only reserves the name") as caught:
        pinned(wish("therock-wheels", version="0.1.0"), LINUX)
    assert "GPUBUILD_THEROCK_INDEX" in caught.value.hint
    assert is_placeholder("rocm-sdk-device-gfx1030", "0.0.1.dev0")
    assert not is_placeholder("rocm-sdk-core", "7.10.0a20251120")
    assert not is_placeholder("rocm-bootstrap", "0.3.0")


def test_no_other_index_answers_for_amds_names(rock: TheRock, monkeypatch: pytest.MonkeyPatch) -> None:
    rock.wheels()
    monkeypatch.setenv("GPUBUILD_THEROCK_INDEX", f"{rock.server.url}/empty")
    with pytest.raises(NetworkError, match="offers rocm"):
        pinned(wish("therock-wheels"), LINUX)
    monkeypatch.delenv("GPUBUILD_THEROCK_INDEX")
    with pytest.raises(NetworkError, match="Nothing says where"):
        pinned(wish("therock-wheels"), LINUX)


def test_a_changed_package_and_a_version_that_is_gone_are_told(rock: TheRock, tmp_path: Path) -> None:
    rock.wheels()
    exact = pinned(wish("therock-wheels"), LINUX)
    forged = msgspec.structs.replace(
        exact, pins=(*exact.pins[:3], msgspec.structs.replace(exact.pins[3], sha256="0" * 64))
    )
    with pytest.raises(IntegrityError, match="not the pinned file"):
        acquire(forged, compiler(tmp_path))
    with pytest.raises(UnknownNameError, match=r"no rocm 7\.9\.0") as caught:
        pinned(wish("therock-wheels", version="7.9.0"), LINUX)
    assert VERSION in caught.value.hint
    assert installed() == []


def test_it_is_installed_for_a_target(rock: TheRock, tmp_path: Path) -> None:
    rock.sum()
    found, _ = look(LINUX)
    toolkit, _ = install("rocm==7.10.*", compiler(tmp_path), offered=found, targets=("gfx1030",))
    assert (toolkit.kind, toolkit.version) == ("rocm", VERSION)


def test_families_are_rows_targets_or_unknown() -> None:
    assert family_targets("gfx103X-dgpu") == ("gfx1030", "gfx1032")
    assert family_targets("gfx1151") == ("gfx1151",)
    assert family_targets("gfx999X-all") == ()
    assert set(family_targets("gfx110X-all")) < set(family_targets("multiarch"))


def gpubuild(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpubuild", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_command_takes_a_server_a_target_and_nothing_twice(
    rock: TheRock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rock.sum()
    for variable in ("GPUBUILD_THEROCK", "GPUBUILD_THEROCK_INDEX"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("GPUBUILD_DEVICES", "none")
    monkeypatch.setattr("buildtool.toolchain.platform_name", lambda: LINUX)
    host = compiler(tmp_path)
    monkeypatch.setattr("buildtool.cli.toolchain._compiler", lambda: host)
    start = ("toolchain", "install", "rocm==7.10.*", "--therock", rock.url)
    assert gpubuild(monkeypatch, *start) == 4
    assert "--target gfx1032" in capsys.readouterr().err
    assert gpubuild(monkeypatch, *start, "--target", "gfx9999") == 3
    assert gpubuild(monkeypatch, *start, "--therock-index", rock.index) == 12
    assert "one server" in capsys.readouterr().err
    assert gpubuild(monkeypatch, *start, "--target", "RX 6600") == 3
    assert gpubuild(monkeypatch, *start, "--target", "gfx1032") == 0
    assert f"rocm {VERSION} is ready" in capsys.readouterr().out
    monkeypatch.setenv("GPUBUILD_DEVICES", "gfx1030")
    assert gpubuild(monkeypatch, *start) == 0, "this machine's card says which"
    assert gpubuild(monkeypatch, "toolchain", "list") == 0
    assert f"AMD's TheRock archives, {FAMILY}" in capsys.readouterr().out
    assert gpubuild(monkeypatch, "toolchain", "remove", f"rocm {VERSION}") == 0
    assert installed() == []
