"""What the sources of the studies claim, and what their own notebooks show: one record a claim, each with its place.

The claims are in our words. Their authors are students who published code, outputs and weights: that anybody can look
up what holds is their merit, and what does not hold is what most of us have written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from casestudy.choices import OWN
from casestudy.errors import DataError
from casestudy.records import Between, Record

PARTS = ("test", "validation", "random")  # what a result is of; the last, ours tested on a split at random
Verdict = Literal["holds", "holds within noise", "does not hold", "cannot be known"]


@dataclass(frozen=True)
class Claim(Record):
    """One claim of a source. A figure is judged by `audit`; any other verdict is stated, with its reason."""

    text: str
    source: str  # where it is made: the file, and the cell where there is one (counted from 0)
    shown: str  # what its own notebook shows of it, and where
    figure: Annotated[float, Between(0, 1)] | None = None  # the accuracy that is claimed, as many digits as it has
    right: Annotated[int, Between(0)] | None = None  # of so many images as the notebook shows
    of: Annotated[int, Between(1)] | None = None
    runs: tuple[float, ...] = ()  # accuracies of all its trainings, where the source has several: how much is luck
    here: tuple[str, ...] = ()  # the committed result it is held against: study, model, one of `PARTS`
    than: str = ""  # another model of that study, where the claim is that the first one is better
    comparable: bool = True  # whether that result is of the same kind of images
    found: str = ""  # what else comes out here
    verdict: Verdict | None = None  # None where the numbers decide
    why: str = ""

    def check(self) -> None:
        if (self.right is None) != (self.of is None) or (self.right or 0) > (self.of or 0):
            raise DataError(f"right of a Claim is a part of `of`; received {self.right} of {self.of}. Mend the claim.")
        if self.here and (len(self.here) != 3 or self.here[2] not in PARTS):
            raise DataError(f"here of a Claim is a study, a model, {', '.join(PARTS)}; received {self.here}. Mend it.")
        if self.verdict and not self.why:
            raise DataError(f"A verdict that is stated has a reason; {self.text!r} has none. Write why.")


_LETTERS = "DS-4002-Project3 @ 4fc2f6f, ASL_CNN_P3.ipynb"
_PLATES = "training_pnr_new_done_epochs.ipynb @ 2aa91b6"
CLAIMS: dict[str, tuple[Claim, ...]] = {
    "asl-original": (
        Claim(
            "The network's validation accuracy is 98.73 %.",
            f"{_LETTERS}, execution count 11",
            "1,012 of 1,025 images, best of 15 epochs",
            figure=0.9873,
            right=1012,
            of=1025,
            here=("asl-original", OWN, "random"),
            comparable=False,
        ),
        Claim(
            "So well the letters are read.",
            f"{_LETTERS}, execution counts 6 to 13",
            "a random split, the same four people on both sides; the part that chose the epoch gives the score",
            here=("asl-original", OWN, "test"),
            comparable=False,
            found="of a person whom the recipe never saw; the article on leakage tells the rest",
            verdict="cannot be known",
            why="nobody was kept apart, and there is no test part",
        ),
        Claim(
            "Nothing of the data is lost on the way.",
            "arotwell/cs3 @ c3c7761, README",
            "74 empty files among 5,200, deleted: 5,126 go on (execution count 5)",
            found="a ledger would have named each file",
            verdict="does not hold",
            why="others read 4,786 good letters out of the same archive: most of the 74 were sound there",
        ),
    ),
    "clothes": (
        Claim(
            "The first network reads 65.86 % of the test part.",
            "image_clasification.ipynb cell 14",
            "245 of 372",
            figure=0.6586,
            right=245,
            of=372,
            here=("clothes", "network-1", "test"),
        ),
        Claim(
            "The second one reads 74.46 %.",
            "image_clasification.ipynb cell 25",
            "277 of 372, with the weights of the last epoch",
            figure=0.7446,
            right=277,
            of=372,
            here=("clothes", "network-2", "test"),
        ),
        Claim(
            "Regularisation brings the accuracy to 75 %.",
            "README",
            "277 of 372 (cell 25); the saved weights, read here, 280",
            figure=0.75,
            right=277,
            of=372,
        ),
        Claim(
            "Flattened pixels, Dense layers with an L2 penalty of 0.01, scaling inside the model.",
            "README",
            "averages, a penalty of 0.001 in the convolutions too, scaling before the model",
            verdict="does not hold",
            why="the text describes another network than the one that is trained",
        ),
    ),
    "dense-baseline": (
        Claim(
            "Convolutions read more than Dense layers alone.",
            "README, the advice to add Conv2D",
            "the code has convolutions from the beginning, and no figure of a dense network",
            here=("dense-baseline", "convolutions", "test"),
            than="dense",
        ),
    ),
    "emnist": (
        Claim(
            "The custom network, trained with augmentation, reads 88.63 %.",
            "Demo.ipynb cell 37",
            "16,662 of 18,800, from downloaded weights",
            figure=0.8863,
            right=16_662,
            of=18_800,
            here=("emnist", "custom-cnn-augmented", "test"),
            comparable=False,
        ),
        Claim(
            "ResNet50V2, trained with augmentation, reads 88.01 % of the distorted images.",
            "Demo.ipynb cell 49",
            "16,546 of 18,800; the distortion has no seed",
            figure=0.8801,
            right=16_546,
            of=18_800,
        ),
        Claim(
            "The custom network has half the parameters of ResNet50V2.",
            "README",
            "11,563,783 and 23,654,836",
            found="counted again, layer by layer: the same",
            verdict="holds",
            why="51.1 % fewer",
        ),
        Claim(
            "The custom network has half the parameters of MobileNetV2.",
            "README",
            "11,563,783 and 2,318,242",
            found="counted again, layer by layer: the same",
            verdict="does not hold",
            why="it has five times as many",
        ),
        Claim(
            "The custom network is the fastest.",
            "README",
            "evaluations on a CPU: 35 s, ResNet50V2 52 to 58 s, MobileNetV2 39 to 40 s",
            verdict="holds",
            why="by the notebook's own times, of which there are few",
        ),
        Claim(
            "The weights are those of six epochs with a held-out fifth.",
            "Demo.ipynb cells 14 to 24",
            "all cells that train are switched off; finished weights are downloaded",
            verdict="cannot be known",
            why="no history, no seed and no training augmentation is kept",
        ),
    ),
    "fashion-mnist": (
        Claim(
            "The best network uses RMSprop and dropout: 90.81 %.",
            "README",
            "three convolutions have Adam and no dropout in both notebooks; the nearest figure is 90.82 % "
            "(project4nn.ipynb cell 27)",
            figure=0.9081,
            verdict="does not hold",
            why="no such network is there; the best has Adam and no dropout, 90.82 and 91.16 %",
        ),
        Claim(
            "The network with three convolutions and Adam reads 91.16 % of its validation part.",
            "project4ks.ipynb cell 35",
            "10,939 of 12,000",
            figure=0.9116,
            right=10_939,
            of=12_000,
            here=("fashion-mnist", "model-4", "validation"),
        ),
        Claim(
            "RMSprop, two layers, no dropout: 88.98 %.",
            "README",
            "three runs: 89.63, 88.77 and 89.07 % (project4nn.ipynb cells 15, 18; project4ks.ipynb cell 23)",
            figure=0.8898,
            right=10_688,
            of=12_000,
            runs=(0.8963, 0.8877, 0.8907),
            here=("fashion-mnist", "model-2", "validation"),
        ),
        Claim(
            "RMSprop, two layers, dropout: 87.52 %.",
            "README",
            "10,674 of 12,000 (project4ks.ipynb cell 29): it is better than that",
            figure=0.8752,
            right=10_674,
            of=12_000,
            here=("fashion-mnist", "model-3", "validation"),
        ),
        Claim(
            "Adam, three layers, dropout: 90.13 %.",
            "README",
            "no notebook has such a network",
            figure=0.9013,
            verdict="cannot be known",
            why="what the README counts as a layer is not said",
        ),
        Claim(
            "The most common mistake is a shirt taken for a T-shirt.",
            "README",
            "its matrix cm3.jpg: T-shirt for shirt 200, shirt for coat 157, shirt for T-shirt 100",
            verdict="does not hold",
            why="it is the other way round, twice as often",
        ),
        Claim(
            "The file handed in is of the best network.",
            "submission_2.csv",
            "by the order of execution, it is of cell 20's network (89.88 %)",
            verdict="cannot be known",
            why="no notebook prints an accuracy on the official test part",
        ),
    ),
    "licence-plates": (
        Claim(
            "80 % of the images train, 20 % validate.",
            "README, and a comment in cell 13",
            "train_size = .2: 222 train, 889 validate (cells 13, 14)",
            verdict="does not hold",
            why="scikit-learn was told the share of the other part",
        ),
        Claim(
            "The network reads 90.34 % of the test part.",
            f"{_PLATES} cell 26",
            "608 of 673",
            figure=0.9034,
            right=608,
            of=673,
            here=("licence-plates", "twenty-eighty", "test"),
            comparable=False,
        ),
        Claim(
            "89 % of the test part are read rightly.",
            f"{_PLATES} cell 35",
            "the report of the same answers, rounded before the largest is sought: an unsure image becomes a 0",
            figure=0.89,
            right=608,
            of=673,
            found="notebook 14 does the same with its own answers",
            verdict="does not hold",
            why="608 of 673 are right, 90.3 %; rounding lost some",
        ),
        Claim(
            "The network does not overfit.",
            "a comment in the notebook",
            "validation loss 0.9428, training loss 0.1560 (cell 23)",
            verdict="does not hold",
            why="one is six times the other",
        ),
        Claim(
            "BatchNormalization stands between the layers.",
            "README",
            "no layer of the notebook is one; 166,436 parameters without",
            verdict="does not hold",
            why="the text explains a layer that the network does not have",
        ),
    ),
}
