"""A good run passes; whatever is changed in it is found, even where the recorded hashes were changed with it."""

import dataclasses
import itertools
import json
import shlex
import shutil
import zipfile
from types import SimpleNamespace

import pandas as pd
import pytest

from casestudy.cli import main
from casestudy.errors import RunError
from casestudy.runs import Options, RunFolder, prepare_run, run_study, verify, verify_run
from casestudy.runs.results import write_results
from casestudy.runs.trained import TrainedModel
from casestudy.studies import STUDIES
from casestudy.study import Phase
from casestudy.training import next_rate

FILES = "files are the ones written"
MADE_FROM = {"samples.csv": "predictions.csv", "reliability.csv": "predictions.csv", "scores.csv": "metrics.json"}


SPLIT = "splits.csv follows from the data, the study's rules and seed 3"
PACE = "history.csv and training.json have the phases' epochs, rates and pace"


def failed(run) -> list[str]:
    return [what for what, holds, _ in verify_run(RunFolder.resume(run.path)) if holds is False]


def reseal(run) -> None:
    """Makes the hashes fit, as whoever covers up a change would."""
    run.seal()


def edit(run, name, change) -> None:
    table = run.read_table(name)
    change(table)
    run.write_table(name, table)


def test_a_good_run_holds(finished_run):
    checks = verify_run(finished_run)
    assert [what for what, holds, _ in checks if not holds] == []
    said = " ".join(what for what, _, _ in checks)
    for name in ("headline", "per_label.csv", "per_signer.csv", "confusion.csv", "most_confused.csv", "test part"):
        assert name in said
    assert {"samples.csv", "reliability.csv"} <= set(said.split())
    assert "scores.csv follows from metrics.json" in said
    assert len([what for what, _, _ in checks if what.startswith("score ")]) == 3


def test_an_edited_prediction(run_copy):
    def better(table):
        k = (table["label"] != table["predicted"]).to_numpy().nonzero()[0][0]
        table.loc[k, ["p_A", "p_B", "p_C"]] = 0.0
        table.loc[k, "p_" + table.loc[k, "label"]] = 1.0

    edit(run_copy, "predictions.csv", better)
    assert FILES in failed(run_copy)
    reseal(run_copy)
    found = failed(run_copy)
    assert FILES not in found
    assert "score 'headline' follows from predictions.csv" in found
    assert "per_label.csv follows from predictions.csv" in found


def test_an_edited_metric(run_copy):
    metrics = json.loads((run_copy.path / "metrics.json").read_text())
    metrics["scores"][0]["accuracy"] += 0.01
    (run_copy.path / "metrics.json").write_text(json.dumps(metrics))
    reseal(run_copy)
    assert failed(run_copy) == [
        "score 'headline' follows from predictions.csv",
        "scores.csv follows from metrics.json",
    ]


def test_a_run_sealed_before_a_table_was_written_is_whole_without_it(run_copy):
    for name in ("samples.csv", "reliability.csv", "scores.csv"):
        (run_copy.path / name).unlink()
    assert failed(run_copy) == [FILES]
    reseal(run_copy)
    assert failed(run_copy) == []


@pytest.mark.parametrize("name", ["per_label.csv", "per_signer.csv", "confusion.csv", "top_losses.csv", "samples.csv"])
def test_an_edited_table(name, run_copy):
    path = run_copy.path / name
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    digit = next(k for k, letter in reversed(list(enumerate(lines[1]))) if letter.isdigit())
    lines[1] = lines[1][:digit] + str((int(lines[1][digit]) + 1) % 10) + lines[1][digit + 1 :]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    counted = [f"{name} is what scikit-learn counts"] if name == "confusion.csv" else []
    assert failed(run_copy) == [FILES, *counted, f"{name} follows from predictions.csv"]
    reseal(run_copy)
    assert failed(run_copy) == [*counted, f"{name} follows from predictions.csv"]


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_signer_who_leaks(part, run_copy):
    def leak(table):
        k = (table["part"] == "test").to_numpy().nonzero()[0][0]
        table.loc[k, "part"] = part

    edit(run_copy, "splits.csv", leak)
    reseal(run_copy)
    assert failed(run_copy)[:2] == [SPLIT, "no signer is in two parts"]


