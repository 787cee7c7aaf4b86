"""Which device code is inside this binary, and for which target? Reads and rewrites bytes; needs no vendor tool.

`inspect` takes a library, executable, object file, archive, wheel, package or directory. NVIDIA fat
binaries and cubins, clang offload bundles (plain and compressed) and AMDGPU code objects are read on any
host, whatever system the binary is for. `thin` and `retarget` write new files, never in place.
"""

from __future__ import annotations

from buildtool.codeobj.compress import compress, understands
from buildtool.codeobj.model import FileReport, FileVerdict, Image, Inspection, Problem, Verdict
from buildtool.codeobj.reader import inspect, natural, targets_of
from buildtool.codeobj.retarget import restore, retarget, verify
from buildtool.codeobj.rules import judge, judge_file, will_run
from buildtool.codeobj.thin import thin

__all__ = [
    "FileReport",
    "FileVerdict",
    "Image",
    "Inspection",
    "Problem",
    "Verdict",
    "compress",
    "inspect",
    "judge",
    "judge_file",
    "natural",
    "restore",
    "retarget",
    "targets_of",
    "thin",
    "understands",
    "verify",
    "will_run",
]
