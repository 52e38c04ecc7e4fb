"""Archives inside archives: each is an entry itself, and what it holds are entries behind it, `user_1.rar/A0.jpg`."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from casestudy.cleaning.errors import ArchiveError, CaseStudyError, DecoderError, PasswordError
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.paths import PACKED, TARS
from casestudy.cleaning.stored_names import clean_part
from casestudy.cleaning.words import counted

DEEPEST = 3  # archives inside one another
MOST_ENTRIES = 200_000  # in all archives inside one
MOST_BYTES = 16 << 30  # the same, unpacked
_GROWTH, _SMALL = 200, 256 << 20  # unpacked, an archive has at most so many times its bytes, or so many bytes
EXTENSIONS = (".zip", ".rar", ".7z", *TARS, *(f".tar{end}" for end in ("", *PACKED)))


class _TooMuch(CaseStudyError):
    """An archive holds more than can be what it seems to be."""


class NestedReader(Reader):
    """An archive, and behind each entry that is an archive the entries of that, so far as it can be read whole.

    One that cannot (it is damaged, encrypted or too large; lies too deep) stays an entry as any other, with a note.
    """

    def __init__(self, outer: Reader, choose: Callable[[Path, str | None], Reader], depth: int = 1) -> None:
        """Takes the reader of the archive itself, and what finds the reader of one inside it."""
        super().__init__(outer.path, outer.password, salvage=outer.salvage)
        self._outer, self._choose, self._depth = outer, choose, depth
        self._inside: dict[int, list[str]] | None = None  # names in the archives that are opened, by their position
        self._notes: dict[int, str] = {}  # on those that are not
        self._unopened: list[str] = []  # the same, for the summary
        self._left = [MOST_ENTRIES, MOST_BYTES]

    def on_disk(self, name: str) -> Path | None:
        return self._outer.on_disk(name)

    def names(self) -> list[str]:
        inside = self._look_inside()
        found = []
        for position, name in enumerate(self._outer.names()):
            found += [name, *(f"{name}/{inner}" for inner in inside.get(position, ()))]
        return found

    def members(self) -> Iterator[Member]:
        inside = self._look_inside()
        remarks = list(self._unopened)
        for position, member in enumerate(self._outer.members()):
            if position not in inside:
                yield Member(member.name, member.data, self._notes.get(position, member.note), member.lost)
                continue
            yield Member(member.name, member.data, member.note, opened=True)
            with self._opened(member) as reader:
                for inner in reader.members():
                    name = f"{member.name}/{inner.name}"
                    yield Member(name, inner.data, inner.note, inner.lost, inner.opened)
                remarks += [f"{member.name}: {remark}" for remark in reader.remarks]
                self.incomplete |= reader.incomplete
        self.remarks = [*self._outer.remarks, *remarks]
        self.incomplete |= self._outer.incomplete

    def _look_inside(self) -> dict[int, list[str]]:
        """Returns the names in each archive that is opened: it is read whole before, so that none is opened half."""
        if self._inside is None:
            names = self._outer.names()
            last = max((k for k, name in enumerate(names) if name.lower().endswith(EXTENSIONS)), default=-1)
            self._inside = {}
            folders = {str(folder) for name in names for folder in PurePosixPath(name).parents} if last >= 0 else set()
            for position, member in enumerate(itertools.islice(self._outer.members(), last + 1)):
                if member.lost or not member.name.lower().endswith(EXTENSIONS):
                    continue
                try:
                    if self._depth > DEEPEST:
                        raise _TooMuch(f"it lies more than {counted(DEEPEST, 'archive')} deep")
                    if str(PurePosixPath(member.name)) in folders:
                        raise _TooMuch("a folder has the same name")
                    self._inside[position] = self._names_inside(member)
                except CaseStudyError as error:
                    self._notes[position] = f"not opened: {_reason(error)}"
                    self._unopened.append(f"{member.name} was not opened: {error}")
        return self._inside

    def _names_inside(self, member: Member) -> list[str]:
        names: list[str] = []
        entries, room = self._left
        with self._opened(member) as reader:
            for inner in reader.members():
                names.append(inner.name)
                room -= inner.size
                most = max(_SMALL, _GROWTH * member.size)
                if len(names) > entries or room < 0 or self._left[1] - room > most:
                    raise _TooMuch(
                        f"it holds more than {counted(entries, 'file')} or {min(most, self._left[1]):,} bytes"
                    )
        self._left = [entries - len(names), room]
        return names

    @contextlib.contextmanager
    def _opened(self, member: Member) -> Iterator[Reader]:
        with tempfile.TemporaryDirectory() as folder:
            place = self._outer.on_disk(member.name)
            if place is None:  # else where it is: the further parts of it lie beside it
                place = Path(folder, clean_part(member.name.rpartition("/")[2])[-100:])
                try:
                    place.write_bytes(member.data)
                except OSError as error:
                    raise ArchiveError(f"Cannot unpack {member.name} to {folder} ({error.strerror}).") from None
            inner = self._choose(place, self.password)
            inner.salvage = self.salvage
            yield NestedReader(inner, self._choose, self._depth + 1)


def _reason(error: CaseStudyError) -> str:
    """Returns why an archive was not opened, in words that are the same on every machine."""
    if isinstance(error, _TooMuch):
        return str(error)
    if isinstance(error, PasswordError):
        return "encrypted, and no password given opens it"
    if "later part" in str(error):
        return "a later part of another"
    if "allowed are" in str(error):
        return "one of its files is too large"
    return "damaged, or no decoder reads it" if isinstance(error, DecoderError) else "damaged or incomplete"
