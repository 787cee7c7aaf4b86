"""gpubuild: from any GPU, on any machine, to a verified llama.cpp backend for exactly that GPU."""

__version__ = "0.1.0.dev0"
