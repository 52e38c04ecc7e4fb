"""The bytes of one entry of a ZIP: those methods that need no 7-Zip."""

from __future__ import annotations

import bz2
import zlib
from typing import IO

from casestudy.cleaning.zip_index import ZipEntry, read_at

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_NOT_HERE = 0x2061  # flags: encrypted, patched data, strong encryption, masked headers


def is_folder(entry: ZipEntry, name: str) -> bool:
    """Returns whether an entry is one: by its name, or by its attributes where it has no bytes."""
    return entry.is_dir or name.endswith("/")


def can_unpack(entry: ZipEntry) -> bool:
    """Returns whether `unpack` knows the method."""
    return entry.method in (_STORED, _DEFLATED, _BZIP2) and not entry.flags & _NOT_HERE


def unpack(file: IO[bytes], start: int, entry: ZipEntry, total: int) -> tuple[bytes, int, str]:
    """Returns (bytes, where they end in the file, what is wrong with them or nothing).

    Args:
        file: The archive, of `total` bytes.
        start: Where the entry's bytes begin.
        entry: Its size and checksum are what the bytes are held against.
        total: The archive's length in bytes.
    """
    packed = read_at(file, start, min(entry.packed, total - start))
    data, rest = packed, b""
    if len(packed) < entry.packed:
        return b"", start + len(packed), "is cut short"
    if entry.method != _STORED:
        machine = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else bz2.BZ2Decompressor()
        try:
            data = machine.decompress(packed, entry.size + 1)
        except (zlib.error, OSError, EOFError, ValueError):
            return b"", start + len(packed), "cannot be unpacked"
        rest = machine.unused_data  # could hide an entry
    return data, start + len(packed) - len(rest), misfit(entry, data)


def misfit(entry: ZipEntry, data: bytes) -> str:
    """Returns what is wrong with an entry's bytes, or nothing."""
    if len(data) != entry.size:
        return "is cut short" if len(data) < entry.size else "is longer than its index says"
    if entry.checksum is not None and zlib.crc32(data) != entry.checksum:
        return "fails its checksum"
    return ""
