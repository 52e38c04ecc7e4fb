from .archive import iter_members as iter_members
from .command import (
    CommandParser as CommandParser,
    add_clean_command as add_clean_command,
)
from .decoders import name_decoders as name_decoders
from .ledger import STATUSES as STATUSES, duplicate_groups as duplicate_groups
from .naming import find_layout as find_layout
from .regroup import clean_archive as clean_archive
from .screening import MAX_PIXELS as MAX_PIXELS
from .unlabelled import write_unlabelled as write_unlabelled
