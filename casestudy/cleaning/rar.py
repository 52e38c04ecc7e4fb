"""RAR archives: the index from rarfile, the bytes from one streaming pass, each member checked against the index."""

from __future__ import annotations

import logging
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import rarfile

from casestudy.cleaning import decoders
from casestudy.cleaning.errors import ArchiveError, DecoderError, PasswordError
from casestudy.cleaning.members import Member, Reader, readable
from casestudy.cleaning.words import counted

log = logging.getLogger(__name__)

_COPIES = (rarfile.RAR5_XREDIR_HARD_LINK, rarfile.RAR5_XREDIR_FILE_COPY)
_TWEAKED = 0x02  # rarfile's file_encryption flag: the stored checksum is keyed with the password
_UNREADABLE = (rarfile.Error, struct.error, zlib.error, ValueError, LookupError, EOFError, TypeError, AttributeError)


class _DecoderFailed(Exception):
    """A decoder's answer does not fit the index; the next one is asked."""

    def __init__(self, why: str, entry: rarfile.RarInfo | None = None) -> None:
        super().__init__(why)
        self.entry = entry


class RarReader(Reader):
    """A RAR (4 or 5), in index order.

    Members that are stored without compression are read in this process. Anything else comes from the decoders of
    `decoders.find_decoders`, one after the other until one has sent every member with the right checksum; a member is
    yielded once, however many decoders it takes. The password goes to a decoder's standard input.
    """

    def names(self) -> list[str]:
        return [readable(entry.filename) for entry in _read_index(self.path, self.password)[1]]

    def members(self) -> Iterator[Member]:
        archive, entries = _read_index(self.path, self.password)
        for entry in entries:
            self.refuse_giant(entry.filename, entry.file_size)
        is_stored = all(entry.compress_type == rarfile.RAR_M0 and not entry.needs_password() for entry in entries)
        if is_stored and len({entry.filename for entry in entries}) == len(entries):  # rarfile finds members by name
            found = _iter_stored(self.path, archive, entries)
        else:
            found = _iter_decoded(self.path, archive, entries, self.password)
        yield from (Member(readable(name), data) for name, data in found)


def _read_index(path: Path, password: str | None) -> tuple[rarfile.RarFile, list[rarfile.RarInfo]]:
    blocks: list[int] = []
    try:
        archive = rarfile.RarFile(str(path), errors="strict", info_callback=lambda block: blocks.append(block.type))
        if archive.needs_password() and password is None:
            raise PasswordError(f"{path.name} is encrypted: pass its password with --password.")
        if password is not None:
            archive.setpassword(password)
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except rarfile.NeedFirstVolume:
        raise ArchiveError(f"{path.name} is a later part of a RAR in several parts: pass the first part.") from None
    except rarfile.NoCrypto:
        raise PasswordError(f"{path.name} hides its file names: to read them, `pip install cryptography`.") from None
    except rarfile.RarWrongPassword:
        raise _wrong_password(path) from None
    except _UNREADABLE as error:
        if "next volume" in str(error):
            raise ArchiveError(f"{path.name} is one of several parts and the next is missing ({error}).") from None
        raise ArchiveError(f"{path.name} is a damaged or truncated RAR ({error}): fetch it again.") from None
    if blocks[-1:] != [rarfile.RAR_BLOCK_ENDARC]:  # rarfile takes the end of the file for the end of the index
        there = counted(len(entries), "file")
        raise ArchiveError(f"{path.name} is truncated: its index ends after {there}. Fetch it again.")
    return archive, entries


def _iter_stored(path: Path, archive: rarfile.RarFile, entries: list[rarfile.RarInfo]) -> Iterator[tuple[str, bytes]]:
    for entry in entries:
        try:
            data = archive.read(entry)
        except (*_UNREADABLE, OSError) as error:
            raise ArchiveError(f"{path.name} is damaged at {entry.filename} ({error}): fetch it again.") from None
        if not entry.file_redir and not _matches(entry, data):
            raise ArchiveError(f"{path.name} is damaged: {entry.filename} fails its checksum. Fetch it again.")
        yield entry.filename, data


