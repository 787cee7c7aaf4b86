"""The steps that make a plan's toolkit ready, and the CMake options that point at it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from buildtool.compat.model import Pin, Plan, PlanToolkit
from buildtool.errors import InvalidInputError
from buildtool.script.model import Export, First, Folder, Let, Lines, Need, Note, Run, Step, Write, var
from buildtool.toolchain.installed import CLANG_PLACES, DEVICE_LIBRARIES, GLSLC_PLACES
from buildtool.toolchain.rootfs.layout import GLSLC, GLSLC_SCRIPT, NVCC
from buildtool.toolchain.rootfs.make import HOOK
from buildtool.toolchain.rootfs.record import KEPT
from buildtool.toolchain.rootfs.suite import KEYRINGS
from buildtool.toolchain.sandbox import ISOLATIONS, MERGED, PATH, SCRATCH, TOP_LEVEL

WORK, TOOLKIT, TREE, SOURCE, RECIPE, BUILD, TOOLS = map(
    var, ("work", "toolkit", "tree", "source", "recipe", "build", "tools")
)
# NVIDIA's wheels bring no stand-in for the driver at link time: one with the same names is made of its header.
COMPLETE_CUDA = """\
ln -sfn lib "${toolkit}/lib64"
for library in "${toolkit}"/lib/lib*.so.*; do
    plain=${library%%.so.*}.so
    [ -e "${plain}" ] || ln -s "$(basename "${library}")" "${plain}"
done
mkdir -p "${toolkit}/lib/stubs"
grep -oE '\\bcu[A-Z][A-Za-z0-9_]*' "${toolkit}/include/cuda.h" | sort -u |
    sed 's/.*/int &(void) { return 34; }/' |
    "${cc}" -x c -shared -fPIC -Wl,-soname,libcuda.so.1 -o "${toolkit}/lib/stubs/libcuda.so" -"""
FILL_SOURCES = """\
sed -e "s|DEBIAN_MIRROR|${DEBIAN_MIRROR}|" -e "s|DEBIAN_KEYRING|${keyring}|" \\
    "${work}/suite.template" > "${work}/suite.sources\""""
