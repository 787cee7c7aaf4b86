#!/usr/bin/env bash
# Builds llama.cpp's rocm backend for gfx1013 on linux-x86_64.
# Source llama-cpp-python-0.3.36, rocm 7.0 (rootfs), portable profile.
# Written by gpubuild VERSION of plan DIGEST.
# The kernels compile; gpubuild has had no AMD card to run them on.
#
# Everything happens below the current folder, in gpubuild-work (or where GPUBUILD_WORK says); nothing needs
# an administrator. Review it, run it; a second run goes on where the first one stopped.
set -euo pipefail

die() { printf '%s\n' "$*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }
newest() { printf '%s\n' "$@" | sort -V | tail -n 1; }

work=gpubuild-work
if [ -n "${GPUBUILD_WORK:-}" ]; then work=${GPUBUILD_WORK}; fi
mkdir -p "${work}"
work=$(cd "${work}" && pwd)
python=python3
if [ -n "${PYTHON:-}" ]; then python=${PYTHON}; fi
jobs=$(nproc)
if [ -n "${JOBS:-}" ]; then jobs=${JOBS}; fi
source="${work}/source"
recipe="${work}/recipe"
build="${work}/build-rocm"
install="${work}/install/gpubuild_llama/lib"
mkdir -p "${work}/downloads"
mkdir -p "${recipe}"
mkdir -p "${build}"
unset CC CFLAGS CMAKE_BUILD_TYPE CMAKE_CUDA_COMPILER_LAUNCHER CMAKE_CXX_COMPILER_LAUNCHER CMAKE_C_COMPILER_LAUNCHER CMAKE_GENERATOR CMAKE_PREFIX_PATH CMAKE_TOOLCHAIN_FILE CPATH CPLUS_INCLUDE_PATH CPPFLAGS CUDAARCHS CUDACXX CUDAFLAGS CUDAHOSTCXX CXX CXXFLAGS C_INCLUDE_PATH DESTDIR GLSLC HIPCXX HIPFLAGS LDFLAGS LD_PRELOAD LIBRARY_PATH NVCC_APPEND_FLAGS NVCC_CCBIN NVCC_PREPEND_FLAGS VERBOSE
export GIT_CEILING_DIRECTORIES="${work}"

step "CMake and Ninja, as gpubuild itself requires them"
command -v "${python}" > /dev/null || die "${python} is missing. Install Python 3 with pip."
tools="${work}/tools"
if [ ! -e "${tools}" ]; then
    rm -rf "${tools}.new"
    "${python}" -m pip install --quiet --target "${tools}.new" 'cmake' \
        "ninja"
    mv "${tools}.new" "${tools}"
fi
cmake="${tools}/cmake/data/bin/cmake"
ninja=
for candidate in "${tools}/ninja/data/bin/ninja" "${tools}/bin/ninja"; do
    if [ -z "${ninja}" ] && [ -e "${candidate}" ]; then ninja=${candidate}; fi
done
[ -n "${ninja}" ] || die "Ninja is missing."

step "Source: llama-cpp-python-0.3.36"
cat > "${work}/source.txt" <<'GPUBUILD_END'
llama-cpp-python==0.3.36 --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
GPUBUILD_END
if [ ! -e "${work}/downloads/llama_cpp_python-0.3.36.tar.gz" ]; then
    rm -rf "${work}/downloads.new/llama_cpp_python-0.3.36.tar.gz"
    "${python}" -m pip download --quiet --no-deps --require-hashes --no-binary llama-cpp-python --dest \
        "${work}/downloads.new" -r "${work}/source.txt"
    mv "${work}/downloads.new/llama_cpp_python-0.3.36.tar.gz" "${work}/downloads/llama_cpp_python-0.3.36.tar.gz"
fi
printf '%s  %s\n' 832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e "${work}/downloads/llama_cpp_python-0.3.36.tar.gz" | sha256sum --check --quiet --strict - || {
    rm -f "${work}/downloads/llama_cpp_python-0.3.36.tar.gz"
    die "${work}/downloads/llama_cpp_python-0.3.36.tar.gz is not the file that was planned: its sha256 differs. It was deleted, so that a second run fetches it again."
}
mkdir -p "${work}/whole.new"
if [ ! -e "${work}/whole" ]; then
    tar -x -f "${work}/downloads/llama_cpp_python-0.3.36.tar.gz" -C "${work}/whole.new" \
        "--strip-components=1"
fi
if [ ! -e "${work}/whole" ]; then
    mv "${work}/whole.new" "${work}/whole"
fi
source="${work}/whole/vendor/llama.cpp"

step "Patches: hip-sample (gfx1013)"
command -v git > /dev/null || die "git is missing. Install git: its apply puts the patch in."
cat > "${work}/gpubuild.patch" <<'GPUBUILD_END'
--- a/ggml/hip.h
+++ b/ggml/hip.h
@@ -1 +1 @@
-old
+new with $dollar and 'quotes'
GPUBUILD_END
if [ ! -e "${work}/patched" ]; then
    (cd "${source}" && git apply "--whitespace=nowarn" "${work}/gpubuild.patch")
fi
mkdir -p "${work}/patched"

step "What gpubuild adds to the project: install rules, put in by CMake itself"
cat > "${recipe}/gpubuild-backends.cpp" <<'GPUBUILD_END'
<the content of gpubuild-backends.cpp>
GPUBUILD_END
cat > "${recipe}/gpubuild.cmake" <<'GPUBUILD_END'
<the content of gpubuild.cmake>
GPUBUILD_END
command -v bwrap > /dev/null || die "bwrap is missing. Install it: apt-get install bubblewrap"

step "rocm-7.0-sid: a private root filesystem of 2 Debian packages"
command -v mmdebstrap > /dev/null || die "mmdebstrap is missing. Install it: apt-get install mmdebstrap"
: "${DEBIAN_MIRROR:?Name the Debian mirror to fetch from: export DEBIAN_MIRROR=<its address>}"
keyring=
for candidate in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
    if [ -z "${keyring}" ] && [ -e "${candidate}" ]; then keyring=${candidate}; fi
done
[ -n "${keyring}" ] || die "Debian's archive keys are missing: apt-get install debian-archive-keyring"
tree="${work}/rocm-7.0-sid"
if [ ! -e "${tree}" ]; then
mkdir -p "${work}/debs"
cat > "${work}/hook" <<'GPUBUILD_END'
#!/bin/sh
set -e
mkdir -p "$1/var/cache/apt" "$GPUBUILD_DEBS/partial"
rm -rf "$1/var/cache/apt/archives"
ln -s "$GPUBUILD_DEBS" "$1/var/cache/apt/archives"
for name in bin sbin lib lib32 lib64 libx32; do
    mkdir -p "$1/usr/$name"
    test -e "$1/$name" || ln -s "usr/$name" "$1/$name"
done
GPUBUILD_END
chmod 755 "${work}/hook"
cat > "${work}/suite.template" <<'GPUBUILD_END'
Types: deb
URIs: DEBIAN_MIRROR
Suites: sid
Components: main
Signed-By: DEBIAN_KEYRING
GPUBUILD_END
sed -e "s|DEBIAN_MIRROR|${DEBIAN_MIRROR}|" -e "s|DEBIAN_KEYRING|${keyring}|" \
    "${work}/suite.template" > "${work}/suite.sources"
rm -rf "${tree}.new"
export GPUBUILD_DEBS="${work}/debs"
mmdebstrap "--mode=chrootless" "--variant=extract" "--format=directory" "--architectures=amd64" \
    "--dpkgopt=path-exclude=/usr/share/doc/*" "--dpkgopt=path-exclude=/usr/share/man/*" \
    "--dpkgopt=path-exclude=/usr/share/locale/*" "--dpkgopt=path-exclude=/usr/share/info/*" \
    "--dpkgopt=path-include=/usr/share/doc/*/copyright" "--skip=download/empty" "--skip=cleanup/apt" \
    "--setup-hook=${work}/hook" "--include=g++=1:2.0-3,hipcc=1:2.1-3" sid "${tree}.new" \
    "${work}/suite.sources"
cat > "${work}/debs.sha256" <<'GPUBUILD_END'
0000000000000000000000000000000000000000000000000000000000000000  g++_1%3a2.0-3_amd64.deb
1111111111111111111111111111111111111111111111111111111111111111  hipcc_1%3a2.1-3_amd64.deb
GPUBUILD_END
(cd "${work}/debs" && sha256sum --check --quiet --strict "${work}/debs.sha256")
mv "${tree}.new" "${tree}"
fi
clang=
for candidate in "$(newest "${tree}/usr/lib/llvm-"*/lib/clang/*/amdgcn/../../../../bin/clang++)" "$(newest "${tree}/usr/lib/llvm-"*/bin/clang++)" "${tree}/usr/llvm/bin/clang++" "${tree}/usr/lib/llvm/bin/clang++"; do
    if [ -z "${clang}" ] && [ -e "${candidate}" ]; then clang=${candidate}; fi
done
[ -n "${clang}" ] || die "There is no clang++ in the root filesystem."
clang=$(cd "${clang%/*}" && pwd)/clang++
clang=${clang#"${tree}"}
inside() {
    local shown=()
    for folder in "${tools}" "${source}" "${recipe}"; do
        shown+=(--ro-bind "${folder}" "${folder}")
    done
    env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME=/tmp TMPDIR=/tmp HIPCXX="${clang}" \
        bwrap --unshare-all --die-with-parent --proc /proc --dev /dev --tmpfs /tmp --ro-bind "${tree}/etc" /etc --ro-bind "${tree}/usr" /usr --tmpfs /usr/local --symlink usr/bin /bin --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib32 /lib32 --symlink usr/lib64 /lib64 --symlink usr/libx32 /libx32 \
        "${shown[@]}" --bind "${build}" "${build}" --chdir "${build}" -- "$@"
}
inside /usr/bin/true

step Configure
inside "${cmake}" -G Ninja -S "${source}" -B "${build}" \
    "-DBUILD_SHARED_LIBS=ON" \
    "-DCMAKE_BUILD_TYPE=Release" \
    "-DCMAKE_CXX_COMPILER=/usr/bin/g++-16" \
    "-DCMAKE_C_COMPILER=/usr/bin/gcc-16" \
    "-DCMAKE_HIP_COMPILER=${clang}" \
    "-DCMAKE_MAKE_PROGRAM=${ninja}" \
    "-DCMAKE_PREFIX_PATH=/usr" \
    "-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=${recipe}/gpubuild.cmake" \
    "-DGGML_BACKEND_DL=ON" \
    "-DGGML_CCACHE=OFF" \
    "-DGGML_CPU_ALL_VARIANTS=ON" \
    "-DGGML_CUDA_FA=ON" \
    "-DGGML_HIP=ON" \
    "-DGGML_HIP_RCCL=OFF" \
    "-DGGML_NATIVE=OFF" \
    "-DGGML_OPENMP=OFF" \
    "-DGGML_RPC=OFF" \
    "-DGPUBUILD_BACKEND=ggml-hip" \
    '-DGPUBUILD_BACKEND_RPATH=$ORIGIN:$ORIGIN/../../gpubuild_llama/lib' \
    "-DGPUBUILD_PROGRAMS=llama-server;llama-cli;llama-bench;llama-quantize;test-backend-ops" \
    "-DGPUBUILD_SLOW_FIRST=..." \
    "-DGPUBUILD_TOGETHER=tools/mtmd/models;common/parsers" \
    "-DGPU_TARGETS=gfx1013" \
    "-DLLAMA_BUILD_APP=OFF" \
    "-DLLAMA_BUILD_EXAMPLES=OFF" \
    "-DLLAMA_BUILD_SERVER=ON" \
    "-DLLAMA_BUILD_TESTS=ON" \
    "-DLLAMA_BUILD_TOOLS=ON" \
    "-DLLAMA_BUILD_UI=OFF" \
    "-DLLAMA_OPENSSL=OFF" \
    "-DLLAMA_USE_PREBUILT_UI=OFF"

step Build
inside "${ninja}" -C "${build}" -j "${jobs}" gpubuild_runtime gpubuild_backend

step "Install, side by side: ggml looks for its backends beside the program"
"${cmake}" --install "${build}" --component gpubuild_runtime --prefix "${install}"
"${cmake}" --install "${build}" --component gpubuild_backend --prefix "${install}"
printf '%s\n' "Ready in ${install}: llama-server, llama-cli, llama-bench, test-backend-ops."
