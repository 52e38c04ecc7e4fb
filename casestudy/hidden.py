"""The hidden test: photographs without labels to hand out, and a model's reading of them to hand in."""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from casestudy.boxes import COLUMNS
from casestudy.dataset import USED, read_boxes
from casestudy.errors import DataError, GradingError
from casestudy.files import atomic_path
from casestudy.ledger import Ledger, LedgerRow
from casestudy.regroup import clean_archive
from casestudy.runs import RunFolder

NAMELESS = "unlabelled"  # every photograph's label, in the zip that students get
PREDICTIONS = "hidden_predictions.csv"


def write_hidden(archive: Path, target: Path, *, seed: int, pattern: str | None = None) -> dict[str, str]:
    """Returns the label of each photograph in the zip written to `target`, where none of them has one.

    The zip is laid out as a letters.zip, hand boxes included; names and order tell nothing.

    Args:
        archive: Labelled photographs that students have never seen.
        target: A new file.
        seed: Decides the order.
        pattern: See `clean_archive`.

    Raises:
        GradingError: `target` is there already.
        DataError: The archive has no labelled photograph.
    """
    if target.exists():
        raise GradingError(f"A hidden test is never overwritten; {target} is there already. Name another place.")
    with tempfile.TemporaryDirectory() as scratch:
        letters = Path(scratch) / "letters.zip"
        usable = [row for row in clean_archive(archive, letters, pattern=pattern).rows if row.status in USED]
        order = np.random.default_rng(seed).permutation(len(usable))
        chosen = [usable[k] for k in order]
        names = [f"{NAMELESS}/{k:05d}{PurePosixPath(row.stored_as).suffix}" for k, row in enumerate(chosen)]
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(letters) as source,
            atomic_path(target) as partial,
            zipfile.ZipFile(partial, "w") as hidden,
        ):
            boxes = read_boxes(source)
            rows = []
            for name, row in zip(names, chosen, strict=True):
                hidden.writestr(zipfile.ZipInfo(name), source.read(row.stored_as))
                rows.append(LedgerRow(name, "kept", name, label=NAMELESS, bytes=row.bytes, sha256=row.sha256))
            hidden.writestr(zipfile.ZipInfo("ledger.csv"), Ledger(tuple(rows)).to_csv())
            found = [
                (name, *boxes[row.stored_as]) for name, row in zip(names, chosen, strict=True) if row.stored_as in boxes
            ]
            if found:
                text = io.StringIO()
                csv.writer(text, lineterminator="\n").writerows([COLUMNS, *found])
                hidden.writestr(zipfile.ZipInfo("boxes.csv"), text.getvalue())
    return {name: row.label for name, row in zip(names, chosen, strict=True)}


def predict_hidden(run: RunFolder, photographs: Path) -> Path:
    """Returns the path of hidden_predictions.csv, written to the run folder: name, then p_<label> for each label.

    Args:
        run: Trained.
        photographs: The zip of `write_hidden`, or any letters.zip; what labels it has are not looked at.

    Raises:
        DataError: The predictions are there already.
        RunError: The run has no model yet.
    """
    from casestudy.evaluation import PREFIX, predict_probabilities
    from casestudy.models import load_model
    from casestudy.reading import read_photographs
    from casestudy.study import Study

    run.require("model.keras")
    if run.has(PREDICTIONS):
        raise DataError(f"Predictions are never overwritten; {run.path / PREDICTIONS} is there. Move it away first.")
    import pandas as pd

    settings = run.settings
    study = Study.from_json(settings["study"])
    images = read_photographs(run, photographs, study, tuple(settings["machine"]["image_size"]))
    probabilities = predict_probabilities(load_model(run.path / "model.keras"), images, np.arange(len(images)))
    table = pd.DataFrame(probabilities, columns=[PREFIX + name for name in settings["class_names"]])
    table.insert(0, "name", images.names)
    run.write_table(PREDICTIONS, table)
    return run.path / PREDICTIONS