CL_HINT = "Run this in the Developer PowerShell for VS 2022 (x64), which sets up the Visual C++ compiler."


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What is done before the configure step, and what CMake is told.

    Attributes:
        steps: in order.
        options: CMake options of the toolchain.
        inside: whether CMake and Ninja run inside a root filesystem.
        finish: after everything is installed.
    """

    steps: tuple[Step, ...] = ()
    options: dict[str, str]
    inside: bool = False
    finish: tuple[Step, ...] = ()


def make_ready(plan: Plan) -> Ready:
    """Return the steps for the plan's host compiler and toolkit.

    Raises:
        InvalidInputError: a root filesystem whose packages are not pinned.
    """
    windows = plan.platform.startswith("windows")
    toolkit = plan.toolkit
    if toolkit is not None and toolkit.provider == "rootfs" and toolkit.kind != "vulkan":
        return _rootfs(plan, toolkit)
    compiler = plan.host_compiler
    options = {"CMAKE_C_COMPILER": compiler.cc, "CMAKE_CXX_COMPILER": compiler.cxx}
    hint = CL_HINT if compiler.family == "msvc" else "Install the C++ compiler that was planned, or plan again."
    steps: tuple[Step, ...] = (Need(compiler.cxx, hint), Let("cc", compiler.cc))
    if toolkit is None:
        return Ready(steps=steps, options=options)
    more = _FOR[toolkit.provider, toolkit.kind](plan, toolkit)
    if windows and toolkit.kind == "rocm":
        return more  # everything is compiled by the HIP SDK's clang
    return Ready(steps=(*steps, *more.steps), options=options | more.options, finish=more.finish)


def requirements(pins: tuple[Pin, ...]) -> str:
    """Return a requirements file that admits exactly these files."""
    return "".join(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" for pin in pins)


def _cuda_wheels(plan: Plan, toolkit: PlanToolkit) -> Ready:
    windows = plan.platform.startswith("windows")
    listed = f"{WORK}/cuda-wheels.txt"
    major = toolkit.version.partition(".")[0]
    wheels, draft = f"{WORK}/cuda", f"{WORK}/cuda.new"
    install = ("-m", "pip", "install", "--no-deps", "--require-hashes", "--target", draft, "-r", listed)
    nvcc = f"{TOOLKIT}/bin/nvcc{'.exe' if windows else ''}"
    steps: list[Step] = [
        Note(f"CUDA {toolkit.version}: NVIDIA's wheels, fixed by their sha256"),
        Write(listed, requirements(toolkit.pins)),
        Run((var("python"), *install), made=wheels, draft=draft),
        Let("toolkit", f"{wheels}/nvidia/cu{major}"),
    ]
    if not windows:
        steps.append(Lines(COMPLETE_CUDA))
    steps.append(Run((nvcc, "--version")))
    # The libraries are looked for where NVIDIA's wheels would put them beside gpubuild's own.
    found = () if windows else (Run(("ln", "-sfn", f"{WORK}/cuda/nvidia", f"{WORK}/install/nvidia")),)
    return Ready(steps=tuple(steps), options=_cuda_options(nvcc, TOOLKIT, plan), finish=found)


def _cuda_options(nvcc: str, root: str, plan: Plan) -> dict[str, str]:
    return {
        "CMAKE_CUDA_COMPILER": nvcc,
        "CUDAToolkit_ROOT": root,
        "CMAKE_CUDA_HOST_COMPILER": plan.host_compiler.cxx,
    }


def _cuda_installed(plan: Plan, toolkit: PlanToolkit) -> Ready:
    windows = plan.platform.startswith("windows")
    nvcc = f"{TOOLKIT}/bin/nvcc{'.exe' if windows else ''}"
    steps: tuple[Step, ...] = (
        Note(f"CUDA {toolkit.version}, installed"),
        Let("toolkit", (toolkit.path or "").replace("\\", "/") if windows else toolkit.path or "", "CUDA_PATH"),
        *([Lines("$toolkit = $toolkit.Replace('\\', '/')")] if windows else []),
        Need(nvcc, "Install that toolkit, or name another place in CUDA_PATH."),
        Run((nvcc, "--version")),
    )
    return Ready(steps=steps, options=_cuda_options(nvcc, TOOLKIT, plan))


def _rocm_installed(plan: Plan, toolkit: PlanToolkit) -> Ready:
    if plan.platform.startswith("windows"):
        return _hip_sdk(toolkit)
    missing = "This ROCm has no clang++: install its compiler, or name another place in ROCM_PATH."
    steps = (
        Note(f"ROCm {toolkit.version}, installed"),
        Let("toolkit", toolkit.path or "", "ROCM_PATH"),
        *_clang(TOOLKIT, missing),
        # Debian's clang has the device libraries beside it, and stops to look there when ROCM_PATH is set.
        Lines("case ${clang} in */lib/llvm-*) ;; *) export ROCM_PATH=${toolkit} HIP_PATH=${toolkit} ;; esac"),
        Export("HIPCXX", var("clang")),
    )
    return Ready(steps=steps, options={"CMAKE_HIP_COMPILER": var("clang"), "CMAKE_PREFIX_PATH": TOOLKIT})


def _clang(root: str, missing: str) -> tuple[Step, ...]:
    """Find the clang that `buildtool.toolchain.installed.rocm_options` would take."""
    beside = f"{root}/{DEVICE_LIBRARIES}/../../../../bin"
    places = (beside, *(f"{root}/{place}" for place in sorted(CLANG_PLACES, key=lambda place: "*" not in place)))
    first = First("clang", tuple(f"{place}/clang++" for place in places), missing)
    return first, Lines('clang=$(cd "${clang%/*}" && pwd)/clang++')


def _hip_sdk(toolkit: PlanToolkit) -> Ready:
    """CMake has no HIP language on Windows: ggml's kernels are C++ there, so the SDK's clang compiles everything."""
    clang = f"{TOOLKIT}/bin/clang"
    steps = (
        Note(f"AMD's HIP SDK {toolkit.version}, installed"),
        Let("toolkit", (toolkit.path or "").replace("\\", "/"), "HIP_PATH"),
        Lines("$toolkit = $toolkit.Replace('\\', '/').TrimEnd('/')"),
        Need(f"{clang}++.exe", "Install the HIP SDK that was planned, or name its place in HIP_PATH."),
        Run((f"{clang}++.exe", "--version")),
        Export("HIP_PATH", TOOLKIT),
    )
    options = {
        "CMAKE_C_COMPILER": f"{clang}.exe",
        "CMAKE_CXX_COMPILER": f"{clang}++.exe",
        "CMAKE_PREFIX_PATH": TOOLKIT,
    }
    return Ready(steps=steps, options=options)


def _vulkan_installed(plan: Plan, toolkit: PlanToolkit) -> Ready:
    windows = plan.platform.startswith("windows")
    program = "glslc.exe" if windows else "glslc"
    root = (toolkit.path or "").replace("\\", "/") if windows else toolkit.path or ""
    steps: list[Step] = [
        Note(f"Vulkan {toolkit.version}, installed"),
        Let("toolkit", root, "VULKAN_SDK"),
        *([Lines("$toolkit = $toolkit.Replace('\\', '/')")] if windows else []),
        First("glslc", tuple(f"{TOOLKIT}/{place}/{program}" for place in GLSLC_PLACES), "This SDK has no glslc."),
        *_generator(plan),
    ]
    if root != "/usr":
        steps.append(Export("VULKAN_SDK", TOOLKIT))
    return Ready(steps=tuple(steps), options={"Vulkan_GLSLC_EXECUTABLE": var("glslc")})


def _generator(plan: Plan) -> tuple[Step, ...]:
    """Name the compiler to ggml's shader generator, a project of its own that knows nothing of CMAKE_CXX_COMPILER."""
    return Export("CC", plan.host_compiler.cc), Export("CXX", plan.host_compiler.cxx)


