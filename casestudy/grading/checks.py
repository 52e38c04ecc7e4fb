"""The checks that rubric.md can name: each holds one thing in a submission against the key, or against its own data."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from casestudy.evaluation import how_sure
from casestudy.grading.contents import Contents, NoEvidence, as_number, as_numbers, inside, is_number, moved_in
from casestudy.grading.outcomes import EARNED, NOT_EARNED, PARTIAL, SHARES, Outcome
from casestudy.grading.submission import readable
from casestudy.words import counted

MANUAL = "manual"
RESNET50V2 = 23_564_800  # parameters without its top; a Dense layer on its 2,048 features comes on top
TOLERANCE = 1e-5  # of an accuracy or a loss that was written and read again
STEPS = ("01", "02", "03", "04", "05")  # the notebooks

History = dict[str, dict[str, list[float]]]  # by phase and metric, epoch by epoch
Moved = dict[str, dict[str, float]]  # by phase and kind of layer


def nothing_lost(found: Contents) -> Outcome:
    """Ledger: a row for every entry of the archive, each with the SHA-256 of the original."""
    table = found.table("run/ledger.csv", ("entry", "sha256"))
    ours = Counter((row["entry"], row["sha256"]) for row in found.key.ledger)
    given_up = table.get("status", table["sha256"]) == "lost"  # its bytes are not there, whatever hash it has
    theirs = Counter(zip(table["entry"], table["sha256"].where(~given_up, ""), strict=True))
    lost, extra, total = (ours - theirs).total(), (theirs - ours).total(), ours.total()
    rows, entries = counted(len(table), "row"), counted(total, "entry")
    seen = f"run/ledger.csv: {rows} for {entries}, {total - lost:,} with the same bytes"
    if not lost and not extra:
        but = f", but for {counted(int(given_up.sum()), 'entry')} lost in the key, too" if given_up.any() else ""
        return Outcome(EARNED, seen, f"Every entry of the archive has its row, with its bytes unchanged{but}.")
    if lost > total / 2:
        hint = "Compare the SHA-256 of your archive with that of the one you were given."
        return Outcome(NOT_EARNED, seen, "This ledger is that of another archive.", hint)
    hint = "Count the entries of the archive, and look for names that two users' folders share."
    if given_up.any():
        hint = f"Fetch the archive again: --salvage gave up {counted(int(given_up.sum()), 'entry')} of yours."
    if lost + extra <= total / 100:
        why = f"Nearly all is accounted for; without a match: {counted(lost + extra, 'row')}."
        return Outcome(PARTIAL, seen, why, hint)
    why = f"Lost or changed: {counted(lost, 'entry')}; belonging to none: {counted(extra, 'row')}."
    return Outcome(NOT_EARNED, seen, why, hint)


def corrupt_found(found: Contents) -> Outcome:
    """Ledger: the damaged files are the ones in quarantine, and no sound one is."""
    table = found.table("run/ledger.csv", ("entry", "status"))
    damaged = {row["entry"] for row in found.key.ledger if row["status"] == "corrupt"}
    aside = set(table["entry"][table["status"] == "corrupt"])
    hits, wrong = len(damaged & aside), len(aside - damaged)
    seen = f"run/ledger.csv: {len(aside)} corrupt"
    if aside == damaged:
        return Outcome(EARNED, seen, "All damaged files are set aside, and no sound one.")
    hint = "Decode every file to its last byte: some damaged files still show most of a picture."
    if not hits:
        return Outcome(NOT_EARNED, seen, "None of the damaged files is set aside.", hint)
    also = f", and {counted(wrong, 'sound one')}" if wrong else ""
    why = f"Set aside: {hits:,} of {counted(len(damaged), 'damaged file')}{also}."
    return Outcome(PARTIAL, seen, why, hint)


def honest_split(found: Contents) -> Outcome:
    """Split: no signer and no duplicate in two parts; who is in a photograph is what the key says."""
    table, photographs = found.splits, found.key.photographs
    protocol = readable(found.settings.get("protocol", "nothing"), 40)
    hint = "Look at a table of signers against parts: every row should have one number only."

    def refused(seen: str, sentence: str) -> Outcome:
        return Outcome(NOT_EARNED, f"run/splits.csv: {seen}", sentence, hint)

    again = table["name"][table["name"].duplicated()]
    if len(again):
        return refused(readable(again.iloc[0], 60), "A photograph has more than one row.")
    known = table[table["name"].isin(photographs)]
    if not len(known) == len(table) == len(photographs):
        of_all, more = counted(len(photographs), "photograph"), counted(len(table) - len(known), "other")
        return refused(f"{len(known):,} of {of_all}, {more}", "The parts are not those of the archive's photographs.")
    facts = [photographs[name] for name in known["name"]]
    frame = known.assign(signer=[fact.signer for fact in facts], group=[fact.group for fact in facts])
    shared, twins = set(), 0
    for column in found.part_columns:
        used = frame[frame[column].isin(["train", "validation", "test"])]
        if not {"train", "test"} <= set(used[column]):
            return refused(column, "There is no training part, or no test part.")
        tested = frame["signer"].isin(used["signer"][used[column] == "test"])
        unwanted = int((tested & (frame[column] == "left out")).sum())
        if unwanted and protocol != "random":
            seen = f"left out: {counted(unwanted, 'photograph')} of tested signers"
            return refused(seen, "The test part is not whole.")
        parts = used.groupby("signer")[column].nunique()
        shared |= set(parts.index[parts > 1])
        twins += int((used.groupby("group")[column].nunique() > 1).sum())
    both = f"{counted(len(shared), 'signer')} and {counted(twins, 'duplicate')}"
    seen = f"{both} in two parts; run.json calls it {protocol}"
    if shared and protocol != "random":
        return refused(seen, "The split is said to keep signers apart, and does not.")
    if twins:
        return refused(seen, "Copies of one photograph are in two parts.")
    if shared:
        why = "Nothing is in two parts, but the same people are."
        return Outcome(PARTIAL, f"run/splits.csv: {seen}", why, hint)
    return Outcome(EARNED, f"run/splits.csv: {seen}", "Nobody is in two parts, and no duplicate is.")


def resnet_without_top(found: Contents) -> Outcome:
    """Model: ResNet50V2 without its top, one Dense layer, pixels scaled to -1 … 1 inside."""
    model = inside(found.settings, "study", "model")
    counts = {count for each in found.trainings().values() if is_number(count := each.get("parameters"))}
    shown = " and ".join(f"{count:,.0f}" for count in sorted(counts)[:3])
    seen = f"run.json: {readable(model.get('name'), 40)}; training.json: {shown or 'no'} parameters"
    named = model.get("name") == "resnet50v2" and model.get("scaling", "-1 to 1") == "-1 to 1"
    fits = counts == {RESNET50V2 + 2049 * len(found.key.class_names)}
    if named and fits:
        return Outcome(EARNED, seen, "The base is ResNet50V2 without its top, and scales its own pixels.")
    hint = "Compare the number of parameters with that of the base, and of one Dense layer on its features."
    if named or fits:
        return Outcome(PARTIAL, seen, "The name and the number of parameters do not belong together.", hint)
    return Outcome(NOT_EARNED, seen, "The model is another one than the case asks for.", hint)


def every_training(judge: Callable[[str, History, Moved], Outcome]) -> Callable[[Contents], Outcome]:
    """Returns the check that finds what `judge` finds in the worst training: that of one fold, or the only one."""

    @functools.wraps(judge)
    def check(found: Contents) -> Outcome:
        outcomes = []
        for home, training in found.trainings().items():
            outcomes.append(judge(home, found.history(home), moved_in(training)))
            if outcomes[-1].status == NOT_EARNED:
                break
        return min(reversed(outcomes), key=lambda outcome: SHARES[outcome.status])

    return check


@every_training
def head_first(home: str, history: History, moved: Moved) -> Outcome:
    """Phase 1: the base did not move, the head did, and the loss fell."""
    hint = "Look at the table of what moved: in phase 1 the base's row must be all zeros."
    first = next(iter(history), None)
    if first is None or first != next(iter(moved), None):
        return Outcome(NOT_EARNED, f"{home}history.csv", "The history and training.json tell of other phases.", hint)
    base = max((change for kind, change in moved[first].items() if kind != "Dense"), default=np.nan)
    head, losses = moved[first].get("Dense", 0), history[first].get("loss", [])
    seen = f"{home}training.json: base {base:g}, head {head:g}; {counted(len(losses), 'epoch')}"
    if base != 0 or not head > 0:
        return Outcome(NOT_EARNED, seen, "The base moved in phase 1, or the head did not.", hint)
    if len(losses) < 2 or not min(losses[1:]) < losses[0]:
        return Outcome(PARTIAL, seen, "The phase ended before it helped.", "Give the head more epochs.")
    return Outcome(EARNED, seen, "The head learnt on a frozen base.")


@every_training
def gentle_fine_tuning(home: str, history: History, moved: Moved) -> Outcome:
    """Phase 2: the base moved, BatchNormalization did not, and the learning rate is smaller."""
    hint = "Set the two phases side by side: their learning rates, and how far each kind of layer moved."
    if len(history) < 2 or list(moved) != list(history):
        seen = f"{home}history.csv: {_names(history)}; training.json: {_names(moved)}"
        return Outcome(NOT_EARNED, seen, "There is no second phase in both files.", hint)
    rates = [max(metrics.get("learning_rate", [np.nan])) for metrics in history.values()]
    norms = [kinds.get("BatchNormalization") for kinds in moved.values()]
    conv = list(moved.values())[1].get("Conv2D", 0)
    seen = (
        f"{home}training.json: BatchNormalization {max((n for n in norms if n is not None), default=np.nan):g}, "
        f"Conv2D {conv:g}; history.csv: learning rates {rates[0]:g} and {rates[1]:g}"
    )
    if any(change != 0 for change in norms):
        return Outcome(NOT_EARNED, seen, "BatchNormalization moved, or nothing shows that it did not.", hint)
    smaller, bent = rates[1] < rates[0], conv > 0
    if smaller and bent:
        return Outcome(EARNED, seen, "The base was fine-tuned gently, with BatchNormalization frozen.")
    if smaller:
        return Outcome(PARTIAL, seen, "The base did not move.", hint)
    if bent:
        return Outcome(PARTIAL, seen, "The learning rate is not smaller than in phase 1.", hint)
    return Outcome(NOT_EARNED, seen, "The rate is not smaller, and the base did not move.", hint)


def _names(phases: Iterable[str]) -> str:
    return ", ".join(readable(name, 30) for name in list(phases)[:4]) or "no phase"


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
    right, claimed = found.hidden_answers(), found.evaluation
    measured = how_sure(right)
    said = f"{measured.estimate:.1%} of {len(right)} ({measured.sentence})"
    seen = f"run/hidden_predictions.csv: {said}; claimed {claimed.accuracy:.1%} ({claimed.sure.sentence})"
    lowest = claimed.per_signer["accuracy"].min()  # a claim from two people has no interval, and reaches down to this
    if np.nan_to_num(claimed.interval[0], nan=lowest) <= measured.interval[1]:
        return Outcome(EARNED, seen, "The score holds on photographs that nobody had the labels of.")
    hint = "Ask what your test part and your training part share that a stranger's photographs do not."
    return Outcome(PARTIAL, seen, "The score is clearly lower on photographs that nobody had the labels of.", hint)


_DATA = (nothing_lost, corrupt_found, honest_split)
_TRAINING = (resnet_without_top, head_first, gentle_fine_tuning)
_RESULTS = (per_label, own_confusion_matrix, reproducible, notebooks_ran, hidden_test)
CHECKS = {check.__name__: check for check in (*_DATA, *_TRAINING, *_RESULTS)}
