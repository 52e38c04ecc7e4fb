"""The studies: each a block of configuration, every number with its reason.

To add one, write a block here; the pipeline, the report and the command line pick it up by its name.
"""

import dataclasses

from casestudy.study import DataSpec, Download, ModelSpec, Phase, Search, SplitSpec, Study, Variant

ASL = Study(
    name="asl",
    title="Fingerspelled letters from photographs",
    source="hook_document.md, steps 1 to 4",
    model=ModelSpec(
        name="resnet50v2",
        weights="auto",
        dropout=0.2,  # Keras' transfer-learning guide
        # Hands turn, come nearer and sit off centre from one signer to the next, and every room has its own light.
        # No mirror: a mirrored sign is another hand's.
        augmentation={"rotation": 0.06, "zoom": 0.2, "shift": 0.12, "brightness": 0.25, "contrast": 0.3},
    ),
    phases=(
        # The head alone learns fast on cached features, and stops when validation does.
        Phase("head", trainable="head", epochs=20, learning_rate=1e-3, patience=4, views=3),
        # A tenth of the rate and falling, so that what the base knows is bent and not broken.
        Phase("fine-tune", trainable="all", epochs=5, learning_rate=1e-4, schedule="cosine", patience=4),
    ),
    split=SplitSpec(protocol="signer", validation=0.15, test=0.25),
    crop="auto",  # a hand is a small part of a photograph; boxes, where there are any, find it
)

# --- A dense baseline, and what each of its own recommendations is worth -------------------------------------------

# As the original has it, and as its ladder goes on: one change at a time, the same split and the same seed.
_FROM_SCRATCH = Phase("train", trainable="everything", epochs=30, learning_rate=1e-3)
_CONVOLUTIONS = ModelSpec(
    "fashion_cnn", weights=None, dropout=0.0, scaling="0 to 1", options={"filters": [32, 64, 128], "units": [128, 64]}
)
_SIGN_AUGMENTATION = {"rotation": 0.06, "zoom": 0.2, "shift": 0.12}  # no mirror: a mirrored sign is another hand's
_TRANSFER = (
    Phase("head", trainable="head", epochs=15, learning_rate=1e-3, views=3),
    Phase("fine-tune", trainable="all", epochs=4, learning_rate=1e-4),
)

DENSE_BASELINE = Study(
    name="dense-baseline",
    title="A dense baseline, and its ladder of improvements",
    source="the dense baseline with seed 111 and its list of recommendations",
    model=ModelSpec("resnet50v2", image_size=(64, 64), dropout=0.2, augmentation=_SIGN_AUGMENTATION),
    phases=(
        Phase("head", trainable="head", epochs=15, learning_rate=1e-3, patience=4, views=3),
        Phase("fine-tune", trainable="all", epochs=4, learning_rate=1e-4, schedule="cosine", patience=3),
    ),
    split=SplitSpec(protocol="signer", validation=0.15, test=0.25),
    crop="auto",
    seed=111,
    ladder=True,
    variants=(
        Variant(
            "dense",
            ModelSpec("dense", weights=None, dropout=0.0, scaling="0 to 1"),
            (_FROM_SCRATCH,),
            note="Resizing, Rescaling(1/255), Flatten, Dense layers with L2(0.01)",
        ),
        Variant(
            "convolutions",
            _CONVOLUTIONS,
            (_FROM_SCRATCH,),
            note="three convolutions with max-pooling before the Dense layers",
        ),
        Variant(
            "augmentation",
            dataclasses.replace(_CONVOLUTIONS, augmentation=_SIGN_AUGMENTATION),
            (_FROM_SCRATCH,),
            note="turned, resized and moved while training; never mirrored",
        ),
        Variant(
            "mobilenet-v2",
            ModelSpec("mobilenet_v2", dropout=0.2, augmentation=_SIGN_AUGMENTATION),
            _TRANSFER,
            note="transfer learning; without ImageNet's weights it starts from random numbers",
        ),
        Variant(
            "resnet50v2",
            ModelSpec("resnet50v2", dropout=0.2, augmentation=_SIGN_AUGMENTATION),
            _TRANSFER,
            note="another base; ours adds a falling rate and early stopping",
        ),
    ),
)