def test_a_signer_in_training_and_validation(run_copy):
    def leak(table):
        k = (table["part"] == "train").to_numpy().nonzero()[0][0]
        table.loc[k, "part"] = "validation"

    edit(run_copy, "splits.csv", leak)
    reseal(run_copy)
    assert failed(run_copy) == [SPLIT, "no signer is in two parts", PACE]


def test_a_photograph_tested_twice(run_copy):
    edit(run_copy, "predictions.csv", lambda table: table.__setitem__("name", table["name"].iloc[0]))
    reseal(run_copy)
    assert "predictions.csv is of the test part, each once" in failed(run_copy)


def test_labels_bent_to_the_predictions(run_copy):
    """The truth is the ledger's and the split's, not what predictions.csv says about itself."""
    edit(run_copy, "predictions.csv", lambda table: table.__setitem__("label", table["predicted"]))
    write_results(run_copy)
    reseal(run_copy)
    assert run_copy.read_json("metrics.json")["scores"][0]["accuracy"] == 1.0
    assert failed(run_copy) == [
        "predictions.csv says of each row what its probabilities say",
        "predictions.csv is of the test part, each once",
        "predictions.csv is what model.keras makes of the data",
        *(f"{name} is what the model sees in the data" for name in ("near.csv", "heat.csv")),
    ]


@pytest.mark.parametrize("name", ["model.keras", "plots/confusion.png", "per_signer.csv"])
def test_a_missing_file(name, run_copy):
    (run_copy.path / name).unlink()
    checks = verify_run(RunFolder.open(run_copy.path))
    assert [detail for what, holds, detail in checks if what == FILES and not holds] == [name]


def test_missing_predictions_are_named(run_copy):
    (run_copy.path / "predictions.csv").unlink()
    assert any("predictions.csv" in what for what, holds, _ in verify_run(run_copy) if not holds)


def test_predictions_without_a_label_are_a_finding_and_no_traceback(run_copy):
    table = run_copy.read_table("predictions.csv")
    run_copy.write_table("predictions.csv", table.drop(columns=[c for c in table.columns if c.startswith("p_")][:1]))
    assert any("headline" in what for what, holds, _ in verify_run(run_copy) if not holds)


def test_duplicates_in_two_parts_are_named(run_copy):
    splits, ledger = run_copy.read_table("splits.csv"), run_copy.read_table("ledger.csv")
    entry = dict(zip(ledger["stored_as"], ledger["entry"], strict=True))
    first, second = (entry[splits.loc[splits["part"] == part, "name"].iloc[0]] for part in ("train", "test"))
    ledger.loc[ledger["entry"] == second, "duplicate_of"] = first
    run_copy.write_table("ledger.csv", ledger)
    assert any(what == "no duplicate is in two parts" for what, holds, _ in verify_run(run_copy) if not holds)


def test_a_test_part_that_the_data_do_not_allow_is_a_finding_and_no_traceback(run_copy):
    values = run_copy.read_json("run.json")
    values["study"]["split"]["test"] = 0.75
    run_copy.write_json("run.json", values)
    reseal(run_copy)
    assert SPLIT in failed(run_copy)


def test_cells_that_no_program_wrote_are_findings_and_no_traceback(run_copy):
    path = run_copy.path / "predictions.csv"
    head, first, *rest = path.read_text(encoding="utf-8").splitlines()
    cells = first.split(",")
    cells[head.split(",").index("p_A")] = "1e999"
    path.write_text("\n".join([head, ",".join(cells), *rest, ""]), encoding="utf-8")
    edit(run_copy, "splits.csv", lambda table: table.drop(columns="signer", inplace=True))
    reseal(run_copy)
    found = failed(run_copy)
    assert "score 'headline' follows from predictions.csv" in found and "splits.csv can be read" in found


