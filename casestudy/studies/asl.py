"""Fingerspelled letters from photographs: the case itself.

Expect 98.5 % on the two test signers of the embedded sample, from `signs`, in four to seven minutes on two cores:

    casestudy run asl --weights signs
"""

from casestudy.study import ModelSpec, Phase, SplitSpec, Study

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
        # Half the rate, in one rise and fall, less trust in the labels, and weights that stay small: what the base
        # knows is bent far enough for people whom it never saw, and not broken. The weights of the last epoch, because
        # the people of the validation part are too few to choose an epoch by.
        Phase(
            "fine-tune",
            trainable="all",
            epochs=12,
            learning_rate=5e-4,
            optimizer="adamw",
            schedule="one-cycle",
            weight_decay=0.02,
            label_smoothing=0.1,
            keep="last",
        ),
    ),
    split=SplitSpec(protocol="signer", validation=0.15, test=0.25),
    crop="auto",  # a hand is a small part of a photograph: cut out by its box, or where it is found
)
