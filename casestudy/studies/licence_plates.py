"""Characters of licence plates, and test images that training has seen.

Expect 99.5 % on the published test part and 99.4 % without its copies, in a minute on two cores; its other
networks take five:

    casestudy run licence-plates --data data.zip --variants none
"""

import dataclasses

from casestudy.study import DataSpec, ModelSpec, Phase, SplitSpec, Study, Variant

_MODEL = ModelSpec("plates_cnn", image_size=(28, 28), weights=None, dropout=0.3, scaling="0 to 1")
_PHASE = Phase("train", trainable="everything", epochs=50, learning_rate=1e-3, batch_size=64, keep="last")
_TWENTY = SplitSpec("published", validation=0.8, draw="shuffled", seed=13)  # what the notebook says to scikit-learn

LICENCE_PLATES = Study(
    name="licence-plates",
    title="Characters of licence plates",
    source="yellowish05/anpr_thesis @ 2aa91b6",
    model=_MODEL,
    phases=(_PHASE,),
    split=SplitSpec(protocol="published", validation=0.0),  # nothing is chosen, so every training image trains
    data=DataSpec(
        class_names=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        channels=1,
        home="https://github.com/SarthakV7/AI-based-indian-license-plate-detection",
    ),
    variants=(
        Variant(
            "twenty-eighty",
            _MODEL,
            (_PHASE,),
            0.9034,
            "trains on a fifth, as the source's notebook does; published: 608 of its own 673 test images",
            cells="training_pnr_new_done_epochs.ipynb @ 2aa91b6 cell 26",
            split=_TWENTY,
        ),
        Variant(
            "eighty-twenty",
            _MODEL,
            (_PHASE,),
            note="trains on four fifths, as the source's README says",
            split=dataclasses.replace(_TWENTY, validation=0.2),
        ),
        Variant(
            "batch-norm",
            dataclasses.replace(_MODEL, options={"batch_norm": True}),
            (_PHASE,),
            note="BatchNormalization after each convolution: the source's README explains it, its notebook has none",
        ),
    ),
)
