"""A RAR whose index is broken, written again with the blocks that are whole: what no header lists is left out.

A RAR is a chain of blocks, each with a header and a checksum of it. Programs stop at the first broken link; here the
next whole one is searched for. Of a solid archive this helps little, since each file needs all before it.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from casestudy.cleaning.members import MAX_MEMBER_BYTES
from casestudy.cleaning.words import counted

MARKS = (b"Rar!\x1a\x07\x01\x00", b"Rar!\x1a\x07\x00")  # RAR5, RAR4
_MAIN = (b"\x03\x01\x00\x00", struct.pack("<BHH6x", 0x73, 0, 13))
_END = (b"\x03\x05\x00\x00", struct.pack("<BHH", 0x7B, 0x4000, 7))
_BEGIN = (  # how the header of a file begins: checksum, length, kind; checksum, kind, flags …, system, version, method
    re.compile(rb"(?=.{4}(?:[\x08-\x7f]|[\x80-\xff][\x01-\x7f])\x02)", re.DOTALL),
    re.compile(rb"(?=..\x74.[\x80-\xff].{10}[\x00-\x05].{8}[\x0d-\x25][\x30-\x35])", re.DOTALL),
)
_WINDOW, _LONGEST = 1 << 20, 1 << 16  # bytes searched at a time, and of a header
_FAR = 2 << 20  # where an archive that unpacks itself begins at the latest
_FILE, _ENCRYPTED, _LAST = (2, 0x74), 4, (5, 0x7B)


class _Block(NamedTuple):
    kind: int
    header: int  # bytes of each
    data: int


def mend(path: Path, target: Path) -> list[str]:
    """Writes the whole blocks of `path` to `target`, data that is cut off filled up with zeros; returns what was lost.

    Raises:
        ValueError: It is no RAR, or its headers are encrypted.
        OSError: It cannot be read, or `target` not written.
    """
    with path.open("rb") as source, target.open("wb") as out:
        size = source.seek(0, 2)
        source.seek(0)
        begin = re.search(b"|".join(map(re.escape, MARKS)), source.read(_FAR))
        if begin is None:
            raise ValueError("nothing in it begins as a RAR does")
        mark, at = begin[0], begin.end()
        version, remarks, gaps = MARKS.index(mark), [], []
        out.write(mark)
        blocks: list[_Block] = []
        while at < size:
            source.seek(at)
            block = _parse(source.read(_LONGEST), version)
            if block is None:
                found = _next_file(source, at + 1, version)
                gaps.append((at, size if found is None else found))
                if found is None:
                    break
                at = found
                continue
            if version == 0 and block.kind == _ENCRYPTED:
                raise ValueError("its headers are encrypted")
            if not blocks and block.kind in (*_FILE, *_LAST):
                out.write(_signed(_MAIN[version], version))
            if block.kind in _LAST:
                at += block.header
                break
            if block.data > size + MAX_MEMBER_BYTES:
                raise ValueError(f"one of its files would have {block.data:,} bytes")
            blocks.append(block)
            source.seek(at)
            _copy(source, out, block.header)
            there = min(block.data, size - at - block.header)
            _copy(source, out, there)
            out.truncate(out.seek(block.data - there, 1))  # a hole, of zeros
            at += block.header + block.data
        else:
            remarks.append("it is cut short: of what came after, nothing is known")
        out.write(_signed(_END[version], version))
    for start, end in gaps:
        if end == size:
            remarks.append(f"from byte {start:,} on it is cut short or broken: of what came after, nothing is known")
            break
        remarks.append(f"the {counted(end - start, 'byte')} from {start:,} on cannot be told any more")
    return remarks


def _parse(head: bytes, version: int) -> _Block | None:
    """Returns the block that begins here, None where its header is not whole."""
    try:
        return _parse_5(head) if version == 0 else _parse_4(head)
    except (IndexError, struct.error):
        return None


def _parse_5(head: bytes) -> _Block | None:
    length, start = _number(head, 4)
    end = start + length
    if not length or end > len(head) or zlib.crc32(head[4:end]) != struct.unpack_from("<L", head)[0]:
        return None
    kind, at = _number(head, start)
    flags, at = _number(head, at)
    if flags & 1:
        _, at = _number(head, at)
    data = _number(head, at)[0] if flags & 2 else 0
    return _Block(kind, end, data)


def _parse_4(head: bytes) -> _Block | None:
    checksum, kind, flags, length = struct.unpack_from("<HBHH", head)
    if not 0x72 <= kind <= 0x7B or length < 7 or length > len(head):
        return None
    data = struct.unpack_from("<L", head, 7)[0] if flags & 0x8000 else 0
    if kind in (0x74, 0x7A) and flags & 0x100:  # the upper half, of files of 4 GB and more
        data += struct.unpack_from("<L", head, 32)[0] << 32
    # A comment inside the main header, of old programs, has a checksum of its own.
    ends = (length, 13) if kind == 0x73 else (length,)
    return _Block(kind, length, data) if any(zlib.crc32(head[2:end]) & 0xFFFF == checksum for end in ends) else None


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number that begins at `at`, of seven bits a byte, and where it ends."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift, at + 1


def _next_file(source: IO[bytes], at: int, version: int) -> int | None:
    while True:
        source.seek(at)
        window = source.read(_WINDOW + _LONGEST)
        for begin in _BEGIN[version].finditer(window, 0, min(len(window), _WINDOW + 8)):
            block = _parse(window[begin.start() : begin.start() + _LONGEST], version)
            if block is not None and block.kind in _FILE:
                return at + begin.start()
        if len(window) <= _WINDOW:
            return None
        at += _WINDOW


def _signed(header: bytes, version: int) -> bytes:
    checksum = zlib.crc32(header)
    return (struct.pack("<L", checksum) if version == 0 else struct.pack("<H", checksum & 0xFFFF)) + header


def _copy(source: IO[bytes], out: IO[bytes], count: int) -> None:
    while count > 0 and (piece := source.read(min(count, _WINDOW))):
        out.write(piece)
        count -= len(piece)
    if count:
        out.truncate(out.seek(count, 1))
