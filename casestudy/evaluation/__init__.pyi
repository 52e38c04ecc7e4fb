from .comparison import Contender as Contender, compare_models as compare_models
from .metrics import (
    PREFIX as PREFIX,
    Evaluation as Evaluation,
    evaluate as evaluate,
    evaluate_predictions as evaluate_predictions,
    predict_probabilities as predict_probabilities,
    prediction_table as prediction_table,
    wilson_interval as wilson_interval,
)
