"""Small wheels of both roles, packed and sealed as real ones are, for the tests of this folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec

from buildtool import wheel as packing
from buildtool.build.model import BuildTree
from buildtool.compat.model import (
    Pin,
    Plan,
    PlanCompiler,
    PlanPatch,
    PlanSource,
    PlanToolkit,
    PlanWheel,
)  # fmt: skip
from buildtool.runtime import RuntimeSet
from buildtool.wheel.sealing import seal

VERSION = "0.5.0.dev0+lcp0.3.36.portable"
RUNTIME = PlanWheel(role="runtime", distribution="gpubuild-llama", package="gpubuild_llama", version=VERSION)
BACKEND = PlanWheel(
    role="backend",
    distribution="gpubuild-llama-cuda13",
    package="gpubuild_llama_cuda13",
    version=f"{VERSION}.cu130.sm90",
    requires=(f"gpubuild-llama=={VERSION}", "nvidia-cublas>=13.1,<14"),
)
SDIST = Pin(
    name="llama-cpp-python", version="0.3.36", filename="llama_cpp_python-0.3.36.tar.gz", sha256="8" * 64,
)  # fmt: skip
NOTHING = RuntimeSet()
PLAN = Plan(
    recipe="llama.cpp",
    source=PlanSource(
        kind="sdist", name="llama-cpp-python-0.3.36", version="0.5.0.dev0", pin=SDIST, subdir="vendor/llama.cpp"
    ),
    backend="cuda",
    targets=("sm_90",),
    toolkit=PlanToolkit(
        kind="cuda",
        version="13.0.88",
        provider="pypi",
        pins=(Pin(name="nvidia-cuda-nvcc", version="13.0.88", filename="nvcc.whl", sha256="c" * 64),),
    ),
    host_compiler=PlanCompiler(family="gcc", version="12.2.0", cxx="/usr/bin/g++", cc="/usr/bin/gcc"),
    profile="portable",
    cmake_options={"GGML_CUDA": "ON", "GGML_NATIVE": "OFF", "CMAKE_CUDA_ARCHITECTURES": "90-real"},
    patches=(PlanPatch(name="hip-rdna1", sha256="d" * 64, targets=("gfx1013",)),),
    runtime="pip",
    wheels=(RUNTIME, BACKEND),
    platform="linux-x86_64",
)


def source_tree(folder: Path) -> Path:
    """A source tree with two pieces of code of others."""
    (folder / "vendor/nlohmann").mkdir(parents=True)
    (folder / "vendor/nlohmann/json.hpp").write_text(
        "#define NLOHMANN_JSON_VERSION_MAJOR 3 // x\n#define NLOHMANN_JSON_VERSION_MINOR 12\n"
        "#define NLOHMANN_JSON_VERSION_PATCH 0\n"
    )
    (folder / "vendor/stb").mkdir()
    (folder / "vendor/stb/stb_image.h").write_text("/* stb_image - v2.30 - public domain image loader */\n")
    (folder / "LICENSE").write_text("MIT License\n")
    (folder / "licenses").mkdir()
    (folder / "licenses/LICENSE-jsonhpp").write_text("MIT License of json\n")
    return folder


def draft(folder: Path, wheel: PlanWheel, *, order: int = 1, clock: tuple[int, ...] = (1980, 1, 1, 0, 0, 0)) -> Path:
    """A wheel as scikit-build-core leaves it; `order` -1 has its files in another order."""
    name = f"{wheel.package}-{wheel.version}"
    info = f"{name}.dist-info"
    files = {
        f"{wheel.package}/__init__.py": b"DISTRIBUTION = 1\n",
        f"{wheel.package}/lib/libggml-base.so": b"\x7fELF" + bytes(5000),
        f"{info}/METADATA": f"Metadata-Version: 2.2\nName: {wheel.distribution}\nVersion: {wheel.version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n\n",
        f"{info}/licenses/LICENSE": b"MIT License\n",
        f"{info}/RECORD": b"",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-py3-none-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in list(files.items())[::order]:
            entry = zipfile.ZipInfo(file, date_time=clock)  # type: ignore[arg-type]
            entry.external_attr = (0o100755 if file.endswith(".so") else 0o100644) << 16
            archive.writestr(entry, data)
    return path


def packed(
    folder: Path,
    wheel: PlanWheel = BACKEND,
    *,
    plan: Plan = PLAN,
    tree: Path | None = None,
    order: int = 1,
    vendor: RuntimeSet = NOTHING,
) -> Path:
    """A finished wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    source = tree or source_tree(folder / f"source-{order}")
    build = BuildTree(
        path=str(folder), source=str(source), cmake_args=(), env={}, cmake="cmake", ninja="ninja", steps=0, seconds=0.0,
        log="",
    )  # fmt: skip
    content = (plan, wheel, build, vendor)
    tag = "manylinux_2_34_x86_64"
    path, _ = seal(
        draft(folder / f"draft{order}", wheel, order=order),
        folder,
        tag,
        lambda info, files: packing._description(content, (tag, info), files),
    )
    return path


def document(path: Path, name: str) -> dict[str, object]:
    """A JSON document of a wheel's .dist-info."""
    with zipfile.ZipFile(path) as archive:
        found = next(one for one in archive.namelist() if one.endswith(f"/{name}"))
        return msgspec.json.decode(archive.read(found), type=dict[str, object])


def rewritten(path: Path, target: Path, change: dict[str, bytes | None]) -> Path:
    """A copy of a wheel in which files (by ending) are changed, added or, with None, left out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    pending = dict(change)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            ending = next((one for one in change if info.filename.endswith(one)), None)
            data = old.read(info) if ending is None else pending.pop(ending, change[ending])
            if data is not None:
                new.writestr(info, data)
        for name, data in pending.items():
            if data is not None:
                new.writestr(name, data)
    return target
