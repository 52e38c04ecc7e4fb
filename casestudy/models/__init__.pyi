from .backend import keras as keras
from .backend import tf as tf
from .gradcam import grad_cam as grad_cam
from .network import (
    average_with_mirror as average_with_mirror,
)
from .network import (
    batch_norms as batch_norms,
)
from .network import (
    build_model as build_model,
)
from .network import (
    cut_points as cut_points,
)
from .network import (
    load_model as load_model,
)
from .weights import (
    StartingWeights as StartingWeights,
)
from .weights import (
    check_weights as check_weights,
)
from .weights import (
    resolve_weights as resolve_weights,
)
