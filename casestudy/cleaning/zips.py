"""ZIP archives: the bytes of each entry held against the index, and the index against what else counts entries.

What is stored, deflated or in bzip2 is read here; what else there is (Deflate64, PPMd, encryption) comes from 7-Zip.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO

from casestudy.cleaning.decoders import HOW_TO_GET_ONE
from casestudy.cleaning.errors import CaseStudyError, DecoderError
from casestudy.cleaning.members import DAMAGE, Member, Reader, damaged
from casestudy.cleaning.name_encoding import decode_names
from casestudy.cleaning.sevenzip import (
    Entry,
    SevenZipReader,
    Unreadable,
    cut_stream,
    missing_password,
    wrong_password,
)
from casestudy.cleaning.split import open_parts
from casestudy.cleaning.unpacking import can_unpack, is_folder, misfit, unpack
from casestudy.cleaning.words import counted, printable
from casestudy.cleaning.zip_index import Spanned, ZipEntry, length, read_index, read_local, unaccounted
from casestudy.cleaning.zip_salvage import salvage

_ODD = (*DAMAGE, struct.error, RuntimeError, LookupError, OverflowError)  # what a damaged file may raise somewhere
_Named = tuple[ZipEntry, str]


class ZipReader(Reader):
    """A ZIP, in the order of its index; with salvage in the order of the file, what no index lists among it."""

    def names(self) -> list[str]:
        return [member.name for member in self._guarded(bytes_too=False)]

    def members(self) -> Iterator[Member]:
        yield from self._guarded(bytes_too=True)

    def _guarded(self, *, bytes_too: bool) -> Iterator[Member]:
        self.remarks.clear()
        try:
            with open_parts(self.path) as file:
                yield from salvage(self, file, bytes_too) if self.salvage else self._indexed(file, bytes_too)
        except Spanned:
            other = SevenZipReader(self.path, self.password, salvage=self.salvage)
            yield from other.members() if bytes_too else (Member(name, b"") for name in other.names())
            self.remarks += other.remarks
        except CaseStudyError:
            raise
        except _ODD as error:
            raise damaged(self.path, str(error) or type(error).__name__) from None

    def _indexed(self, file: IO[bytes], bytes_too: bool) -> Iterator[Member]:
        index = read_index(file, self.path)
        names, remarks = decode_names([entry.name for entry in index.entries])
        self.remarks += [*index.remarks, *remarks]
        everything = list(zip(index.entries, names, strict=True))
        files = [(entry, name) for entry, name in everything if not is_folder(entry, name)]
        if not bytes_too:
            yield from (Member(name, b"") for _, name in files)
            return
        if self.password is None and any(entry.encrypted for entry, _ in files):
            raise missing_password(self.path)
        filled = sum(entry.size > 0 for entry in index.entries) - sum(entry.size > 0 for entry, _ in files)
        if filled:
            self.remarks.append(f"{counted(filled, 'folder')} with bytes, which are left out as 7-Zip leaves them out")
        total, done, others = length(file), 0, 0
        spans: list[tuple[int, int]] = []
        decoded: Iterator[bytes] | None = None  # from the first entry on that is not unpacked here
        for entry, name in everything:
            local = read_local(file, entry.offset)
            if local is None:
                raise damaged(self.path, f"where {name} should be is no entry")
            header, start = local
            if is_folder(entry, name):
                spans.append((entry.offset, start))
                continue
            self.refuse_giant(printable(name), entry.size)
            if decoded is None and can_unpack(entry):
                data, end, why = unpack(file, start, entry, total)
                if why:
                    raise damaged(self.path, f"{name} {why}")
            else:
                decoded = decoded or self._decoded(files, done)
                data, end = next(decoded), start + entry.packed
            spans.append((entry.offset, end))
            done += 1
            is_other = header.name.raw != entry.name.raw
            others += is_other
            yield Member(name, data, "has another name in its local header" if is_other else "")
        if decoded is not None:
            next(decoded, None)  # what stands behind the last one is checked, too
        self.remarks += unaccounted(file, index, spans, self.path)
        if others:
            self.remarks.append(
                f"{counted(others, 'file')} with another name in the local header: read as 7-Zip reads it, by the index"
            )

    def _decoded(self, files: Sequence[_Named], first: int) -> Iterator[bytes]:
        """Yields the bytes of the files from `first` on, as 7-Zip sends them, or where it is missing zipfile."""
        wanted = [Entry(name, entry.size, entry.checksum) for entry, name in files]
        try:
            for position, data in enumerate(cut_stream(self.path, self.password, wanted)):
                if position >= first:
                    yield data
        except Unreadable as error:
            entry, name = files[error.position]
            raise wrong_password(self.path) if entry.encrypted else damaged(self.path, f"{name} {error}") from None
        except DecoderError:
            yield from self._by_zipfile(files[first:])

    def _by_zipfile(self, files: Sequence[_Named]) -> Iterator[bytes]:
        with open_parts(self.path) as file, zipfile.ZipFile(file) as archive:
            infos = {info.header_offset: info for info in archive.infolist()}
            password = None if self.password is None else self.password.encode()
            for entry, name in files:
                try:
                    with archive.open(infos[entry.offset], pwd=password if entry.encrypted else None) as member:
                        data = member.read(entry.size + 1)
                except NotImplementedError:
                    what = f"{self.path.name} holds {name} in a method that only 7-Zip reads, and it is missing"
                    raise DecoderError(printable(f"{what}: {HOW_TO_GET_ONE}.")) from None
                except _ODD as error:
                    if entry.encrypted:
                        raise wrong_password(self.path) from None
                    raise damaged(self.path, f"{name} ({error})") from None
                why = misfit(entry, data)
                if why:
                    raise wrong_password(self.path) if entry.encrypted else damaged(self.path, f"{name} {why}")
                yield data
