"""Puts the shared compiler cache behind a launcher's own, for the length of a build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from buildtool.build.launcher import Launcher, start, stop
from buildtool.errors import GpubuildError
from buildtool.share import Relay, Setting, Tally, current, open_depot
from buildtool.share.record import add


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The shared cache of one build; `relay` is None where there is none."""

    relay: Relay | None = None
    setting: Setting | None = None

    @property
    def detail(self) -> dict[str, int]:
        """What it did, for the build's statistics."""
        if self.relay is None:
            return {}
        tally = self.relay.tally
        counts = {"shared hits": tally.hits, "shared misses": tally.misses, "shared refused": tally.refused}
        return {name: count for name, count in counts.items() if count}


@contextmanager
def started(launcher: Launcher, note: Callable[[str], None]) -> Iterator[Share]:
    """Start a launcher's server, with the shared cache behind it if one is set; never fails because of that.

    A server that an earlier build left knows nothing of this build's relay: it is stopped first. After the block the
    server is stopped too, since the relay ends.

    Args:
        launcher: proved.
        note: told why a shared cache that is set is not used, and what was wrong with it.
    """
    try:
        setting = current() if launcher.name == "sccache" else None
        depot = open_depot(setting.url) if setting is not None else None
    except GpubuildError as error:
        note(f"The shared cache is not used: {error.what} {error.hint}".strip())
        setting = depot = None
    if setting is None or depot is None:
        start(launcher)
        yield Share()
        return
    with Relay(depot, setting.secret) as relay:
        stop(launcher)
        start(msgspec.structs.replace(launcher, env=launcher.env | relay.env))
        try:
            yield Share(relay=relay, setting=setting)
        finally:
            stop(launcher)
    add(setting.shown, relay.tally)
    for line in _troubles(relay.tally):
        note(line)


def _troubles(tally: Tally) -> Iterator[str]:
    if tally.refused:
        yield (
            f"The shared cache gave {tally.refused} objects whose seal does not fit; they were compiled instead. "
            "Another machine has another key, or the server changes what it keeps."
        )
    if tally.failures:
        yield f"The shared cache failed {tally.failures} times ({tally.trouble}); what it did not give was compiled."
