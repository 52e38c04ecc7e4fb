"""A dense baseline with seed 111, and what each step from there is worth.

Expect 20.7 % of the baseline and 98.1 % of ours on the embedded sample, in ten minutes on two cores:

    casestudy run dense-baseline
"""

import dataclasses

from casestudy.choices import Augmentation
from casestudy.study import ModelSpec, Phase, SplitSpec, Study, Variant

# As the original has it, and as a ladder goes on from there: the same split and the same seed.
_FROM_SCRATCH = (Phase("train", trainable="everything", epochs=30, learning_rate=1e-3),)
_DENSE = ModelSpec("dense", weights=None, dropout=0.0, scaling="0 to 1")
_CONVOLUTIONS = dataclasses.replace(_DENSE, name="plain_cnn", options={"units": [128, 64]})
# No mirror: a mirrored sign is another hand's.
_SIGN_AUGMENTATION: Augmentation = {"rotation": 0.06, "zoom": 0.2, "shift": 0.12}
_AUGMENTED = dataclasses.replace(_CONVOLUTIONS, augmentation=_SIGN_AUGMENTATION)
_MOBILENET = ModelSpec("mobilenet_v2", dropout=0.2, augmentation=_SIGN_AUGMENTATION)
_RESNET = dataclasses.replace(_MOBILENET, name="resnet50v2")
_TRANSFER = (
    Phase("head", trainable="head", epochs=15, learning_rate=1e-3, views=3),
    Phase("fine-tune", trainable="all", epochs=4, learning_rate=1e-4),
)

DENSE_BASELINE = Study(
    name="dense-baseline",
    title="A dense baseline, and its ladder of improvements",
    source="RedSamurai07/Image-classification-model-with-deep-learning, README: network and advice",
    model=dataclasses.replace(_RESNET, image_size=(64, 64)),
    phases=(
        Phase("head", trainable="head", epochs=15, learning_rate=1e-3, patience=4, views=3),
        Phase("fine-tune", trainable="all", epochs=4, learning_rate=1e-4, schedule="cosine", patience=3),
    ),
    split=SplitSpec(protocol="signer", validation=0.15, test=0.25),
    crop="auto",
    seed=111,
    ladder=True,
    variants=(
        Variant("dense", _DENSE, _FROM_SCRATCH, note="Resizing, Rescaling(1/255), Flatten, Dense layers with L2(0.01)"),
        Variant(
            "convolutions",
            _CONVOLUTIONS,
            _FROM_SCRATCH,
            note="three convolutions with max-pooling before the Dense layers",
        ),
        Variant(
            "augmentation", _AUGMENTED, _FROM_SCRATCH, note="turned, resized and moved while training; never mirrored"
        ),
        Variant(
            "mobilenet-v2",
            _MOBILENET,
            _TRANSFER,
            note="transfer learning; without ImageNet's weights it starts from random numbers",
        ),
        Variant("resnet50v2", _RESNET, _TRANSFER, note="another base; ours adds a falling rate and early stopping"),
    ),
)
