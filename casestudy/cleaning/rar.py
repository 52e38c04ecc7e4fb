"""RAR archives: the index from rarfile, the bytes from one streaming pass, each member checked against the index."""

from __future__ import annotations

import functools
import logging
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import rarfile

from casestudy.cleaning import decoders
from casestudy.cleaning.errors import ArchiveError, DecoderError, PasswordError
from casestudy.cleaning.members import DAMAGE, SALVAGE, Member, Reader, damaged, readable
from casestudy.cleaning.rar_mend import mend
from casestudy.cleaning.rar_stream import DecoderFailed, cut, left_out, matches
from casestudy.cleaning.sevenzip import missing_password, wrong_password
from casestudy.cleaning.words import counted, printable

log = logging.getLogger(__name__)

_UNREADABLE = (rarfile.Error, TypeError, AttributeError, *DAMAGE)  # what rarfile raises of a damaged file
_BAD = "fails its checksum"
_BEHIND = 64 << 20  # bytes behind the end of an archive that are searched for another


class _Index(NamedTuple):
    path: Path  # of the archive, or of a mended copy
    archive: rarfile.RarFile
    entries: list[rarfile.RarInfo]  # files alone, earlier versions of them included
    remarks: list[str]


class RarReader(Reader):
    """A RAR (4 or 5), in index order; an earlier version of a file is one of its own, "A0.jpg;1".

    Members that are stored without compression are read in this process. Anything else comes from the decoders of
    `decoders.find_decoders`, one after the other until one has sent every member with the right checksum; a member is
    yielded once, however many decoders it takes. The password goes to a decoder's standard input.
    """

    def names(self) -> list[str]:
        return [readable(entry.filename) for entry in self._index.entries]

    def members(self) -> Iterator[Member]:
        index = self._index
        self.remarks = list(index.remarks)
        for entry in index.entries:
            self.refuse_giant(entry.filename, entry.file_size)
        names = {entry.filename for entry in index.entries}
        for entry, data, lost in self._found(index, by_name=len(names) == len(index.entries)):
            yield Member(readable(entry.filename), data, lost=lost)

    def _found(self, index: _Index, *, by_name: bool) -> Iterator[tuple[rarfile.RarInfo, bytes, str]]:
        versions = any(";" in entry.filename for entry in index.entries)  # rarfile finds members by name, but not these
        is_stored = all(entry.compress_type == rarfile.RAR_M0 and not entry.needs_password() for entry in index.entries)
        if is_stored and by_name and not versions:
            return self._stored(index)
        return self._salvaged(index) if self.salvage else self._decoded(index)

    @functools.cached_property
    def _index(self) -> _Index:
        try:
            return _read_index(self.path, self.password)
        except PasswordError:
            raise
        except ArchiveError as error:
            if not self.salvage:
                raise
            self.incomplete = True
            return self._mended_index(error)

    def _mended_index(self, error: ArchiveError) -> _Index:
        """Returns the index of a copy with all blocks that are whole, or where parts are missing that of the others."""
        if isinstance(error, _PartMissing):
            index = _read_index(self.path, self.password, strict=False)
            return index._replace(remarks=["the next part of it is missing: of what it held, nothing is known"])
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = Path(folder, "mended.rar")
        try:
            remarks = mend(self.path, copy)
        except DAMAGE as why:
            raise ArchiveError(f"Nothing of {self.path.name} can be kept: {why}. Fetch it again.") from None
        return _read_index(copy, self.password)._replace(remarks=remarks)

    def _stored(self, index: _Index) -> Iterator[tuple[rarfile.RarInfo, bytes, str]]:
        for entry in index.entries:
            try:
                data, why = index.archive.read(entry), ""
            except _UNREADABLE as error:
                data, why = b"", str(error) or type(error).__name__
            if not why and not entry.file_redir and not matches(entry, data):
                why = _BAD
            if why and not self.salvage:
                raise damaged(self.path, f"{entry.filename}: {why}")
            yield entry, b"" if why else data, _BAD if why else ""

    def _decoded(self, index: _Index) -> Iterator[tuple[rarfile.RarInfo, bytes, str]]:
        sent: list[int] = []  # checksums of what was yielded so far
        failures: list[str] = []
        encrypted = index.archive.needs_password()
        for decoder in decoders.find_decoders():
            if encrypted and not decoder.takes_password:
                continue
            try:
                with decoders.DecoderStream(decoder, index.path, self.password if encrypted else None) as stream:
                    for position, (entry, data, _) in enumerate(cut(index.archive, index.entries, stream)):
                        checksum = zlib.crc32(data)
                        if position == len(sent):
                            sent.append(checksum)
                            yield entry, data, ""
                        elif sent[position] != checksum:
                            raise damaged(self.path, f"two decoders disagree on {entry.filename}")
                return
            except (DecoderFailed, OSError) as failure:
                entry = getattr(failure, "entry", None)
                if entry is not None and entry.needs_password():
                    raise wrong_password(self.path) from None
                failures.append(f"{decoder.name}: {failure}")
                log.info("%s", printable(f"{decoder.name} could not read all of {self.path.name} ({failure})."))
        raise DecoderError(
            f"Cannot unpack {self.path.name}: of {counted(len(index.entries), 'file')} {len(sent):,} could be read "
            f"(decoders tried: {'; '.join(failures) or 'none found'}). Either a decoder is missing: "
            f"{decoders.HOW_TO_GET_ONE}; or the archive is damaged. {SALVAGE}"
        )

    def _salvaged(self, index: _Index) -> Iterator[tuple[rarfile.RarInfo, bytes, str]]:
        """Yields all from the first decoder at hand: 7-Zip leaves out what fails its own test."""
        encrypted = index.archive.needs_password()
        usable = [one for one in decoders.find_decoders() if one.takes_password or not encrypted]
        if not usable:
            raise DecoderError(f"Cannot unpack {self.path.name}: get a decoder, {decoders.HOW_TO_GET_ONE}.")
        password = self.password if encrypted else None
        with left_out(usable[0], index.path, index.entries, password) as (decoder, bad):
            if bad and len(bad) == sum(entry.needs_password() for entry in index.entries) == len(index.entries):
                raise wrong_password(self.path)
            with decoders.DecoderStream(decoder, index.path, password) as stream:
                yield from cut(index.archive, index.entries, stream, bad)


