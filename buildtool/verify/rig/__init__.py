"""Will HIP's loader take it? Real host code before an imitated device, on a machine without one.

A stand-in for ``libamdhip64`` reports the device, keeps "device" memory in the host's, and takes a code object only by
the rules of HIP, comgr and ROCr. The real rocBLAS and the real ggml backend run before it up to the launch of their
kernels; nothing is computed. What they opened, handed over and launched is the proof: "loader-proved, not run".
"""

from __future__ import annotations

from buildtool.verify.loading import LABEL, Exercise, LoaderProof, TargetProof
from buildtool.verify.rig.proof import loader_proof, proof_here_or_inside

__all__ = ["LABEL", "Exercise", "LoaderProof", "TargetProof", "loader_proof", "proof_here_or_inside"]
