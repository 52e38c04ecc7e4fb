"""Draws submissions without training anything: one that earns every automatic point, and what others make of it."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from casestudy.evaluation.metrics import Evaluation, evaluate_predictions
from casestudy.evaluation.predictions import PREFIX
from casestudy.grading.key import FACTS, Key
from casestudy.grading.roster import Seat
from casestudy.runs.files import table_text
from casestudy.runs.results import result_tables
from casestudy.studies import STUDIES
from casestudy.training.schedules import learning_rate

LABELS = tuple("ABCDE")
ARCHIVE = "ab" * 32
ANSWERS = {
    "answer-01": "The accuracy on people who were not photographed for training, since the next person is a stranger.",
    "answer-02": "user_2/C1.jpg breaks off in the middle; its row in the ledger gives its bytes and the reason.",
    "answer-03": "With a ledger I can show how many entries came in, and that each file has its original bytes.",
    "answer-04": "The learning rate is a tenth, in the table of phases; BatchNormalization moved by 0.000000.",
    "answer-05": "Two strangers were tested. C is weakest, user_1 is read worst. With two people the interval is wide.",
}


def ledger() -> list[dict[str, str]]:
    """Eight users with four photographs of each letter, two damaged files, a copy, and a text file."""
    rows = []
    for user in range(1, 9):
        for label in LABELS:
            for take in range(4):
                entry = f"user_{user}/{label}{take}.jpg"
                row = dict.fromkeys(FACTS, "")
                row |= {"entry": entry, "status": "kept", "signer": f"user_{user}", "label": label}
                row |= {"stored_as": f"{label}/user_{user}__{label}{take}.jpg", "sha256": _digest(entry)}
                rows.append(row)
    for damaged in ("user_2/C1.jpg", "user_5/A0.jpg"):
        row = next(row for row in rows if row["entry"] == damaged)
        row |= {"status": "corrupt", "stored_as": f"_quarantine/{damaged}", "label": "", "signer": ""}
    copy_of = next(row for row in rows if row["entry"] == "user_6/B2.jpg")
    copy_of |= {"status": "duplicate", "duplicate_of": "user_6/B1.jpg", "sha256": _digest("user_6/B1.jpg")}
    note = dict.fromkeys(FACTS, "") | {"entry": "notes.txt", "status": "sidecar", "stored_as": "_sidecar/notes.txt"}
    return [*rows, note | {"sha256": _digest("notes.txt")}]


def make_key(**changes: object) -> Key:
    values = {"study": "asl", "archive": ARCHIVE, "class_names": LABELS, "ledger": tuple(ledger()), "hidden": {}}
    return Key(**{**values, **changes})


SEATS = tuple(
    Seat(name, f"s{k}", f"{name.split()[0].lower()}@example.org", 500_000 + 7 * k)
    for k, name in enumerate(("Anna Müller", "Ben Berg", "Cleo Cruz", "Dan Diaz", "Eva Endo", "Finn Falk"))
)
EPOCHS = 3  # of each phase, as the students' runs have them
RECIPE = STUDIES["asl"]
PHASES = tuple(dataclasses.replace(phase, epochs=EPOCHS) for phase in RECIPE.phases)


def bound_key(**changes: object) -> Key:
    """Returns a key that knows the recipe and gave each of `SEATS` a seed."""
    return make_key(recipe=json.loads(json.dumps(RECIPE.to_json())), students=SEATS, **changes)


def honest(seat: int = 0, skill: float = 1.8) -> dict[str, bytes]:
    """Returns what a student of `SEATS` hands in who trained with the seed given."""
    seed = SEATS[seat].seed
    return good(seed, skill, parts=bound_key().parts("signer", seed)["part"])


def good(seed: int = 7, skill: float = 1.8, parts: dict[str, str] | None = None) -> dict[str, bytes]:
    """Returns the files of a submission that earns every automatic point; a higher skill makes a better model.

    `parts` says in which part each photograph is; without it, two people are tested whatever the seed.
    """
    rows = ledger()
    used = [row for row in rows if row["status"] in ("kept", "duplicate")]
    part = {"user_1": "test", "user_2": "test", "user_3": "validation"}
    rows_of = ((row["stored_as"], row["signer"], row["label"]) for row in used)
    splits = pd.DataFrame(rows_of, columns=["name", "signer", "label"])
    splits["part"] = [
        parts[name] if parts else part.get(signer, "train")
        for name, signer in zip(splits["name"], splits["signer"], strict=True)
    ]
    tested = splits[splits["part"] == "test"].reset_index(drop=True)
    chance = np.random.default_rng(seed)
    evaluation = evaluate_predictions(read_by(tested, skill, chance), LABELS)
    results = result_tables(evaluation, seed=seed)
    sizes = Counter(splits["part"])
    seen = EPOCHS * sizes["train"]
    training = {
        "seconds": {"head": 40.0, "fine-tune": 60.0},
        "images_per_second": {"head": seen / 40, "fine-tune": seen / 60},
        "batch_norm_change": 0.0,
        "parameters": 23_564_800 + 2049 * len(LABELS),
        "largest_change": {
            "head": {"BatchNormalization": 0.0, "Conv2D": 0.0, "Dense": 0.0703125},  # float32, as weights are
            "fine-tune": {"BatchNormalization": 0.0, "Conv2D": 0.0029296875, "Dense": 0.005859375},
        },
    }
    settings = {
        "schema_version": 1,
        "study": dataclasses.replace(RECIPE, phases=PHASES).to_json(),
        "seed": seed,
        "data": {"name": "letters.rar", "path": "/home/anna/letters.rar", "sha256": ARCHIVE},
        "started": "2026-01-01T00:00:00+00:00",
        "weights": "signs",
        "initial_weights": "signs",
        "machine": {"device": "CPU", "image_size": [64, 64], "precision": "float32"},
        "protocol": "signer",
        "cropped": True,
        "class_names": list(LABELS),
        "environment": {"keras": "3.12.4", "python": "3.11.7"},
    }
    told = history_rows(sizes, chance)
    tables = {
        "ledger": pd.DataFrame(rows),
        "splits": splits,
        "history": pd.DataFrame(told),
        "predictions": evaluation.predictions,
        "per_label": results["per_label.csv"],
        "confusion": results["confusion.csv"],
    }
    files = {f"run/{name}.csv": table_text(table).encode() for name, table in tables.items()}
    which = {"name": "headline", "protocol": "signer", "training": "all phases", "predictions": "predictions.csv"}
    metrics = {"scores": [{**which, **evaluation.to_json()}]}
    for name, values in (("run", settings), ("training", training), ("metrics", metrics)):
        files[f"run/{name}.json"] = json.dumps(values).encode()
    for step in ("01_read_the_case", "02_import_data", "03_clean_data", "04_train", "05_results"):
        files[f"notebooks/{step}.ipynb"] = json.dumps(notebook(step[:2], evaluation, told)).encode()
    return sealed(files)


def read_by(tested: pd.DataFrame, skill: float, chance: np.random.Generator) -> pd.DataFrame:
    """Returns predictions, float32 as a model's, of photographs with name, signer and label."""
    scores = chance.normal(size=(len(tested), len(LABELS)))
    scores = (scores + skill * (tested["label"].to_numpy()[:, None] == np.array(LABELS))).astype(np.float32)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return tested[["name", "signer", "label"]].assign(**{PREFIX + n: probabilities[:, k] for k, n in enumerate(LABELS)})


