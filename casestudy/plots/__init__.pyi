from .comparison import (
    plot_grouped as plot_grouped,
)
from .comparison import (
    plot_ladder as plot_ladder,
)
from .comparison import (
    plot_models as plot_models,
)
from .comparison import (
    plot_pareto as plot_pareto,
)
from .drawings import draw_run as draw_run
from .results import (
    contact_sheet as contact_sheet,
)
from .results import (
    plot_confusion as plot_confusion,
)
from .results import (
    plot_heat as plot_heat,
)
from .results import (
    plot_history as plot_history,
)
from .results import (
    prediction_sheet as prediction_sheet,
)
