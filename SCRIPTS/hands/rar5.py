"""Writes stored RAR5 archives: every file as it is, nothing compressed, so a reader needs no decoder.

The layout follows RARLAB's public technical note on the RAR 5.0 archive format: a signature, then blocks. A block is
the CRC-32 of its header, the header's size, type and flags as variable-length integers, the type's own fields, and for
a file its data. Host system, attributes and times are fixed, so the same members give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

SIGNATURE = b"Rar!\x1a\x07\x01\x00"
MAIN, FILE, END = 1, 2, 5
HAS_DATA = 0x02  # header flag: a data area follows
HAS_MTIME, HAS_CRC = 0x02, 0x04  # file flags
STORED = 0  # compression word: version 0, method 0
UNIX = 1
REGULAR_FILE = 0o100644
EPOCH = 1_600_000_000  # the modification time of every member, in Unix seconds: 2020-09-13


def vint(number: int) -> bytes:
    """The number seven bits a byte, lowest first; the top bit says that more follow.

    >>> vint(0), vint(127), vint(128)
    (b'\\x00', b'\\x7f', b'\\x80\\x01')

    Raises:
        ValueError: the number is negative or needs more than 64 bits.
    """
    if not 0 <= number < 1 << 64:
        raise ValueError(f"RAR5 stores whole numbers from 0 to 2**64 - 1, not {number}; check the member's size.")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _block(kind: int, flags: int, fields: bytes, data: bytes = b"") -> bytes:
    """One block: checksum, size, type, flags, fields and, for files, the data."""
    body = vint(kind) + vint(flags) + (vint(len(data)) if flags & HAS_DATA else b"") + fields
    sized = vint(len(body)) + body
    return crc32(sized).to_bytes(4, "little") + sized + data


def _file_block(name: str, data: bytes) -> bytes:
    """A stored file under a UTF-8 name with `/` between folders."""
    encoded = name.encode("utf-8")
    fields = vint(HAS_MTIME | HAS_CRC) + vint(len(data)) + vint(REGULAR_FILE)
    fields += EPOCH.to_bytes(4, "little") + crc32(data).to_bytes(4, "little")
    fields += vint(STORED) + vint(UNIX) + vint(len(encoded)) + encoded
    return _block(FILE, HAS_DATA, fields, data)


def stored_rar5(members: Iterable[tuple[str, bytes]]) -> bytes:
    """The bytes of a RAR5 archive that holds the (name, data) members in the order given.

    Raises:
        ValueError: a name is empty, absolute, holds a backslash, or comes twice.
    """
    out, seen = [SIGNATURE, _block(MAIN, 0, vint(0))], set()
    for name, data in members:
        if not name or name.startswith("/") or "\\" in name or name in seen:
            raise ValueError(f"Member names are relative, unique and use '/', not {name!r}; rename the member.")
        seen.add(name)
        out.append(_file_block(name, data))
    out.append(_block(END, 0, vint(0)))
    return b"".join(out)
