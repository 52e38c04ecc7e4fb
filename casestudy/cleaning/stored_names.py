"""Names that every file system takes, and that stay apart on each of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\/]')  # what some file system cannot have in a name


def split_path(entry: str) -> list[str]:
    """Returns the parts of an entry's path, whichever way its slashes lean."""
    return entry.replace("\\", "/").split("/")


def clean_part(name: str) -> str:
    """Returns a folder or file name that every file system takes, as close to `name` as can be.

    >>> clean_part("A0.jpg"), clean_part(".."), clean_part('what?.jpg'), clean_part("user_Zoë")
    ('A0.jpg', '._', 'what_.jpg', 'user_Zoë')
    """
    name = _FORBIDDEN.sub("_", name)
    return name[:-1] + "_" if name.endswith((".", " ")) else name


def clean_path(entry: str) -> str:
    """Returns a relative path without "..", drive or leading slash.

    >>> clean_path("../../etc/passwd"), clean_path("/a//b"), clean_path("C:\\\\x.jpg")
    ('._/._/etc/passwd', 'a/b', 'C_/x.jpg')
    """
    return "/".join(clean_part(part) for part in split_path(entry) if part and part != ".") or "_"


class UniqueNames:
    """Hands out names that stay apart on every file system: case and Unicode form do not tell two names apart."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {_fold(name) for name in taken}
        self._next: dict[str, int] = {}

    def claim(self, name: str) -> str:
        """Returns `name`, with "~2", "~3" … before its extension if it has been claimed before.

        >>> names = UniqueNames()
        >>> names.claim("A/x.jpg"), names.claim("a/X.jpg"), names.claim("A/x.jpg")
        ('A/x.jpg', 'a/X~2.jpg', 'A/x~3.jpg')
        """
        key = _fold(name)
        head, slash, tail = name.rpartition("/")
        stem, dot, extension = tail.rpartition(".")
        if not stem:
            stem, dot, extension = tail, "", ""
        free = name
        while _fold(free) in self._taken:
            number = self._next[key] = self._next.get(key, 1) + 1
            free = f"{head}{slash}{stem}~{number}{dot}{extension}"
        self._taken.add(_fold(free))
        return free


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
