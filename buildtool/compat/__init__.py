"""What goes with what, and why (not)? Pure: data tables, rules and search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildtool.compat.model import Plan, Request
    from buildtool.probe.model import Host


def resolve(request: Request, host: Host) -> Plan:
    """Decide everything about a build; see `buildtool.compat.engine.resolve`.

    Rooms that only need the model do not pay for the engine: it is imported here, on the first call.

    Raises:
        UnknownNameError: a target, backend, recipe, source or toolkit nobody knows.
        InvalidInputError: a malformed wish, or nothing to build for.
        MissingToolError: it could be built, if something were installed first.
        IncompatibleError: it cannot be built; says which facts rule it out, and what works.
    """
    from buildtool.compat import engine

    return engine.resolve(request, host)
