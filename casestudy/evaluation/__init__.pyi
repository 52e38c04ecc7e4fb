from .comparison import Contender as Contender
from .comparison import compare_models as compare_models
from .metrics import (
    PREFIX as PREFIX,
)
from .metrics import (
    Evaluation as Evaluation,
)
from .metrics import (
    evaluate as evaluate,
)
from .metrics import (
    evaluate_predictions as evaluate_predictions,
)
from .metrics import (
    predict_probabilities as predict_probabilities,
)
from .metrics import (
    prediction_table as prediction_table,
)
from .metrics import (
    wilson_interval as wilson_interval,
)
