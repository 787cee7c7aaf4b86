"""The artefact, installed and ready to run: what every step of the proof works on."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from buildtool import process
from buildtool.errors import ProcessError, VerificationError
from buildtool.verify.backends import backend_of_module
from buildtool.verify.environment import Environment, clean_environ, install
from buildtool.verify.model import Options
from buildtool.verify.select import Selection, program
from buildtool.wheel.filename import plain_name

INSIDE = Path(__file__).parent / "inside"
_BACKEND = "gpubuild-llama-"
_LIBRARY = re.compile(r"(?:\.so(?:\.\d+)*|\.dll|\.dylib)$")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Installed executables, and what it takes to run them.

    Attributes:
        directory: holds the executables and their libraries.
        python: interpreter for the programs in `INSIDE`.
        scratch: working directory; it must be empty of libraries, because ggml searches it for backends.
        modules: loadable backends outside of `directory`.
        env: complete environment with which the backends are found.
        cpu_env: the same without them.
        baseline_env: environment for another build, with the same vendor libraries in reach.
        installed: what pip installed, as ``name-version``.
        problems: backends that the runtime itself refuses to use, and why.
        outer_libraries: directories outside of the environment in which vendor libraries are looked for.
    """

    directory: Path
    python: Path
    scratch: Path
    modules: tuple[Path, ...] = ()
    env: dict[str, str]
    cpu_env: dict[str, str]
    baseline_env: dict[str, str]
    installed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    outer_libraries: tuple[str, ...] = ()

    def program(self, name: str) -> Path | None:
        """Return an executable, if the artefact has it."""
        return program(self.directory, name)

    def libraries(self) -> tuple[Path, ...]:
        """Return every shared library, each file once, modules outside of the directory last."""
        inside = sorted(path for path in self.directory.iterdir() if _LIBRARY.search(path.name))
        unique = {path.resolve(): path for path in (*inside, *self.modules)}
        return tuple(unique.values())

    def backends(self) -> tuple[str, ...]:
        """Return the GPU backends that the artefact holds."""
        found = (backend_of_module(path.name) for path in self.libraries())
        return tuple(dict.fromkeys(name for name in found if name is not None and name != "cpu"))


class _InstalledBackend(msgspec.Struct, frozen=True):
    name: str
    path: str
    problem: str


class _Description(msgspec.Struct, frozen=True):
    library_directory: str
    backends: tuple[_InstalledBackend, ...]
    environment: dict[str, str]
    vendor_libraries: dict[str, bool]


def installed(environment: Environment, selection: Selection, options: Options) -> Subject:
    """Install the wheels and ask the runtime package where its programs and backends are.

    Raises:
        GpubuildError: as `environment.install`.
        VerificationError: the installed package does not answer.
    """
    beside = [str(path) for path in dict.fromkeys(wheel.parent for wheel in selection.wheels)]
    options = msgspec.structs.replace(options, find_links=(*options.find_links, *beside))
    wheels = [str(_as_pip_takes_it(path, environment)) for path in selection.wheels]
    if options.system_site_packages:  # a wheel that the outer environment holds already is installed all the same
        install(environment, wheels, options, "--no-deps", "--ignore-installed")
    output = install(environment, wheels, options)
    described = _describe(environment)
    base = clean_environ()
    outer = tuple(path for path, outside in described.vendor_libraries.items() if outside)
    names = re.findall(r"^Successfully installed (.*)$", output, re.MULTILINE)
    return Subject(
        directory=Path(described.library_directory),
        python=environment.python,
        scratch=environment.scratch,
        modules=tuple(Path(entry.path) for entry in described.backends if not entry.problem),
        problems=(
            *(f"{entry.name}: {entry.problem}" for entry in described.backends if entry.problem),
            *_unannounced(selection, described),
        ),
        env=_with_libraries(base | described.environment, outer),
        cpu_env=base,
        baseline_env=_with_libraries(base, tuple(described.vendor_libraries)),
        installed=tuple(" ".join(names).split()),
        outer_libraries=outer,
    )


def _unannounced(selection: Selection, described: _Description) -> Iterator[str]:
    """Name the backends that were installed and that the runtime does not know: nothing would run on them."""
    known = {entry.name for entry in described.backends}
    for wheel in selection.described:
        name = wheel.distribution.removeprefix(_BACKEND)
        if name != wheel.distribution and name not in known:
            yield f"{name}: it is installed, and the runtime does not find it"


def _as_pip_takes_it(wheel: Path, environment: Environment) -> Path:
    """Return a variant wheel under its plain name, which pip knows, and any other as it is."""
    name = plain_name(wheel.name)
    if name == wheel.name:
        return wheel
    folder = environment.root / "plain"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(wheel, folder / name)
    return folder / name


def _with_libraries(env: dict[str, str], directories: tuple[str, ...]) -> dict[str, str]:
    """Let the loader look in `directories` too, after what the user's own search path says."""
    search = [env["LD_LIBRARY_PATH"]] if env.get("LD_LIBRARY_PATH") else []
    return env | {"LD_LIBRARY_PATH": os.pathsep.join([*search, *directories])} if directories else env


def _describe(environment: Environment) -> _Description:
    argv = [str(environment.python), "-s", str(INSIDE / "describe.py")]
    try:
        done = process.run(argv, cwd=environment.scratch, env=clean_environ(), timeout_s=120)
        said = done.output.strip().rpartition("\n")[2]  # what is imported may warn before
        return msgspec.json.decode(said, type=_Description)
    except (ProcessError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        what = "The installed runtime does not import, or does not say where its programs are."
        raise VerificationError(what, why=str(error), details=getattr(error, "details", ())) from error


def in_place(environment: Environment, directory: Path) -> Subject:
    """Take a build's executables where they are."""
    base = clean_environ()
    return Subject(
        directory=directory,
        python=environment.python,
        scratch=environment.scratch,
        env=base,
        cpu_env=base,
        baseline_env=base,
    )