def history_rows(sizes: Counter[str], chance: np.random.Generator) -> list[dict]:
    """Returns a history in which accuracies are counts of images, and all but the rates are float32."""
    rows = []
    for phase in PHASES:
        losses: list[float] = []
        for epoch in range(1, EPOCHS + 1):
            hits = {"accuracy": ("train", 0.5), "val_accuracy": ("validation", 0.4)}
            shares = {
                metric: float(np.float32(round((low + 0.1 * epoch) * sizes[part]) / np.float32(max(sizes[part], 1))))
                for metric, (part, low) in hits.items()
            }
            loss, val_loss = (float(np.float32((base + chance.random() / 50) / epoch)) for base in (1.5, 1.6))
            values = {"accuracy": shares["accuracy"], "loss": loss, "val_accuracy": shares["val_accuracy"]}
            values |= {"val_loss": val_loss, "learning_rate": learning_rate(phase, epoch - 1, losses)}
            losses.append(val_loss)
            rows += [{"phase": phase.name, "epoch": epoch, "metric": m, "value": v} for m, v in values.items()]
    return rows


def sealed(files: dict[str, bytes]) -> dict[str, bytes]:
    """Returns the files with digests and seal of a finished run in run.json; the rule is in ARTICLES/promises.md."""
    files = dict(files)
    try:
        settings = json.loads(files["run/run.json"])
        settings.pop("seal", None)
    except (KeyError, ValueError, AttributeError):
        return files
    names = sorted(name for name in files if name.startswith("run/") and name != "run/run.json")
    settings["files"] = {name[4:]: hashlib.sha256(files[name]).hexdigest() for name in names}
    text = json.dumps({**settings, "seal": ""}, indent=1)
    code = base64.b32encode(hashlib.sha256(text.encode()).digest()[:10]).decode()
    head, tail = text.rsplit('"seal": "', 1)
    files["run/run.json"] = f'{head}"seal": "{code[:4]}-{code[4:8]}-{code[8:12]}-{code[12:]}{tail}'.encode()
    return files


