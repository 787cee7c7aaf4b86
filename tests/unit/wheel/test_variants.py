"""Variant wheels (PEP 825, a draft): what is said of a wheel, and that variantlib reads it as it was meant."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from buildtool.compat.model import Plan, PlanToolkit, PlanWheel
from buildtool.errors import IncompatibleError, IntegrityError, InvalidInputError, MissingToolError
from buildtool.index.wheelfile import read_wheel
from buildtool.runtime import RuntimeSet
from buildtool.verify.select import select
from buildtool.wheel import Want, pack
from buildtool.wheel.filename import label_of, plain_name, with_platform
from buildtool.wheel.project import provider_tables
from buildtool.wheel.reading import describe
from buildtool.wheel.variants import providers, require_variants, variant_of

sys.path.insert(0, str(Path(__file__).parent))

from pack_samples import build_tree, runtime_plan, source_of
from wheel_files import BACKEND, PLAN, RUNTIME

TOOLKIT = PlanToolkit(kind="rocm", version="7.0", provider="system")
ROCM = msgspec.structs.replace(PLAN, backend="rocm", targets=("gfx1032", "gfx1100"), toolkit=TOOLKIT)


def test_a_cuda_backend_names_its_targets_and_the_oldest_driver() -> None:
    found = variant_of(PLAN, BACKEND)
    assert found is not None
    assert found.label == "cu130.sm90"
    assert found.properties == ("nvidia :: cuda_version_lower_bound :: 13.0", "nvidia :: sm_arch :: 90_real")
    several = variant_of(msgspec.structs.replace(PLAN, targets=("sm_90a", "sm_120")), BACKEND)
    assert several is not None
    assert several.properties[1:] == ("nvidia :: sm_arch :: 90a_real", "nvidia :: sm_arch :: 120_real")


def test_an_amd_backend_names_processors_and_a_generic_target_those_that_it_covers() -> None:
    found = variant_of(ROCM, BACKEND)
    assert found is not None
    assert found.properties == ("amd :: gfx_arch :: gfx1032", "amd :: gfx_arch :: gfx1100")
    generic = variant_of(msgspec.structs.replace(ROCM, targets=("gfx10-3-generic",)), BACKEND)
    assert generic is not None
    assert {"amd :: gfx_arch :: gfx1030", "amd :: gfx_arch :: gfx1036"} <= set(generic.properties)
    with pytest.raises(IncompatibleError, match="xnack"):
        variant_of(msgspec.structs.replace(ROCM, targets=("gfx90a:xnack-",)), BACKEND)


def test_a_runtime_is_a_variant_only_where_its_level_is_known() -> None:
    assert variant_of(PLAN, RUNTIME) is None
    assert variant_of(msgspec.structs.replace(PLAN, profile="native"), RUNTIME) is None
    found = variant_of(msgspec.structs.replace(PLAN, profile="minimal"), RUNTIME)
    assert found is not None
    assert found.properties == ("x86_64 :: level :: v3",)
    vulkan = msgspec.structs.replace(PLAN, backend="vulkan", targets=())
    assert variant_of(vulkan, BACKEND) is None, "no namespace tells of Vulkan"


def test_every_namespace_has_a_provider() -> None:
    minimal = msgspec.structs.replace(PLAN, profile="minimal")
    used = [variant_of(plan, wheel) for plan, wheel in ((PLAN, BACKEND), (ROCM, BACKEND), (minimal, RUNTIME))]
    assert {name for one in used if one is not None for name in one.namespaces} == set(providers())


def test_without_variantlib_it_is_said_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    require_variants(PLAN)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingToolError, match="variantlib") as told:
        require_variants(PLAN)
    assert "gpubuild[variants]" in told.value.hint


@pytest.mark.parametrize(
    ("name", "label"),
    [("a-1+x.y-py3-none-any.whl", ""), ("a-1-py3-none-linux_x86_64-cu130.sm90.whl", "cu130.sm90"),
     ("a-1-1b-py3-none-any.whl", ""), ("a-1-1b-py3-none-any-v3.whl", "v3"), ("a.whl", "")],
)  # fmt: skip
def test_the_label_of_a_file_name(name: str, label: str) -> None:
    assert label_of(name) == label
    assert label_of(plain_name(name)) == ""
    if name.startswith("a-1-py3"):
        assert with_platform(name, "win_amd64") == "a-1-py3-none-win_amd64-cu130.sm90.whl"


@pytest.mark.skipif(sys.platform != "linux", reason="packs a program of Linux")
@pytest.mark.parametrize("role", ["backend", "runtime"])
def test_variantlib_reads_what_was_packed(tmp_path: Path, role: str) -> None:
    """Packed by scikit-build-core and sealed; the file name and the file inside go through variantlib's own reader."""
    from variantlib.constants import VALIDATION_WHEEL_NAME_REGEX, VARIANT_DIST_INFO_FILENAME
    from variantlib.variant_dist_info import VariantDistInfo

    minimal = msgspec.structs.replace(runtime_plan(), profile="minimal")
    plan = PLAN if role == "backend" else minimal
    tree, out = build_tree(tmp_path / "b ä", megabytes=0.1, role=role), tmp_path / "out"
    want = Want(role=role, variants=True)  # type: ignore[arg-type]
    (made,) = pack(plan, tree, source_of(tree), RuntimeSet(), out, want=want)
    path = Path(made.path)
    parts = VALIDATION_WHEEL_NAME_REGEX.fullmatch(path.name)
    expected = variant_of(plan, BACKEND if role == "backend" else RUNTIME)
    assert parts is not None
    assert expected is not None
    assert parts["variant_label"] == expected.label
    assert parts["plat"] == made.tag
    with zipfile.ZipFile(path) as archive:
        inside = next(name for name in archive.namelist() if name.endswith(f".dist-info/{VARIANT_DIST_INFO_FILENAME}"))
        read = VariantDistInfo(archive.read(inside), parts["variant_label"])
    assert tuple(one.to_str() for one in read.variant_desc.properties) == tuple(sorted(expected.properties))
    assert read.namespace_priorities == list(expected.namespaces)
    assert [read.providers[name].requires for name in expected.namespaces] == [
        list(providers()[name].requires) for name in expected.namespaces
    ]
    _is_told_apart(path, expected.label, expected.properties, tmp_path)
    (plain,) = pack(plan, tree, source_of(tree), RuntimeSet(), out, want=Want(role=role))  # type: ignore[arg-type]
    assert Path(plain.path).name == plain_name(path.name), "without the flag nothing is a variant"
    assert describe(Path(plain.path)).variant == ""