class _PartMissing(ArchiveError):
    """The next of several parts is not there."""


def _read_index(path: Path, password: str | None, *, strict: bool = True) -> _Index:
    blocks: list[rarfile.RarInfo] = []
    entries: list[rarfile.RarInfo] = []

    def take(block: rarfile.RarInfo) -> None:
        """Lists files as rarfile does, and their earlier versions, which it passes over."""
        blocks.append(block)
        if block.type != rarfile.RAR_BLOCK_FILE:
            return
        version = getattr(block, "file_version", None)  # of a RAR4 it is part of the name already
        if not block.flags & rarfile.RAR_FILE_SPLIT_BEFORE:
            if version:
                block.filename += f";{version[1]}"
            entries.append(block)
        elif entries and (version or (isinstance(block, rarfile.Rar3Info) and block.flags & rarfile.RAR_FILE_VERSION)):
            entries[-1].CRC, entries[-1].blake2sp_hash = block.CRC, block.blake2sp_hash

    try:
        archive = rarfile.RarFile(str(path), errors="strict" if strict else "stop", info_callback=take)
        if archive.needs_password() and password is None:
            raise missing_password(path)
        if password is not None:
            archive.setpassword(password)
        entries = [entry for entry in entries or archive.infolist() if not entry.is_dir()]
    except PasswordError:
        raise
    except rarfile.NeedFirstVolume:
        raise ArchiveError(f"{path.name} is a later part of a RAR in several parts: pass the first part.") from None
    except rarfile.NoCrypto:
        raise PasswordError(f"{path.name} hides its file names: to read them, `pip install cryptography`.") from None
    except rarfile.RarWrongPassword:
        raise wrong_password(path) from None
    except _UNREADABLE as error:
        if "next volume" in str(error):
            raise _PartMissing(f"{path.name} is one of several parts and the next is missing ({error}).") from None
        raise damaged(path, str(error) or type(error).__name__) from None
    remarks = _end_remarks(path, blocks, entries) if strict else []
    return _Index(path, archive, entries, remarks)


def _end_remarks(path: Path, blocks: list[rarfile.RarInfo], entries: list[rarfile.RarInfo]) -> list[str]:
    """Returns what the end of an archive tells; raises ArchiveError where it is not there, or no end.

    rarfile takes the end of the file for the end of the index. A RAR4 need not have an end mark, and `unrar` takes it
    for whole where its last block ends with the file; a cut just there cannot be told from that.
    """
    last, there = blocks[-1] if blocks else None, counted(len(entries), "file")
    volume = Path(last.volume_file) if last is not None else path
    end, size = (last.data_offset + last.add_size if last is not None else 0), volume.stat().st_size
    if last is None or last.type != rarfile.RAR_BLOCK_ENDARC:
        if isinstance(last, rarfile.Rar3Info) and last.type == rarfile.RAR_BLOCK_FILE and end == size:
            return [f"it has no end mark: if files followed the last of its {there}, nothing tells"]
        raise damaged(path, f"its index ends after {there}, without an end mark")
    with volume.open("rb") as file:
        file.seek(end)
        behind = file.read(_BEHIND)
    if b"Rar!\x1a\x07" in behind:
        raise ArchiveError(f"{path.name} has another RAR behind its end: cut them apart, and pass both.")
    return [f"{counted(size - end, 'byte')} behind its end belong to no entry"] if behind.strip(b"\0") else []
