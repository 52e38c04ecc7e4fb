"""What to ask where two readings fit: both with counts and an example, and a pattern that was tried on the archive."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from casestudy.cleaning.errors import CaseStudyError
from casestudy.cleaning.evidence import IN_NAME, Doubt, Reading
from casestudy.cleaning.named_layouts import layout_pattern
from casestudy.cleaning.paths import as_label
from casestudy.cleaning.people import person_key
from casestudy.cleaning.trails import Trail
from casestudy.cleaning.words import counted


def question(doubt: Doubt, trails: Iterable[tuple[Trail, int]], images: Sequence[str]) -> CaseStudyError:
    """Returns the question which reading is meant, in one line.

    Args:
        doubt: The readings.
        trails: Of the images that they are about, each with how many images there are.
        images: Names of all images of the archive, on which the patterns are tried.
    """
    trails = list(trails)
    layouts = dict.fromkeys(_most_common(trails, reading) for reading in doubt.readings)
    tried = [_Tried.on(layout, images) for layout in layouts]
    shown = "; or ".join(one.said() for one in tried)
    best = tried[0]
    return CaseStudyError(
        f"Labels must be told by one reading, and {counted(len(tried), 'reading')} fit: {doubt.why}. {shown}. "
        f"Say which: {' or '.join(f'--layout {one.layout}' for one in tried)}, or --pattern "
        f"{shlex.quote(best.pattern)}, tried here: {best.result()}."
    )


@dataclass(frozen=True)
class _Tried:
    layout: str
    pattern: str
    read: int  # images that it gives a label
    of: int
    labels: tuple[str, ...]
    people: tuple[str, ...]
    example: str

    @classmethod
    def on(cls, layout: str, images: Sequence[str]) -> _Tried:
        pattern = layout_pattern(layout)
        search = re.compile(pattern).search
        labels: Counter[str] = Counter()
        people: dict[str, str] = {}
        example = ""
        for name in images:
            if (found := search(name)) and (label := as_label(found["label"])):
                labels[label] += 1
                signer = found.groupdict().get("signer") or ""
                if signer:
                    people.setdefault(person_key(signer), signer)
                example = example or f"{name} is {label!r}" + (f" by {signer!r}" if signer else "")
        return cls(layout, pattern, labels.total(), len(images), tuple(labels), tuple(people.values()), example)

    def result(self) -> str:
        people = f", {counted(len(self.people), 'signer')} ({_few(self.people)})" if self.people else ", no signers"
        read = f"{self.read:,} of {counted(self.of, 'image')}"
        return f"{read}, {counted(len(self.labels), 'label')} ({_few(self.labels)}){people}"

    def said(self) -> str:
        return f"{self.layout}: {self.result()}, {self.example or 'no example'}"


def _most_common(trails: Iterable[tuple[Trail, int]], reading: Reading) -> str:
    counts: Counter[str] = Counter()
    for trail, count in trails:
        counts[_layout(trail, reading)] += count
    return counts.most_common(1)[0][0]


def _layout(trail: Trail, reading: Reading) -> str:
    """Returns the words for a reading of these folders."""
    words = {}
    if trail.person is not None and not reading.first_is_signer:
        words[trail.person] = "signer"
    if reading.signer is not None:
        words[trail.open[reading.signer]] = "signer"
    if reading.label != IN_NAME:
        words[trail.open[reading.label]] = "label"
    folders = [words.get(k, "any") for k in range(min(words, default=len(trail.names)), len(trail.names))]
    pieces = ["any"] * (reading.piece or 0) + ["label"] * (reading.piece is not None)
    if reading.first_is_signer:
        pieces = ["signer", *(pieces[1:] or ["any"])]
    file = "_".join(pieces) if len(pieces) > 1 else "name" if reading.label == IN_NAME else ""
    return "/".join([*folders, file] if file else folders)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
