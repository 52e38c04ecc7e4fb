"""What submissions share: whole files, predictions, answers; told by content, in work that grows with their number.

Equal content is found whatever its order, its spelling with letters that only look alike, a little noise, or every
seventh word changed. No pair is looked at unless it shares something rare, and no submission is named more than
`MOST_NAMED` others, so that a class of a thousand copies makes a page of ordinary size.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from casestudy.grading.containers import readable

MOST_NAMED = 3  # others whom a remark names
EARLIER = 25  # submissions before it with which a piece of text is compared
ALIKE = 0.3  # of all pieces that two answers have, the share that both have
WITHIN = 0.6  # of the pieces of the shorter one, the share that a longer answer has
FEWEST_WITHIN = 20  # pieces of an answer that is looked for within a longer one
FEWEST_WORDS = 12  # an answer with fewer is too short to compare
NEAR = 0.005  # what two tables of probabilities may differ by, on average: noise, and not another training
LOOKS = 3  # of the numbers of a sketch by which neighbours are looked for
SKETCH = 32  # numbers that stand for a table of predictions
# Cyrillic and Greek letters that look like Latin ones.
LOOKALIKES = str.maketrans("аеорсухіјѕԁһӏԛԝвмнктοαερυικντχ", "aeopcyxijsdhlqwbmhktoaepuikvtx")


@dataclass(frozen=True)
class Prints:
    """What of a submission is compared with others'."""

    file: str = ""  # SHA-256
    seed: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    # Of each table of probabilities: who is in it, and (N, K) of them, by name.
    predictions: Mapping[str, tuple[str, np.ndarray]] = field(default_factory=dict)


