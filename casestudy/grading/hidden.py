"""The hidden test: a model's reading of photographs that were handed out without labels, to hand in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from casestudy.errors import DataError
from casestudy.evaluation import PREFIX, predict_probabilities
from casestudy.models import load_model
from casestudy.runs import RunFolder

PREDICTIONS = "hidden_predictions.csv"


def predict_hidden(run: RunFolder, photographs: Path) -> Path:
    """Returns the path of hidden_predictions.csv, written to the run folder: name, then p_<label> for each label.

    Args:
        run: Trained.
        photographs: The zip of `write_unlabelled`, or any letters.zip; what labels it has are not looked at.

    Raises:
        DataError: The predictions are there already.
        RunError: The run has no model yet.
    """
    run.require("model.keras")
    target = run.path / PREDICTIONS
    if target.exists():
        raise DataError(f"Predictions are never overwritten; {target} is there. Move it away first.")
    images = run.load_images(letters=photographs)
    probabilities = predict_probabilities(load_model(run.path / "model.keras"), images, np.arange(len(images)))
    table = pd.DataFrame(probabilities, columns=[PREFIX + name for name in run.facts.class_names])
    table.insert(0, "name", images.names)
    run.write_table(PREDICTIONS, table)
    return target
