"""The run folder keeps what it is given, and says what it lacks."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudy.cli import main
from casestudy.errors import DataError, RunError
from casestudy.files import file_digest
from casestudy.runs import RunFolder, Wishes, prepare_run, run_study, verify_run
from casestudy.runs.record import ImageFacts, RunRecord, Source
from casestudy.runs.trained import TESTS, fold_folder, models_of
from casestudy.studies import STUDIES
from casestudy.study import DataSpec, ModelSpec, Phase, Variant
from casestudy.training import Machine


def test_tables_come_back_as_they_went_in(tmp_path):
    run = RunFolder(tmp_path)
    table = pd.DataFrame(
        {
            "name": ["A/u__NA.jpg", 'A/"quoted", with comma.jpg', "A/ü\nnewline.jpg"],
            "signer": ["007", "NA", ""],
            "label": ["7", "None", "NaN"],
            "loss": [0.1 + 0.2, np.nan, 1e-300],
            "support": [1, 2, 3],
        }
    )
    run.write_table("deep/er/table.csv", table)
    again = run.read_table("deep/er/table.csv")
    for column in ("name", "signer", "label"):
        assert again[column].tolist() == table[column].tolist()
    assert again["loss"].tolist()[::2] == [0.1 + 0.2, 1e-300]
    assert np.isnan(again["loss"][1])
    assert again["support"].tolist() == [1, 2, 3]


def test_an_empty_table_keeps_its_columns(tmp_path):
    run = RunFolder(tmp_path)
    run.write_table("per_signer.csv", pd.DataFrame(columns=["signer", "accuracy"]))
    assert list(run.read_table("per_signer.csv").columns) == ["signer", "accuracy"]
    assert len(run.read_table("per_signer.csv")) == 0


def test_an_empty_cell_of_the_ledger_is_empty_text(finished_run):
    rows = finished_run.read_table("ledger.csv").to_dict("records")
    by_status = {row["status"]: row for row in rows}
    assert by_status["corrupt"]["duplicate_of"] == ""
    assert by_status["corrupt"]["note"] == ""
    assert by_status["duplicate"]["duplicate_of"] == "user_1/B0.png"


def test_json_is_versioned_strict_and_plain(tmp_path):
    run = RunFolder(tmp_path)
    run.write_json("metrics.json", {"a": np.float32(0.5), "b": np.int64(3), "ü": "ß"})
    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"schema_version": 1, "a": 0.5, "b": 3, "ü": "ß"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("metrics.json", {"a": float("nan")})
    with pytest.raises(TypeError):
        run.write_json("metrics.json", {"a": object()})
    assert (tmp_path / "metrics.json").read_text(encoding="utf-8") == text  # the old file stays whole
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_opening_needs_a_run(tmp_path):
    with pytest.raises(RunError, match=r"run\.json.*Run notebook 02_import_data first.*casestudy run"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 99}')
    with pytest.raises(RunError, match="99"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 1, "broken')
    with pytest.raises(RunError, match="must be JSON"):
        RunFolder.open(tmp_path)


def test_what_is_missing_or_broken_is_named(run_copy):
    with pytest.raises(RunError, match=r"nothing\.csv"):
        run_copy.read_table("nothing.csv")
    (run_copy.path / "splits.csv").write_bytes(b"")
    with pytest.raises(RunError, match=r"splits\.csv must be a CSV table"):
        run_copy.read_table("splits.csv")


def test_the_seal_holds_every_result(finished_run):
    files = finished_run.record.files
    assert finished_run.finished
    for name in ("letters.zip", "model.keras"):
        assert (name in files) == (finished_run.path / name).is_file()
    on_disk = {p.relative_to(finished_run.path).as_posix() for p in finished_run.path.rglob("*") if p.is_file()}
    assert set(files) == on_disk - {"run.json", "report.html", ".local.json"}
    for name, digest in files.items():
        assert hashlib.sha256((finished_run.path / name).read_bytes()).hexdigest() == digest
    assert file_digest(finished_run.path / "model.keras") == files["model.keras"]


def test_opening_may_need_what_a_step_left(run_copy):
    assert RunFolder.open(run_copy.path, needs="model.keras") == run_copy
    (run_copy.path / "model.keras").unlink()
    with pytest.raises(RunError, match=r"reads model\.keras.*Run notebook 04_train first"):
        RunFolder.open(run_copy.path, needs="model.keras")
    (run_copy.path / "folds" / "01-user_1").mkdir(parents=True)
    (run_copy.path / "folds" / "01-user_1" / "model.keras").write_bytes(b"one of several")
    assert RunFolder.open(run_copy.path, needs="model.keras") == run_copy


def test_a_notebook_shows_the_line_alone(tmp_path):
    """IPython asks an exception for its traceback; ours answers with one line."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.user_ns["there"] = str(tmp_path)
    shown = []
    shell._showtraceback = lambda kind, value, lines: shown.extend(lines)
    shell.run_cell("from casestudy import RunFolder; RunFolder.open(there)")
    assert len(shown) == 1
    assert shown[0].startswith("RunError: A run folder holds a run.json")


