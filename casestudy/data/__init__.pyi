from .distortion import distort as distort
from .image_set import ImageSet as ImageSet
from .images import load_images as load_images
from .photographs import decode_picture as decode_picture, open_photographs as open_photographs
from .seeing import Sight as Sight
from .sources import data_for as data_for
from .splits import (
    Splits as Splits,
    split_folds as split_folds,
    split_images as split_images,
)
