"""Say, as JSON, what the installed ``gpubuild_llama`` says about itself.

Usage: ``python describe.py``
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

#: Where the wheels of GPU vendors keep their libraries, below a directory of packages.
VENDOR_LIBRARIES = ("nvidia/*/lib", "_rocm_sdk_*/lib")


def _backend(entry: object) -> dict[str, str]:
    names = ("name", "path", "problem")
    return {name: str(getattr(entry, name)) for name in names}


def vendor_libraries() -> dict[str, bool]:
    """Return the library directories of the vendors' wheels, and whether each lies outside of this environment.

    A wheel finds its vendor's libraries by a path relative to itself, which leads nowhere from here to there. A
    directory outside counts only where the environment has none of the same name.
    """
    own = Path(sys.prefix).resolve()
    found: dict[str, tuple[str, bool]] = {}
    for entry in sys.path:
        root = Path(entry).resolve()
        for pattern in VENDOR_LIBRARIES:
            for path in sorted(root.glob(pattern)):
                found.setdefault(str(path.relative_to(root)), (str(path), not root.is_relative_to(own)))
    return dict(found.values())


def main() -> None:
    """Import the runtime package, as a user's program would, and print its answers."""
    runtime = importlib.import_module("gpubuild_llama")
    json.dump(
        {
            "library_directory": str(runtime.library_directory()),
            "backends": [_backend(entry) for entry in runtime.backends()],
            "environment": {str(name): str(value) for name, value in runtime.environment().items()},
            "vendor_libraries": vendor_libraries(),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
