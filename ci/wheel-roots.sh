#!/usr/bin/env bash
# The same wheels installed in other distributions: llama-server starts, loads a model and answers.
# Usage: ci/wheel-roots.sh DIST MODEL.gguf SUITE...      such as: trixie bookworm bullseye
#
# Each SUITE is a folder with a Debian root filesystem that has python3-venv, or the name of a suite, which mmdebstrap then
# fetches. A suite whose C library is older than the wheel's tag must be refused by pip. Needs bubblewrap; no network inside.
# UV: the program uv; then the table of ci/wheel-installs.py is gone through inside as well (the folder needs python3-pip).
set -euo pipefail
dist=$(cd "$1" && pwd)
model=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
shift 2
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

cat >"$work/prove.sh" <<'SH'
set -eu
. /etc/os-release
libc=$(python3 -c 'import platform; print(platform.libc_ver()[1])')
python3 -m venv /tmp/venv
if ! /tmp/venv/bin/pip install -q --disable-pip-version-check --no-index --no-deps /tmp/dist/gpubuild_llama-*.whl >/tmp/said 2>&1; then
    grep -q 'not a supported wheel' /tmp/said || { cat /tmp/said; exit 1; }
    echo "$PRETTY_NAME, glibc $libc: pip refuses the wheel, whose tag names a newer C library"
    exit 0
fi
for wheel in /tmp/dist/*.whl; do
    case $wheel in */gpubuild_llama-*) ;; *) /tmp/venv/bin/pip install -q --no-index --no-deps "$wheel" ;; esac
done
/tmp/venv/bin/llama-server -m /tmp/model.gguf --host 127.0.0.1 --port 8089 -c 128 >/tmp/server.log 2>&1 &
python3 - <<'PY' || { tail -n 30 /tmp/server.log; exit 1; }
import json, time, urllib.request
url = "http://127.0.0.1:8089"
for _ in range(240):
    try:
        assert json.load(urllib.request.urlopen(url + "/health"))["status"] == "ok"
        break
    except OSError:
        time.sleep(0.5)
body = json.dumps({"prompt": "ab", "n_predict": 4}).encode()
request = urllib.request.Request(url + "/completion", body, {"Content-Type": "application/json"})
assert json.load(urllib.request.urlopen(request))["tokens_predicted"] == 4
PY
cpu=$(grep -o 'libggml-cpu-[a-z0-9]*' /tmp/server.log | head -n 1)
/tmp/venv/bin/python -m gpubuild_llama info | tail -n +3
[ ! -e /tmp/uv ] || /tmp/venv/bin/python /tmp/wheel-installs.py /tmp/dist --uv /tmp/uv
echo "$PRETTY_NAME, glibc $libc: llama-server answers (${cpu:-CPU})"
SH

for suite in "$@"; do
    root=$suite
    if [ ! -d "$root/usr" ]; then
        root=$work/$suite
        mmdebstrap --variant=apt --include=python3-venv,python3-pip,libstdc++6 "$suite" "$root" ${MIRROR:+"$MIRROR"} 2>"$work/mmdebstrap.log"
    fi
    bwrap --unshare-all --die-with-parent --ro-bind "$root" / --dev /dev --proc /proc --tmpfs /tmp --tmpfs /run \
        ${UV:+--ro-bind "$UV" /tmp/uv} --ro-bind "$here/wheel-installs.py" /tmp/wheel-installs.py \
        --ro-bind "$dist" /tmp/dist --ro-bind "$model" /tmp/model.gguf --ro-bind "$work/prove.sh" /tmp/prove.sh \
        --setenv PATH /usr/bin:/bin --setenv HOME /tmp sh /tmp/prove.sh
done
