"""Names that every file system takes, and that stay apart on each of them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 140  # of a folder or file name in UTF-8: systems allow 255, encrypted folders 143
MOST_LETTERS = 200  # of a whole path: Windows allows 260, with the folder that it is unpacked in
# What some file system cannot have in a name, or what is not seen there: controls, ends of lines, turns of writing.
_FORBIDDEN = re.compile(
    r'[\x00-\x1f\x7f-\x9f<>:"|?*\\/\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]'
)
_JOINERS = re.compile("[\u200c\u200d]")  # part of words in some scripts, and passed over by some file systems
_RESERVED = re.compile(r"^(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])(?=$|[. ])", re.IGNORECASE)


def split_path(entry: str) -> list[str]:
    """Returns the parts of an entry's path, whichever way its slashes lean."""
    return entry.replace("\\", "/").split("/")


def clean_part(name: str) -> str:
    """Returns a folder or file name that every file system takes, as close to `name` as can be.

    A long one keeps its beginning and its ending, with a mark of the whole between them.

    >>> clean_part("A0.jpg"), clean_part(".."), clean_part('what?.jpg'), clean_part("user_Zoë"), clean_part("aux.jpg")
    ('A0.jpg', '._', 'what_.jpg', 'user_Zoë', 'aux_.jpg')
    >>> clean_part("手" * 100 + ".jpg")[40:]
    '手手~1999c4a3.jpg'
    """
    clean = _spelled(name)
    return clean if len(_bytes(clean)) <= MOST_BYTES else _shortened(clean, name, MOST_BYTES)


def _spelled(name: str) -> str:
    clean = _RESERVED.sub(r"\g<0>_", _FORBIDDEN.sub("_", name), count=1)
    return clean[:-1] + "_" if clean.endswith((".", " ")) else clean


def _named_parts(entry: str) -> list[str]:
    return [part for part in split_path(entry) if part not in ("", ".")]


def _letters(text: str) -> int:
    """Returns the length as Windows counts it: in units of UTF-16."""
    return len(text) + sum(letter > "\uffff" for letter in text)


def clean_path(entry: str) -> str:
    """Returns a relative path without "..", drive or leading slash, and not too long for any system.

    >>> clean_path("../../etc/passwd"), clean_path("/a//b"), clean_path("C:\\\\x.jpg"), clean_path("")
    ('._/._/etc/passwd', 'a/b', 'C_/x.jpg', '_')
    >>> clean_path("deep/" * 50 + "x.jpg")
    'deep/~6e0a4982/x.jpg'
    """
    parts = [clean_part(part) for part in _named_parts(entry)] or ["_"]
    if _letters("/".join(parts)) <= MOST_LETTERS:
        return "/".join(parts)
    *above, last = parts
    if len(above) > 1:
        above = [above[0], "~" + _mark("/".join(above))]
    most = MOST_BYTES // 2
    above = [part if len(part.encode()) <= most else _shortened(part, part, most) for part in above]
    room = MOST_LETTERS - _letters("/".join([*above, ""]))
    return "/".join([*above, last if _letters(last) <= room else _shortened(last, last, room)])


def is_portable(path: str) -> bool:
    """Returns whether every system can have a path below a folder of its own, as far as rules can say."""
    parts = path.split("/")
    short = _letters(path) <= 240 and all(len(part.encode()) <= 255 for part in parts)
    return short and all(part and _spelled(part) == part for part in parts)


def why_renamed(entry: str, stored_as: str) -> str:
    """Returns what the ledger notes where an entry could not have its own name; "" where it has it.

    >>> why_renamed("user_3/CON.jpg", "_quarantine/user_3/CON_.jpg"), why_renamed("user_3/A0.jpg", "A/user_3__A0~2.jpg")
    ('stored under a name that every system takes', '')
    """
    parts = _named_parts(entry)
    kept = parts if stored_as.startswith("_") else parts[-1:]  # of the path; under a label, folders are left out
    if kept and not stored_as.endswith("/".join(kept)):
        stems = (part.rpartition(".") if part.rpartition(".")[0] else (part, "", "") for part in kept)
        form = "/".join(re.escape(stem) + r"(~\d+)?" + re.escape(dot + ending) for stem, dot, ending in stems)
        kept = kept if re.search(form + "$", stored_as) else []
    return "" if kept else "stored under a name that every system takes"


def _shortened(name: str, whole: str, most: int) -> str:
    """Returns a name of at most `most` bytes, told from others that begin alike by a mark of the whole."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = name, "", ""
    tail = f"~{_mark(whole)}{dot}{ending}"
    return (
        stem.encode(errors="surrogatepass")[: most - len(tail.encode(errors="surrogatepass"))].decode(errors="ignore")
        + tail
    )


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _mark(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()[:8]


class UniqueNames:
    """Hands out names that stay apart on every file system: case and Unicode form do not tell two names apart.

    No name is a folder of another, either.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._files = {_fold(name) for name in taken}
        self._folders = {name[:k] for name in self._files for k, letter in enumerate(name) if letter == "/"}
        self._places: dict[str, str] = {}  # of folders, by the name that was asked for
        self._next: dict[str, int] = {}

    def claim(self, name: str) -> str:
        """Returns `name` as every system can have it, with "~2", "~3" … before its extension if it is taken.

        >>> names = UniqueNames()
        >>> names.claim("A/x.jpg"), names.claim("a/X.jpg"), names.claim("A/x.jpg"), names.claim("A/x.jpg/y")
        ('A/x.jpg', 'a/X~2.jpg', 'A/x~3.jpg', 'A/x~4.jpg/y')
        """
        name = clean_path(name)
        folder, slash, _ = name.rpartition("/")
        place = self._folder(folder) + slash
        free = self._free(place + name[len(folder) + len(slash) :], self._files, self._folders)
        self._files.add(_fold(free))
        return free

    def _folder(self, name: str) -> str:
        """Returns where the files of a folder go: elsewhere if a file has its name."""
        if name and name not in self._places:
            above, slash, _ = name.rpartition("/")
            place = self._free(self._folder(above) + slash + name[len(above) + len(slash) :], self._files)
            self._folders.add(_fold(place))
            self._places[name] = place
        return self._places.get(name, "")

    def _free(self, name: str, *taken: set[str]) -> str:
        key = _fold(name)
        head, slash, tail = name.rpartition("/")
        stem, dot, extension = tail.rpartition(".")
        if not stem:
            stem, dot, extension = tail, "", ""
        free = name
        while any(_fold(free) in names for names in taken):
            number = self._next[key] = self._next.get(key, 1) + 1
            free = f"{head}{slash}{stem}~{number}{dot}{extension}"
        return free


def _fold(name: str) -> str:
    name = _JOINERS.sub("", name)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
