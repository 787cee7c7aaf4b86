"""``python -m gpubuild_llama``: where everything is."""

from __future__ import annotations

import argparse
import json

from gpubuild_llama import backends, environment, library_directory, version


def main() -> None:
    """Print the runtime's version, its directory and the installed backends."""
    parser = argparse.ArgumentParser(prog="python -m gpubuild_llama", description=main.__doc__)
    parser.add_argument("command", choices=["info", "env"], nargs="?", default="info")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if arguments.command == "env":
        wanted = {k: v for k, v in environment({}).items() if k.startswith(("GGML_", "GPUBUILD_"))}
        print(json.dumps(wanted, indent=2) if arguments.json else "\n".join(f"{k}={v}" for k, v in wanted.items()))
        return
    found = [
        {"name": b.name, "path": str(b.path), "wheel": f"{b.distribution} {b.version}", "problem": b.problem}
        for b in backends()
    ]
    if arguments.json:
        info = {"version": version(), "library_directory": str(library_directory()), "backends": found}
        print(json.dumps(info, indent=2))
        return
    print(f"gpubuild-llama {version()}\nlibraries: {library_directory()}")
    for backend in found:
        print(f"backend {backend['name']}: {backend['problem'] or backend['path']} ({backend['wheel']})")
    if not found:
        print("backends: none installed, the CPU is used")


if __name__ == "__main__":
    main()
