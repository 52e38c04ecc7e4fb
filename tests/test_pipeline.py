"""A run goes on where it stopped, is never overwritten, and says what it is."""

import dataclasses
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from casestudy.errors import DataError, RunError, WeightsError
from casestudy.files import file_digest
from casestudy.runs import run_images
from casestudy.runs.folder import RunFolder
from casestudy.runs.steps import continue_run, run_study, start_run


def snapshot(folder):
    """Returns content and time of every file in a folder."""
    return {
        p.relative_to(folder).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


def refuse(*args, **options):
    raise AssertionError("done again")


def test_a_finished_run_holds_everything(finished_run, letters_zip):
    names = {p.relative_to(finished_run.path).as_posix() for p in finished_run.path.rglob("*") if p.is_file()}
    assert names >= {
        *("run.json", "ledger.csv", "splits.csv", "history.csv", "training.json", "model.keras", "metrics.json"),
        *("predictions.csv", "predictions_head.csv", "predictions_head_random.csv", "report.html"),
        *("per_label.csv", "per_signer.csv", "confusion.csv", "most_confused.csv", "top_losses.csv"),
        *("samples.csv", "reliability.csv", "scores.csv", "timing.csv", "plots/samples.png"),
        *("plots/confusion.png", "plots/learning_loss.png", "plots/learning_accuracy.png"),
    }
    assert {name.rsplit(".", 1)[1] for name in names} <= {"csv", "json", "png", "keras", "html"}
    assert "letters.zip" not in names  # it was given a clean one
    settings = finished_run.settings
    assert settings["protocol"] == "signer"
    assert "random initialisation" in settings["weights"]
    assert settings["class_names"] == ["A", "B", "C"]
    with zipfile.ZipFile(letters_zip) as archive:
        assert archive.read("ledger.csv") == (finished_run.path / "ledger.csv").read_bytes()
    assert json.loads((finished_run.path / "training.json").read_text())["batch_norm_change"] == 0.0


def test_signers_stay_apart_and_copies_with_one_of_them(finished_run):
    splits = finished_run.read_table("splits.csv")
    by_part = {part: set(rows["signer"]) for part, rows in splits.groupby("part") if part != "left out"}
    assert [len(by_part[part]) for part in ("train", "validation", "test")] == [2, 1, 2]
    assert len(set.union(*by_part.values())) == 5
    copies = splits[splits["name"].isin([f"B/user_{k}__B0.png" for k in (1, 2, 3)])]
    assert len(set(copies["part"]) - {"left out"}) == 1
    tested = finished_run.read_table("predictions.csv")
    assert sorted(tested["name"]) == sorted(splits[splits["part"] == "test"]["name"])


def test_a_second_call_does_nothing(finished_run, letters_zip, small_study, monkeypatch):
    from casestudy.runs import steps as pipeline
    from casestudy.training import phases as training

    before = snapshot(finished_run.path)
    for owner, name in ((training, "train"), (pipeline, "read_images"), (pipeline, "write_report")):
        monkeypatch.setattr(owner, name, refuse)
    assert run_study(small_study, letters_zip, finished_run.path, seed=3) == finished_run
    assert snapshot(finished_run.path) == before


@pytest.mark.parametrize("what", ["seed", "study", "compare_splits", "precision", "data"])
def test_another_wish_needs_another_folder(what, finished_run, letters_zip, small_study, tmp_path):
    wishes = {"seed": 3, "compare_splits": False}
    study, source = small_study, letters_zip
    if what == "study":
        study = dataclasses.replace(study, phases=study.phases[:1])
    elif what == "data":
        source = tmp_path / "letters.zip"
        shutil.copy(letters_zip, source)
        with zipfile.ZipFile(source, "a") as archive:
            archive.writestr("more.txt", "more")
    else:
        wishes[what] = {"seed": 4, "compare_splits": True, "precision": "mixed_bfloat16"}[what]
    before = snapshot(finished_run.path)
    with pytest.raises(RunError, match=f"differs in {what}.*--out"):
        run_study(study, source, finished_run.path, **wishes)
    assert snapshot(finished_run.path) == before


def test_another_folder_of_photographs_is_other_data(finished_run, run_copy, small_study, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(RunError, match="differs in data"):
        run_study(small_study, tmp_path / "photos", run_copy.path, seed=3)


def test_a_run_stopped_while_cleaning_goes_on_and_one_that_made_nothing_may_begin_anew(
    letters_zip, small_study, tmp_path, monkeypatch
):
    from casestudy.runs import steps as pipeline

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "_clean", stop)
    for seed in (3, 4):  # nothing was made of the first wish
        with pytest.raises(KeyboardInterrupt):
            run_study(small_study, letters_zip, tmp_path / "run", seed=seed)
        assert RunFolder(tmp_path / "run").settings["seed"] == seed
    for left in (".letters.1.tmp.zip", "letters.zip"):  # killed while writing it, and just after
        (tmp_path / "run" / left).write_bytes(b"half")
        with pytest.raises(KeyboardInterrupt):
            run_study(small_study, letters_zip, tmp_path / "run", seed=4)
    with pytest.raises(RunError, match="differs in seed"):
        run_study(small_study, letters_zip, tmp_path / "run", seed=3)


def test_nothing_foreign_is_touched(letters_zip, small_study, tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(RunError, match=r"new or empty folder.*--out"):
        run_study(small_study, letters_zip, tmp_path, seed=3)
    with pytest.raises(RunError, match="is a file"):
        run_study(small_study, letters_zip, tmp_path / "thesis.doc", seed=3)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]
    assert (tmp_path / "thesis.doc").read_text() == "precious"


def test_missing_data_leaves_no_folder(small_study, tmp_path):
    with pytest.raises(DataError, match="--data"):
        run_study(small_study, tmp_path / "nowhere.rar", tmp_path / "run", seed=3)
    assert list(tmp_path.iterdir()) == []


RESULTS = ("metrics.json", "report.html", "per_label.csv", "predictions_head.csv", "plots")


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_stopped_run_goes_on(kept, finished_run, letters_zip, small_study, tmp_path, monkeypatch):
    """Stopped after its predictions, it trains no more and ends with the files of the run that was never stopped."""
    from casestudy.training import phases as training

    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished_run.path, run.path)
    settings = run.settings
    del settings["files"]
    run.write_json("run.json", settings)
    for name in RESULTS[kept:]:
        path = run.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(training, "train", refuse)
    again = run_study(small_study, letters_zip, run.path, seed=3)
    assert again.finished
    expected = finished_run.settings["files"]
    assert {n: h for n, h in again.settings["files"].items() if not n.endswith(".png")} == {
        n: h for n, h in expected.items() if not n.endswith(".png")
    }
    assert (run.path / "report.html").read_bytes() == (finished_run.path / "report.html").read_bytes()


