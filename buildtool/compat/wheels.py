"""Names and versions of the wheels a plan makes.

The runtime's version holds everything that decides its content (source, profile) and nothing of the GPU
backend, so one runtime serves every backend built from the same source; a backend requires exactly it.
"""

from __future__ import annotations

import hashlib

from buildtool.compat.case import Case
from buildtool.compat.kernels import thins_whole
from buildtool.compat.model import PlanWheel, RuntimeMode
from buildtool.compat.options import ToolkitOption
from buildtool.compat.pypi_sets import cuda_sets
from buildtool.compat.rules import Candidate
from buildtool.compat.targets import Target, label

SPELLED_TARGETS = 4
CUDA_LIBRARIES = ("nvidia-cuda-runtime", "nvidia-cublas")
FIRST_UNSUFFIXED_CUDA = 13  # NVIDIA's wheels carry the CUDA major in their name (-cu12) up to 12


def wheels_of(
    case: Case, chosen: Candidate, targets: tuple[Target, ...], runtime: RuntimeMode, patches: str = ""
) -> tuple[PlanWheel, ...]:
    """Return the wheels to make: the runtime, and the backend if there is one, which tells of its `patches`."""
    version = f"{chosen.source.plan.version}+{chosen.source.label}.{case.request.profile}"
    name = case.recipe.runtime
    wheels = [PlanWheel(role="runtime", distribution=name, package=_package(name), version=version)]
    if case.backend != "cpu":
        distribution = f"{name}-{case.backend}{_major(chosen.option)}"
        labels = [*_backend_labels(chosen.option, targets), "thinned" if thins_whole(case) else ""]
        wheels.append(
            PlanWheel(
                role="backend",
                distribution=distribution,
                package=_package(distribution),
                version=".".join(filter(None, [version, *labels, patches])),
                requires=(f"{name}=={version}", *vendor_requirements(chosen.option, runtime)),
            )
        )
    return tuple(wheels)


def vendor_requirements(option: ToolkitOption | None, runtime: RuntimeMode) -> tuple[str, ...]:
    """Return the vendor wheels a backend needs at run time, none older than its toolkit's minor release."""
    if option is None or option.kind != "cuda" or runtime != "pip":
        return ()
    major = option.release.major
    suffix = "" if major >= FIRST_UNSUFFIXED_CUDA else f"-cu{major}"
    oldest = _library_versions(option)
    return tuple(
        f"{name}{suffix}>={oldest.get(name, '.'.join(map(str, option.release.minor)))},<{major + 1}"
        for name in CUDA_LIBRARIES
    )


def _library_versions(option: ToolkitOption) -> dict[str, str]:
    """Return the library versions of the first wheels of the toolkit's minor release.

    Within a major release NVIDIA's libraries stay binary compatible, and a minor release does not add to the headers
    after its first wheels. A tighter bound would collide with packages that pin an earlier micro release (PyTorch).
    """
    same = [one for one in cuda_sets() if one.version.split(".")[:2] == option.version.split(".")[:2]]
    return {pin.name: pin.version for pin in same[-1].pins} if same else {}


def _package(distribution: str) -> str:
    return distribution.replace("-", "_").replace(".", "_")


def _major(option: ToolkitOption | None) -> str:
    return "" if option is None or option.kind == "vulkan" else str(option.release.major)


def _backend_labels(option: ToolkitOption | None, targets: tuple[Target, ...]) -> list[str]:
    if option is None or option.kind == "vulkan":
        return ["vulkan"]
    kind = "cu" if option.kind == "cuda" else "rocm"
    toolkit = kind + "".join(map(str, option.release.minor))
    if len(targets) <= SPELLED_TARGETS:
        return [toolkit, *(label([target]) for target in targets)]
    digest = hashlib.sha256(";".join(map(str, targets)).encode()).hexdigest()[:8]
    return [toolkit, f"{len(targets)}targets{digest}"]