@pytest.mark.parametrize("name", ["splits.csv", "ledger.csv", "training.json", "history.csv", "predictions.csv"])
@pytest.mark.parametrize("content", [b"", b"caf\xe9,\xff\n", b"name\n"], ids=["empty", "latin-1", "header"])
def test_a_file_that_cannot_be_read_is_a_finding(name, content, run_copy):
    (run_copy.path / name).write_bytes(content)
    reseal(run_copy)
    assert failed(run_copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename(columns={"metric": "what"}),
        lambda table: table.assign(value=""),
        lambda table: table[table["metric"] != "learning_rate"],
    ],
)
def test_a_history_without_what_it_needs_is_a_finding(change, run_copy):
    run_copy.write_table("history.csv", change(run_copy.read_table("history.csv")))
    reseal(run_copy)
    assert {PACE, "every history can be read"} & set(failed(run_copy))


def test_a_cycle_that_ends_an_epoch_early_is_a_finding(tmp_path):
    """The rate of a cycle's last epoch is 0: none that is left out."""
    cycle = Phase("train", "everything", epochs=4, learning_rate=0.1, schedule="one-cycle")
    rates = [next_rate(cycle, [], epoch) for epoch in range(4)]
    assert rates[-1] == 0.0

    def faults(epochs):
        rows = [f"train,{k + 1},{name},{value}" for k in range(epochs) for name, value in
                (("loss", 0.5), ("accuracy", 0.5), ("learning_rate", rates[k]))]  # fmt: skip
        (tmp_path / "history.csv").write_text("\n".join(["phase,epoch,metric,value", *rows, ""]))
        training = SimpleNamespace(seconds={"train": 2.0}, images_per_second={"train": 5.0 * epochs})
        return verify._faults(SimpleNamespace(path=tmp_path, training=lambda home: training), "", [cycle], 10)

    assert (faults(4), faults(3)) == ("", "train: 3 epochs")


def test_a_variant_with_parts_of_its_own_is_not_held_against_those_of_the_study(monkeypatch):
    """As the published networks of Fashion-MNIST, EMNIST and the plates, which hold out another share."""
    study = STUDIES["fashion-mnist"]
    assert study.variants[0].split is not None
    seen = {}
    monkeypatch.setattr(verify, "_faults", lambda run, home, phases, trained: seen.update({home: trained}) or "")
    run = SimpleNamespace(
        read_table=lambda name: pd.DataFrame({"name": "abc", "part": ["train", "train", "test"]}, index=range(3)),
        record=SimpleNamespace(wishes=SimpleNamespace(study=study)),
        models=lambda: [
            TrainedModel("headline", "own", "published", "all"),
            TrainedModel(study.variants[0].name, "variant", "published", "all"),
            TrainedModel("random", "random", "random", "all"),
        ],
        has=lambda name: True,
    )
    assert all(holds for _, holds, _ in verify._trainings(run))
    assert seen == {"": 2, f"variants/{study.variants[0].name}/": None, "random/": None}


def test_an_unfinished_run_cannot_be_verified(run_copy):
    values = run_copy.read_json("run.json")
    del values["files"]
    run_copy.write_json("run.json", values)
    with pytest.raises(RunError, match="finished run"):
        verify_run(run_copy)


def test_training_again_gives_the_same(finished_run, tmp_path):
    checks = verify_run(finished_run, retrain=tmp_path / "again")
    assert [what for what, holds, _ in checks if not holds] == []
    same = [what for what, _, _ in checks if what.endswith("comes out the same")]
    for name in ("splits.csv", "history.csv", "predictions.csv", "predictions_head.csv"):
        assert f"{name} comes out the same" in same
    for name in ("splits.csv", "history.csv", "predictions.csv", "metrics.json"):
        assert (tmp_path / "again" / name).read_bytes() == (finished_run.path / name).read_bytes()


def test_training_again_finds_another_result(run_copy, finished_run, tmp_path, monkeypatch):
    from casestudy.runs import again

    monkeypatch.setattr(again, "finish_run", lambda run: finished_run)  # stands for the second run
    edit(run_copy, "history.csv", lambda table: table.__setitem__("value", table["value"] + 1e-9))
    reseal(run_copy)
    checks = verify_run(run_copy, retrain=tmp_path / "again")
    assert [what for what, holds, _ in checks if not holds] == [PACE, "history.csv comes out the same"]
    elsewhere = dataclasses.replace(finished_run.resolved.machine, device="another")
    record = dataclasses.replace(run_copy.record, resolved=dataclasses.replace(run_copy.resolved, machine=elsewhere))
    run_copy.write_record(record)
    run_copy.seal()
    checks = verify_run(run_copy, retrain=tmp_path / "elsewhere")
    said = [(what, detail) for what, holds, detail in checks if holds is None]
    assert said == [("history.csv comes out the same", "device another there, CPU here")]


