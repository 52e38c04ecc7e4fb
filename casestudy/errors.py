"""Every exception the package raises on purpose, as one tree.

    CaseStudyError             one line: the rule, what was received, what to do next
    ├── ArchiveError           an archive cannot be read whole
    │   ├── DecoderError       no decoder could read it; the message names each one tried
    │   └── PasswordError      it is encrypted and no password, or the wrong one, was given
    ├── ConservationError      an entry went missing on the way; nothing was written
    ├── DataError              images, labels or splits that cannot be used as asked
    ├── WeightsError           pretrained weights are missing, unreachable or not as pinned
    ├── RunError               a run folder is unfinished, altered or belongs to another setting
    ├── ClusterError           there is no such cluster, or its workers are not as the process that calls them
    └── GradingError           a rubric, a key or a list of scores cannot be graded with

A damaged image is never an exception: it is a row of the ledger.
"""

from casestudy.cleaning.errors import (
    UNREADABLE as UNREADABLE,
    ArchiveError as ArchiveError,
    CaseStudyError as CaseStudyError,
    ConservationError as ConservationError,
    DataError as DataError,
    DecoderError as DecoderError,
    PasswordError as PasswordError,
)


class WeightsError(CaseStudyError):
    """The weights asked for cannot be had, or are not the ones pinned."""


class RunError(CaseStudyError):
    """The run folder does not hold what this step needs."""


class ClusterError(CaseStudyError):
    """Workers cannot be had, or not as they are needed."""


class GradingError(CaseStudyError):
    """What the instructor gave cannot be graded with; what a student gave is never an exception, but a result."""
