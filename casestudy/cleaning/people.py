"""One person is one signer, however the name is written; and people whose names only look alike stay apart."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(4096)
def person_key(name: str) -> str:
    """Returns what two spellings of one person have in common: case, Unicode form and kind of separator are nothing.

    >>> [person_key(name) for name in ("User 1", "user_1", "USER-1", "user1")]
    ['user_1', 'user_1', 'user_1', 'user1']
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return re.sub(r"[\s_.-]+", "_", plain).strip("_")


def one_spelling(names: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Returns the spelling of each person by `person_key`: the most frequent one, then the first.

    Args:
        names: Spellings and how many images have each, in the order of the archive; a spelling may come again.

    >>> one_spelling([("user_Ben", 3), ("User ben", 4), ("anna", 1), ("user_Ben", 2)])
    {'user_ben': 'user_Ben', 'anna': 'anna'}
    """
    counts: dict[str, Counter[str]] = {}
    for name, count in names:
        counts.setdefault(person_key(name), Counter())[name] += count
    return {key: max(spellings, key=spellings.__getitem__) for key, spellings in counts.items()}


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Returns people whose names differ in separators and leading zeros alone, and who may be one.

    >>> look_alikes(["user_1", "user1", "user_01", "user_11", "anna"])
    [('user1', 'user_01', 'user_1')]
    """
    alike: dict[str, set[str]] = {}
    for name in names:
        joined = re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]+", "", person_key(name)))
        alike.setdefault(joined, set()).add(name)
    return [tuple(sorted(group)) for group in alike.values() if len(group) > 1]
