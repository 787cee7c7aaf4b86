#!/usr/bin/env bash
# The README's first command, as a stranger would run it: a fresh clone, a fresh environment, empty caches.
# Usage: ci/main-job.sh [WORKDIR]   (default: a temporary directory that is removed)
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

git clone -q "$here" "$work/gpubuild"
cd "$work/gpubuild"
export HOME="$work/home" XDG_CACHE_HOME="$work/cache" XDG_DATA_HOME="$work/data"
mkdir -p "$HOME"

# Read the command out of the README, so that what is tested is what it says.
command=$(grep -m1 '^python3 -m venv .*gpubuild verify$' README.md)
echo "\$ $command"
time bash -c "$command"
ls -l dist/
