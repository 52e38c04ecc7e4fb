"""A run goes on where it stopped, is never overwritten, and says what it is."""

import dataclasses
import itertools
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casestudy import build_model, clean_archive, evaluate, load_images, split_images, train
from casestudy.errors import DataError, RunError, WeightsError
from casestudy.files import file_digest
from casestudy.report import write_report
from casestudy.runs import Options, RunFolder, Wishes, finish_run, prepare_run, run_study, verify_run
from casestudy.study import Phase, SplitSpec, Variant


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
    assert finished_run.facts.protocol == "signer"
    assert "random initialisation" in finished_run.resolved.weights
    assert finished_run.facts.class_names == ("A", "B", "C")
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
    from casestudy import training
    from casestudy.runs import folder, steps

    before = snapshot(finished_run.path)
    for owner, name in ((training, "train"), (folder, "load_images"), (steps, "write_results")):
        monkeypatch.setattr(owner, name, refuse)
    assert run_study(Wishes(small_study, 3), letters_zip, finished_run.path) == finished_run
    assert snapshot(finished_run.path) == before


@pytest.mark.parametrize("what", ["seed", "study", "compare_splits", "precision", "data"])
def test_another_wish_needs_another_folder(what, finished_run, letters_zip, small_study, tmp_path):
    wishes, source = Wishes(small_study, 3), letters_zip
    if what == "study":
        wishes = dataclasses.replace(wishes, study=dataclasses.replace(small_study, phases=small_study.phases[:1]))
    elif what == "data":
        source = tmp_path / "letters.zip"
        shutil.copy(letters_zip, source)
        with zipfile.ZipFile(source, "a") as archive:
            archive.writestr("more.txt", "more")
    else:
        other = {"seed": 4, "compare_splits": True, "precision": "mixed_bfloat16"}[what]
        wishes = dataclasses.replace(wishes, **{what: other})
    before = snapshot(finished_run.path)
    with pytest.raises(RunError, match=f"differs in {what}.*--out"):
        run_study(wishes, source, finished_run.path)
    assert snapshot(finished_run.path) == before


def test_another_folder_of_photographs_is_other_data(finished_run, run_copy, small_study, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(RunError, match="differs in data"):
        run_study(Wishes(small_study, 3), tmp_path / "photos", run_copy.path)


def test_a_run_stopped_while_cleaning_goes_on_and_one_that_made_nothing_may_begin_anew(
    letters_zip, small_study, tmp_path, monkeypatch
):
    from casestudy.runs import steps

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "clean_run", stop)
    for seed in (3, 4):  # nothing was made of the first wish
        with pytest.raises(KeyboardInterrupt):
            run_study(Wishes(small_study, seed), letters_zip, tmp_path / "run")
        assert RunFolder(tmp_path / "run").record.wishes.seed == seed
    for left in (".letters.1.tmp.zip", "letters.zip"):  # killed while writing it, and just after
        (tmp_path / "run" / left).write_bytes(b"half")
        with pytest.raises(KeyboardInterrupt):
            run_study(Wishes(small_study, 4), letters_zip, tmp_path / "run")
    with pytest.raises(RunError, match="differs in seed"):
        run_study(Wishes(small_study, 3), letters_zip, tmp_path / "run")
    (tmp_path / "run" / ".letters.1.tmp.zip").unlink()
    data = dataclasses.replace(small_study.data, pattern="(?P<label>.)")
    other = Wishes(dataclasses.replace(small_study, data=data), 3)
    with pytest.raises(RunError, match=r"differs in seed, study\.data\.pattern"):
        RunFolder.begin(tmp_path / "run", other, letters_zip)
    RunFolder.begin(tmp_path / "run", Wishes(small_study, 3), letters_zip)  # the photographs are clean for any training
    assert RunFolder(tmp_path / "run").record.wishes.seed == 3
    (tmp_path / "run" / "splits.csv").write_text("name")
    with pytest.raises(RunError, match="differs in seed"):
        RunFolder.begin(tmp_path / "run", Wishes(small_study, 4), letters_zip)


