"""Install the wheels of a directory in every way a user has, run them, uninstall them, and look for what is left.

Usage: ``python3 ci/wheel-installs.py DIST --uv PATH_OF_UV``

The vendor's wheels (gigabytes) are left out: ``--no-deps``. A backend is then found and described, not loaded; loading
is what ``gpubuild verify`` proves.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

OTHER = "0.0.1+other"


def run(*argv: str | Path, env: dict[str, str] | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program; what it printed is shown when it fails."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(words)}\nfailed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def listing(folder: Path) -> set[str]:
    """Return everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def prove(python: Path, wheels: list[Path], scripts: Path, env: dict[str, str]) -> None:
    """Check that the package finds itself and its backends, and that a program starts."""
    info = json.loads(run(python, "-m", "gpubuild_llama", "info", "--json", env=env).stdout)
    backends = {backend["name"]: backend["problem"] for backend in info["backends"]}
    wanted = {
        name.partition("-")[0].removeprefix("gpubuild_llama_")
        for name in (wheel.name for wheel in wheels)
        if not name.startswith("gpubuild_llama-")
    }
    assert set(backends) == wanted, (backends, wanted)
    assert not any(backends.values()), backends
    shown = run(scripts / "llama-server", "--version", env=env)
    assert "version" in shown.stdout + shown.stderr, shown


def in_environment(work: Path, wheels: list[Path], tool: str, uv: str) -> None:
    """A virtual environment."""
    run(sys.executable, "-m", "venv", work)
    python = work / "bin" / "python"
    before = listing(work)
    names = [wheel.name.partition("-")[0].replace("_", "-") for wheel in wheels]
    if tool == "pip":
        run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", *wheels)
    else:
        run(uv, "pip", "install", "-q", "--offline", "--no-deps", "--python", python, *wheels)
    prove(python, wheels, work / "bin", {})
    if tool == "pip":
        run(python, "-m", "pip", "uninstall", "-q", "-y", *names)
    else:
        run(uv, "pip", "uninstall", "-q", "--python", python, *names)
    own = {name for name in listing(work) if "/pip/" in name or "__pycache__" in name or name == ".lock"}  # the tools'
    left = listing(work) - before - own
    assert not left, left
    assert not [name for name in listing(work) if "gpubuild" in name]


def in_target(work: Path, wheels: list[Path], tool: str, uv: str) -> None:
    """A folder on PYTHONPATH."""
    target = work / "target"
    argv = (
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target]
        if tool == "pip"
        else [uv, "pip", "install", "-q", "--offline", "--no-deps", "--python", sys.executable, "--target", target]
    )
    run(*argv, *wheels)
    prove(Path(sys.executable), wheels, target / "bin", {"PYTHONPATH": str(target)})
    if tool == "uv":  # pip cannot uninstall from a target folder
        names = [wheel.name.partition("-")[0].replace("_", "-") for wheel in wheels]
        run(uv, "pip", "uninstall", "-q", "--python", sys.executable, "--target", target, *names)
        left = [name for name in listing(target) if "gpubuild" in name or "llama" in name]
        assert not left, left


def in_user(work: Path, wheels: list[Path], _tool: str, _uv: str) -> None:
    """The user's own site, of an interpreter outside any virtual environment; uv has no such installation."""
    python = Path(getattr(sys, "_base_executable", sys.executable))
    env = {"PYTHONUSERBASE": str(work / "base"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    run(python, "-m", "pip", "install", "-q", "--user", "--no-deps", "--no-index", *wheels, env=env)
    prove(python, wheels, work / "base" / "bin", env)
    names = [wheel.name.partition("-")[0].replace("_", "-") for wheel in wheels]
    run(python, "-m", "pip", "uninstall", "-q", "-y", *names, env=env)
    left = [name for name in listing(work / "base") if "gpubuild" in name or "llama" in name]
    assert not left, left


def of_another_version(wheel: Path, folder: Path) -> Path:
    """Return the runtime wheel under another version, as a user has it who updated only one of the two wheels."""
    version = wheel.name.split("-")[1]
    target = folder / wheel.name.replace(version, OTHER)
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            name = info.filename.replace(version, OTHER)
            data = old.read(info)
            if name.endswith(".dist-info/METADATA"):
                data = re.sub(rb"(?m)^Version: .*$", f"Version: {OTHER}".encode(), data, count=1)
            if name.endswith(".dist-info/RECORD"):
                data = re.sub(rb"(?m)^(.*METADATA),.*$", rb"\1,,", data.replace(version.encode(), OTHER.encode()))
            copy = zipfile.ZipInfo(name, info.date_time)
            copy.external_attr = info.external_attr
            new.writestr(copy, data)
    return target


def mismatch(work: Path, wheels: list[Path], uv: str) -> None:
    """A backend beside a runtime that it was not built for: the installer refuses, and the program says why."""
    runtime = next(wheel for wheel in wheels if wheel.name.startswith("gpubuild_llama-"))
    backend = next(wheel for wheel in wheels if wheel != runtime)
    work.mkdir()
    other = of_another_version(runtime, work)
    run(sys.executable, "-m", "venv", work / "venv")
    python = work / "venv" / "bin" / "python"
    refused = run(python, "-m", "pip", "install", "-q", "--no-index", other, backend, check=False)
    assert refused.returncode != 0
    assert "onflict" in refused.stdout + refused.stderr, refused
    print("  pip:", next(line for line in refused.stderr.splitlines() if "onflict" in line or "ERROR" in line))
    run(uv, "pip", "install", "-q", "--offline", "--no-deps", "--python", python, other, backend)
    told = run(work / "venv" / "bin" / "llama-server", "--version")
    assert "was built for" in told.stderr, told
    print("  run:", next(line for line in told.stderr.splitlines() if "was built for" in line))


def main() -> None:
    """Go through the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dist", type=Path)
    parser.add_argument("--uv", required=True)
    arguments = parser.parse_args()
    wheels = sorted(arguments.dist.absolute().glob("*.whl"))
    print("wheels:", ", ".join(wheel.name.partition("-")[0] for wheel in wheels))
    top = Path(tempfile.mkdtemp(prefix="wheel-installs-"))
    try:
        for label, way, tools in (
            ("venv", in_environment, ("pip", "uv")),
            ("venv, a path with spaces", in_environment, ("pip", "uv")),
            ("--target", in_target, ("pip", "uv")),
            ("--user", in_user, ("pip",)),
        ):
            for tool in tools:
                place = top / f"{tool} {'mit Leerzeichen ü' if 'spaces' in label else way.__name__}".replace(
                    " ", " " if "spaces" in label else "-"
                )
                way(place, wheels, tool, arguments.uv)
                shutil.rmtree(place)
                gone = "" if (tool, label) == ("pip", "--target") else ", uninstalled without a trace"
                print(f"  {tool:<4} {label}: installed, runs{gone}")
        if len(wheels) > 1:
            mismatch(top / "mismatch", wheels, arguments.uv)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
