"""The checks of the results: figures that follow from the predictions, notebooks that ran, a claim that holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from casestudy.grading.containers import readable
from casestudy.grading.contents import Contents, NoEvidence, as_number, as_numbers, inside
from casestudy.grading.notebooks import SUBMITTING
from casestudy.grading.outcomes import EARNED, NOT_EARNED, PARTIAL, Outcome
from casestudy.grading.strangers import people_of, too_low
from casestudy.words import counted, percent

TOLERANCE = 1e-5  # of an accuracy or a loss that was written and read again
STEPS = ("01", "02", "03", "04", "05")  # the notebooks


def per_label(found: Contents) -> Outcome:
    """Per-label table: accuracy and loss of every label follow from the predictions."""
    table = found.table("run/per_label.csv", ("label", "accuracy", "loss")).set_index("label")
    computed = found.evaluation.per_label.set_index("label")
    seen = f"run/per_label.csv: {len(table)} of {counted(len(computed), 'label')}"
    hint = "Take the rows of one label in predictions.csv and compute its two numbers by hand."
    shared = [label for label in computed.index if label in table.index]
    if table.index.duplicated().any() or len(shared) < len(table):
        return Outcome(NOT_EARNED, seen, "There is a label twice, or one that the case does not have.", hint)
    for label in shared:
        for column in ("accuracy", "loss"):
            cell, true = table.at[label, column], float(computed.at[label, column])
            if not np.isclose(as_number(cell), true, rtol=0, atol=TOLERANCE, equal_nan=True):
                seen = f"run/per_label.csv, {readable(label, 20)}: {column} {readable(cell, 20)}"
                why = f"It does not follow from the predictions, which give {true:.4g}."
                return Outcome(NOT_EARNED, seen, why, hint)
    if len(shared) < len(computed):
        return Outcome(PARTIAL, seen, f"There is no row for {counted(len(computed) - len(shared), 'label')}.", hint)
    return Outcome(EARNED, seen, "Accuracy and loss of every label follow from the predictions.")


def own_confusion_matrix(found: Contents) -> Outcome:
    """Confusion matrix: the predictions' own, and drawn in a notebook."""
    labels = list(found.key.class_names)
    table = found.table("run/confusion.csv", ("label", *labels))
    confusion = found.evaluation.confusion
    right = f"{int(confusion.trace())} on the diagonal"
    if list(table["label"]) != labels or not np.array_equal(as_numbers(table[labels]), confusion):
        hint = "Row, column: true label, read label. Its diagonal, divided by its sum, is the accuracy."
        seen = f"run/confusion.csv; the predictions put {right}"
        return Outcome(NOT_EARNED, seen, "The matrix is not that of the predictions.", hint)
    last = [cell for name, cells in found.notebooks[0].items() if name[10:12] == STEPS[-1] for cell in cells]
    if any(cell.picture and "confusion" in cell.source for cell in last):
        seen = f"run/confusion.csv: {right}; drawn in notebook 05"
        return Outcome(EARNED, seen, "The confusion matrix is the predictions' own, and is shown.")
    hint = "Run the cell that draws it, and save the notebook before you hand it in."
    return Outcome(PARTIAL, "run/confusion.csv", "The matrix is right, but not drawn in notebook 05.", hint)


def reproducible(found: Contents) -> Outcome:
    """Settings: seed, study, versions and the archive's hash are recorded; the score follows from the predictions."""
    settings, archive = found.settings, found.key.archive
    recorded = {
        "the seed is": isinstance(settings.get("seed"), int),
        "the settings are": inside(settings, "study", "model"),
        "the versions are": inside(settings, "environment").get("keras"),
    }
    wrong = [f"{what} not recorded" for what, there in recorded.items() if not there]
    if archive and inside(settings, "data").get("sha256") != archive:
        wrong.append("the data are not the archive that was handed out")
    scores = found.json("run/metrics.json").get("scores")
    scores = [score for score in scores if isinstance(score, dict)] if isinstance(scores, list) else []
    headline: dict[str, Any] = next((score for score in scores if score.get("name") == "headline"), {})
    evaluation = found.evaluation
    for what, true in (("accuracy", evaluation.accuracy), ("loss", evaluation.loss)):
        said = headline.get(what)
        if not abs(as_number(said) - true) <= TOLERANCE:
            wrong.append(f"metrics.json says {what} {readable(said, 20)}, the predictions give {true:.4f}")
    said = readable(headline.get("accuracy"), 20)
    seen = f"run/metrics.json: accuracy {said}; from the predictions {evaluation.accuracy:.4f}"
    if not wrong:
        return Outcome(EARNED, seen, "Seed, settings and versions are recorded, and the scores follow.")
    hint = "Call casestudy verify on your run folder: it names what does not follow."
    status = PARTIAL if len(wrong) == 1 else NOT_EARNED
    return Outcome(status, seen, f"What does not hold: {'; '.join(wrong)}.", hint)


def notebooks_ran(found: Contents) -> Outcome:
    """Notebooks: all five ran from top to bottom, without an error."""
    hint = "Choose Restart and Run All in each notebook, and save it before you hand it in."
    notebooks, unreadable = found.notebooks
    ran, troubles = set(), [*unreadable]
    for name, cells in notebooks.items():
        code = [cell for cell in cells if cell.kind == "code" and cell.source.strip()]
        code = [cell for cell in code if not SUBMITTING.fullmatch(cell.source)]
        if failed := next((cell for cell in code if cell.error), None):
            seen = f"{name}, cell {readable(failed.id, 40)}: {failed.error}"
            return Outcome(NOT_EARNED, seen, "An error is left standing.", hint)
        counts = [cell.count for cell in code if cell.count is not None]
        if code and len(counts) == len(code) and counts == sorted(set(counts)):
            ran.add(name[10:12])
        else:
            troubles.append(f"{name}: not every cell ran, or not from top to bottom")
    missing = [step for step in STEPS if step not in ran]
    if not missing and not troubles:
        return Outcome(EARNED, counted(len(notebooks), "notebook"), "They ran from top to bottom, without errors.")
    seen = troubles[0] if troubles else f"notebook {missing[0]} is missing"
    if not ran:
        return Outcome(NOT_EARNED, seen, "No notebook ran from top to bottom.", hint)
    return Outcome(PARTIAL, seen, f"{len(STEPS) - len(missing)} of {len(STEPS)} notebooks ran in order.", hint)


def hidden_test(found: Contents) -> Outcome:
    """Hidden test: what was claimed on the known test part holds on photographs whose labels nobody had."""
    if not found.key.hidden:
        raise NoEvidence("The key has no hidden test; the instructor takes this row out, or makes a key with one.")
    right, people = found.hidden_answers()
    claimed = found.evaluation
    table = claimed.predictions
    hidden, known = people_of(right, people), people_of(table["predicted"] == table["label"], table["signer"])
    luck = too_low(known, hidden)
    seen = (
        f"run/hidden_predictions.csv: {percent(right.mean())} of {len(right)}, {counted(len(hidden), 'person')}; "
        f"claimed {percent(claimed.accuracy)}, {counted(len(known), 'person')}; "
        f"luck alone takes up to {percent(luck.allowed)} away"
    )
    if not luck.too_low:
        return Outcome(EARNED, seen, "The score holds on photographs that nobody had the labels of.")
    hint = "Ask what your test part and your training part share that a stranger's photographs do not."
    return Outcome(PARTIAL, seen, "The score is clearly lower on photographs that nobody had the labels of.", hint)
