from __future__ import annotations

import contextlib
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from index_samples import everything, make_wheel

from buildtool.errors import IntegrityError, InvalidInputError, MissingToolError, NetworkError, VerificationError
from buildtool.index import build_index
from buildtool.index.serve import IndexServer
from buildtool.install import Target, environment, open_shelf
from buildtool.install import shelf as shelf_module
from buildtool.install.put import command, put


@pytest.fixture(params=["folder", "http"])
def where(request: pytest.FixtureRequest, tmp_path: Path, place: Path) -> Iterator[tuple[str, Path]]:
    """The same index as a folder and over HTTP; `place` gives the downloads a cache of their own."""
    assert place
    folder = tmp_path / "index"
    build_index((everything(folder),), folder)
    if request.param == "folder":
        yield str(folder), folder
        return
    with IndexServer(folder, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"{server.url}/index.html", folder
        server.shutdown()
        thread.join()


def test_files_come_verified(where: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    with open_shelf(where[0]) as shelf:
        files = shelf.fetch(shelf.catalogue.wheels, tmp_path / "got")
        assert shelf.installer_options == ()
    assert [file.read_bytes() for file in files] == [(where[1] / file.name).read_bytes() for file in files]


def test_a_tampered_file_is_refused_and_does_not_stay(where: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    wheel = next(where[1].glob("*vulkan*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"more")
    with open_shelf(where[0]) as shelf, pytest.raises(IntegrityError, match="is not the"):
        shelf.fetch(shelf.catalogue.wheels, tmp_path / "got")
    assert not (tmp_path / "got" / wheel.name).exists()


def test_a_gone_file_is_said(tmp_path: Path) -> None:
    build_index((everything(tmp_path),), tmp_path)
    next(tmp_path.glob("*vulkan*.whl")).unlink()
    (tmp_path / "got").mkdir()
    with open_shelf(str(tmp_path)) as shelf, pytest.raises(IntegrityError, match="has no file"):
        shelf.fetch(shelf.catalogue.wheels, tmp_path / "got")


def test_an_index_that_carries_vendor_libraries_offers_them(tmp_path: Path) -> None:
    make_wheel(everything(tmp_path), "nvidia-cublas", "13.1.0")
    build_index((tmp_path,), tmp_path)
    with open_shelf(f"file://{tmp_path}") as shelf:
        assert shelf.installer_options == ("--find-links", str(tmp_path))


def test_what_is_no_index_is_refused(tmp_path: Path, place: Path) -> None:
    assert place
    with pytest.raises(InvalidInputError, match="no index in"):
        open_shelf(str(tmp_path))
    with pytest.raises(InvalidInputError, match="is no index"):
        open_shelf("ftp://example.org")
    with pytest.raises(InvalidInputError, match="is no address"):
        open_shelf("http://[not-an-address/")
    with pytest.raises(InvalidInputError, match="home directory of a user that is not known"):
        open_shelf("~nobody-of-that-name/dist")
    with pytest.raises(NetworkError):
        open_shelf("http://127.0.0.1:9/")


def test_only_a_python_that_answers_is_installed_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="no Python that answers"):
        environment(tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert environment(None).version.count(".") == 2
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingToolError, match="uv is not installed"):
        command(Target(python="/p", version="3.11"), "uv", (), ())


def test_a_catalogue_without_end_is_not_taken_into_memory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place
    served = 0

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal served
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while served < 64 << 20:
                    served += self.wfile.write(bytes(1 << 16))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
            pass

    monkeypatch.setattr(shelf_module, "LARGEST_CATALOGUE", 1 << 20)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        with pytest.raises(InvalidInputError, match="not one that this gpubuild reads"):
            open_shelf(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()
    assert served < 32 << 20


@pytest.mark.parametrize(("says", "told"), [("", "It said nothing"), ("hello", "It said 'hello'"), ("3.11", "3.11")])
def test_a_program_that_answers_otherwise_is_no_python(tmp_path: Path, says: str, told: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{f'echo {says}' if says else ':'}\n")
    program.chmod(0o755)
    with pytest.raises(InvalidInputError, match="is no Python that answers") as refused:
        environment(program)
    assert told in refused.value.why


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho a warning >&2\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_python_is_found_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "bin" / "python9", "9.0.1")
    monkeypatch.setenv("PATH", f"{named.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    assert environment(Path("python9")) == Target(python=str(named), version="9.0.1")


@pytest.mark.parametrize(
    ("backends", "told"),
    [("", "does not find its backend vulkan"), ('{"name": "vulkan", "problem": "old"}', "cannot be used"),
     ('{"name": "vulkan", "problem": ""}', "")],
)  # fmt: skip
def test_what_was_installed_must_know_its_backend(tmp_path: Path, backends: str, told: str) -> None:
    runtime = program(tmp_path / "python", '{"version": "1", "backends": [' + backends + "]}")
    target = Target(python=str(runtime), version="3.11.7")
    if not told:
        put(target, ("true",), "vulkan")
        return
    with pytest.raises(VerificationError, match=told):
        put(target, ("true",), "vulkan")
