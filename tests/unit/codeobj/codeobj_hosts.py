"""AMD code objects with notes, and host binaries with device code in the middle, as linkers lay them out."""

from __future__ import annotations

import struct

import msgspec
from codeobj_samples import HOST_ID, bundle, elf64, hip_id, library

MACH = {"gfx900": 0x2C, "gfx1030": 0x36, "gfx1031": 0x37, "gfx1032": 0x38, "gfx1100": 0x41, "gfx1101": 0x46}
PAGE = 4096
HIPF = 0x48495046
NVF = 0x466243B1


def note(target: str, kernels: list[str]) -> bytes:
    """The metadata note of one linked object, with the target in words."""
    document = {
        "amdhsa.kernels": [{".name": name} for name in kernels],
        "amdhsa.target": f"amdgcn-amd-amdhsa--{target}",
        "amdhsa.version": [1, 2],
    }
    packed = msgspec.msgpack.encode(document)
    return struct.pack("<III", 7, len(packed), 32) + b"AMDGPU\0\0" + packed + bytes(-len(packed) % 4)


def gfx_object(target: str, *, kernels: tuple[str, ...] = ("k",), body: bytes = b"code" * 64, notes: int = 1) -> bytes:
    """A code object with as many notes as objects were linked into it; a kernel's name may name a processor."""
    chip = target.split(":", maxsplit=1)[0]
    content = {".note": note(target, list(kernels)) * notes, ".text": body}
    return library(content, machine=224, flags=MACH[chip])


def hip_bundle(*targets: str, body: bytes = b"code" * 64) -> bytes:
    entries = [(HOST_ID, b""), *((hip_id(target), gfx_object(target, body=body)) for target in targets)]
    return bundle(entries)


def joined(parts: list[bytes], align: int = PAGE) -> tuple[bytes, list[int]]:
    """Containers one after the other, as the linker joins them, and where each starts."""
    data, starts = b"", []
    for part in parts:
        data += bytes(-len(data) % align)
        starts.append(len(data))
        data += part
    return data, starts


def wrappers(magic: int, addresses: list[int]) -> bytes:
    return b"".join(struct.pack("<IIQQ", magic, 1, address, 0) for address in addresses)


def shared_object(
    containers: list[bytes],
    *,
    magic: int = HIPF,
    fat: str = ".hip_fatbin",
    relocated: bool = True,
    missing: int = 0,
    packed: bool = False,
    stranger: bool = False,
) -> bytes:
    """A shared object: read-only data, device code and more read-only data in one segment, records in the next.

    Args:
        containers: what the device code section holds.
        magic: how the host code's records start.
        fat: name of the section.
        relocated: the records get their addresses by relocations, else they hold them.
        missing: how many containers no record names.
        packed: the relocations are in the packed form; the records hold their addresses.
        stranger: a word behind the records points into the device code as well.
    """
    device, starts = joined(containers, PAGE if magic == HIPF else 8)
    fat_at = PAGE
    after_at = fat_at + len(device) + -len(device) % 16
    after = b"after the device code" * 9
    relocations_at = after_at + len(after) + -len(after) % 8
    address = fat_at  # of the read-only segment: addresses are offsets
    pointed = starts[: len(starts) - missing]
    gap = 0x1000  # the second segment's addresses run ahead of its offsets, as lld's do
    in_table = relocated and not packed
    count = len(pointed) if relocated else 0
    records_at = relocations_at + 24 * count
    records_at += -records_at % 16
    data = wrappers(magic, [0 if in_table else start + address for start in pointed])
    fields = [records_at + gap + 24 * number + 8 for number in range(len(pointed))]
    if stranger:
        fields.append(records_at + gap + len(data))
        data += struct.pack("<Q", address + 64)
    table = b"".join(
        struct.pack("<QQq", records_at + gap + 24 * number + 8, 8, start + address)
        for number, start in enumerate(pointed)
    )
    if packed:
        table = struct.pack("<QQ", fields[0], 1 | sum(2 << (at - fields[0]) // 8 - 1 for at in fields[1:]))
    symbols = struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0) + b"".join(
        struct.pack("<IBBHQQ", 1, 1, 0, 2, start + address, 1) for start in starts
    )
    segment = ".hipFatBinSegment" if magic == HIPF else ".nvFatBinSegment"
    rows = [
        (".rodata", 1, 0x200, b"read only data", 0, 0),
        (fat, 1, fat_at, device, 0, 0),
        (".eh_frame", 1, after_at, after, 0, 0),
        (".relr.dyn", 19, relocations_at, table, 0, 8) if packed else (".rela.dyn", 4, relocations_at, table, 0, 24),
        (segment, 1, records_at, data, gap, 0),
    ]
    return _elf(rows, symbols, records_at, gap)


def _elf(rows: list[tuple[str, int, int, bytes, int, int]], symbols: bytes, second: int, gap: int) -> bytes:
    end = max(offset + len(data) for _, _, offset, data, *_ in rows)
    tail = [(".symtab", 2, symbols), (".strtab", 3, b"\0sym\0")]
    names, placed = b"\0", []
    for name, kind, offset, data, ahead, size in rows:
        placed.append((name, kind, offset, data, offset + ahead, size, 0))
    for name, kind, data in tail:
        end += -end % 8
        placed.append((name, kind, end, data, 0, 24 if kind == 2 else 0, 7 if kind == 2 else 0))
        end += len(data)
    image = bytearray(end)
    headers = [bytes(64)]
    for name, kind, offset, data, address, size, link in placed:
        image[offset : offset + len(data)] = data
        headers.append(struct.pack("<IIQQQQIIQQ", len(names), kind, 2, address, offset, len(data), link, 0, 1, size))
        names += name.encode() + b"\0"
    at = len(image)
    headers.append(struct.pack("<IIQQQQIIQQ", len(names), 3, 0, 0, at, len(names) + 11, 0, 0, 1, 0))
    image += names + b".shstrtab\0" + b"\0"
    image += bytes(-len(image) % 8)
    shoff = len(image)
    image += b"".join(headers)
    last = next(row for row in rows if row[2] == second)
    loads = [
        struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, second, second, PAGE),
        struct.pack("<IIQQQQQQ", 1, 6, second, second + gap, second + gap, len(last[3]), len(last[3]) + 64, PAGE),
        struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16),
    ]
    head = elf64(62)[:16] + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, shoff, 0, 64, 56, len(loads), 64, len(headers), len(headers) - 1
    )
    image[: len(head)] = head
    image[64 : 64 + 56 * len(loads)] = b"".join(loads)
    return bytes(image)


