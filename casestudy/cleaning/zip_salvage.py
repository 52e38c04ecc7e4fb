"""What can be kept of a damaged ZIP: every entry whose checksum holds, those that no index lists among them."""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from casestudy.cleaning import members
from casestudy.cleaning.errors import ArchiveError, DecoderError
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.name_encoding import decode_names, extra_fields
from casestudy.cleaning.sevenzip import Entry, Unreadable, cut_stream, missing_password, wrong_password
from casestudy.cleaning.unpacking import can_unpack, is_folder, unpack
from casestudy.cleaning.words import counted, printable
from casestudy.cleaning.zip_index import (
    AES_FIELD,
    CENTRAL,
    END,
    HEADER,
    LOCAL,
    RECORD,
    TAIL,
    ZipEntry,
    find_locals,
    find_marks,
    length,
    read_at,
    read_index,
    read_local,
)

_FOLLOWS = b"PK\x07\x08"  # may stand before the sizes that follow an entry


def salvage(reader: Reader, file: IO[bytes], bytes_too: bool) -> Iterator[Member]:
    """Yields every file that index or local headers tell of, in the order of the archive; lost ones have no bytes.

    Raises:
        ArchiveError: Nothing is left of it.
        PasswordError: It is encrypted, and the password is missing or opens nothing.
    """
    walk = _Walk(reader, file)
    names, remarks = decode_names([entry.name for entry, _ in walk.found])
    found = [(*both, name) for both, name in zip(walk.found, names, strict=True) if not is_folder(both[0], name)]
    encrypted = [why for entry, why, _ in found if entry.encrypted and entry.size]
    if encrypted and reader.password is None:
        raise missing_password(reader.path)
    if encrypted and all(encrypted):
        raise wrong_password(reader.path)
    if not found:
        raise ArchiveError(printable(f"{reader.path.name} is no ZIP any more: nothing can be kept. Fetch it again."))
    reader.remarks += [*walk.remarks, *remarks]
    strays = sum(not entry.indexed for entry, _, _ in found)
    if strays and walk.has_index:
        reader.remarks.append(f"{counted(strays, 'file')} found that the index does not list")
    for entry, why, name in found:
        data = b"" if why or not bytes_too else walk.read(entry)[0]
        yield Member(name, data, "" if entry.indexed else "not in the archive's index", why)


