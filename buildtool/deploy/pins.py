"""From the llama.cpp that an installation runs to a source that can be built, and what to do where there is none."""

from __future__ import annotations

from buildtool.deploy.model import Known
from buildtool.errors import GpubuildError, NetworkError, UnknownNameError
from buildtool.source.ollama import pinned_source


def source_of(found: Known) -> str:
    """Return what `gpubuild compile --source` is given for a llama.cpp, "" where nothing leads to a source."""
    return pinned_source(found.value or "")


def not_known(found: Known) -> str:
    """Say why a llama.cpp leads to no source."""
    told = f"{found.value} is shared by many builds" if found.value else found.source
    return f"the llama.cpp that this Ollama runs is not known: {told}"


def unreachable(source: str, error: NetworkError | UnknownNameError) -> GpubuildError:
    """Return the refusal of a source that cannot be had here, with what to do about it."""
    url, _, ref = source.partition("#")
    what = f"The llama.cpp that this Ollama runs ({ref or url}) cannot be had from {url}."
    hint = (
        "If you have that tree, name it: --source PATH. A mirror of the repository: --source "
        f"URL#{ref or 'TAG'}. Built elsewhere: --from PATH."
    )
    return type(error)(what, why=error.why or error.what, hint=hint, details=error.details)
