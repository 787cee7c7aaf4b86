"""Which wheels of an index serve this machine? Chooses the pair, fetches it verified, and installs it."""

from __future__ import annotations

from buildtool.install.choose import choose
from buildtool.install.model import Choice, Objection, Target
from buildtool.install.put import environment, put
from buildtool.install.shelf import Shelf, open_shelf

__all__ = ["Choice", "Objection", "Shelf", "Target", "choose", "environment", "open_shelf", "put"]
