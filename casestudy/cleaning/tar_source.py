"""The bytes of a TAR as one stream that is read forwards, whatever it is compressed with."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from casestudy.cleaning.decoders import HOW_TO_GET_ONE, DecoderStream
from casestudy.cleaning.errors import ArchiveError, DecoderError
from casestudy.cleaning.sevenzip import seven_zips

ARCHIVES = (b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"ustar")  # what no bytes behind an end may hold
_CHUNK = 1 << 20
_STEP = 1 << 14  # bytes unpacked at a time: where a stream breaks, no more than these are lost before
_BY_SEVEN_ZIP = (b"\x28\xb5\x2f\xfd", b"\x1f\x9d", b"\x5d\x00\x00")  # zstd, compress, lzma


class _Inflater:
    """zlib's decompressor for gzip, with the interface of the others."""

    def __init__(self) -> None:
        self._inner, self.needs_input = zlib.decompressobj(31), True
        self._error: zlib.error | None = None

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        if self._error is not None:
            raise self._error
        before, data = self._inner.copy(), self._inner.unconsumed_tail + data
        try:
            out = self._inner.decompress(data, most)
        except zlib.error as error:  # first what comes before the damage
            self._error, self.needs_input = error, False
            out = b""
            with contextlib.suppress(zlib.error):
                while piece := before.decompress(data, 16):
                    out, data = out + piece, before.unconsumed_tail
            return out or self.decompress(b"", most)
        self.needs_input = len(out) < most and not self._inner.unconsumed_tail
        return out


_HERE: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": _Inflater,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
}


class Source:
    """A file, unpacked. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        """Opens a file; raises OSError, or DecoderError where it needs 7-Zip and that is missing."""
        self._file: IO[bytes] = path.open("rb")
        head = self._file.read(6)
        self._file.seek(0)
        self._magic = next((magic for magic in _HERE if head.startswith(magic)), b"")
        self._decompressor = _HERE[self._magic]() if self._magic else None
        self._decoder: DecoderStream | None = None
        if head.startswith(_BY_SEVEN_ZIP):
            programs = seven_zips()
            if not programs:
                self._file.close()
                raise DecoderError(f"{path.name} needs 7-Zip, and it is missing: {HOW_TO_GET_ONE}.")
            self._decoder = DecoderStream(programs[0], path, None)
        self._ready = b""  # unpacked and not read yet
        self._at = 0
        self._ended = False
        self.last = b""  # what the last reading gave
        self.path = path
        self.remarks: list[str] = []

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._decoder is not None:
            self._decoder.__exit__()

    def tell(self) -> int:
        """Returns how many bytes were read or passed over."""
        return self._at

    def seek(self, to: int) -> int:
        """Passes over what lies before `to`, which is not behind."""
        if self._decompressor is None and self._decoder is None and not self._ready:
            self._file.seek(to)
            self._at = to
        while self._at < to and self._take(min(to - self._at, _CHUNK)):
            pass
        return self._at

    def read(self, size: int) -> bytes:
        """Returns the next bytes, fewer only where the file ends; raises what a damaged stream raises."""
        pieces, missing = [], size
        while missing > 0 and (piece := self._take(min(missing, _CHUNK))):
            pieces.append(piece)
            missing -= len(piece)
        self.last = b"".join(pieces)
        return self.last

    def back(self, data: bytes) -> None:
        """Takes back what was read last, to be read again."""
        self._ready = data + self._ready
        self._at -= len(data)

    def finish(self) -> None:
        """Reads to the end, so that the checksums there are verified; what is left is no part of any archive.

        Raises:
            ArchiveError: Another archive is there.
            EOFError: 7-Zip calls the file damaged.
        """
        start, seen = self._at, b""
        while piece := self.read(_CHUNK):
            self._refuse_archives(seen[-8:] + piece)
            seen = piece
        if self._decoder is not None and not self._decoder.succeeded():
            raise EOFError(self._decoder.complaint() or "7-Zip ended with an error")
        if self._at > start:
            self.remarks.append(f"{self._at - start:,} bytes behind its end belong to no entry")

    def _refuse_archives(self, data: bytes) -> None:
        if any(mark in data for mark in ARCHIVES):
            raise ArchiveError(f"{self.path.name} has another archive behind its end: cut them apart, and pass both.")

    def _take(self, most: int) -> bytes:
        if not self._ready:
            self._ready = self._more(most)
        piece, self._ready = self._ready[:most], self._ready[most:]
        self._at += len(piece)
        return piece

    def _more(self, most: int) -> bytes:
        if self._decoder is not None:
            return self._decoder.read(most)
        if self._decompressor is None:
            return self._file.read(most)
        while not self._ended:
            if self._decompressor.eof:
                self._next_stream(self._decompressor.unused_data)
                continue
            data = self._file.read(1 << 16) if self._decompressor.needs_input else b""
            if not data and self._decompressor.needs_input:
                raise EOFError("its compressed stream is cut short")
            if piece := self._decompressor.decompress(data, _STEP):
                return bytes(piece)
        return b""

    def _next_stream(self, rest: bytes) -> None:
        """Goes on with what follows the end of a compressed stream: zeros, another stream, or what is none."""
        while not rest.strip(b"\0") and (rest := self._file.read(_CHUNK)):
            pass
        rest = rest.lstrip(b"\0")
        self._ended = True
        if not rest:
            return
        rest += self._file.read(len(self._magic))
        if rest.startswith(self._magic):
            self._decompressor, self._ended = _HERE[self._magic](), False
            self._file.seek(-len(rest), 1)
            return
        count = len(rest)
        while rest:
            self._refuse_archives(rest)
            count += len(rest := self._file.read(_CHUNK))
        self.remarks.append(f"{count:,} bytes behind its compressed stream belong to no entry")