# --- what run.json, metrics.json and training.json hold -------------------------------------------------------------

BEFORE = json.loads((Path(__file__).parent / "data" / "run_7ebbc04.json").read_text(encoding="utf-8"))  # as it wrote it
PATTERN = r"(?P<label>[A-C])\d"


def old_run(run, *, without=(), **changes):
    """Makes a run folder one of the version before, which had asked for a pattern and named no version."""
    values = {**BEFORE, "study": {**BEFORE["study"], "variants": []}, "data": run.read_json("run.json")["data"]}
    values |= {"files": run.record.files, **changes}
    for name in ("variant_weights", *without):
        del values[name]
    (run.path / "run.json").write_text(json.dumps(values), encoding="utf-8")
    return run


@pytest.fixture
def wishes(small_study):
    """What the run of the version before was asked for."""
    return Wishes(dataclasses.replace(small_study, data=DataSpec(pattern=PATTERN)), 3)


def test_run_json_of_the_version_before_is_read(small_study, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(BEFORE), encoding="utf-8")
    record = RunFolder.open(tmp_path).record
    study = record.wishes.study
    assert record.version == ""
    assert study.data == DataSpec(pattern=PATTERN)
    assert dataclasses.replace(study, variants=(), data=DataSpec()) == small_study
    phase = Phase("train", "everything", epochs=1, learning_rate=1e-2)
    dense = ModelSpec("dense", weights=None, options={"size": [8, 8], "units": [4]})
    assert study.variants == (Variant("dense", dense, (phase,), published=0.5, note="smaller"),)
    assert (record.wishes.seed, record.wishes.compare_splits, record.wishes.precision) == (3, False, None)
    assert record.data == Source("letters.zip", "5" * 64)
    assert record.resolved.machine == Machine("CPU", (32, 32), "float32")
    assert (record.resolved.initial_weights, record.resolved.environment["keras"]) == (None, "3.12.4")
    assert record.resolved.variant_weights == {"dense": (None, "random initialisation, as asked")}
    assert record.images == ImageFacts("signer", cropped=False, class_names=("A", "B", "C"))
    assert record.files == {"predictions.csv": "7" * 64}
    again = RunRecord.from_json(json.loads(json.dumps(record.to_json())), source="itself")
    assert again == record


@pytest.mark.parametrize("pattern", [None, PATTERN])
def test_a_run_of_the_version_before_holds_and_stays(pattern, run_copy, letters_zip, small_study, wishes, capsys):
    run = old_run(run_copy, pattern=pattern)
    before = (run.path / "run.json").read_bytes()
    assert [what for what, holds, _ in verify_run(RunFolder.open(run.path)) if holds is False] == []
    assert main(["report", str(run.path)]) == 0
    assert run_study(wishes if pattern else Wishes(small_study, 3), letters_zip, run.path).finished
    with pytest.raises(RunError, match=r"differs in study\.data\.pattern\."):
        run_study(wishes if not pattern else Wishes(small_study, 3), letters_zip, run.path)
    assert (run.path / "run.json").read_bytes() == before


