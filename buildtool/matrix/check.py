"""The last look before publishing: is every wheel there that the jobs promised, with exactly their device code?"""

from __future__ import annotations

from pathlib import Path

import msgspec
from packaging.version import Version

from buildtool.codeobj import inspect
from buildtool.errors import InvalidInputError, VerificationError
from buildtool.index.collect import collect
from buildtool.index.model import Catalogue, IndexedWheel
from buildtool.matrix.write import Listed

DEVICE_KINDS = frozenset({"cubin", "hsaco"})


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that holds what its job promised."""

    job: str
    wheel: str
    sha256: str
    targets: tuple[str, ...]


def load_listed(path: Path) -> Listed:
    """Read ``matrix.json``.

    Raises:
        InvalidInputError: it cannot be read, or is of another schema.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Listed)
    except (OSError, ValueError) as error:
        what = f"{path} is no list of jobs."
        raise InvalidInputError(
            what, why=str(error), hint="Write it again: gpubuild matrix --format ... --out"
        ) from error
    if found.schema != 1:
        what = f"{path} is of schema {found.schema}; this gpubuild reads 1."
        raise InvalidInputError(what, hint="Update gpubuild, or write the matrix again.")
    lost = [job.name for job in found.jobs if job.name not in found.wheels]
    if lost:
        what = f"{path} does not say which wheels {lost[0]} makes."
        raise InvalidInputError(what, hint="It was changed by hand; write the matrix again.")
    return found


def check(found: Listed, folder: Path) -> tuple[Checked, ...]:
    """Compare the wheels below a folder with what the jobs promised; their RECORDs are checked on the way.

    Raises:
        IntegrityError, InvalidInputError: as `buildtool.index.collect.collect`.
        VerificationError: a wheel is missing, nobody's, or holds other device code than planned.
    """
    there = {
        (one.wheel.distribution, Version(one.wheel.version), _system(one.wheel)): one
        for one in collect([folder], Catalogue(wheels=()))
    }
    done: list[Checked] = []
    wrong: list[str] = []
    for job in found.jobs:
        for distribution, version in found.wheels[job.name]:
            one = there.pop((distribution, Version(version), job.os), None)
            if one is None:
                wrong.append(f"{job.name} promised {distribution} {version}; it is not there")
                continue
            inside, problem = _device_code(one.path) if job.targets and one.wheel.role == "backend" else ((), "")
            expected = job.targets if one.wheel.role == "backend" else ()
            if problem or set(inside) != set(expected):
                has = problem or ", ".join(inside) or "none"
                wrong.append(f"{one.wheel.filename} is for {', '.join(expected)}; device code inside: {has}")
                continue
            done.append(Checked(job=job.name, wheel=one.wheel.filename, sha256=one.wheel.sha256, targets=inside))
    wrong += [f"no job promised {one.wheel.filename}" for one in there.values()]
    if wrong:
        what = "The wheels are not what the jobs promised."
        raise VerificationError(
            what, hint="Run the jobs again; publish nothing until this passes.", details=tuple(wrong)
        )
    return tuple(done)


def _system(wheel: IndexedWheel) -> str:
    """Return ``linux-x86_64`` and the like from a wheel's first platform tag."""
    tag = wheel.platforms[0]
    machine = "aarch64" if tag.endswith(("aarch64", "arm64")) else "x86_64"
    return f"{'windows' if tag.startswith('win') else 'macos' if tag.startswith('macos') else 'linux'}-{machine}"


def _device_code(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the targets of the machine code inside, and what could not be read."""
    seen = inspect(path)
    if seen.problems:
        return (), "; ".join(f"{problem.path}: {problem.what}" for problem in seen.problems[:3])
    names = {image.target for file in seen.files for image in file.images if image.kind in DEVICE_KINDS}
    return tuple(sorted(names)), ""