def at_address(image: bytes, address: int, length: int) -> bytes:
    """What a loader puts at an address: by the program headers alone."""
    (phoff,) = struct.unpack_from("<Q", image, 32)
    (count,) = struct.unpack_from("<H", image, 56)
    for number in range(count):
        kind, _, offset, start, _, filesz, _, _ = struct.unpack_from("<IIQQQQQQ", image, phoff + 56 * number)
        if kind == 1 and start <= address < start + filesz:
            return image[offset + address - start :][:length]
    return b""


BASE = 0x180000000
FILE_ALIGNMENT = 0x200


def relocations(addresses: list[int]) -> bytes:
    """A table of the 64-bit pointers that Windows relocates, a block for each."""
    return b"".join(struct.pack("<IIHH", at & ~0xFFF, 12, 10 << 12 | at & 0xFFF, 0) for at in addresses)


def windows_library(
    containers: list[bytes], *, magic: int = HIPF, signature: bytes = b"", stranger: int | None = None
) -> bytes:
    """A DLL: read-only data, device code, the records, relocations, and a debug directory; perhaps signed.

    Args:
        containers: what the device code section holds.
        magic: how the host code's records start.
        signature: what stands behind the image.
        stranger: an offset in the device code that a pointer of the data section names.
    """
    device, starts = joined(containers, PAGE if magic == HIPF else 8)
    fat, segment = (b".hip_fat", b".hipFatB") if magic == HIPF else (b".nv_fatb", b".nvFatBi")
    address, raw, rows, body = 0x1000, 0x400, [], b""
    debug = struct.pack("<IIHHIIII", 0, 0, 0, 0, 2, 16, 0, 0)
    for name, data in (
        (b".rdata", debug + b"read only data"),
        (fat, device),
        (segment, b""),
        (b".data", b"pdbpath" * 4 + bytes(4) + bytes(8)),
        (b".reloc", b""),
    ):
        content = data
        if name == segment:
            content = wrappers(magic, [BASE + rows[1][1] + start for start in starts])
        elif name == b".data" and stranger is not None:
            content = data[:-8] + struct.pack("<Q", BASE + rows[1][1] + stranger)
        elif name == b".reloc":
            fields = [rows[2][1] + 24 * number + 8 for number in range(len(starts))]
            content = relocations([*fields, *([rows[3][1] + 32] if stranger is not None else [])])
        padded = content + bytes(-len(content) % FILE_ALIGNMENT)
        rows.append((name, address, len(content), raw, len(padded)))
        body += padded
        address += -(-len(content) // PAGE) * PAGE
        raw += len(padded)
    image = bytearray(b"MZ" + bytes(58) + struct.pack("<I", 64))
    image += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(rows), 0, 0, 0, 240, 0x2022)
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<QII", optional, 24, BASE, PAGE, FILE_ALIGNMENT)
    struct.pack_into("<II", optional, 56, address, 0x400)
    struct.pack_into("<I", optional, 64, 0xABCD)
    struct.pack_into("<I", optional, 108, 16)
    struct.pack_into("<II", optional, 112 + 8 * 6, rows[0][1], len(debug))
    struct.pack_into("<II", optional, 112 + 8 * 5, rows[4][1], rows[4][2])
    if signature:
        struct.pack_into("<II", optional, 112 + 8 * 4, raw, len(signature))
    image += optional
    for name, at, size, place, length in rows:
        image += struct.pack("<8sIIIIIIHHI", name, size, at, length, place, 0, 0, 0, 0, 0)
    image += bytes(0x400 - len(image))
    image += body
    struct.pack_into("<I", image, 0x400 + 24, rows[3][3])  # the debug entry's own file offset
    return bytes(image) + signature


def at_rva(image: bytes, rva: int, length: int) -> bytes:
    """What Windows puts at an address relative to the image, by the section table alone."""
    (header,) = struct.unpack_from("<I", image, 0x3C)
    count, optional = struct.unpack_from("<H", image, header + 6)[0], struct.unpack_from("<H", image, header + 20)[0]
    for number in range(count):
        row = struct.unpack_from("<8sIIIIIIHHI", image, header + 24 + optional + 40 * number)
        _, size, at, raw_size, raw, *_ = row
        if at <= rva < at + max(size, raw_size):
            data = image[raw : raw + raw_size].ljust(max(size, raw_size), b"\0")
            return data[rva - at :][:length]
    return b""