def test_stopped_between_training_and_predictions_it_goes_on(
    finished_run, letters_zip, small_study, tmp_path, monkeypatch
):
    from casestudy.runs import workshop
    from casestudy.training import phases as training

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workshop, "predict", stop)
        with pytest.raises(KeyboardInterrupt):
            run_study(small_study, letters_zip, tmp_path / "run", seed=3)
    monkeypatch.setattr(training, "_fit_epoch", stop)  # not one epoch more
    monkeypatch.setattr(training, "train_head", lambda *args, **options: refuse())
    with pytest.raises(AssertionError, match="done again"):  # the head under both protocols is the next step
        run_study(small_study, letters_zip, tmp_path / "run", seed=3)
    for name in ("predictions.csv", "history.csv", "splits.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (finished_run.path / name).read_bytes()
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.fixture
def start(residual, letters_zip, small_study, tmp_path, monkeypatch):
    """Begins a run of the residual network, with signs of its own, and returns what its training was asked for."""
    from casestudy.models import network as models, weights
    from casestudy.models.quantised import write_quantised
    from casestudy.training import phases as training

    file = write_quantised(models.MODELS[residual](input_shape=(32, 32, 3), weights=None), tmp_path / "signs.npz")
    monkeypatch.setattr(weights, "SIGNS_MODEL", residual)
    monkeypatch.setattr(weights, "SIGNS_FILE", file)
    monkeypatch.setattr(models, "SIGNS_SHA256", file_digest(file))
    monkeypatch.setattr(weights, "IMAGENET_FILES", {residual: "imagenet.h5"})
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(training, "machine", lambda: training.Machine("GPU", (96, 96), "float32"))

    def started(wish, *, answers=False, image_size=None):
        asked = {}

        def stop(spec, split, **options):
            asked.update(image_size=spec.image_size, weights=options["weights"], pixels=split.images.images.shape[1:3])
            raise KeyboardInterrupt

        monkeypatch.setattr(training, "train", stop)
        monkeypatch.setattr(weights, "host_answers", lambda: answers)
        model = dataclasses.replace(small_study.model, name=residual, weights=wish, image_size=image_size)
        with pytest.raises(KeyboardInterrupt):
            run_study(dataclasses.replace(small_study, model=model), letters_zip, tmp_path / "run", seed=3)
        settings = RunFolder(tmp_path / "run").settings
        assert settings["initial_weights"] == asked["weights"]
        assert tuple(settings["machine"]["image_size"]) == asked["image_size"] == asked["pixels"]
        return asked["weights"], asked["image_size"], settings["weights"]

    return started


@pytest.mark.parametrize("wish", ["signs", "auto"])
def test_signs_are_taken_at_the_size_they_were_learnt_at(wish, start):
    weights, image_size, sentence = start(wish)
    assert (weights, image_size) == ("signs", (64, 64))
    assert sentence.startswith("signs (this project's own")
    assert ("does not answer" in sentence) == (wish == "auto")


@pytest.mark.parametrize(("wish", "size", "expected"), [("signs", (48, 32), (48, 32)), (None, None, (96, 96))])
def test_a_size_asked_for_stays_and_other_weights_have_the_machines(wish, size, expected, start):
    assert start(wish, image_size=size)[:2] == (wish, expected)


def test_a_download_that_fails_leaves_signs(start, residual, monkeypatch, caplog):
    from casestudy.models import network as models

    def broken(**options):
        assert options == {"input_shape": (96, 96, 3), "weights": "imagenet"}
        raise WeightsError("The weights 'imagenet' could not be loaded (reset). Connect once.")

    monkeypatch.setitem(models.MODELS, residual, broken)
    weights, _, sentence = start("auto", answers=True)
    assert weights == "signs"
    assert "could not be loaded" in sentence
    assert "reset" in caplog.text


def test_a_run_goes_on_with_the_weights_it_began_with(start, residual, monkeypatch):
    from casestudy.models import network as models

    began = start("auto")
    monkeypatch.setitem(models.MODELS, residual, refuse)
    assert start("auto", answers=True) == began


def test_a_run_ends_on_the_machine_it_began_on(finished_run, run_copy, letters_zip, small_study):
    settings = run_copy.settings
    del settings["files"]
    run_copy.write_json("run.json", settings | {"machine": settings["machine"] | {"precision": "mixed_float16"}})
    with pytest.raises(RunError, match="machine it began on"):
        run_study(small_study, letters_zip, run_copy.path, seed=3)


def test_a_label_too_rare_for_the_random_split_does_not_stop_the_honest_one(
    tmp_path, draw, encode, write_letters, small_study, monkeypatch
):
    photos = [
        {
            "entry": f"user_{s}/{label}{k}.png",
            "stored_as": f"{label}/user_{s}__{label}{k}.png",
            "signer": f"user_{s}",
            "label": label,
            "data": encode(draw(label, s, k)),
        }
        for s in range(1, 6)
        for label in "ABC"
        for k in range(2)
        if label != "C" or (s, k) == (1, 0)
    ]
    from casestudy.training import phases as training

    monkeypatch.setattr(training, "train", refuse)  # as far as the split: that is enough
    with pytest.raises(AssertionError, match="done again"):
        run_study(small_study, write_letters(tmp_path / "letters.zip", photos), tmp_path / "run", seed=3)


def test_step_by_step_a_run_ends_as_it_does_at_once(finished_run, letters_zip, small_study, tmp_path):
    run = start_run(small_study, letters_zip, tmp_path / "run", seed=3)
    made = {}
    for until in ("clean", "split", "head", "fine-tune", None):
        run = continue_run(RunFolder.open(run.path), until=until)
        made[until] = {p.name for p in run.path.iterdir()}
        if until:
            before = snapshot(run.path)
            continue_run(run, until="head" if until == "fine-tune" else until)  # once more, or an earlier one
            assert {name: content for name, (content, _) in snapshot(run.path).items()} == {
                name: content for name, (content, _) in before.items()
            }
    assert made["clean"] == {"run.json", "ledger.csv"}
    assert made["split"] == {*made["clean"], "splits.csv"}
    assert (
        made["head"]
        == made["fine-tune"]
        == {*made["split"], "history.csv", "training.json", "model.keras"} | {"checkpoints"}
    )
    assert "checkpoints" not in made[None]
    assert run.finished
    for name in ("splits.csv", "history.csv", "predictions.csv", "predictions_head_random.csv", "per_label.csv"):
        assert (run.path / name).read_bytes() == (finished_run.path / name).read_bytes(), name


def test_after_the_first_phase_the_run_knows_the_first_phase_only(letters_zip, small_study, tmp_path):
    run = continue_run(start_run(small_study, letters_zip, tmp_path / "run", seed=3), until="head")
    assert set(run.read_table("history.csv")["phase"]) == {"head"}
    training = run.read_json("training.json")
    assert set(training["seconds"]) == set(training["largest_change"]) == {"head"}
    assert training["largest_change"]["head"]["Conv2D"] == 0 < training["largest_change"]["head"]["Dense"]
    with pytest.raises(RunError, match=r"predictions\.csv.*Run notebook 05_results first"):
        run.require("predictions.csv")


def test_a_run_goes_on_until_a_step_that_there_is(finished_run):
    with pytest.raises(DataError, match="until clean, split, head, fine-tune or, with None, to its end; received 'x'"):
        continue_run(finished_run, until="x")


def test_a_source_that_has_moved_is_found_at_its_new_place(letters_zip, small_study, tmp_path):
    run = start_run(small_study, letters_zip, tmp_path / "run", seed=3)
    moved = shutil.copy(letters_zip, tmp_path / "moved.zip")
    assert start_run(small_study, moved, run.path, seed=3).settings["data"]["path"] == str(moved)


def test_the_photographs_of_a_run_are_those_its_model_saw(finished_run):
    from casestudy.models.network import load_model

    images = run_images(finished_run)
    table = finished_run.read_table("predictions.csv")
    chosen = [images.names.tolist().index(name) for name in table["name"]]
    found = load_model(finished_run.path / "model.keras").predict_on_batch(images.images[chosen].astype("float32"))
    np.testing.assert_allclose(found, table[["p_A", "p_B", "p_C"]].to_numpy("float32"), atol=1e-6)
    with pytest.raises(DataError, match=r"no file .*nothing\.keras"):
        load_model(finished_run.path / "nothing.keras")


def test_a_run_of_an_older_version_is_the_same_run(finished_run, letters_zip, small_study, tmp_path):
    """Settings that studies have gained since have their defaults there."""
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "old")))
    settings = run.settings
    del settings["study"]["distortion"], settings["study"]["phases"][0]["label_smoothing"], settings["precision"]
    run.write_json("run.json", settings)
    assert start_run(small_study, letters_zip, run.path, seed=3) == run


