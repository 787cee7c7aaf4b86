"""Load one shared library with the system's own loader and print what happened, as JSON.

Usage: ``python load.py LIBRARY [PRELOADED...]``. The preloaded libraries stand for those that the program has
loaded before it opens a module (``libggml-base``).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path


def load(path: str, before: list[str]) -> dict[str, object]:
    """Load `before`, then `path` with all symbols resolved, and ask it for its score on this CPU."""
    mode = getattr(os, "RTLD_NOW", 0)
    if sys.platform == "win32":
        for folder in {str(Path(name).parent) for name in (path, *before)}:
            os.add_dll_directory(folder)
    try:
        kept = [ctypes.CDLL(name, mode=mode) for name in before]
        library = ctypes.CDLL(path, mode=mode)
    except OSError as error:
        return {"loaded": False, "error": str(error), "score": None}
    score = getattr(library, "ggml_backend_score", None)
    return {"loaded": True, "error": "", "score": None if score is None else int(score()), "before": len(kept)}


if __name__ == "__main__":
    json.dump(load(sys.argv[1], sys.argv[2:]), sys.stdout)
