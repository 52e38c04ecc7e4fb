"""What in a submission contradicts itself, the key, or what any training can leave behind.

A doubt earns nothing and takes nothing: a criterion that rests on a file in doubt waits for a person. What is held
here can be held without training anything; a careful forger who knows these rules can keep them all, and only a hidden
test, or a training made again, shows that (see `challenge`).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from casestudy.choices import NAMED_WEIGHTS
from casestudy.evaluation import PREFIX, evaluate_predictions
from casestudy.grading.containers import OF_RUN, readable
from casestudy.grading.contents import Contents, NoEvidence, as_number, as_numbers, inside
from casestudy.grading.history import history_faults, training_faults
from casestudy.grading.roster import seat_of
from casestudy.words import counted

EVERYTHING = "*"  # a doubt about whose run it is
TOLERANCE = 1e-6
WINDOWS = (b"\r\n", b"\n")  # line ends that Git writes there, and those of a run
PRINTED = re.compile(r"(\d+(?:\.\d+)?)% of (\d+) photographs are read rightly, loss (\d+(?:\.\d+)?)")
PRINTS = "are read rightly"  # in the cell of notebook 05 that prints it
EPOCH = re.compile(r"^(\S.{,60}?) (\d+)/\d+: (\w+ [\d.]+(?:, \w+ [\d.]+)*)", re.MULTILINE)
TRAINS = re.compile(r"\.train\(.*checkpoints=run\b", re.DOTALL)  # in those of notebook 04 that print how it went


@dataclass(frozen=True)
class Doubt:
    """What does not fit, in which file of a submission (`EVERYTHING` for all), as the student may read it."""

    file: str
    sentence: str
    remark: str = ""  # what the instructor alone should know


def doubts(found: Contents) -> tuple[Doubt, ...]:
    """Returns every contradiction; none by a key without a recipe, which knows too little."""
    if not found.key.recipe:
        return ()
    every: list[Doubt] = []
    for look in (_whose, _sealed, _study, _split, _trainings, _predictions, _scores, _printed, _epochs, _repeated):
        try:
            every += look(found)
        except NoEvidence:
            continue  # what is missing or unreadable is said by the criteria that need it
    return tuple(every)


def _whose(found: Contents) -> Iterator[Doubt]:
    """Yields a doubt unless the run has the seed that its student was given."""
    if not found.key.students:
        return
    student, said = found.submission.student, str(found.submission.manifest.get("student") or "")
    seat = seat_of(found.key.students, student.id, student.name, said)
    seed = found.settings.get("seed")
    owner = next((one for one in found.key.students if type(seed) is int and one.seed == seed), None)
    who = readable(student.name, 80)
    if seat is None:
        remark = f"Nobody on the roster can be told to be {who}" + (f"; the seed is {owner.name}'s." if owner else ".")
        yield Doubt(EVERYTHING, "Your instructor has to tell whose submission this is.", remark)
    elif owner is None or owner.seed != seat.seed:
        remark = f"{seat.name} was given seed {seat.seed}; the run has {readable(seed, 20)}"
        remark += f", which is {owner.name}'s." if owner else ", which nobody was given."
        yield Doubt(EVERYTHING, "The seed of the run is not the one that you were given.", remark)


def _sealed(found: Contents) -> Iterator[Doubt]:
    """Yields every file that is not the one that the run sealed when it was finished."""
    sealed, data = found.settings.get("files"), found.submission.files["run/run.json"].replace(*WINDOWS)
    if not isinstance(sealed, dict) or not sealed:
        yield Doubt("run/run.json", "The run was not finished: nothing says which files are its own.")
        return
    before, key, rest = data.rpartition(b'"seal": "')
    stated, _, after = rest.partition(b'"')
    code = base64.b32encode(hashlib.sha256(before + key + b'"' + after).digest()[:10]).decode()
    if not key or stated.decode("ascii", "replace") != "-".join(code[k : k + 4] for k in range(0, 16, 4)):
        yield Doubt("run/run.json", "run.json is not as it was when the run was finished.")
    for name, content in found.submission.files.items():
        known = sealed.get(name.removeprefix("run/"))
        if not name.startswith("run/") or name in ("run/run.json", "run/hidden_predictions.csv"):
            continue
        if known not in {hashlib.sha256(one).hexdigest() for one in (content, content.replace(*WINDOWS))}:
            yield Doubt(name, f"{name} is not the file that was there when the run was finished.")


def _study(found: Contents) -> Iterator[Doubt]:
    study, recipe = inside(found.settings, "study"), found.key.recipe
    if study.get("name") != recipe["name"]:
        yield Doubt("run/run.json", f"The study is {readable(study.get('name'), 40)!r}, not that of the case.")
    if inside(study, "data").get("kind") != inside(recipe, "data").get("kind"):
        yield Doubt("run/run.json", "The data are of another kind than those of the case.")
    begun = found.settings.get("initial_weights")
    if begun not in (None, inside(recipe, "model").get("weights"), *NAMED_WEIGHTS):
        yield Doubt(
            "run/run.json", "The training began with weights of one's own, which may know the test photographs."
        )
    if tuple(found.settings.get("class_names") or ()) != found.key.class_names:
        yield Doubt("run/run.json", "The labels are not those of the case.")


def _split(found: Contents) -> Iterator[Doubt]:
    if inside(found.key.recipe, "split").get("protocol") == "published":
        return  # whoever published the data decided; the key has no more than the run itself says of it
    if found.own_parts is None:
        yield Doubt("run/splits.csv", "The rules of the case make no such split: protocol or seed is not one.")
        return
    for column in found.part_columns:
        if other := found.differs_from_rules(column):
            yield Doubt("run/splits.csv", f"The parts do not follow from seed and rules: {other}.")
            return


def _trainings(found: Contents) -> Iterator[Doubt]:
    phases = found.recipe_phases()
    columns = found.part_columns
    homes = found.trainings()
    for place, (home, training) in enumerate(homes.items()):
        column = columns[place] if len(columns) == len(homes) else columns[0]
        sizes = found.splits[column].value_counts()
        seen = (int(sizes.get("train", 0)), int(sizes.get("validation", 0)))
        for fault in history_faults(
            found.table(f"{home}history.csv", ("phase", "epoch", "metric", "value")), phases, seen
        ):
            yield Doubt(f"{home}history.csv", f"{home}history.csv tells what no training leaves behind: {fault}.")
        for fault in training_faults(training, found.history(home), seen[0]):
            yield Doubt(f"{home}training.json", f"{home}training.json tells what no training leaves behind: {fault}.")


def _predictions(found: Contents) -> Iterator[Doubt]:
    """Yields what is odd about a table of probabilities: a model's are float32, and no two photographs' are equal."""
    columns = [PREFIX + label for label in found.key.class_names]
    for name in sorted(found.submission.files):
        if not re.fullmatch(r"run/(hidden_)?predictions(_\w+)?\.csv", name):
            continue
        table = found.table(name, ("name", *columns))
        values = as_numbers(table[columns])
        if not len(values) or not np.isfinite(values).all():
            continue  # no evidence at all; the criteria say so
        single = values.astype(np.float32)
        if (np.array([float(str(one)) for one in single.ravel()]).reshape(values.shape) != values).any():
            yield Doubt(name, f"{name} has probabilities with digits that no model gives.")
        elif abs(values.sum(axis=1) - 1).max() > 1e-5:
            yield Doubt(name, f"{name} has probabilities that do not add up as those of a model do.")
        groups = [found.key.photographs[one].group if one in found.key.photographs else one for one in table["name"]]
        vectors = pd.DataFrame({"row": [row.tobytes() for row in single], "group": groups}).drop_duplicates()
        repeated = len(vectors) - vectors["row"].nunique()
        if repeated > max(2, len(vectors) / 50):
            yield Doubt(name, f"{name} reads {counted(repeated, 'photograph')} just as another, to the last digit.")
        stated = {"predicted": np.array(found.key.class_names)[single.argmax(axis=1)], "confidence": single.max(axis=1)}
        for column, wanted in stated.items():
            if column in table and not _equal(table[column], wanted):
                yield Doubt(name, f"{name} says in {column} what its probabilities do not.")


def _equal(cells: pd.Series, wanted: np.ndarray) -> bool:
    if wanted.dtype.kind in "US":
        return bool((cells.to_numpy(dtype=str) == wanted).all())
    return bool(np.allclose([as_number(cell) for cell in cells], wanted, rtol=0, atol=TOLERANCE))


def _scores(found: Contents) -> Iterator[Doubt]:
    """Yields each score of metrics.json that does not follow from the predictions it names."""
    scores = found.json("run/metrics.json").get("scores")
    for score in scores if isinstance(scores, list) else ():
        name = f"run/{score.get('predictions')}" if isinstance(score, dict) else ""
        if name not in found.submission.files and OF_RUN.fullmatch(name[4:]):
            yield Doubt("run/metrics.json", f"metrics.json has a score of {name}, which is not there.")
        if name not in found.submission.files or score.get("name") == "headline":
            continue  # the headline is a criterion's
        table = found.table(name, ("name", "label", *(PREFIX + label for label in found.key.class_names)))
        known = [found.key.photographs.get(one) for one in table["name"]]
        if not known or None in known:
            yield Doubt(name, f"{name} has photographs that the archive does not have, or none.")
            continue
        facts = {"signer": [one.signer for one in known if one], "label": [one.label for one in known if one]}
        columns = [PREFIX + label for label in found.key.class_names]
        numbers = pd.DataFrame(as_numbers(table[columns]), columns=columns)
        evaluation = evaluate_predictions(
            pd.DataFrame({"name": table["name"], **facts}).join(numbers), found.key.class_names
        )
        for what, true in (("accuracy", evaluation.accuracy), ("loss", evaluation.loss), ("images", len(table))):
            if not abs(as_number(score.get(what)) - true) <= TOLERANCE * 10:
                yield Doubt("run/metrics.json", f"metrics.json says of {name} another {what} than it gives.")


def _printed(found: Contents) -> Iterator[Doubt]:
    """Yields a doubt where a notebook printed another score than the tables have."""
    for name, cells in found.notebooks[0].items():
        for cell in cells:
            if cell.kind != "code" or PRINTS not in cell.source:
                continue
            shown = PRINTED.findall(cell.printed)
            evaluation = found.evaluation
            true = (f"{100 * evaluation.accuracy:.1f}", str(len(evaluation.predictions)), f"{evaluation.loss:.2f}")
            if cell.count is not None and true not in shown:
                said = f"{shown[-1][0]}% of {shown[-1][1]}, loss {shown[-1][2]}" if shown else "nothing"
                sentence = f"{name} printed {said}; the predictions give {true[0]}% of {true[1]}, loss {true[2]}."
                yield Doubt(name, sentence)


def _epochs(found: Contents) -> Iterator[Doubt]:
    """Yields a doubt where a notebook printed of an epoch what no history has.

    An epoch that was not printed is none: a training that goes on prints the rest, and one that is over, nothing.
    """
    true = set()
    for home in found.trainings():
        for phase, metrics in found.history(home).items():
            series = {name: values for name, values in metrics.items() if name != "learning_rate"}
            for k, scores in enumerate(zip(*series.values(), strict=False), 1):
                shown = ", ".join(f"{name} {value:.3f}" for name, value in zip(series, scores, strict=True))
                true.add((phase, str(k), shown))
    for name, cells in found.notebooks[0].items():
        code = [cell.printed for cell in cells if cell.kind == "code" and TRAINS.search(cell.source)]
        printed = EPOCH.findall("\n".join(code))
        right = {one[:2] for one in printed if one in true}
        if wrong := next((one for one in printed if one[:2] not in right), None):
            what = readable(f"epoch {wrong[1]} of {wrong[0]}: {wrong[2]}", 120)
            yield Doubt(name, f"{name} printed what no history.csv has, {what}.")


def _repeated(found: Contents) -> Iterator[Doubt]:
    """Yields each notebook that has the very cells of another one."""
    seen: dict[tuple[str, ...], str] = {}
    for name, cells in found.notebooks[0].items():
        code = tuple(cell.source for cell in cells if cell.kind == "code" and cell.source.strip())
        if code and (first := seen.setdefault(code, name)) != name:
            yield Doubt(name, f"{name} has the very cells of {first}.")
