"""Errors for people: what happened, why, what to do next; one exit code per kind.

Every error gpubuild raises on purpose derives from `GpubuildError`. The command line prints it in one
screen (or as JSON) and exits with its `exit_code`; the table of codes is in ``docs/cli.md``.
"""

from __future__ import annotations

from typing import ClassVar


class GpubuildError(Exception):
    """Something a user can understand and act on.

    Attributes:
        kind: stable machine-readable name, used in ``--json`` output.
        exit_code: process exit code for this kind.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "", details: tuple[str, ...] = ()) -> None:
        """Keep the three parts apart so that the command line can lay them out.

        Args:
            what: one sentence, what happened.
            why: the reason, if it is known.
            hint: what to do next, as a command where possible.
            details: further lines (the end of a log, a list of candidates).
        """
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        self.details = details

    def as_dict(self) -> dict[str, object]:
        """Return the same content as data, for ``--json``."""
        return {
            "kind": self.kind,
            "exit_code": self.exit_code,
            "what": self.what,
            "why": self.why,
            "hint": self.hint,
            "details": list(self.details),
        }


class UnknownNameError(GpubuildError):
    """A target, backend, recipe, source, toolkit or card that nobody knows."""

    kind = "unknown-name"
    exit_code = 3


class IncompatibleError(GpubuildError):
    """A wish that cannot be met; says which facts rule it out and what works instead."""

    kind = "incompatible"
    exit_code = 4


class MissingToolError(GpubuildError):
    """A program or library the work needs is not on this machine and cannot be fetched."""

    kind = "missing-tool"
    exit_code = 5


class NetworkError(GpubuildError):
    """A registry or server could not be reached, or refused."""

    kind = "network"
    exit_code = 6


class IntegrityError(GpubuildError):
    """Bytes that are not the pinned ones: a wrong hash, a truncated file, a damaged store entry."""

    kind = "integrity"
    exit_code = 7


class UnsafeArchiveError(GpubuildError):
    """An archive that would write outside its folder, hold devices, or grow past its bound."""

    kind = "unsafe-archive"
    exit_code = 8


class BuildError(GpubuildError):
    """A configure, compile, link or packaging step failed."""

    kind = "build"
    exit_code = 9


class StorageError(GpubuildError):
    """No space, no permission, or an unwritable place."""

    kind = "storage"
    exit_code = 10


class LockFileError(GpubuildError):
    """A ``gpubuild.lock`` that is damaged, edited, or of a schema this version does not read."""

    kind = "lock-file"
    exit_code = 11


class InvalidInputError(GpubuildError):
    """A file or value given by the user that is not what it should be."""

    kind = "invalid-input"
    exit_code = 12


class VerificationError(GpubuildError):
    """The artefact was run and gave a wrong answer."""

    kind = "verification"
    exit_code = 13


class NotProvedError(GpubuildError):
    """The artefact could not be proved: the device it is for is not here."""

    kind = "not-proved"
    exit_code = 14


class DataError(GpubuildError):
    """One of gpubuild's own data tables is wrong: a row with an unknown field or without a source."""

    kind = "data"
    exit_code = 15


class ProcessError(BuildError):
    """An external program failed; carries its command and the last lines it printed."""

    kind = "process"
    exit_code = 9


class InputEndedError(GpubuildError):
    """A question was asked, and nobody was there to answer it."""

    kind = "input-ended"
    exit_code = 17


class NotReproducedError(GpubuildError):
    """A wheel was built again from its own lock, and came out with other bytes."""

    kind = "not-reproduced"
    exit_code = 20


class PatchConflictError(GpubuildError):
    """A patch does not fit a source tree; says which edit and which file, and changed nothing."""

    kind = "patch-conflict"
    exit_code = 18


class ServiceError(GpubuildError):
    """A service that does not come back after a change; the change is taken back."""

    kind = "service"
    exit_code = 19
