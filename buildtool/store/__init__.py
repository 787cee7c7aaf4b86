"""Content-addressed store, downloads and archives: the ground floor under the corridor.

Entries are in `buildtool.store.entries`, downloads in `buildtool.store.download`, archives in
`buildtool.store.archive`, package registries in `buildtool.store.index`: import what is needed, where needed.
"""

from buildtool.store.paths import cache_root, store_root
from buildtool.store.progress import Progress, Silent

__all__ = ["Progress", "Silent", "cache_root", "store_root"]
