"""Damaged input for `inspect`, `thin` and `retarget`: ``python codeobj_fuzz.py SECONDS [SEED]``.

More than a refusal is looked for. Every sample is changed at a few places (bytes, numbers of all widths, cuts, repeats)
and given to all commands. Memory is bounded, so that an allocation that follows a lying size fails here.
"""

from __future__ import annotations

import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
from codeobj_archives import archives
from codeobj_hosts import NVF, gfx_object, hip_bundle, shared_object, windows_library
from codeobj_samples import FIXTURES, ccob, kpack, library, offload_binary, packed_kpack, spirv

from buildtool.codeobj import inspect, judge, restore, retarget, thin
from buildtool.errors import GpubuildError

SLOW_S = 10.0
GROWTH = 64 << 10
ROOM = 3 << 30  # of address space: a zstd window takes 2 GiB of it where a stream claims the largest
INTERESTING = (0, 1, 2, 3, 7, 0x7F, 0xFF, 0x1000, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


def samples() -> dict[str, bytes]:
    """One of everything that is rewritten, small enough that a change hits something that matters."""
    bundle = hip_bundle("gfx900", "gfx1030")
    fatbins = [(FIXTURES / name).read_bytes() for name in ("targets.fatbin", "zstd.fatbin", "plain.fatbin")]
    index = {"value": "gfx1030", "rows": ["TensileLibrary_Type_SS_gfx1030"]}
    return {
        "x.hsaco": gfx_object("gfx1030", notes=2),
        "x.hipfb": bundle,
        "x.so": shared_object([bundle, hip_bundle("gfx1030")]),
        "packed-pointers.so": shared_object([bundle, bundle], packed=True),
        "static.so": shared_object([bundle, bundle], relocated=False),
        "nv.so": shared_object(fatbins, magic=NVF, fat=".nv_fatbin"),
        "x.dll": windows_library([bundle, hip_bundle("gfx1030")], signature=b"signed"),
        "nv.dll": windows_library(fatbins, magic=NVF),
        "packed.so": shared_object([ccob(bundle, 3, "zstd"), ccob(bundle, 2, "zlib")]),
        "one.ccob": ccob(bundle, 1, "zstd"),
        "two.ccob": ccob(bundle, 2, "zlib"),
        "x.fatbin": fatbins[0],
        "x.kpack": kpack("lib", {"gfx1030": gfx_object("gfx1030")}),
        "packed.kpack": packed_kpack("lib", {"gfx1030": gfx_object("gfx1030"), "gfx900": gfx_object("gfx900")}),
        "loose.so": library({".data": bundle}),
        "x.o": library({".llvm.offloading": offload_binary("gfx1030", gfx_object("gfx1030"))}),
        "TensileLibrary_lazy_gfx1030.dat": msgspec.msgpack.encode(index),
    }


def readable() -> dict[str, bytes]:
    """What is read only: other fat binaries, objects of both systems, and archives around small libraries."""
    names = ("lz4.fatbin", "lto.fatbin", "sm_75.cubin", "sm_90a.cubin", "linux.o", "relocatable.o")
    found = {name: (FIXTURES / name).read_bytes() for name in names}
    inner = {"lib/x.so": shared_object([hip_bundle("gfx1030")]), "x.fatbin": (FIXTURES / "plain.fatbin").read_bytes()}
    return found | {"x.spv": spirv(), "shaders.so": library({".rodata": b"words" + spirv() * 3})} | archives(inner)


def damaged(content: bytes, pick: Callable[[int], int]) -> bytes:
    """Change a sample at up to four places; `pick(n)` chooses a number below n."""
    data = bytearray(content)
    for _ in range(1 + pick(4)):
        at = pick(len(data)) if pick(3) else pick(min(len(data), 512))
        kind = pick(6)
        if kind == 0:
            data[at] = pick(256)
        elif kind == 1:
            width = (2, 4, 8)[pick(3)]
            value = INTERESTING[pick(len(INTERESTING))] % (1 << 8 * width)
            place = at // width * width
            data[place : place + width] = value.to_bytes(width, "little")
        elif kind == 2:
            del data[max(1, at) :]
        elif kind == 3:
            data[at:at] = data[at : at + 1 + pick(64)]
        elif kind == 4:
            (old,) = struct.unpack_from("<I", data.ljust(at + 4, b"\0"), at)
            data[at : at + 4] = struct.pack("<I", (old + (1, -1, 8, -8, 4096)[pick(5)]) % (1 << 32))
        else:
            del data[at : at + 1 + pick(16)]
        data = data or bytearray(b"\0")
    return bytes(data)


def check_reading(source: Path) -> str:
    """Read one file as the command does, kernels and verdicts included; return what became of it.

    Raises:
        AssertionError: an image that does not lie where it is said to lie.
        Exception: whatever is no refusal.
    """
    try:
        found = inspect(source, kernels=True)
    except GpubuildError as error:
        return error.kind
    for device in ("sm_90", "gfx1032"):
        judge(found, device)
    for file in found.files:
        for image in file.images:
            assert image.offset >= 0 <= image.bytes
            if image.container != "ccob":
                assert image.offset + image.bytes <= file.bytes, image
    msgspec.json.encode(found)
    return "read with problems" if found.problems else "read"


def check(name: str, content: bytes, folder: Path) -> str:
    """Give one file to all commands; return what became of it.

    Raises:
        AssertionError: a result that is larger than it may be, or something written elsewhere.
        Exception: whatever is no refusal.
    """
    source = folder / name
    source.write_bytes(content)
    outcome = []
    for number, command in enumerate(
        (
            lambda out: thin(source, ["gfx1030", "sm_90"], out),
            lambda out: retarget(source, "gfx1030", "gfx1032", out, thinned=False),
            lambda out: retarget(source, "gfx1030", "gfx1032", out, thinned=True),
        )
    ):
        out = folder / f"out{number}"
        try:
            command(out)
        except GpubuildError as error:
            outcome.append(error.kind)
            assert not out.exists()
        else:
            outcome.append("done")
            assert out.stat().st_size <= len(content) + GROWTH
            if number == 1:
                _back(source, out, content)
    outcome.append(check_reading(source))
    assert source.read_bytes() == content
    results = {"out0", "out1", "out2", "undone", "again"}
    left = {path.name.removesuffix(".retarget.json") for path in folder.iterdir()}
    assert left <= {name, source.with_stem(f"{source.stem}-new").name, *results}, left
    for path in folder.iterdir():
        path.unlink()
    return "/".join(outcome)


def _back(source: Path, out: Path, content: bytes) -> None:
    """Undo by the manifest; and where nothing else names the new processor, by retargeting back."""
    undone, again = out.with_name("undone"), out.with_name("again")
    restore(out, out.with_name(f"{out.name}.retarget.json"), undone)
    assert undone.read_bytes() == content
    if b"CCOB" in content or b"gfx1032" in content:  # compressed again, or not all of it ours
        return
    named = out.rename(source.with_stem(f"{source.stem}-new"))  # tables are told by their names
    retarget(named, "gfx1032", "gfx1030", again, thinned=False)
    assert again.read_bytes() == content


def run(seconds: float, seed: int) -> int:
    """Look for failures for so much processor time; print them and return how many there were."""
    chance, found = random.Random(seed), 0  # noqa: S311 - for tests
    originals = samples() | readable()
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        while time.process_time() < seconds:
            name = chance.choice(list(originals))
            content = damaged(originals[name], chance.randrange)
            started = time.process_time()
            try:
                tally[check(name, content, Path(place))] += 1
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                found += 1
                kept = Path(tempfile.gettempdir()) / f"codeobj-fuzz-{seed}-{found}-{name}"
                kept.write_bytes(content)
                print(f"{kept}: {type(error).__name__}: {error}", flush=True)  # noqa: T201
                for path in Path(place).iterdir():
                    path.unlink()
            if time.process_time() - started > SLOW_S:
                print(f"slow: {name}: {time.process_time() - started:.1f} s", flush=True)  # noqa: T201
    print(f"{sum(tally.values())} inputs in {seconds:.0f} s: {dict(tally)}; {found} failures")  # noqa: T201
    return found


def main(arguments: list[str]) -> int:
    """Run as the first line of this file says."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    return int(bool(run(float(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