def test_training_again_starts_from_the_weights_that_auto_came_to(run_copy, tmp_path, monkeypatch):
    from casestudy.runs import again

    values, asked = run_copy.read_json("run.json"), []
    values["study"]["model"]["weights"] = "auto"
    run_copy.write_json("run.json", values | {"initial_weights": "signs"})
    monkeypatch.setattr(again, "finish_run", lambda run: asked.append(run.record.wishes) or run_copy)
    verify_run(run_copy, retrain=tmp_path / "again")
    assert [wishes.study.model.weights for wishes in asked] == ["signs"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory, draw, encode):
    """A run in which all that can be asked for differs from the study's own, on photographs that a pattern reads."""
    from casestudy.models.network import MODELS
    from casestudy.models.quantised import write_quantised

    folder = tmp_path_factory.mktemp("asked")
    archive, boxes = folder / "shots.zip", "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\n"
    with zipfile.ZipFile(archive, "w") as target:
        for signer, label, take in itertools.product(range(1, 6), "ABC", range(3)):
            name = f"hand{signer}_{label.lower()}_{take}.png"
            target.writestr(f"all shots/{name}", encode(draw(label, signer, take)))
            boxes += f"{name},{take},2,30,{28 + take}\n"
        target.writestr("all shots/boxes.csv", boxes)
    weights = write_quantised(MODELS["small_cnn"](input_shape=(32, 24, 3), weights=None), folder / "my own.npz")
    options = Options(
        "dense-baseline",
        data=str(archive),
        seed=5,
        epochs=(1, 1),
        fraction=0.6,
        precision="mixed_bfloat16",
        learning_rate=(0.0123456789, 1 / 3000),
        image_size=(32, 24),
        model="small_cnn",
        weights=str(weights),
        fine_tune="top:2",
        variants="dense",
        compare_splits=True,
        crop="boxes",
        mirror=True,
        pattern=r"hand(?P<signer>\d)_(?P<label>\w)_",
    )
    wishes = options.wishes()
    changed = " ".join(Options("dense-baseline").wishes().differences(wishes))
    for what in (
        *("seed", "compare_splits", "precision", "epochs", "split.fraction", "learning_rate", "model.image_size"),
        *("study.model.name", "model.weights", "trainable", "study.variants", "crop", "mirror", "pattern"),
    ):
        assert what in changed
    return run_study(wishes, archive, folder / "run"), archive


def test_what_was_asked_for_is_what_was_done(asked):
    run, _ = asked
    assert run.resolved.machine.precision == "mixed_bfloat16"
    assert run.resolved.machine.image_size == (32, 24)
    assert run.resolved.weights == "the file my own.npz"
    assert run.facts.cropped
    assert run.facts.class_names == ("A", "B", "C")
    assert set(run.read_table("splits.csv")["signer"]) == set("12345")
    assert [score.name for score in run.scores()] == [
        *("headline", "head", "head-everyone", "head-random", "random", "dense"),
    ]


def test_a_run_that_was_asked_for_everything_is_trained_again_alike(asked, tmp_path):
    run, archive = asked
    checks = verify_run(run, retrain=tmp_path / "again")
    assert [what for what, holds, _ in checks if not holds] == []
    same = {what.split()[0] for what, _, _ in checks if what.endswith("comes out the same")}
    assert same == {
        *("ledger.csv", "splits.csv", "history.csv", "random/history.csv", "variants/dense/history.csv"),
        *(f"predictions{of}.csv" for of in ("", "_head", "_head_everyone", "_head_random", "_random", "_dense")),
    }
    again = RunFolder.resume(tmp_path / "again")
    assert again.record.wishes == run.record.resolved_wishes()
    assert again.resolved == run.resolved

    from_archive = RunFolder.begin(tmp_path / "from archive", run.record.resolved_wishes(), archive)
    prepare_run(from_archive)
    for name in ("letters.zip", "ledger.csv", "splits.csv"):
        assert (from_archive.path / name).read_bytes() == (run.path / name).read_bytes(), name


