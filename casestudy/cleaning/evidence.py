"""Where a group of images with like paths has its label: the readings that fit, and what contradicts them.

A group are the images that have as many folders of which nobody knows yet what they are (none, one or two), with or
without a folder that is named like a person. Each is judged as a whole: one image alone tells nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from casestudy.cleaning.paths import LETTER, NUMBER, WORD, is_person_token, kind_of, tokens_of
from casestudy.cleaning.trails import Trail

_FEW = 0.2  # file names of which fewer begin with a letter are silent
_MOST = 0.8  # file names of which so many have their folder's letter agree with it
IN_NAME = 0


@dataclass(frozen=True)
class Reading:
    """Where the label is, and who is the person where no folder is named like one."""

    label: int  # IN_NAME, or an open folder: -1 the nearest, -2 the one above
    signer: int | None = None  # an open folder
    piece: int | None = None  # of the file's name, where the label is not at its beginning
    first_is_signer: bool = False  # the first piece of the file's name is the person


@dataclass(frozen=True)
class Doubt:
    """Readings between which names do not decide, the likelier first."""

    readings: tuple[Reading, ...]
    why: str


@dataclass(frozen=True)
class Group:
    """Images with like paths: their folders, and the letters that the names in each begin with ("" for others)."""

    trails: Sequence[Trail]
    letters: Sequence[Counter[str]]
    stems: Sequence[Sequence[str]]

    @property
    def size(self) -> int:
        return sum(letters.total() for letters in self.letters)

    @property
    def has_person(self) -> bool:
        return self.trails[0].person is not None

    def column(self, place: int) -> list[str]:
        """Returns for each folder what it, or the one above it, would be as a label."""
        return [trail.label(place) or trail.names[trail.open[place]] for trail in self.trails]

    def has_letters(self, place: int) -> bool:
        """Returns whether an open folder is often a letter or a number: more than a third of the names are."""
        kinds = {trail.label(place): trail.kind(place) for trail in self.trails}
        return 3 * sum(kind != WORD for kind in kinds.values()) > len(kinds)


def judge(group: Group) -> Reading | Doubt:
    """Returns the one reading that nothing contradicts, or the readings in doubt."""
    width = len(group.trails[0].open)
    found = (_by_name, _one_folder, _two_folders)[width](group)
    if isinstance(found, Reading) and found.label and not group.has_person and found.signer is None:
        found = _with_signers_in_names(group, found)
    return found


def _by_name(group: Group) -> Reading | Doubt:
    """No folder can be the label: it begins the file's name, or is another piece of it."""
    silent = sum(letters[""] for letters in group.letters)
    if 2 * silent < group.size:
        return Reading(IN_NAME)
    pieces = [tokens_of(stem) for stems in group.stems for stem in stems]
    first = {piece[0] for piece in pieces if piece}
    people = sum(is_person_token(piece[0]) for piece in pieces if piece) >= (1 - _FEW / 2) * len(pieces)
    single = [k for k in range(5) if _tells_labels(pieces, k, 0.5 if people and k == 1 else 0.95)]
    if len(single) != 1:
        return Reading(IN_NAME)
    reading = Reading(IN_NAME, piece=single[0])
    if group.has_person or single[0] == 0:
        return reading
    if people:
        return Reading(IN_NAME, piece=single[0], first_is_signer=True)
    if len(first) == 1 or single[0] != 1 or any(name.isdigit() for name in first):
        return reading
    named = Reading(IN_NAME, piece=1, first_is_signer=True)
    return Doubt((named, reading), f"{', '.join(sorted(first)[:3])} may be people")


def _tells_labels(pieces: Sequence[Sequence[str]], k: int, share: float) -> bool:
    """Returns whether piece `k` of that share of names is one letter or digit, and not always the same."""
    found = [piece[k] for piece in pieces if len(piece) > k and len(piece[k]) == 1]
    return len(found) >= share * len(pieces) and len(set(found)) > 1 and not all(one.isdigit() for one in set(found))


def _one_folder(group: Group) -> Reading | Doubt:
    """One folder is either the label, or a person (or nothing) above file names that begin with it."""
    folder = Reading(-1)
    name = Reading(IN_NAME, None if group.has_person else -1)
    verdict = _names_against(group, -1)
    if verdict != "letters of their own":
        return folder if not verdict else Doubt((folder, name), verdict)
    begins = {one.upper() for letters in group.letters for one in letters if one}
    labels = {label for label, letters in zip(group.column(-1), group.letters, strict=True) if any(letters)}
    why = f"folders {_some(labels)} and file names {_some(begins)} could both be the label"
    counts = {label.rstrip("0123456789") for label in labels}
    if len(counts) == 1 and len(labels) > 1 and not group.has_letters(-1):
        return name  # `Zoë_0`, `Zoë_1`: folders that are only counted are no labels
    if group.has_letters(-1) or not (len(begins) >= len(labels) or _is_alphabet(begins, 10)):
        return Doubt((name, folder), why)
    return name


