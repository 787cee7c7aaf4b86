"""The recipe's CMake part leaves out the kernels of flash attention where nothing calls them, and only there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from buildtool.compat.recipes import recipe_directory
from buildtool.errors import ProcessError
from buildtool.process import run

pytestmark = pytest.mark.toolchain

MINI = Path(__file__).parents[2] / "fixtures" / "mini-llama"
AT_ONCE = "#ifndef FLASH_ATTN_AVAILABLE\n    return BEST_FATTN_KERNEL_NONE;\n#endif\n"
FATTN = """\
enum kernel {{ BEST_FATTN_KERNEL_NONE }};
{declared}
extern "C" kernel best() {{
{first}    return BEST_FATTN_KERNEL_NONE;
}}
"""


def built(folder: Path, *, off: bool, first: str = AT_ONCE, declared: str = "") -> str:
    """Build a module named ggml-cuda whose kernels do not compile; return what its link was given."""
    source, build = folder / "llama.cpp", folder / "build"
    shutil.copytree(MINI, source)
    kernels = source / "template-instances"
    kernels.mkdir()
    (source / "fattn.cu").write_text(FATTN.format(first=first, declared=declared))
    for path in (source / "fattn-tile.cu", kernels / "fattn-vec-instance-f16-f16.cu"):
        path.write_text("#error a kernel of flash attention\n")
    (kernels / "mmq-instance-q4_0.cu").write_text("int mmq;\n")
    with (source / "CMakeLists.txt").open("a") as project:
        project.write("file(GLOB cuda *.cu template-instances/*.cu)\n")
        project.write("set_source_files_properties(${cuda} PROPERTIES LANGUAGE CXX)\n")
        project.write("set_source_files_properties(${cuda} PROPERTIES COMPILE_OPTIONS -xc++)\n")
        if off:
            project.write("add_compile_definitions(GGML_CUDA_NO_FA)\n")
        project.write("add_library(ggml-cuda MODULE ${cuda})\n")
    options = {
        "CMAKE_PROJECT_TOP_LEVEL_INCLUDES": recipe_directory("llama.cpp") / "gpubuild.cmake",
        "GPUBUILD_BACKEND": "ggml-cuda",
        "CMAKE_CUDA_COMPILER": "true",
    }
    defined = [f"-D{name}={value}" for name, value in options.items()]
    run(["cmake", "-G", "Ninja", "-S", str(source), "-B", str(build), *defined], timeout_s=120)
    run(["cmake", "--build", str(build), "--target", "gpubuild_backend"], timeout_s=120)
    return run(["ninja", "-C", str(build), "-t", "commands", "ggml-cuda"], timeout_s=60).output


def test_kernels_that_nothing_calls_are_not_compiled(tmp_path: Path) -> None:
    said = built(tmp_path, off=True)
    assert "mmq-instance-q4_0" in said
    assert "fattn-tile" not in said
    assert "fattn-vec" not in said


def test_with_attention_they_are(tmp_path: Path) -> None:
    with pytest.raises(ProcessError) as caught:
        built(tmp_path, off=False)
    assert any("a kernel of flash attention" in line for line in caught.value.details)


def test_so_they_are_in_a_tree_that_does_not_say_at_once_that_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ProcessError) as caught:
        built(tmp_path, off=True, first="")
    assert any("a kernel of flash attention" in line for line in caught.value.details)


def test_a_tree_that_calls_them_nevertheless_does_not_link(tmp_path: Path) -> None:
    called = "void tile();\n__attribute__((constructor)) void at_start() { tile(); }"
    with pytest.raises(ProcessError) as caught:
        built(tmp_path, off=True, declared=called)
    assert any("undefined reference" in line and "tile" in line for line in caught.value.details)
