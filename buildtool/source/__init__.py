"""Verified source trees, shared in the store and never changed."""

from buildtool.source.model import SourceTree
from buildtool.source.trees import acquire, resolve

__all__ = ["SourceTree", "acquire", "resolve"]
