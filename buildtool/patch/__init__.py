"""Source patches: tried in memory, applied to a copy in the store, all or none; the user's tree is never touched."""

from buildtool.patch.apply import Patched, patched_source, rehearse, write_patched
from buildtool.patch.check import Column, KnownSource, check_tree, known_sources, targets_of
from buildtool.patch.load import load_body
from buildtool.patch.model import Verdict
from buildtool.patch.rehearse import conflict_error

__all__ = [
    "Column", "KnownSource", "Patched", "Verdict", "check_tree", "conflict_error", "known_sources", "load_body",
    "patched_source", "rehearse", "targets_of", "write_patched",
]  # fmt: skip
