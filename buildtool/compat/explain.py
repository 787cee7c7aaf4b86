"""Every choice of a plan in words: what was decided, by which rule, why, and where the facts come from."""

from __future__ import annotations

from buildtool.compat import tables
from buildtool.compat.case import Case
from buildtool.compat.devices import products_of
from buildtool.compat.kernels import donor_of, runtime_mode, thins_whole, travels
from buildtool.compat.known_bad import bad_launchers, warnings
from buildtool.compat.model import Decision
from buildtool.compat.options import ToolkitOption, launchers_of
from buildtool.compat.patches import PatchChoice, explain_patches, explain_reach
from buildtool.compat.recipes import OptionRow
from buildtool.compat.rocm_trials import explain_trials, rocm_trials
from buildtool.compat.rules import Candidate, base_targets, compiler_needs, goes_with, lacking
from buildtool.compat.targets import Target, cmake_cuda
from buildtool.compat.vendor import SERVERS

NAMED_TARGETS = 3


def explain(
    case: Case,
    chosen: Candidate,
    targets: tuple[Target, ...],
    rows: tuple[OptionRow, ...],
    patches: tuple[PatchChoice, ...],
) -> tuple[Decision, ...]:
    """Return the decisions of a plan, in the order they were made."""
    found = [_source(case, chosen), _backend(case), *_image(case)]
    if case.backend in {"cuda", "rocm"}:
        found += _targets(case, chosen, targets)
    if chosen.option is not None:
        found += _toolkit(case, chosen.option)
    found.append(_compiler(case, chosen))
    found += [_profile(case), *explain_patches(patches, chosen.source)]
    found += [*explain_reach(case.recipe.reaches, chosen.source, targets), *explain_trials(rocm_trials(), targets)]
    found += [_launcher(case, chosen), _runtime(case, chosen), _tags(case)]
    found += _options(case, targets, rows)
    found += warnings(chosen.option, case.target_names, case.host)
    return tuple(found)


def _source(case: Case, chosen: Candidate) -> Decision:
    source = chosen.source
    if case.request.source:
        reason = "asked for"
    elif source is case.sources[0]:
        reason = "the recipe's first choice"
    else:
        reason = "the newest of the recipe's sources that this toolkit can build"
    version = "" if source.plan.version == "0.0.0" else f" (version {source.plan.version})"
    return Decision(
        subject="source", choice=source.plan.name + version, rule="source-order", reason=reason, sources=source.facts
    )


def _backend(case: Case) -> Decision:
    return Decision(subject="backend", choice=case.backend, rule="backend", reason=case.backend_reason)


def _image(case: Case) -> list[Decision]:
    image = case.host.image
    if image is None:
        return []
    reason = "asked for: compilers, toolkit and C library are those inside it"
    return [Decision(subject="container", choice=f"{image.name} ({image.id[:19]})", rule="image", reason=reason)]


def _targets(case: Case, chosen: Candidate, targets: tuple[Target, ...]) -> list[Decision]:
    reason = case.targets_reason
    base = base_targets(case, chosen.option)
    if base and case.targets_reason != "the recipe's list":
        reason += " (upstream's default)"
    cards = [f"{one}: {products_of(one)}" for one in targets if products_of(one)]
    if cards and len(targets) <= NAMED_TARGETS:
        reason = f"{reason or 'asked for'}; {'; '.join(cards)}"
    found = [
        Decision(subject="targets", choice=" ".join(map(str, targets)), rule="targets", reason=reason or "asked for")
    ]
    wished = {*case.targets, *base}
    for row in case.recipe.rewrites:
        changed = sorted(str(one) for one in wished if str(one) in row.from_ and row.holds_on(chosen.source.date))
        found += [
            Decision(
                subject="targets", choice=f"{name} becomes {name}{row.suffix}", rule="rewrite",
                reason=row.reason, sources=row.source,
            )
            for name in changed
        ]  # fmt: skip
    return found


