"""What a wheel says about itself: lock, bill of materials, provenance; and that it is checked against the bytes."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from packageurl import PackageURL

from buildtool.compat.model import Pin, PlanRootfs, PlanSource, PlanToolkit
from buildtool.compat.parts import plan_of_wheel
from buildtool.errors import IntegrityError, InvalidInputError, LockFileError
from buildtool.probe.model import ContainerImage
from buildtool.runtime.model import Rung, RuntimeSet, VendorData, VendorLibrary
from buildtool.wheel.about import about_wheel
from buildtool.wheel.reading import _components, _properties, check, describe, read_plan, read_statement

sys.path.insert(0, str(Path(__file__).parent))

from wheel_files import BACKEND, PLAN, RUNTIME, document, packed, rewritten


def test_the_lock_inside_is_the_plan_of_the_backend(tmp_path: Path) -> None:
    plan = read_plan(packed(tmp_path))
    assert plan == plan_of_wheel(PLAN, BACKEND)
    assert plan.digest() == PLAN.digest()


def test_every_backends_plan_makes_the_same_runtime(tmp_path: Path) -> None:
    vulkan = msgspec.structs.replace(
        PLAN, backend="vulkan", targets=(), toolkit=None, patches=(), runtime="system", wheels=(RUNTIME,),
        cmake_options={"GGML_NATIVE": "OFF", "GGML_VULKAN": "ON"},
    )  # fmt: skip
    first = packed(tmp_path / "a", RUNTIME)
    second = packed(tmp_path / "b", RUNTIME, plan=vulkan)
    assert first.read_bytes() == second.read_bytes()
    assert read_plan(first).backend == "cpu"


def test_a_local_tree_is_named_without_its_path(tmp_path: Path) -> None:
    local = PlanSource(kind="local", name="/home/me/llama.cpp", version="0.6.0", url="/home/me/llama.cpp")
    path = packed(tmp_path, plan=msgspec.structs.replace(PLAN, source=local))
    assert b"/home/me" not in zipfile.ZipFile(path).read(f"{path.name.rsplit('-', 3)[0]}.dist-info/gpubuild.lock")
    assert read_plan(path).source.name == "llama.cpp"


@pytest.mark.parametrize("wheel", [RUNTIME, BACKEND])
def test_the_bill_of_materials_is_valid_cyclonedx(tmp_path: Path, wheel: object) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    path = packed(tmp_path, wheel)  # type: ignore[arg-type]
    text = msgspec.json.encode(document(path, "gpubuild.cdx.json")).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_bill_of_materials_names_what_went_in(tmp_path: Path) -> None:
    bom = document(packed(tmp_path), "gpubuild.cdx.json")
    components = {one["bom-ref"]: one for one in bom["components"]}  # type: ignore[index,union-attr]
    source = components["source:llama.cpp"]
    assert source["hashes"] == [{"alg": "SHA-256", "content": "8" * 64}]
    assert PackageURL.from_string(source["purl"]).subpath == "vendor/llama.cpp"
    assert "hip-rdna1, sha256 " + "d" * 64 in source["pedigree"]["notes"]
    assert components["patch:hip-rdna1"]["hashes"][0]["content"] == "d" * 64
    assert components["compiler"]["version"] == "12.2.0"
    assert components["toolkit:cuda"]["version"] == "13.0.88"
    nvcc = next(one for one in components.values() if one["name"] == "nvidia-cuda-nvcc")
    assert PackageURL.from_string(nvcc["purl"]).version == "13.0.88"
    assert components["requirement:gpubuild-llama"]["purl"].endswith("%2Blcp0.3.36.portable")


def test_the_runtime_names_the_code_of_others_with_its_licence(tmp_path: Path) -> None:
    bom = document(packed(tmp_path, RUNTIME), "gpubuild.cdx.json")
    found = {one["name"]: one for one in bom["components"] if one["bom-ref"].startswith("embedded:")}  # type: ignore[union-attr]
    assert found["nlohmann-json"]["version"] == "3.12.0"
    assert found["nlohmann-json"]["licenses"] == [{"expression": "MIT"}]
    assert found["stb_image"]["version"] == "2.30"
    assert "miniaudio" not in found, "this tree has none"


def test_vendor_libraries_that_travel_are_named_with_version_and_licence(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    rung = Rung(target="gfx1032", name="sibling", donor="gfx1030", reason="same instructions")
    library = VendorLibrary(
        soname="libggml-base.so", path="/x", bytes=1, package="librocblas4", version="6.4.4", licence="librocblas4.txt",
        rungs=(rung,), changes=("does not need libz3.so.4",),
    )  # fmt: skip
    data = VendorData(name="rocblas", path="/y", bytes=2, files=7, opened_by="librocblas.so.4", licence="a.txt")
    vendor = RuntimeSet(mode="bundle", libraries=(library,), data=(data,))
    bom = document(packed(tmp_path, vendor=vendor), "gpubuild.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(msgspec.json.encode(bom).decode()) is None
    found = {one["bom-ref"]: one for one in bom["components"]}  # type: ignore[union-attr]
    rocblas = found["bundled:libggml-base.so"]
    assert (rocblas["version"], rocblas["licenses"][0]["license"]["name"]) == ("6.4.4", "see licenses/librocblas4.txt")
    assert {"name": "gpubuild:serves:gfx1032", "value": "sibling gfx1030"} in rocblas["properties"]
    assert rocblas["pedigree"] == {"notes": "does not need libz3.so.4"}
    assert "7 files" in found["bundled:rocblas"]["description"]


def test_what_compiled_it_is_named_wherever_it_came_from(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    deb = Pin(name="clang-16", version="1:16.0.6-15", filename="clang-16_1%3a16.0.6-15_amd64.deb", sha256="e" * 64)
    rootfs = PlanRootfs(name="old", architecture="amd64", suites=("bullseye",), components=("main",), packages=())
    base = PlanToolkit(kind="host", version="2.31", provider="rootfs", pins=(deb,), rootfs=rootfs)
    archive = Pin(name="cuda_nvcc", version="12.9.86", filename="a/cuda_nvcc.tar.xz", sha256="f" * 64)
    plan = msgspec.structs.replace(
        PLAN,
        toolkit=PlanToolkit(kind="cuda", version="12.9.86", provider="redist", pins=(archive,)),
        base=base,
        inside=ContainerImage(name="docker://x:1", id="sha256:" + "a" * 64),
    )
    path = packed(tmp_path, plan=plan)
    bom = document(path, "gpubuild.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(msgspec.json.encode(bom).decode()) is None
    found = {one["name"]: one for one in bom["components"]}  # type: ignore[union-attr]
    assert PackageURL.from_string(found["clang-16"]["purl"]).version == "1:16.0.6-15"
    assert PackageURL.from_string(found["cuda_nvcc"]["purl"]).type == "generic"
    assert found["docker://x:1"]["hashes"][0]["content"] == "a" * 64
    statement = read_statement(path)
    assert statement is not None
    used = {one["name"] for one in statement.predicate["buildDefinition"]["resolvedDependencies"]}
    assert {"docker://x:1", deb.filename, archive.filename} <= used


def test_the_provenance_is_about_every_file(tmp_path: Path) -> None:
    path = packed(tmp_path)
    statement = read_statement(path)
    assert statement is not None
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    names = {
        name for name in zipfile.ZipFile(path).namelist() if not name.endswith(("RECORD", "provenance.intoto.json"))
    }
    assert statement.subjects.keys() == names
    definition = statement.predicate["buildDefinition"]
    assert definition["externalParameters"]["plan"] == PLAN.digest()
    assert {"name": "nvcc.whl", "digest": {"sha256": "c" * 64}}.items() <= definition["resolvedDependencies"][
        -1
    ].items()


def test_a_wheel_describes_itself(tmp_path: Path) -> None:
    found = describe(packed(tmp_path))
    assert (found.role, found.backend, found.targets, found.toolkit) == ("backend", "cuda", ("sm_90",), "cuda 13.0.88")
    assert found.plan == PLAN.digest()
    assert found.components > 5
    assert found.clock == 315532800
    assert about_wheel(packed(tmp_path / "x")).signature == "none"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"libggml-base.so": b"\x7fELF other"}, "is not the file that its RECORD lists"),
        ({"licenses/LICENSE": None}, "lacks files"),
        ({"gpubuild_llama_cuda13/extra.py": b"import os\n"}, "RECORD does not name it"),
    ],
)
def test_a_changed_wheel_is_refused(tmp_path: Path, change: dict[str, bytes | None], words: str) -> None:
    path = packed(tmp_path)
    with pytest.raises(IntegrityError) as caught:
        check(rewritten(path, tmp_path / "changed" / path.name, change))
    assert words in f"{caught.value.what} {caught.value.why}"


def test_a_changed_wheel_with_a_record_that_fits_is_caught_by_its_provenance(tmp_path: Path) -> None:
    from buildtool.wheel.sealing import record_text

    path = packed(tmp_path)
    other = rewritten(path, tmp_path / "b" / path.name, {"libggml-base.so": b"other"})
    with zipfile.ZipFile(other) as archive:
        import hashlib

        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        fresh = {
            name: (hashlib.sha256(archive.read(name)).hexdigest(), archive.getinfo(name).file_size)
            for name in archive.namelist()
            if name != record
        }
    last = rewritten(other, tmp_path / "c" / path.name, {"/RECORD": record_text(fresh, record).encode()})
    with pytest.raises(IntegrityError, match="is about other files"):
        check(last)


def test_an_edited_lock_inside_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path)
    with pytest.raises(IntegrityError, match=r"gpubuild\.lock"):
        read_plan(rewritten(path, tmp_path / "b" / path.name, {"gpubuild.lock": b"{}"}))


def test_a_wheel_of_somebody_else_carries_no_lock(tmp_path: Path) -> None:
    path = rewritten(packed(tmp_path), tmp_path / "b" / "other-1-py3-none-any.whl", {"gpubuild.lock": None})
    with pytest.raises(InvalidInputError, match="carries no lock"):
        read_plan(path)


def test_what_is_no_wheel_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"no zip")
    with pytest.raises(IntegrityError, match="damaged"):
        check(tmp_path / "x.whl")
    with zipfile.ZipFile(tmp_path / "y.whl", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(InvalidInputError, match="no wheel"):
        check(tmp_path / "y.whl")
    with pytest.raises(InvalidInputError, match="There is no wheel"):
        check(tmp_path / "z.whl")


@pytest.mark.parametrize("content", [b'{"x": "\xff"}', b'{"x": ' + b"[" * 100_000, b"[]", b"{"])
def test_a_bill_of_materials_that_is_none_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="bill of materials in x is damaged"):
        _components(content, "x")


@pytest.mark.parametrize("content", [b'{"variants": {"\xff": {}}}', b"[", b"{}", None])
def test_variants_that_are_none_are_refused_in_words(content: bytes | None) -> None:
    with pytest.raises(IntegrityError, match="variant"):
        _properties(content, Path("x-1-py3-none-any-label.whl"))


def test_a_lock_of_a_later_schema_asks_for_a_newer_gpubuild() -> None:
    from buildtool.compat.lock import parse_lock

    with pytest.raises(LockFileError, match="schema 99"):
        parse_lock(b'{"schema": 99}', "x", "Plan again.")
