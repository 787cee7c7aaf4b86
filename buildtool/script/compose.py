"""From a Plan to a script: fetch, patch, configure, build, install; with the very arguments gpubuild gives CMake."""

from __future__ import annotations

from importlib.metadata import requires

from buildtool import __version__
from buildtool.build.configure import LEAKS, cmake_arguments
from buildtool.build.costs import CostBook
from buildtool.compat.model import Plan, PlanSource
from buildtool.compat.recipes import recipe_directory
from buildtool.errors import InvalidInputError
from buildtool.script.model import (
    Check,
    Export,
    First,
    Folder,
    Let,
    Lines,
    Need,
    Note,
    Run,
    Say,
    Script,
    Step,
    Unset,
    Write,
    var,
)
from buildtool.script.toolkits import BUILD, RECIPE, SOURCE, TOOLS, WORK, Ready, make_ready, requirements
from buildtool.store.download import file_name
from buildtool.toolchain.model import Toolchain

PYTHON, DOWNLOADS, INSTALL = var("python"), f"{WORK}/downloads", var("install")
UNPROVED = {
    "windows": "Nobody has run this on Windows yet: its text was parsed by a PowerShell grammar, nothing more.",
    "rocm": "The kernels compile; gpubuild has had no AMD card to run them on.",
}


def compose(plan: Plan, patch: str = "") -> Script:
    """Write a plan as steps.

    Args:
        plan: with its source and its root filesystem's packages fixed.
        patch: what the plan's patches change in the source, as a unified diff; "" without.

    Raises:
        InvalidInputError: the plan leaves open what a script must name.
    """
    if plan.base:
        what = "A plan that compiles in an old system cannot be written as a script yet."
        raise InvalidInputError(what, hint="Leave --manylinux out, or let gpubuild compile build it.")
    ready = make_ready(plan)
    steps = [
        *_places(plan), *_tools(plan), *_source(plan), *_patch(plan, patch), *_recipe(plan), *ready.steps,
        *_build(plan, ready),
    ]  # fmt: skip
    return Script(head=_head(plan), steps=tuple(steps))


def _head(plan: Plan) -> tuple[str, ...]:
    targets = f" for {', '.join(plan.targets)}" if plan.targets else ""
    toolkit = f", {plan.toolkit.kind} {plan.toolkit.version} ({plan.toolkit.provider})" if plan.toolkit else ""
    system = plan.platform.partition("-")[0]
    doubts = [UNPROVED[word] for word in (system, plan.backend) if word in UNPROVED]
    return (
        f"Builds {plan.recipe}'s {plan.backend} backend{targets} on {plan.platform}.",
        f"Source {plan.source.name}{toolkit}, {plan.profile} profile.",
        f"Written by gpubuild {__version__} of plan {plan.digest()}.",
        *doubts,
        "",
        "Everything happens below the current folder, in gpubuild-work (or where GPUBUILD_WORK says); nothing needs",
        "an administrator. Review it, run it; a second run goes on where the first one stopped.",
    )


def _places(plan: Plan) -> tuple[Step, ...]:
    windows = plan.platform.startswith("windows")
    absolute = (
        "$work = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($work).Replace('\\', '/')"
        if windows
        else 'mkdir -p "${work}"\nwork=$(cd "${work}" && pwd)'
    )
    return (
        Let("work", "gpubuild-work", "GPUBUILD_WORK"),
        Lines(absolute),
        Let("python", "python" if windows else "python3", "PYTHON"),
        Lines("$jobs = $env:NUMBER_OF_PROCESSORS" if windows else "jobs=$(nproc)"),
        Lines("if ($env:JOBS) { $jobs = $env:JOBS }" if windows else 'if [ -n "${JOBS:-}" ]; then jobs=${JOBS}; fi'),
        Let("source", f"{WORK}/source"),
        Let("recipe", f"{WORK}/recipe"),
        Let("build", f"{WORK}/build-{plan.backend}"),
        Let("install", f"{WORK}/install/gpubuild_llama/lib"),  # vendors' libraries are looked for beside gpubuild_llama
        *(Folder(path) for path in (DOWNLOADS, RECIPE, BUILD)),
        Unset(tuple(sorted(LEAKS - {"VULKAN_SDK"}))),
        Export("GIT_CEILING_DIRECTORIES", WORK),  # a repository around the folder is none of ours
    )


def _tools(plan: Plan) -> tuple[Step, ...]:
    ending = ".exe" if plan.platform.startswith("windows") else ""
    wanted = [one for one in requires("gpubuild") or () if one.startswith(("cmake", "ninja"))]
    return (
        Note("CMake and Ninja, as gpubuild itself requires them"),
        Need(PYTHON, "Install Python 3 with pip."),
        Let("tools", f"{WORK}/tools"),
        Run(
            (PYTHON, "-m", "pip", "install", "--quiet", "--target", f"{TOOLS}.new", *wanted),
            made=TOOLS,
            draft=f"{TOOLS}.new",
        ),
        Let("cmake", f"{TOOLS}/cmake/data/bin/cmake{ending}"),
        First("ninja", (f"{TOOLS}/ninja/data/bin/ninja{ending}", f"{TOOLS}/bin/ninja{ending}"), "Ninja is missing."),
        *([Lines("$ninja = $ninja.Replace('\\', '/')")] if ending else []),
    )