def _names_against(group: Group, place: int) -> str:
    """Returns "" where the names do not contradict that this folder is the label, else how they do."""
    folders = group.column(place)
    by_folder: dict[str, Counter[str]] = defaultdict(Counter)
    for folder, letters in zip(folders, group.letters, strict=True):
        by_folder[folder] += Counter({letter: count for letter, count in letters.items() if letter})
    read = sum(counts.total() for counts in by_folder.values())
    if read < _FEW * group.size:
        return ""
    agree = sum(counts[letter] for folder, counts in by_folder.items() for letter in counts if letter.upper() == folder)
    if agree >= _MOST * read:
        return ""
    begins = {letter.upper() for counts in by_folder.values() for letter in counts}
    if len(begins) == 1:
        (letter,) = begins
        small = all(one.islower() for counts in by_folder.values() for one in counts)
        if small and read > 1:
            return ""  # `f0`, `f1` … of frames: a letter that never changes tells nothing apart
        return f"file names begin with {letter}, folders are called {_some(set(folders))}"
    if len(by_folder) > 1 and all(len({one.upper() for one in counts}) <= 1 for counts in by_folder.values()):
        if all(folder.upper().startswith(one.upper()) for folder, counts in by_folder.items() for one in counts):
            return ""  # `hello/h1`, `bye/b1`
        return f"file names begin with another letter in each of the folders {_some(set(folders))}"
    return "letters of their own"


def _two_folders(group: Group) -> Reading | Doubt:
    """Two folders: label and person in either order, or one of them says nothing."""
    above, nearest = group.column(-2), group.column(-1)
    pairs = set(zip(above, nearest, strict=True))
    uppers, lowers = set(above), set(nearest)
    person = group.has_person
    if all(a == b for a, b in pairs):
        return Reading(-1)
    if len(lowers) == 1 and len(uppers) > 1 and not group.has_letters(-1):
        return Reading(-2)  # A/cropped/1.jpg
    options = (Reading(-1, None if person else -2), Reading(-2, None if person else -1))
    why = f"{_some(uppers)} and, below them, {_some(lowers)} could both be the label"
    shared = len(pairs) > max(len(uppers), len(lowers))  # neither lies in one of the other alone
    if all(_names_against(group, place) for place in (-1, -2)):
        if person and not group.has_letters(-1) and not group.has_letters(-2):
            return Reading(IN_NAME)
        return Doubt((Reading(IN_NAME, None if person else -2), *options[:2]), why + ", and the file names, too")
    agrees = [place for place in (-1, -2) if _agrees(group, place)]
    letters_below = group.has_letters(-1) and _rather(lowers, uppers, group.has_letters(-2))
    if agrees == [-1] or (letters_below and agrees != [-2]):
        # Numbers below words are labels of people, or takes of words.
        takes = not person and not agrees and not group.has_letters(-2) and all(name.isdigit() for name in lowers)
        if not takes and (person or shared or len(uppers) == 1):
            return options[0]
        return Doubt((options[1], options[0], Reading(-1)) if takes else (Reading(-1), *options), why)
    if agrees == [-2] or (group.has_letters(-2) and not group.has_letters(-1) and _rather(uppers, lowers, False)):
        return Reading(-2) if person else _below(options[1], pairs)
    return Doubt(options if shared and not person else (Reading(-1), options[0], Reading(-2)), why)


def _below(with_people: Reading, pairs: set[tuple[str, str]]) -> Reading | Doubt:
    """The label is the upper folder: the lower ones are people if they come again below other labels."""
    again = Counter(lower for _, lower in pairs)
    if max(again.values()) == 1:
        return Reading(-2)  # each below one label alone: clips, not people
    return Doubt((with_people, Reading(-2)), f"{_some(set(again))} below each label may be people, or sessions")


def _agrees(group: Group, place: int) -> bool:
    """Returns whether nearly all file names begin with this folder's letter, or have its name among their pieces."""
    same = 0
    for trail, letters, stems in zip(group.trails, group.letters, group.stems, strict=True):
        label, name = trail.label(place), trail.names[trail.open[place]].casefold()
        begin = sum(count for letter, count in letters.items() if letter and letter.upper() == label)
        same += max(begin, sum(name in map(str.casefold, tokens_of(stem)) for stem in stems))
    return same >= _MOST * group.size


def _rather(labels: set[str], others: set[str], others_are_letters: bool) -> bool:
    """Returns whether the first are so many more, or so much more an alphabet, that they are the labels."""
    if others_are_letters:
        digits = all(name.isdigit() for name in others) and not all(name.isdigit() for name in labels)
        return len(labels) >= 2 * len(others) or (digits and len(labels) * 2 > len(others))
    return len(labels) >= 2 * len(others) or _is_alphabet(labels, 3)


def _is_alphabet(labels: set[str], least: int) -> bool:
    """Returns whether letters or digits follow one another from the first on, or are ten of them."""
    letters = {label for label in labels if kind_of(label) == LETTER}
    in_order = sorted(letters) in (list(ascii_uppercase[: len(letters)]), list("0123456789")[: len(letters)])
    return len(letters) >= 10 or (len(letters) >= least and in_order)


def _with_signers_in_names(group: Group, reading: Reading) -> Reading | Doubt:
    """Returns the reading with the person of the file names, if nearly all begin with one, again and again."""
    seen: Counter[tuple[str, str]] = Counter()
    for label, stems in zip(group.column(reading.label), group.stems, strict=True):
        for stem in stems:
            first, *more = tokens_of(stem) or [""]
            if more and is_person_token(first):
                seen[label, first] += 1
    if seen.total() < (1 - _FEW / 2) * group.size:
        return reading
    named = Reading(reading.label, first_is_signer=True)
    if 2 * sum(count > 1 for count in seen.values()) >= len(seen):
        return named
    return Doubt((reading, named), f"{_some({first for _, first in seen})} in file names may be people, or counts")


def _some(names: set[str]) -> str:
    shown = sorted(names, key=lambda name: (kind_of(name) == NUMBER, name))
    return ", ".join(shown[:3]) + (" …" if len(shown) > 3 else "")
