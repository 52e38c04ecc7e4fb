r"""From where an entry lies in the archive to its letter, its signer and the name it is stored under.

A letter is read from one of two places, in any case and at any depth:

- the folder that holds the photograph, if its name is one letter or digit (`user_3/A/x.jpg`, `7/1.png`) or says so
  (`class_A/1.jpg`). One folder named after a user may stand between: `A/user_3/1.jpg`;
- the file name, if it is one letter and at most four digits: `A0.jpg`, `b_12.jpg`, `C (3).jpg`. A digit alone is not
  read, since `7.jpg` is more often a count than a label.

Where two such folders meet (`A/b/x.jpg`), or a digit folder holds a file that reads as a letter (`3/A0.jpg`: user 3, or
digit 3?), nothing is guessed. A pattern says it instead: a regular expression, searched in the entry's path, with a
group `label` and, if it can, a group `signer`:

    (?P<label>[A-Z]+)_\d+                             words/HELLO_17.jpg
    (?P<signer>[A-E])/(?P<label>[a-z])/              dataset5/C/k/color_0_0002.png

The signer is the nearest folder above that is not named for its contents (`train`, `images`, `dataset` …). Whether such
folders are people is judged over the whole archive, by `find_signers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from casestudy.cleaning.pattern import Pattern
from casestudy.cleaning.stored_names import clean_part, split_path

_LABEL_FOLDER = re.compile(r"(?:(?:class|label|letter|sign)[ _-])?([A-Za-z0-9])", re.IGNORECASE)
_LABEL_STEM = re.compile(r"([A-Za-z])(?:[ _-]?\(?\d{1,4}\)?)?")
_PERSON = "user|signer|subject|person|participant|student|volunteer|hand"
_PERSON_FOLDER = re.compile(rf"(?:.*[\W_])?(?:{_PERSON}|[psu])[ _-]?\d+|(?:{_PERSON})[ _-].+", re.IGNORECASE)
_CONTENTS = re.compile(
    "train|training|test|testing|val|valid|validation|dev|eval|data|datasets?|images?|imgs?|photos?|pictures?|pics?|"
    "frames?|samples?|raw|all|letters?|alphabet|asl|signs?|digits?|gestures?|archive|macosx|misc"
)


@dataclass(frozen=True)
class Place:
    """What an entry's path says; each text is empty where it says nothing."""

    label: str = ""  # upper-case
    signer: str = ""  # from a pattern's group, else the folder that may be one
    is_certain: bool = False  # whether a pattern named the signer, so that it needs no judging
    folder: str = ""  # what goes before the file name in the stored name
    remark: str = ""  # why there is no label, or what contradicts it


def read_place(entry: str, pattern: Pattern | re.Pattern[str] | None = None) -> Place:
    r"""Returns the label and signer that an entry's path shows, by the rules at the top of this module.

    >>> read_place("set/user_3/A0.jpg").label, read_place("set/user_3/A0.jpg").signer
    ('A', 'user_3')
    >>> read_place("user_9/r/5.jpg").label, read_place("user_2/holiday.jpg").label
    ('R', '')
    >>> read_place("hand1_a_bot.jpeg", re.compile(r"(?P<signer>hand\d+)_(?P<label>[a-z])_")).signer
    'hand1'
    """
    *folders, file_name = split_path(entry)
    above, parent = ["", "", *folders][-2:]
    if pattern is not None:
        return _read_by_pattern(entry, pattern, parent)
    by_name = _label(_LABEL_STEM, file_name.rpartition(".")[0] or file_name)
    by_parent, by_above = _label(_LABEL_FOLDER, parent), _label(_LABEL_FOLDER, above)
    if by_parent:
        if by_above and not (by_above.isdigit() and by_parent.isalpha()):
            return Place(remark=f"the folders {above}/{parent} could both be the label: say which with --pattern")
        if by_parent.isdigit() and by_name:
            return Place(remark=f"folder {parent} and file {file_name} could both be the label: say with --pattern")
        signer = _nearest_signer(folders[:-1])
        contradiction = f"its name reads {by_name}" if by_name not in ("", by_parent) else ""
        return Place(by_parent, signer, folder=signer or above, remark=contradiction)
    if by_above and _PERSON_FOLDER.fullmatch(parent):
        if by_name not in ("", by_above):
            return Place(remark=f"folder {above} and file {file_name} could both be the label: say with --pattern")
        return Place(by_above, parent, folder=parent)
    if by_name:
        signer = _nearest_signer(folders)
        return Place(by_name, signer, folder=signer or parent)
    return Place(remark="no letter can be told from its path: say where it stands with --pattern")


def _read_by_pattern(entry: str, pattern: Pattern | re.Pattern[str], parent: str) -> Place:
    found = pattern.search("/".join(split_path(entry)))
    groups = found.groupdict() if isinstance(found, re.Match) else found
    if not groups or not groups["label"]:
        return Place(remark="the pattern does not match its path")
    label = groups["label"].upper()
    if label.startswith("_") or clean_part(label) != label:
        return Place(remark=f"the pattern's label {label!r} cannot name a folder")
    signer = groups.get("signer") or ""
    return Place(label, signer, is_certain=True, folder=signer or parent)


def _label(form: re.Pattern[str], name: str) -> str:
    found = form.fullmatch(name)
    return found[1].upper() if found else ""


def find_signers(places: Iterable[Place]) -> frozenset[str]:
    """Returns which of the candidate folders are taken for people.

    A folder named like a person (`user_3`, `Signer 12`, `hand4`) is one. Others (`anna`, `ben`) are if the archive has
    at least two candidates; a single one (`my_photos/A0.jpg`) tells nobody apart, and stays unnamed.

    >>> sorted(find_signers([Place("A", "anna"), Place("B", "ben")])), find_signers([Place("A", "holiday")])
    (['anna', 'ben'], frozenset())
    """
    candidates = {place.signer: place.is_certain for place in places if place.label and place.signer}
    if len(candidates) > 1:
        return frozenset(candidates)
    return frozenset(name for name, certain in candidates.items() if certain or _PERSON_FOLDER.fullmatch(name))


def find_owner(entry: str, signers: frozenset[str]) -> str:
    """Returns the nearest folder above an entry that is a signer, or an empty string."""
    return next((folder for folder in reversed(split_path(entry)[:-1]) if folder in signers), "")


def _nearest_signer(folders: list[str]) -> str:
    """Returns the nearest folder that is not named for what it contains."""
    for name in reversed(folders):
        if _PERSON_FOLDER.fullmatch(name):
            return name
        if name and not any(map(_CONTENTS.fullmatch, re.findall(r"[a-z]+", name.lower()))):
            return name
    return ""
