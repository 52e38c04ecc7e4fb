"""Every exception the package raises on purpose, as one tree.

    CaseStudyError             one line: the rule, what was received, what to do next
    ├── ArchiveError           an archive cannot be read whole
    │   ├── DecoderError       no decoder could read it; the message names each one tried
    │   └── PasswordError      it is encrypted and no password, or the wrong one, was given
    ├── ConservationError      an entry went missing on the way; nothing was written
    ├── DataError              images, labels or splits that cannot be used as asked
    ├── WeightsError           pretrained weights are missing, unreachable or not as pinned
    ├── RunError               a run folder is unfinished, altered or belongs to another setting
    └── GradingError           a rubric, a key or a list of scores cannot be graded with

A damaged image is never an exception: it is a row of the ledger.
"""


class CaseStudyError(Exception):
    """Base of all of them: catch this to print one line and exit with 2."""

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


class WeightsError(CaseStudyError):
    """The weights asked for cannot be had, or are not the ones pinned."""


class RunError(CaseStudyError):
    """The run folder does not hold what this step needs."""


class GradingError(CaseStudyError):
    """What the instructor gave cannot be graded with; what a student gave is never an exception, but a result."""
