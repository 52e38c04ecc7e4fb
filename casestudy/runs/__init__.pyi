from .folder import RunFolder as RunFolder
from .options import Options as Options
from .read import read_photographs as read_photographs
from .record import Wishes as Wishes
from .results import published_table as published_table
from .search import tune as tune
from .steps import finish_run as finish_run, prepare_run as prepare_run, run_study as run_study
from .verify import verify_run as verify_run
