from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_samples import VERSION, backend, everything, make_wheel, runtime

from buildtool.errors import IntegrityError, InvalidInputError, StorageError, UnknownNameError
from buildtool.index import Catalogue, build_index, catalogue_of, load_catalogue, yank
from buildtool.index.collect import collect
from buildtool.index.groups import groups
from buildtool.index.page import people_page
from buildtool.index.wheelfile import read_wheel


class Links(HTMLParser):
    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".gpubuild-index.lock"
    }


def test_each_backend_and_target_has_a_sub_index_that_holds_only_what_serves_it(tmp_path: Path) -> None:
    built = build_index((everything(tmp_path),), tmp_path)
    assert built.folders == (
        "simple", "cpu", "cuda13", "cuda13-sm89", "cuda13-sm90", "cuda13-sm120", "rocm7", "rocm7-gfx1032", "vulkan",
    )  # fmt: skip
    names = [link["href"] for link in Links(tmp_path / "rocm7-gfx1032" / "index.html").found]
    assert names == ["gpubuild-llama/", "gpubuild-llama-rocm7/"]
    page = json.loads((tmp_path / "cuda13-sm120" / "gpubuild-llama-cuda13" / "index.json").read_bytes())
    assert [file["filename"] for file in page["files"]] == [
        f"gpubuild_llama_cuda13-{VERSION}.cu130.sm120-py3-none-manylinux_2_34_x86_64.whl"
    ]
    by_name = {wheel.distribution: wheel for wheel in built.catalogue.wheels}
    assert (by_name["gpubuild-llama-rocm7"].toolkit, by_name["gpubuild-llama-cuda13"].toolkit) == ("7.0", "13.0")


def test_links_carry_hashes_metadata_and_python_and_lead_to_files(tmp_path: Path) -> None:
    build_index((everything(tmp_path),), tmp_path)
    (link,) = Links(tmp_path / "vulkan" / "gpubuild-llama-vulkan" / "index.html").found
    href = link["href"] or ""
    path, _, fragment = href.partition("#sha256=")
    wheel = (tmp_path / "vulkan" / "gpubuild-llama-vulkan" / path.replace("%2B", "+")).resolve()
    assert "%2B" in path
    assert fragment == hashlib.sha256(wheel.read_bytes()).hexdigest()
    metadata = wheel.with_name(wheel.name + ".metadata").read_bytes()
    assert link["data-core-metadata"] == f"sha256={hashlib.sha256(metadata).hexdigest()}"
    assert link["data-requires-python"] == ">=3.9"
    with zipfile.ZipFile(wheel) as archive:
        assert metadata == archive.read(f"gpubuild_llama_vulkan-{VERSION}.vulkan.dist-info/METADATA")


def test_the_same_wheels_give_the_same_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    build_index((everything(tmp_path / "one"),), tmp_path / "one")
    for path in sorted(everything(tmp_path / "two words").iterdir(), reverse=True):
        os.utime(path, (1, 1))
    build_index((tmp_path / "two words",), tmp_path / "two words")
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two words")


def test_a_second_run_writes_nothing_and_a_gone_wheel_takes_its_pages_along(tmp_path: Path) -> None:
    build_index((everything(tmp_path),), tmp_path)
    assert build_index((tmp_path,), tmp_path).written == 0
    next(tmp_path.glob("*rocm7*.whl")).unlink()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "index.html").write_text("mine")
    build_index((tmp_path,), tmp_path)
    assert not (tmp_path / "rocm7").exists()
    assert not list(tmp_path.glob("*rocm7*"))
    assert (tmp_path / "notes" / "index.html").read_text() == "mine"


def test_wheels_of_several_jobs_become_one_index_elsewhere(tmp_path: Path) -> None:
    runtime(tmp_path / "jobs" / "cpu")
    runtime(tmp_path / "jobs" / "cuda")  # the same bytes: no conflict
    backend(tmp_path / "jobs" / "cuda", "cuda13", ("sm_90",), label="cu130")
    built = build_index((tmp_path / "jobs",), tmp_path / "site")
    assert [wheel.family for wheel in built.catalogue.wheels] == ["cpu", "cuda13"]
    assert len(list((tmp_path / "site").glob("*.whl"))) == 2


def test_two_different_wheels_of_one_name_are_refused_and_both_named(tmp_path: Path) -> None:
    runtime(tmp_path / "a", content="one")
    runtime(tmp_path / "b", content="two")
    with pytest.raises(InvalidInputError, match="two wheels") as caught:
        build_index((tmp_path / "a", tmp_path / "b"), tmp_path / "site")
    assert [Path(line).parent.name for line in caught.value.details] == ["a", "b"]
    assert not list((tmp_path / "site").glob("*.whl"))


