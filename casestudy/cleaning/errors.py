"""What cleaning raises on purpose: the lower half of the exception tree, which `casestudy.errors` shows whole."""

import csv
import lzma
import struct
import zipfile
import zlib

from casestudy.cleaning.words import printable

# What a zip that was changed or cut may raise, from opening it to the last byte.
UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, csv.Error, EOFError, LookupError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, TypeError, MemoryError),
)


class CaseStudyError(Exception):
    """Base of all of them: catch this to print one line and exit with 2."""

    def __str__(self) -> str:
        r"""Returns one line, whatever names of files and messages of others it holds.

        >>> str(CaseStudyError("a\x1b[2J\nb"))
        'a\\x1b[2J b'
        """
        return printable(" ".join(super().__str__().split("\n")))

    def _render_traceback_(self) -> list[str]:
        """Returns what a notebook shows: the line alone. IPython asks for it, and `%debug` still works."""
        return [f"{type(self).__name__}: {self}"]


class ArchiveError(CaseStudyError):
    """The archive is missing, truncated, damaged or of an unknown kind."""


class DecoderError(ArchiveError):
    """None of the decoders at hand could unpack every member."""


class PasswordError(ArchiveError):
    """The archive is encrypted."""


class ConservationError(CaseStudyError):
    """Entries in are not rows out, or a stored image is not the original."""


class DataError(CaseStudyError):
    """The data cannot be loaded or split as asked."""
