"""Do a JPEG's codes fill its picture, to the bit? For rare chroma samplings, which TurboJPEG does not take.

Only the codes are followed, in plain Python (some 7 ms for 320×240 pixels); pixels are left to Pillow. What raises
here is what libjpeg would warn of: a code that no table has, codes that end before the picture, or after it.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

_MARK = re.compile(rb"\xff+[^\0\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_END = 1000  # a step that ends a block


@dataclass
class _Component:
    across: int  # sampling factors
    down: int
    tables: tuple[int, int] = (0, 0)
    filled: dict[int, bytearray] = field(
        default_factory=dict
    )  # of a progressive one: block → coefficients that are set


class _Bits:
    """Where one reads in a piece between two restart marks."""

    def __init__(self, piece: bytes) -> None:
        raw = np.frombuffer(piece + bytes(4), np.uint8).astype(np.uint32)
        self.words = (raw[:-2] << 16 | raw[1:-1] << 8 | raw[2:]).tolist()
        self.size, self.at, self.run = 8 * len(piece), 0, 0

    def symbol(self, table: list[int]) -> int:
        found = table[self.words[self.at >> 3] >> 8 - (self.at & 7) & 0xFFFF]
        if not found:
            raise ValueError("a code that no table has")
        self.at += found >> 8
        return found & 0xFF

    def take(self, count: int) -> int:
        value = self.words[self.at >> 3] >> 8 - (self.at & 7) & 0xFFFF
        self.at += count
        return value >> 16 - count


def follow(data: bytes) -> None:
    """Raises ValueError, IndexError, KeyError or struct.error unless all codes are whole and the picture is full."""
    tables: dict[int, list[int]] = {}
    parts: dict[int, _Component] = {}
    at, interval, size = 2, 0, (0, 0)
    while True:
        while data[at + 1] == 0xFF:
            at += 1
        if data[at] != 0xFF:
            raise ValueError("no mark where one must stand")
        mark = data[at + 1]
        if mark == 0xD9:
            return
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : end]
        if mark == 0xC4:
            tables.update(_tables(body))
        elif mark in (0xC0, 0xC1, 0xC2):
            size = struct.unpack_from(">HH", body, 1)
            parts = {body[k]: _Component(body[k + 1] >> 4, body[k + 1] & 15) for k in range(6, len(body), 3)}
        elif mark == 0xDD:
            interval = struct.unpack(">H", body)[0]
        elif mark == 0xDA:
            found = _MARK.search(data, end)
            if not found:
                raise ValueError("no end")
            scan = [parts[body[1 + 2 * k]] for k in range(body[0])]
            for k, part in enumerate(scan):
                part.tables = (body[2 + 2 * k] >> 4, body[2 + 2 * k] & 15)
            _follow_scan(data[end : found.start()], scan, list(parts.values()), size, interval, tables, body[-3:])
            end = found.start()
        at = end


def _tables(body: bytes) -> Iterator[tuple[int, list[int]]]:
    """Yields (class and number, for each sixteen bits the length and the symbol of the code that they begin with)."""
    while body:
        counts, table, code, used = body[1:17], [0] * 65536, 0, 17
        for length, count in enumerate(counts, 1):
            for symbol in body[used : used + count]:
                width = 1 << 16 - length
                table[code : code + width] = [length << 8 | symbol] * width
                code += width
            used += count
        if code > 65536 or len(body) < used:
            raise ValueError("a table with too many codes")
        yield body[0], table[:65536]
        body = body[used:]


def _follow_scan(
    codes: bytes,
    scan: list[_Component],
    parts: list[_Component],
    size: tuple[int, int],
    interval: int,
    tables: dict[int, list[int]],
    band: bytes,
) -> None:
    most_across, most_down = max(part.across for part in parts), max(part.down for part in parts)
    if len(scan) == 1:  # its own blocks, row by row
        across = math.ceil(math.ceil(size[1] * scan[0].across / most_across) / 8)
        down = math.ceil(math.ceil(size[0] * scan[0].down / most_down) / 8)
        layout = scan
    else:
        across, down = math.ceil(size[1] / (8 * most_across)), math.ceil(size[0] / (8 * most_down))
        layout = [part for part in scan for _ in range(part.across * part.down)]
    steps = [_block(part, tables, band, len(scan)) for part in layout]
    total = across * down
    pieces = _RESTART.split(codes)
    marks = b"".join(pieces[1::2])
    interval = interval or total
    if marks != bytes(0xD0 + k % 8 for k in range(math.ceil(total / interval) - 1)):
        raise ValueError("restart marks are missing or too many")
    for number, piece in enumerate(pieces[::2]):
        bits = _Bits(piece.replace(b"\xff\0", b"\xff"))
        for unit in range(number * interval, min((number + 1) * interval, total)):
            for step in steps:
                step(bits, unit)
        if not 0 <= bits.size - bits.at < 8:
            raise ValueError("codes end before the picture, or after it")


def _block(part: _Component, tables: dict[int, list[int]], band: bytes, together: int) -> Callable[[_Bits, int], None]:
    """Returns what reads one block of a scan, by the coefficients that the scan holds (first, last, how refined)."""
    first, last, before = band[0], band[1], band[2] >> 4
    direct, other = tables.get(part.tables[0], []), tables.get(0x10 | part.tables[1], [])

    def sequential(bits: _Bits, unit: int) -> None:
        length = bits.symbol(direct)
        bits.at += length
        k = 1
        while k < 64:
            symbol = bits.symbol(other)
            bits.at += symbol & 15
            k += (symbol >> 4) + 1 if symbol & 15 or symbol == 0xF0 else _END
        if 64 < k < _END:
            raise ValueError("more than 64 coefficients")

    def constant(bits: _Bits, unit: int) -> None:
        length = 1 if before else bits.symbol(direct)
        bits.at += length

    def begin(bits: _Bits, unit: int) -> None:
        if bits.run:
            bits.run -= 1
            return
        filled = part.filled.setdefault(unit, bytearray(64))
        k = first
        while k <= last:
            symbol = bits.symbol(other)
            zeros, length = symbol >> 4, symbol & 15
            if not length and zeros < 15:
                bits.run = (1 << zeros) + bits.take(zeros) - 1
                return
            k += zeros
            if length:
                filled[k] = 1
                bits.at += length
            k += 1

    def refine(bits: _Bits, unit: int) -> None:
        filled = part.filled.setdefault(unit, bytearray(64))
        k = first
        while not bits.run and k <= last:
            symbol = bits.symbol(other)
            zeros, length = symbol >> 4, symbol & 15
            if length > 1:
                raise ValueError("a refinement of more than one bit")
            if not length and zeros < 15:
                bits.run = (1 << zeros) + bits.take(zeros)
                break
            bits.at += length
            while k <= last and (filled[k] or zeros):
                if filled[k]:
                    bits.at += 1
                else:
                    zeros -= 1
                k += 1
            if length:
                filled[k] = 1
            k += 1
        if bits.run:
            bits.at += sum(filled[k : last + 1])
            bits.run -= 1

    if last == 63 and first == 0:
        return sequential
    if first == 0:
        return constant
    if together > 1:
        raise ValueError("a scan of several components that is none")
    return refine if before else begin
