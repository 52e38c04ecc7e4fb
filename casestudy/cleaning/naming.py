r"""From where an entry lies in the archive to its letter, its signer and the name it is stored under.

All names of images are judged together, before any byte is read. The rules, in plain words:

- A folder named like a person (`user_3`, `Signer 12`, `hand4`) is a person. `train`, `valid`, `test` are parts, as the
  set was published. Folders called after what they hold (`images`), or when or how it was taken (`session1`, `left`),
  and one that holds everything, say nothing.
- What remains is the label: the folder round the image (`A/x.jpg`, `del/1.jpg`, `user_3/long sleeve/1.jpg`), or the
  one above it (`A/user_3/1.jpg`), or the letter that begins the file's name (`A0.jpg`, `b_12.jpg`, `C (3).jpg`), or a
  letter within it (`hand1_a_bot.jpeg`). Folders that are no labels are people if there are two (`anna/A0.jpg`).
- All images with like paths are read alike. Names must not contradict the reading: letters of file names that agree
  with those of the folders confirm it; a letter that never changes (`A/f0.jpg`, `B/f0.jpg`) tells nothing; letters of
  their own (`J/A0.jpg`, `J/B0.jpg`) mean that two readings fit. Where two do, nothing is guessed: `find_layout` raises
  a question, which shows both and names a layout and a pattern for the answer.
- A single letter is a label in upper case; a word, as it is written. `a` and `A` are one label, but not side by side.
- Spellings of one person (case, Unicode form, spaces or "_" or "-") are one signer: see `people`.

A pattern says it instead: a regular expression, searched in the entry's path, with a group `label` and, if it can,
`signer` and `part`:

    (?P<label>[A-Z]+)_\d+                             words/HELLO_17.jpg
    (?P<signer>[A-E])/(?P<label>[a-z])/              dataset5/C/k/color_0_0002.png
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from casestudy.cleaning.asking import question
from casestudy.cleaning.errors import CaseStudyError
from casestudy.cleaning.evidence import IN_NAME, Doubt, Group, judge
from casestudy.cleaning.formats import EXTENSIONS
from casestudy.cleaning.layout import Layout, key_of
from casestudy.cleaning.listed import is_class_list, read_class_lists
from casestudy.cleaning.named_layouts import layout_pattern
from casestudy.cleaning.paths import WORD, kind_of, letter_of, stem_of
from casestudy.cleaning.pattern import Pattern
from casestudy.cleaning.people import one_spelling, person_key
from casestudy.cleaning.stored_names import split_path
from casestudy.cleaning.trails import Folders, Trail, Tree

_STRAYS, _TWO = 0.05, 2  # a share of all images, or so many: strays that are in doubt; more make a question
_CLASSES = 0.2  # of all images lie in folders of words, at least, where words are labels


def find_layout(
    names: Iterable[str],
    pattern: str | Pattern | re.Pattern[str] | None = None,
    layout: str | None = None,
    read: Callable[[list[str]], Mapping[str, bytes]] | None = None,
) -> Layout:
    """Returns how the paths of an archive are read, judged over all of them.

    Args:
        names: Of all entries; those with an image's extension are the evidence.
        pattern: Read by this instead of the rules.
        layout: Read by these words instead, such as "signer/label"; see `named_layouts`.
        read: Returns the contents of some entries: of tables in which the archive itself lists labels; see `listed`.

    Raises:
        CaseStudyError: Two readings fit, and which are they; or the layout is none.
    """
    if pattern is not None and layout is not None:
        raise CaseStudyError("Names are read by a layout or by a pattern, not both: leave --layout or --pattern out.")
    search = re.compile(layout_pattern(layout)) if layout is not None else pattern
    search = Pattern(search) if isinstance(search, str) else search
    names = list(names)
    images = [name for name in names if _is_evidence(name)]
    tables = [name for name in names if is_class_list(name)]
    listed = read_class_lists(read(tables)) if tables and read and search is None else {}
    found = _read(images, search, listed, aspects_are_words=False)
    if search is None and images and not found.classes:
        found = _read(images, search, listed, aspects_are_words=True)
    return found


def _is_evidence(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not any(
        part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in split_path(name)
    )


def _read(
    images: list[str], search: Pattern | re.Pattern[str] | None, listed: Mapping[str, str], *, aspects_are_words: bool
) -> Layout:
    files: dict[Folders, list[str]] = defaultdict(list)
    for name in images:
        *folders, file = split_path(name)
        files[tuple(folders)].append(file)
    tree = Tree({folders: len(inside) for folders, inside in files.items()}, aspects_are_words=aspects_are_words)
    layout = Layout(tree, search=search, listed=listed)
    if search is None:
        _judge(layout, files, images)
    labels: Counter[str] = Counter()
    signers: Counter[str] = Counter()
    named: set[str] = set()
    homes: dict[str, dict[str, None]] = defaultdict(dict)
    for name in images:
        found = layout.as_written(name)
        if found.label:
            labels[found.label] += 1
            if found.signer:
                signers[found.signer] += 1
                homes[person_key(found.signer)].setdefault(layout.home(name))
                if search is not None or found.signer == layout.trail(name).signer:
                    named.add(person_key(found.signer))
    if search is None:
        _refuse_siblings(layout, files)
    layout.classes = _spellings(labels)
    layout.homes = {key: tuple(home or "the top" for home in inside) for key, inside in homes.items()}
    people = one_spelling(signers.items())
    layout.people = people if len(people) > 1 else {key: name for key, name in people.items() if key in named}
    return layout


def _judge(layout: Layout, files: Mapping[Folders, list[str]], images: list[str]) -> None:
    """Decides on the reading of each group of like paths; raises the question where two fit."""
    folder_labels: Counter[str] = Counter()
    begins: Counter[str] = Counter()  # of the file names that tell the label
    for key, group in _groups(layout, files):
        found = judge(group)
        if isinstance(found, Doubt) and begins.total() > group.size and not group.has_letters(-1):  # read as most are
            found = next((one for one in found.readings if one.label == IN_NAME), found)
        if isinstance(found, Doubt):
            if group.size >= _STRAYS * len(images) and (group.size > _TWO or 2 * group.size >= len(images)):
                sizes = [letters.total() for letters in group.letters]
                raise question(found, zip(group.trails, sizes, strict=True), images)
            layout.doubts[key] = found
            continue
        layout.readings[key] = found
        if found.label != IN_NAME:
            for trail, letters in zip(group.trails, group.letters, strict=True):
                folder_labels[trail.label(found.label)] += letters.total()
        elif found.piece is None:
            begins += sum(group.letters, Counter())
    folder_labels.pop("", None)  # folders that cannot be labels
    layout.words = len(folder_labels) > 1 and folder_labels.total() >= _CLASSES * len(images)
    told = {label: count for label, count in folder_labels.items() if layout.words or kind_of(label) != WORD}
    layout.classes = _spellings(told)
    (first, *others) = {*begins} - {""} or {"A"}
    always = not others and first.islower() and begins.total() > 3  # f0, f1 … of frames
    layout.letters = not always and (begins.total() >= _CLASSES * len(images) or not folder_labels)


def _groups(layout: Layout, files: Mapping[Folders, list[str]]) -> list[tuple[tuple[bool, int], Group]]:
    """Returns images with like paths together, the largest group first."""
    rows: dict[tuple[bool, int], list[tuple[Trail, Counter[str], list[str]]]] = defaultdict(list)
    for folders, inside in files.items():
        path = "/".join([*folders, ""])
        stems = [stem_of(file) for file in inside if path + file not in layout.listed]
        if stems:
            trail = layout.trail(path)
            rows[key_of(trail)].append((trail, Counter(map(letter_of, stems)), stems))
    groups = [(key, Group(*zip(*found, strict=True))) for key, found in rows.items()]
    return sorted(groups, key=lambda one: -one[1].size)


def _refuse_siblings(layout: Layout, files: Mapping[Folders, list[str]]) -> None:
    """Raises the question whether `a` and `A`, side by side, are one label."""
    spellings: dict[tuple[Folders, str], str] = {}
    for folders in files:
        trail = layout.trail("/".join([*folders, ""]))
        reading = layout.readings.get(key_of(trail))
        if reading is None or reading.label == IN_NAME:
            continue
        place = trail.open[reading.label]
        name, label = trail.names[place], trail.label(reading.label)
        other = spellings.setdefault((folders[:place], label.casefold()), name)
        if other != name and label:
            words = "any/" * (len(trail.names) - place - 1)
            inside = "/".join(folders[:place]) or "the archive"
            only = rf"(?:^|/)(?P<label>{re.escape(other)[:1] if len(other) == 1 else re.escape(other)})/"
            raise CaseStudyError(
                f"One label has one folder, and {other} and {name} lie side by side in {inside}. Say that they are "
                f"one: --layout label{'/' + words.rstrip('/') if words else ''}; or keep them apart: rename one, such "
                f"as small_{min(other, name)}; or read one alone: --pattern '{only}'."
            )


def _spellings(labels: Mapping[str, int]) -> dict[str, str]:
    """Returns the most frequent spelling of each label, then the first, by the case-folded one."""
    found: dict[str, str] = {}
    for label, count in labels.items():
        other = found.setdefault(label.casefold(), label)
        if count > labels[other]:
            found[label.casefold()] = label
    return found
