from .comparison import (
    plot_grouped as plot_grouped,
    plot_ladder as plot_ladder,
    plot_models as plot_models,
    plot_pareto as plot_pareto,
)
from .drawings import draw_run as draw_run
from .results import (
    contact_sheet as contact_sheet,
    plot_confusion as plot_confusion,
    plot_heat as plot_heat,
    plot_history as plot_history,
    prediction_sheet as prediction_sheet,
)
