from .cleaning import clean_archive as clean_archive, iter_members as iter_members
from .data import (
    ImageSet as ImageSet,
    Splits as Splits,
    data_for as data_for,
    decode_picture as decode_picture,
    distort as distort,
    load_images as load_images,
    split_images as split_images,
)
from .doctor import check_machine as check_machine
from .errors import CaseStudyError as CaseStudyError
from .evaluation import Evaluation as Evaluation, evaluate as evaluate
from .files import file_digest as file_digest
from .models import build_model as build_model, grad_cam as grad_cam, load_model as load_model
from .plots import (
    contact_sheet as contact_sheet,
    plot_confusion as plot_confusion,
    plot_grouped as plot_grouped,
    plot_heat as plot_heat,
    plot_history as plot_history,
    plot_ladder as plot_ladder,
    plot_models as plot_models,
    plot_pareto as plot_pareto,
    prediction_sheet as prediction_sheet,
)
from .proof import prove_machine as prove_machine
from .report import claims as claims, write_report as write_report
from .runs import (
    Options as Options,
    RunFolder as RunFolder,
    Wishes as Wishes,
    finish_run as finish_run,
    prepare_run as prepare_run,
    published_table as published_table,
    read_photographs as read_photographs,
    run_study as run_study,
    verify_run as verify_run,
)
from .studies import STUDIES as STUDIES
from .study import (
    DataSpec as DataSpec,
    ModelSpec as ModelSpec,
    Phase as Phase,
    SplitSpec as SplitSpec,
    Study as Study,
    Variant as Variant,
)
from .training import TrainingRun as TrainingRun, set_trainable as set_trainable, train as train

__version__: str
