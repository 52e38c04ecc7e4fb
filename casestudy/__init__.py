"""A case study in a box: from an archive of fingerspelled letters to an honest report.

The verbs, in the order of the pipeline: `clean_archive`, `load_images`, `split_images`, `build_model`, `train`,
`evaluate`, `run_study`, `write_report`. Each is loaded from its module when first used, so `import casestudy` costs
milliseconds and TensorFlow is imported by training alone. Notebooks take the steps one by one, with `start_run` and
`continue_run`, and look at what each left in the run folder.
"""

import warnings
from importlib import import_module
from typing import Any

# A notebook without ipywidgets shows plain progress bars, and nobody needs to be told to install anything.
warnings.filterwarnings("ignore", message="IProgress not found")

_HOME = {
    "examine": "doctor",
    "find_data": "sources",
    "iter_members": "archive",
    "screen_image": "screening",
    "clean_archive": "regroup",
    "Ledger": "regroup",
    "load_images": "dataset",
    "ImageSet": "dataset",
    "split_images": "splits",
    "Splits": "splits",
    "build_model": "models",
    "load_model": "models",
    "save_parts": "models",
    "load_parts": "models",
    "load_idx": "idx_sets",
    "compare": "comparison",
    "Contender": "comparison",
    "batch_norms": "models",
    "set_trainable": "stages",
    "grad_cam": "gradcam",
    "MODELS": "models",
    "train": "training",
    "TrainingRun": "training",
    "evaluate": "evaluation",
    "Evaluation": "evaluation",
    "RunFolder": "runs",
    "verify_run": "verification",
    "run_study": "pipeline",
    "start_run": "pipeline",
    "continue_run": "pipeline",
    "run_images": "reading",
    "data_for": "reading",
    "read_evaluation": "results",
    "read_histories": "results",
    "published_table": "results",
    "open_photographs": "pictures",
    "decode_picture": "pictures",
    "contact_sheet": "plots",
    "prediction_sheet": "plots",
    "plot_history": "plots",
    "plot_confusion": "plots",
    "plot_heat": "plots",
    "plot_photograph": "plots",
    "plot_models": "comparison_plots",
    "plot_pareto": "comparison_plots",
    "plot_ladder": "comparison_plots",
    "plot_grouped": "comparison_plots",
    "size_grouped": "comparison_plots",
    "file_digest": "files",
    "write_report": "report",
    "load_rubric": "rubric",
    "load_key": "key",
    "read_submission": "submission",
    "grade": "grading",
    "GradeReport": "grading",
    "STUDIES": "studies",
    "Study": "study",
    "Variant": "study",
    "DataSpec": "study",
    "ModelSpec": "study",
    "Phase": "study",
    "SplitSpec": "study",
    "CaseStudyError": "errors",
}
__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'casestudy' has no attribute '{name}'")
    return getattr(import_module(f"casestudy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
