#!/usr/bin/env bash
# The ecosystem's own checkers over every wheel of a directory, then installations with pip and uv in every way a user has.
# Usage: ci/wheel-checks.sh DIST          needs gpubuild on PATH; the checkers come from the package index
# TOOLS: a folder to keep the checkers in, for the next call (default: none is kept)
#
# What is not taken for a finding, and why:
#   check-wheel-contents W004  it takes every .so file for a Python module; ggml's names have hyphens, and nothing imports them
#   check-wheel-contents W002  licences: vendor packages that share a text keep a file each, since each is named by its package
#   auditwheel show            a backend's vendor libraries come from its requirements, so only the line about symbols counts; of a
#                              C library newer than it knows the newest symbol must be what the tag says
#   pydistcheck                its bounds for size (50 and 75 MB) are for Python code; here a wheel may have 300 MB, and 1.5 GB unpacked
#   abi3audit                  must find nothing to audit: no wheel holds a Python extension
set -euo pipefail
dist=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=${TOOLS:-$work/tools}
[ -x "$tools/bin/uv" ] || {
    python3 -m venv "$tools"
    "$tools/bin/pip" install -q twine check-wheel-contents pydistcheck abi3audit auditwheel uv
}
bin="$tools/bin"

for wheel in "$dist"/*.whl; do
    echo "== $(basename "$wheel")"
    "$bin/twine" --no-color check --strict "$wheel" | tail -n 1
    "$bin/check-wheel-contents" --ignore W002,W004 "$wheel" | sed 's/.*: /check-wheel-contents: /'
    outside=$("$bin/check-wheel-contents" --select W004 "$wheel" | grep -E '^ ' | grep -vE '^ +[a-z0-9_]+/lib/[^/]*\.so$' || true)
    [ -z "$outside" ] || { echo "W004 outside of lib/: $outside"; exit 1; }
    outside=$("$bin/check-wheel-contents" --select W002 "$wheel" | grep -E '^ ' | grep -vE '^ +[^/]+\.dist-info/licenses/' || true)
    [ -z "$outside" ] || { echo "W002 outside of licenses/: $outside"; exit 1; }
    tag=$(basename "$wheel" .whl | sed 's/.*-//')
    case $tag in
    manylinux*)
        "$bin/auditwheel" show "$wheel" | tr '\n' ' ' >"$work/audit"
        newest=$(grep -oE 'GLIBC_[0-9.]+' "$work/audit" | sort -uV | tail -n 1)
        if grep -q "\"$tag\"" "$work/audit"; then
            echo "auditwheel: $tag"
        elif grep -q '"linux_' "$work/audit" && [ "manylinux_${newest#GLIBC_}" = "$(echo "$tag" | sed 's/_x86_64$//; s/_2_/_2./')" ]; then
            echo "auditwheel: no tag that it knows; the newest symbol it finds is $newest, which $tag says"
        else
            echo "auditwheel does not confirm $tag:"
            cat "$work/audit"
            exit 1
        fi
        ;;
    *) echo "auditwheel: no manylinux tag to confirm ($tag)" ;;
    esac
    "$bin/pydistcheck" --max-allowed-size-compressed 300M --max-allowed-size-uncompressed 1.5G "$wheel" >"$work/pydistcheck" ||
        { cat "$work/pydistcheck"; exit 1; }
    grep -E 'errors found' "$work/pydistcheck" | sed 's/^/pydistcheck: /'
    "$bin/abi3audit" "$wheel" >"$work/abi3" 2>&1
    grep -q 'nothing auditable' "$work/abi3" || { cat "$work/abi3"; exit 1; }
    echo "abi3audit: nothing to audit"
done
echo "== what they say of themselves"
gpubuild inspect "$dist" --about >"$work/about"
grep -c '^  sha256' "$work/about" | sed 's/$/ wheels are what they say/'
echo "== installations"
if ! "$bin/pip" download -q --no-index --no-deps -d "$work/fits" "$dist"/gpubuild_llama-*.whl 2>"$work/refused"; then
    grep -q 'not a supported wheel' "$work/refused" || { cat "$work/refused"; exit 1; }
    echo "these wheels are for a newer C library than this machine's: UV=... ci/wheel-roots.sh installs them in other systems"
    exit 0
fi
python3 "$here/wheel-installs.py" "$dist" --uv "$bin/uv"
