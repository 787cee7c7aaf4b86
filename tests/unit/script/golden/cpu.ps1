# Builds llama.cpp's cpu backend on windows-x86_64.
# Source llama-cpp-python-0.3.36, portable profile.
# Written by gpubuild VERSION of plan DIGEST.
# Nobody has run this on Windows yet: its text was parsed by a PowerShell grammar, nothing more.
#
# Everything happens below the current folder, in gpubuild-work (or where GPUBUILD_WORK says); nothing needs
# an administrator. Review it, run it; a second run goes on where the first one stopped.
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 3.0
$ProgressPreference = 'SilentlyContinue'

function Invoke-Program {
    param([string] $Program, [string[]] $Arguments)
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program ended with code $LASTEXITCODE." }
}

function Write-TextFile {
    param([string] $Path, [string] $Text)
    $encoding = New-Object System.Text.UTF8Encoding($false)
    [System.IO.File]::WriteAllText($Path, $Text.Replace("`r`n", "`n") + "`n", $encoding)
}

$work = 'gpubuild-work'
if ($env:GPUBUILD_WORK) { $work = $env:GPUBUILD_WORK }
$work = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($work).Replace('\', '/')
$python = 'python'
if ($env:PYTHON) { $python = $env:PYTHON }
$jobs = $env:NUMBER_OF_PROCESSORS
if ($env:JOBS) { $jobs = $env:JOBS }
$source = "${work}/source"
$recipe = "${work}/recipe"
$build = "${work}/build-cpu"
$install = "${work}/install/gpubuild_llama/lib"
$null = New-Item -ItemType Directory -Force -Path "${work}/downloads"
$null = New-Item -ItemType Directory -Force -Path "${recipe}"
$null = New-Item -ItemType Directory -Force -Path "${build}"
foreach ($name in @('CC', 'CFLAGS', 'CMAKE_BUILD_TYPE', 'CMAKE_CUDA_COMPILER_LAUNCHER', 'CMAKE_CXX_COMPILER_LAUNCHER', 'CMAKE_C_COMPILER_LAUNCHER', 'CMAKE_GENERATOR', 'CMAKE_PREFIX_PATH', 'CMAKE_TOOLCHAIN_FILE', 'CPATH', 'CPLUS_INCLUDE_PATH', 'CPPFLAGS', 'CUDAARCHS', 'CUDACXX', 'CUDAFLAGS', 'CUDAHOSTCXX', 'CXX', 'CXXFLAGS', 'C_INCLUDE_PATH', 'DESTDIR', 'GLSLC', 'HIPCXX', 'HIPFLAGS', 'LDFLAGS', 'LD_PRELOAD', 'LIBRARY_PATH', 'NVCC_APPEND_FLAGS', 'NVCC_CCBIN', 'NVCC_PREPEND_FLAGS', 'VERBOSE')) {
    Remove-Item -Path "Env:$name" -ErrorAction Ignore
}
$env:GIT_CEILING_DIRECTORIES = "${work}"

Write-Host '== CMake and Ninja, as gpubuild itself requires them'
if (-not (Get-Command "${python}" -ErrorAction Ignore)) { throw "${python} is missing. Install Python 3 with pip." }
$tools = "${work}/tools"
if (-not (Test-Path -LiteralPath "${tools}")) {
    if (Test-Path -LiteralPath "${tools}.new") { Remove-Item -Recurse -Force -LiteralPath "${tools}.new" }
    Invoke-Program "${python}" @(
        '-m',
        'pip',
        'install',
        '--quiet',
        '--target',
        "${tools}.new",
        'cmake',
        'ninja'
    )
    Move-Item -LiteralPath "${tools}.new" -Destination "${tools}"
}
$cmake = "${tools}/cmake/data/bin/cmake.exe"
$ninja = @("${tools}/ninja/data/bin/ninja.exe", "${tools}/bin/ninja.exe") |
    Where-Object { Test-Path -Path $_ } | ForEach-Object { (Resolve-Path -Path $_).Path } |
    Select-Object -First 1
if (-not $ninja) { throw 'Ninja is missing.' }
$ninja = $ninja.Replace('\', '/')

Write-Host '== Source: llama-cpp-python-0.3.36'
Write-TextFile "${work}/source.txt" @'
llama-cpp-python==0.3.36 --hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
'@
if (-not (Test-Path -LiteralPath "${work}/downloads/llama_cpp_python-0.3.36.tar.gz")) {
    if (Test-Path -LiteralPath "${work}/downloads.new/llama_cpp_python-0.3.36.tar.gz") { Remove-Item -Recurse -Force -LiteralPath "${work}/downloads.new/llama_cpp_python-0.3.36.tar.gz" }
    Invoke-Program "${python}" @(
        '-m',
        'pip',
        'download',
        '--quiet',
        '--no-deps',
        '--require-hashes',
        '--no-binary',
        'llama-cpp-python',
        '--dest',
        "${work}/downloads.new",
        '-r',
        "${work}/source.txt"
    )
    Move-Item -LiteralPath "${work}/downloads.new/llama_cpp_python-0.3.36.tar.gz" -Destination "${work}/downloads/llama_cpp_python-0.3.36.tar.gz"
}
if ((Get-FileHash -Algorithm SHA256 -LiteralPath "${work}/downloads/llama_cpp_python-0.3.36.tar.gz").Hash -ne '832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e') {
    Remove-Item -Force -LiteralPath "${work}/downloads/llama_cpp_python-0.3.36.tar.gz"
    throw "${work}/downloads/llama_cpp_python-0.3.36.tar.gz is not the file that was planned: its sha256 differs. It was deleted, so that a second run fetches it again."
}
$null = New-Item -ItemType Directory -Force -Path "${work}/whole.new"
if (-not (Test-Path -LiteralPath "${work}/whole")) {
    Invoke-Program 'tar' @(
        '-x',
        '-f',
        "${work}/downloads/llama_cpp_python-0.3.36.tar.gz",
        '-C',
        "${work}/whole.new",
        '--strip-components=1'
    )
}
if (-not (Test-Path "$work/whole")) { Rename-Item -LiteralPath "$work/whole.new" "whole" }
$source = "${work}/whole/vendor/llama.cpp"

Write-Host '== What gpubuild adds to the project: install rules, put in by CMake itself'
Write-TextFile "${recipe}/gpubuild-backends.cpp" @'
<the content of gpubuild-backends.cpp>
'@
Write-TextFile "${recipe}/gpubuild.cmake" @'
<the content of gpubuild.cmake>
'@
if (-not (Get-Command 'cl.exe' -ErrorAction Ignore)) { throw 'cl.exe is missing. Run this in the Developer PowerShell for VS 2022 (x64), which sets up the Visual C++ compiler.' }
$cc = 'cl.exe'

Write-Host '== Configure'
Invoke-Program "${cmake}" @(
    '-G',
    'Ninja',
    '-S',
    "${source}",
    '-B',
    "${build}",
    '-DBUILD_SHARED_LIBS=ON',
    '-DCMAKE_BUILD_TYPE=Release',
    '-DCMAKE_CXX_COMPILER=cl.exe',
    '-DCMAKE_C_COMPILER=cl.exe',
    "-DCMAKE_MAKE_PROGRAM=${ninja}",
    "-DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=${recipe}/gpubuild.cmake",
    '-DGGML_BACKEND_DL=ON',
    '-DGGML_CCACHE=OFF',
    '-DGGML_CPU_ALL_VARIANTS=ON',
    '-DGGML_NATIVE=OFF',
    '-DGGML_OPENMP=OFF',
    '-DGGML_RPC=OFF',
    '-DGPUBUILD_BACKEND=',
    '-DGPUBUILD_BACKEND_RPATH=',
    '-DGPUBUILD_PROGRAMS=llama-server;llama-cli;llama-bench;llama-quantize;test-backend-ops',
    '-DGPUBUILD_SLOW_FIRST=...',
    '-DLLAMA_BUILD_APP=OFF',
    '-DLLAMA_BUILD_EXAMPLES=OFF',
    '-DLLAMA_BUILD_SERVER=ON',
    '-DLLAMA_BUILD_TESTS=ON',
    '-DLLAMA_BUILD_TOOLS=ON',
    '-DLLAMA_BUILD_UI=OFF',
    '-DLLAMA_OPENSSL=OFF',
    '-DLLAMA_USE_PREBUILT_UI=OFF'
)

Write-Host '== Build'
Invoke-Program "${ninja}" @(
    '-C',
    "${build}",
    '-j',
    "${jobs}",
    'gpubuild_runtime'
)

Write-Host '== Install, side by side: ggml looks for its backends beside the program'
Invoke-Program "${cmake}" @(
    '--install',
    "${build}",
    '--component',
    'gpubuild_runtime',
    '--prefix',
    "${install}"
)
Write-Host "Ready in ${install}: llama-server, llama-cli, llama-bench, test-backend-ops."