def _vulkan_tree(plan: Plan, toolkit: PlanToolkit) -> Ready:
    libraries = f"{TREE}/usr/lib/{'aarch64' if plan.platform.endswith('aarch64') else 'x86_64'}-linux-gnu"
    steps = (
        *_tree(toolkit),
        Folder(f"{TREE}/usr/local/bin"),
        Write(f"{TREE}/{GLSLC}", GLSLC_SCRIPT),
        Run(("chmod", "755", f"{TREE}/{GLSLC}")),
        Run((f"{TREE}/{GLSLC}", "--version")),
        *_generator(plan),
    )
    options = {
        "Vulkan_GLSLC_EXECUTABLE": f"{TREE}/{GLSLC}",
        "Vulkan_INCLUDE_DIR": f"{TREE}/usr/include",
        "Vulkan_LIBRARY": f"{libraries}/libvulkan.so",
        "SPIRV-Headers_DIR": f"{TREE}/usr/share/cmake/SPIRV-Headers",
    }
    return Ready(steps=steps, options=options)


def _rootfs(plan: Plan, toolkit: PlanToolkit) -> Ready:
    """Compilers inside a root filesystem: CMake and Ninja run there, by bubblewrap."""
    compiler = plan.host_compiler
    options = {"CMAKE_C_COMPILER": compiler.cc, "CMAKE_CXX_COMPILER": compiler.cxx}
    steps: list[Step] = [Need("bwrap", "Install it: apt-get install bubblewrap"), *_tree(toolkit)]
    if toolkit.kind == "cuda":
        options |= {"CMAKE_CUDA_COMPILER": NVCC, "CUDAToolkit_ROOT": "/usr", "CMAKE_CUDA_HOST_COMPILER": compiler.cxx}
        env = ""
    else:
        steps += _clang(f"{TREE}/usr", "There is no clang++ in the root filesystem.")
        steps.append(Lines('clang=${clang#"${tree}"}'))
        options |= {"CMAKE_HIP_COMPILER": var("clang"), "CMAKE_PREFIX_PATH": "/usr"}
        env = ' HIPCXX="${clang}"'
    steps.append(Lines(_inside(env)))
    steps.append(Lines("inside /usr/bin/true"))
    return Ready(steps=tuple(steps), options=options, inside=True)


