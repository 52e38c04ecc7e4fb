"""Clothes: Fashion-MNIST's ten classes, four published networks and a compact one.

Expect 94.3 % of ours on the published test part, in half an hour on two cores; models 1 to 4 take nine minutes more:

    casestudy run fashion-mnist
"""

from casestudy.choices import Optimizer
from casestudy.study import DataSpec, Download, ModelSpec, Phase, SplitSpec, Study, Variant

# Chosen on a validation part of 6,000 of Fashion-MNIST's training images: AdamW in one cycle, and a little less trust
# in the labels.
ONE_CYCLE = Phase(
    "train",
    trainable="everything",
    epochs=10,
    learning_rate=3e-3,
    optimizer="adamw",
    schedule="one-cycle",
    batch_size=128,
    weight_decay=0.05,
    label_smoothing=0.1,
)
_CLOTHES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def _fashion_model(
    number: int, filters: list[int], units: list[int], dropout: float, optimizer: Optimizer, published: float
) -> Variant:
    options = {"filters": filters, "units": units}
    spec = ModelSpec("fashion_cnn", weights=None, dropout=dropout, scaling="0 to 1", options=options)
    phase = Phase("train", "everything", epochs=10, learning_rate=1e-3, optimizer=optimizer, batch_size=256)
    return Variant(f"model-{number}", spec, (phase,), published, "filters and units are ours: the source names none")


FASHION_MNIST = Study(
    name="fashion-mnist",
    title="Clothes: Fashion-MNIST",
    source="the Fashion-MNIST study's models 1 to 4; data: Xiao et al. 2017, arXiv:1708.07747",
    model=ModelSpec(
        "compact_cnn",
        image_size=(28, 28),
        weights=None,
        dropout=0.0,
        augmentation={"mirror": True},  # a mirrored shirt is a shirt
        mirror_average=True,
        # A block before the first pooling, too, while the pictures are still large.
        options={"pools": [1, 2, 2], "blocks": [1, 1, 1], "pooling": "both"},
    ),
    phases=(ONE_CYCLE,),
    split=SplitSpec(protocol="published", validation=0.1),
    data=DataSpec(
        kind="idx",
        class_names=_CLOTHES,
        downloads=tuple(
            Download(name, f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}", sha256)
            for name, sha256 in {
                "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            }.items()
        ),
        home="https://github.com/zalandoresearch/fashion-mnist",
    ),
    variants=(
        _fashion_model(1, [32, 64], [], 0.0, "rmsprop", 0.8898),
        _fashion_model(2, [32, 64], [128], 0.5, "rmsprop", 0.8752),
        _fashion_model(3, [32, 64, 128], [128], 0.5, "rmsprop", 0.9081),
        _fashion_model(4, [32, 64, 128], [128], 0.5, "adam", 0.9013),
    ),
)