def test_one_wheel_under_two_spellings_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "some-thing", "1.0")
    other = path.with_name(path.name.replace("some_thing", "Some_Thing"))
    shutil.copy(path, other)
    with pytest.raises(InvalidInputError, match="one wheel under two names"):
        build_index((tmp_path,), tmp_path)


def test_a_wheel_changed_after_packing_is_refused(tmp_path: Path) -> None:
    path = runtime(tmp_path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content + b"import evil\n" if name.endswith("__init__.py") else content)
    with pytest.raises(IntegrityError, match=r"changed after it was packed") as caught:
        build_index((tmp_path,), tmp_path)
    assert "gpubuild_llama/__init__.py" in caught.value.why


def test_a_published_name_keeps_its_bytes_unless_replacing_is_asked_for(tmp_path: Path) -> None:
    runtime(tmp_path, content="first")
    build_index((tmp_path,), tmp_path)
    before = snapshot(tmp_path)
    runtime(tmp_path, content="second")
    with pytest.raises(IntegrityError, match="not the file that this index published"):
        build_index((tmp_path,), tmp_path)
    assert {name: data for name, data in snapshot(tmp_path).items() if not name.endswith(".whl")} == {
        name: data for name, data in before.items() if not name.endswith(".whl")
    }
    build_index((tmp_path,), tmp_path, replace=True)
    assert catalogue_of(tmp_path).wheels[0].sha256 != json.loads(before["gpubuild-index.json"])["wheels"][0]["sha256"]


@pytest.mark.parametrize("damage", ["cut", "empty", "renamed", "name"])
def test_what_is_no_sound_wheel_is_refused(tmp_path: Path, damage: str) -> None:
    path = runtime(tmp_path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "renamed":
        path.rename(path.with_name(path.name.replace("0.5.0", "0.5.1")))
    else:
        path.rename(path.with_name("llama.whl"))
    with pytest.raises((IntegrityError, InvalidInputError)):
        build_index((tmp_path,), tmp_path)


@settings(max_examples=25)
@given(st.data())
def test_any_changed_byte_of_a_wheel_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("wheel")
    path = runtime(folder)
    published = Catalogue(wheels=(read_wheel(path)[0],))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises((IntegrityError, InvalidInputError)):
        collect([folder], published)


def test_a_yanked_wheel_stays_yanked_is_marked_everywhere_and_can_come_back(tmp_path: Path) -> None:
    build_index((everything(tmp_path),), tmp_path, url="https://wheels.example.org")
    name = next(tmp_path.glob("*sm120*.whl")).name
    yank(tmp_path, name, 'wrong "results" <b>')
    built = build_index((tmp_path,), tmp_path, url="https://wheels.example.org")
    assert [wheel.yanked for wheel in built.catalogue.wheels if wheel.filename == name] == ['wrong "results" <b>']
    links = Links(tmp_path / "cuda13" / "gpubuild-llama-cuda13" / "index.html").found
    assert [link.get("data-yanked") for link in links] == ['wrong "results" <b>', None]
    page = json.loads((tmp_path / "cuda13" / "gpubuild-llama-cuda13" / "index.json").read_bytes())
    assert [file["yanked"] for file in page["files"]] == ['wrong "results" <b>', False]
    people = (tmp_path / "index.html").read_text()
    assert "cuda13-sm120/" not in people
    assert "&lt;b&gt;" in people
    assert "https://wheels.example.org/cuda13-sm90/" in people
    yank(tmp_path, name, None)
    assert "https://wheels.example.org/cuda13-sm120/" in (tmp_path / "index.html").read_text()
    with pytest.raises(UnknownNameError):
        yank(tmp_path, "other.whl", "")


def test_the_page_gives_a_line_per_card_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = people_page(groups(build_index((everything(tmp_path),), tmp_path).catalogue.wheels), ()).decode()
    line = f'pip install --extra-index-url INDEX-URL/rocm7-gfx1032/ "gpubuild-llama-rocm7=={VERSION}.rocm70.gfx1032"'
    assert line in page
    assert "RX 6600" in page
    assert "NVIDIA driver 580 or newer" in page
    assert "glibc 2.34 or newer" in page
    assert "<script" not in page
    assert "http" not in page
    assert page.count("<pre>") == page.count("</pre>") == 1 + 1 + 3 + 1 + 1


def test_an_index_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    everything(tmp_path / "wheels")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        build_index((tmp_path / "wheels",), tmp_path / "file" / "site")
    with pytest.raises(InvalidInputError, match="no directory"):
        build_index((tmp_path / "nowhere",), tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"schema": 9, "wheels": []}', b'{"schema": 1, "wheels": [], "more": 1}', b"\xff"]
)
def test_a_catalogue_that_is_not_ours_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInputError):
        load_catalogue(text, "there")


