"""Several archives as one: each is a folder of its own, called as the archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from casestudy.cleaning.archive import open_archive
from casestudy.cleaning.errors import CaseStudyError
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.stored_names import UniqueNames


def open_archives(archives: str | Path | Sequence[str | Path], *, password: str | None, salvage: bool) -> Reader:
    """Returns the reader of one archive, or of several in the order given; raises as `open_archive`."""
    paths = as_paths(archives)
    return as_one([open_archive(path, password=password, salvage=salvage) for path in paths])


def as_one(readers: Sequence[Reader]) -> Reader:
    """Returns one reader of all."""
    return readers[0] if len(readers) == 1 else _SeveralReader(readers)


def as_paths(archives: str | Path | Sequence[str | Path]) -> list[Path]:
    """Returns the paths that were named; raises CaseStudyError where there are none, or one twice."""
    paths = [Path(archives)] if isinstance(archives, str | Path) else [Path(archive) for archive in archives]
    if not paths:
        raise CaseStudyError("Cleaning needs an archive, and received none: name one.")
    places = [path.resolve() for path in paths]
    again = next((path for k, path in enumerate(paths) if places[k] in places[:k]), None)
    if again is not None:
        raise CaseStudyError(f"Each archive is named once; {again} is named twice.")
    return paths


class _SeveralReader(Reader):
    """Archives one after the other; an entry of a.rar is called "a.rar/…", and --undo gives a folder of that name."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        super().__init__(readers[0].path, readers[0].password, salvage=readers[0].salvage)
        names = UniqueNames()
        self._readers = {names.claim(reader.path.resolve().name): reader for reader in readers}

    def names(self) -> list[str]:
        return [f"{folder}/{name}" for folder, reader in self._readers.items() for name in reader.names()]

    def members(self) -> Iterator[Member]:
        self.remarks = []
        for folder, reader in self._readers.items():
            for member in reader.members():
                yield replace(member, name=f"{folder}/{member.name}")
            self.remarks += [f"{folder}: {remark}" for remark in reader.remarks]
            self.incomplete |= reader.incomplete
