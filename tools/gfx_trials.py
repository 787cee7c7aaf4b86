"""Compile the heaviest HIP kernels for every AMD target, and keep what came of it in a table.

``python tools/gfx_trials.py --build-dir DIR [--until 23:20] [--target gfx1032 ...]`` goes on where it stopped: what the
table holds for this toolkit and source is not tried again (``--again`` does). Each file goes through gpubuild itself,
patches included, in the root filesystem of ROCm 7.0, without a compiler cache so that the seconds are a compiler's; the
object is then read with ``gpubuild inspect``: it must hold code for exactly the target. ``--page`` writes
docs/rocm-targets.md of the table, ``--check`` compares the two.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from buildtool.build.costs import parse_ninja_log
from buildtool.compat.rocm_trials import RocmTrial, rocm_trials

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "buildtool/compat/data/rocm_trials.toml"
PAGE = ROOT / "docs/rocm-targets.md"
TOOLKIT = "rocm==7.0"
OBJECTS = "ggml/src/ggml-hip/CMakeFiles/ggml-hip.dir/__/ggml-cuda"
# The files that take longest in a CUDA build (recipes/llama.cpp/costs.json), less tensor core kernels.
FILES = ("mmvq", "template-instances/mmq-instance-nvfp4", "template-instances/fattn-tile-instance-dkq256-dv256")
# Cards that nobody ships kernels for come first, then what each family has besides, then data centres and generics.
TARGETS = (
    "gfx1032", "gfx1103", "gfx1013", "gfx902", "gfx90c", "gfx1151", "gfx1201", "gfx906", "gfx900", "gfx1035",
    "gfx1010", "gfx1011", "gfx1012", "gfx1030", "gfx1031", "gfx1034", "gfx1036", "gfx1033", "gfx1100", "gfx1101",
    "gfx1102", "gfx1150", "gfx1152", "gfx1153", "gfx1200", "gfx908", "gfx90a", "gfx942", "gfx9-generic",
    "gfx10-1-generic", "gfx10-3-generic", "gfx11-generic", "gfx12-generic", "gfx803",
)  # fmt: skip
HEAD = """\
# What compiles the heaviest HIP kernels for which target. Made by tools/gfx_trials.py: run that, don't edit this.
#
#   target    AMD target
#   file      kernel file of ggml-cuda
#   toolkit   what compiled it, a root filesystem of gpubuild
#   tree      source, with the patches that gpubuild put in for the target
#   day       when
#   result    compiles: the object holds device code for exactly this target, as gpubuild inspect reads it; fails
#   seconds   of the compile step, on one of two busy cores; 0 where it failed
#   error     the compiler's first words, where it failed
#   source    what tried it
# A card was never near: this is a compiler's word, not a device's.
schema = 1
"""


def gpubuild(*words: str) -> tuple[int, dict[str, Any], str]:
    """Run gpubuild with ``--json``; return its exit code, its answer, and what it said besides."""
    done = subprocess.run(
        [sys.executable, "-m", "buildtool", *words, "--json"], capture_output=True, text=True, check=False
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    return done.returncode, answer if isinstance(answer, dict) else {}, done.stderr


def attempt(target: str, file: str, build_dir: Path) -> RocmTrial:
    """Compile one file for one target and read the object."""
    wish = ("--backend", "rocm", "--target", target, "--toolkit", TOOLKIT, "--runtime", "system")
    code, plan, said = gpubuild("plan", *wish)
    if code:
        return trial(target, file, "", (), error=first_error(plan, said))
    patches = tuple(patch["name"] for patch in plan["patches"])
    place = build_dir / "-".join((*patches, target) if patches else ("unpatched",))  # a patched tree is a target's own
    output = f"{OBJECTS}/{file}.cu.o"
    (place / output).unlink(missing_ok=True)
    code, answer, said = gpubuild(
        "compile", *wish, "--build-dir", str(place), "--build-target", output, "--no-cache", "--jobs", "1",
        "--out", str(build_dir / "dist"),
    )  # fmt: skip
    tree = plan["source"]["name"]
    if code:
        return trial(target, file, tree, patches, error=first_error(answer, said))
    found = gpubuild("inspect", str(place / output))[1].get("targets")
    seconds = parse_ninja_log((place / ".ninja_log").read_text("utf-8")).get(output, 0.0)
    if found != [target]:
        return trial(target, file, tree, patches, error=f"the object holds {found}")
    return trial(target, file, tree, patches, seconds=round(seconds, 1))


def trial(
    target: str, file: str, tree: str, patches: tuple[str, ...], seconds: float = 0.0, error: str = ""
) -> RocmTrial:
    """Return the row of an attempt."""
    return RocmTrial(
        target=target, file=f"{file}.cu", toolkit=TOOLKIT, tree=tree, patches=patches,
        day=dt.datetime.now(dt.UTC).date(), result="fails" if error else "compiles", seconds=seconds, error=error,
        source=("tools/gfx_trials.py",),
    )  # fmt: skip


def first_error(answer: dict[str, Any], said: str) -> str:
    """Return the telling line of a failure: the compiler's first error, else gpubuild's own words."""
    error = answer.get("error", answer)
    details = [str(line) for line in error.get("details", ())] if isinstance(error, dict) else []
    telling = [line for line in (*details, *said.splitlines()) if "error:" in line]
    own = str(error.get("what", "")) if isinstance(error, dict) else ""
    line = (*telling, *([own] if own else []), *said.splitlines(), "no answer")[0]
    return line.partition("error:")[2].strip()[:200] if telling else line[:200]


def write(rows: list[RocmTrial]) -> None:
    """Write the table, by target and file, whole or not at all."""
    order = {name: number for number, name in enumerate(TARGETS)}
    lines = [HEAD]
    for row in sorted(rows, key=lambda row: (order.get(row.target, len(order)), row.target, row.file)):
        lines += [
            "[[trial]]", f"target = {json.dumps(row.target)}", f"file = {json.dumps(row.file)}",
            f"toolkit = {json.dumps(row.toolkit)}", f"tree = {json.dumps(row.tree)}",
            f"patches = {json.dumps(list(row.patches))}", f"day = {row.day}", f'result = "{row.result}"',
            f"seconds = {row.seconds}", f"error = {json.dumps(row.error)}",
            f"source = {json.dumps(list(row.source))}", "",
        ]  # fmt: skip
    draft = TABLE.with_suffix(".draft")
    draft.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    draft.replace(TABLE)


PAGE_HEAD = """\
# ROCm targets: what compiles

