"""A make-believe container engine: a program named podman or docker that records what it is asked.

It has one image. Commands "in" it run on this machine, with the environment that gpubuild hands over; the shell that
gpubuild puts around a command is left out, since here it would be no container's first process.
"""

from __future__ import annotations

from pathlib import Path

from buildtool.probe.model import ContainerImage

ID = "0123456789abcdef" * 4
ENGINE = """#!/bin/sh
here="$(dirname "$0")"
name="$(basename "$0")"
case "$1" in --log-level=*) shift ;; *) if test -e "$here/warns"; then cat "$here/warns" >&2; fi ;; esac
echo "$name $*" >> "$here/asked"
if test -e "$here/$name-$1-fails"; then cat "$here/$name-$1-fails" >&2; exit 125; fi
case "$1" in
version) echo 4.3.1 ;;
image)
    for last; do :; done
    if test "$last" = gcc:12; then echo "$(cat "$here/id") $(cat "$here/machine")"; exit; fi
    echo "Error: inspecting object: $last: image not known" >&2; exit 125 ;;
run)
    case " $* " in *" --detach "*) echo container-1; exit ;; esac
    while test "$1" != "sha256:$(cat "$here/id")"; do
        case "$1" in --workdir=*) cd "${1#--workdir=}" ;; esac
        shift
    done
    if test -e "$here/elsewhere"; then exit; fi
    shift 4
    eval "$GPUBUILD_INSIDE"
    exec "$@" ;;
exec)
    shift 2
    PATH="$here/inside:/usr/bin:/bin" exec "$@" ;;
esac
"""


class Engine:
    """The folder the engine lies in; `inside` is what the image has on its PATH."""

    def __init__(self, folder: Path, *names: str) -> None:
        """Write the engines `names` into the empty folder `folder`."""
        self.folder = folder
        for name in names:
            self.program(folder / name, ENGINE)
        (folder / "id").write_text(ID)
        (folder / "machine").write_text("amd64")
        version = 'test "$1" = -dumpfullversion && echo 12.2.0'
        for name in ("g++", "gcc"):
            self.program(folder / "inside" / name, f"#!/bin/sh\n{version}\n")

    def program(self, path: Path, text: str) -> Path:
        """Write a program."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755)
        return path

    def cuda(self, version: str) -> Path:
        """Put a CUDA toolkit into the image; return its root there."""
        root = self.folder / "inside" / "cuda"
        self.program(
            root / "bin" / "nvcc", f"#!/bin/sh\necho Cuda compilation tools, release {version[:4]}, V{version}\n"
        )
        for path in ("bin/nvcc.profile", "include/cuda_runtime.h", "include/cublas_v2.h"):
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).touch()
        self.program(self.folder / "inside" / "env", f'#!/bin/sh\nCUDA_PATH="{root}" exec /usr/bin/env "$@"\n')
        return root

    def say(self, name: str, text: str) -> None:
        """Change what there is, or what goes wrong: ``podman-run-fails``, ``warns``, ``elsewhere``."""
        (self.folder / name).write_text(text, "utf-8")

    def asked(self, word: str) -> list[str]:
        """Return the command lines of the engine with this first argument."""
        path = self.folder / "asked"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [line for line in lines if line.split()[1] == word]


def image(name: str = "podman://gcc:12") -> ContainerImage:
    """Return the image as a plan names it."""
    return ContainerImage(name=name, id=f"sha256:{ID}")
