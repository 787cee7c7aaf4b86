"""From the chosen candidate to a Plan: options, wheels and the reason for each choice."""

from __future__ import annotations

import msgspec

from buildtool.compat.case import Case
from buildtool.compat.explain import explain
from buildtool.compat.kernels import runtime_mode, thins_whole
from buildtool.compat.known_bad import bad_launchers, bad_options
from buildtool.compat.model import Plan, PlanCompiler, PlanProvider, PlanRootfs, PlanToolkit
from buildtool.compat.options import ToolkitOption, launchers_of
from buildtool.compat.patches import choose_patches, stated
from buildtool.compat.recipes import OptionRow
from buildtool.compat.rootfs import ARCHITECTURES, RootfsRow
from buildtool.compat.rules import Candidate, base_targets
from buildtool.compat.targets import Target, cmake_cuda
from buildtool.compat.wheels import wheels_of


def assemble(case: Case, chosen: Candidate) -> Plan:
    """Write the Plan of a candidate that breaks no fact."""
    rows = option_rows(case, chosen)
    targets = final_targets(case, chosen)
    runtime = runtime_mode(case, chosen.option)
    patches = choose_patches(case.recipe.name, chosen.source, case.backend, targets)
    return Plan(
        recipe=case.recipe.name,
        source=chosen.source.plan,
        backend=case.backend,
        targets=tuple(map(str, targets)),
        toolkit=_toolkit(chosen.option),
        host_compiler=_compiler(chosen),
        profile=case.request.profile,
        cmake_options={name: row.value for name, row in rows.items()} | target_options(case, targets) | _number(chosen),
        patches=tuple(one.plan for one in patches),
        launchers=launchers(case, chosen),
        runtime=runtime,
        wheels=wheels_of(case, chosen, targets, runtime, stated(patches, chosen.source)),
        platform=case.platform,
        inside=case.host.image,
        thin_vendor=True if thins_whole(case) else msgspec.UNSET,
        decisions=explain(case, chosen, targets, tuple(rows.values()), patches),
    )


def launchers(case: Case, chosen: Candidate) -> tuple[str, ...]:
    """Return the compiler caches to try, best first, without those that are known to break this toolkit."""
    bad = bad_launchers(chosen.option, case.host)
    return tuple(name for name in launchers_of(chosen.option, case.host) if name not in bad)


def final_targets(case: Case, chosen: Candidate) -> tuple[Target, ...]:
    """Return what the binary will hold: wished and base targets, as the source's build files turn them out."""
    wished = {*case.targets, *base_targets(case, chosen.option)}
    return tuple(sorted({compiled_form(case, chosen, one) for one in wished}, key=lambda target: target.order))


def compiled_form(case: Case, chosen: Candidate, target: Target) -> Target:
    """Return the target whose device code the source really makes for a wished one."""
    for row in case.recipe.rewrites:
        if str(target) in row.from_ and row.holds_on(chosen.source.date):
            return Target(target.platform, target.chip, row.suffix)
    return target


def option_rows(case: Case, chosen: Candidate) -> dict[str, OptionRow]:
    """Return the recipe's CMake options that hold here, by name; of several rows the last wins."""
    system, _, machine = case.platform.partition("-")
    bad = bad_options(chosen.option, case.target_names, case.host)
    return {
        row.name: row
        for row in case.recipe.options
        if row.holds_on(chosen.source.date)
        and (not row.backends or case.backend in row.backends)
        and (not row.profiles or case.request.profile in row.profiles)
        and (not row.machines or machine in row.machines)
        and (not row.systems or system in row.systems)
        and not (row.name in bad and row.value == "ON")
    }


def target_options(case: Case, targets: tuple[Target, ...]) -> dict[str, str]:
    """Return the CMake option that names the targets."""
    if case.backend == "cuda":
        return {"CMAKE_CUDA_ARCHITECTURES": ";".join(map(cmake_cuda, targets))}
    if case.backend == "rocm":
        return {"GPU_TARGETS": ";".join(map(str, targets))}
    return {}


def _number(chosen: Candidate) -> dict[str, str]:
    """Return the option by which a build tells its number, which its files do not without git."""
    return {"LLAMA_BUILD_NUMBER": str(chosen.source.build)} if chosen.source.build else {}


def _toolkit(option: ToolkitOption | None) -> PlanToolkit | None:
    if option is None:
        return None
    return PlanToolkit(
        kind=option.kind,
        version=option.version,
        provider=_provider(option),
        family=option.offered.family if option.offered is not None else "",
        pins=option.wheels.pins if option.wheels is not None else (),
        path=option.install.path if option.install is not None else None,
        rootfs=plan_rootfs(option.rootfs) if option.rootfs is not None else None,
    )


def _provider(option: ToolkitOption) -> PlanProvider:
    assert option.provider != "elsewhere"  # noqa: S101 - such a candidate breaks a fact
    return option.provider


def plan_rootfs(row: RootfsRow) -> PlanRootfs:
    """Return what a plan says about a root filesystem."""
    return PlanRootfs(
        name=row.name,
        architecture=ARCHITECTURES[row.platform],
        suites=row.suites,
        components=row.components,
        prefer=row.prefer,
        packages=row.packages,
        leave_out=row.leave_out,
    )


def _compiler(chosen: Candidate) -> PlanCompiler:
    compiler = chosen.compiler
    assert compiler is not None  # noqa: S101 - a candidate without a compiler breaks a fact
    return PlanCompiler(
        family=compiler.family, version=compiler.version, cxx=compiler.cxx, cc=compiler.cc or compiler.cxx
    )
