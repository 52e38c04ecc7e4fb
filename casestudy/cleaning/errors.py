"""What cleaning raises on purpose: the lower half of the exception tree, which `casestudy.errors` shows whole."""


class CaseStudyError(Exception):
    """Base of all of them: catch this to print one line and exit with 2."""

    def _render_traceback_(self) -> list[str]:
        """Returns what a notebook shows: the line alone. IPython asks for it, and `%debug` still works."""
        return [f"{type(self).__name__}: {self}"]


class ArchiveError(CaseStudyError):
    """The archive is missing, truncated, damaged or of an unknown kind.

    >>> str(ArchiveError("a\\x1b[2J\\nb"))
    'a?[2J b'
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Returns text in which no name out of an archive steers a terminal or breaks the line."""
    return " ".join("".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text).split())


class DecoderError(ArchiveError):
    """None of the decoders at hand could unpack every member."""


class PasswordError(ArchiveError):
    """The archive is encrypted."""


class ConservationError(CaseStudyError):
    """Entries in are not rows out, or a stored image is not the original."""


class DataError(CaseStudyError):
    """The data cannot be loaded or split as asked."""