def epochs_said(history: list[dict]) -> str:
    """Returns what training says after each epoch, as it was seen in a notebook that ran."""
    lines: dict[str, list[str]] = {}
    for row in history:
        if row["metric"] != "learning_rate":
            begins = f"{row['phase']} {row['epoch']}/{EPOCHS}"
            lines.setdefault(begins, []).append(f"{row['metric']} {row['value']:.3f}")
    return "".join(f"{begins}: {', '.join(said)}; at most 3 s left in all\n" for begins, said in lines.items())


def notebook(step: str, evaluation: Evaluation | None = None, history: list[dict] | None = None) -> dict:
    """Returns an executed notebook with code cells and an answer; the last two steps print what they trained and read.

    That is a `history`, and the score of an `evaluation`.
    """
    shown = {
        "output_type": "display_data",
        "data": {"text/plain": "figure"},
        "metadata": {"picture-left-out": "image/png"},
    }
    code = {"cell_type": "code", "metadata": {}, "outputs": []}
    name = f"answer-{step}"
    shows = []
    if step == "05" and evaluation is not None:
        said = f"{evaluation.accuracy:.1%} of {len(evaluation.predictions)} photographs are read rightly"
        text = f"A banner.\n{said}, loss {evaluation.loss:.2f}\n"
        source = 'print(f"{evaluation.accuracy:.1%} of {len(splits.test)} photographs are read rightly, loss …")'
        printed = [{"output_type": "stream", "name": "stdout", "text": text}]
        shows = [{**code, "id": "evaluate", "source": source, "execution_count": 3, "outputs": printed}]
    if step == "04" and history is not None:
        for k, phase in enumerate(("head", "fine-tune"), 3):
            own = [row for row in history if row["phase"] == phase]
            text = f"a frozen base sees 140 images first, once: about 2 s\n{epochs_said(own)}"
            printed = [{"output_type": "stream", "name": "stdout", "text": text}]
            source = f"training = cs.train(model, splits, {phase}, seed=seed, checkpoints=run)"
            shows.append({**code, "id": phase, "source": source, "execution_count": k, "outputs": printed})
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {**code, "id": "set-up", "source": ["import casestudy as cs  # step ", step], "execution_count": 1},
            {**code, "id": "draw", "source": "cs.plot_confusion(ax)", "execution_count": 2, "outputs": [shown]},
            {"cell_type": "markdown", "id": name, "metadata": {"tags": ["answer"]}, "source": ANSWERS[name]},
            *shows,
        ],
    }


def packed(files: dict[str, bytes], *, student: str = "", manifest: bool = True) -> bytes:
    """Returns a zip of the files, with the manifest that belongs to them."""
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    text = json.dumps({"schema_version": 1, "student": student, "files": listed})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**({"manifest.json": text.encode()} if manifest else {}), **files}.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def edited(files: dict[str, bytes], name: str, change: Callable, *, seal: bool = True) -> dict[str, bytes]:
    """Returns the files with one changed: a table as a DataFrame of str, JSON as values, in place or new.

    Whoever changes one knows how a run is sealed, unless `seal` is False.
    """
    files = dict(files)
    if name.endswith(".csv"):
        table = pd.read_csv(io.BytesIO(files[name]), dtype=str, keep_default_na=False)
        changed = change(table)
        files[name] = table_text(table if changed is None else changed).encode()
    else:
        values = copy.deepcopy(json.loads(files[name]))
        changed = change(values)
        files[name] = json.dumps(values if changed is None else changed).encode()
    return sealed(files) if seal else files


def zip_of_zeros(name: str, gigabytes: int) -> bytes:
    """Returns a zip whose one file claims 4 GB and unpacks to so many, written in no time."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = press.compress(bytes(1 << 20)) + press.flush(zlib.Z_FULL_FLUSH)
    block = press.compress(bytes(1 << 20)) + press.flush(zlib.Z_FULL_FLUSH)
    data = first + block * (1024 * gigabytes - 1)
    encoded, claimed = name.encode(), 0xFFFFFFF0
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), claimed, len(encoded), 0)
    local = b"PK\x03\x04" + common + encoded + data
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + encoded
    return local + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
