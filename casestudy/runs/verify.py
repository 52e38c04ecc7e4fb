"""Holds a finished run against its own files, its data and its models; and against a second training."""

from __future__ import annotations

import csv
import importlib.util
import shlex
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from casestudy.data import ImageSet
from casestudy.errors import DataError, RunError
from casestudy.evaluation import Evaluation
from casestudy.runs import recompute
from casestudy.runs.again import Check, explain_again, predict_again, retrain as train_again
from casestudy.runs.crops import crops_of
from casestudy.runs.files import HANDED_IN
from casestudy.runs.folder import RunFolder
from casestudy.runs.parts import ByProtocol, check_split, check_tested, same_table, splits_again
from casestudy.runs.results import comparison_tables, distortion_table, result_tables, score_table, timing_table
from casestudy.runs.steps import is_clean
from casestudy.runs.trained import fold_folder
from casestudy.study import Phase
from casestudy.training import next_rate
from casestudy.words import counted

# What a file raises that holds something else than it should.
BROKEN = (RunError, OSError, LookupError, ValueError, TypeError, ArithmeticError, csv.Error)


class Checks(list[Check]):
    """What was checked of a run: each (what, whether it holds, detail), None for not checked."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        self.seal = recompute.seals(run.path / "run.json")[1]  # as the bytes have it, whatever run.json states

    @property
    def hold(self) -> bool:
        """Whether nothing was found that does not hold."""
        return all(holds is not False for _, holds, _ in self)

    def lines(self) -> list[str]:
        """Returns a line for each, and one that sums them up, with the run's seal."""
        words = {True: "ok", False: "FAIL", None: "not checked"}
        told = [f"{words[holds]:11}  {what}{f' ({detail})' if detail else ''}" for what, holds, detail in self]
        right, wrong, unknown = (sum(holds is word for _, holds, _ in self) for word in (True, False, None))
        return [*told, f"{right} hold, {wrong} do not, {unknown} not checked. Seal: {self.seal}"]


def verify_run(
    run: RunFolder,
    *,
    retrain: Path | None = None,
    source: Path | None = None,
    weights: Sequence[Path] = (),
    pattern: str | None = None,
) -> Checks:
    """Returns (what was checked, whether it holds, detail) for every claim of a finished run; None is "not checked".

    Files are held against the seal; figures, against the predictions; predictions, against models and data; the split,
    against the study's rules and the seed; histories, against the phases. Nothing of the run is obeyed: see
    `RunFolder.open`.

    Args:
        run: A finished run, anybody's.
        retrain: A folder to train the same study in again.
        source: The run's data, where they are not in its folder.
        weights: For `retrain`: the files of weights that it began with, where they are no published ones.
        pattern: For `retrain` from an archive: how its names are read.
    """
    if not run.record.files:
        raise RunError(f"Verifying needs a finished run; {run.path} is not. Finish it with the command that began it.")
    if source is not None:
        run = replace(run, local=replace(run.local, data=str(source.resolve())))
    for name in (*run.record.files, *(score.predictions for score in run.scores())):
        run.place(name)  # one that leads out of the folder is refused, before anything is read
    checks = Checks(run)
    checks += _kept("the run's files can be read", _files(run))
    with TemporaryDirectory(prefix="casestudy-", ignore_cleanup_errors=True) as scratch:
        images, why = _images(run, Path(scratch))
        if why.startswith("!"):
            checks.append(("the data are those of the run", False, why[1:]))
        if images is not None and run.has("ledger.csv"):
            with zipfile.ZipFile(run.letters) as letters:
                same = letters.read("ledger.csv") == (run.path / "ledger.csv").read_bytes()
            checks.append(("ledger.csv is that of the photographs", same, ""))
        splits: ByProtocol | None = None
        try:
            splits = splits_again(run, images)
        except BROKEN as error:
            checks.append(("ledger.csv can be read", False, f"{type(error).__name__}: {error}"))
        checks += _kept("every figure can be counted again", _figures(run))
        checks += _kept("splits.csv can be read", check_split(run, splits))
        checks += _kept("every history can be read", _trainings(run))
        for model in run.models():
            if parts := (splits or {}).get(model.protocol):
                checks += _kept(f"{model.predictions()} can be read", check_tested(run, model, parts))
            if run.has(model.predictions()) and model.role != "head":
                if images is None or not parts:
                    checks.append(
                        (
                            f"{model.predictions()} made again from model and data",
                            None,
                            why.lstrip("!") or "the data allow no such split",
                        )
                    )
                else:
                    made = predict_again(run, model, images, parts)
                    checks += _kept(f"{model.predictions()} made again from model and data", made)
        own = (splits or {}).get(run.facts.protocol)
        if images is not None and own:
            checks += _kept("what the model sees, made again", explain_again(run, own))
        if images is not None and own and run.has("copies.csv"):
            copies = own[0].copies()
            checks.append(("copies.csv follows from the data", *same_table(run, "copies.csv", copies)))
        if images is not None and images.hands:
            checks.append(("crops.csv follows from the data", *same_table(run, "crops.csv", crops_of(images))))
        del images  # unmaps the pixels before their folder goes
    if retrain is not None:
        checks += train_again(run, retrain, source or run.letters, weights=weights, pattern=pattern)
    return checks