def _is_told_apart(path: Path, label: str, properties: tuple[str, ...], tmp_path: Path) -> None:
    """What gpubuild itself makes of a variant wheel: it checks, proves and compares it, and does not index it."""
    said = describe(path)
    assert (said.variant, sorted(said.properties)) == (label, sorted(properties))
    assert "variantlib" in said.tools
    with pytest.raises(InvalidWheelFilename):
        parse_wheel_filename(path.name)
    assert [one.version for one in select([path]).described] == [plain_name(path.name).split("-")[1]]
    with pytest.raises(InvalidInputError, match="variant wheel"):
        read_wheel(path)
    renamed = tmp_path / path.name.replace(f"-{label}.whl", "-other.whl")
    renamed.write_bytes(path.read_bytes())
    with pytest.raises(IntegrityError, match="not the variant"):
        describe(renamed)


STAND_IN = """
import json, os
from types import SimpleNamespace
class {name}:
    namespace = "{namespace}"
    @classmethod
    def get_all_configs(cls):
        return cls.get_supported_configs()
    @classmethod
    def get_supported_configs(cls):
        machine = json.loads(os.environ["MACHINE"])
        return [SimpleNamespace(name=name, values=values, multi_value=True) for name, values in machine.items()]
"""
DRIVER_13 = ["13.0", "12.9"]


@pytest.mark.parametrize(
    ("plan", "wheel", "machine", "chosen"),
    [(PLAN, BACKEND, {"cuda_version_lower_bound": DRIVER_13, "sm_arch": ["90_real"]}, True),
     (PLAN, BACKEND, {"cuda_version_lower_bound": DRIVER_13, "sm_arch": ["89_real", "80_real"]}, False),
     (PLAN, BACKEND, {"cuda_version_lower_bound": ["12.9"], "sm_arch": ["90_real"]}, False),
     (ROCM, BACKEND, {"gfx_arch": ["gfx1032"]}, True),
     (ROCM, BACKEND, {"gfx_arch": ["gfx1030"]}, False)],
)  # fmt: skip
def test_variantlib_chooses_it_for_machines_that_have_what_it_needs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    wheel: PlanWheel,
    machine: dict[str, list[str]],
    *,
    chosen: bool,
) -> None:
    """The choice is variantlib's; the provider, of which there is no release, is a stand-in."""
    import tomllib

    from variantlib.api import get_variants_by_priority, make_variant_dist_info
    from variantlib.models.variant import VariantDescription, VariantProperty
    from variantlib.plugins import loader
    from variantlib.pyproject_toml import VariantPyProjectToml

    found = variant_of(plan, wheel)
    assert found is not None
    module, _, name = providers()[found.namespaces[0]].plugin_api.partition(":")
    path = tmp_path / Path(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True)
    path.write_text(STAND_IN.format(name=name, namespace=found.namespaces[0]))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MACHINE", json.dumps(machine))
    monkeypatch.setattr(loader, "VARIANT_PROVIDER_CACHE_TABLE", {})
    properties = [VariantProperty.from_str(one) for one in found.properties]
    said = VariantPyProjectToml(tomllib.loads(provider_tables(found)))
    text = make_variant_dist_info(VariantDescription(properties, label=found.label), variant_info=said)
    labels = [one.label for one in get_variants_by_priority(variants_json=json.loads(text))]
    assert labels == ([found.label, "null"] if chosen else ["null"])