<!-- Made by tools/gfx_trials.py of buildtool/compat/data/rocm_trials.toml: run that, not this. -->

The three heaviest kernel files that every target has ({files}), compiled by ROCm 7.0 (clang 21)
in gpubuild's own root filesystem, one target at a time, each object read back: it holds code for exactly that
target. Seconds are those of one compile step on one of two busy cores; they tell weights, not speeds. A compiler's word
is not a device's: no AMD card has run any of it here. `python tools/gfx_trials.py` goes on with what is missing.
"""


def page(rows: tuple[RocmTrial, ...]) -> str:
    """Return docs/rocm-targets.md."""
    files = [f"{file}.cu" for file in FILES]
    words = ", ".join(f"`{file.rpartition('/')[2]}`" for file in files)
    lines = [PAGE_HEAD.format(files=words)]
    lines += [f"| target | {words.replace(', ', ' | ')} | patches | day |", "|---" * (len(files) + 3) + "|"]
    for target in dict.fromkeys(row.target for row in rows):
        found = {row.file: row for row in rows if row.target == target}
        cells = [cell(found.get(file)) for file in files]
        patches = sorted({name for row in found.values() for name in row.patches})
        day = max(row.day for row in found.values())
        lines.append(f"| `{target}` | {' | '.join(cells)} | {', '.join(patches) or 'none needed'} | {day} |")
    missing = [f"`{name}`" for name in TARGETS if name not in {row.target for row in rows}]
    lines += ["", f"Not tried yet: {', '.join(missing)}." if missing else "Every target of the list was tried."]
    return "\n".join(lines) + "\n"


def cell(row: RocmTrial | None) -> str:
    """Return what a table says about one file."""
    if row is None:
        return "not tried"
    return f"{row.seconds:.0f} s" if row.result == "compiles" else f"fails: {row.error}"


def main() -> None:
    """Try what is missing, or make the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", type=Path, help="where to build; keep it for the next time")
    parser.add_argument("--until", type=dt.time.fromisoformat, help="begin nothing after this time of day (UTC)")
    parser.add_argument("--target", action="append", help="only this target; repeatable")
    parser.add_argument("--again", action="store_true", help="try again what the table holds")
    parser.add_argument("--page", action="store_true", help="write docs/rocm-targets.md of the table")
    parser.add_argument("--check", action="store_true", help="fail when the page does not agree with the table")
    wish = parser.parse_args()
    if wish.check:
        sys.exit(0 if PAGE.read_text("utf-8") == page(rocm_trials()) else "run python tools/gfx_trials.py --page")
    if wish.page:
        PAGE.write_text(page(rocm_trials()), encoding="utf-8", newline="\n")
        return
    if wish.build_dir is None:
        parser.error("--build-dir is needed")
    rows = {(row.target, row.file): row for row in rocm_trials()}
    for target in wish.target or TARGETS:
        for file in FILES:
            if wish.until is not None and dt.datetime.now(dt.UTC).time() > wish.until:
                return
            if (target, f"{file}.cu") in rows and not wish.again:
                continue
            row = attempt(target, file, wish.build_dir.absolute())
            rows[row.target, row.file] = row
            write(list(rows.values()))
            print(target, row.file, row.result, row.seconds, row.error, flush=True)


if __name__ == "__main__":
    main()
