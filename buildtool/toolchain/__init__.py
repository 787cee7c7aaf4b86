"""Compilers of a plan: assembled in the store from a package registry, or the installed ones, checked."""

from buildtool.toolchain.manage import (
    InstalledToolkit,
    available,
    choose,
    install,
    installed,
    platform_name,
    remove,
    show,
)
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.provide import COMPILER_HINT, acquire

__all__ = [
    "COMPILER_HINT",
    "InstalledToolkit",
    "Toolchain",
    "acquire",
    "available",
    "choose",
    "install",
    "installed",
    "platform_name",
    "remove",
    "show",
]
