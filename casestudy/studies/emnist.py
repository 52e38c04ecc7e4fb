"""47 handwritten characters: EMNIST balanced, three published networks and a compact one, clean and distorted.

Expect 85.7 % of ours, clean, after two epochs on 70 % of a balanced subset; the large networks need an accelerator:

    casestudy run emnist --variants none
"""

import dataclasses

from casestudy.choices import Augmentation
from casestudy.studies.fashion_mnist import ONE_CYCLE
from casestudy.study import DataSpec, Download, ModelSpec, Phase, Search, SplitSpec, Study, Variant

# As the original; characters are not mirrored.
_AUGMENTATION: Augmentation = {"rotation": 20 / 360, "zoom": 0.2, "shift": 0.1}
_PHASE = Phase("train", trainable="everything", epochs=10, learning_rate=1e-3, batch_size=128)
_SHA256 = "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"


def _models(
    name: str, spec: ModelSpec, note: str, plain: tuple[float, float], augmented: tuple[float, float]
) -> tuple[Variant, Variant]:
    """Returns a model without and with augmentation, each with its published accuracy, clean and distorted."""
    with_augmentation = dataclasses.replace(spec, augmentation=_AUGMENTATION)
    return (
        Variant(name, spec, (_PHASE,), plain[0], note, plain[1]),
        Variant(f"{name}-augmented", with_augmentation, (_PHASE,), augmented[0], note, augmented[1]),
    )


EMNIST = Study(
    name="emnist",
    title="Handwritten characters: EMNIST balanced",
    source="the EMNIST study; data: Cohen et al. 2017, arXiv:1702.05373",
    model=ModelSpec(
        "compact_cnn",
        image_size=(28, 28),
        weights=None,
        dropout=0.1,
        augmentation=_AUGMENTATION,
        # These and the learning rate are the best values of DATA/searches/emnist.json.
        options={"widths": [32, 64, 128], "blocks": [1, 1, 1], "pools": [1, 2, 2], "pooling": "average"},
    ),
    # Small batches: more steps, where only a fraction is trained on.
    phases=(dataclasses.replace(ONE_CYCLE, learning_rate=6e-3, batch_size=64),),
    split=SplitSpec(protocol="published", validation=0.1),
    data=DataSpec(
        kind="idx",
        subset="emnist-balanced",
        transposed=True,  # the official files store rows as columns
        class_names=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        downloads=(Download("gzip.zip", "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip", _SHA256),),
        home="https://www.nist.gov/itl/products-and-services/emnist-dataset",
    ),
    distortion={"rotation": 20 / 360, "zoom": 0.2, "shift": 0.1, "seed": 47},  # as far as augmentation goes
    search=Search(
        {
            "widths": [[32, 64, 128], [40, 80, 112], [48, 64, 96]],
            "blocks": [[0, 1, 1], [1, 1, 1]],
            "pools": [[2, 1, 2], [1, 2, 2]],
            "pooling": ["average", "both"],
            "learning_rate": [1e-3, 3e-3, 6e-3],
        },
        fraction=0.15,
        epochs=2,  # too few to judge dropout or augmentation by: those are not searched for
    ),
    variants=(
        *_models(
            "custom-cnn",
            ModelSpec("emnist_cnn", weights=None, dropout=0.0, scaling="0 to 1"),
            "where the original pools is unknown: after the first two convolutions is ours",
            (0.8853, 0.7520),
            (0.8863, 0.8702),
        ),
        *_models(
            "resnet50v2",
            ModelSpec("resnet50v2", weights=None, dropout=0.0, options={"upsample": {"filters": 1, "factor": 2}}),
            "from random numbers, behind a Conv2DTranspose to 56x56",
            (0.8841, 0.7587),
            (0.8856, 0.8801),
        ),
        *_models(
            "mobilenet-v2",
            ModelSpec(
                "mobilenet_v2",
                weights=None,
                dropout=0.0,
                # The momentum is ResNet50V2's; its own, 0.999, asks for more steps than a small budget has.
                options={"upsample": {"filters": 3, "factor": 4}, "momentum": 0.99},
            ),
            "from random numbers, behind a Conv2DTranspose to 112x112x3",
            (0.8484, 0.6720),
            (0.8751, 0.8594),
        ),
    ),
)