def test_a_run_of_the_version_before_goes_on(finished_run, run_copy, letters_zip, wishes):
    run = old_run(run_copy, without=["files"])
    for name in ("metrics.json", "predictions.csv", "history.csv", "model.keras", "predictions_head.csv"):
        (run.path / name).unlink()
    again = run_study(wishes, letters_zip, run.path)
    assert again.finished
    for name in ("splits.csv", "history.csv", "predictions.csv", "predictions_head.csv", "per_label.csv"):
        assert (run.path / name).read_bytes() == (finished_run.path / name).read_bytes(), name
    assert [what for what, holds, _ in verify_run(again) if holds is False] == []


def test_a_run_that_the_version_before_had_only_begun_goes_on(finished_run, letters_zip, wishes, tmp_path):
    begun = {name: BEFORE[name] for name in ("schema_version", "seed", "compare_splits", "pattern", "precision")}
    begun |= {"study": {**BEFORE["study"], "variants": []}, "started": BEFORE["started"]}
    begun["data"] = finished_run.read_json("run.json")["data"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps(begun), encoding="utf-8")
    run = RunFolder.begin(tmp_path / "run", wishes, letters_zip)
    prepare_run(run)
    assert (run.path / "splits.csv").read_bytes() == (finished_run.path / "splits.csv").read_bytes()
    assert run.record.started == BEFORE["started"]
    assert run.resolved == finished_run.resolved


# Each record in the three files, by the way to it, with the fields that it cannot do without.
FIELDS = {
    "run.json": {
        "": "study seed data started weights initial_weights machine environment protocol cropped class_names",
        "study": "name title source model phases split",
        "study.model": "name",
        "study.phases.0": "name trainable epochs learning_rate",
        "study.phases.1": "name trainable epochs learning_rate",
        "study.split": "",
        "study.data": "",
        "data": "name sha256",
        "machine": "device image_size precision",
    },
    "metrics.json": {
        "": "scores",
        "scores.0": "name protocol training predictions images accuracy loss interval loss_interval interval_method "
        "calibration_error",
        "scores.2": "name protocol training predictions images accuracy loss interval loss_interval interval_method "
        "calibration_error",
    },
    "training.json": {"": "seconds images_per_second batch_norm_change parameters"},
}
READ_BY = {
    "run.json": ("run", "report", "verify", "submit", "key", "predict"),
    "metrics.json": ("run", "report", "verify"),
    "training.json": ("run", "report"),
}
CASES = [
    (file, place, field)
    for file, records in FIELDS.items()
    for place, names in records.items()
    for field in ("", *names.split())  # "" adds one
]


@pytest.mark.parametrize(("file", "place", "field"), CASES, ids=[f"{a} {b} {c or 'more'}" for a, b, c in CASES])
def test_a_field_that_is_unknown_or_missing_is_named_with_the_version(
    file, place, field, run_copy, letters_zip, small_study, tmp_path, capsys, monkeypatch
):
    """Whichever command reads the file: one line, exit code 2, no traceback."""
    values = run_copy.read_json(file)
    part = values
    for step in place.split(".") if place else ():
        part = part[int(step) if step.isdecimal() else step]
    if field:
        del part[field]
    else:
        part["mystery"] = 1
    if file == "run.json":
        values["casestudy"] = "9.8.7"
    else:
        run_copy.write_json("run.json", {**run_copy.read_json("run.json"), "casestudy": "9.8.7"})
    (run_copy.path / file).write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setitem(STUDIES, "small", small_study)
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    calls = {
        "run": ["run", "small", "--data", str(letters_zip), "--seed", "3", "--out", str(run_copy.path)],
        "report": ["report", str(run_copy.path)],
        "verify": ["verify", str(run_copy.path)],
        "submit": ["submit", str(run_copy.path), "--notebooks", str(notebooks), "--out", str(tmp_path / "out.zip")],
        "key": ["key", str(run_copy.path), "--out", str(tmp_path / "key.json")],
        "predict": ["predict", str(run_copy.path), str(letters_zip)],
    }
    before = sorted(path.name for path in tmp_path.iterdir())
    for command in READ_BY[file]:
        assert main(calls[command]) == 2, command
        (line,) = capsys.readouterr().err.splitlines()
        assert file in line
        assert "written by casestudy 9.8.7" in line
        word = "lacks" if field else "has"
        assert re.search(rf"{word} the field ([\w.\[\]]+\.)?{field or 'mystery'},", line), line
    assert sorted(path.name for path in tmp_path.iterdir()) == before


