"""Archive in, ledger and letters.zip out, nothing lost. Stands alone: no other room, no TensorFlow, no pandas."""

from casestudy.cleaning.archive import iter_members
from casestudy.cleaning.command import add_clean_command
from casestudy.cleaning.decoders import HOW_TO_GET_ONE, find_decoders
from casestudy.cleaning.ledger import duplicate_groups
from casestudy.cleaning.regroup import clean_archive
from casestudy.cleaning.screening import MAX_PIXELS
from casestudy.cleaning.unlabelled import write_unlabelled

__all__ = [
    "HOW_TO_GET_ONE",
    "MAX_PIXELS",
    "add_clean_command",
    "clean_archive",
    "duplicate_groups",
    "find_decoders",
    "iter_members",
    "write_unlabelled",
]
