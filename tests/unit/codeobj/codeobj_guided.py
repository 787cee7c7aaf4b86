"""Damaged input, guided by coverage: ``python codeobj_guided.py SECONDS CORPUS`` (needs `atheris` from a registry).

The reader and the planning of both rewriters are given each input, in memory. CORPUS is a folder that starts with the
samples and keeps what reached new code; findings are written beside it.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["buildtool.codeobj"], enable_loader_override=False):
    from buildtool.codeobj import details, fileplan, reader, rewrite, view  # noqa: F401 - instrumented on import
    from buildtool.codeobj.keep import Keep

from codeobj_fuzz import readable, samples

from buildtool.errors import GpubuildError

PAIR = rewrite.Pair("gfx1030", "gfx1032")
NAMES = ("x.so", "x.tar.zst", "x.o", "TensileLibrary_lazy_gfx1030.dat")
OPTIONS = ("-max_len=65536", "-timeout=20", "-rss_limit_mb=1024", "-print_final_stats=1")


def one_input(data: bytes) -> None:
    """Read it, plan its thinning and its retargeting; anything but a refusal is a finding."""
    if not data:
        return
    name = NAMES[data[-1] % len(NAMES)]
    collector = reader._Collector(kernels=True)
    collector.visit(view.BytesView(data), name)
    for file in collector.files:
        for image in file.images:
            if image.container != "ccob" and image.offset + image.bytes > file.bytes:
                raise AssertionError(image)
    with contextlib.suppress(GpubuildError):
        fileplan.planned(view.BytesView(data), name, Keep(("gfx1030", "sm_90")), single=True)
    with contextlib.suppress(GpubuildError):
        rewrite.edits(view.BytesView(data), name, PAIR)


def main(seconds: int, corpus: Path) -> None:
    """Search for some time."""
    corpus.mkdir(parents=True, exist_ok=True)
    for name, content in (samples() | readable()).items():
        (corpus / f"sample-{name}").write_bytes(content)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus.parent}/", *OPTIONS]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
