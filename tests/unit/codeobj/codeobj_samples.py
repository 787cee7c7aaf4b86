"""AMD and Windows samples, put together byte by byte after the public format descriptions."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec

FIXTURES = Path(__file__).parents[2] / "fixtures" / "codeobj"
HOST_ID = "host-x86_64-unknown-linux-gnu-"


def hip_id(target: str) -> str:
    return f"hipv4-amdgcn-amd-amdhsa--{target}"


def elf64(machine: int, flags: int = 0, *, osabi: int = 0, abiversion: int = 0, body: bytes = b"") -> bytes:
    """An ELF header (no sections) followed by `body`."""
    ident = b"\x7fELF" + bytes([2, 1, 1, osabi, abiversion]) + bytes(7)
    return ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 0, 0, flags, 64, 56, 0, 64, 0, 0) + body


def code_object(mach: int, features: int = 0, *, version: int = 5, generic: int = 0, size: int = 256) -> bytes:
    flags = mach | features << 8 | generic << 24
    return elf64(224, flags, osabi=64, abiversion=version - 2, body=bytes(size - 64))


def bundle(entries: list[tuple[str, bytes]], alignment: int = 4096) -> bytes:
    """A clang offload bundle: directory, then aligned payloads."""
    names = [name.encode() for name, _ in entries]
    directory = 24 + 8 + sum(24 + len(name) for name in names)
    head = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(entries))
    position, payload = directory, b""
    for (_, data), name in zip(entries, names, strict=True):
        padding = -position % alignment if data else 0
        payload += bytes(padding) + data
        head += struct.pack("<QQQ", position + padding, len(data), len(name)) + name
        position += padding + len(data)
    return head + payload


def ccob(plain: bytes, version: int, method: str) -> bytes:
    """Compress a bundle the way clang does."""
    if method == "zlib":
        data = zlib.compress(plain)
    else:
        from buildtool.codeobj.codec import zstd_module

        data = zstd_module().compress(plain)
    code = {"zlib": 0, "zstd": 1}[method]
    layouts = {1: "<IQ", 2: "<IIQ", 3: "<QQQ"}
    total = 8 + struct.calcsize(layouts[version]) + len(data)
    fields = (len(plain), 0) if version == 1 else (total, len(plain), 0)
    return b"CCOB" + struct.pack("<HH", version, code) + struct.pack(layouts[version], *fields) + data


def library(sections: dict[str, bytes], *, order: str = "<", machine: int = 62, flags: int = 0) -> bytes:
    """A 64-bit ELF shared object with the given sections and a section table at its end."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in sections) + b".shstrtab\0"
    position, body, rows, name_at = 64, b"", [(0, 0, 0, 0)], 1
    for name, data in [*sections.items(), (".shstrtab", names)]:
        padding = -position % 16
        body += bytes(padding) + data
        kind = {".shstrtab": 3, ".note": 7}.get(name, 1)
        rows.append((name_at, kind, position + padding, len(data)))
        position += padding + len(data)
        name_at += len(name) + 1
    table = b"".join(struct.pack(order + "IIQQQQIIQQ", n, t, 0, 0, o, s, 0, 0, 1, 0) for n, t, o, s in rows)
    osabi, abiversion = (64, 3) if machine == 224 else (0, 0)
    ident = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1, osabi, abiversion]) + bytes(7)
    head = struct.pack(
        order + "HHIQQQIHHHHHH", 3, machine, 1, 0, 0, 64 + len(body), flags, 64, 56, 0, 64, len(rows), len(rows) - 1
    )
    return ident + head + body + table


def metadata_note(kernels: list[str]) -> bytes:
    """The note AMD's compilers leave: a msgpack document with the kernels' names."""
    document = msgspec.msgpack.encode({"amdhsa.version": [1, 2], "amdhsa.kernels": [{".name": k} for k in kernels]})
    return struct.pack("<III", 7, len(document), 32) + b"AMDGPU\0\0" + document + bytes(-len(document) % 4)


def packed_kpack(library_name: str, objects: dict[str, bytes]) -> bytes:
    """A kernel archive with a zstd frame per blob."""
    from buildtool.codeobj.codec import zstd_module

    body, toc = struct.pack("<I", len(objects)), {}
    for ordinal, (target, data) in enumerate(objects.items()):
        frame = zstd_module().compress(data)
        toc[target] = {"type": "hsaco", "ordinal": ordinal, "original_size": len(data)}
        body += struct.pack("<I", len(frame)) + frame
    table = {
        "format_version": 1,
        "compression_scheme": "zstd-per-kernel",
        "zstd_offset": 64,
        "zstd_size": len(body),
        "toc": {library_name: toc},
    }
    return struct.pack("<4sIQ", b"KPAK", 1, 64 + len(body)) + bytes(48) + body + msgspec.msgpack.encode(table)


def kpack(library_name: str, objects: dict[str, bytes]) -> bytes:
    """A kernel archive with uncompressed blobs."""
    body, blobs, toc = b"", [], {}
    for ordinal, (target, data) in enumerate(objects.items()):
        blobs.append({"offset": 64 + len(body), "size": len(data)})
        toc[target] = {"type": "hsaco", "ordinal": ordinal, "original_size": len(data)}
        body += data + bytes(-len(data) % 64)
    table = {"format_version": 1, "compression_scheme": "none", "blobs": blobs, "toc": {library_name: toc}}
    return struct.pack("<4sIQ", b"KPAK", 1, 64 + len(body)) + bytes(48) + body + msgspec.msgpack.encode(table)


def offload_binary(target: str, data: bytes) -> bytes:
    """An LLVM offload binary with one AMD object."""
    texts = [b"triple\0", b"amdgcn-amd-amdhsa\0", b"arch\0", target.encode() + b"\0"]
    strings_at, text_at = 32 + 40, 32 + 40 + 32
    places, position = [], text_at
    for text in texts:
        places.append(position)
        position += len(text)
    position += -position % 8
    entry = struct.pack("<HHIQQQQ", 1, 4, 0, strings_at, 2, position, len(data))
    head = struct.pack("<4sIQQQ", b"\x10\xff\x10\xad", 1, position + len(data), 32, 40)
    pairs = struct.pack("<QQQQ", *places)
    plain = head + entry + pairs + b"".join(texts)
    return plain + bytes(position - len(plain)) + data


def spirv(version: int = 0x10500) -> bytes:
    """A SPIR-V module: a capability, and a function of nothing but its end."""
    return struct.pack("<IIIII", 0x07230203, version, 0, 8, 0) + struct.pack("<III", 2 << 16 | 17, 1, 1 << 16 | 56)


def dll(sections: dict[str, bytes]) -> bytes:
    """A PE image with the given sections; names keep eight characters, as in every DLL."""
    header = bytearray(b"MZ" + bytes(58) + struct.pack("<I", 64))
    header += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 0, 0x2022)
    position = len(header) + 40 * len(sections)
    body = b""
    for name, data in sections.items():
        raw = name.encode()[:8].ljust(8, b"\0")
        header += raw + struct.pack("<IIIIIIHHI", len(data), 0x1000, len(data), position + len(body), 0, 0, 0, 0, 0)
        body += data
    return bytes(header) + body