def test_other_words_begin_no_other_run(finished_run, letters_zip, small_study):
    said = dataclasses.replace(small_study, title="Said in another way", source="found meanwhile")
    assert start_run(said, letters_zip, finished_run.path, seed=3) == finished_run
    other = dataclasses.replace(small_study, title="Said in another way", seed=small_study.seed + 1)
    with pytest.raises(RunError, match=r"differs in study\.seed\."):
        start_run(other, letters_zip, finished_run.path, seed=3)


def test_a_folder_that_cannot_be_made_is_one_line(letters_zip, small_study, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="needs a folder that can be written"):
        start_run(small_study, letters_zip, tmp_path / "file" / "run", seed=3)


def test_a_run_computes_in_the_precision_it_was_asked_for(letters_zip, small_study, tmp_path):
    run = run_study(small_study, letters_zip, tmp_path / "run", seed=3, precision="mixed_bfloat16")
    assert run.settings["machine"]["precision"] == "mixed_bfloat16"
    from casestudy.models.network import load_model

    model = load_model(run.path / "model.keras")
    assert {layer.compute_dtype for layer in model.get_layer("base").layers[1:]} == {"bfloat16"}
    assert model.outputs[0].dtype == "float32"
    assert "--precision mixed_bfloat16" in (run.path / "report.html").read_text(encoding="utf-8")


def test_a_fraction_trains_on_less_and_tests_on_the_same(letters_zip, small_study, finished_run, tmp_path):
    half = dataclasses.replace(small_study, split=dataclasses.replace(small_study.split, fraction=0.5))
    run = run_study(half, letters_zip, tmp_path / "run", seed=3)
    parts, whole = (folder.read_table("splits.csv")["part"].value_counts() for folder in (run, finished_run))
    assert parts["test"] == whole["test"]
    assert parts["train"] == pytest.approx(whole["train"] / 2, abs=1)
    assert set(run.read_table("predictions.csv")["name"]) == set(finished_run.read_table("predictions.csv")["name"])
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "--fraction 0.5" in page
    assert "left out: training and validation use 0.5 of their parts" in page