def test_the_way_that_two_signers_are_told_works_in_the_same_folder(small_study, write_letters, draw, encode, tmp_path):
    from casestudy.data import split_folds
    from casestudy.runs import prepare_run

    photos = [
        {"entry": f"{who}/{label}{k}.png", "stored_as": f"{label}/{who}_{k}.png", "data": encode(draw(label, who, k)),
         "label": label, "signer": f"user_{who}"}
        for label in "AB" for who in (1, 2) for k in range(3)
    ]  # fmt: skip
    letters = write_letters(tmp_path / "letters.zip", photos)
    by_signer = dataclasses.replace(small_study, split=SplitSpec("signer"))
    with pytest.raises(DataError, match=r"received 2\. Use --split leave-one-signer-out, which needs two"):
        prepare_run(RunFolder.begin(tmp_path / "run", Wishes(by_signer, 3), letters))
    everyone = dataclasses.replace(small_study, split=SplitSpec("leave-one-signer-out"))
    _, images, splits = prepare_run(RunFolder.begin(tmp_path / "run", Wishes(everyone, 3), letters))
    assert [split.fold for split in splits] == ["user_1", "user_2"]
    with pytest.raises(DataError, match="Use --split random"):
        alone = dataclasses.replace(images, signers=np.full(len(images), "user_1"))
        split_folds(alone, SplitSpec("signer"), seed=3)


def test_variants_are_compared_over_all_folds(letters_zip, small_study, tmp_path):
    phase = Phase("head", "head", epochs=1, learning_rate=1e-2)
    other = Variant("other", small_study.model, (dataclasses.replace(phase, epochs=2),))
    everyone = SplitSpec("leave-one-signer-out")
    study = dataclasses.replace(small_study, phases=(phase,), variants=(other,), split=everyone)
    run = run_study(Wishes(study, 3), letters_zip, tmp_path / "run")
    rows = run.read_table("comparison.csv").set_index("name")
    folds = [json.loads(path.read_text()) for path in sorted(run.path.glob("variants/other/folds/*/training.json"))]
    assert len(folds) == 5
    assert rows.loc["other", "seconds"] == pytest.approx(sum(sum(one["seconds"].values()) for one in folds))
    lasts = [pd.read_csv(path) for path in run.path.glob("variants/other/folds/*/history.csv")]
    kept = [h[(h["epoch"] == h["epoch"].max()) & (h["metric"] == "accuracy")]["value"].item() for h in lasts]
    assert rows.loc["other", "train_accuracy"] == pytest.approx(np.mean(kept))
    write_report(run)
    assert verify_run(run).hold


def test_nothing_foreign_is_touched(letters_zip, small_study, tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(RunError, match=r"new or empty folder.*--out"):
        run_study(Wishes(small_study, 3), letters_zip, tmp_path)
    with pytest.raises(RunError, match="is a file"):
        run_study(Wishes(small_study, 3), letters_zip, tmp_path / "thesis.doc")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]
    assert (tmp_path / "thesis.doc").read_text() == "precious"


