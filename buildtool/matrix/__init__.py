"""Which builds serve these cards? The smallest set, with the reason of each; as CI jobs, or run here."""

from __future__ import annotations

from buildtool.matrix.model import Job, Matrix, Unserved, Wish
from buildtool.matrix.platforms import here, sites
from buildtool.matrix.solve import solve

__all__ = ["Job", "Matrix", "Unserved", "Wish", "here", "sites", "solve"]
