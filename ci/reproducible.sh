#!/usr/bin/env bash
# Wheels that were built here are built again, from the lock inside them, on what is another machine to a build, and every
# byte is compared (gpubuild reproduce).
# Usage: ci/reproducible.sh WHEEL...
#
# The other machine is a Debian root filesystem made for this, with its own compiler, Python and tools, entered with
# bubblewrap: another user, home, host name, umask, time zone and language, a store, cache and build directory with a
# space and an umlaut in their paths, sources and toolkits fetched anew, and a clock 400 days ahead that every program is
# given (libfaketime, by /etc/ld.so.preload). No compiler cache is used there, and SOURCE_DATE_EPOCH is not set.
#
# For a toolkit in a root filesystem (ROCm, CUDA 11.8 and 12.4) and for nvcc leave the clock alone (CLOCK=, empty): inside a second
# bubblewrap libfaketime finds no /dev/shm that it may write, and with it CMake stops while it looks at nvcc. Shown so for the
# CPU and Vulkan with the clock, for CUDA and ROCm without.
#
# Needs gpubuild on PATH, mmdebstrap, bubblewrap and network; no root.
#   SUITE, MIRROR  the Debian suite (default: this machine's, whose compiler must be that of the wheels), and where from
#   SYSTEM         a tar file of that system, made when it is not there yet, kept for the next run
#   SHOW           paths that the other machine may read, such as a package index of this one
#   JOBS           parallel jobs (default: 1)
#   CLOCK          the other machine's clock (default: +400d)
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
suite=${SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
jobs=${JOBS:-1}
clock=${CLOCK-+400d}
wheels=()
for word in "$@"; do wheels+=("$(realpath "$word")"); done
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
python=$(dirname "$(command -v gpubuild)")/python
root=$work/root
place="/srv/anderswo ü"          # everything of the other machine that is not the system lies here
preload=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1

echo "== the other machine: $suite"
system=${SYSTEM:-$work/system.tar}
[ -e "$system" ] || mmdebstrap --variant=apt --include=g++,python3-venv,ca-certificates,libfaketime,mmdebstrap,bubblewrap,git \
    "$suite" "$system" ${MIRROR:+"$MIRROR"} 2>"$work/mmdebstrap.log" || { tail "$work/mmdebstrap.log"; exit 1; }
mkdir "$root"
tar -C "$root" --exclude='./dev/*' --no-same-owner -xf "$system"
mkdir -p "$root$place"/{home,given}
echo "elsewhere:x:4321:4321::$place/home:/bin/sh" >>"$root/etc/passwd"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
# The same versions of CMake, Ninja and scikit-build-core: a wheel names them.
"$python" -m pip freeze --exclude-editable | grep -v '^gpubuild' >"$root$place/given/constraints.txt"
"$python" -m pip wheel -q --no-deps -w "$root$place/given" "$here"

shown=()
for path in /etc/ssl/certs /etc/pip.conf /etc/xdg/pip ~/.config/pip ${SHOW:-}; do
    [ ! -e "$path" ] || shown+=(--ro-bind "$path" "$path")
done
[ ! -e ~/.config/pip/pip.conf ] || shown+=(--setenv PIP_CONFIG_FILE ~/.config/pip/pip.conf)
while IFS='=' read -r name _; do
    case $name in PIP_* | *_proxy | *_PROXY | SSL_* | *_CA_BUNDLE | GPUBUILD_DEBIAN_* | GPUBUILD_VALID_UNTIL | GPUBUILD_INDEX_URL)
        shown+=(--setenv "$name" "${!name}") ;;
    esac
done < <(env)

there() {
    bwrap --bind "$root" / --dev /dev --proc /proc --tmpfs /tmp --tmpfs /run --unshare-user --uid 4321 --gid 4321 \
        --unshare-pid --unshare-ipc --unshare-uts --hostname elsewhere --die-with-parent --clearenv "${shown[@]}" \
        --setenv PATH "$place/venv/bin:/usr/bin:/bin" --setenv HOME "$place/home" --setenv USER elsewhere \
        --setenv LANG de_DE.UTF-8 --setenv TZ Pacific/Kiritimati --setenv FAKETIME_DONT_FAKE_MONOTONIC 1 \
        --setenv GPUBUILD_STORE "$place/store" --setenv GPUBUILD_CACHE "$place/cache" --chdir "$place" \
        -- sh -c 'umask 027; exec "$@"' sh "$@"
}
clock() { # $1: what the other machine's clock is set to, "" for the true time
    echo "$1" >"$root/etc/faketimerc"
    echo "${1:+$preload}" >"$root/etc/ld.so.preload"
}
there python3 -m venv venv
there sh -c 'python -m pip install -q -c given/constraints.txt given/gpubuild-*.whl'

failed=0
for wheel in "${wheels[@]}"; do
    name=$(basename "$wheel")
    echo "== $name"
    cp "$wheel" "$root$place/given/"
    lock=$root$place/given/gpubuild.lock
    "$python" -c 'import pathlib, sys
from buildtool.compat.lock import lock_bytes
from buildtool.wheel.reading import read_plan
sys.stdout.buffer.write(lock_bytes(read_plan(pathlib.Path(sys.argv[1]))))' "$wheel" >"$lock"
    compile=(gpubuild compile --lock given/gpubuild.lock --no-cache --jobs "$jobs")
    # What a build fetches comes before the clock is wrong: certificates and signatures would not hold then.
    clock ""
    there "${compile[@]}" --build-dir fetched --build-target ggml/src/CMakeFiles/ggml-base.dir/ggml-alloc.c.o
    rm -rf "$root$place/fetched"
    clock "$clock"
    echo "there: $(there sh -c 'id -un; uname -n; umask; date +%F; g++ -dumpfullversion; python3 -V; pwd' | tr '\n' ' ')"
    echo "here:  $(id -un) $(uname -n) $(umask) $(date +%F) $(g++ -dumpfullversion) $("$python" -V)"
    there gpubuild reproduce "given/$name" --jobs "$jobs" || failed=1
done
exit $failed
