"""From a finished wheel to the plan that makes it again on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from buildtool.compat.model import Plan
from buildtool.errors import IntegrityError, InvalidInputError
from buildtool.store.paths import resolved
from buildtool.wheel.reading import read_plan

_DIGEST = re.compile(r"\.h([0-9a-f]{8})(?:\.|$)")  # what `buildtool.compat.fixed.with_local_digest` adds to a version


def again(wheel: Path, source: Path | None = None) -> Plan:
    """Return the plan inside a wheel, ready to be built here.

    Args:
        wheel: a wheel with a lock.
        source: the tree it was built from, for a wheel of a local tree.

    Raises:
        InvalidInputError: it needs a local tree and none was given, or one was given that it does not need.
        IntegrityError: the tree is another one, or the wheel is damaged.
        LockFileError: the lock inside cannot be used.
    """
    plan = read_plan(wheel)
    if plan.source.kind != "local":
        if source is not None:
            what = f"{wheel.name} was not built from a local tree, so --source cannot change it."
            raise InvalidInputError(what, hint=f"Leave --source out; its source is {plan.source.name}.")
        return plan
    if source is None:
        what = f"{wheel.name} was built from a local tree, {plan.source.name}, which the wheel does not hold."
        raise InvalidInputError(what, hint="Name the tree: --source PATH")
    from buildtool.source.local import local_tree

    digest = local_tree(str(source), plan.source.subdir).digest
    named = _DIGEST.search(plan.wheels[0].version)
    if named is not None and not digest.startswith(named[1]):
        what = f"{source} is not the tree that {wheel.name} was built from."
        raise IntegrityError(what, why=f"Its digest begins with {digest[:8]}, the wheel's version names {named[1]}.")
    path = str(resolved(source))
    return msgspec.structs.replace(plan, source=msgspec.structs.replace(plan.source, url=path))


def role_of(wheel: Path) -> Literal["runtime", "backend"]:
    """Return which of its plan's wheels a wheel is.

    Raises:
        InvalidInputError: its name is none of them.
    """
    name = wheel.name.partition("-")[0]
    for one in read_plan(wheel).wheels:
        if one.package == name:
            return one.role
    what = f"The lock in {wheel.name} is of other wheels."
    raise InvalidInputError(what, hint="Give the wheel the name it had when it was packed.")