def _kept(what: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yields checks; where one breaks on what a file holds, that this does not hold."""
    try:
        yield from checks
    except BROKEN as error:
        yield (what, False, f"{type(error).__name__}: {error}")


def _files(run: RunFolder) -> Iterator[Check]:
    """Yields whether the files are those that were sealed, and which of them a submission leaves out."""
    files = run.record.files
    stated, found = recompute.seals(run.path / "run.json")
    if stated:
        yield ("run.json is as it was sealed", stated == found, "" if stated == found else f"{found}, not {stated}")
    else:
        yield ("run.json is as it was sealed", None, "sealed by a version that had no seal for it")
    missing = {name for name in files if not run.has(name)}
    left_out = {name for name in files if not HANDED_IN.fullmatch(name)}
    if missing and missing == left_out:
        yield ("files that a submission leaves out on purpose", None, ", ".join(sorted(missing)))
        missing = set()
    changed = [name for name, digest in files.items() if run.has(name) and recompute.sha256(run.path / name) != digest]
    wrong = sorted({*missing, *changed})
    yield ("files are the ones written", not wrong, ", ".join(wrong[:5]))
    if run.has("ledger.csv") and run.has("letters.zip"):
        rows = recompute.read_rows(run.path / "ledger.csv")
        try:
            lost = ", ".join(recompute.lost_entries(run.path / "letters.zip", rows)[:5])
        except (OSError, ValueError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
            lost = str(error)
        yield (f"letters.zip holds all {len(rows)} entries of the ledger, bytes unchanged", not lost, lost)


def _images(run: RunFolder, scratch: Path) -> tuple[ImageSet | None, str]:
    """Returns the images, decoded anew, or None and why not; "!" before it says that they are not what they should be.

    Pixels kept beside the run are not believed: a cache is no part of what was sealed.
    """
    record = run.record
    if not run.has("letters.zip") and not run.local.data:
        return None, f"the data are not in the folder; name them: --data {record.data.name}"
    if importlib.util.find_spec("tensorflow") is None:
        return None, "TensorFlow is not installed"
    try:
        run.local.hold_against(run.record)
        data = record.wishes.study.data
        if data.kind == "archive" and not run.has("letters.zip") and not is_clean(run.letters):
            said = {"--pattern": data.pattern, "--layout": data.layout}
            words = [word for option, value in said.items() if value for word in (option, value)]
            call = shlex.join(["casestudy", "clean", run.letters.name, *words])
            return None, f"{run.letters.name} is not clean yet; clean it, and name the letters.zip with --data: {call}"
        return run.load_images(cache=scratch), ""
    except (DataError, RunError) as error:
        return None, f"!{error}"


def _figures(run: RunFolder) -> Iterator[Check]:
    """Yields whether every figure follows from the predictions: counted otherwise, and as the run counts."""
    scores, seed = run.scores(), run.record.wishes.seed
    found: dict[str, Evaluation] = {}
    for score in scores:
        claim = f"score {score.name!r} follows from {score.predictions}"
        if not run.has(score.predictions) and not HANDED_IN.fullmatch(score.predictions):
            yield (claim, None, "a submission leaves it out")
            continue
        try:
            counted = recompute.Predictions(recompute.read_rows(run.path / score.predictions), run.facts.class_names)
            faults, figures = counted.faults(), counted.score()
            evaluation = found[score.name] = run.evaluation(score.predictions)
        except BROKEN as error:
            yield (claim, False, f"{type(error).__name__}: {error}")
            continue
        yield (f"{score.predictions} says of each row what its probabilities say", not faults, "; ".join(faults[:5]))
        counts = [name for name, value in figures.items() if recompute.differs(str(getattr(score, name)), value, 1e-6)]
        wrong = [key for key, value in evaluation.to_json().items() if getattr(score, key) != value]
        yield (claim, not wrong and not counts, ", ".join(dict.fromkeys([*counts, *wrong])))
        if score.name != "headline":
            continue
        for name, rows in counted.tables().items():
            if run.has(name):
                other = recompute.faults_of_table(recompute.read_rows(run.path / name), rows)
                yield (f"{name} is what scikit-learn counts", not other, "; ".join(other[:5]))
        for name, table in result_tables(evaluation, seed=seed).items():
            yield from _table(run, name, table, score.predictions)
    yield from _table(run, "scores.csv", score_table(scores), "metrics.json")
    yield from _table(run, "timing.csv", timing_table(run), "training.json")
    if run.has("comparison.csv"):
        for name, table in comparison_tables(run).items():
            yield from _table(run, name, table, "the predictions of each model")
    if run.has("distorted.csv"):
        grouped = distortion_table(run.record.wishes.study, run.models(), found)
        if grouped is not None:
            yield from _table(run, "distorted.csv", grouped, "the predictions of each model")


def _table(run: RunFolder, name: str, table: pd.DataFrame, source: str) -> Iterator[Check]:
    """Yields whether a table follows; one that an earlier version did not write, or nobody hands in, may be missing."""
    if run.has(name) or HANDED_IN.fullmatch(name):
        yield (f"{name} follows from {source}", *same_table(run, name, table))


def _trainings(run: RunFolder) -> Iterator[Check]:
    """Yields whether each history has the epochs and rates of its phases, and training.json the pace of its seconds."""
    parts = run.read_table("splits.csv")
    columns = [column for column in parts.columns if column not in ("name", "signer", "label")]
    study = run.record.wishes.study
    variants = {variant.name: variant for variant in study.variants}
    folds = [fold_folder(k, column.removeprefix("without ")) for k, column in enumerate(columns) if column != "part"]
    for model in run.models():
        if model.role == "head":
            continue
        variant = variants.get(model.id)
        phases = variant.phases if variant else study.phases
        own = model.role == "random" or (variant is not None and variant.split is not None)  # parts of its own
        places = [""] if model.role == "random" else folds or [""]
        for home, column in zip([model.home + fold for fold in places], columns, strict=False):
            if run.has(f"{home}history.csv") and run.has(f"{home}training.json"):
                trained = None if own else int((parts[column] == "train").sum())
                wrong = _faults(run, home, phases, trained)
                yield (f"{home}history.csv and training.json have the phases' epochs, rates and pace", not wrong, wrong)


def _faults(run: RunFolder, home: str, phases: Sequence[Phase], trained: int | None) -> str:
    """Returns what in a history is not as its phases have it; "" where all is."""
    training, rows = run.training(home), recompute.read_rows(run.path / f"{home}history.csv")
    order = list(dict.fromkeys(row["phase"] for row in rows))
    if order != [phase.name for phase in phases] or order != list(training.seconds):
        return f"phases {', '.join(order)}"
    for phase in phases:
        try:
            cells = [
                (int(row["epoch"]), row["metric"], float(row["value"])) for row in rows if row["phase"] == phase.name
            ]
        except (ValueError, TypeError) as error:
            return f"{phase.name}: {error}"
        values: dict[str, list[float]] = {}
        for epoch, metric, value in cells:
            values.setdefault(metric, []).append(value)
            if epoch != len(values[metric]):
                return f"{phase.name}: {metric} of epoch {epoch} out of its turn"
        epochs, losses = len(values.get("loss", ())), values.get("val_loss", [])
        whole = {len(series) for series in values.values()} == {epochs} and "learning_rate" in values
        if not whole or next_rate(phase, losses, epochs) is not None:  # the last rate of a cycle is 0.0
            return f"{phase.name}: {counted(epochs, 'epoch')}"
        for epoch, rate in enumerate(values["learning_rate"]):
            if rate != next_rate(phase, losses[:epoch], epoch):
                return f"{phase.name}: the rate of epoch {epoch + 1}"
        if any(not 0 <= one <= 1 for name in ("accuracy", "val_accuracy") for one in values.get(name, ())):
            return f"{phase.name}: an accuracy that is no share"
        seen = training.images_per_second[phase.name] * training.seconds[phase.name]
        if trained is not None and abs(seen - trained * epochs) > 1e-6 * trained * epochs:
            return f"{phase.name}: images in training.json are {seen:.0f}, not {trained * epochs}"
    return ""
