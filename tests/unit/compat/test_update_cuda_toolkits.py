"""What tools/update_cuda_toolkits.py reads in NVIDIA's files, and what it writes into the table."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from buildtool.compat import tables
from buildtool.errors import DataError

SCRIPT = Path(__file__).parents[3] / "tools" / "update_cuda_toolkits.py"
# The lines of host_config.h of CUDA 13.4 that hold limits; its first block is for the clang of another system.
HOST_CONFIG = """\
#if defined(__GNUC__)

#if __GNUC__ > 16
#error -- unsupported GNU version! gcc versions later than 16 are not supported!
#endif /* __GNUC__ > 16 */

#if defined(__HORIZON__)
#if (__clang_major__ >= 22) || (__clang_major__ < 3) || ((__clang_major__ == 3) &&  (__clang_minor__ < 3))
#endif /* __HORIZON__  */

#if defined(__clang__) && !defined(__ibmxl_vrm__) && !defined(__ICC) && !defined(__HORIZON__)

#if (__clang_major__ >= 23) || (__clang_major__ < 3) || ((__clang_major__ == 3) &&  (__clang_minor__ < 3))
#endif
#endif /* __GNUC__ */

#if _MSC_VER < 1920 || _MSC_VER >= 1960
"""
HELP = """\
--gpu-name <gpu name>                               (-arch)
        Allowed values for this option:  'sm_100','sm_100a','sm_75','sm_90',
        'sm_90a'.
        Default value:  'sm_75'.
--other     Allowed values: 'sm_1'.
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_cuda_toolkits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def table() -> str:
    return (Path(tables.__file__).parent / "data/cuda_toolkits.toml").read_text("utf-8")


def facts(tool: ModuleType, release: str, **changed: Any) -> Any:
    row = next(row for row in tables.cuda_toolkits() if row.version == release)
    return tool.Facts(
        **{
            "targets": row.targets,
            "ptx": row.ptx,
            "gcc": row.gcc[1],
            "clang": row.clang[1],
            "msc": row.msc,
            "glibc_max": row.glibc_max,
            "cxx": row.cxx,
        }
        | changed
    )


def test_limits_are_read_from_the_blocks_that_count(tool: ModuleType) -> None:
    assert tool.newest_gcc(HOST_CONFIG) == 16
    assert tool.newest_clang(HOST_CONFIG) == 22
    assert tool.msvc_range(HOST_CONFIG) == (1920, 1960)


def test_a_header_of_a_new_form_is_no_limit_but_an_error(tool: ModuleType) -> None:
    for read in (tool.newest_standard, tool.newest_gcc, tool.newest_clang, tool.msvc_range, tool.ptx_in):
        with pytest.raises(DataError, match="not where it was"):
            read("#if COMPILER_TOO_NEW")


@pytest.mark.parametrize(
    ("guards", "newest"),
    [
        ("", "2.40"),
        ("#define __NV_GLIBC_PROVIDES_IEC_60559_FUNCS 1", "2.41"),
        ("#define __NV_GLIBC_PROVIDES_IEC_60559_FUNCS 1\n#define _NV_RSQRT_SPECIFIER", ""),
    ],
)
def test_glibc_is_told_by_the_guards(tool: ModuleType, guards: str, newest: str) -> None:
    assert tool.newest_glibc(guards) == newest


def test_what_ptxas_says(tool: ModuleType) -> None:
    assert tool.targets_in(HELP) == ("sm_75", "sm_90", "sm_90a", "sm_100", "sm_100a")
    assert tool.newest_standard("--std {c++03|c++11|c++14|c++17|c++20|c++23}    (-std)\n") == 23
    assert tool.ptx_in("fatal   : Unsupported .version 99.9; current version is '9.5'") == "9.5"


def test_without_nvcc_the_standard_of_the_row_stays(tool: ModuleType, table: str) -> None:
    assert tool.updated(table, "12.0", facts(tool, "12.0", cxx=None)) == table


@pytest.mark.parametrize("release", ["11.7", "12.9", "13.5"])
def test_a_row_that_agrees_is_not_touched(tool: ModuleType, table: str, release: str) -> None:
    assert tool.updated(table, release, facts(tool, release)) == table


def test_a_row_that_disagrees_is_set_and_no_other(tool: ModuleType, table: str) -> None:
    new = tool.updated(table, "13.0", facts(tool, "13.0", gcc=14, targets=("sm_75", "sm_99"), ptx="9.9", cxx=26))
    before, after = (tomllib.loads(text)["toolkit"] for text in (table, new))
    changed = [(old, row) for old, row in zip(before, after, strict=True) if old != row]
    assert len(changed) == 1
    old, row = changed[0]
    assert old | {"targets": ["sm_75", "sm_99"], "ptx": "9.9", "gcc": [6, 14], "cxx": 26} == row
    assert tool.updated(new, "13.0", facts(tool, "13.0")) == table, "and the way back restores every byte"


def test_a_row_without_a_limit_gets_one(tool: ModuleType, table: str) -> None:
    new = tool.updated(table.replace("msc = [1920, 1950]\n", ""), "13.1", facts(tool, "13.1"))
    rows = {row["version"]: row for row in tomllib.loads(new)["toolkit"]}
    assert rows["13.1"]["msc"] == [1920, 1950]
    assert "msc" not in rows["13.0"]


def test_a_new_release_becomes_a_row_that_the_tables_accept(
    tool: ModuleType, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tool.updated(table, "13.6", facts(tool, "13.5", ptx="9.6"))
    rows = tables.decode_table(new, tables._CudaToolkits, "cuda_toolkits.toml").toolkit
    assert (rows[-1].version, rows[-1].ptx, rows[-1].gcc) == ("13.6", "9.6", (6, 16))
    assert rows[-1].source
    assert "check them" in capsys.readouterr().out