# --- the names of files and scores -----------------------------------------------------------------------------------


def names_before(variants):
    """Returns the table of each score, in the order in which the version before put names together."""
    plain = {
        "headline": "predictions.csv",
        "head": "predictions_head.csv",
        "head-random": "predictions_head_random.csv",
        "random": "predictions_random.csv",
        **{name: f"predictions_{name}.csv" for name in variants},
    }
    names = plain | {f"{name}-distorted": table.replace(".csv", "_distorted.csv") for name, table in plain.items()}
    unique = {f"{name}-unique": table.replace("predictions", "predictions_unique") for name, table in names.items()}
    return names | unique


def names_now(study):
    models = models_of(study, study.split.protocol)
    known = [model for model in models if model.id != "head-everyone"]  # which the version before did not have
    return [(model.score(test), model.predictions(test)) for test in TESTS for model in known]


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_names_of_scores_and_tables_are_those_of_the_version_before(study):
    before = names_before([variant.name for variant in study.variants])
    assert names_now(study) == list(before.items())
    assert len({table.casefold() for table in before.values()}) == len(before) == 4 * (4 + len(study.variants))


def test_names_are_these(small_study):
    phase = Phase("train", "everything", epochs=1, learning_rate=1e-2)
    variants = tuple(Variant(name, ModelSpec("dense"), (phase,)) for name in ("dense", "custom-cnn", "a.b_c"))
    names = dict(names_now(dataclasses.replace(small_study, variants=variants)))
    assert names["headline"] == "predictions.csv"
    assert names["headline-distorted"] == "predictions_distorted.csv"
    assert names["headline-unique"] == "predictions_unique.csv"
    assert names["head-random"] == "predictions_head_random.csv"
    assert names["dense-distorted-unique"] == "predictions_unique_dense_distorted.csv"
    assert names["custom-cnn-distorted-unique"] == "predictions_unique_custom-cnn_distorted.csv"
    assert names["a.b_c"] == "predictions_a.b_c.csv"
    homes = {model.id: model.home for model in models_of(dataclasses.replace(small_study, variants=variants), "signer")}
    assert homes == {
        **{"headline": "", "head": "", "head-everyone": "", "head-random": "", "random": "random/"},
        **{name: f"variants/{name}/" for name in ("dense", "custom-cnn", "a.b_c")},
    }
    assert [fold_folder(k, fold) for k, fold in enumerate(("", "user_1", "Zoë / 2"))] == [
        *("", "folds/02-user_1/", "folds/03-Zoë_2/"),
    ]


def test_the_photographs_are_the_runs_own_where_it_has_them(run_copy, letters_zip):
    assert run_copy.letters == letters_zip
    own = run_copy.path / "letters.zip"
    own.write_bytes(letters_zip.read_bytes())
    assert run_copy.letters == own
    own.unlink()
    with pytest.raises(DataError, match=r"Name them: --data letters\.zip"):
        _ = RunFolder.open(run_copy.path).letters  # whatever .local.json says: the run may be anybody's


def with_variant(study, **facts):
    phases = (Phase("train", "everything", epochs=1, learning_rate=1e-2),)
    return dataclasses.replace(study, variants=(Variant("dense", ModelSpec("dense"), phases, **facts),))