def table_print(names: Sequence[str], probabilities: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns a digest of the photographs, and float32 (SKETCH,): the same for any order of rows, near for near ones.

    The numbers are random sums of all probabilities, scaled so that they differ as much as single probabilities do.
    """
    order = np.argsort(np.array(names, dtype=str), kind="stable")
    digest = hashlib.sha256("\n".join(np.array(names, dtype=str)[order]).encode()).hexdigest()
    flat = probabilities[order].astype(np.float32).ravel()
    signs = np.random.default_rng(0).standard_normal((SKETCH, len(flat)), dtype=np.float32)
    return digest, (signs @ flat) / np.float32(np.sqrt(max(len(flat), 1)))


def shared(prints: Sequence[Prints]) -> list[dict[str, list[int]]]:
    """Returns for each of the prints what it shares, and with which others: "the whole file", "every prediction" …"""
    found: list[dict[str, set[int]]] = [defaultdict(set) for _ in prints]
    for kind, groups in _groups(prints):
        for group in groups:
            for one in group:
                found[one][kind] |= group - {one}
    for own in found:
        whole = own.get("the whole file", set())  # what is in it needs no second word
        for kind in own.keys() - {"the whole file"}:
            own[kind] -= whole
    return [{kind: sorted(others) for kind, others in own.items() if others} for own in found]


def likenesses(prints: Sequence[Prints], names: Sequence[str], owners: Sequence[Hashable]) -> list[list[str]]:
    """Returns for each report what it shares with other people's, a sentence for each kind; worth a look.

    The same seed on the same kind of machine gives the same predictions by design, and the sentence says so.
    """
    found: list[list[str]] = []
    for own_prints, owner, likeness in zip(prints, owners, shared(prints), strict=True):
        said: dict[tuple[int, ...], list[str]] = {}
        for kind, every in likeness.items():
            others = [k for k in every if owners[k] != owner]
            by_seed = {
                own: tuple(k for k in others if (prints[k].seed == own_prints.seed) is own) for own in (True, False)
            }
            if others and not kind.startswith("every prediction"):
                said.setdefault(tuple(others), []).append(kind)
            if not kind.startswith("every prediction"):
                continue
            gives = f"{kind} (both have seed {readable(own_prints.seed, 20)}, which on equal machines gives equal runs)"
            for same, sentence in ((True, gives), (False, f"{kind}, though their seeds differ")):
                if by_seed[same]:
                    said.setdefault(by_seed[same], []).append(sentence)
        found.append([f"Shares with {_named(names, others)}: {', '.join(kinds)}." for others, kinds in said.items()])
    return found


def _named(names: Sequence[str], others: tuple[int, ...]) -> str:
    shown = [names[k] for k in others[:MOST_NAMED]]
    more = [f"{len(others) - MOST_NAMED:,} more"] if len(others) > MOST_NAMED else []
    return ", ".join([*shown[:-1], " and ".join([*shown[-1:], *more])]) if more else ", ".join(shown)


def _groups(prints: Sequence[Prints]) -> Iterable[tuple[str, list[set[int]]]]:
    yield "the whole file", _equal({k: one.file for k, one in enumerate(prints) if one.file})
    for table in sorted({name for one in prints for name in one.predictions}):
        what = "every prediction" if table == "predictions" else f"every prediction of {table}"
        yield what, near_tables({k: one.predictions[table] for k, one in enumerate(prints) if table in one.predictions})
    for need in sorted({need for one in prints for need in one.answers}):
        yield need, alike_texts({k: one.answers[need] for k, one in enumerate(prints) if need in one.answers})


def _equal(values: Mapping[int, Hashable]) -> list[set[int]]:
    groups: dict[Hashable, set[int]] = defaultdict(set)
    for k, value in values.items():
        groups[value].add(k)
    return [group for group in groups.values() if len(group) > 1]


def near_tables(tables: Mapping[int, tuple[str, np.ndarray]]) -> list[set[int]]:
    """Returns the groups of those that are nearly equal, of the same photographs."""
    groups: list[set[int]] = []
    by_photographs: dict[str, list[int]] = defaultdict(list)
    for k, (digest, _) in tables.items():
        by_photographs[digest].append(k)
    for members in by_photographs.values():
        sketches = np.stack([tables[k][1] for k in members])
        links: list[tuple[int, int]] = []
        for column in range(LOOKS):  # near ones are near in each of the numbers; in one, others may lie between them
            order = np.argsort(sketches[:, column], kind="stable")
            for step in range(1, min(EARLIER, len(order))):
                one, two = order[:-step], order[step:]
                apart = np.sqrt(np.mean((sketches[one] - sketches[two]) ** 2, axis=1))
                links += [(members[one[k]], members[two[k]]) for k in np.flatnonzero(apart <= NEAR)]
        groups += _linked(members, links)
    return groups


def alike_texts(texts: Mapping[int, str]) -> list[set[int]]:
    """Returns the groups of those that are alike, by the rarest pieces first."""
    pieces = {k: shingles(text) for k, text in texts.items()}
    links: list[tuple[int, int]] = []
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for k, own in pieces.items():
        common: Counter[int] = Counter()
        for piece in own:
            earlier = holders[piece]
            common.update(earlier)
            if len(earlier) < EARLIER:
                earlier.append(k)
        for other, count in common.most_common(2 * EARLIER):
            if count >= ALIKE * min(len(own), len(pieces[other])) / 2 and alike(own, pieces[other]):
                links.append((k, other))
    return _linked(pieces, links)


def _linked(members: Iterable[int], links: Sequence[tuple[int, int]]) -> list[set[int]]:
    """Returns the groups of what is linked, directly or by others."""
    known = np.array(list(members))
    place = {k: number for number, k in enumerate(known.tolist())}
    ends = np.array([(place[a], place[b]) for a, b in links], dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (len(known), len(known)))
    groups = connected_components(graph, directed=False)[1]
    return [set(known[groups == group].tolist()) for group in np.flatnonzero(np.bincount(groups) > 1)]


def plain(text: str) -> str:
    """Returns text as it looks: small letters without accents, look-alikes made Latin, nothing invisible.

    >>> plain("Ра\\u200bris É")  # the first two letters are Cyrillic
    'paris e'
    """
    decomposed = unicodedata.normalize("NFKD", text).casefold().translate(LOOKALIKES)
    return "".join(c for c in decomposed if unicodedata.category(c) not in ("Mn", "Cf"))


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Returns every three words in a row; none for an answer too short to compare."""
    words = re.findall(r"\w+", plain(text))
    return frozenset(zip(words, words[1:], words[2:], strict=False)) if len(words) >= FEWEST_WORDS else frozenset()


def alike(one: frozenset[tuple[str, ...]], two: frozenset[tuple[str, ...]]) -> bool:
    """Returns whether two answers share so much of their three-word pieces (Broder 1997) that one has the other's text.

    With every seventh word changed, four pieces in seven stay: 0.4 of all that both have. An answer within a longer one
    is told by its own pieces, if they are not few.
    """
    both, shorter = len(one & two), min(len(one), len(two))
    return both > 0 and (both >= ALIKE * len(one | two) or both >= WITHIN * shorter >= WITHIN * FEWEST_WITHIN)
