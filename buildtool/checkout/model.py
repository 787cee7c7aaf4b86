"""What is going to be built of a checkout, and what came of it."""

from __future__ import annotations

import msgspec

from buildtool.compat.model import Backend
from buildtool.source.ollama import OllamaTree


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One configure preset of Ollama's, from configure to install.

    Attributes:
        backend: what it is for.
        preset: the configure preset.
        build: the build preset that goes with it.
        build_dir: where that preset builds, relative to the checkout.
        variables: cache variables that are given beside it.
        component: what `cmake --install` is told to install.
        runner: the name of its folder where the preset's names another release of the toolkit, "" where it fits.
    """

    backend: Backend
    preset: str
    build: str
    build_dir: str
    variables: dict[str, str] = {}
    component: str
    runner: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A build of a checkout.

    Attributes:
        tree: the checkout.
        backend: the GPU's part, ``cpu`` for none.
        targets: the device targets, () for Ollama's own list.
        presets: the file with the presets, relative to the checkout.
        parts: in the order they are built.
        toolkit: kind and version of the toolkit, "" for none.
        version: what the program will call itself.
    """

    tree: OllamaTree
    backend: Backend
    targets: tuple[str, ...]
    presets: str
    parts: tuple[Part, ...]
    toolkit: str = ""
    version: str


class Built(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came out.

    Attributes:
        schema: of this value.
        out: the folder with ``bin/ollama`` and ``lib/ollama``.
        order: what was built.
        patches: names of the patches that changed the copy, with their targets.
        runners: folders below lib/ollama that hold a backend.
        glibc: the C library that its programs and modules need where they run, "" for none.
        seconds: wall time.
        log: path of the complete log.
    """

    schema: int = 1
    out: str
    order: Order
    patches: dict[str, tuple[str, ...]]
    runners: tuple[str, ...]
    glibc: str = ""
    seconds: float
    log: str
