"""A make-believe Debian: small programs named apt-get, apt-config, mmdebstrap and bwrap, put first on PATH.

They speak as the real ones do (apt 2.6, mmdebstrap 1.3.5, bubblewrap 0.8) as far as gpubuild listens; files in one
folder tell them what to say, and record what they were asked.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from buildtool.compat.assemble import plan_rootfs
from buildtool.compat.model import PlanCompiler, PlanToolkit
from buildtool.compat.rootfs import rootfs_row

# `apt-get indextargets` of a machine with Debian's archive, its security archive and a stranger's.
TARGETS = """\
http://mirror.test/debian-security/ bookworm-security main
http://packages.test/tools/ bookworm main
http://mirror.test/debian/ bookworm main
http://mirror.test/debian/ bookworm-updates main
"""
PACKAGES = {"hipcc": "7.0.2+dfsg-3", "librocblas-dev": "6.4.4-4", "g++": "4:16-1"}

APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$(dirname "$0")/asked"
case " $* " in
*" indextargets "*) cat "$(dirname "$0")/targets" ;;
*" update "*) if test -e "$(dirname "$0")/update-fails"; then cat "$(dirname "$0")/update-fails"; exit 100; fi ;;
*" install "*)
    cp "$APT_CONFIG" "$(dirname "$0")/apt.conf"
    cat "$(dirname "$0")/uris"
    if test -e "$(dirname "$0")/install-fails"; then cat "$(dirname "$0")/install-fails"; exit 100; fi ;;
esac
"""
APT_CONFIG = """#!/bin/sh
cat <<'END'
Acquire "";
Acquire::IndexTargets::deb::Packages::Optional "0";
Acquire::http::Proxy "http://proxy.test:3128/";
Dir::Cache "var/cache/apt";
END
"""
# Runs the hook as mmdebstrap does, "fetches" into the cache the hook links, and unpacks compilers that are files.
MMDEBSTRAP = """#!/bin/sh
echo "mmdebstrap $*" >> "$(dirname "$0")/asked"
for word in "$@"; do
    case "$word" in --setup-hook=*) hook="${word#--setup-hook=}" ;; esac
    tree="$sources"; sources="$word"
done
cp "$sources" "$(dirname "$0")/suite.sources"
"$hook" "$tree"
ls "$tree/var/cache/apt/archives/" > "$(dirname "$0")/found"
echo "I: downloading packages with apt..."
cp "$(dirname "$0")"/debs/* "$tree/var/cache/apt/archives/"
if test -e "$(dirname "$0")/bootstrap-fails"; then cat "$(dirname "$0")/bootstrap-fails"; exit 25; fi
echo "I: extracting archives..."
mkdir -p "$tree/etc" "$tree/dev" "$tree/usr/lib/llvm-21/bin"
for name in g++-16 gcc-16 ccache g++-11 gcc-11 nvcc glslc; do echo "$name" > "$tree/usr/bin/$name"; done
mkdir -p "$tree/usr/include/vulkan" "$tree/usr/share/cmake/SPIRV-Headers" "$tree/usr/lib/x86_64-linux-gnu"
touch "$tree/usr/include/vulkan/vulkan.hpp" "$tree/usr/share/cmake/SPIRV-Headers/SPIRV-HeadersConfig.cmake"
touch "$tree/usr/lib/x86_64-linux-gnu/libvulkan.so"
printf '#!/bin/sh\nprintf "%%s\\n" "$@"\n' > "$tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
chmod 755 "$tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
echo clang > "$tree/usr/lib/llvm-21/bin/clang++"
echo "I: success in 0.1 seconds"
"""
BWRAP = """#!/bin/sh
if test -e "$(dirname "$0")/bwrap-fails"; then cat "$(dirname "$0")/bwrap-fails" >&2; exit 1; fi
echo "bwrap $*" >> "$(dirname "$0")/asked"
"""
# The control files of a package, which tell what it is and which files it brings.
DPKG_DEB = """#!/bin/sh
name="$(basename "$2" | cut -d_ -f1)"
version="$(basename "$2" | cut -d_ -f2 | sed s/%3a/:/)"
test -z "$4" || test "$name" != "g++" || { echo "dpkg-deb: error: no 'md5sums'"; exit 2; }
printf 'Package: %s\nVersion: %s\nSource: rocm-%s (1.0)\nArchitecture: amd64\n' "$name" "$version" "$name"
test -z "$4" || printf 'd41d8cd98f00b204e9800998ecf8427e  usr/lib/lib%s.so.1 x\n' "$name"
"""
NO_NAMESPACES = "bwrap: No permissions to create new namespace, likely because the kernel does not allow it.\n"


class Debian:
    """The folder the programs lie in, and what they say."""

    def __init__(self, folder: Path) -> None:
        """Write the programs into the empty folder `folder`."""
        self.folder = folder
        for name, text in {
            "apt-get": APT_GET, "apt-config": APT_CONFIG, "mmdebstrap": MMDEBSTRAP, "bwrap": BWRAP,
            "dpkg-deb": DPKG_DEB,
        }.items():  # fmt: skip
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o755)
        (folder / "debs").mkdir()
        self.say("targets", TARGETS)
        self.say("uris", self.uris())

    def uris(self, unpacked: str = "5114 MB") -> str:
        """Make the packages, and return what ``apt-get --print-uris`` says of them."""
        lines = ["Reading package lists...", f"After this operation, {unpacked} of additional disk space will be used."]
        for name, version in PACKAGES.items():
            filename = f"{name}_{version.replace(':', '%3a')}_amd64.deb"
            content = f"{name} {version}".encode()
            (self.folder / "debs" / filename).write_bytes(content)
            url = f"http://mirror.test/debian/pool/main/{name[0]}/{name}/{filename.replace('%3a', '%253a')}"
            lines.append(f"'{url}' {filename} {len(content)} SHA256:{hashlib.sha256(content).hexdigest()}")
        return "\n".join(lines) + "\n"

    def say(self, name: str, text: str) -> None:
        """Let a program say something; ``*-fails`` makes it fail with that."""
        (self.folder / name).write_text(text, "utf-8")

    def unsay(self, name: str) -> None:
        """Take that back."""
        (self.folder / name).unlink()

    def asked(self, program: str) -> list[str]:
        """Return the command lines of a program, oldest first."""
        asked = self.folder / "asked"
        lines = asked.read_text("utf-8").splitlines() if asked.exists() else []
        return [line for line in lines if line.startswith(f"{program} ")]


def rocm() -> PlanToolkit:
    """Return ROCm of sid as a plan names it, its packages still open."""
    return made_of("rocm-7.0-sid")


def made_of(name: str) -> PlanToolkit:
    """Return the toolkit of a row as a plan names it, its packages still open."""
    row = rootfs_row(name)
    assert row is not None
    return PlanToolkit(kind=row.kind, version=row.version, provider="rootfs", rootfs=plan_rootfs(row))


def compiler() -> PlanCompiler:
    """Return the host compiler inside."""
    return PlanCompiler(family="gcc", version="16", cxx="/usr/bin/g++-16", cc="/usr/bin/gcc-16")
