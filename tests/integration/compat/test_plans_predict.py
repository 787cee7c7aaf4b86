"""A plan really predicts: the engine accepts a toolkit, host compiler and target if, and only if, nvcc compiles.

Every point compiles one real file that includes the host's own headers. Compilers are those of this machine and of the
root filesystems in ``GPUBUILD_TEST_ROOTS``; a point whose compiler is nowhere is skipped by name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from compiler_roots import Here, describe, systems

from buildtool.compat import resolve
from buildtool.compat.model import PlanCompiler, Request
from buildtool.compat.versions import Release
from buildtool.errors import IncompatibleError, MissingToolError
from buildtool.probe import detect
from buildtool.probe.model import Host, HostCompiler, ToolkitInstall
from buildtool.toolchain import install

pytestmark = [pytest.mark.network, pytest.mark.toolchain, pytest.mark.slow]

FEWEST_POINTS = 12
PROOF = """\
#include <cmath>
#include <cstdio>
#include <vector>
#include <cuda_fp16.h>

__global__ void soften(const __half * x, float * y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        y[i] = expf(__half2float(x[i])) * rsqrtf(1.0f + sinpif(y[i])) + cospif(y[i]);
    }
}

double total(const std::vector<double> & values) {
    double sum = 0.0;
    for (double value : values) {
        sum += std::sqrt(std::fabs(value)) + std::pow(value, 3.0);
    }
    std::printf("%f\\n", sum);
    return sum;
}

void launch(const __half * x, float * y, int n) { soften<<<(n + 255) / 256, 256>>>(x, y, n); }
"""


class Point(NamedTuple):
    """A host compiler by family and major, a toolkit ("installed": that of this machine), and a target."""

    compiler: str
    toolkit: str
    target: str


# Every compiler with the oldest and the newest toolkit that can be fetched, and at the limits between them.
COMPILERS = [
    *("gcc 9", "gcc 10", "gcc 11", "gcc 12", "gcc 13", "gcc 14", "gcc 15", "gcc 16"),
    *("clang 11", "clang 14", "clang 16", "clang 19", "clang 21", "clang 22", "clang 23"),
]
LIMITS = [
    *(("gcc 15", version) for version in ("13.1", "13.2")),
    *(("gcc 16", version) for version in ("13.3", "13.4")),
    *(("clang 21", version) for version in ("13.1", "13.2")),
    *(("clang 22", version) for version in ("13.3", "13.4")),
]
# Targets with the compiler that this machine calls g++: dropped, kept, new with 13.0, new with 13.4, with a suffix.
TARGETS = ["sm_50", "sm_61", "sm_70", "sm_75", "sm_88", "sm_90a", "sm_100f", "sm_107", "sm_120a"]
POINTS = [
    *(Point(compiler, toolkit, "sm_90") for compiler in COMPILERS for toolkit in ("13.0", "13.5")),
    *(Point(compiler, toolkit, "sm_90") for compiler, toolkit in LIMITS),
    *(Point("g++", toolkit, target) for target in TARGETS for toolkit in ("13.0", "13.4")),
    *(Point("g++", toolkit, "sm_80") for toolkit in ("13.0", "13.1", "13.2", "13.3", "13.4", "13.5")),
    *(Point("g++", "installed", target) for target in ("sm_61", "sm_80", "sm_107")),
]


class Verdict(NamedTuple):
    """What the engine said and whether nvcc compiled."""

    accepted: bool
    compiled: bool
    why: str


@functools.cache
def _described() -> tuple[tuple[Here, Host], ...]:
    return tuple((machine, describe(machine)) for machine in systems())


def _find(name: str) -> tuple[Here, Host, HostCompiler]:
    """Return a compiler and the system that has it; this machine is asked first."""
    if name == "g++":
        machine, host = _described()[0]
        family, major = "gcc", None
    else:
        family, number = name.split()
        major = int(number)
    for machine, host in _described()[: 1 if major is None else None]:
        for compiler in host.host_compilers:
            if compiler.family == family and major in {None, Release.parse(compiler.version).major}:
                return machine, host, compiler
    pytest.skip(f"no {name} here, nor in a root of GPUBUILD_TEST_ROOTS")


@functools.cache
def _installed() -> ToolkitInstall | None:
    return next((one for one in detect().toolkits if one.kind == "cuda" and one.version), None)


@functools.cache
def _fetched(release: str) -> tuple[str, Path]:
    """Return nvcc's version and the root of a toolkit in the user's store."""
    here = next(one for one in _described()[0][1].host_compilers if one.cc)
    compiler = PlanCompiler(family=here.family, version=here.version, cxx=here.cxx, cc=here.cc or "")
    toolkit, _ = install(f"cuda=={release}.*", compiler)
    return toolkit.version, Path(toolkit.path)


def judge(point: Point, folder: Path) -> Verdict:
    """Ask the engine and nvcc about one point."""
    machine, host, compiler = _find(point.compiler)
    toolkits: tuple[ToolkitInstall, ...] = ()
    if point.toolkit == "installed":
        install_here = _installed()
        if install_here is None:
            pytest.skip("no CUDA toolkit is installed")
        version, root, toolkits = install_here.version or "", Path(install_here.path), (install_here,)
    else:
        version, root = _fetched(point.toolkit)
    alone = msgspec.structs.replace(host, host_compilers=(compiler,), toolkits=toolkits)
    wish = Request(backend="cuda", targets=(point.target,), toolkit=f"cuda=={version}", profile="minimal")
    why = ""
    try:
        plan = resolve(wish, alone)
    except (IncompatibleError, MissingToolError) as error:
        why = error.why or error.what
    else:
        assert plan.toolkit is not None
        assert (plan.toolkit.version, plan.host_compiler.cxx) == (version, compiler.cxx)
    (folder / "proof.cu").write_text(PROOF, encoding="utf-8")
    number = point.target.removeprefix("sm_")
    code = ("-std=c++17", "-ccbin", compiler.cxx, f"-gencode=arch=compute_{number},code=sm_{number}")
    answer = machine.compile(root, folder, code)
    assert answer is not None
    assert not answer.timed_out
    compiled = answer.returncode == 0
    error_text = "" if compiled else next(iter(re.findall(r".*(?:error|fatal).*", answer.text)), answer.text)
    words = f"{host.os.name}, {compiler.cxx} {compiler.version}, CUDA {version}, {point.target}"
    return Verdict(not why, compiled, f"{words}: {why or 'accepted'} | {error_text or 'compiles'}")


@pytest.fixture(scope="module")
def tried() -> Iterator[dict[Point, Verdict]]:
    """Every point that was tried; what came of it is printed at the end (``pytest -s``)."""
    verdicts: dict[Point, Verdict] = {}
    yield verdicts
    for verdict in verdicts.values():
        print(verdict.why)  # noqa: T201 - a record for people


@pytest.mark.parametrize("point", POINTS, ids="-".join)
def test_accepted_if_and_only_if_it_compiles(point: Point, tmp_path: Path, tried: dict[Point, Verdict]) -> None:
    verdict = judge(point, tmp_path)
    tried[point] = verdict
    assert verdict.accepted == verdict.compiled, verdict.why


def test_enough_points_were_tried_of_both_kinds(tried: dict[Point, Verdict]) -> None:
    accepted = sum(verdict.accepted for verdict in tried.values())
    refused = len(tried) - accepted
    assert len(tried) >= FEWEST_POINTS, f"only {len(tried)} points could be tried"
    assert min(accepted, refused) >= FEWEST_POINTS // 4, f"{accepted} accepted, {refused} refused"
