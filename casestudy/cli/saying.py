"""How the command line says things: lines that a terminal can show, and what kept a file from being read or written."""

from __future__ import annotations

import errno
import logging

from casestudy.words import printable


class Lines(logging.Formatter):
    """What is said on the way: names of people and files in it say nothing to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def shown(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def reason(error: OSError) -> str:
    """Returns what kept a file from being read or written, and what to do about it."""
    place = error.filename or "a file"
    told = {
        errno.ENOSPC: f"the disk is full; {place} could not be written. Make room, or name another place with --out.",
        errno.EROFS: f"{place} can only be read, as all of its disk. Copy the folder to a disk that can be written.",
    }
    rights = f"there is no right to read or write {place}. Change its rights, or copy the folder to one of your own."
    told |= {errno.EACCES: rights, errno.EPERM: rights}
    unexpected = f"a file could not be read or written: {error}. Check the path, rights and space."
    return told.get(error.errno or 0, unexpected)
