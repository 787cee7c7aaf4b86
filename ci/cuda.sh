#!/usr/bin/env bash
# A whole CUDA build for one target on a machine that needs neither CUDA nor a GPU, then the promises about building
# again: nothing to do, and an empty build directory with a warm cache. Takes about an hour on two cores.
# Usage: ci/cuda.sh OUT [TARGET]     needs gpubuild on PATH
set -euo pipefail
out=$1
target=${2:-sm_90}
compile=(gpubuild compile --backend cuda --toolkit "cuda==13.*" --target "$target" --out "$out")

echo "== as it comes (cold when the caches are empty)"
time "${compile[@]}"
echo "== nothing changed"
time "${compile[@]}"
echo "== a clean build directory, a warm cache"
rm -rf "${GPUBUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gpubuild}"/build/llama.cpp-cuda-*
time "${compile[@]}"
echo "== device code inside"
gpubuild inspect "$out"/gpubuild_llama_cuda*.whl
