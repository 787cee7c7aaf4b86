"""Drives the own build of an Ollama checkout, on a copy: checked first, patched for the targets, by its own presets."""

from buildtool.checkout.drive import build
from buildtool.checkout.model import Built, Order, Part
from buildtool.checkout.needs import require
from buildtool.checkout.order import majors, make_order

__all__ = ["Built", "Order", "Part", "build", "majors", "make_order", "require"]
