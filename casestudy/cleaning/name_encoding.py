"""Names of a ZIP's entries, from their bytes: what the format leaves open is judged over all names of the archive.

A ZIP says of a name that it is UTF-8, or nothing; then it is in the code page of the machine that packed it. zipfile
takes the first IBM page for all of them, and its reading of the fields differs between versions of Python; so names
are decoded here, from the bytes.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from casestudy.cleaning.words import counted

PAGES = ("cp437", "cp850", "cp866", "cp932", "cp936")  # Western twice, Cyrillic, Japanese, Chinese; of equals the first
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field: version, CRC-32 of the name it replaces, name in UTF-8
_EAST = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "IDEOGRAPHIC"}


@dataclass(frozen=True, slots=True)
class StoredName:
    """A name as its entry holds it."""

    raw: bytes
    is_utf8: bool  # what the entry's flag says
    extra: bytes = b""  # the entry's extra fields


def decode_names(names: Sequence[StoredName]) -> tuple[list[str], list[str]]:
    """Returns the names, with "/" between folders, and a remark for each choice that the archive left open.

    The unicode path field counts where its checksum fits the name; then UTF-8 where the bytes are; then the page of
    `PAGES` that is most plausible over all names that are left. Bytes that mean nothing become `%NN`, a NUL too.
    """
    sure = [_sure(name) for name in names]
    open_ones = [name.raw for name, known in zip(names, sure, strict=True) if known is None and not name.is_utf8]
    page = find_page(open_ones) if open_ones else ""
    false_ones = sure.count(None) - len(open_ones)
    remarks = [f"names decoded as {page}"] if page else []
    if false_ones:
        remarks.append(
            f"{counted(false_ones, 'name')} said to be UTF-8 and not: read as 7-Zip reads, odd bytes written %NN"
        )
    texts = (_open(name, page) if known is None else known for name, known in zip(names, sure, strict=True))
    return [_written(text) for text in texts], remarks


def find_page(raws: Sequence[bytes]) -> str:
    """Returns the code page of `PAGES` in which these names look most like words of one script."""
    parts = {part for raw in raws for part in raw.split(b"/") if not part.isascii()}
    return max(PAGES, key=lambda page: sum(_plausible(part, page) for part in parts))


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (kind, data) for each extra field; what does not fit into its length ends them."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if size > len(extra) - 4:
            return
        yield kind, extra[4 : 4 + size]
        extra = extra[4 + size :]


def _sure(name: StoredName) -> str | None:
    for kind, data in extra_fields(name.extra):
        if kind == _UNICODE_PATH and data[:5] == b"\1" + struct.pack("<I", zlib.crc32(name.raw)):
            try:
                return data[5:].decode() or None
            except UnicodeDecodeError:
                break
    try:
        return name.raw.decode()
    except UnicodeDecodeError:
        return None


def _open(name: StoredName, page: str) -> str:
    return name.raw.decode("utf-8" if name.is_utf8 else page, "surrogateescape")


def _written(name: str) -> str:
    name = name.replace("\\", "/").replace("\0", "%00")  # after decoding: half of a Japanese letter can be a "\"
    return name if name.isascii() else re.sub("[\udc80-\udcff]", lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", name)


def _plausible(part: bytes, page: str) -> float:
    """Returns the score of one folder's or file's name in a page: above 0 for words, below for mixtures."""
    try:
        text = part.decode(page)
    except UnicodeDecodeError:
        return -3.0 * len(part)
    odd = [c for c in text if not c.isascii() and not _is_letter(c) and _script(c) not in _EAST]
    return sum(_plausible_word(word, page) for word in _words(text)) - 2.0 * len(odd)


def _words(text: str) -> list[str]:
    return "".join(c if _is_letter(c) else " " for c in text).split()


def _plausible_word(word: str, page: str) -> float:
    foreign = [c for c in word if not c.isascii()]
    scripts = {"CJK" if _script(c) in _EAST else _script(c) for c in word}
    if not foreign:
        return 0.0
    if "CJK" in scripts:
        if len(foreign) == 1 < len(word):  # one sign glued to Latin letters: an accent, read in the wrong page
            return -2.0
        return sum(_common(c, page) for c in foreign)
    if len(scripts) > 1 or not scripts <= {"LATIN", "CYRILLIC"}:
        return -1.0 * len(foreign)
    if len(word) == 1:  # folders called Ñ, or А, Б, В: labels are capitals
        return 1.0 if word.isupper() else -0.5
    if any(a.islower() and b.isupper() for a, b in pairwise(word)):
        return -1.0 * len(foreign)
    if scripts == {"LATIN"} and 2 * len(foreign) > len(word):  # accents are rarer than letters
        return -1.0 * len(foreign)
    return float(len(foreign))


def _common(sign: str, page: str) -> float:
    """Returns how usual an East Asian sign is, for the bytes it takes: both pages were drawn up by frequency."""
    encoded = sign.encode(page)
    if len(encoded) == 1:  # half a width
        return -0.5
    lead, trail = encoded[0], encoded[-1]
    if page == "cp932":  # kana, then the kanji of school; what is rare comes behind
        return 2.0 if lead <= 0x84 or 0x88 <= lead <= 0x97 else 0.0
    if trail < 0xA1 or lead < 0xA1:  # what was added last
        return -2.0
    return 2.0 if 0xB0 <= lead <= 0xD7 else 0.5


@cache
def _script(character: str) -> str:
    return unicodedata.name(character, "").split(" ")[0]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"
