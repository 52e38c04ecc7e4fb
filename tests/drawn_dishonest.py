"""Draws submissions that earn points for nothing, one way each, and says what notices it: `KINDS`, `NOT_CAUGHT`.

Each kind is made by somebody who knows how a run is sealed and packed, unless the kind is about not knowing it.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
from drawn_submissions import ANSWERS, LABELS, SEATS, edited, good, honest, ledger, notebook, read_by

from casestudy.evaluation.metrics import evaluate_predictions
from casestudy.grading.key import Key
from casestudy.runs.files import table_text
from casestudy.runs.results import result_tables

Files = dict[str, bytes]
HELD, LOST, REMARK = "held", "lost", "remark"  # points wait for a person; are not earned; or a person is told alone


@dataclasses.dataclass(frozen=True)
class Kind:
    """A dishonest submission of the student on the first of `SEATS`, beside the honest ones of the second and third."""

    name: str
    make: Callable[[], Files]
    effect: str  # HELD, LOST or REMARK
    says: str  # what is said, to the student or to the instructor
    criteria: tuple[str, ...] = ()  # which criteria are not earned because of it; () for all of them, or for a remark


def invented(
    parts: dict[str, str], *, protocol: str = "signer", seed: int = SEATS[0].seed, skill: float = 6.0
) -> Files:
    """Returns a submission without any training, whose every table follows from invented probabilities."""
    files = good(seed, skill, parts)
    return edited(files, "run/run.json", lambda s: s.update(protocol=protocol))


def used() -> list[dict[str, str]]:
    return [row for row in ledger() if row["status"] in ("kept", "duplicate")]


def by_signer(test: tuple[str, ...], validation: tuple[str, ...] = ("user_3",)) -> dict[str, str]:
    part = dict.fromkeys(test, "test") | dict.fromkeys(validation, "validation")
    return {row["stored_as"]: part.get(row["signer"], "train") for row in used()}


def with_predictions(change: Callable[[pd.DataFrame], pd.DataFrame], files: Files | None = None) -> Files:
    """Returns a submission with other probabilities, from which every figure follows again."""
    files = files or honest()
    columns = [f"p_{label}" for label in LABELS]

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        return change(table.astype(dict.fromkeys(columns, "float64")))

    files = edited(files, "run/predictions.csv", changed)
    table = pd.read_csv(io.BytesIO(files["run/predictions.csv"]), dtype={"label": str, "signer": str})
    evaluation = evaluate_predictions(table[["name", "signer", "label", *columns]], LABELS)
    results = result_tables(evaluation, seed=7)
    own = table.assign(predicted=evaluation.predictions["predicted"], confidence=table[columns].max(axis=1))
    files |= {"run/predictions.csv": table_text(own.assign(loss=evaluation.predictions["loss"])).encode()}
    files |= {f"run/{name}": table_text(results[name]).encode() for name in ("per_label.csv", "confusion.csv")}
    files = edited(files, "run/metrics.json", lambda m: m["scores"][0].update(evaluation.to_json()))
    return files | {"notebooks/05_results.ipynb": json.dumps(notebook("05", evaluation)).encode()}


def float32(table: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    single = (values / values.sum(axis=1, keepdims=True)).astype(np.float32)
    return table.assign(**{f"p_{label}": single[:, k] for k, label in enumerate(LABELS)})


def probabilities(table: pd.DataFrame) -> np.ndarray:
    return table[[f"p_{label}" for label in LABELS]].to_numpy(dtype=np.float64)


def one_hot(table: pd.DataFrame) -> pd.DataFrame:
    return float32(table, (table["label"].to_numpy()[:, None] == np.array(LABELS)).astype(float))


def history(change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Files:
    return edited(honest(), "run/history.csv", change)


def where(table: pd.DataFrame, phase: str, metric: str, value: str) -> pd.DataFrame:
    chosen = (table["phase"] == phase) & (table["metric"] == metric)
    return table.assign(value=table["value"].mask(chosen, value))


def training(change: Callable[[dict], object]) -> Files:
    return edited(honest(), "run/training.json", lambda t: change(t) and None)


def settings(change: Callable[[dict], object], files: Files | None = None) -> Files:
    return edited(files or honest(), "run/run.json", lambda s: change(s) and None)


def asked(change: Callable[[dict], object]) -> Files:
    return settings(lambda s: change(s["study"]))


def parts_of(change: Callable[[pd.DataFrame], object]) -> Files:
    """Returns a submission with other parts, and the predictions of what is then the test part."""
    files = edited(honest(), "run/splits.csv", lambda t: t.assign(part=change(t)))
    table = pd.read_csv(io.BytesIO(files["run/splits.csv"]), dtype=str)
    tested = table[table["part"] == "test"].reset_index(drop=True)
    rows = read_by(tested, 6.0, np.random.default_rng(3))
    return with_predictions(lambda _: rows.astype(object), files)


def answered(words: Callable[[str], str], seat: int = 1) -> Files:
    """Returns an honest run with the answers of another student, changed."""
    files = honest()
    for step, text in ANSWERS.items():
        name = next(one for one in files if one.startswith(f"notebooks/{step[-2:]}"))
        said = f"{text} {SEATS[seat].name} has written this sentence and nobody else in the world has."
        files = edited(files, name, lambda n, t=said: n["cells"][2].update(source=words(t)))
    return files


def printed_in_04(old: str, new: str) -> Files:
    """Returns an honest run whose notebook says something else of its training."""

    def change(book: dict) -> None:
        for cell in book["cells"][3:]:
            cell["outputs"][0]["text"] = cell["outputs"][0]["text"].replace(old, new)

    return edited(honest(), "notebooks/04_train.ipynb", change)


def every_seventh(text: str) -> str:
    return " ".join("quite" if k % 7 == 6 else word for k, word in enumerate(text.split()))


def within(text: str) -> str:
    return " ".join([*(f"before{k}" for k in range(60)), text, *(f"after{k}" for k in range(60))])


def losses_twice(table: pd.DataFrame) -> pd.DataFrame:
    """The validation's losses of the first phase are the training's."""
    mine = (table["phase"] == "head") & (table["metric"] == "val_loss")
    theirs = (table["phase"] == "head") & (table["metric"] == "loss")
    table.loc[mine, "value"] = table.loc[theirs, "value"].to_numpy()
    return table


def one_notebook() -> Files:
    """Returns an honest run with the code of the last notebook in all of them, and answers of its own."""
    files = honest()
    whole = json.loads(files["notebooks/05_results.ipynb"])
    for name in [one for one in files if one.startswith("notebooks/0") and "/05" not in one]:
        answer = next(cell for cell in json.loads(files[name])["cells"] if cell["id"].startswith("answer"))
        cells = [answer if cell["id"].startswith("answer") else cell for cell in whole["cells"]]
        files[name] = json.dumps({**whole, "cells": cells}).encode()
    return files


def one_moved(table: pd.DataFrame) -> pd.Series:
    """A validation person and a training person have changed places."""
    other = table.loc[table["part"] == "train", "signer"].iloc[0]
    mine = table.loc[table["part"] == "validation", "signer"].iloc[0]
    swapped = table["part"].mask(table["signer"] == other, "validation")
    return swapped.mask(table["signer"] == mine, "train")


def first_tested(table: pd.DataFrame) -> pd.Series:
    rank = (table["part"] == "test").cumsum()
    return table["part"].mask((table["part"] == "test") & (rank > 1), "left out")


def hidden_rows(key: Key, right: float, seed: int) -> bytes:
    """Returns hidden_predictions.csv of somebody who reads such a share of the photographs rightly."""
    chance = np.random.default_rng(seed)
    rows = pd.DataFrame({"name": list(key.hidden), "signer": "", "label": [label for label, _ in key.hidden.values()]})
    shown = [one if chance.random() < right else LABELS[chance.integers(5)] for one in rows["label"]]
    return table_text(read_by(rows.assign(label=shown), 9.0, chance).drop(columns=["signer", "label"])).encode()


SPLIT, FIGURES = ("split",), ("per-label", "confusion", "reproducible")
PHASE_FILES, TRAINED = ("phase-1", "phase-2"), ("model", "phase-1", "phase-2")

WHOSE = (
    Kind("another's whole work", lambda: honest(1), HELD, "the run has 500007, which is Ben Berg's"),
    Kind(
        "another's, its seed rewritten",
        lambda: settings(lambda s: s.update(seed=SEATS[0].seed), honest(1)),
        LOST,
        "not where seed 500000 puts them",
        SPLIT,
    ),
    Kind(
        "a seed of one's own choice",
        lambda: invented(by_signer(("user_1", "user_2")), seed=11),
        HELD,
        "which nobody was given",
    ),
    Kind("the seed as text", lambda: settings(lambda s: s.update(seed="500000")), HELD, "Anna Müller was given"),
    Kind("the seed as a fraction", lambda: settings(lambda s: s.update(seed=500000.0)), HELD, "Anna Müller was given"),
    Kind("no seed", lambda: settings(lambda s: s.pop("seed")), HELD, "Anna Müller was given"),
)
DIVIDED = (
    Kind(
        "the easiest people tested", lambda: invented(by_signer(("user_7", "user_8"))), LOST, "rules of the case", SPLIT
    ),
    Kind("one person tested", lambda: invented(by_signer(("user_7",))), LOST, "rules of the case", SPLIT),
    Kind("one photograph tested", lambda: parts_of(first_tested), LOST, "not whole", SPLIT),
    Kind(
        "one photograph tested, called random",
        lambda: settings(lambda s: s.update(protocol="random"), parts_of(first_tested)),
        LOST,
        "rules of the case",
        SPLIT,
    ),
    Kind(
        "only the right ones tested",
        lambda: parts_of(lambda t: t["part"].mask((t["part"] == "test") & t["label"].isin(["C", "D"]), "left out")),
        LOST,
        "not whole",
        SPLIT,
    ),
    Kind(
        "photographs hidden by a word",
        lambda: parts_of(lambda t: t["part"].mask((t["part"] == "test") & t["label"].isin(["C", "D"]), "tset")),
        LOST,
        "no such part",
        SPLIT,
    ),
    Kind(
        "a part called held out",
        lambda: parts_of(lambda t: t["part"].mask(t["label"] == "C", "held out")),
        LOST,
        "no such part",
        SPLIT,
    ),
    Kind(
        "validation and training changed",
        lambda: invented(dict(zip(*_moved(), strict=True))),
        LOST,
        "rules of the case",
        SPLIT,
    ),
    Kind(
        "random, called by signer",
        lambda: parts_of(
            lambda t: [("train", "train", "validation", "test")[int(name.rsplit(".", 1)[0][-1])] for name in t["name"]]
        ),
        LOST,
        "",
        SPLIT,
    ),
    Kind(
        "random, invented",
        lambda: settings(
            lambda s: s.update(protocol="random"),
            parts_of(
                lambda t: [
                    ("train", "train", "validation", "test")[int(name.rsplit(".", 1)[0][-1])] for name in t["name"]
                ]
            ),
        ),
        LOST,
        "",
        SPLIT,
    ),
    Kind(
        "called published",
        lambda: settings(lambda s: s.update(protocol="published")),
        HELD,
        "protocol or seed is not one",
        (*SPLIT, *FIGURES),
    ),
    Kind(
        "a share of its own",
        lambda: parts_of(lambda t: t["part"].mask(t["part"] == "validation", "train")),
        LOST,
        "rules of the case",
        SPLIT,
    ),
    Kind(
        "one fold of leave-one-signer-out",
        lambda: settings(lambda s: s.update(protocol="leave-one-signer-out"), invented(by_signer(("user_7",), ()))),
        LOST,
        "columns part",
        SPLIT,
    ),
    Kind(
        "a fraction of nothing",
        lambda: asked(lambda s: s["split"].update(fraction=1e-9)),
        HELD,
        "protocol or seed is not one",
        (*SPLIT, *FIGURES),
    ),
)
TOLD = (
    Kind(
        "more epochs than asked for",
        lambda: asked(lambda s: s["phases"][0].update(epochs=1)),
        HELD,
        "ends after 3 of 1 epoch",
        PHASE_FILES,
    ),
    Kind(
        "fewer epochs than asked for",
        lambda: asked(lambda s: s["phases"][1].update(epochs=30)),
        HELD,
        "ends after 3 of 30 epochs",
        PHASE_FILES,
    ),
    Kind(
        "a rate that was not asked for",
        lambda: history(lambda t: where(t, "fine-tune", "learning_rate", "5e-05")),
        HELD,
        "the rate 5e-05",
        PHASE_FILES,
    ),
    Kind(
        "accuracies that are no counts",
        lambda: history(lambda t: where(t, "head", "val_accuracy", "0.8123456835746765")),
        HELD,
        "no number of its",
        PHASE_FILES,
    ),
    Kind(
        "accuracies above one",
        lambda: history(lambda t: where(t, "head", "accuracy", "1.5")),
        HELD,
        "no number of its",
        PHASE_FILES,
    ),
    Kind(
        "losses with too many digits",
        lambda: history(lambda t: where(t, "head", "loss", "0.123456789012345")),
        HELD,
        "digits that no training gives",
        PHASE_FILES,
    ),
    Kind(
        "a loss below zero",
        lambda: history(lambda t: where(t, "fine-tune", "loss", "-0.5")),
        HELD,
        "below zero",
        PHASE_FILES,
    ),
    Kind(
        "a loss of 10⁴⁰⁰", lambda: history(lambda t: where(t, "head", "loss", "1e400")), LOST, "no number", PHASE_FILES
    ),
    Kind(
        "a loss that is NaN",
        lambda: history(lambda t: where(t, "head", "val_loss", "nan")),
        LOST,
        "no number",
        PHASE_FILES,
    ),
    Kind(
        "a metric of its own",
        lambda: history(lambda t: pd.concat([t, t.tail(1).assign(metric="test_accuracy")])),
        HELD,
        "a metric called 'test_accuracy'",
        PHASE_FILES,
    ),
    Kind(
        "epochs out of their turn",
        lambda: history(lambda t: t.assign(epoch=t["epoch"].replace({"2": "3", "3": "2"}))),
        HELD,
        "out of its turn",
        PHASE_FILES,
    ),
    Kind(
        "no validation",
        lambda: history(lambda t: t[~t["metric"].str.startswith("val_")]),
        HELD,
        "lacks a value",
        PHASE_FILES,
    ),
    Kind(
        "a phase of its own",
        lambda: history(lambda t: pd.concat([t, t.tail(5).assign(phase="more")])),
        LOST,
        "",
        ("phase-2",),
    ),
    Kind(
        "one loss in all epochs",
        lambda: history(lambda t: where(t, "fine-tune", "loss", "0.5")),
        HELD,
        "losses of fine-tune that are equal",
        PHASE_FILES,
    ),
    Kind(
        "losses of training for those of validation",
        lambda: history(losses_twice),
        HELD,
        "losses of head that are equal",
        PHASE_FILES,
    ),
    Kind(
        "changes with two digits",
        lambda: training(lambda t: t["largest_change"]["head"].update(Dense=0.07)),
        HELD,
        "a change of Dense in head with digits",
        TRAINED,
    ),
    Kind(
        "weights of one's own",
        lambda: settings(lambda s: s.update(initial_weights="/home/anna/all.weights.h5")),
        HELD,
        "began with weights of one's own",
        ("split", "model", "reproducible"),
    ),
    Kind("no time at all", lambda: training(lambda t: t["seconds"].update(head=0)), HELD, "no time for head", TRAINED),
    Kind(
        "time that runs backwards",
        lambda: training(lambda t: t["seconds"].update(head=-3.0)),
        HELD,
        "no time for head",
        TRAINED,
    ),
    Kind(
        "trained in a blink",
        lambda: training(
            lambda t: (
                t["seconds"].update(head=1e-9),
                t["images_per_second"].update(head=(t["images_per_second"]["head"] * 40) / 1e-9),
            )
        ),
        HELD,
        "seconds for",
        TRAINED,
    ),
    Kind(
        "another pace", lambda: training(lambda t: t["images_per_second"].update(head=999.0)), HELD, "come to", TRAINED
    ),
    Kind(
        "parameters of 10⁴⁰⁰",
        lambda: training(lambda t: t.update(parameters=10**400)),
        LOST,
        "so many parameters",
        ("model",),
    ),
    Kind(
        "changes of 10⁴⁰⁰",
        lambda: training(lambda t: t["largest_change"]["head"].update(Dense=10**400)),
        LOST,
        "head did not",
        ("phase-1",),
    ),
    Kind("another study", lambda: asked(lambda s: s.update(name="emnist")), HELD, "not that of the case"),
    Kind("fewer labels", lambda: settings(lambda s: s.update(class_names=["A", "B"])), HELD, "The labels are not"),
)
FIGURED = (
    Kind("perfect predictions", lambda: with_predictions(one_hot), HELD, "just as another", FIGURES),
    Kind(
        "predictions with 17 digits",
        lambda: with_predictions(
            lambda t: t.assign(
                **{f"p_{label}": probabilities(t)[:, k] + (k - 2) * 1e-9 for k, label in enumerate(LABELS)}
            )
        ),
        HELD,
        "digits that no model gives",
        FIGURES,
    ),
    Kind(
        "predictions with three digits",
        lambda: with_predictions(
            lambda t: t.assign(**{f"p_{label}": probabilities(t)[:, k].round(3) for k, label in enumerate(LABELS)})
        ),
        LOST,
        "",
        FIGURES,
    ),
    Kind(
        "a few vectors for all",
        lambda: with_predictions(lambda t: float32(t, probabilities(t)[np.arange(len(t)) % 5])),
        HELD,
        "just as another",
        FIGURES,
    ),
    Kind(
        "other words beside them",
        lambda: edited(honest(), "run/predictions.csv", lambda t: t.assign(predicted=t["label"])),
        HELD,
        "says in predicted",
        FIGURES,
    ),
    Kind(
        "another's predictions",
        lambda: honest() | {"run/predictions.csv": honest(1)["run/predictions.csv"]},
        LOST,
        "",
        FIGURES,
    ),
    Kind(
        "metrics made better",
        lambda: edited(honest(), "run/metrics.json", lambda m: m["scores"][0].update(accuracy=0.999)),
        LOST,
        "metrics.json says accuracy 0.999",
        ("reproducible",),
    ),
    Kind(
        "another score made up",
        lambda: edited(
            edited(
                honest() | {"run/predictions_head.csv": honest()["run/predictions.csv"]},
                "run/metrics.json",
                lambda m: m["scores"].append(
                    m["scores"][0] | {"name": "head", "predictions": "predictions_head.csv", "accuracy": 0.99}
                ),
            ),
            "run/run.json",
            lambda s: None,
        ),
        HELD,
        "another accuracy than it gives",
        ("reproducible",),
    ),
    Kind(
        "a score of what is not there",
        lambda: edited(
            honest(),
            "run/metrics.json",
            lambda m: m["scores"].append(
                m["scores"][0] | {"name": "head", "predictions": "predictions_head.csv", "accuracy": 0.99}
            ),
        ),
        HELD,
        "a score of run/predictions_head.csv, which is not there",
        ("reproducible",),
    ),
    Kind(
        "a better matrix",
        lambda: honest() | {"run/confusion.csv": good(8, 6.0)["run/confusion.csv"]},
        LOST,
        "",
        ("confusion",),
    ),
    Kind(
        "a better table of letters",
        lambda: edited(honest(), "run/per_label.csv", lambda t: t.assign(accuracy="1.0")),
        LOST,
        "does not follow",
        ("per-label",),
    ),
    Kind(
        "a notebook with another score",
        lambda: edited(
            honest(),
            "notebooks/05_results.ipynb",
            lambda n: n["cells"][3]["outputs"][0].update(text="99.9% of 39 photographs are read rightly, loss 0.01"),
        ),
        HELD,
        "printed 99.9% of 39",
        ("notebooks",),
    ),
    Kind(
        "a notebook that printed nothing",
        lambda: edited(honest(), "notebooks/05_results.ipynb", lambda n: n["cells"][3].update(outputs=[])),
        HELD,
        "printed nothing",
        ("notebooks",),
    ),
    Kind(
        "a notebook with another epoch",
        lambda: printed_in_04("val_accuracy 0.", "val_accuracy 0.9"),
        HELD,
        "04_train.ipynb printed what no history.csv has, epoch 1 of head",
        ("notebooks",),
    ),
    Kind(
        "a notebook with an epoch more",
        lambda: printed_in_04("fine-tune 3/3", "fine-tune 4/4"),
        HELD,
        "04_train.ipynb printed what no history.csv has, epoch 4 of fine-tune",
        ("notebooks",),
    ),
    Kind(
        "a notebook of another training",
        lambda: honest() | {"notebooks/04_train.ipynb": honest(1)["notebooks/04_train.ipynb"]},
        HELD,
        "04_train.ipynb printed what no history.csv has",
        ("notebooks",),
    ),
    Kind("one notebook under five names", one_notebook, HELD, "has the very cells of", ("notebooks",)),
    Kind(
        "a cell that never ran, called the submission",
        lambda: edited(
            honest(),
            "notebooks/05_results.ipynb",
            lambda n: n["cells"].append(
                {"cell_type": "code", "id": "x", "source": "train()  # casestudy submit", "outputs": []}
            ),
        ),
        LOST,
        "not every cell ran",
        ("notebooks",),
    ),
    Kind(
        "notebooks that never ran",
        lambda: {
            name: data.replace(b'"execution_count": 2', b'"execution_count": null') for name, data in honest().items()
        },
        LOST,
        "",
        ("notebooks",),
    ),
)
SEALED = (
    Kind(
        "a history changed afterwards",
        lambda: edited(honest(), "run/history.csv", lambda t: where(t, "head", "loss", "0.5"), seal=False),
        HELD,
        "is not the file that was there",
        PHASE_FILES,
    ),
    Kind(
        "run.json changed afterwards",
        lambda: edited(honest(), "run/run.json", lambda s: s.update(quick=True), seal=False),
        HELD,
        "run.json is not as it was",
        ("split", "model", "reproducible"),
    ),
    Kind(
        "no seal",
        lambda: edited(
            honest(), "run/run.json", lambda s: [s.pop(name) for name in ("files", "seal")][2:] or None, seal=False
        ),
        HELD,
        "not finished",
        ("split", "model", "reproducible"),
    ),
    Kind(
        "a file that the run did not have",
        lambda: _unsealed("run/predictions_random.csv"),
        REMARK,
        "is not the file that was there",
        (),
    ),
    Kind(
        "statuses of its own",
        lambda: edited(honest(), "run/ledger.csv", lambda t: t.assign(status=t["status"].replace("kept", "fine"))),
        LOST,
        "no ledger has",
        ("corrupt-found",),
    ),
    Kind(
        "a ledger without the damaged",
        lambda: edited(honest(), "run/ledger.csv", lambda t: t[t["status"] != "corrupt"]),
        LOST,
        "",
        ("corrupt-found",),
    ),
    Kind(
        "another archive",
        lambda: settings(lambda s: s["data"].update(sha256="cd" * 32)),
        LOST,
        "not the archive",
        ("reproducible",),
    ),
)
COPIED = (
    Kind("answers word by word", lambda: answered(lambda t: t), REMARK, "answer-05"),
    Kind("answers with every seventh word changed", lambda: answered(every_seventh), REMARK, "answer-05"),
    Kind(
        "answers in another order",
        lambda: answered(lambda t: " ".join(reversed(t.replace(". ", ".|").split("|")))),
        REMARK,
        "answer-05",
    ),
    Kind(
        "answers in letters that look alike",
        lambda: answered(lambda t: t.translate(str.maketrans("aeopc", "аеорс"))),
        REMARK,
        "answer-05",
    ),
    Kind("answers with what nobody sees", lambda: answered(lambda t: "\u200b".join(t)), REMARK, "answer-05"),
    Kind("answers within longer ones", lambda: answered(within), REMARK, "answer-05"),
    Kind("answers in capital letters", lambda: answered(str.upper), REMARK, "answer-05"),
)
KINDS = (*WHOSE, *DIVIDED, *TOLD, *FIGURED, *SEALED, *COPIED)

# What no check of a handed-in file can know, because the labels of the archive are public and so is this program.
NOT_CAUGHT = {
    "all invented with care": lambda: honest(skill=6.0),
    "another person's work with the student's own seed": lambda: honest(),
    "trained on the test photographs": lambda: honest(skill=9.0),
    "notebooks of one cell": lambda: (
        honest()
        | {
            f"notebooks/{step}.ipynb": json.dumps(notebook(step[:2])).encode()
            for step in ("01_read_the_case", "02_import_data", "03_clean_data", "04_train")
        }
    ),
    "answers written by somebody else for this student": lambda: honest(),
}


def _moved() -> tuple[list[str], list[str]]:
    table = pd.read_csv(io.BytesIO(honest()["run/splits.csv"]), dtype=str)
    return table["name"].tolist(), one_moved(table).tolist()


def _unsealed(name: str) -> Files:
    return honest() | {name: honest()["run/predictions.csv"]}
