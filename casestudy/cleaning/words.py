"""What is said to people: counts with their nouns, the near word that may have been meant, and statuses."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

STATUSES = {  # of a ledger's rows, and what each says of an entry
    "kept": "sound photographs, stored under their label",
    "duplicate": "sound and stored too, but the same bytes as an earlier one",
    "repairable": "all their pixels are there, but the file is not as it should be: in _quarantine",
    "unsupported": "sound, but of a kind that nothing here decodes: in _quarantine",
    "corrupt": "damaged, in _quarantine with the reason",
    "unrecognised": "sound, but the label cannot be told: in _unrecognised",
    "archive": "archives that were opened: their entries have rows of their own",
    "sidecar": "boxes, text and strays, carried along in _sidecar",
    "lost": "listed by the archive, and not to be read any more",
}


def counted(count: float, noun: str) -> str:
    """Returns a count with its noun, which is in the plural for all but 1; nothing is rounded to a whole number.

    >>> counted(1, "photograph"), counted(1200, "entry"), counted(4.5, "point"), counted(0, "box"), counted(2, "person")
    ('1 photograph', '1,200 entries', '4.5 points', '0 boxes', '2 people')
    """
    plural = re.sub("persons$", "people", re.sub("ys$", "ies", re.sub("xs$", "xes", noun + "s")))
    return f"{count:,.12g} {noun if count == 1 else plural}"


def printable(text: str) -> str:
    r"""Returns a text that a terminal can show in one line: what moves its cursor or turns its writing is an escape.

    >>> printable("Icon\r"), printable("a\x1b[2Jb"), printable("photo\u202egpj.exe"), printable("Zoë ñ")
    ('Icon\\r', 'a\\x1b[2Jb', 'photo\\u202egpj.exe', 'Zoë ñ')
    """
    if text.isprintable():
        return text
    shown = (letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in text)  # spaces of any width
    return "".join(
        letter if plain else letter.encode("unicode_escape").decode() for letter, plain in zip(text, shown, strict=True)
    )


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """Returns the question whether a near name was meant, and "" where none is near.

    >>> did_you_mean("cosin", ["constant", "cosine"]), did_you_mean("ASL", ["asl"]), did_you_mean("x", ["asl"])
    ("Did you mean 'cosine'?", "Did you mean 'asl'?", '')
    """
    plain = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(str(value).casefold(), plain, n=1)
    return f"Did you mean {plain[near[0]]!r}?" if near else ""
