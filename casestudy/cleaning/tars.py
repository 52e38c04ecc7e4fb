"""TAR archives: plain or compressed with gzip, bzip2 or xz, read by tarfile."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, cast

from casestudy.cleaning.errors import ArchiveError
from casestudy.cleaning.members import Member, Reader, damage_said, readable


class TarReader(Reader):
    """A TAR, in the order of its headers."""

    def names(self) -> list[str]:
        with damage_said(self.path, "TAR"), tarfile.open(self.path) as archive:
            return [readable(entry.name) for entry in archive if not entry.isdir()]

    def members(self) -> Iterator[Member]:
        with damage_said(self.path, "TAR"), tarfile.open(self.path) as archive:
            for entry in archive:
                if entry.isdir():
                    continue
                self.refuse_giant(entry.name, entry.size)
                data = b""
                if entry.issym():
                    data = entry.linkname.encode("utf-8", "surrogateescape")
                elif entry.isfile() or entry.islnk():
                    with cast("IO[bytes]", archive.extractfile(entry)) as file:
                        data = file.read()
                yield Member(readable(entry.name), data)
            # tarfile takes a broken header for the end, so the zero block that ends a TAR is looked for here.
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise ArchiveError(
                    f"{self.path.name} is truncated or damaged: its end mark is missing. Fetch it again."
                )
            while archive.fileobj.read(1 << 20):  # so that the checksum at the end of the compressed stream is verified
                pass