def test_what_is_said_of_a_variant_is_no_setting(small_study):
    wishes = Wishes(with_variant(small_study), 3)
    said = Wishes(with_variant(small_study, note="units are ours", published=0.9, published_distorted=0.8), 3)
    assert wishes.differences(said) == []
    (variant,) = wishes.study.variants
    changed = dataclasses.replace(variant, model=dataclasses.replace(variant.model, dropout=0.4))
    other = Wishes(dataclasses.replace(wishes.study, variants=(changed,)), 3)
    assert wishes.differences(other) == ["study.variants[0].model.dropout"]


def test_wishes_that_are_asked_again_name_every_models_weights(run_copy, small_study):
    """What "auto" came to, for the study's own model and for each variant."""
    values = run_copy.read_json("run.json") | Wishes(with_variant(small_study), 3).to_json()
    assert values["study"]["variants"][0]["model"]["weights"] == "auto"
    values |= {"initial_weights": "signs", "variant_weights": {"dense": ["imagenet", "from Keras' folder"]}}
    run_copy.write_json("run.json", values)
    study = run_copy.record.resolved_wishes().study
    assert (study.model.weights, study.variants[0].model.weights) == ("signs", "imagenet")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("metrics.json", lambda values: values.update(scores=values["scores"][1:]), "The first score is the headline"),
        ("metrics.json", lambda values: values["scores"][0].update(accuracy=None), "The first score is the headline"),
        ("training.json", lambda values: values["images_per_second"].pop("head"), "have the same phases"),
        ("run.json", lambda values: values.update(files=["a"]), "files is a dictionary"),
        ("run.json", lambda values: values.update(class_names=["A", "B"]), "must fit the labels of run.json"),
    ],
)
def test_contents_that_do_not_fit_are_one_line(file, change, said, run_copy, capsys):
    from casestudy.cli import main

    values = run_copy.read_json(file)
    change(values)
    run_copy.write_json(file, values)
    assert main(["report", str(run_copy.path)]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and "Traceback" not in told


@pytest.mark.parametrize("other", ["seed", "protocol", "share"])
def test_a_run_keeps_the_split_that_it_asks_for(other, letters_zip, small_study, tmp_path):
    from casestudy.data import split_images
    from casestudy.runs import Wishes

    run = RunFolder.begin(tmp_path / "run", Wishes(small_study, seed=3), letters_zip)
    run.save()
    images = run.study_images(run.resolve())
    spec = dataclasses.replace(
        small_study.split, **{"seed": {}, "protocol": {"protocol": "random"}, "share": {"test": 0.2}}[other]
    )
    with pytest.raises(RunError, match=r"signer, seed 3; received another"):
        run.save(splits=split_images(images, spec, seed=4 if other == "seed" else 3))
    assert not run.has("splits.csv")
    run.save(splits=split_images(images, small_study.split, seed=3))
    assert run.has("splits.csv")


@pytest.mark.parametrize("labels", [["7", "07", "1e3", "0"], ["NA", "nan", "null", "A"]])
def test_numbers_keep_their_bits_and_labels_their_digits(labels, tmp_path):
    chance = np.random.default_rng(0)
    values = chance.uniform(size=5000) * 10.0 ** chance.integers(-20, 20, 5000)
    labels = labels * 1250
    texts = {name: labels for name in ("name", "signer", "label", "predicted", "part", "phase")}
    run = RunFolder(tmp_path)
    run.write_table("table.csv", pd.DataFrame({**texts, "value": values}))
    read = run.read_table("table.csv")
    assert read["value"].to_numpy().tobytes() == values.tobytes()
    assert all(read[name].tolist() == labels for name in texts)


def test_the_seal_leaves_out_what_may_be_written_again(run_copy):
    (run_copy.path / "report.html").write_text("another page")
    run_copy.seal()
    assert not {"report.html", "run.json"} & set(run_copy.record.files)
    name = "plots/confusion.png"
    assert run_copy.record.files[name] == hashlib.sha256((run_copy.path / name).read_bytes()).hexdigest()
