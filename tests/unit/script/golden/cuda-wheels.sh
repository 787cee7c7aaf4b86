#!/usr/bin/env bash
# Builds llama.cpp's cuda backend for sm_90 on linux-x86_64.
# Source llama-cpp-python-0.3.36, cuda 13.0.88 (pypi), portable profile.
# Written by gpubuild VERSION of plan DIGEST.
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
build="${work}/build-cuda"
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

step "What gpubuild adds to the project: install rules, put in by CMake itself"
cat > "${recipe}/gpubuild-backends.cpp" <<'GPUBUILD_END'
<the content of gpubuild-backends.cpp>
GPUBUILD_END
cat > "${recipe}/gpubuild.cmake" <<'GPUBUILD_END'
<the content of gpubuild.cmake>
GPUBUILD_END
command -v /usr/bin/g++-12 > /dev/null || die "/usr/bin/g++-12 is missing. Install the C++ compiler that was planned, or plan again."
cc=/usr/bin/gcc-12

step "CUDA 13.0.88: NVIDIA's wheels, fixed by their sha256"
cat > "${work}/cuda-wheels.txt" <<'GPUBUILD_END'
nvidia-cublas==13.1.1.3 --hash=sha256:37936a16db8fe4ac1f065c2139360608a543a09275cb1a1af612e08cfa065436
nvidia-cuda-cccl==13.0.85 --hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-cuda-nvcc==13.0.88 --hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-nvvm==13.0.88 --hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
GPUBUILD_END
if [ ! -e "${work}/cuda" ]; then
    rm -rf "${work}/cuda.new"
    "${python}" -m pip install --no-deps --require-hashes --target "${work}/cuda.new" -r \
        "${work}/cuda-wheels.txt"
    mv "${work}/cuda.new" "${work}/cuda"
fi
toolkit="${work}/cuda/nvidia/cu13"
ln -sfn lib "${toolkit}/lib64"
for library in "${toolkit}"/lib/lib*.so.*; do
    plain=${library%%.so.*}.so
    [ -e "${plain}" ] || ln -s "$(basename "${library}")" "${plain}"
done
mkdir -p "${toolkit}/lib/stubs"
grep -oE '\bcu[A-Z][A-Za-z0-9_]*' "${toolkit}/include/cuda.h" | sort -u |
    sed 's/.*/int &(void) { return 34; }/' |
    "${cc}" -x c -shared -fPIC -Wl,-soname,libcuda.so.1 -o "${toolkit}/lib/stubs/libcuda.so" -
"${toolkit}/bin/nvcc" --version

step Configure
"${cmake}" -G Ninja -S "${source}" -B "${build}" \
    "-DBUILD_SHARED_LIBS=ON" \
    "-DCMAKE_BUILD_TYPE=Release" \
    "-DCMAKE_CUDA_ARCHITECTURES=90-real" \
    "-DCMAKE_CUDA_COMPILER=${toolkit}/bin/nvcc" \
    "-DCMAKE_CUDA_HOST_COMPILER=/usr/bin/g++-12" \
    "-DCMAKE_CXX_COMPILER=/usr/bin/g++-12" \
    "-DCMAKE_C_COMPILER=/usr/bin/gcc-12" \
    "-DCMAKE_MAKE_PROGRAM=${ninja}" \
    "-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=${recipe}/gpubuild.cmake" \
    "-DCUDAToolkit_ROOT=${toolkit}" \
    "-DGGML_BACKEND_DL=ON" \
    "-DGGML_CCACHE=OFF" \
    "-DGGML_CPU_ALL_VARIANTS=ON" \
    "-DGGML_CUDA=ON" \
    "-DGGML_CUDA_FA=ON" \
    "-DGGML_CUDA_NCCL=OFF" \
    "-DGGML_NATIVE=OFF" \
    "-DGGML_OPENMP=OFF" \
    "-DGGML_RPC=OFF" \
    "-DGPUBUILD_BACKEND=ggml-cuda" \
    '-DGPUBUILD_BACKEND_RPATH=$ORIGIN:$ORIGIN/../../gpubuild_llama/lib:$ORIGIN/../../nvidia/cu13/lib' \
    "-DGPUBUILD_PROGRAMS=llama-server;llama-cli;llama-bench;llama-quantize;test-backend-ops" \
    "-DGPUBUILD_SLOW_FIRST=..." \
    "-DGPUBUILD_TOGETHER=tools/mtmd/models;common/parsers" \
    "-DLLAMA_BUILD_APP=OFF" \
    "-DLLAMA_BUILD_EXAMPLES=OFF" \
    "-DLLAMA_BUILD_SERVER=ON" \
    "-DLLAMA_BUILD_TESTS=ON" \
    "-DLLAMA_BUILD_TOOLS=ON" \
    "-DLLAMA_BUILD_UI=OFF" \
    "-DLLAMA_OPENSSL=OFF" \
    "-DLLAMA_USE_PREBUILT_UI=OFF"

step Build
"${ninja}" -C "${build}" -j "${jobs}" gpubuild_runtime gpubuild_backend

step "Install, side by side: ggml looks for its backends beside the program"
"${cmake}" --install "${build}" --component gpubuild_runtime --prefix "${install}"
"${cmake}" --install "${build}" --component gpubuild_backend --prefix "${install}"
ln -sfn "${work}/cuda/nvidia" "${work}/install/nvidia"
printf '%s\n' "Ready in ${install}: llama-server, llama-cli, llama-bench, test-backend-ops."
