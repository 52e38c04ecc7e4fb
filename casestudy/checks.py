"""The checks that rubric.md can name: from the evidence and the key to what it earns, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from casestudy.evaluation import wilson_interval
from casestudy.evidence import Evidence, NoEvidence, number
from casestudy.submission import readable

MANUAL = "manual"
EARNED, PARTIAL, NOT_EARNED, REVIEW, NOTHING = "earned", "partial", "not earned", "needs review", "no evidence"
TOLERANCE = 1e-5  # of an accuracy or a loss that was written and read again
RESNET50V2 = 23_564_800  # parameters without its top; a Dense layer on its 2,048 features comes on top
STEPS = ("01", "02", "03", "04", "05")  # the notebooks


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: EARNED, PARTIAL or NOT_EARNED.
        evidence: File and value.
        sentence: Why, in one kind sentence.
        hint: What to look at next, without the answer; "" where nothing is to be done.
    """

    status: str
    evidence: str
    sentence: str
    hint: str = ""


def nothing_lost(found: Evidence) -> Finding:
    """Ledger: a row for every entry of the archive, each with the SHA-256 of the original."""
    table = found.table("run/ledger.csv", ("entry", "sha256"))
    ours = Counter((row["entry"], row["sha256"]) for row in found.key.ledger)
    theirs = Counter(zip(table["entry"], table["sha256"], strict=True))
    lost, extra = (ours - theirs).total(), (theirs - ours).total()
    total = ours.total()
    evidence = (
        f"run/ledger.csv: {len(table):,} rows for {total:,} entries, {total - lost:,} of them with their own bytes"
    )
    if not lost and not extra:
        return Finding(EARNED, evidence, "Every entry of the archive has its row, with its bytes unchanged.")
    if lost > total / 2:
        hint = "Compare the SHA-256 of your archive with that of the one you were given."
        return Finding(NOT_EARNED, evidence, "This ledger is that of another archive.", hint)
    hint = "Count the entries of the archive, and look for names that two users' folders share."
    if lost + extra <= total / 100:
        return Finding(
            PARTIAL, evidence, f"Nearly all is accounted for; {lost + extra} of the rows do not match.", hint
        )
    return Finding(NOT_EARNED, evidence, f"{lost} entries are lost or changed, {extra} rows belong to none.", hint)


def corrupt_found(found: Evidence) -> Finding:
    """Ledger: the damaged files are the ones in quarantine, and no sound one is."""
    table = found.table("run/ledger.csv", ("entry", "status"))
    damaged = {row["entry"] for row in found.key.ledger if row["status"] == "corrupt"}
    aside = set(table["entry"][table["status"] == "corrupt"])
    hits, wrong = len(damaged & aside), len(aside - damaged)
    evidence = f"run/ledger.csv: {len(aside)} corrupt"
    if aside == damaged:
        return Finding(EARNED, evidence, "All damaged files are set aside, and no sound one.")
    hint = "Decode every file to its last byte: some damaged files still show most of a picture."
    if not hits:
        return Finding(NOT_EARNED, evidence, "None of the damaged files is set aside.", hint)
    sentence = f"{hits} of {len(damaged)} damaged files are set aside"
    return Finding(PARTIAL, evidence, f"{sentence}, and {wrong} sound ones." if wrong else f"{sentence}.", hint)