def _tree(toolkit: PlanToolkit) -> tuple[Step, ...]:
    """Make a root filesystem of exactly the pinned packages; no maintainer script runs, and no root is needed.

    Raises:
        InvalidInputError: the packages are not pinned.
    """
    rootfs = toolkit.rootfs
    if rootfs is None or not toolkit.pins:
        what = f"The packages of {toolkit.kind} {toolkit.version} are not fixed, so no script can name them."
        raise InvalidInputError(what, hint="Write a lock first: gpubuild plan ... --out gpubuild.lock")
    sources = "\n".join(
        ["Types: deb", "URIs: DEBIAN_MIRROR", f"Suites: {' '.join(rootfs.suites)}",
         f"Components: {' '.join(rootfs.components)}", "Signed-By: DEBIAN_KEYRING"]
    )  # fmt: skip
    listed = "".join(f"{pin.sha256}  {pin.filename}\n" for pin in toolkit.pins)
    make = (
        "mmdebstrap", "--mode=chrootless", "--variant=extract", "--format=directory",
        f"--architectures={rootfs.architecture}", *(f"--dpkgopt=path-exclude={one}" for one in rootfs.leave_out),
        *(f"--dpkgopt=path-include={one}" for one in KEPT),
        "--skip=download/empty", "--skip=cleanup/apt", f"--setup-hook={WORK}/hook",
        "--include=" + ",".join(f"{pin.name}={pin.version}" for pin in toolkit.pins),
        rootfs.suites[0], f"{TREE}.new", f"{WORK}/suite.sources",
    )  # fmt: skip
    debs = f"{WORK}/debs"
    return (
        Note(f"{rootfs.name}: a private root filesystem of {len(toolkit.pins)} Debian packages"),
        Need("mmdebstrap", "Install it: apt-get install mmdebstrap"),
        Lines(': "${DEBIAN_MIRROR:?Name the Debian mirror to fetch from: export DEBIAN_MIRROR=<its address>}"'),
        First("keyring", KEYRINGS, "Debian's archive keys are missing: apt-get install debian-archive-keyring"),
        Let("tree", f"{WORK}/{rootfs.name}"),
        Lines('if [ ! -e "${tree}" ]; then'),
        Folder(debs),
        Write(f"{WORK}/hook", HOOK),
        Run(("chmod", "755", f"{WORK}/hook")),
        Write(f"{WORK}/suite.template", sources + "\n"),
        Lines(FILL_SOURCES),
        Run(("rm", "-rf", f"{TREE}.new")),
        Export("GPUBUILD_DEBS", debs),
        Run(make),
        Write(f"{WORK}/debs.sha256", listed),
        Run(("sha256sum", "--check", "--quiet", "--strict", f"{WORK}/debs.sha256"), cwd=debs),
        Run(("mv", f"{TREE}.new", TREE)),
        Lines("fi"),
    )


def _inside(env: str) -> str:
    """Return the function that runs a command inside: it sees what it needs, and no network."""
    words = [*ISOLATIONS[0], "--dev", "/dev", "--tmpfs", SCRATCH]
    for name in TOP_LEVEL:
        words += ["--ro-bind", f'"${{tree}}/{name}"', f"/{name}"]
    words += ["--tmpfs", "/usr/local"]
    for name in MERGED:
        words += ["--symlink", f"usr/{name}", f"/{name}"]
    shown = "tools source recipe"
    return f"""\
inside() {{
    local shown=()
    for folder in {" ".join(f'"${{{name}}}"' for name in shown.split())}; do
        shown+=(--ro-bind "${{folder}}" "${{folder}}")
    done
    env -i PATH={PATH} LC_ALL=C.UTF-8 HOME={SCRATCH} TMPDIR={SCRATCH}{env} \\
        bwrap {" ".join(words)} \\
        "${{shown[@]}}" --bind "${{build}}" "${{build}}" --chdir "${{build}}" -- "$@"
}}"""


_FOR: dict[tuple[str, str], Callable[[Plan, PlanToolkit], Ready]] = {
    ("pypi", "cuda"): _cuda_wheels,
    ("system", "cuda"): _cuda_installed,
    ("system", "rocm"): _rocm_installed,
    ("system", "vulkan"): _vulkan_installed,
    ("rootfs", "vulkan"): _vulkan_tree,
}
