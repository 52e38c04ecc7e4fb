"""What a path of an archive says, once it is known how the archive's paths are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from casestudy.cleaning.evidence import IN_NAME, Doubt, Reading
from casestudy.cleaning.ledger import NAMESAKES, RESPELLED
from casestudy.cleaning.paths import (
    LETTER,
    NUMBER,
    PARTS,
    WORD,
    as_label,
    class_of,
    kind_of,
    letter_of,
    stem_of,
    tokens_of,
)
from casestudy.cleaning.pattern import Pattern
from casestudy.cleaning.people import person_key
from casestudy.cleaning.stored_names import split_path
from casestudy.cleaning.trails import Folders, Trail, Tree

_OPEN = (LETTER, NUMBER, WORD)  # kinds of folders that can be people, though not named so
_UNTOLD = "no letter can be told from its path: say where it stands with --pattern"


@dataclass(frozen=True, slots=True)
class Place:
    """What an entry's path says; each text is empty where it says nothing."""

    label: str = ""  # a letter, upper-case, or a word
    signer: str = ""  # in the spelling that all of this person's entries have
    part: str = ""  # "train", "validation", "test" or what a pattern found
    folder: str = ""  # what goes before the file name in the stored name
    remark: str = ""  # why there is no label, or what deserves a look


@dataclass
class Layout:
    """How the paths of one archive are read; made by `naming.find_layout`."""

    tree: Tree
    readings: dict[tuple[bool, int], Reading] = field(default_factory=dict)  # by `key_of` the folders
    doubts: dict[tuple[bool, int], Doubt] = field(default_factory=dict)
    search: Pattern | re.Pattern[str] | None = None  # in place of the readings
    listed: Mapping[str, str] = field(default_factory=dict)  # labels that the archive itself lists, by entry
    classes: dict[str, str] = field(default_factory=dict)  # case-folded label → its spelling
    people: dict[str, str] = field(default_factory=dict)  # `person_key` → spelling, of those that are signers
    homes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # `person_key` → the folders of namesakes
    words: bool = True  # whether a folder called by a word is a label
    letters: bool = True  # whether a letter that begins a file's name is one, if no folder has it
    _trails: dict[Folders, Trail] = field(default_factory=dict)
    _searched: dict[str, Place] = field(default_factory=dict)

    def place(self, entry: str) -> Place:
        """Returns what an entry's path says under this layout.

        >>> from casestudy.cleaning.naming import find_layout
        >>> layout = find_layout(["set/user_3/A0.jpg", "set/user_3/b_1.jpg", "set/user_4/A0.jpg"])
        >>> layout.place("set/user_3/b_1.jpg").label, layout.place("set/user_4/A0.jpg").signer
        ('B', 'user_4')
        """
        found = self.as_written(entry)
        trail = self.trail(entry)
        part, part_folder = (found.part, found.part) if found.part else (trail.part, trail.part_folder)
        if not found.label:
            owners = (self.people.get(person_key(name), "") for name in reversed(trail.names))
            return replace(found, signer=next(filter(None, owners), ""), part=part)
        signer = self.people.get(person_key(found.signer), "")
        respelled = f"{RESPELLED}{found.signer}" if signer not in ("", found.signer) else ""
        homes = self.homes.get(person_key(found.signer), ())
        shared = f"{NAMESAKES}{' and '.join(homes)}" if signer and len(homes) > 1 else ""
        return Place(
            self.classes.get(found.label.casefold(), found.label),
            signer,
            part,
            signer or part_folder or found.folder,
            "; ".join(filter(None, (found.remark, respelled, shared))),
        )

    def trail(self, entry: str) -> Trail:
        """Returns what the folders above an entry are."""
        folders = tuple(split_path(entry)[:-1])
        if (trail := self._trails.get(folders)) is None:
            trail = self._trails[folders] = self.tree.trail(folders)
        return trail

    def home(self, entry: str) -> str:
        """Returns the folders in which an entry's person has a namesake elsewhere, "" where they are at the top."""
        trail = self.trail(entry)
        reading = self.readings.get(key_of(trail))
        if self.search is not None or reading is None:
            return ""
        signer = trail.person if reading.signer is None else trail.open[reading.signer]
        label = trail.open[reading.label] if reading.label else None
        return "" if signer is None else trail.home(signer, label)

    def as_written(self, entry: str) -> Place:
        """Returns an entry's place before spellings are made one, and people told from other folders."""
        if self.search is not None:
            if entry not in self._searched:
                self._searched[entry] = _by_pattern(entry, self.search)
            return self._searched[entry]
        trail, file_name = self.trail(entry), split_path(entry)[-1]
        parent = trail.names[-1] if trail.names else ""
        if entry in self.listed:
            return Place(self.listed[entry], trail.signer, folder=parent)
        key, stem = key_of(trail), stem_of(file_name)
        if (reading := self.readings.get(key, _USUAL.get(key[1]))) is None or key in self.doubts:
            doubt = self.doubts.get(key)
            return Place(remark=f"{doubt.why}: say which with --pattern" if doubt else _UNTOLD)
        signer = trail.signer
        if reading.first_is_signer and not signer:
            signer = (tokens_of(stem) or [""])[0]
        elif reading.signer is not None and kind_of(name := trail.names[trail.open[reading.signer]]) in _OPEN:
            signer = name
        if reading.label == IN_NAME:
            label = self._in_name(stem, reading)
            if not label and trail.open and trail.kind(-1) == LETTER:  # among people's, whose files have the letter
                label, signer = trail.label(-1), trail.signer
            return Place(label, signer, folder=parent, remark="" if label else _UNTOLD)
        label, above = trail.label(reading.label), trail.names[-2] if len(trail.names) > 1 else ""
        if not label or (trail.kind(reading.label) == WORD and not self.words):
            return Place(remark=_UNTOLD)
        letter = letter_of(stem).upper()
        contradicts = letter not in ("", label) and letter in self.classes.values()
        remark = f"its name reads {letter}" if contradicts else ""
        return Place(label, signer, folder=above if reading.label == -1 else parent, remark=remark)

    def _in_name(self, stem: str, reading: Reading) -> str:
        if reading.piece is not None:
            pieces = tokens_of(stem)
            return as_label(pieces[reading.piece]) if len(pieces) > reading.piece else ""
        return class_of(stem, self.classes) or (as_label(letter_of(stem)) if self.letters else "")


_USUAL = {0: Reading(IN_NAME), 1: Reading(-1)}  # where no image has such a path


def key_of(trail: Trail) -> tuple[bool, int]:
    """Returns what like paths have in common: a folder named like a person, and how many whose meaning is open."""
    return trail.person is not None, len(trail.open)


def _by_pattern(entry: str, pattern: Pattern | re.Pattern[str]) -> Place:
    found = pattern.search("/".join(split_path(entry)))
    groups = found.groupdict() if isinstance(found, re.Match) else found
    if not groups or not groups["label"]:
        return Place(remark="the pattern does not match its path")
    label = as_label(groups["label"])
    if not label:
        return Place(remark=f"the pattern's label {groups['label']!r} cannot name a folder")
    part = groups.get("part") or ""
    folders = split_path(entry)[:-1]
    return Place(label, groups.get("signer") or "", PARTS.get(part.casefold(), part), folders[-1] if folders else "")
