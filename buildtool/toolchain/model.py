"""A ready-to-use toolchain: what `buildtool.toolchain` hands to `buildtool.build`."""

from __future__ import annotations

from typing import Literal

import msgspec

from buildtool.compat.model import PlanProvider
from buildtool.toolchain.sandbox import AnySandbox


class Toolchain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Compilers of one plan, installed and checked.

    Attributes:
        kind: ``cuda``, ``rocm``, ``vulkan``, or ``host`` when the backend needs no toolkit.
        version: the toolkit's version (``13.0.88``), "" for ``host``.
        root: the toolkit's root directory, None for ``host``; of a root filesystem or image, as it is inside.
        provider: as in a plan's toolkit, or ``host``.
        cmake_options: cache variables that point CMake at it (``CMAKE_CUDA_COMPILER``, ``CUDAToolkit_ROOT``).
        env: environment variables its programs need.
        cmake: path of the cmake program.
        ninja: path of the ninja program.
        sandbox: what every compile runs inside, when the compilers are in a root filesystem or image.
    """

    kind: Literal["cuda", "rocm", "vulkan", "host"]
    version: str
    root: str | None
    provider: PlanProvider | Literal["host"]
    cmake_options: dict[str, str]
    env: dict[str, str]
    cmake: str
    ninja: str
    sandbox: AnySandbox | None = None
