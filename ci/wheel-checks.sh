#!/usr/bin/env bash
# The ecosystem's own checkers over every wheel of a directory, then installations with pip and uv in every way a user has.
# Usage: ci/wheel-checks.sh DIST          needs gpubuild on PATH; the checkers come from the package index
#
# What is not taken for a finding, and why:
#   check-wheel-contents W004  it takes every .so file for a Python module; ggml's names have hyphens, and nothing imports them
#   auditwheel show            a backend's vendor libraries come from its requirements, so only the line about symbols counts
#   abi3audit                  must find nothing to audit: no wheel holds a Python extension
set -euo pipefail
dist=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install -q twine check-wheel-contents pydistcheck abi3audit auditwheel uv
bin="$work/tools/bin"

for wheel in "$dist"/*.whl; do
    echo "== $(basename "$wheel")"
    "$bin/twine" --no-color check --strict "$wheel" | tail -n 1
    "$bin/check-wheel-contents" --ignore W004 "$wheel" | sed 's/.*: /check-wheel-contents: /'
    outside=$("$bin/check-wheel-contents" --select W004 "$wheel" | grep -E '^ ' | grep -vE '^ +[a-z0-9_]+/lib/[^/]*\.so$' || true)
    [ -z "$outside" ] || { echo "W004 outside of lib/: $outside"; exit 1; }
    tag=$(basename "$wheel" .whl | sed 's/.*-//')
    case $tag in
    manylinux*)
        "$bin/auditwheel" show "$wheel" | tr '\n' ' ' >"$work/audit"
        grep -q "\"$tag\"" "$work/audit" || { echo "auditwheel does not confirm $tag:"; cat "$work/audit"; exit 1; }
        echo "auditwheel: $tag"
        ;;
    *) echo "auditwheel: no manylinux tag to confirm ($tag)" ;;
    esac
    "$bin/pydistcheck" "$wheel" | grep -E 'errors found' | sed 's/^/pydistcheck: /'
    "$bin/abi3audit" "$wheel" >"$work/abi3" 2>&1
    grep -q 'nothing auditable' "$work/abi3" || { cat "$work/abi3"; exit 1; }
    echo "abi3audit: nothing to audit"
done
echo "== what they say of themselves"
gpubuild inspect "$dist" --about >"$work/about"
grep -c '^  sha256' "$work/about" | sed 's/$/ wheels are what they say/'
echo "== installations"
python3 "$here/wheel-installs.py" "$dist" --uv "$bin/uv"
