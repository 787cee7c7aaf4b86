#!/bin/sh
# Root filesystems with other distributions' compilers and C libraries, for test_plans_predict.py in
# tests/integration/compat:
#
#   ci/compiler-roots.sh DIRECTORY
#   GPUBUILD_TEST_ROOTS=DIRECTORY/bullseye:DIRECTORY/trixie:DIRECTORY/sid pytest -m "" tests/integration/compat
#
# Needs mmdebstrap and about 5 GB. Debian 11 has GCC 9 and 10 with glibc 2.31, Debian 13 GCC 13 and 14 with glibc 2.41,
# sid GCC 15 and 16 and clang 21 to 23 with glibc 2.42 or newer. MIRROR names a Debian mirror; without it mmdebstrap
# takes its own.
set -eu

directory=${1:?usage: ci/compiler-roots.sh DIRECTORY}
mkdir -p "$directory"

make_root() {
    suite=$1 packages=$2
    if [ -d "$directory/$suite/usr/bin" ]; then
        return
    fi
    # A mirror's copy of sid may be older than its own Valid-Until; its signature is still checked.
    mmdebstrap --variant=essential --include="$packages" --aptopt='Acquire::Check-Valid-Until "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        "$suite" "$directory/$suite" ${MIRROR:+"$MIRROR"}
}

make_root bullseye g++-9,g++-10,clang-11
make_root trixie g++-13,g++-14,clang-19
make_root sid g++-15,g++-16,clang-21,clang-22,clang-23