def _toolkit(case: Case, option: ToolkitOption) -> list[Decision]:
    name = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan"}[option.kind]
    if option.install is not None:
        where, rule = f"installed in {option.install.path}", "toolkit-installed"
        reason = "an installed toolkit that fits is used before one is fetched"
    elif option.offered is not None:
        family = f" ({option.offered.family})" if option.offered.family else ""
        where = f"from a server of {SERVERS[option.offered.provider]} that you named{family}"
        rule = "toolkit-server"
        reason = "neither an installed toolkit nor one from a package registry fits"
        reason += _passed_over(case, option.kind)
    elif option.rootfs is not None:
        where, rule = f"in a private root filesystem of Debian {option.rootfs.suites[-1]}", "toolkit-rootfs"
        reason = "neither an installed toolkit nor one from a package registry fits"
        if not option.entered:
            reason += "; only its shader compiler and headers are used, with this machine's own C++ compiler"
        reason += _passed_over(case, option.kind)
    else:
        where, rule = "from the package registry", "toolkit-fetched"
        reason = "no installed toolkit fits" if _installed(case, option.kind) else "none is installed"
        reason += _passed_over(case, option.kind)
    sources = option.cuda.source if option.cuda else option.rocm.source if option.rocm else ()
    if option.wheels is not None:
        sources = (*sources, option.wheels.source)
    if option.rootfs is not None:
        sources = (*sources, *option.rootfs.source)
    found = [
        Decision(
            subject="toolkit", choice=f"{name} {option.version}, {where}", rule=rule,
            reason="; ".join([reason, *_version_reason(case, option)]), sources=sources,
        )
    ]  # fmt: skip
    if option.kind == "rocm":
        found += _rocblas(case, option)
    return found


def _installed(case: Case, kind: str) -> bool:
    return any(one.kind == kind for one in case.host.toolkits)


def _passed_over(case: Case, kind: str) -> str:
    """Say which installed toolkits were not taken for want of a library."""
    found = [
        f"{one.path} has no {' and no '.join(lacking(case, one))}"
        for one in case.host.toolkits
        if one.kind == kind and lacking(case, one)
    ]
    return f" ({'; '.join(sorted(found))})" if found else ""


def _version_reason(case: Case, option: ToolkitOption) -> list[str]:
    found = [f"{case.toolkit} was asked for"] if case.toolkit is not None and case.toolkit.specifier else []
    if option.kind != "cuda" or option.install is not None:
        return found
    if case.offered is None:
        driver = "no driver here" if case.driver is None else "this driver does not tell which CUDA it offers"
        found.append(f"{driver}: the lowest release that fits runs on the most drivers")
    elif option.release.minor <= case.offered.minor:
        found.append(f"the newest that fits and that this driver (CUDA {case.offered}) offers")
    else:
        found.append(f"the lowest that fits; this driver (CUDA {case.offered}) runs its device code by "
                     "minor-version compatibility")  # fmt: skip
    return found


def _rocblas(case: Case, option: ToolkitOption) -> list[Decision]:
    row, made = option.rocm, option.rootfs
    if made is not None and made.kernels:
        missing = [str(one) for one in case.targets if one.chip not in made.kernels]
        reason = f"Debian's rocBLAS has no kernels for {', '.join(missing)}: where this runs, another must have them"
        if travels(case, option):
            pairs = [(one, donor_of(one, made.kernels)) for one in case.targets if str(one) in missing]
            words = "; ".join(f"{one} takes those of {donor}, which runs the same instructions" for one, donor in pairs)
            reason = f"Debian's rocBLAS has no kernels for {', '.join(missing)}: {words}"
        found = Decision(
            subject="toolkit", choice="rocBLAS", rule="rocblas-kernels", reason=reason, sources=made.source
        )
        return [found] if missing else []
    missing = [str(one) for one in case.targets if row and row.rocblas and one.chip not in row.rocblas]
    if not missing or row is None:
        return []
    reason = f"AMD's rocBLAS {row.version} has no kernels for {', '.join(missing)}; distributions differ"
    return [Decision(subject="toolkit", choice="rocBLAS", rule="rocblas-kernels", reason=reason, sources=row.source)]