def test_a_catalogue_names_no_file_outside_the_index(tmp_path: Path) -> None:
    runtime(tmp_path)
    build_index((tmp_path,), tmp_path)
    text = (tmp_path / "gpubuild-index.json").read_bytes().replace(b'"filename": "', b'"filename": "../')
    with pytest.raises(InvalidInputError, match="names a file"):
        load_catalogue(text, "there")


@pytest.mark.parametrize("harm", ["stream", "encrypted", "record"])
def test_a_damaged_wheel_is_called_that(tmp_path: Path, harm: str) -> None:
    """What zipfile lets through of its codecs, of encryption, and of a list whose field is too long."""
    plain = runtime(tmp_path / "a", content="words " * 500)
    wheel = tmp_path / plain.name
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            too_long = harm == "record" and info.filename.endswith("RECORD")
            new.writestr(info.filename, b"x" * 200_000 if too_long else old.read(info))
    data = bytearray(wheel.read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        first = archive.infolist()[0]
    start = first.header_offset + 30 + len(first.filename)
    if harm == "stream":
        data[start : start + first.compress_size] = b"\xff" * first.compress_size
    if harm == "encrypted":
        data[6] |= 1
        data[data.find(b"PK\1\2") + 8] |= 1
    wheel.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"is damaged|was changed"):
        read_wheel(wheel)


@pytest.mark.parametrize(
    "change",
    [{"version": "new"}, {"version": "9"}, {"version": "9" * 5000}, {"sha256": "../../x"},
     {"distribution": "other"}, {"role": "backend", "family": "abacus9"},
     {"family": "cuda13"}, {"filename": "x.whl"}, {"filename": "../gpubuild_llama-1-py3-none-any.whl"}],
)  # fmt: skip
def test_a_catalogue_that_contradicts_its_file_names_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    """It comes from a stranger, and what is chosen from it is installed."""
    runtime(tmp_path)
    build_index((tmp_path,), tmp_path)
    document = json.loads((tmp_path / "gpubuild-index.json").read_bytes())
    document["wheels"][0] |= change
    with pytest.raises(InvalidInputError, match="names a file"):
        load_catalogue(json.dumps(document).encode(), "index")


def test_a_backend_with_its_libraries_inside_asks_for_none(tmp_path: Path) -> None:
    plain = backend(tmp_path / "plain", "rocm7", ("gfx1032",), label="rocm70")
    assert not read_wheel(plain)[0].bundled
    assert b"must be installed" in people_page(groups([read_wheel(plain)[0]]), ())
    whole = with_library(plain, tmp_path / plain.name, "librocblas.so.4")
    assert read_wheel(whole)[0].bundled
    page = people_page(groups([read_wheel(whole)[0]]), ())
    assert b"libraries are inside" in page
    assert b"must be installed" not in page
    module = with_library(plain, tmp_path / "m" / plain.name, "libggml-hip.so")
    assert not read_wheel(module)[0].bundled


def with_library(wheel: Path, target: Path, name: str) -> Path:
    target.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w") as new:
        folder = next(one for one in old.namelist() if one.endswith("/__init__.py")).rpartition("/")[0]
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith("/RECORD"):
                digest = base64.urlsafe_b64encode(hashlib.sha256(b"x").digest()).rstrip(b"=").decode()
                data = f"{folder}/lib/{name},sha256={digest},1\n".encode() + data
            new.writestr(info, data)
        new.writestr(f"{folder}/lib/{name}", b"x")
    return target


def test_targets_that_are_no_value_are_refused(tmp_path: Path) -> None:
    make_wheel(tmp_path, "gpubuild-llama-vulkan", content="of a stranger\nTARGETS = {[]: 1}")
    with pytest.raises(InvalidInputError, match="does not tell its targets"):
        build_index((tmp_path,), tmp_path)


def test_an_odd_platform_tag_has_its_line_too(tmp_path: Path) -> None:
    wheels = build_index((runtime(tmp_path, tag="manylinux_2_34").parent,), tmp_path).catalogue.wheels
    assert "manylinux 2_34" in people_page(groups(wheels), wheels).decode()


def test_withdrawing_from_a_folder_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no directory"):
        yank(tmp_path / "nowhere", "x.whl", "")
    assert not (tmp_path / "nowhere").exists()
