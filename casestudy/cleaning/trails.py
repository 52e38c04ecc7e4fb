"""What each folder is among its siblings: a person's, a part's, one that says nothing, or one that may be the label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from casestudy.cleaning.paths import (
    ASPECT,
    CONTENT,
    LETTER,
    NUMBER,
    PART,
    PERSON,
    SESSION,
    WORD,
    as_label,
    is_archive,
    kind_of,
    part_of,
    tidy,
)

Folders = tuple[str, ...]  # of a path, the top first
_WRAPS = 0.95  # a folder that holds this share of all images tells none of them apart
_kind = cache(kind_of)


@dataclass(frozen=True)
class Trail:
    """The folders above a file: which of them is what."""

    names: Folders
    part: str = ""  # "train", "validation" or "test"
    part_folder: str = ""  # how that part is written
    person: int | None = None  # the place of the nearest folder that is named like a person
    open: tuple[int, ...] = ()  # the places of the nearest one or two folders that may be label or person
    telling: tuple[int, ...] = ()  # the places of all that may be

    def kind(self, place: int) -> str:
        """Returns the kind of an open folder, counted from the nearest, -1."""
        return _kind(self.names[self.open[place]])

    def label(self, place: int) -> str:
        """Returns an open folder as a label."""
        return as_label(self.names[self.open[place]])

    def home(self, signer: int, label: int | None) -> str:
        """Returns the folders above that of the person which tell something and are not the label."""
        return "/".join(self.names[k] for k in self.telling if k < signer and k != label)

    @property
    def signer(self) -> str:
        """The folder named like a person, "" where there is none."""
        return "" if self.person is None else self.names[self.person]


class Tree:
    """All folders that hold images, so that each can be seen among its siblings."""

    def __init__(self, counts: Mapping[Folders, int], *, aspects_are_words: bool = False) -> None:
        """`counts` are the images that lie directly in each folder; see `trail` for `aspects_are_words`."""
        self._aspects_are_words = aspects_are_words
        self._direct = counts
        self._below: Counter[Folders] = Counter()
        children: dict[Folders, set[str]] = defaultdict(set)
        for folders, count in counts.items():
            for depth in range(len(folders)):
                self._below[folders[: depth + 1]] += count
                children[folders[:depth]].add(folders[depth])
        self._total = sum(counts.values())
        self._siblings = {above: Counter(_kind(tidy(name)) for name in names) for above, names in children.items()}
        self._roles: dict[Folders, str] = {}

    def trail(self, folders: Folders) -> Trail:
        """Returns what the folders of a path are.

        Folders that are called after what they hold (`images`), when (`session1`) or how it was taken (`left`) say
        nothing, unless they stand among more that do not; with `aspects_are_words` those of the last kind are words.
        """
        names = tuple(map(tidy, folders))
        roles = [self._role(folders[: depth + 1]) for depth in range(len(folders))]
        person = max((k for k, role in enumerate(roles) if role == PERSON), default=None)
        part = max((k for k, role in enumerate(roles) if role == PART), default=None)
        telling = open_ = [k for k, role in enumerate(roles) if role in (LETTER, NUMBER, WORD)]
        if person is not None:  # a.zip/user_1/A0.jpg: an archive with people in it has a name of its own
            telling = open_ = [k for k in open_ if k > person or not is_archive(folders[k])]
        letters = [k for k in open_ if roles[k] == LETTER]
        if len(open_) > 2 and letters and letters[-1] < open_[-2]:
            open_ = open_[open_.index(letters[-1]) :][:2]
        in_part = "" if part is None else names[part]
        part_name = part_of(in_part) if in_part else ""
        return Trail(names, part_name, in_part, person, tuple(open_[-2:]), tuple(telling))

    def _role(self, path: Folders) -> str:
        if (role := self._roles.get(path)) is None:
            role = self._roles[path] = self._judge(path)
        return role

    def _judge(self, path: Folders) -> str:
        kind = _kind(tidy(path[-1]))
        if path[-1] in ("", ".", ".."):
            return CONTENT
        siblings = self._siblings.get(path[:-1], Counter())
        if kind in (PART, CONTENT, SESSION, ASPECT):
            plain = siblings[WORD] + siblings[LETTER] + siblings[NUMBER]
            holds_images = 2 * self._direct.get(path, 0) > self._below[path]
            among_words = plain > max(1, siblings[kind]) or (kind == ASPECT and self._aspects_are_words)
            return WORD if holds_images and among_words else kind
        if kind in (WORD, NUMBER) and self._total:
            below, direct = self._below[path], self._direct.get(path, 0)
            wraps = below >= _WRAPS * self._total and direct < (1 - _WRAPS) * below
            if wraps or direct == self._total:
                return CONTENT
        return kind
