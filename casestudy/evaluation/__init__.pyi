from .certainty import Certainty as Certainty, how_sure as how_sure
from .comparison import Contender as Contender, compare_models as compare_models
from .metrics import (
    Evaluation as Evaluation,
    evaluate as evaluate,
    evaluate_predictions as evaluate_predictions,
)
from .predictions import (
    PREFIX as PREFIX,
    predict_probabilities as predict_probabilities,
    prediction_table as prediction_table,
)