def honest_split(found: Evidence) -> Finding:
    """Split: no signer and no duplicate in two parts; who is in a photograph is what the key says."""
    table, photographs = found.splits, found.key.photographs
    protocol = readable(found.settings.get("protocol", "nothing"), 40)
    hint = "Look at a table of signers against parts: every row should have one number only."
    if table["name"].duplicated().any():
        again = readable(table["name"][table["name"].duplicated()].iloc[0], 60)
        return Finding(NOT_EARNED, f"run/splits.csv: {again}", "A photograph has more than one row.", hint)
    known = table[table["name"].isin(photographs)]
    if len(known) < len(table) or len(known) < len(photographs):
        evidence = (
            f"run/splits.csv: {len(known):,} of {len(photographs):,} photographs, {len(table) - len(known)} others"
        )
        return Finding(NOT_EARNED, evidence, "The parts are not those of the archive's photographs.", hint)
    facts = [photographs[name] for name in known["name"]]
    frame = known.assign(signer=[fact.signer for fact in facts], group=[fact.group for fact in facts])
    shared, twins = set(), 0
    for column in found.part_columns:
        used = frame[frame[column].isin(["train", "validation", "test"])]
        if not {"train", "test"} <= set(used[column]):
            return Finding(NOT_EARNED, f"run/splits.csv: {column}", "There is no training part, or no test part.", hint)
        tested = set(used["signer"][used[column] == "test"])
        if protocol != "random" and (
            unwanted := int((frame["signer"].isin(tested) & (frame[column] == "left out")).sum())
        ):
            evidence = f"run/splits.csv: {unwanted} photographs of tested signers are left out"
            return Finding(NOT_EARNED, evidence, "The test part is not whole.", hint)
        parts = used.groupby("signer")[column].nunique()
        shared |= set(parts[parts > 1].index)
        twins += int((used.groupby("group")[column].nunique() > 1).sum())
    evidence = (
        f"run/splits.csv: {len(shared)} signers and {twins} duplicates in two parts; run.json calls it {protocol}"
    )
    if shared and protocol != "random":
        return Finding(NOT_EARNED, evidence, "The split is said to keep signers apart, and does not.", hint)
    if twins:
        return Finding(NOT_EARNED, evidence, "Copies of one photograph are in two parts.", hint)
    if shared:
        return Finding(PARTIAL, evidence, "Nothing is in two parts, but the same people are.", hint)
    return Finding(EARNED, evidence, "Nobody is in two parts, and no duplicate is.")


def resnet_without_top(found: Evidence) -> Finding:
    """Model: ResNet50V2 without its top, one Dense layer, pixels scaled to -1 … 1 inside."""
    model = _inside(found.settings, "study", "model")
    expected = RESNET50V2 + 2049 * len(found.key.class_names)
    counts = {
        training["parameters"] for training in found.trainings().values() if _is_number(training.get("parameters"))
    }
    shown = " and ".join(f"{count:,.0f}" for count in sorted(counts)[:3])
    evidence = f"run.json: {readable(model.get('name'), 40)}; training.json: {shown or 'no'} parameters"
    named = model.get("name") == "resnet50v2" and model.get("scaling", "-1 to 1") == "-1 to 1"
    fits = counts == {expected}
    if named and fits:
        return Finding(EARNED, evidence, "The base is ResNet50V2 without its top, and scales its own pixels.")
    hint = "Compare the number of parameters with that of the base, and of one Dense layer on its features."
    if named or fits:
        return Finding(PARTIAL, evidence, "The name and the number of parameters do not belong together.", hint)
    return Finding(NOT_EARNED, evidence, "The model is another one than the case asks for.", hint)


def head_first(found: Evidence) -> Finding:
    """Phase 1: the base did not move, the head did, and the loss fell."""
    hint = "Look at the table of what moved: in phase 1 the base's row must be all zeros."
    worst = Finding(EARNED, "", "The head learnt on a frozen base.")
    for home, training in found.trainings().items():
        history, changes = found.history(home), _changes(training)
        phases = _phases(history)
        if not phases or not changes or next(iter(changes)) != phases[0]:
            return Finding(
                NOT_EARNED, f"{home}history.csv", "The history and training.json tell of other phases.", hint
            )
        moved = changes[phases[0]]
        base = max((value for kind, value in moved.items() if kind != "Dense"), default=np.nan)
        losses = _values(history, phases[0], "loss")
        evidence = f"{home}training.json: base {base:g}, head {moved.get('Dense', 0):g}; {len(losses)} epochs"
        if base != 0 or not moved.get("Dense", 0) > 0:
            return Finding(NOT_EARNED, evidence, "The base moved in phase 1, or the head did not.", hint)
        if len(losses) < 2 or not min(losses[1:]) < losses[0]:
            worst = Finding(PARTIAL, evidence, "The phase ended before it helped.", "Give the head more epochs.")
        elif worst.status == EARNED:
            worst = Finding(EARNED, evidence, worst.sentence)
    return worst


