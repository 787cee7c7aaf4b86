"""A static package index over wheels, for pip and uv (PEP 503, 691), for people, for ``gpubuild install``."""

from __future__ import annotations

from buildtool.index.collect import catalogue_of, load_catalogue
from buildtool.index.model import CATALOGUE, Catalogue, IndexedWheel
from buildtool.index.publish import Built, build_index, yank

__all__ = ["CATALOGUE", "Built", "Catalogue", "IndexedWheel", "build_index", "catalogue_of", "load_catalogue", "yank"]
