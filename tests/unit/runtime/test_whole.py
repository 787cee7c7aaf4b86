"""NVIDIA's libraries in a bundle: as they are, unless somebody asks for them cut down, for a machine of his own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from codeobj_hosts import NVF, shared_object
from codeobj_samples import FIXTURES
from runtime_samples import cuda_build, shared

import buildtool.runtime.stage as staging
from buildtool.build.model import BuildTree
from buildtool.codeobj import inspect
from buildtool.compat.model import Plan
from buildtool.errors import BuildError, IncompatibleError
from buildtool.runtime import collect, require_served
from buildtool.runtime.facts import whole
from buildtool.toolchain.model import Toolchain


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    root = tmp_path / "content" / "nvidia" / "cu13"
    (root / "lib").mkdir(parents=True)
    fat = [(FIXTURES / name).read_bytes() for name in ("targets.fatbin", "zstd.fatbin")]
    (root / "lib/libcublas.so.13").write_bytes(shared_object(fat, magic=NVF, fat=".nv_fatbin"))
    (root / "lib/libcudart.so.13").write_bytes(shared("libcublas.so.13", "libc.so.6", soname="libcudart.so.13"))
    (root / "EULA.txt").write_text("terms")
    return root


def given(tmp_path: Path, toolkit: Path, *targets: str, cut: bool) -> tuple[Plan, Toolchain, BuildTree]:
    (tmp_path / "build/bin").mkdir(parents=True, exist_ok=True)
    (tmp_path / "build/bin/libggml-cuda.so").write_bytes(shared("libcublas.so.13", "libcudart.so.13", "libcuda.so.1"))
    return cuda_build(tmp_path / "build", toolkit, *targets, cut=cut)


def test_they_travel_byte_for_byte(tmp_path: Path, toolkit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "look_beside", lambda path: pytest.fail(f"{path.name} was given a RUNPATH"))
    made = collect(*given(tmp_path, toolkit, "sm_90", cut=False))
    assert [one.soname for one in made.libraries] == ["libcublas.so.13", "libcudart.so.13"]
    for one in made.libraries:
        assert Path(one.path).read_bytes() == (toolkit / "lib" / one.soname).read_bytes()
        assert one.changes == ()
    assert made.notes == ()


def test_asked_for_they_are_cut_and_the_set_says_what_that_means(tmp_path: Path, toolkit: Path) -> None:
    whole_set = collect(*given(tmp_path, toolkit, "sm_90", cut=False))
    made = collect(*given(tmp_path, toolkit, "sm_90", cut=True))
    by_name = {one.soname: one for one in made.libraries}
    held = inspect(Path(by_name["libcublas.so.13"].path)).targets
    assert set(held) == {"sm_90", "sm_90a", "compute_86"}, "PTX where nothing else would load"
    assert by_name["libcublas.so.13"].changes == ("holds device code for sm_90 only",)
    assert by_name["libcublas.so.13"].bytes < whole_set.libraries[0].bytes
    assert by_name["libcudart.so.13"].changes == (), "it has no device code"
    assert len(made.notes) == 1
    assert "licence forbids" in made.notes[0]


def test_a_target_that_they_do_not_serve_is_refused(tmp_path: Path, toolkit: Path) -> None:
    with pytest.raises(IncompatibleError, match="holds no code for sm_30"):
        collect(*given(tmp_path, toolkit, "sm_30", cut=True))


def test_without_a_licence_text_nothing_is_compiled_first(tmp_path: Path, toolkit: Path) -> None:
    plan, toolchain, _ = given(tmp_path, toolkit, "sm_90", cut=False)
    require_served(plan, toolchain)
    (toolkit / "EULA.txt").unlink()
    with pytest.raises(BuildError, match=r"No licence text was found for libcublas\.so\.13"):
        require_served(plan, toolchain)
    require_served(msgspec.structs.replace(plan, runtime="system"), toolchain)


def test_whose_libraries_must_stay_as_they_are() -> None:
    for soname in ("libcublas.so.12", "libcublasLt.so.13", "libcudart.so.11.0", "libnvJitLink.so.13"):
        row = whole(soname)
        assert row is not None
        assert row.source
    for soname in ("librocblas.so.4", "libLLVM.so.21.1", "libnuma.so.1", "libcurl.so.4", "libnccl.so.2"):
        assert whole(soname) is None, soname
