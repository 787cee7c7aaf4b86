#!/usr/bin/env bash
# The cuBLAS of this machine, thinned to this machine's GPU, gives the same results bit for bit: hundreds of products
# through cuBLAS and cuBLASLt (f64, f32, tf32, f16, bf16, int8, fp8, strided batches).
# Usage: ci/thin-on-gpu.sh [FOLDER]     FOLDER holds libcublas.so.* and libcublasLt.so.*; by default those installed
# GPUBUILD is the command (gpubuild), PYTHON an interpreter (python3). Needs a driver, no toolkit; about two minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
read -ra gpubuild <<<"${GPUBUILD:-gpubuild}"
folder=${1:-$("$python" "$here/gemms" --find)}
target=$("$python" "$here/gemms" --target)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/thin"

echo "== $folder, for $target"
for name in libcublas libcublasLt; do
  shortest=$(printf '%s\n' "$folder/$name".so.* | awk '{ print length, $0 }' | sort -n | head -1 | cut -d' ' -f2-)
  file=$(readlink -f "$shortest")
  SECONDS=0
  "${gpubuild[@]}" thin "$file" --keep "$target" --out "$work/thin/$(basename "$shortest")"
  before=$(stat -c %s "$file") after=$(stat -c %s "$work/thin/$(basename "$shortest")")
  echo "$name: $before -> $after bytes, $((before - after)) saved ($((100 * (before - after) / before)) %), $SECONDS s"
done

run() { # NAME COMMAND...: keeps the lines, and shows what was loaded
  local name=$1
  shift
  "$@" >"$work/$name.txt" 2>"$work/$name.err" || { cat "$work/$name.err"; exit 1; }
  echo "$name: $(wc -l <"$work/$name.txt") lines; $(tr '\n' ' ' <"$work/$name.err")"
}
only_thinned() { # NAME: no other cuBLAS was in memory
  if grep -E '^/.*libcublas' "$work/$1.err" | grep -vF "$work/thin/"; then
    echo "the original library was loaded as well"
    exit 1
  fi
  [ "$(grep -cF "$work/thin/" "$work/$1.err")" = 2 ]
}
same() { # A B: the same results
  if ! diff "$work/$1.txt" "$work/$2.txt" >"$work/diff"; then
    echo "$1 and $2 differ:"
    head -20 "$work/diff"
    exit 1
  fi
  echo "$1 and $2: the same, bit for bit"
}

echo "== cuBLAS and cuBLASLt"
run original "$python" "$here/gemms" "$folder"
run again "$python" "$here/gemms" "$folder"
run thinned "$python" "$here/gemms" "$work/thin"
only_thinned thinned
same original again
same original thinned
cut -d: -f1,2 "$work/thinned.txt" | awk '{ print $1, $2 }' | sort | uniq -c

echo "== done"
