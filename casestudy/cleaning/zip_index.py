"""The structure of a ZIP: what its end record, its index and its local headers say, and whether they agree.

zipfile believes the index alone: two changed bytes hide entries from it, and joined archives lose all but one. Here
the end record's number must be that of the index, and where the index leaves a gap, no entry may be in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from casestudy.cleaning.errors import ArchiveError
from casestudy.cleaning.members import damaged
from casestudy.cleaning.name_encoding import StoredName, extra_fields
from casestudy.cleaning.sevenzip import SIGNATURE
from casestudy.cleaning.words import counted

LOCAL, CENTRAL, END, END64, WHERE64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
METHODS = (*range(20), 93, 94, 95, 96, 97, 98, 99)  # those that the format knows
RAR = b"Rar!\x1a\x07"
AES, AES_FIELD = 99, 0x9901
_CHUNK = 1 << 20
HEADER = struct.Struct("<4sHHHHHLLLHH")  # a local one
RECORD = struct.Struct("<4sHHHHHHLLLHHHHHLL")  # one of the index
TAIL = struct.Struct("<4sHHHHLLH")  # the end record


class Spanned(Exception):
    """The ZIP lies in several files of which this is the last (.z01, .z02, …, .zip)."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """A file or folder, as the index or, where there is none, its local header has it."""

    name: StoredName
    flags: int
    method: int
    checksum: int | None  # CRC-32 of its bytes; None where encryption replaces it
    packed: int  # bytes in the archive
    size: int  # bytes of the file
    offset: int  # of its local header in the file
    is_dir: bool = False  # by its attributes; most folders are told by a "/" at the end of the name
    indexed: bool = True

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 1)

    @property
    def sizes_follow(self) -> bool:
        """Whether the local header leaves checksum and sizes to a record behind the bytes."""
        return bool(self.flags & 8)


@dataclass(frozen=True)
class ZipIndex:
    """The entries in their order, and where index and end record lie, as (start, end)."""

    entries: tuple[ZipEntry, ...]
    spans: tuple[tuple[int, int], ...]
    remarks: tuple[str, ...] = ()


def length(file: IO[bytes]) -> int:
    """Returns a file's length in bytes."""
    return file.seek(0, 2)


def read_at(file: IO[bytes], offset: int, size: int) -> bytes:
    """Returns at most `size` bytes from `offset`, none where that is beyond any file."""
    if not 0 <= offset < 1 << 62:
        return b""
    file.seek(offset)
    return file.read(max(size, 0))


def read_index(file: IO[bytes], path: Path) -> ZipIndex:
    """Returns the index that the last end record names whose number of entries and size fit what stands there.

    Raises:
        ArchiveError: There is none; `path` is named in it.
        Spanned: It lies in several files.
    """
    first_error: ArchiveError | None = None
    for at in _ends(file):
        try:
            return _index_of(file, at, path)
        except ArchiveError as error:
            first_error = first_error or error
    raise first_error or damaged(path, "its index, which stands at the end, is missing")


def _ends(file: IO[bytes]) -> Iterator[int]:
    """Yields where end records may be, the last first."""
    high = length(file)
    while high > 0:
        low = max(high - _CHUNK, 0)
        chunk = read_at(file, low, high - low + len(END) - 1)
        at = chunk.rfind(END)
        while at >= 0:
            yield low + at
            at = chunk.rfind(END, 0, at + len(END) - 1)
        high = low


def _index_of(file: IO[bytes], at: int, path: Path) -> ZipIndex:
    record = read_at(file, at, TAIL.size)
    if len(record) < TAIL.size:
        raise damaged(path, "its end record is cut short")
    _, disk, _, _, number, size, offset, comment = TAIL.unpack(record)
    behind, is64 = at, False
    where = read_at(file, at - 20, 20) if at >= 20 else b""
    if where.startswith(WHERE64):
        for at64 in (struct.unpack_from("<Q", where, 8)[0], at - 20 - 56):
            record = read_at(file, at64, 56) if 0 <= at64 < at else b""
            if record.startswith(END64) and len(record) == 56:
                disk, _, _, number, size, offset = struct.unpack_from("<LLQQQQ", record, 16)
                behind, is64 = at64, True
                break
    if disk not in (0, 0xFFFF):
        raise Spanned
    for start in (behind - size, offset):
        if 0 <= start <= behind and (number == size == 0 or read_at(file, start, 4) == CENTRAL):
            break
    else:
        raise damaged(path, "its end record names an index that is not there")
    entries = _entries(read_at(file, start, min(size, behind - start)), path)
    if number != (len(entries) if is64 else len(entries) & 0xFFFF):
        raise damaged(path, f"its end record counts {counted(number, 'entry')}, and its index has {len(entries):,}")
    shift = start - offset
    if shift and entries:  # something stands before the archive; some tools correct the offsets then, some do not
        shifts = (shift, 0)
        shift = next((s for s in shifts if read_at(file, max(entries[0].offset + s, 0), 4) == LOCAL), shift)
        entries = [replace(entry, offset=entry.offset + shift) for entry in entries]
    remarks = []
    end = at + TAIL.size + comment
    if end > length(file):
        remarks.append("the comment at its end is cut short")
    spans = (start, min(start + size, behind)), (behind, min(end, length(file)))
    return ZipIndex(tuple(entries), spans, tuple(remarks))