def test_missing_data_leaves_no_folder(small_study, tmp_path):
    with pytest.raises(DataError, match="--data"):
        run_study(Wishes(small_study, 3), tmp_path / "nowhere.rar", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


RESULTS = ("metrics.json", "report.html", "per_label.csv", "predictions_head.csv", "plots")


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_stopped_run_goes_on(kept, finished_run, letters_zip, small_study, tmp_path, monkeypatch):
    """Stopped after its predictions, it trains no more and ends with the files of the run that was never stopped."""
    from casestudy import training

    run = RunFolder(tmp_path / "run")
    shutil.copytree(finished_run.path, run.path)
    run.write_record(dataclasses.replace(run.record, files={}))
    for name in RESULTS[kept:]:
        path = run.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(training, "train", refuse)
    again = run_study(Wishes(small_study, 3), letters_zip, run.path)
    assert again.finished
    expected = finished_run.record.files
    assert {n: h for n, h in again.record.files.items() if not n.endswith(".png")} == {
        n: h for n, h in expected.items() if not n.endswith(".png")
    }
    page, before = (write_report(one).read_text(encoding="utf-8") for one in (again, finished_run))
    assert page.replace(Options.again(again), "") == before.replace(Options.again(finished_run), "")


def test_stopped_between_training_and_predictions_it_goes_on(
    finished_run, letters_zip, small_study, tmp_path, monkeypatch
):
    from casestudy import training
    from casestudy.runs import work
    from casestudy.training import phases

    def stop(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(work, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            run_study(Wishes(small_study, 3), letters_zip, tmp_path / "run")
    monkeypatch.setattr(phases, "fit_epoch", stop)  # not one epoch more
    monkeypatch.setattr(training, "train_head", refuse)
    with pytest.raises(AssertionError, match="done again"):  # the head under both protocols is the next step
        run_study(Wishes(small_study, 3), letters_zip, tmp_path / "run")
    for name in ("predictions.csv", "history.csv", "splits.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (finished_run.path / name).read_bytes()
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.fixture
def start(residual, letters_zip, small_study, tmp_path, monkeypatch):
    """Begins a run of the residual network, with signs of its own, and returns what its training was asked for."""
    from casestudy import training
    from casestudy.models import network as models, weights
    from casestudy.models.quantised import write_quantised

    file = write_quantised(models.MODELS[residual](input_shape=(32, 32, 3), weights=None), tmp_path / "signs.npz")
    monkeypatch.setattr(weights, "SIGNS_MODEL", residual)
    monkeypatch.setattr(weights, "SIGNS_FILE", file)
    monkeypatch.setattr(models, "SIGNS_SHA256", file_digest(file))
    monkeypatch.setattr(weights, "IMAGENET_FILES", {residual: "imagenet.h5"})
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(training.Machine, "here", lambda: training.Machine("GPU", (96, 96), "float32"))

    def started(wish, *, answers=False, image_size=None):
        asked = {}

        def stop(model, splits, phase, **options):
            origin = models.origin_of(model)
            assert model.input_shape[1:3] == splits.images.images.shape[1:3]
            asked.update(image_size=origin.spec.image_size, weights=origin.weights, pixels=model.input_shape[1:3])
            raise KeyboardInterrupt

        monkeypatch.setattr(training, "train", stop)
        monkeypatch.setattr(weights, "host_answers", lambda: answers)
        model = dataclasses.replace(small_study.model, name=residual, weights=wish, image_size=image_size)
        with pytest.raises(KeyboardInterrupt):
            run_study(Wishes(dataclasses.replace(small_study, model=model), 3), letters_zip, tmp_path / "run")
        resolved = RunFolder(tmp_path / "run").resolved
        assert resolved.initial_weights == asked["weights"]
        assert resolved.machine.image_size == asked["image_size"] == asked["pixels"]
        return asked["weights"], asked["image_size"], resolved.weights

    return started


@pytest.mark.parametrize("wish", ["signs", "auto"])
def test_signs_are_taken_at_the_size_they_were_learnt_at(wish, start):
    weights, image_size, sentence = start(wish)
    assert (weights, image_size) == ("signs", (96, 96))
    assert sentence.startswith("signs (this project's own")
    assert ("does not answer" in sentence) == (wish == "auto")


@pytest.mark.parametrize(("wish", "size", "expected"), [("signs", (48, 32), (48, 32)), (None, None, (96, 96))])
def test_a_size_asked_for_stays_and_other_weights_have_the_machines(wish, size, expected, start):
    assert start(wish, image_size=size)[:2] == (wish, expected)


def test_a_download_that_fails_leaves_signs(start, residual, monkeypatch, caplog):
    from casestudy.models import network as models

    built = models.MODELS[residual]

    def broken(**options):
        if options["weights"] is None:  # of signs, which are read into it afterwards
            return built(**options)
        assert options == {"input_shape": (96, 96, 3), "weights": "imagenet"}
        raise WeightsError("The weights 'imagenet' could not be loaded (reset). Connect once.")

    monkeypatch.setitem(models.MODELS, residual, broken)
    weights, _, sentence = start("auto", answers=True)
    assert weights == "signs"
    assert "could not be loaded" in sentence
    assert "reset" in caplog.text


def test_a_run_goes_on_with_the_weights_it_began_with(start, residual, monkeypatch):
    from casestudy.models import network as models

    began, built = start("auto"), models.MODELS[residual]
    monkeypatch.setitem(models.MODELS, residual, lambda **options: refuse() if options["weights"] else built(**options))
    assert start("auto", answers=True) == began


def test_a_run_ends_on_the_machine_it_began_on(finished_run, run_copy, letters_zip, small_study):
    values = run_copy.read_json("run.json")
    del values["files"]
    run_copy.write_json("run.json", values | {"machine": values["machine"] | {"device": "another GPU"}})
    with pytest.raises(RunError, match="machine it began on"):
        run_study(Wishes(small_study, 3), letters_zip, run_copy.path)


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
    from casestudy import training

    monkeypatch.setattr(training, "train", refuse)  # as far as the split: that is enough
    with pytest.raises(AssertionError, match="done again"):
        run_study(Wishes(small_study, 3), write_letters(tmp_path / "letters.zip", photos), tmp_path / "run")


def test_a_source_that_has_moved_is_found_at_its_new_place(letters_zip, small_study, tmp_path):
    run = RunFolder.begin(tmp_path / "run", Wishes(small_study, 3), letters_zip)
    moved = shutil.copy(letters_zip, tmp_path / "moved.zip")
    assert RunFolder.begin(run.path, Wishes(small_study, 3), Path(moved)).source == Path(moved).resolve()


def test_the_photographs_of_a_run_are_those_its_model_saw(finished_run):
    from casestudy.models.network import load_model

    images = finished_run.load_images()
    table = finished_run.read_table("predictions.csv")
    chosen = [images.names.tolist().index(name) for name in table["name"]]
    found = load_model(finished_run.path / "model.keras").predict_on_batch(images.images[chosen].astype("float32"))
    np.testing.assert_allclose(found, table[["p_A", "p_B", "p_C"]].to_numpy("float32"), atol=1e-6)
    with pytest.raises(DataError, match=r"no file .*nothing\.keras"):
        load_model(finished_run.path / "nothing.keras")


def test_a_run_of_an_older_version_is_the_same_run(finished_run, letters_zip, small_study, tmp_path):
    """Settings that studies have gained since have their defaults there."""
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "old")))
    values = run.read_json("run.json")
    del values["study"]["distortion"], values["study"]["phases"][0]["label_smoothing"], values["precision"]
    run.write_json("run.json", values)
    assert RunFolder.begin(run.path, Wishes(small_study, 3), letters_zip) == run


def test_other_words_begin_no_other_run(finished_run, letters_zip, small_study):
    said = dataclasses.replace(small_study, title="Said in another way", source="found meanwhile")
    assert RunFolder.begin(finished_run.path, Wishes(said, 3), letters_zip) == finished_run
    other = dataclasses.replace(small_study, title="Said in another way", seed=small_study.seed + 1)
    with pytest.raises(RunError, match=r"differs in study\.seed\."):
        RunFolder.begin(finished_run.path, Wishes(other, 3), letters_zip)


def test_a_folder_that_cannot_be_made_is_one_line(letters_zip, small_study, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="needs a folder that can be written"):
        RunFolder.begin(tmp_path / "file" / "run", Wishes(small_study, 3), letters_zip)


def test_a_run_computes_in_the_precision_it_was_asked_for(letters_zip, tmp_path):
    asked = {"data": str(letters_zip), "model": "small_cnn", "weights": "none", "image_size": "32", "epochs": "1,1"}
    options = Options.parse({**asked, "precision": "mixed_bfloat16", "fraction": "0.5", "crop": "none"})
    run = run_study(options.wishes(), letters_zip, tmp_path / "run")
    assert run.resolved.machine.precision == "mixed_bfloat16"
    from casestudy.models.network import load_model

    model = load_model(run.path / "model.keras")
    assert {layer.compute_dtype for layer in model.get_layer("base").layers[1:]} == {"bfloat16"}
    assert model.outputs[0].dtype == "float32"
    page = write_report(run).read_text(encoding="utf-8")
    assert "--precision=mixed_bfloat16" in page
    assert "--fraction=0.5" in page


def test_a_fraction_trains_on_less_and_tests_on_the_same(letters_zip, small_study, finished_run, tmp_path):
    half = dataclasses.replace(small_study, split=dataclasses.replace(small_study.split, fraction=0.5))
    run = run_study(Wishes(half, 3), letters_zip, tmp_path / "run")
    parts, whole = (folder.read_table("splits.csv")["part"].value_counts() for folder in (run, finished_run))
    assert parts["test"] == whole["test"]
    assert parts["train"] == pytest.approx(whole["train"] / 2, abs=1)
    assert set(run.read_table("predictions.csv")["name"]) == set(finished_run.read_table("predictions.csv")["name"])
    page = write_report(run).read_text(encoding="utf-8")
    assert "left out: training and validation use 0.5 of their parts" in page


# --- step by step ----------------------------------------------------------------------------------------------------


def names_in(folder):
    return {path.name for path in Path(folder).iterdir()} - {".local.json"}  # where things lie on this machine


def begun(run):
    """Returns the study of a run with nothing left open, its images and its splits, as the verbs make them."""
    study = run.resolve()
    images = load_images(
        run.letters, image_size=study.model.image_size, cache_dir=run.cache, crop=study.crop, data=study.data
    )
    return study, images, split_images(images, study.split, seed=3)


def trained(run, study, images, splits, phases=None):
    model = build_model(study.model, images, seed=3)
    for phase in phases or study.phases:
        history = train(model, splits, phase, seed=3, checkpoints=run)
    return model, history


def same_results(run, other):
    """Holds every table of two runs against one another, but for what tells the time that they took."""
    tables = [name for name in other.record.files if name.endswith(".csv") and name != "timing.csv"]
    assert {*("splits.csv", "history.csv", "predictions.csv", "per_label.csv", "predictions_head_random.csv")} < {
        *tables
    }
    for name in tables:
        assert (run.path / name).read_bytes() == (other.path / name).read_bytes(), name


@pytest.fixture
def run(letters_zip, small_study, tmp_path):
    return RunFolder.begin(tmp_path / "run", Wishes(small_study, 3), letters_zip)


def test_step_by_step_a_run_ends_as_it_does_at_once(run, finished_run):
    assert names_in(run) == {"run.json"}
    for _ in range(2):  # once more changes nothing
        run.save()
        assert names_in(run) == {"run.json", "ledger.csv"}
    study, images, splits = begun(RunFolder.resume(run.path))
    for _ in range(2):
        run.save(splits=splits)
        assert names_in(run) == {"run.json", "ledger.csv", "splits.csv"}
        assert run.facts == finished_run.facts
    run = RunFolder.resume(run.path, needs="splits.csv")
    model, history = trained(run, study, images, splits)
    assert names_in(run) == {"run.json", "ledger.csv", "splits.csv", "checkpoints"}
    for _ in range(2):
        run.save(training=history, model=model)
        assert names_in(run) == {"run.json", "ledger.csv", "splits.csv", "checkpoints"} | TRAINED
    run = RunFolder.resume(run.path, needs="model.keras")
    evaluation = evaluate(model, images, splits.test)
    for _ in range(2):
        before = snapshot(run.path)
        run.save(evaluation=evaluation)
        assert names_in(run) == {"run.json", "ledger.csv", "splits.csv", "predictions.csv"} | TRAINED
    assert snapshot(run.path) == before
    assert not run.finished
    assert finish_run(RunFolder.resume(run.path)).finished
    same_results(run, finished_run)


TRAINED = {"history.csv", "training.json", "model.keras"}


def test_an_archive_step_by_step_is_cleaned_as_at_once(small_study, tmp_path, draw, encode):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for signer, label, take in itertools.product(range(1, 6), "ABC", range(2)):
            target.writestr(f"user_{signer}/{label}{take}.png", encode(draw(label, signer, take)))
        target.writestr("user_1/A9.png", b"damaged")
    wishes = Wishes(small_study, 3)
    at_once, run = (RunFolder.begin(tmp_path / name, wishes, archive) for name in ("one", "two"))
    prepare_run(at_once)
    clean_archive(archive, run.path / "letters.zip")
    run.save()
    run.save(splits=begun(run)[-1])
    assert names_in(run) == names_in(at_once) == {"run.json", "letters.zip", "ledger.csv", "splits.csv"}
    for name in ("letters.zip", "ledger.csv", "splits.csv"):
        assert (run.path / name).read_bytes() == (at_once.path / name).read_bytes(), name
    assert len(run.ledger()) == 31
    assert run.facts == at_once.facts


def test_after_the_first_phase_the_run_knows_the_first_phase_only(run):
    run.save()
    study, images, splits = begun(run)
    run.save(splits=splits)
    model, history = trained(run, study, images, splits, study.phases[:1])
    assert set(history.history["phase"]) == {"head"}
    assert set(history.seconds) == set(history.largest_change) == {"head"}
    assert history.largest_change["head"]["Conv2D"] == 0 < history.largest_change["head"]["Dense"]
    with pytest.raises(RunError, match=r"predictions\.csv.*Run notebook 05_results first"):
        run.require("predictions.csv")

    before = snapshot(run.path)
    with pytest.raises(RunError, match=r"all its phases \(head, fine-tune\); this one went through head\. Train"):
        run.save(training=history, model=model)
    evaluation = evaluate(model, images, splits.test)
    with pytest.raises(RunError, match=r"model\.keras.*Run notebook 04_train first"):
        run.save(evaluation=evaluation)  # of a model that is half trained
    assert snapshot(run.path) == before


@pytest.mark.parametrize("given", ["training", "model"])
def test_a_training_and_its_model_are_saved_together(given, finished_run, run_copy):
    before = snapshot(run_copy.path)
    with pytest.raises(RunError, match=r"goes with its model.*Give both"):
        run_copy.save(**{given: object()})
    assert snapshot(run_copy.path) == before


@pytest.fixture
def evaluated(run_copy):
    """A trained run that has no predictions yet, and what evaluates its model on some of its images."""
    from casestudy.models import load_model

    table = run_copy.read_table("splits.csv")
    (run_copy.path / "predictions.csv").unlink()
    model, images = load_model(run_copy.path / "model.keras"), run_copy.load_images()
    assert images.names.tolist() == table["name"].tolist()
    return run_copy, lambda chosen: evaluate(model, images, np.flatnonzero(chosen(table["part"])))


@pytest.mark.parametrize(
    "other",
    [
        lambda part: part == "validation",
        lambda part: part == "train",
        lambda part: (part == "test") & (part.index % 2 == 0),
        lambda part: part.isin(["test", "validation"]),
    ],
    ids=["validation", "training", "half of it", "more than it"],
)
def test_predictions_of_another_part_are_refused(other, evaluated):
    run, evaluate_on = evaluated
    before = snapshot(run.path)
    evaluation = evaluate_on(other)
    with pytest.raises(RunError, match=f"whole test part; these {len(evaluation.predictions)} photographs are others"):
        run.save(evaluation=evaluation)
    assert snapshot(run.path) == before


def test_predictions_are_never_overwritten(evaluated, finished_run):
    run, evaluate_on = evaluated
    evaluation = evaluate_on(lambda part: part == "test")
    run.save(evaluation=evaluation)
    assert (run.path / "predictions.csv").read_bytes() == (finished_run.path / "predictions.csv").read_bytes()
    before = snapshot(run.path)
    run.save(evaluation=evaluation)  # the same again is no other
    better = evaluation.predictions.assign(p_A=1.0, p_B=0.0, p_C=0.0, predicted="A", confidence=1.0)
    with pytest.raises(RunError, match="Predictions are never overwritten"):
        run.save(evaluation=dataclasses.replace(evaluation, predictions=better))
    assert snapshot(run.path) == before


@pytest.mark.parametrize(("epochs", "by_verbs"), [(1, True), (2, True), (2, False)])
def test_a_killed_step_goes_on(epochs, by_verbs, run, finished_run, monkeypatch):
    """Killed after one epoch of the head, and after both; the same calls, or `finish_run`, end as if it never was."""
    from casestudy.training import phases

    run.save()
    study, images, splits = begun(run)
    run.save(splits=splits)
    fit_epoch, done = phases.fit_epoch, []

    def counted(*args, **options):
        if len(done) == epochs:
            raise KeyboardInterrupt
        done.append(options["entropy"])
        return fit_epoch(*args, **options)

    monkeypatch.setattr(phases, "fit_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        trained(run, study, images, splits)
    assert "history.csv" not in names_in(run)
    epochs = 99
    run = RunFolder.resume(run.path)
    if by_verbs:
        study, images, splits = begun(run)
        model, history = trained(run, study, images, splits)
        run.save(training=history, model=model)
        run.save(evaluation=evaluate(model, images, splits.test))
    else:
        finish_run(run)
        same_results(run, finished_run)
    assert done == [(3, 0, 0), (3, 0, 1), (3, 1, 0)]  # seed, phase, epoch: none of them twice
    for name in ("splits.csv", "history.csv", "predictions.csv"):
        assert (run.path / name).read_bytes() == (finished_run.path / name).read_bytes(), name
    assert "checkpoints" not in names_in(run)


def test_heads_on_a_random_base_take_the_statistics_of_their_own_fold(run_copy, monkeypatch):
    """A base with weights of its own gives every fold the same features, which are computed once."""
    from casestudy import training
    from casestudy.data.splits import leave_one_signer_out
    from casestudy.runs import work

    asked, folds = [], leave_one_signer_out(run_copy.load_images())
    head = next(model for model in run_copy.models() if model.role == "head")

    def features(spec, split, *, seed, target):
        asked.append(split.fold)
        return np.full((len(split.images), 2), len(asked), "float32")

    def probabilities(features, split, phase, *, dropout, seed):
        read = np.zeros((len(split.test), 3), "float32")
        read[:, 0] = features[0, 0]  # which features these are
        return read

    monkeypatch.setattr(training, "frozen_features", features)
    monkeypatch.setattr(training, "train_head", probabilities)
    for weights, times in ((None, len(folds)), ("imagenet", 1)):
        asked.clear()
        (run_copy.path / head.predictions()).unlink()
        run_copy.write_json("run.json", run_copy.read_json("run.json") | {"initial_weights": weights})
        work.train_heads(run_copy, [(head, folds)])
        assert asked == [fold.fold for fold in folds][:times]
        table = run_copy.read_table(head.predictions())
        of = dict(zip(table["signer"], table["p_A"], strict=True))
        assert [of[fold.fold] for fold in folds] == [min(k, times) for k in range(1, len(folds) + 1)]


@pytest.fixture
def trained_models(run_copy, monkeypatch):
    """Finishes a run in which nothing is trained; returns which models would be, on which protocol and harder test."""
    from casestudy.runs import steps, work

    def finished(compare_splits=False, first="head", always=False):
        values = run_copy.read_json("run.json") | {"compare_splits": compare_splits}
        values["study"]["compare_splits"] = always
        values["study"]["phases"][0]["trainable"] = first
        values.pop("files", None)
        run_copy.write_json("run.json", values)
        for table in run_copy.path.glob("predictions*.csv"):
            table.unlink()
        called = []
        with monkeypatch.context() as patch:
            patch.setattr(work, "_distorted", lambda *args: "harder")
            patch.setattr(
                work,
                "train_model",
                lambda run, model, split, fold, harder: called.append((model.role, split.protocol, harder)),
            )
            patch.setattr(
                work,
                "train_heads",
                lambda run, heads: called.extend((model.role, parts[0].protocol) for model, parts in heads),
            )
            patch.setattr(steps, "write_results", lambda run: None)
            patch.setattr(steps, "explain_run", lambda run, splits: None)
            steps.finish_run(run_copy)
        return called

    return finished


def test_a_random_split_is_trained_where_it_was_asked_for_and_tested_on_nothing_harder(trained_models):
    honest, heads = ("own", "signer", "harder"), [("head", "signer"), ("head", "random")]
    assert trained_models() == [honest, *heads]
    assert trained_models(compare_splits=True) == [honest, ("random", "random", None), *heads]
    assert trained_models(always=True) == [honest, ("random", "random", None), *heads]


def test_a_head_alone_is_trained_where_the_first_phase_trains_one(trained_models):
    assert trained_models(first="everything") == [("own", "signer", "harder")]


def test_the_second_test_reads_the_harder_images(run_copy, monkeypatch):
    """Every harder image once, and every clean one of the test part once; neither is trained again."""
    from types import SimpleNamespace

    import pandas as pd

    from casestudy.data import split_images
    from casestudy.runs import work

    images = run_copy.load_images()
    split = split_images(images, run_copy.record.wishes.study.split, seed=3)
    count = len(split.test)
    names = np.array([f"harder {k}" for k in range(count)])
    harder = dataclasses.replace(
        *(images,), images=images.images[:count], labels=images.labels[:count], names=names, groups=np.arange(count)
    )
    (run_copy.path / "predictions.csv").unlink()
    monkeypatch.setattr(work, "_train_phases", lambda *args: None)

    def evaluated(network, images, indices):
        return SimpleNamespace(predictions=pd.DataFrame({"name": images.names[indices]}))

    monkeypatch.setattr(work, "evaluate", evaluated)
    work.train_model(run_copy, run_copy.models()[0], split, harder=harder)
    assert run_copy.read_table("predictions_distorted.csv")["name"].tolist() == names.tolist()
    assert run_copy.read_table("predictions.csv")["name"].tolist() == images.names[split.test].tolist()
