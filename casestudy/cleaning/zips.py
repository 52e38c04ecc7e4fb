"""ZIP archives, read by zipfile."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from casestudy.cleaning.errors import ArchiveError, PasswordError
from casestudy.cleaning.members import Member, Reader, damage_said, readable


class ZipReader(Reader):
    """A ZIP, in the order of its central directory."""

    def names(self) -> list[str]:
        with damage_said(self.path, "ZIP", self.password), zipfile.ZipFile(self.path) as archive:
            return [_name(entry) for entry in archive.infolist() if not entry.is_dir()]

    def members(self) -> Iterator[Member]:
        path, password = self.path, self.password
        with damage_said(path, "ZIP", password), zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if password is None and any(entry.flag_bits & 1 for entry in entries):
                raise PasswordError(f"{path.name} is encrypted: pass its password with --password.")
            for entry in entries:
                self.refuse_giant(entry.filename, entry.file_size)
                data = archive.read(entry, pwd=password.encode() if password and entry.flag_bits & 1 else None)
                if len(data) != entry.file_size:
                    raise ArchiveError(f"{path.name} is damaged: {entry.filename} is cut short. Fetch it again.")
                yield Member(_name(entry), data)


def _name(entry: zipfile.ZipInfo) -> str:
    return readable(entry.filename.replace("\\", "/"))
