"""Everything a wheel says about itself, with its signature: what ``inspect --about`` shows and ``verify`` relies on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from buildtool.wheel.reading import Description, describe

if TYPE_CHECKING:
    from buildtool.wheel.signing import PublicKey


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wheel's description of itself, and who stands for it.

    Attributes:
        wheel: the description, compared with the wheel's bytes.
        signature: ``none``; ``not-checked`` (there is one, and no key was given); ``valid`` (of the key given).
        signers: ids of the keys that the signature names; of a checked one, the key that made it.
    """

    wheel: Description
    signature: Literal["none", "not-checked", "valid"] = "none"
    signers: tuple[str, ...] = ()


def about_wheel(path: Path, key: PublicKey | None = None) -> About:
    """Check a wheel against itself, and against a key where one is given.

    Raises:
        InvalidInputError: no such file, or no wheel.
        IntegrityError: it was changed, or is not signed with `key`.
        LockFileError: the lock inside was edited.
    """
    from buildtool.wheel.signing import check_signature, envelope_path, signers

    wheel = describe(path)
    if key is not None:
        return About(wheel=wheel, signature="valid", signers=(check_signature(path, key),))
    if not envelope_path(path).exists():
        return About(wheel=wheel)
    return About(wheel=wheel, signature="not-checked", signers=signers(path))