def _entries(index: bytes, path: Path) -> list[ZipEntry]:
    entries: list[ZipEntry] = []
    at = 0
    while at < len(index):
        if index.startswith(b"PK\x05\x05", at):  # a signature of the index, which ends it
            break
        record = index[at : at + RECORD.size]
        if len(record) < RECORD.size or not record.startswith(CENTRAL):
            raise damaged(path, f"its index is no index after {counted(len(entries), 'entry')}")
        _, made, _, flags, method, _, _, checksum, packed, size, n, m, k, _, _, attributes, offset = RECORD.unpack(
            record
        )
        at += RECORD.size
        raw, extra = index[at : at + n], index[at + n : at + n + m]
        at += n + m + k
        if at > len(index):
            raise damaged(path, f"its index is cut short after {counted(len(entries), 'entry')}")
        packed, size, offset = _sizes64(extra, size, packed, offset)
        entries.append(_entry(raw, flags, method, checksum, packed, size, offset, extra, made >> 8, attributes))
    return entries


def _sizes64(extra: bytes, size: int, packed: int, offset: int = 0) -> tuple[int, int, int]:
    """Returns (packed, size, offset), those that did not fit in their fields from the extra field of ZIP64."""
    data = next((data for kind, data in extra_fields(extra) if kind == 1), b"")
    values = []
    for value in (size, packed, offset):
        if value == 0xFFFFFFFF and len(data) >= 8:
            value, data = struct.unpack_from("<Q", data)[0], data[8:]
        values.append(value)
    return values[1], values[0], values[2]


def _entry(
    raw: bytes,
    flags: int,
    method: int,
    checksum: int,
    packed: int,
    size: int,
    offset: int,
    extra: bytes,
    host: int = 3,
    attributes: int = 0,
    *,
    indexed: bool = True,
) -> ZipEntry:
    keyed = method == AES and next((data for kind, data in extra_fields(extra) if kind == AES_FIELD), b"")[:1] != b"\1"
    folder = attributes >> 28 == 4 if host in (3, 19) else host in (0, 10, 11, 14) and bool(attributes & 0x10)
    return ZipEntry(
        StoredName(raw, bool(flags & 0x800), extra),
        flags,
        method,
        None if keyed else checksum,
        packed,
        size,
        offset,
        is_dir=size == 0 and folder,
        indexed=indexed,
    )


def read_local(file: IO[bytes], offset: int, *, sure: bool = True) -> tuple[ZipEntry, int] | None:
    """Returns the entry that a local header at `offset` describes and where its bytes begin; None if none is there.

    Where no index points to it (not `sure`), four bytes do not make a header: its numbers must be possible ones.
    """
    record = read_at(file, offset, HEADER.size)
    if len(record) < HEADER.size or not record.startswith(LOCAL):
        return None
    _, needed, flags, method, _, _, checksum, packed, size, n, m = HEADER.unpack(record)
    rest = file.read(n + m)
    if len(rest) < n + m or not (sure or (needed & 0xFF <= 63 and method in METHODS and n)):
        return None
    packed, size, _ = _sizes64(rest[n:], size, packed)
    entry = _entry(rest[:n], flags, method, checksum, packed, size, offset, rest[n:], indexed=False)
    return entry, offset + HEADER.size + n + m


def find_locals(file: IO[bytes], start: int, end: int) -> Iterator[int]:
    """Yields where local headers stand between `start` and `end`."""
    yield from (at for at in find_marks(file, start, end, LOCAL) if read_local(file, at, sure=False))


def find_marks(file: IO[bytes], start: int, end: int, mark: bytes) -> Iterator[int]:
    """Yields where `mark` begins between `start` and `end`."""
    while start < end:
        chunk = read_at(file, start, min(_CHUNK, end - start) + len(mark) - 1)
        at = chunk.find(mark)
        while at >= 0:
            if start + at < end:
                yield start + at
            at = chunk.find(mark, at + 1)
        start += _CHUNK


def unaccounted(file: IO[bytes], index: ZipIndex, spans: Sequence[tuple[int, int]], path: Path) -> list[str]:
    """Returns remarks on bytes that belong to no entry, where `spans` are (start, end) of all entries.

    Raises:
        ArchiveError: An entry that the index does not list, or another archive, is in them.
    """
    remarks, at = [], 0
    total = length(file)
    for start, end in [*sorted([*spans, *index.spans]), (total, total)]:
        if start - at >= HEADER.size:  # a record of sizes behind an entry is shorter
            marks = {"entries": find_locals(file, at, start)}
            marks |= {"a RAR": find_marks(file, at, start, RAR), "a 7z": find_marks(file, at, start, SIGNATURE)}
            for what, found in marks.items():
                if next(found, None) is not None:
                    raise damaged(path, f"its index does not list {what} between bytes {at:,} and {start:,}")
            where = "before its entries" if at == 0 else "behind its end" if start == total else "between its entries"
            remarks.append(f"{start - at:,} bytes {where} belong to no entry: read as 7-Zip reads it")
        at = max(at, end)
    return remarks