def _compiler(case: Case, chosen: Candidate) -> Decision:
    compiler, option = chosen.compiler, chosen.option
    assert compiler is not None  # noqa: S101 - a candidate without a compiler breaks a fact
    needs = compiler_needs(case, chosen.source, compiler.family)
    reason, sources = "the newest that the source accepts", tuple(fact for row in needs for fact in row.source)
    if option is not None and option.cuda is not None:
        oldest, newest = option.cuda.gcc if compiler.family == "gcc" else option.cuda.clang
        reason = f"the newest that nvcc {option.cuda.version} accepts ({compiler.family} {oldest} to {newest})"
        if compiler.family == "msvc":
            reason = f"nvcc {option.cuda.version} accepts it"
        refused = [one for one in case.compilers if not goes_with(option, one)]
        if refused:
            reason += "; refused: " + ", ".join(f"{one.family} {one.version}" for one in refused)
        sources = (*option.cuda.source, *sources)
    if option is not None and option.entered and option.rootfs is not None:
        reason, sources = f"the one inside, which Debian {option.rootfs.suites[0]} has for it", option.rootfs.source
    choice = f"{compiler.family} {compiler.version} ({compiler.cxx})"
    return Decision(subject="host compiler", choice=choice, rule="compiler", reason=reason, sources=sources)


def _profile(case: Case) -> Decision:
    words = {
        "portable": "runs on any machine of this kind: every CPU variant, flash attention",
        "native": "for this machine's CPU only",
        "minimal": "quick to build: one CPU variant, no flash attention",
    }
    return Decision(subject="profile", choice=case.request.profile, rule="profile", reason=words[case.request.profile])


def _launcher(case: Case, chosen: Candidate) -> Decision:
    bad = bad_launchers(chosen.option, case.host)
    rows = [row for row in tables.known_bad() if row.launcher in bad]
    reason = "the first that passes a trial compile with this compiler; else no cache"
    return Decision(
        subject="compiler cache",
        choice=", ".join(name for name in launchers_of(chosen.option, case.host) if name not in bad),
        rule="launcher",
        reason="; ".join([reason, *(row.what for row in rows)]),
        sources=tuple(source for row in rows for source in row.source),
    )


def _runtime(case: Case, chosen: Candidate) -> Decision:
    choice: str = runtime_mode(case, chosen.option)
    if case.backend == "cpu":
        choice, reason = "none", "the CPU backend needs no vendor library"
    elif thins_whole(case):
        reason = "copied into the wheel, cut down to its targets, as asked for: NVIDIA's licence forbids passing it on"
    elif choice == "bundle" and case.request.runtime == "pip":
        reason = "this ROCm is on no other machine and not to be had as wheels: its libraries are copied into the wheel"
    elif choice == "system" and case.request.runtime == "pip":
        reason = "only NVIDIA's libraries can be had as wheels: this machine's are used"
    else:
        reason = {
            "pip": "NVIDIA's own wheels are dependencies, found by a relative path",
            "bundle": "the vendor's libraries are copied into the wheel",
            "system": "the vendor's libraries are expected on the machine",
        }[choice]
    return Decision(subject="vendor libraries", choice=choice, rule="runtime", reason=reason)


def _tags(case: Case) -> Decision:
    reason = "no Python code is compiled; the glibc that the binaries really need is read from them after the build"
    system, _, machine = case.platform.partition("-")
    choice = f"py3-none-manylinux_2_NN_{machine}" if system == "linux" else f"py3-none-{case.platform}"
    if case.host.libc is not None and case.host.libc.name == "musl":
        choice = f"py3-none-musllinux_1_NN_{machine}"
    return Decision(subject="wheel tags", choice=choice, rule="tags", reason=reason)


def _options(case: Case, targets: tuple[Target, ...], rows: tuple[OptionRow, ...]) -> list[Decision]:
    found = [
        Decision(
            subject="option", choice=f"{row.name}={row.value}", rule="recipe", reason=row.reason, sources=row.source
        )
        for row in rows
    ]
    if case.backend == "cuda":
        choice = "CMAKE_CUDA_ARCHITECTURES=" + ";".join(map(cmake_cuda, targets))
        reason = "device code for exactly these targets, no PTX"
        found.append(Decision(subject="option", choice=choice, rule="targets", reason=reason))
    if case.backend == "rocm":
        choice = "GPU_TARGETS=" + ";".join(map(str, targets))
        reason = "device code for exactly these targets"
        found.append(Decision(subject="option", choice=choice, rule="targets", reason=reason))
    return found
