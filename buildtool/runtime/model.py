"""What must travel beside a backend module: what `buildtool.runtime` hands to `buildtool.wheel` and `verify`."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
RungName = Literal["vendor", "generic", "sibling"]


class Rung(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one target is served by the vendor's device code.

    Attributes:
        target: of the plan (``gfx1032``).
        name: ``vendor``: kernels made for it; ``generic``: kernels of its generic target; ``sibling``: kernels of a
            processor with the same instructions, given its name.
        donor: the processor whose kernels they are.
        reason: in words.
    """

    target: str
    name: RungName
    donor: str
    reason: str


class VendorLibrary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library that travels.

    Attributes:
        soname: the name it is loaded by, which is also its file's name.
        path: where it lies now.
        bytes: its size.
        package: the vendor's package it came in; "" when nothing tells.
        version: that package's version.
        licence: file name of its licence text among the set's `licences`.
        rungs: how its device code serves the plan's targets; empty for a library without any.
        needed_by: the library or module that needs or opens it.
        changes: what was changed in the file, in words; empty for the vendor's own bytes.
    """

    soname: str
    path: str
    bytes: int
    package: str = ""
    version: str = ""
    licence: str = ""
    rungs: tuple[Rung, ...] = ()
    needed_by: str = ""
    changes: tuple[str, ...] = ()


class VendorData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder of data that a library opens beside itself, such as rocBLAS's kernels.

    Attributes:
        name: of the folder, relative to the library.
        path: where it lies now.
        bytes: of all its files.
        files: how many there are.
        opened_by: soname of the library.
        package, version, licence, rungs: as of `VendorLibrary`.
    """

    name: str
    path: str
    bytes: int
    files: int
    opened_by: str
    package: str = ""
    version: str = ""
    licence: str = ""
    rungs: tuple[Rung, ...] = ()


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library that is needed or opened and does not travel, and why."""

    soname: str
    needed_by: str
    reason: str


class RuntimeSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that must travel beside a backend module.

    Attributes:
        mode: the plan's; only with ``bundle`` does anything travel.
        root: the staging directory, laid out as the module's own directory will be; None when nothing travels.
        libraries: by soname.
        data: folders beside them.
        licences: paths of the licence texts, each with a file name of its own.
        left_out: what the machine provides, or what nothing here asks for.
        rungs: how the plan's targets are served, one for each; empty where no vendor library has device code.
        notes: what is special, for people, in whole sentences.
    """

    schema: int = SCHEMA
    mode: Literal["pip", "bundle", "system"] = "pip"
    root: str | None = None
    libraries: tuple[VendorLibrary, ...] = ()
    data: tuple[VendorData, ...] = ()
    licences: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    rungs: tuple[Rung, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of all that travels."""
        return sum(one.bytes for one in self.libraries) + sum(one.bytes for one in self.data)
