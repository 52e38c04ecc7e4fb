"""Names of any script and length on a picture: fonts that have their signs, or a spelling; and lines that fit."""

from __future__ import annotations

import logging
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import count

from matplotlib import font_manager, rcParams
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from casestudy.words import counted

log = logging.getLogger(__name__)

LINE, LINES = 20, 3  # characters of a line, and lines of a name; a longer one ends in "…"
SPELLED = 24  # characters of a name that is spelled
_NO_PICTURES = ("last resort", "lastresort", "adobe blank", "unicode bmp fallback")  # fonts of empty boxes
_said: set[str] = set()
_KINDS = ("LETTER ", "CHARACTER ", "SYLLABLE ", "VOWEL SIGN ", "SIGN ", "IDEOGRAPH-")


def drawable(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Returns names as they can be drawn here, and the fonts to draw them with, of which the first is the usual one.

    Where no font of the machine has a sign, the name is spelled by what Unicode calls its signs, and a warning says so
    once. Names that differ stay apart.
    """
    names = list(names)
    usual = list(rcParams["font.family"])
    signs = {sign for name in names for sign in name if not sign.isspace()}
    missing = signs - {chr(code) for code in _signs(font_manager.findfont(font_manager.FontProperties()))}
    families: list[str] = []
    for family, known in _families() if missing else ():
        if found := {sign for sign in missing if ord(sign) in known}:
            families.append(family)
            missing -= found
        if not missing:
            break
    if missing:
        _say(missing)
    return list(_apart(_spelled(name, missing) for name in names)), [*usual, *families]


def in_lines(name: str, width: int = LINE) -> str:
    """Returns a name in lines of so many columns, three at the most; signs of East Asia take two columns each.

    >>> in_lines("a name of more than twenty characters"), in_lines("A")
    ('a name of more than\\ntwenty characters', 'A')
    """
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in name)
    width = max(4, width * max(len(name), 1) // (max(len(name), 1) + wide))
    if len(name) <= width:
        return name
    lines = textwrap.wrap(name, width)
    return "\n".join(lines if len(lines) <= LINES else [*lines[: LINES - 1], lines[LINES - 1][: width - 1] + "…"])


def longest_line(names: Iterable[str]) -> int:
    """Returns the columns of the longest line of names in lines.

    >>> longest_line(["A", "two\\nlines"]), longest_line([])
    (5, 0)
    """
    lines = (line for name in names for line in name.split("\n"))
    return max((len(one) + sum(unicodedata.east_asian_width(sign) in "WF" for sign in one) for one in lines), default=0)


def set_lettering(texts: Iterable[Text], families: list[str], size: float | None = None) -> None:
    """Draws texts with the fonts of `drawable`, and at a size in points if given."""
    for text in texts:
        if len(families) > len(rcParams["font.family"]):
            text.set_fontfamily(families)
        if size is not None:
            text.set_fontsize(size)


def _spelled(name: str, missing: set[str]) -> str:
    """Returns a name with the signs that no font has spelled out.

    >>> _spelled("नम 1", {"न", "म"}), _spelled("字", {"字"}), _spelled("A", set())
    ('na-ma 1', 'U+5B57', 'A')
    """
    if not missing & set(name):
        return name
    found, before = "", False
    for sign in name:
        if sign in missing:
            called = unicodedata.name(sign, "")
            kind = next((kind for kind in _KINDS if kind in called), "")
            plain = kind and kind != "IDEOGRAPH-"
            text = called.partition(kind)[2].lower().replace(" ", "") if plain else f"U+{ord(sign):04X}"
            found += ("-" if before else "") + text
        else:
            found += sign
        before = sign in missing
    return found if len(found) <= SPELLED else f"{found[: SPELLED - 1]}…"


def _apart(names: Iterable[str]) -> Iterator[str]:
    """Yields names, a later one that is spelled like an earlier one with a number behind it."""
    seen: set[str] = set()
    for name in names:
        free = next(one for k in count(1) if (one := name if k == 1 else f"{name} ({k})") not in seen)
        seen.add(free)
        yield free


@cache
def _signs(path: str) -> frozenset[int]:
    """Returns the characters that a font has; none of one that cannot be used."""
    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


def _families() -> Iterator[tuple[str, frozenset[int]]]:
    """Yields the other fonts of this machine, upright and of usual weight, those without serifs first."""
    manager = font_manager.fontManager
    known = list(manager.ttflist)
    yield from _usual(known)
    files = {entry.fname for entry in known}
    for path in sorted(set(font_manager.findSystemFonts()) - files):  # installed since Matplotlib made its list
        if _signs(path):
            with suppress(OSError, RuntimeError, ValueError, NotImplementedError):
                manager.addfont(path)
    yield from _usual([entry for entry in manager.ttflist if entry.fname not in files])


def _usual(entries: list[font_manager.FontEntry]) -> Iterator[tuple[str, frozenset[int]]]:
    upright = [one for one in entries if one.style == "normal" and one.weight in (400, "normal", "regular")]
    for entry in sorted(upright, key=lambda one: ("Sans" not in one.name, one.name, one.fname)):
        if not entry.name.lower().startswith(_NO_PICTURES):
            yield entry.name, _signs(entry.fname)


def _say(missing: set[str]) -> None:
    """Warns of signs that no font has, once for each."""
    if missing <= _said:
        return
    _said.update(missing)
    first = min(missing)
    log.warning(
        "No font here has %s%s, so pictures spell the names that have them. Install one that has, such as Noto Sans.",
        first if first.isprintable() else f"U+{ord(first):04X}",
        f" and {counted(len(missing) - 1, 'more sign')}" if len(missing) > 1 else "",
    )
