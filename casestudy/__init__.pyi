from .cleaning import clean_archive as clean_archive
from .cleaning import iter_members as iter_members
from .data import (
    ImageSet as ImageSet,
)
from .data import (
    Splits as Splits,
)
from .data import (
    data_for as data_for,
)
from .data import (
    decode_picture as decode_picture,
)
from .data import (
    load_images as load_images,
)
from .data import (
    split_images as split_images,
)
from .doctor import examine as examine
from .errors import CaseStudyError as CaseStudyError
from .evaluation import Evaluation as Evaluation
from .evaluation import evaluate as evaluate
from .files import file_digest as file_digest
from .models import batch_norms as batch_norms
from .models import build_model as build_model
from .models import grad_cam as grad_cam
from .models import load_model as load_model
from .plots import (
    contact_sheet as contact_sheet,
)
from .plots import (
    plot_confusion as plot_confusion,
)
from .plots import (
    plot_grouped as plot_grouped,
)
from .plots import (
    plot_heat as plot_heat,
)
from .plots import (
    plot_history as plot_history,
)
from .plots import (
    plot_ladder as plot_ladder,
)
from .plots import (
    plot_models as plot_models,
)
from .plots import (
    plot_pareto as plot_pareto,
)
from .plots import (
    prediction_sheet as prediction_sheet,
)
from .report import write_report as write_report
from .runs import (
    RunFolder as RunFolder,
)
from .runs import (
    continue_run as continue_run,
)
from .runs import (
    published_table as published_table,
)
from .runs import (
    read_evaluation as read_evaluation,
)
from .runs import (
    read_histories as read_histories,
)
from .runs import (
    run_images as run_images,
)
from .runs import (
    run_photographs as run_photographs,
)
from .runs import (
    run_study as run_study,
)
from .runs import (
    start_run as start_run,
)
from .runs import (
    verify_run as verify_run,
)
from .studies import STUDIES as STUDIES
from .study import (
    DataSpec as DataSpec,
)
from .study import (
    ModelSpec as ModelSpec,
)
from .study import (
    Phase as Phase,
)
from .study import (
    SplitSpec as SplitSpec,
)
from .study import (
    Study as Study,
)
from .study import (
    Variant as Variant,
)
from .training import TrainingRun as TrainingRun
from .training import set_trainable as set_trainable
from .training import train as train

__version__: str
