from .backend import keras as keras, tf as tf
from .gradcam import grad_cam as grad_cam
from .network import (
    build_model as build_model,
    cut_points as cut_points,
    inference_model as inference_model,
    load_model as load_model,
    origin_of as origin_of,
)
from .weights import check_weights as check_weights, resolve_weights as resolve_weights
