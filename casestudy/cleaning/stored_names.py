"""Names that every file system takes, and that stay apart on each of them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 140  # of a folder or file name in UTF-8: systems allow 255, encrypted folders 143
MOST_LETTERS = 200  # of a whole path: Windows allows 260, with the folder that it is unpacked in
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\/]')  # what some file system cannot have in a name
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
    clean = _RESERVED.sub(r"\g<0>_", _FORBIDDEN.sub("_", name), count=1)
    clean = clean[:-1] + "_" if clean.endswith((".", " ")) else clean
    return clean if len(_bytes(clean)) <= MOST_BYTES else _shortened(clean, name, MOST_BYTES)


def clean_path(entry: str) -> str:
    """Returns a relative path without "..", drive or leading slash, and not too long for any system.

    >>> clean_path("../../etc/passwd"), clean_path("/a//b"), clean_path("C:\\\\x.jpg"), clean_path("")
    ('._/._/etc/passwd', 'a/b', 'C_/x.jpg', '_')
    >>> clean_path("deep/" * 50 + "x.jpg")
    'deep/~6e0a4982/x.jpg'
    """
    parts = [clean_part(part) for part in split_path(entry) if part and part != "."] or ["_"]
    if len("/".join(parts)) <= MOST_LETTERS:
        return "/".join(parts)
    above = [*parts[:-1][:1], "~" + _mark("/".join(parts[:-1]))] if len(parts) > 1 else []
    last = parts[-1] if len(parts[-1]) <= MOST_LETTERS // 2 else _shortened(parts[-1], parts[-1], MOST_LETTERS // 2)
    return "/".join([*(part if len(part) <= 60 else part[:60] for part in above), last])


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
        self._folders: set[str] = set()
        self._places: dict[str, str] = {}  # of folders, by the name that was asked for
        self._next: dict[str, int] = {}

    def claim(self, name: str) -> str:
        """Returns `name`, with "~2", "~3" … before its extension if it has been claimed before.

        >>> names = UniqueNames()
        >>> names.claim("A/x.jpg"), names.claim("a/X.jpg"), names.claim("A/x.jpg"), names.claim("A/x.jpg/y")
        ('A/x.jpg', 'a/X~2.jpg', 'A/x~3.jpg', 'A/x~4.jpg/y')
        """
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
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