def _source(plan: Plan) -> tuple[Step, ...]:
    source = plan.source
    note = Note(f"Source: {source.name}")
    if source.kind == "local":
        return note, Let("source", source.url or "", "SOURCE")
    whole = f"{WORK}/whole"
    below = (Let("source", f"{whole}/{source.subdir}"),) if source.subdir else (Let("source", whole),)
    if source.kind == "git":
        clone = ("git", "clone", "--no-checkout", source.url or "", f"{whole}.new")
        checkout = ("git", "-C", whole, "checkout", "--quiet", "--detach", source.ref or "")
        fetch = Run(clone, made=whole, draft=f"{whole}.new")
        return note, Need("git", "Install git."), fetch, Run(checkout), *below
    windows = plan.platform.startswith("windows")
    if not windows and (source.url or "").lower().endswith(".zip"):
        what = f"The source {source.url} is a zip archive, which Linux's tar does not unpack."
        raise InvalidInputError(what, hint="Name a tar archive or a git tag, or let gpubuild compile build it.")
    archive, fetched = _archive(source, windows=windows)
    sha256 = source.pin.sha256 if source.pin is not None else source.sha256 or ""
    if not sha256:
        what = f"The archive {source.url} has no sha256 yet, so a script could not check it."
        raise InvalidInputError(what, hint="Write a lock first: gpubuild plan ... --out gpubuild.lock")
    unpack = ("tar", "-x", "-f", archive, "-C", f"{whole}.new", "--strip-components=1")
    return (
        note,
        *fetched,
        Check(archive, sha256),
        Folder(f"{whole}.new"),
        Run(unpack, made=whole),
        *_rename(plan, f"{whole}.new", whole),
        *below,
    )


def _archive(source: PlanSource, *, windows: bool = False) -> tuple[str, tuple[Step, ...]]:
    """Return where the archive comes to lie, and the steps that fetch it."""
    pin = source.pin
    if pin is None:
        archive = f"{DOWNLOADS}/{file_name(source.url or '')}"
        program = "curl.exe" if windows else "curl"  # Windows PowerShell's own curl is another command
        curl = (program, "--fail", "--location", "--output", f"{archive}.part", source.url or "")
        return archive, (Need(program, "Install curl."), Run(curl, made=archive, draft=f"{archive}.part"))
    listed, archive = f"{WORK}/source.txt", f"{DOWNLOADS}/{pin.filename}"
    fetch = (
        PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-binary", pin.name,
        "--dest", f"{DOWNLOADS}.new", "-r", listed,
    )  # fmt: skip
    return archive, (
        Write(listed, requirements((pin,))),
        Run(fetch, made=archive, draft=f"{DOWNLOADS}.new/{pin.filename}"),
    )


def _rename(plan: Plan, draft: str, final: str) -> tuple[Step, ...]:
    if plan.platform.startswith("windows"):
        return (Lines('if (-not (Test-Path "$work/whole")) { Rename-Item -LiteralPath "$work/whole.new" "whole" }'),)
    return (Run(("mv", draft, final), made=final),)


def _patch(plan: Plan, patch: str) -> tuple[Step, ...]:
    if not plan.patches:
        return ()
    if not patch:
        what = "The plan has patches, and nobody says what they change."
        raise InvalidInputError(what)
    if plan.source.kind == "local":
        what = "The plan would patch a tree of yours, which no script of gpubuild changes."
        raise InvalidInputError(what, hint="gpubuild patch apply writes a patched copy; name that with --source.")
    names = ", ".join(f"{one.name} ({' '.join(one.targets)})" for one in plan.patches)
    listed, done = f"{WORK}/gpubuild.patch", f"{WORK}/patched"
    apply = ("git", "apply", "--whitespace=nowarn", listed)
    return (
        Note(f"Patches: {names}"),
        Need("git", "Install git: its apply puts the patch in."),
        Write(listed, patch),
        Run(apply, cwd=SOURCE, made=done),
        Folder(done),
    )


def _recipe(plan: Plan) -> tuple[Step, ...]:
    folder = recipe_directory(plan.recipe)
    files = sorted(path for path in folder.iterdir() if path.suffix in {".cmake", ".cpp"})
    return (
        Note("What gpubuild adds to the project: install rules, put in by CMake itself"),
        *(Write(f"{RECIPE}/{path.name}", path.read_text("utf-8")) for path in files),
    )


def _build(plan: Plan, ready: Ready) -> tuple[Step, ...]:
    folder = recipe_directory(plan.recipe)
    toolchain = Toolchain(
        kind="host", version="", root=None, provider="host", cmake_options=ready.options, env={}, cmake="",
        ninja=var("ninja"),
    )  # fmt: skip
    book = CostBook(folder / "no-costs-of-this-machine.json", folder / "costs.json")
    arguments = [one.replace(folder.as_posix(), RECIPE) for one in cmake_arguments(plan, toolchain, None, book)]
    targets = ("gpubuild_runtime",) if plan.backend == "cpu" else ("gpubuild_runtime", "gpubuild_backend")
    cmake = var("cmake")
    return (
        Note("Configure"),
        Run((cmake, "-G", "Ninja", "-S", SOURCE, "-B", BUILD, *arguments), inside=ready.inside),
        Note("Build"),
        Run((var("ninja"), "-C", BUILD, "-j", var("jobs"), *targets), inside=ready.inside),
        Note("Install, side by side: ggml looks for its backends beside the program"),
        *(Run((cmake, "--install", BUILD, "--component", one, "--prefix", INSTALL)) for one in targets),
        *ready.finish,
        Say(f"Ready in {INSTALL}: llama-server, llama-cli, llama-bench, test-backend-ops."),
    )
