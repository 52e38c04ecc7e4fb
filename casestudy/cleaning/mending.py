"""Files that are not as they should be, though every pixel is there: what may be wrong, and the file without it.

Nothing is encoded again. What is proposed here counts only if it then passes as sound; see `screening.screen`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

from casestudy.cleaning.formats import detect_format, jpeg_segments, png_chunks

_STRAY = 4096  # bytes before a picture; behind more, a picture is rather a part of something else


def mended(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields (what would be wrong, the bytes without it)."""
    name = detect_format(data)
    if name == "JPEG":
        yield from _jpeg(data)
    elif name == "PNG":
        yield from _png(data)
    elif name == "WEBP":
        yield "a wrong length field", data[:4] + struct.pack("<I", len(data) - 8 & ~1) + data[8:]
    elif not name:
        starts = [at for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n") if (at := data.find(magic, 0, _STRAY)) > 0]
        if starts:
            yield "stray bytes before the picture", data[min(starts) :]


def _jpeg(data: bytes) -> Iterator[tuple[str, bytes]]:
    if not data.endswith(b"\xff\xd9"):
        yield "no end mark", data.removesuffix(b"\xff") + b"\xff\xd9"
    else:
        yield "stray bytes before the end mark", data[:-2].rstrip(b"\0") + data[-2:]
    if data.count(b"\xff\xd8\xff") > 1:
        return  # a preview's marks could be taken for the picture's
    found = [(0, 2, 2)]
    with suppress(IndexError, struct.error):
        found.extend(jpeg_segments(data))  # as far as they go
        return
    _, start, end = found[-1]
    for reason, at, keep in (("stray bytes between its parts", end, end), ("a wrong length field", start + 4, start)):
        after = _next_mark(data, at)
        if after is None:
            continue
        body = data[keep:after]
        if keep == start:  # the segment with its length put right
            body = body[:2] + struct.pack(">H", min(after - start - 2, 0xFFFF)) + body[4:]
        yield reason, data[:keep] + body * (keep == start) + data[after:]


def _next_mark(data: bytes, at: int) -> int | None:
    while (at := data.find(b"\xff", at)) >= 0:
        if data[at + 1 : at + 2] in _MARKS:
            return at
        at += 1
    return None


_MARKS = {bytes([mark]) for mark in (*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)}


def _png(data: bytes) -> Iterator[tuple[str, bytes]]:
    parts, wrong = [data[:8]], set()
    for kind, start, end, holds in png_chunks(data):
        if holds:
            parts.append(data[start:end])
        elif kind == b"IDAT":  # the pixels have a checksum of their own, inside
            parts.append(data[start : end - 4] + struct.pack(">I", zlib.crc32(data[start + 4 : end - 4])))
            wrong.add("a wrong checksum")
        elif kind[:1].islower() and kind != b"tRNS":
            wrong.add("a damaged remark")
        else:
            return
    if parts[-1][4:8] != b"IEND":
        parts.append(b"\0\0\0\0IEND\xaeB`\x82")
        wrong.add("no end mark")
    if wrong:
        yield ", ".join(sorted(wrong)), b"".join(parts)