def _iter_decoded(
    path: Path, archive: rarfile.RarFile, entries: list[rarfile.RarInfo], password: str | None
) -> Iterator[tuple[str, bytes]]:
    sent: list[int] = []  # checksums of what was yielded so far
    failures: list[str] = []
    encrypted = archive.needs_password()
    for decoder in decoders.find_decoders():
        if encrypted and not decoder.takes_password:
            continue
        try:
            with decoders.DecoderStream(decoder, path, password if encrypted else None) as stream:
                for position, (name, data) in enumerate(_cut(archive, entries, stream)):
                    checksum = zlib.crc32(data)
                    if position == len(sent):
                        sent.append(checksum)
                        yield name, data
                    elif sent[position] != checksum:
                        raise ArchiveError(f"{path.name} is damaged: two decoders disagree on {name}. Fetch it again.")
            return
        except (_DecoderFailed, OSError) as failure:
            entry = getattr(failure, "entry", None)
            if entry is not None and entry.needs_password():
                raise _wrong_password(path) from None
            failures.append(f"{decoder.name}: {failure}")
            log.info("%s could not read all of %s (%s).", decoder.name, path.name, failure)
    raise DecoderError(
        f"Cannot unpack {path.name}: of {counted(len(entries), 'file')} {len(sent):,} could be read (decoders tried: "
        f"{'; '.join(failures) or 'none found'}). Either the archive is damaged: fetch it again; or a decoder is "
        f"missing: {decoders.HOW_TO_GET_ONE}."
    )


def _cut(
    archive: rarfile.RarFile, entries: list[rarfile.RarInfo], stream: decoders.DecoderStream
) -> Iterator[tuple[str, bytes]]:
    """Yields (name, bytes) by cutting the stream at the sizes in the index; every checksum is verified before."""
    uses = Counter(entry.file_redir[2] for entry in entries if entry.file_redir and entry.file_redir[0] in _COPIES)
    originals: dict[str, bytes] = {}  # held only until their last copy has passed
    carry = b""
    for entry in entries:
        known = _known_bytes(archive, entry, originals)
        size = entry.file_size if known is None else len(known)
        data, carry = carry[:size], carry[size:]
        data += stream.read(size - len(data))
        if known is not None:
            if data != known:  # some decoders repeat links and copies, others leave them out
                carry, data = data + carry, known
        elif len(data) < size:
            raise _DecoderFailed(stream.complaint() or f"it stopped at {entry.filename}", entry)
        elif not _matches(entry, data):
            raise _DecoderFailed(f"{entry.filename} fails its checksum", entry)
        if uses[entry.filename]:
            originals[entry.filename] = data
        if entry.file_redir and entry.file_redir[0] in _COPIES:
            uses[entry.file_redir[2]] -= 1
            if not uses[entry.file_redir[2]]:
                originals.pop(entry.file_redir[2], None)
        yield entry.filename, data
    if carry or stream.read(1):
        raise _DecoderFailed("it sent more than the index lists")
    # Where the stored checksum is keyed, the decoder's own verdict is the only one.
    if any(_is_keyed(entry) for entry in entries) and not stream.succeeded():
        raise _DecoderFailed(stream.complaint() or "it ended with an error", entries[-1])


def _known_bytes(archive: rarfile.RarFile, entry: rarfile.RarInfo, originals: dict[str, bytes]) -> bytes | None:
    """Returns what a link or a copy of an earlier member holds, None for an ordinary member."""
    if entry.file_redir:
        kind, _, target = entry.file_redir
        if kind not in _COPIES:
            return target.encode()
        if target not in originals:
            raise _DecoderFailed(f"{entry.filename} copies {target}, which is not there", None)
        return originals[target]
    if entry.is_symlink() and entry.compress_type == rarfile.RAR_M0 and not entry.needs_password():
        return archive.read(entry)
    return None


def _matches(entry: rarfile.RarInfo, data: bytes) -> bool:
    """Returns whether `data` has the size and checksum in the index."""
    if len(data) != entry.file_size:
        return False
    if _is_keyed(entry):
        return True
    if entry.blake2sp_hash:
        return rarfile.Blake2SP(data).digest() == entry.blake2sp_hash
    return entry.CRC is None or zlib.crc32(data) == entry.CRC


def _is_keyed(entry: rarfile.RarInfo) -> bool:
    encryption = getattr(entry, "file_encryption", None)
    return bool(entry.needs_password() and encryption and encryption[1] & _TWEAKED)


def _wrong_password(path: Path) -> PasswordError:
    return PasswordError(f"The password does not open {path.name}, or the archive is damaged: check --password.")
