"""Characters of licence plates, and test images that training has seen.

Expect 99.5 % on the published test part and 99.4 % without its copies, in a minute on two cores:

    casestudy run licence-plates --data licence-plates.zip
"""

import dataclasses

from casestudy.study import DataSpec, ModelSpec, Phase, SplitSpec, Study, Variant

_MODEL = ModelSpec("plates_cnn", image_size=(28, 28), weights=None, dropout=0.3, scaling="0 to 1")
_PHASE = Phase("train", trainable="everything", epochs=50, learning_rate=1e-3, batch_size=64)

LICENCE_PLATES = Study(
    name="licence-plates",
    title="Characters of licence plates",
    source="the licence-plate study",
    model=_MODEL,
    phases=(_PHASE,),
    # The original trains on the smaller part of its 80/20; here the larger part trains. No part is left to choose by.
    split=SplitSpec(protocol="published", validation=0.0),
    data=DataSpec(
        class_names=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        channels=1,
        home="https://github.com/SarthakV7/AI-based-indian-license-plate-detection",
    ),
    variants=(
        Variant(
            "batch-norm",
            dataclasses.replace(_MODEL, options={"batch_norm": True}),
            (_PHASE,),
            note="BatchNormalization after each convolution",
        ),
    ),
)