# Chosen on a validation part of 6,000 of Fashion-MNIST's training images: AdamW in one cycle, and a little less trust
# in the labels.
_ONE_CYCLE = Phase(
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

# --- EMNIST: 47 handwritten characters -----------------------------------------------------------------------------

_EMNIST_AUGMENTATION = {"rotation": 20 / 360, "zoom": 0.2, "shift": 0.1}  # as the original; characters are not mirrored
_EMNIST_PHASE = Phase("train", trainable="everything", epochs=10, learning_rate=1e-3, batch_size=128)


def _emnist_models(
    name: str, spec: ModelSpec, note: str, plain: tuple[float, float], augmented: tuple[float, float]
) -> tuple[Variant, Variant]:
    """Returns a model without and with augmentation, each with its published accuracy, clean and distorted."""
    with_augmentation = dataclasses.replace(spec, augmentation=_EMNIST_AUGMENTATION)
    return (
        Variant(name, spec, (_EMNIST_PHASE,), plain[0], note, plain[1]),
        Variant(f"{name}-augmented", with_augmentation, (_EMNIST_PHASE,), augmented[0], note, augmented[1]),
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
        augmentation=_EMNIST_AUGMENTATION,
        # These and the learning rate are the best values of DATA/searches/emnist.json.
        options={"widths": [32, 64, 128], "blocks": [1, 1, 1], "pools": [1, 2, 2], "pooling": "average"},
    ),
    # Small batches: more steps, where only a fraction is trained on.
    phases=(dataclasses.replace(_ONE_CYCLE, learning_rate=6e-3, batch_size=64),),
    split=SplitSpec(protocol="published", validation=0.1),
    data=DataSpec(
        kind="idx",
        subset="emnist-balanced",
        transposed=True,  # the official files store rows as columns
        class_names=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        downloads=(
            Download(
                "gzip.zip",
                "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
                "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            ),
        ),
        home="https://www.nist.gov/itl/products-and-services/emnist-dataset",
    ),
    distortion={**_EMNIST_AUGMENTATION, "seed": 47},
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
        *_emnist_models(
            "custom-cnn",
            ModelSpec("emnist_cnn", weights=None, dropout=0.0, scaling="0 to 1"),
            "where the original pools is unknown: after the first two convolutions is ours",
            (0.8853, 0.7520),
            (0.8863, 0.8702),
        ),
        *_emnist_models(
            "resnet50v2",
            ModelSpec("resnet50v2", weights=None, dropout=0.0, options={"upsample": {"filters": 1, "factor": 2}}),
            "from random numbers, behind a Conv2DTranspose to 56x56",
            (0.8841, 0.7587),
            (0.8856, 0.8801),
        ),
        *_emnist_models(
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

# --- Fashion-MNIST -------------------------------------------------------------------------------------------------


def _fashion_model(
    number: int, filters: list[int], units: list[int], dropout: float, optimizer: str, published: float
) -> Variant:
    spec = ModelSpec(
        "fashion_cnn",
        weights=None,
        dropout=dropout,
        scaling="0 to 1",
        options={"filters": filters, "units": units},
    )
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
    phases=(_ONE_CYCLE,),
    split=SplitSpec(protocol="published", validation=0.1),
    data=DataSpec(
        kind="idx",
        class_names=(
            *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
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

# --- Licence plates ------------------------------------------------------------------------------------------------

_PLATES = ModelSpec("plates_cnn", image_size=(28, 28), weights=None, dropout=0.3, scaling="0 to 1")
_PLATES_PHASE = Phase("train", trainable="everything", epochs=50, learning_rate=1e-3, batch_size=64)

LICENCE_PLATES = Study(
    name="licence-plates",
    title="Characters of licence plates",
    source="the licence-plate study",
    model=_PLATES,
    phases=(_PLATES_PHASE,),
    # The original trains on the smaller part of its 80/20; here the larger part trains. No part is left to choose by.
    split=SplitSpec(protocol="published", validation=0.0),
    data=DataSpec(
        pattern=r"(?P<signer>train|val)/class_(?P<label>[0-9A-Z])/",
        test_folder="val",
        class_names=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        channels=1,
        home="https://github.com/SarthakV7/AI-based-indian-license-plate-detection",
    ),
    variants=(
        Variant(
            "batch-norm",
            dataclasses.replace(_PLATES, options={"batch_norm": True}),
            (_PLATES_PHASE,),
            note="BatchNormalization after each convolution",
        ),
    ),
)

STUDIES: dict[str, Study] = {
    study.name: study for study in (ASL, DENSE_BASELINE, EMNIST, FASHION_MNIST, LICENCE_PLATES)
}
