"""A local tree's content is part of what its wheels are called."""

from __future__ import annotations

import msgspec

from buildtool.compat.fixed import with_local_digest
from buildtool.compat.model import Plan, PlanCompiler, PlanSource, PlanWheel

RUNTIME = PlanWheel(role="runtime", distribution="gpubuild-llama", package="gpubuild_llama", version="0+local.portable")
BACKEND = PlanWheel(
    role="backend",
    distribution="gpubuild-llama-vulkan",
    package="gpubuild_llama_vulkan",
    version="0+local.portable.vulkan",
    requires=("gpubuild-llama==0+local.portable", "other>=1"),
)
PLAN = Plan(
    recipe="llama.cpp",
    source=PlanSource(kind="local", name="/x", version="0", url="/x"),
    backend="vulkan",
    targets=(),
    toolkit=None,
    host_compiler=PlanCompiler(family="gcc", version="12", cxx="g++", cc="gcc"),
    profile="portable",
    cmake_options={},
    runtime="system",
    wheels=(RUNTIME, BACKEND),
    platform="linux-x86_64",
)


def test_a_backend_fits_only_the_runtime_of_the_same_tree() -> None:
    fixed = with_local_digest(PLAN, "0123456789abcdef")
    assert [wheel.version for wheel in fixed.wheels] == [
        "0+local.portable.h01234567",
        "0+local.portable.vulkan.h01234567",
    ]
    assert fixed.wheels[1].requires == ("gpubuild-llama==0+local.portable.h01234567", "other>=1")
    assert fixed.digest() != with_local_digest(PLAN, "f" * 16).digest()


def test_other_sources_name_themselves_already() -> None:
    plan = msgspec.structs.replace(PLAN, source=PlanSource(kind="sdist", name="x", version="1"))
    assert with_local_digest(plan, "0" * 16) is plan
