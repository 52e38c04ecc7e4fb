"""Checks of the results: every figure is computed again, and the notebooks tell how it came about."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from casestudy.evaluation import wilson_interval
from casestudy.grading.evidence import Evidence, NoEvidence, as_number
from casestudy.grading.findings import EARNED, NOT_EARNED, PARTIAL, Finding, inside
from casestudy.grading.submission import readable

TOLERANCE = 1e-5  # of an accuracy or a loss that was written and read again
STEPS = ("01", "02", "03", "04", "05")  # the notebooks


def per_label(found: Evidence) -> Finding:
    """Per-label table: accuracy and loss of every label follow from the predictions."""
    table = found.table("run/per_label.csv", ("label", "accuracy", "loss")).set_index("label")
    computed = found.evaluation.per_label.set_index("label")
    evidence = f"run/per_label.csv: {len(table)} of {len(computed)} labels"
    hint = "Take the rows of one label in predictions.csv and compute its two numbers by hand."
    shared = [label for label in computed.index if label in table.index]
    if table.index.duplicated().any() or len(shared) < len(table):
        return Finding(NOT_EARNED, evidence, "There is a label twice, or one that the case does not have.", hint)
    for label in shared:
        for column in ("accuracy", "loss"):
            said, true = as_number(table.at[label, column]), float(computed.at[label, column])
            if not (np.isnan(said) and np.isnan(true)) and not abs(said - true) <= TOLERANCE:
                evidence = f"run/per_label.csv, {readable(label, 20)}: {column} {readable(table.at[label, column], 20)}"
                sentence = f"It does not follow from the predictions, which give {true:.4g}."
                return Finding(NOT_EARNED, evidence, sentence, hint)
    if len(shared) < len(computed):
        return Finding(PARTIAL, evidence, f"{len(computed) - len(shared)} labels are missing.", hint)
    return Finding(EARNED, evidence, "Accuracy and loss of every label follow from the predictions.")


def own_confusion_matrix(found: Evidence) -> Finding:
    """Confusion matrix: the predictions' own, and drawn in a notebook."""
    names = found.key.class_names
    table = found.table("run/confusion.csv", ("label", *names)).set_index("label")
    evaluation = found.evaluation
    hint = "Row, column: true label, read label. Its diagonal, divided by its sum, is the accuracy."
    same = list(table.index) == list(names) and np.array_equal(
        np.array([[as_number(cell) for cell in row] for row in table[list(names)].to_numpy()]), evaluation.confusion
    )
    if not same:
        evidence = f"run/confusion.csv; the predictions put {int(evaluation.confusion.trace())} on the diagonal"
        return Finding(NOT_EARNED, evidence, "The matrix is not that of the predictions.", hint)
    cells = [cell for name, cells in found.notebooks.items() if name[10:12] == STEPS[-1] for cell in cells]
    if any(cell.picture and "confusion" in cell.source for cell in cells):
        evidence = f"run/confusion.csv: {int(evaluation.confusion.trace())} on the diagonal; drawn in notebook 05"
        return Finding(EARNED, evidence, "The confusion matrix is the predictions' own, and is shown.")
    hint = "Run the cell that draws it, and save the notebook before you hand it in."
    return Finding(PARTIAL, "run/confusion.csv", "The matrix is right, but not drawn in notebook 05.", hint)


def reproducible(found: Evidence) -> Finding:
    """Settings: seed, study, versions and the archive's hash are recorded; the score follows from the predictions."""
    settings, wrong = found.settings, []
    recorded = {
        "the seed": isinstance(settings.get("seed"), int),
        "the settings": bool(inside(settings, "study", "model")),
        "the versions": bool(inside(settings, "environment").get("keras")),
    }
    wrong += [f"{what} is not recorded" for what, there in recorded.items() if not there]
    if found.key.archive and inside(settings, "data").get("sha256") != found.key.archive:
        wrong.append("the data are not the archive that was handed out")
    scores = found.json("run/metrics.json").get("scores")
    headline = next(
        (s for s in scores if isinstance(s, dict) and s.get("name") == "headline")
        if isinstance(scores, list)
        else iter(()),
        {},
    )
    accuracy, loss = found.evaluation.accuracy, found.evaluation.loss
    for what, said, true in (("accuracy", headline.get("accuracy"), accuracy), ("loss", headline.get("loss"), loss)):
        if not abs(as_number(said) - true) <= TOLERANCE:
            wrong.append(f"metrics.json says {what} {readable(said, 20)}, the predictions give {true:.4f}")
    evidence = (
        f"run/metrics.json: accuracy {readable(headline.get('accuracy'), 20)}; from the predictions {accuracy:.4f}"
    )
    if not wrong:
        return Finding(EARNED, evidence, "Seed, settings and versions are recorded, and the scores follow.")
    hint = "Call casestudy verify on your run folder: it names what does not follow."
    sentence = f"What does not hold: {'; '.join(wrong)}."
    return Finding(PARTIAL if len(wrong) == 1 else NOT_EARNED, evidence, sentence, hint)


def notebooks_ran(found: Evidence) -> Finding:
    """Notebooks: all five ran from top to bottom, without an error."""
    hint = "Choose Restart and Run All in each notebook, and save it before you hand it in."
    ran, troubled = set(), next(iter(found.unreadable), "")
    for name, cells in found.notebooks.items():
        code = [cell for cell in cells if cell.kind == "code" and cell.source.strip()]
        failed = next((cell for cell in code if cell.error), None)
        if failed:
            evidence = f"{name}, cell {readable(failed.id, 40)}: {failed.error}"
            return Finding(NOT_EARNED, evidence, "An error is left standing.", hint)
        counts = [cell.count for cell in code]
        in_order = all(one is not None and two is not None and one < two for one, two in pairwise(counts))
        if code and counts[0] is not None and in_order:
            ran.add(name[10:12])
        elif not troubled:
            troubled = f"{name}: not every cell ran, or not from top to bottom"
    missing = [step for step in STEPS if step not in ran]
    if not missing and not troubled:
        return Finding(EARNED, f"{len(found.notebooks)} notebooks", "They ran from top to bottom, without errors.")
    evidence = troubled or f"notebook {missing[0]} is missing"
    if not ran:
        return Finding(NOT_EARNED, evidence, "No notebook ran from top to bottom.", hint)
    return Finding(PARTIAL, evidence, f"{len(STEPS) - len(missing)} of {len(STEPS)} notebooks ran in order.", hint)


def hidden_test(found: Evidence) -> Finding:
    """Hidden test: what was claimed on the known test part holds on photographs whose labels nobody had."""
    if not found.key.hidden:
        raise NoEvidence("The key has no hidden test; the instructor takes this row out, or makes a key with one.")
    right = found.hidden_answers()
    low, high = wilson_interval(int(right.sum()), len(right))
    claimed = found.evaluation.accuracy
    measured = f"{right.mean():.1%} of {len(right)} (95 % {low:.1%} to {high:.1%})"
    evidence = f"run/hidden_predictions.csv: {measured}; claimed {claimed:.1%}"
    if found.evaluation.interval[0] <= high:
        return Finding(EARNED, evidence, "The score holds on photographs that nobody had the labels of.")
    hint = "Ask what your test part and your training part share that a stranger's photographs do not."
    return Finding(PARTIAL, evidence, "The score is clearly lower on photographs that nobody had the labels of.", hint)
