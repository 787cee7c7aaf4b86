#!/usr/bin/env bash
# The Vulkan backend from nothing to a proof, on a machine without a GPU: Mesa's lavapipe stands in for one, which takes
# libvulkan1 and mesa-vulkan-drivers. The shader compiler and the headers come from the system when they are new enough,
# else as a private tree. The shaders are most of the build.
# Usage: ci/vulkan.sh OUT [TOOLKIT]     needs gpubuild on PATH; TOOLKIT such as "vulkan==1.4.363"
set -euo pipefail
out=$1
toolkit=${2:-vulkan}
compile=(gpubuild compile --backend vulkan --toolkit "$toolkit" --out "$out")

echo "== as it comes (cold when the caches are empty)"
time "${compile[@]}"
echo "== nothing changed"
time "${compile[@]}"
echo "== shaders inside"
gpubuild inspect "$out"/gpubuild_llama_vulkan*.whl | tail -n 20
echo "== proved on lavapipe, which ggml takes only when it is named"
# Every operation, the tiny model in 32 bits and in Q4_K_M, and a model people use.
GGML_VK_VISIBLE_DEVICES=0 gpubuild verify "$out" --full --model smollm2 --timeout ops=7200 --timeout model=3600
