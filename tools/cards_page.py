"""Make docs/cards.md of the golden table tests/unit/compat/golden.toml: ``python tools/cards_page.py [--check]``.

``--check`` changes nothing and fails when the page does not agree with the table.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests/unit/compat/golden.toml"
PAGE = ROOT / "docs/cards.md"
HOSTS = {"debian12": "Debian 12", "debian13": "Debian 13", "ubuntu": "Ubuntu 24.04", "windows": "Windows 11"}
HEAD = """\
# Cards: what to build with, on which machine

<!-- Made by tools/cards_page.py of tests/unit/compat/golden.toml: change that, not this. -->

The first answer of `gpubuild plan --for-device CARD` on a machine with nothing but its own compiler (GCC 12, GCC 14,
GCC 13, Visual Studio 2022; x86-64, no CUDA, no ROCm). The tests hold the engine to this table. A toolkit that is
installed already is taken first when it fits; `gpubuild plan --all` lists what else works. Whether it then runs on the
card is [what `verify` finds out](verify.md).
"""


def page(table: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    lines = [HEAD, f"| card | target | {' | '.join(HOSTS.values())} |", "|---" * (2 + len(HOSTS)) + "|"]
    for card in table["card"]:
        cells = [table["answers"][card[host]] for host in HOSTS]
        lines.append(f"| {card['name']} | `{card['target']}` | {' | '.join(cells)} |")
    lines += ["", "## Why", ""]
    lines += [f"- **{card['name']}**: {card['why']}" for card in table["card"]]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or compare it."""
    text = page(tomllib.loads(TABLE.read_text("utf-8")))
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.read_text("utf-8") == text else "docs/cards.md is old: run python tools/cards_page.py")
    PAGE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
