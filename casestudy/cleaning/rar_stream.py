"""A decoder's stream cut into the members that the index of a RAR lists, each checked against its checksum."""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import rarfile

from casestudy.cleaning.decoders import Decoder, DecoderStream
from casestudy.cleaning.sevenzip import ask

_COPIES = (rarfile.RAR5_XREDIR_HARD_LINK, rarfile.RAR5_XREDIR_FILE_COPY)
_TWEAKED = 0x02  # rarfile's file_encryption flag: the stored checksum is keyed with the password


class DecoderFailed(Exception):
    """A decoder's answer does not fit the index; the next one is asked."""

    def __init__(self, why: str, entry: rarfile.RarInfo | None = None) -> None:
        super().__init__(why)
        self.entry = entry


@dataclass(frozen=True)
class _LeavingOut(Decoder):
    """7-Zip, told in a file what not to unpack."""

    listed: str = ""

    def command(self, archive: Path, *, has_password: bool) -> list[str]:
        *options, dashes, path = super().command(archive, has_password=has_password)
        return [*options, "-scsUTF-8", f"-x@{self.listed}", dashes, path]


@contextlib.contextmanager
def left_out(
    decoder: Decoder, path: Path, entries: Sequence[rarfile.RarInfo], password: str | None
) -> Iterator[tuple[Decoder, set[int]]]:
    """Yields a decoder that sends only what passes 7-Zip's test, and the positions of what does not.

    A member that is damaged comes short by a number of bytes that nothing tells, and all behind it could not be cut.
    Behind a wrong checksum alone 7-Zip and unrar go on, in a solid archive too: what follows may well be right.
    Other decoders have no such test: the decoder is `decoder` then, and no position is named.
    """
    if decoder.kind != "7zip":
        yield decoder, set()
        return
    failing = {
        line.partition(" : ")[2] for line in ask(path, password, "t")[2].split("\n") if line.startswith("ERROR:")
    }
    paths = [_sevenzip_path(entry) for entry in entries]
    bad = {position for position, name in enumerate(paths) if name in failing}
    lost = {entries[position].filename for position in bad}
    bad |= {k for k, entry in enumerate(entries) if is_copy(entry) and entry.file_redir[2] in lost}
    if not bad:
        yield decoder, bad
        return
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "left_out.txt")
        listed.write_text("\n".join(sorted({paths[position] for position in bad})), encoding="utf-8")
        yield _LeavingOut(decoder.name, decoder.program, decoder.kind, str(listed)), bad


def _sevenzip_path(entry: rarfile.RarInfo) -> str:
    version = getattr(entry, "file_version", None)
    return f"[VER]/{version[1]}/{entry.filename.rpartition(';')[0]}" if version else entry.filename


def cut(
    archive: rarfile.RarFile,
    entries: Sequence[rarfile.RarInfo],
    stream: DecoderStream,
    bad: Collection[int] | None = None,
) -> Iterator[tuple[rarfile.RarInfo, bytes, str]]:
    """Yields (entry, bytes, "") by cutting the stream at the sizes in the index; every checksum is verified before.

    Args:
        archive: For links that are stored.
        entries: All files of the archive.
        stream: Their bytes, of a decoder that runs.
        bad: Positions that the stream leaves out. With it a member that does not fit is yielded without bytes, with the
            reason; else it raises.

    Raises:
        DecoderFailed: The stream does not fit the index, and `bad` is None.
    """
    lenient = bad is not None
    uses = Counter(entry.file_redir[2] for entry in entries if is_copy(entry))
    originals: dict[str, bytes] = {}  # held only until their last copy has passed
    carry = b""
    for position, entry in enumerate(entries):
        if bad is not None and position in bad:
            yield entry, b"", "cannot be unpacked"
            continue
        why = ""
        try:
            known = _known_bytes(archive, entry, originals)
        except DecoderFailed:
            if not lenient:
                raise
            yield entry, b"", "leads to what is lost" if is_copy(entry) else "cannot be read"
            continue
        size = entry.file_size if known is None else len(known)
        data, carry = carry[:size], carry[size:]
        data += stream.read(size - len(data))
        if known is not None:
            if data != known:  # some decoders repeat links and copies, others leave them out
                carry, data = data + carry, known
        elif len(data) < size:
            why = stream.complaint() or f"it stopped at {entry.filename}"
        elif not matches(entry, data):
            why = f"{entry.filename} fails its checksum"
        if why and not lenient:
            raise DecoderFailed(why, entry)
        if uses[entry.filename] and not why:
            originals[entry.filename] = data
        if is_copy(entry):
            uses[entry.file_redir[2]] -= 1
            if not uses[entry.file_redir[2]]:
                originals.pop(entry.file_redir[2], None)
        yield entry, b"" if why else data, "fails its checksum" if why else ""
    if lenient:
        return
    if carry or stream.read(1):
        raise DecoderFailed("it sent more than the index lists")
    # Where the stored checksum is keyed, the decoder's own verdict is the only one.
    if any(_is_keyed(entry) for entry in entries) and not stream.succeeded():
        raise DecoderFailed(stream.complaint() or "it ended with an error", entries[-1])


def is_copy(entry: rarfile.RarInfo) -> bool:
    """Returns whether an entry has the bytes of an earlier one, by its name."""
    return bool(entry.file_redir and entry.file_redir[0] in _COPIES)


def _known_bytes(archive: rarfile.RarFile, entry: rarfile.RarInfo, originals: dict[str, bytes]) -> bytes | None:
    """Returns what a link or a copy of an earlier member holds, None for an ordinary member."""
    if entry.file_redir:
        target = entry.file_redir[2]
        if not is_copy(entry):
            return target.encode("utf-8", "surrogatepass")
        if target not in originals:
            raise DecoderFailed(f"{entry.filename} copies {target}, which is not there", None)
        return originals[target]
    if entry.is_symlink() and entry.compress_type == rarfile.RAR_M0 and not entry.needs_password():
        try:
            return archive.read(entry)
        except (rarfile.Error, OSError) as error:
            raise DecoderFailed(f"the link {entry.filename} cannot be read ({error})", None) from None
    return None


def matches(entry: rarfile.RarInfo, data: bytes) -> bool:
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