def gentle_fine_tuning(found: Evidence) -> Finding:
    """Phase 2: the base moved, BatchNormalization did not, and the learning rate is smaller."""
    hint = "Set the two phases side by side: their learning rates, and how far each kind of layer moved."
    worst = Finding(EARNED, "", "The base was fine-tuned gently, with BatchNormalization frozen.")
    for home, training in found.trainings().items():
        history, changes = found.history(home), _changes(training)
        phases = _phases(history)
        if len(phases) < 2 or len(changes) < 2 or list(changes) != phases:
            evidence = f"{home}history.csv: {_names(phases)}; training.json: {_names(list(changes))}"
            return Finding(NOT_EARNED, evidence, "There is no second phase in both files.", hint)
        rates = [max(_values(history, phase, "learning_rate"), default=np.nan) for phase in phases[:2]]
        moved = changes[phases[1]]
        norms = [kinds.get("BatchNormalization") for kinds in changes.values()]
        evidence = (
            f"{home}training.json: BatchNormalization {max((n for n in norms if n is not None), default=np.nan):g}, "
            f"Conv2D {moved.get('Conv2D', 0):g}; history.csv: learning rates {rates[0]:g} and {rates[1]:g}"
        )
        if any(change != 0 for change in norms):
            return Finding(NOT_EARNED, evidence, "BatchNormalization moved, or nothing shows that it did not.", hint)
        smaller, bent = rates[1] < rates[0], moved.get("Conv2D", 0) > 0
        if not smaller and not bent:
            return Finding(NOT_EARNED, evidence, "The rate is not smaller, and the base did not move.", hint)
        if not smaller or not bent:
            what = "The base did not move." if smaller else "The learning rate is not smaller than in phase 1."
            worst = Finding(PARTIAL, evidence, what, hint)
        elif worst.status == EARNED:
            worst = Finding(EARNED, evidence, worst.sentence)
    return worst


def per_label(found: Evidence) -> Finding:
    """Per-label table: accuracy and loss of every label follow from the predictions."""
    table = found.table("run/per_label.csv", ("label", "accuracy", "loss")).set_index("label")
    computed = found.evaluation.per_class.set_index("label")
    evidence = f"run/per_label.csv: {len(table)} of {len(computed)} labels"
    hint = "Take the rows of one label in predictions.csv and compute its two numbers by hand."
    shared = [label for label in computed.index if label in table.index]
    if table.index.duplicated().any() or len(shared) < len(table):
        return Finding(NOT_EARNED, evidence, "There is a label twice, or one that the case does not have.", hint)
    for label in shared:
        for column in ("accuracy", "loss"):
            said, true = number(table.at[label, column]), float(computed.at[label, column])
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
        np.array([[number(cell) for cell in row] for row in table[list(names)].to_numpy()]), evaluation.confusion
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
        "the settings": bool(_inside(settings, "study", "model")),
        "the versions": bool(_inside(settings, "environment").get("keras")),
    }
    wrong += [f"{what} is not recorded" for what, there in recorded.items() if not there]
    if found.key.archive and _inside(settings, "data").get("sha256") != found.key.archive:
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
        if not abs(number(said) - true) <= TOLERANCE:
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
    ran, troubled = set(), ""
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


CHECKS: dict[str, Callable[[Evidence], Finding]] = {
    check.__name__: check
    for check in (
        *(nothing_lost, corrupt_found, honest_split, resnet_without_top, head_first, gentle_fine_tuning),
        *(per_label, own_confusion_matrix, reproducible, notebooks_ran, hidden_test),
    )
}


def _inside(values: Any, *names: str) -> dict[str, Any]:
    """Returns the dictionary within dictionaries; {} where there is none."""
    for name in names:
        values = values.get(name) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _phases(history: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(history["phase"]))


def _values(history: pd.DataFrame, phase: str, metric: str) -> list[float]:
    rows = history[(history["phase"] == phase) & (history["metric"] == metric)]
    return rows["value"].tolist()


def _changes(training: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Returns how far each kind of layer moved in each phase; a kind whose change is no number is left out."""
    return {
        phase: {kind: float(value) for kind, value in kinds.items() if _is_number(value)}
        for phase, kinds in _inside(training, "largest_change").items()
        if isinstance(kinds, dict)
    }


def _names(names: list[str]) -> str:
    return ", ".join(readable(re.sub(r"\s+", " ", name), 30) for name in names[:4]) or "no phase"