class _Walk:
    """The entries of a damaged ZIP in the order of the file, each with what is wrong with it, or nothing."""

    def __init__(self, reader: Reader, file: IO[bytes]) -> None:
        self._reader, self._file, self._total = reader, file, length(file)
        self.found: list[tuple[ZipEntry, str]] = []
        self.remarks: list[str] = []
        known: list[ZipEntry] = []
        self.has_index = True
        try:
            known = sorted(read_index(file, reader.path).entries, key=lambda entry: entry.offset)
        except ArchiveError:
            self.has_index = False
            self.remarks.append("its index is damaged or missing: read by the headers of its entries")
        at = inside = 0  # the end of what was seen, and of the last sound file that no index lists
        for entry in known:
            at, inside = self._find_strays(at, min(entry.offset, self._total), inside)
            if entry.offset >= inside:  # else the index is that of an archive within this one
                _, end, why = self.read(entry)
                self.found.append((entry, why))
                at = max(at, end)
        self._find_strays(at, self._total, inside)

    def _find_strays(self, at: int, stop: int, inside: int) -> tuple[int, int]:
        """Notes the entries between `at` and `stop`; returns both ends anew."""
        while at < stop:
            where = at if read_local(self._file, at, sure=False) else next(find_locals(self._file, at, stop), stop)
            local = read_local(self._file, where) if where < stop else None
            if local is None:
                break
            entry, end, why = self._measured(*local)
            if not why:
                _, end, why = self.read(entry)
            self.found.append((entry, why))
            if not why:
                at = inside = end + self._follow_size(entry, end)
            else:
                at = end if end > where and read_at(self._file, end, 2) == b"PK" else where + len(LOCAL)
        return max(at, min(stop, self._total)) if at < stop else at, inside

    def read(self, entry: ZipEntry) -> tuple[bytes, int, str]:
        """Returns (bytes, where they end, what is wrong with them or nothing)."""
        header = read_at(self._file, entry.offset, HEADER.size)
        if len(header) < HEADER.size:
            return b"", min(entry.offset, self._total), "is cut short"
        n, m = struct.unpack_from("<HH", header, 26)
        start = entry.offset + HEADER.size + n + m
        if entry.size > members.MAX_MEMBER_BYTES:
            return b"", start, "is too large"
        if can_unpack(entry):
            return unpack(self._file, start, entry, self._total)
        packed = read_at(self._file, start, min(entry.packed, self._total - start))
        try:
            return self._unpacked_elsewhere(entry, header, packed), start + len(packed), ""
        except Unreadable as error:
            return b"", start + len(packed), str(error) if "its checksum" in str(error) else "cannot be unpacked"
        except DecoderError:
            return b"", start + len(packed), "needs 7-Zip, which is missing"

    def _unpacked_elsewhere(self, entry: ZipEntry, header: bytes, packed: bytes) -> bytes:
        """Returns what 7-Zip makes of the one entry, in an archive of its own."""
        aes = b"".join(
            struct.pack("<HH", kind, len(data)) + data
            for kind, data in extra_fields(entry.name.extra)
            if kind == AES_FIELD
        )
        date = struct.unpack_from("<HH", header, 10)  # of the old encryption's check
        sizes = (entry.checksum or 0, len(packed), entry.size, 1, len(aes))
        common = (63, entry.flags & ~0x800, entry.method, *date, *sizes)
        local = HEADER.pack(LOCAL, *common) + b"x" + aes + packed
        central = RECORD.pack(CENTRAL, 63, *common, 0, 0, 0, 0, 0) + b"x" + aes
        with tempfile.TemporaryDirectory() as folder:
            alone = Path(folder, "alone.zip")
            alone.write_bytes(local + central + TAIL.pack(END, 0, 0, 1, 1, len(central), len(local), 0))
            (data,) = cut_stream(alone, self._reader.password, [Entry("x", entry.size, entry.checksum)])
            return data

    def _measured(self, entry: ZipEntry, start: int) -> tuple[ZipEntry, int, str]:
        """Returns a stray entry with checksum and sizes, where they follow its bytes and no index has them."""
        if not entry.sizes_follow or entry.packed:
            return entry, start, ""
        if entry.method == 0:
            for at in find_marks(self._file, start, min(self._total, start + members.MAX_MEMBER_BYTES), _FOLLOWS):
                checksum, packed = struct.unpack_from("<LL", read_at(self._file, at, 12).ljust(12), 4)
                if packed == at - start:
                    return replace(entry, checksum=checksum, packed=packed, size=packed), at, ""
        elif can_unpack(entry) and entry.method == 8:
            machine, size, checksum, at = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0, start
            try:
                while not machine.eof and size <= members.MAX_MEMBER_BYTES:
                    chunk = machine.unconsumed_tail or read_at(self._file, at, 1 << 16)
                    if not chunk:
                        break
                    at += 0 if machine.unconsumed_tail else len(chunk)
                    data = machine.decompress(chunk, 1 << 20)
                    size, checksum = size + len(data), zlib.crc32(data, checksum)
            except zlib.error:
                return entry, start, "cannot be unpacked"
            if machine.eof:
                packed = at - len(machine.unused_data) - start
                behind = read_at(self._file, start + packed, 8).removeprefix(_FOLLOWS)[:4]
                why = "" if behind == struct.pack("<L", checksum) else "fails its checksum"
                return replace(entry, checksum=checksum, packed=packed, size=size), start + packed, why
        return entry, start, "is cut short"

    def _follow_size(self, entry: ZipEntry, end: int) -> int:
        """Returns how many bytes of checksum and sizes stand behind an entry's own."""
        if not entry.sizes_follow:
            return 0
        mark = len(_FOLLOWS) * (read_at(self._file, end, 4) == _FOLLOWS)
        return mark + (12 if read_at(self._file, end + mark + 12, 2) in (b"PK", b"") else 20)
