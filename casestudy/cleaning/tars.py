"""TAR archives, read by tarfile: plain, or compressed with gzip, bzip2, xz, or what 7-Zip unpacks, such as zstd."""

from __future__ import annotations

import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from casestudy.cleaning.errors import ArchiveError
from casestudy.cleaning.members import DAMAGE, Member, Reader, damage_said, damaged, readable
from casestudy.cleaning.tar_source import Source
from casestudy.cleaning.words import counted

_ZEROS = bytes(tarfile.BLOCKSIZE)
_WITHOUT_BYTES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)


def is_tar(path: Path) -> bool:
    """Returns whether a file, unpacked if it is compressed, begins as a TAR."""
    try:
        with Source(path) as source:
            _open(source)
    except (*DAMAGE, ArchiveError):
        return False
    return True


class TarReader(Reader):
    """A TAR, in the order of its headers; of several that were joined, one after the other."""

    _links: Counter[str] | None = None  # how many hard links lead to each name
    _names: list[str] | None = None

    def names(self) -> list[str]:
        if self._names is None or self._links is None:
            self._names, self._links = [], Counter()
            for _, entry in self._entries():
                self._names.append(readable(entry.name))
                if entry.islnk():
                    self._links[posixpath.normpath(entry.linkname)] += 1
        return self._names

    def members(self) -> Iterator[Member]:
        self.names()
        uses = Counter(self._links)
        originals: dict[str, bytes] = {}  # held only until their last link has passed
        for archive, entry in self._entries():
            try:
                data = self._read(archive, entry, originals)
            except DAMAGE as error:
                why = str(error) or type(error).__name__
                if not self.salvage:
                    raise damaged(self.path, f"{entry.name}: {why}") from None
                yield Member(readable(entry.name), b"", lost="cannot be read")
                continue
            if entry.islnk():
                target = posixpath.normpath(entry.linkname)
                uses[target] -= 1
                if not uses[target]:
                    originals.pop(target, None)
            if uses[posixpath.normpath(entry.name)]:
                originals[posixpath.normpath(entry.name)] = data
            yield Member(readable(entry.name), data)

    def _read(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, originals: dict[str, bytes]) -> bytes:
        if entry.issym():
            return entry.linkname.encode("utf-8", "surrogateescape")
        if entry.islnk():
            target = posixpath.normpath(entry.linkname)
            if target not in originals:
                raise KeyError(f"a hard link to {entry.linkname}, which does not come before it")
            return originals[target]
        if entry.type in _WITHOUT_BYTES:
            return b""
        with cast("IO[bytes]", archive.extractfile(entry)) as file:
            return file.read()

    def _entries(self) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        """Yields every entry that is no folder; what stands between, before and behind them is told or refused."""
        self.remarks = []
        with damage_said(self.path, "TAR"), Source(self.path) as source:
            try:
                archive: tarfile.TarFile | None = _open(source)
                while archive is not None:
                    yield from self._files(archive)
                    archive = self._next_archive(source)
                source.finish()
            except DAMAGE as error:
                if not self.salvage:
                    raise
                self.incomplete = True
                what = "of what came after, nothing is known, and a TAR keeps no checksums of what came before"
                self.remarks.append(f"it is damaged ({error or type(error).__name__}): {what}")
            self.remarks += source.remarks

    def _files(self, archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        """Yields what is no folder, up to where tarfile stops."""
        try:
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all that it has seen
                if entry.size < 0:
                    raise tarfile.ReadError(f"{entry.name} has {entry.size} bytes")
                if not entry.isdir():
                    self.refuse_giant(entry.name, entry.size)
                    yield archive, entry
        except tarfile.TarError:
            if not self.salvage:
                raise

    def _next_archive(self, source: Source) -> tarfile.TarFile | None:
        """Returns the TAR that goes on where tarfile stopped: behind an end mark, with salvage behind damage, too."""
        block = source.last
        ended, start = block == _ZEROS, source.tell() - len(block)
        if not ended and not self.salvage:
            raise damaged(self.path, "it has no end mark" if not block else f"its header at byte {start:,} is broken")
        if not ended:
            self.incomplete = True
            if not block:
                self.remarks.append("it has no end mark: if files followed the last, nothing tells")
                return None
        while block == _ZEROS:
            block = source.read(tarfile.BLOCKSIZE)
        if not block.strip(b"\0"):  # padding
            return None
        at = source.tell() - len(block)
        if ended:
            source.back(block)
            if archive := _open_if_header(source):
                self.remarks.append(f"another TAR is joined to it at byte {at:,}: read, too")
                return archive
            if not self.salvage:
                source.back(source.last)
                return None
            start, self.incomplete = at, True
        while block := source.read(tarfile.BLOCKSIZE):
            source.back(block)
            at = source.tell()
            if archive := _open_if_header(source):
                self.remarks.append(f"the {counted(at - start, 'byte')} from {start:,} on cannot be told any more")
                return archive
        self.remarks.append(f"all from byte {start:,} on cannot be told any more")
        return None


def _open_if_header(source: Source) -> tarfile.TarFile | None:
    try:
        archive = _open(source)
    except tarfile.TarError:
        return None
    return archive if archive.firstmember is not None else None  # type: ignore[attr-defined]


def _open(source: Source) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=cast("IO[bytes]", source), encoding="utf-8", errors="surrogateescape")
