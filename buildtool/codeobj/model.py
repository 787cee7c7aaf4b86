"""What device code a binary holds, as frozen values: what ``gpubuild inspect --json`` prints."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
Container = Literal["none", "fatbin", "offload-bundle", "ccob", "offload-binary", "kpack"]
Answer = Literal["yes", "no", "only-if"]


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One piece of device code for one target.

    Attributes:
        kind: ``cubin``, ``ptx``, ``lto-ir``, ``hsaco``, ``spirv``, ``tensile`` (a rocBLAS
            data file, made for one target by its name), or ``other-<n>`` for a
            fat binary entry of a kind nobody documents.
        target: the field's own name: ``sm_90a`` for a cubin, ``compute_90`` for PTX, ``lto_90`` for LTO-IR,
            ``gfx90a:xnack-`` for AMD; "" when it cannot be told.
        bytes: size as stored, without padding.
        offset: where the stored bytes start in their file (in its innermost file inside an archive; in the
            unpacked bundle for ``ccob``).
        container: what holds it.
        container_offset: where that container starts in the file.
        container_bytes: the container's size in the file.
        entry_offset: where its record in the container's directory starts, None for a bare object.
        compression: ``""``, ``lz4``, ``zstd`` or ``zlib``.
        unpacked_bytes: size after decompression, if the container says so.
        isa: PTX ISA version, such as ``9.0``.
        toolkit: CUDA release that made a cubin, such as ``13.0``; needs ``kernels``.
        bundle_id: the offload bundle's own id of the entry.
        generic_version: of an AMD generic target's code object.
        code_object_version: of an AMD code object.
        section: of the library that holds it; None for a bare file, and for code that was found by searching the
            data of a library without device sections (as cuFFT's).
        kernels: names of the kernels; needs ``kernels``.
    """

    kind: str
    target: str
    bytes: int
    offset: int
    container: Container = "none"
    container_offset: int = 0
    container_bytes: int | None = None
    entry_offset: int | None = None
    compression: str = ""
    unpacked_bytes: int | None = None
    isa: str | None = None
    toolkit: str | None = None
    bundle_id: str | None = None
    generic_version: int | None = None
    code_object_version: int | None = None
    section: str | None = None
    kernels: tuple[str, ...] = ()


class Problem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something in a file that could not be read, or that contradicts itself."""

    path: str
    what: str


class FileReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that holds device code, or is made for one target by its name.

    Attributes:
        path: as found; members of archives after ``!`` (``x.whl!lib/libggml-cuda.so``).
        format: ``elf``, ``pe``, ``coff``, ``fatbin``, ``cubin``, ``hsaco``, ``offload-bundle``, ...
        bytes: size of the file.
        images: its device code, in file order.
    """

    path: str
    format: str
    bytes: int
    images: tuple[Image, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Will it run on a device? ``only-if`` names the condition in `reason`."""

    answer: Answer
    reason: str


class FileVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Will this file's device code (or this rocBLAS folder) serve a device?"""

    path: str
    answer: Answer
    reason: str


class Inspection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything found under one path.

    Attributes:
        targets: every target of every image, each once, in natural order.
        files: files with device code.
        scanned: how many files were looked at.
        problems: what could not be read.
        device: the target that `verdicts` are for, if one was asked for.
        verdicts: the answer per file.
    """

    schema: int = SCHEMA
    targets: tuple[str, ...]
    files: tuple[FileReport, ...]
    scanned: int
    problems: tuple[Problem, ...] = ()
    device: str | None = None
    verdicts: tuple[FileVerdict, ...] = ()
