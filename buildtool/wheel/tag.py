"""The honest platform tag of a wheel: what auditwheel's policies say about the symbols its binaries need."""

from __future__ import annotations

import logging
import platform
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from buildtool.errors import BuildError

GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
POLICY = re.compile(r"manylinux_(\d+)_(\d+)_.+")
# Libraries that come from another wheel or from the driver: the wheel's own requirements or the machine provide them.
PROVIDED = frozenset(
    {
        "libggml-base.so", "libggml.so", "libcuda.so.1", "libcudart.so.*", "libcublas.so.*", "libcublasLt.so.*",
        "libnccl.so.*", "libamdhip64.so.*", "libhipblas.so.*", "librocblas.so.*", "libhsa-runtime64.so.*",
        "libvulkan.so.1",
    }
)  # fmt: skip


def platform_tag(wheel: Path, scratch: Path) -> str | None:
    """Return the lowest manylinux tag that holds for `wheel`, or None where auditwheel has no policy (not Linux).

    CPU modules use wide instructions on purpose: ggml loads one only after it asked the processor, so auditwheel's
    instruction-set check does not apply.

    Args:
        wheel: is unpacked for it.
        scratch: where to.

    Raises:
        BuildError: a binary needs a library that neither the wheel, its requirements nor manylinux provide.
    """
    if sys.platform != "linux":
        return None
    from auditwheel.error import NonPlatformWheelError
    from auditwheel.wheel_abi import analyze_wheel_abi

    logging.getLogger("auditwheel").setLevel(logging.ERROR)  # it warns of each of hundreds of AMD code objects
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)  # auditwheel takes no folder to unpack in
    try:
        abi = analyze_wheel_abi(None, None, wheel, PROVIDED, disable_isa_ext_check=True, allow_graft=False)
    except NonPlatformWheelError as error:
        what = f"{wheel.name} contains no binary."
        raise BuildError(what, why=str(error)) from error
    finally:
        tempfile.tempdir = before
    if abi.overall_policy == abi.policies.linux:
        # By PEP 600 a tag names the C library that is needed, also one too new for auditwheel's lists.
        needed = newest_glibc(abi.versioned_symbols)
        listed = max((int(one[1]), int(one[2])) for row in abi.policies if (one := POLICY.fullmatch(row.name)))
        if abi.ref_policy != abi.policies.linux and needed > listed:
            return f"manylinux_{needed[0]}_{needed[1]}_{platform.machine()}"
        missing = sorted(abi.external_refs[abi.policies.lowest.name].libs)
        if missing:
            what = f"{wheel.name} needs libraries that would not travel with it: {', '.join(missing)}."
            hint = "Build with the portable profile, or use the wheel on this machine only (--runtime system)."
            raise BuildError(what, hint=hint)
        return None
    return str(abi.overall_policy.name)


def newest_glibc(versions: Mapping[str, Iterable[str]]) -> tuple[int, int]:
    """Return the newest glibc whose symbols are needed, from symbol versions (``GLIBC_2.43``) by library."""
    found = [GLIBC.fullmatch(version) for names in versions.values() for version in names]
    return max(((int(one[1]), int(one[2])) for one in found if one is not None), default=(0, 0))
