from .archive import iter_members as iter_members
from .command import (
    CommandParser as CommandParser,
    add_clean_command as add_clean_command,
)
from .decoders import name_decoders as name_decoders
from .ledger import used_pictures as used_pictures
from .loose import loose_photographs as loose_photographs
from .naming import find_layout as find_layout
from .pixels import decode_image as decode_image
from .regroup import clean_archive as clean_archive
from .unlabelled import write_unlabelled as write_unlabelled
