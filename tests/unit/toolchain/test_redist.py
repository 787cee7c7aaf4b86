from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import msgspec
import pytest
from file_server import FileServer, loopback
from hypothesis import given, settings
from hypothesis import strategies as st
from redist_samples import NVCC, RELEASE, Redist
from toolkit_samples import compiler

from buildtool.cli.main import main
from buildtool.compat.model import PlanToolkit
from buildtool.errors import (
    GpubuildError,
    IncompatibleError,
    IntegrityError,
    InvalidInputError,
    NetworkError,
    StorageError,
    UnknownNameError,
)
from buildtool.probe.model import Offered
from buildtool.store import download, storage
from buildtool.toolchain import Toolchain, acquire, choose, install, installed, pinned, remove, show
from buildtool.toolchain.vendor.channels import REDIST, address
from buildtool.toolchain.vendor.offers import look
from buildtool.toolchain.vendor.redist import parse_manifest, releases
from buildtool.toolchain.vendor.server import listed

pytestmark = pytest.mark.usefixtures("place")
LINUX = "linux-x86_64"


@pytest.fixture
def redist(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Redist:
    monkeypatch.setattr("buildtool.store.index.configured_registry", lambda: loopback(server))
    monkeypatch.setattr("buildtool.toolchain.provide.platform_name", lambda: LINUX)
    monkeypatch.setattr("buildtool.toolchain.fetch.platform_name", lambda: LINUX)
    monkeypatch.setattr("buildtool.toolchain.platform_name", lambda: LINUX)
    monkeypatch.setattr(download, "BACKOFF_S", 0.001)
    found = Redist(server)
    monkeypatch.setenv("GPUBUILD_CUDA_REDIST", found.url)
    return found


def wish(release: str = RELEASE) -> PlanToolkit:
    return PlanToolkit(kind="cuda", version=release, provider="redist")


def made(tmp_path: Path) -> Toolchain:
    return acquire(pinned(wish(), LINUX), compiler(tmp_path))


@pytest.mark.usefixtures("redist")
def test_archives_become_one_toolkit_that_cmake_understands(tmp_path: Path) -> None:
    toolchain = made(tmp_path)
    root = Path(str(toolchain.root))
    assert (toolchain.provider, toolchain.version) == ("redist", NVCC)
    assert toolchain.cmake_options["CMAKE_CUDA_COMPILER"] == str(root / "bin/nvcc")
    assert toolchain.cmake_options["CUDAToolkit_ROOT"] == str(root)
    for path in ("nvvm/bin/cicc", "include/cub/cub.cuh", "include/cuda.h", "lib64/libcublas.so", "lib/libcudart.so"):
        assert (root / path).exists(), path
    assert (root / "lib/stubs/libcuda.so").read_bytes() == b"NVIDIA's own"
    assert (root / "LICENSE").read_text() == "EULA"
    assert (root / "LICENSE.cuda_cccl").read_text() == "other words"
    assert not (root / "bin/nvcc").stat().st_mode & 0o222
    assert not (root / ".part").exists()


def test_the_plan_holds_every_archive_and_no_address(redist: Redist) -> None:
    exact = pinned(wish(), LINUX)
    assert {pin.name for pin in exact.pins} == {"cuda_nvcc", "cuda_cudart", "cuda_cccl", "libcublas"}
    assert exact.version == NVCC
    assert all(pin.bytes and len(pin.sha256) == 64 for pin in exact.pins)
    text = msgspec.json.encode(exact).decode()
    assert redist.server.url not in text
    assert msgspec.json.decode(text, type=PlanToolkit) == exact


def test_a_second_time_nothing_is_fetched_and_a_lock_needs_no_manifest(redist: Redist, tmp_path: Path) -> None:
    exact = pinned(wish(), LINUX)
    del redist.server.pages[f"/redist/redistrib_{RELEASE}.json"]
    first = acquire(exact, compiler(tmp_path))
    redist.server.requests.clear()
    assert acquire(exact, compiler(tmp_path)) == first
    assert not redist.server.requests


def test_what_was_fetched_before_an_interruption_is_not_fetched_again(redist: Redist, tmp_path: Path) -> None:
    path = redist.archive_path("libcublas")
    page = redist.server.pages.pop(path)
    with pytest.raises(NetworkError, match="libcublas"):
        made(tmp_path)
    assert installed() == []
    redist.server.pages[path] = page
    redist.server.requests.clear()
    made(tmp_path)
    assert [asked for asked, _ in redist.server.requests if asked.endswith(".xz")] == [path]


def test_an_archive_that_is_not_the_pinned_one_never_enters_the_store(redist: Redist, tmp_path: Path) -> None:
    redist.server.pages[redist.archive_path("cuda_nvcc")].content = b"something else"
    with pytest.raises(IntegrityError, match="cuda_nvcc"):
        made(tmp_path)
    assert installed() == []


def test_two_archives_that_disagree_about_a_file_are_refused(redist: Redist, tmp_path: Path) -> None:
    redist.part("libcublas", **{"include_cuda.h": b"another"})
    redist.publish()
    with pytest.raises(IntegrityError, match=r"cuda\.h"):
        made(tmp_path)
    assert installed() == []


def test_another_nvcc_than_the_manifest_says_is_refused(redist: Redist, tmp_path: Path) -> None:
    redist.part("cuda_nvcc", bin_nvcc=b"#!/bin/sh\necho release 11.8, V11.8.89\n")
    redist.publish()
    with pytest.raises(IntegrityError, match=f"not version {NVCC}"):
        made(tmp_path)


def test_too_small_a_disk_is_told_before_anything_is_fetched(
    redist: Redist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "free_bytes", lambda _: 500)
    with pytest.raises(StorageError, match=f"the toolkit CUDA {NVCC}"):
        made(tmp_path)
    assert not [path for path, _ in redist.server.requests if path.endswith(".xz")]


@pytest.mark.usefixtures("redist")
def test_a_release_that_the_server_has_not_suggests_one_it_has() -> None:
    with pytest.raises(UnknownNameError, match=r"no CUDA 12\.4\.2") as caught:
        pinned(wish("12.4.2"), LINUX)
    assert "12.4." in caught.value.hint
    assert "12.9.1, 12.4.1, 12.4.0, 11.8.0" in caught.value.details[0]


def test_a_server_without_a_list_says_that_the_file_is_gone(redist: Redist) -> None:
    del redist.server.pages["/redist/"]
    with pytest.raises(NetworkError, match=r"no .*redistrib_12\.4\.2\.json") as caught:
        pinned(wish("12.4.2"), LINUX)
    assert "GPUBUILD_CUDA_REDIST" in caught.value.hint


def test_a_server_that_is_not_there_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUBUILD_CUDA_REDIST", "http://me:secret@127.0.0.1:9/redist/")
    monkeypatch.setattr("buildtool.store.index.configured_registry", loopback)
    with pytest.raises(NetworkError, match="redistributables cannot be fetched") as caught:
        pinned(wish(), LINUX)
    assert "secret" not in f"{caught.value} {caught.value.why} {caught.value.hint}"
    offered, (failure,) = look(LINUX)
    assert offered == ()
    assert isinstance(failure, NetworkError)


def test_without_an_address_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPUBUILD_CUDA_REDIST", raising=False)
    assert look(LINUX) == ((), ())
    with pytest.raises(NetworkError, match="Nothing says where") as caught:
        pinned(wish(), LINUX)
    assert "export GPUBUILD_CUDA_REDIST=" in caught.value.hint


@pytest.mark.parametrize("text", ["ftp://a.test/x", "redist", "C:/redist"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not an address"):
        address(REDIST, text)


def test_a_folder_serves_as_well(redist: Redist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "a copy é"
    for path, page in redist.server.pages.items():
        if not path.endswith("/") and path.startswith("/redist/"):
            place = copy / path.removeprefix("/redist/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(page.content)
    monkeypatch.setenv("GPUBUILD_CUDA_REDIST", str(copy))
    offered, failures = look(LINUX)
    assert ([one.version for one in offered], failures) == ([RELEASE], ())
    assert made(tmp_path).version == NVCC
    with pytest.raises(UnknownNameError, match=r"12\.4\.9"):
        pinned(wish("12.4.9"), LINUX)


def test_offers_are_those_of_the_list_newest_first() -> None:
    assert releases(("redistrib_12.4.1.json", "redistrib_12.10.0.json", "redistrib_12.4.1.json.sig", "x")) == (
        "12.10.0", "12.4.1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ('<A HREF="a%2Bb.tar.gz">x</A><a class="z" href="/deep/c.json?x=1">', ("a+b.tar.gz", "c.json")),
        ("<ListBucketResult><Contents><Key>x/d.tar.gz</Key></Contents></ListBucketResult>", ("d.tar.gz",)),
        ("<a href='../'>up</a>", ()),
    ],
)
def test_lists_of_web_servers_and_object_stores_are_read(page: str, names: tuple[str, ...]) -> None:
    assert listed(page) == names


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"relative_path": "../../etc/passwd"}, IntegrityError, "no file below"),
        ({"relative_path": "http://evil.test/x.tar.xz"}, IntegrityError, "no file below"),
        ({"sha256": "short"}, IntegrityError, "libcublas"),
        ({"size": "many"}, IntegrityError, "libcublas"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    redist: Redist, change: dict[str, str], error: type[GpubuildError], words: str
) -> None:
    component = redist.manifest["libcublas"]
    assert isinstance(component, dict)
    component["linux-x86_64"] |= change
    with pytest.raises(error) as caught:
        parse_manifest(json.dumps(redist.manifest), RELEASE, LINUX)
    assert words in f"{caught.value}{caught.value.why}"


def test_a_release_without_this_machine_is_told(redist: Redist) -> None:
    with pytest.raises(IncompatibleError, match="linux-sbsa"):
        parse_manifest(json.dumps(redist.manifest), RELEASE, "linux-aarch64")
    with pytest.raises(IncompatibleError, match="cuda_crt"):
        parse_manifest(json.dumps(redist.manifest), "13.0.2", LINUX)


KEYS = st.sampled_from(["cuda_nvcc", "linux-x86_64", "version", "sha256"])
NESTED = st.recursive(
    st.none() | st.text(max_size=5), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@given(st.one_of(st.text(max_size=60), NESTED))
@settings(max_examples=40, deadline=None)
def test_any_manifest_is_read_or_refused(content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises((IntegrityError, IncompatibleError)):
        parse_manifest(text, RELEASE, LINUX)


SERVED = tuple(Offered(kind="cuda", provider="redist", version=version) for version in ("12.9.1", "12.4.1", "13.0.2"))


@pytest.mark.parametrize(
    ("spec", "first", "version"),
    [
        ("cuda==12.*", False, "12.9.1"),
        ("cuda==12.4.*", False, "12.4.1"),
        ("cuda==13.0.*", True, "13.0.2"),
        ("cuda", True, "13.0.2"),
    ],
)
def test_the_newest_that_a_server_has_is_chosen(spec: str, first: bool, version: str) -> None:  # noqa: FBT001
    chosen = choose(spec, LINUX, SERVED, server_first=first)
    assert isinstance(chosen, Offered)
    assert chosen.version == version


def test_a_package_registry_goes_before_a_server_that_was_not_asked_for_by_name() -> None:
    assert not isinstance(choose("cuda==13.0.*", LINUX, SERVED), Offered)


def test_a_wish_near_to_what_is_on_offer_names_it() -> None:
    with pytest.raises(IncompatibleError) as caught:
        choose("cuda==12.9.3", LINUX, SERVED)
    assert "Did you mean cuda==12.9.1?" in caught.value.hint


@pytest.mark.usefixtures("redist")
def test_it_is_installed_shown_and_removed(tmp_path: Path) -> None:
    offered, _ = look(LINUX)
    found, _ = install("cuda==12.4.*", compiler(tmp_path), offered=offered)
    (only,) = installed()
    assert found == only == show(NVCC) == show(f"cuda=={NVCC}") == show(only.name)
    assert only.origin == "NVIDIA's redistributables"
    assert "libcublas 12.4.5.8" in only.wheels
    assert remove(NVCC) == only
    assert not Path(only.path).exists()


def gpubuild(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gpubuild", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_command_takes_a_server_by_option_and_lists_what_it_has(
    redist: Redist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpubuild(monkeypatch, "toolchain", "list", "--available") == 0
    assert re.search(r"^cuda 12\.9\.1 +NVIDIA's redistributables$", capsys.readouterr().out, re.MULTILINE)
    monkeypatch.delenv("GPUBUILD_CUDA_REDIST")
    host = compiler(tmp_path)
    monkeypatch.setattr("buildtool.cli.toolchain._compiler", lambda: host)
    assert gpubuild(monkeypatch, "toolchain", "install", "cuda==12.4.1", "--cuda-redist", redist.url) == 0
    assert f"cuda {NVCC} is ready" in capsys.readouterr().out
    assert gpubuild(monkeypatch, "toolchain", "install", "cuda==11.0", "--cuda-redist", redist.url) == 4
    assert gpubuild(monkeypatch, "toolchain", "install", "cuda==12.*", "--cuda-redist", "http://127.0.0.1:9/x") == 6
    assert "GPUBUILD_CUDA_REDIST (--cuda-redist)" in capsys.readouterr().err
    assert gpubuild(monkeypatch, "toolchain", "prune", "--json") == 0
    assert json.loads(capsys.readouterr().out)["removed"][0]["version"] == NVCC
