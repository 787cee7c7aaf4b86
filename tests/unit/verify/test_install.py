"""Wheels made by hand, installed by the real pip without any index."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import msgspec
import pytest

from buildtool.errors import MissingToolError, NotProvedError, VerificationError
from buildtool.verify.environment import throwaway
from buildtool.verify.inside import describe
from buildtool.verify.model import Options
from buildtool.verify.select import select
from buildtool.verify.subject import Subject, installed

RUNTIME = """
from pathlib import Path
from types import SimpleNamespace
import os
LIB = Path(__file__).parent / "lib"
def library_directory(): return LIB
def backends(): return [SimpleNamespace(name="cuda13", path=LIB / "libggml-cuda.so", problem="")]
def environment(): return dict(os.environ, GGML_BACKEND_PATH=str(LIB / "libggml-cuda.so"))
"""


def make_wheel(
    directory: Path, name: str, files: dict[str, str], *, requires: str = "", tag: str = "py3-none-any"
) -> Path:
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    everything = files | {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    path = directory / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        rows = []
        for inside, text in everything.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{inside},sha256={digest},{len(text.encode())}")
            archive.writestr(inside, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


@pytest.fixture(autouse=True)
def _no_pip_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine's pip would find on its own must not decide a test."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)


def install(paths: list[Path], **wishes: object) -> Subject:
    options = Options(offline=True, **wishes)
    with throwaway(options) as environment:
        subject = installed(environment, select(paths), options)
        assert subject.directory.is_relative_to(environment.root)
        return msgspec.structs.replace(subject, installed=tuple(name.replace("_", "-") for name in subject.installed))


def test_a_backend_brings_its_runtime_from_beside_and_its_libraries_from_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GGML_BACKEND_PATH", "/somewhere/else.so")
    monkeypatch.setenv("LLAMA_ARG_DEVICE", "none")
    links = tmp_path / "liens é"
    links.mkdir()
    make_wheel(links, "nvidia_something", {"y.py": ""})
    files = {"gpubuild_llama/__init__.py": RUNTIME}
    make_wheel(tmp_path, "gpubuild_llama", files, requires="nvidia-something")
    backend = make_wheel(tmp_path, "gpubuild_llama_cuda13", {"x.py": ""}, requires="gpubuild-llama==1.0")
    subject = install([backend], find_links=(str(links),))
    names = ("gpubuild-llama", "gpubuild-llama-cuda13", "nvidia-something")
    assert set(subject.installed) == {f"{name}-1.0" for name in names}
    assert subject.env["GGML_BACKEND_PATH"] == str(subject.directory / "libggml-cuda.so")
    assert "GGML_BACKEND_PATH" not in subject.cpu_env
    assert "LLAMA_ARG_DEVICE" not in subject.env
    assert [path.name for path in subject.modules] == ["libggml-cuda.so"]


def test_a_dependency_that_is_nowhere_is_named(tmp_path: Path) -> None:
    files = {"gpubuild_llama/__init__.py": RUNTIME}
    wheel = make_wheel(tmp_path, "gpubuild_llama", files, requires="nvidia-something")
    with pytest.raises(MissingToolError, match="dependency was not found") as raised:
        install([wheel])
    assert "--find-links" in raised.value.hint
    assert any("nvidia-something" in line for line in raised.value.details)


def test_packages_that_are_installed_count_on_request(tmp_path: Path) -> None:
    files = {"gpubuild_llama/__init__.py": RUNTIME}
    wheel = make_wheel(tmp_path, "gpubuild_llama", files, requires="msgspec")
    subject = install([wheel], system_site_packages=True)
    assert subject.installed == ()  # the second run of pip found everything in place


def test_a_wheel_for_another_platform_is_not_proved(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "gpubuild_llama", {"x.py": ""}, tag="py3-none-win_arm64")
    with pytest.raises(NotProvedError, match="another platform"):
        install([wheel])


def test_a_runtime_that_does_not_import_fails(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "gpubuild_llama", {"gpubuild_llama/__init__.py": "import no_such_module"})
    with pytest.raises(VerificationError, match="does not import") as raised:
        install([wheel])
    assert any("no_such_module" in line for line in raised.value.details)


def test_a_backend_that_the_runtime_does_not_find_is_a_problem(tmp_path: Path) -> None:
    """Else it would be taken for a runtime without a backend, and pass on the processor."""
    blind = RUNTIME.replace("[SimpleNamespace", "[] and [SimpleNamespace")
    make_wheel(tmp_path, "gpubuild_llama", {"gpubuild_llama/__init__.py": blind})
    backend = make_wheel(tmp_path, "gpubuild_llama_cuda13", {"x.py": ""}, requires="gpubuild-llama==1.0")
    assert install([backend]).problems == ("cuda13: it is installed, and the runtime does not find it",)


def test_a_warning_of_the_runtime_is_no_answer(tmp_path: Path) -> None:
    warns = f"import sys; sys.stderr.write('a warning\\n')\n{RUNTIME}"
    wheel = make_wheel(tmp_path, "gpubuild_llama", {"gpubuild_llama/__init__.py": warns})
    assert [path.name for path in install([wheel]).modules] == ["libggml-cuda.so"]


@pytest.mark.skipif(os.name != "posix", reason="loads the C library")
def test_libraries_are_loaded_for_real(tmp_path: Path) -> None:
    from buildtool.verify.steps import modules
    from buildtool.verify.subject import in_place

    libc = next(Path("/lib").glob("*/libc.so.6"), None) or next(Path("/usr/lib").glob("libc.so.6"))
    build = tmp_path / "build"
    build.mkdir()
    shutil.copyfile(libc, build / "libggml-base.so")
    (build / "libllama.so").write_bytes(b"\x7fELF no more")
    options = Options()
    with throwaway(options) as environment:
        found = modules.check(in_place(environment, build), options)
    assert {module.name: module.loaded for module in found.modules} == {
        "libggml-base.so": True,
        "libllama.so": False,
    }
    assert found.verdict == "failed"


def test_vendor_libraries_of_outer_packages_are_found_unless_the_environment_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, own = tmp_path / "outer", tmp_path / "venv"
    for path in (outer / "nvidia/cu13/lib", outer / "nvidia/other/lib", own / "site/nvidia/other/lib"):
        path.mkdir(parents=True)
    monkeypatch.setattr("sys.prefix", str(own))
    monkeypatch.setattr("sys.path", [str(own / "site"), str(outer)])
    assert describe.vendor_libraries() == {
        str(own / "site/nvidia/other/lib"): False,
        str(outer / "nvidia/cu13/lib"): True,
    }


def test_a_variant_wheel_is_installed_under_the_name_that_pip_knows(tmp_path: Path) -> None:
    runtime = make_wheel(tmp_path, "gpubuild_llama", {"gpubuild_llama/__init__.py": RUNTIME})
    variant = runtime.rename(tmp_path / "gpubuild_llama-1.0-py3-none-any-x86_64_v3.whl")
    assert install([variant]).installed == ("gpubuild-llama-1.0",)
    assert [path.name for path in tmp_path.iterdir()] == [variant.name]