def test_an_archive_that_is_not_cleaned_is_no_failure_and_the_advice_works(asked, tmp_path, monkeypatch):
    run, archive = asked
    copy = RunFolder.open(shutil.copytree(run.path, tmp_path / "handed in", ignore=shutil.ignore_patterns("*.zip")))
    checks = verify_run(copy, source=archive)
    told = [
        detail for what, holds, detail in checks if holds is None and what.endswith("made again from model and data")
    ]
    (told,) = set(told)
    assert told.startswith("shots.zip is not clean yet")
    monkeypatch.chdir(tmp_path)
    shutil.copy(archive, "shots.zip")
    assert main(shlex.split(told.partition("--data: casestudy ")[2])) == 0
    checks = verify_run(copy, source=tmp_path / "letters.zip")
    assert ("predictions.csv is what model.keras makes of the data", True, "to the last bit") in checks


LETTERS = "letters.zip holds all 48 entries of the ledger, bytes unchanged"


def repacked(source, target, change):
    """Writes a zip with what `change(name, bytes)` makes of each file; None leaves it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if (data := change(name, old.read(name))) is not None:
                new.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda name, data: data, []),
        (lambda name, data: data + b"!" if name == "A/user_1__A0.png" else data, ["user_1/A0.png"]),
        (lambda name, data: None if name == "_sidecar/user_9/sidecar.png" else data, ["user_9/sidecar.png"]),
    ],
    ids=["whole", "changed", "lost"],
)
def test_the_photographs_of_a_run_are_compared_byte_by_byte(change, lost, run_copy, letters_zip):
    repacked(letters_zip, run_copy.path / "letters.zip", change)
    reseal(run_copy)
    found = {what: (holds, detail) for what, holds, detail in verify_run(RunFolder.open(run_copy.path))}
    assert found.pop(LETTERS) == (not lost, ", ".join(lost))
    others = {what for what, (holds, _) in found.items() if not holds}
    assert others == ({"the data are those of the run"} if lost == ["user_1/A0.png"] else set()) | {
        what for what in others if what.endswith("made again from model and data")
    }


def test_a_file_that_was_changed_is_named(run_copy):
    name = "model.keras"
    (run_copy.path / name).write_bytes((run_copy.path / name).read_bytes() + b"!")
    checks = verify_run(RunFolder.resume(run_copy.path))
    assert [(what, detail) for what, holds, detail in checks if not holds] == [(FILES, name)]


@pytest.mark.parametrize(("protocol", "told"), [("signer", True), ("leave-one-signer-out", True), ("random", False)])
def test_signers_are_held_apart_wherever_a_split_says_so(protocol, told, run_copy):
    def leak(table):
        k = (table["part"] == "train").to_numpy().nonzero()[0][0]
        table.loc[k, "part"] = "validation"

    edit(run_copy, "splits.csv", leak)
    run_copy.write_json("run.json", run_copy.read_json("run.json") | {"protocol": protocol})
    reseal(run_copy)
    assert ("no signer is in two parts" in failed(run_copy)) == told
    assert ("the split is the one asked for, signer" in failed(run_copy)) == (protocol != "signer")


def test_copies_in_training_and_validation_are_named(run_copy):
    splits, ledger = run_copy.read_table("splits.csv"), run_copy.read_table("ledger.csv")
    entry = dict(zip(ledger["stored_as"], ledger["entry"], strict=True))
    first, second = (entry[splits.loc[splits["part"] == part, "name"].iloc[0]] for part in ("train", "validation"))
    ledger.loc[ledger["entry"] == second, "near_duplicate_of"] = first
    run_copy.write_table("ledger.csv", ledger)
    reseal(run_copy)
    assert failed(run_copy) == ["ledger.csv is that of the photographs", "no duplicate is in two parts"]
