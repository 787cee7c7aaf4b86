"""Compilers of a plan: assembled in the store from a package registry, or the installed ones, checked."""

from buildtool.toolchain.fetch import available, available_rootfs, choose, install
from buildtool.toolchain.here import platform_name
from buildtool.toolchain.manage import InstalledToolkit, installed, remove, show
from buildtool.toolchain.model import Toolchain
from buildtool.toolchain.programs import COMPILER_HINT
from buildtool.toolchain.provide import acquire, pinned, require_usable

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
