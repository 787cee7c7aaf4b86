"""The console commands: each becomes its llama.cpp program, with the installed backends made known."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from gpubuild_llama import backends, environment, executable


def _become(name: str) -> NoReturn:
    for backend in backends():
        if backend.problem:
            print(f"{name}: backend {backend.name} is not used: {backend.problem}", file=sys.stderr)
    program = str(executable(name))
    argv = [program, *sys.argv[1:]]
    if sys.platform == "win32":  # exec on Windows returns to the shell before the program ends
        sys.exit(subprocess.run(argv, env=environment(), check=False).returncode)
    os.execve(program, argv, environment())  # noqa: S606 - no shell is wanted


def llama_server() -> NoReturn:
    """Run llama-server."""
    _become("llama-server")


def llama_cli() -> NoReturn:
    """Run llama-cli."""
    _become("llama-cli")


def llama_bench() -> NoReturn:
    """Run llama-bench."""
    _become("llama-bench")


def llama_quantize() -> NoReturn:
    """Run llama-quantize."""
    _become("llama-quantize")


def test_backend_ops() -> NoReturn:
    """Run test-backend-ops."""
    _become("test-backend-ops")
