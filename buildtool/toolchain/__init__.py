"""Compilers of a plan: assembled in the store from a package registry, or the installed ones, checked."""

from buildtool.toolchain.manage import (
    InstalledToolkit,
    available,
    available_rootfs,
    choose,
    install,
    installed,
    platform_name,
    remove,
    show,
)
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.provide import COMPILER_HINT, acquire, pinned, require_usable

__all__ = [
    "COMPILER_HINT",
    "InstalledToolkit",
    "Toolchain",
    "acquire",
    "available",
    "available_rootfs",
    "choose",
    "install",
    "installed",
    "pinned",
    "platform_name",
    "remove",
    "require_usable",
    "show",
]
