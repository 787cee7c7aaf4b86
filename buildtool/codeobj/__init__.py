"""Which device code is inside this binary, and for which target? Reads bytes; needs no vendor tool.

`inspect` takes a library, executable, object file, archive, wheel, package or directory. NVIDIA fat
binaries and cubins, clang offload bundles (plain and compressed) and AMDGPU code objects are read on any
host, whatever system the binary is for.
"""

from __future__ import annotations

from buildtool.codeobj.model import FileReport, FileVerdict, Image, Inspection, Problem, Verdict
from buildtool.codeobj.reader import inspect, natural, targets_of
from buildtool.codeobj.rules import judge, judge_file, will_run

__all__ = [
    "FileReport",
    "FileVerdict",
    "Image",
    "Inspection",
    "Problem",
    "Verdict",
    "inspect",
    "judge",
    "judge_file",
    "natural",
    "targets_of",
    "will_run",
]
