"""A training made again tells an invented run from a real one, goes on where it stopped, and keeps whom it chose."""

import json

import pytest

from casestudy.errors import GradingError
from casestudy.evaluation import evaluate_predictions
from casestudy.grading.challenge import challenge
from casestudy.grading.containers import READ
from casestudy.grading.key import load_key, write_key
from casestudy.grading.many import grade_all
from casestudy.grading.rubric import Criterion, Rubric
from casestudy.grading.submit import write_submission

ROW = Criterion("split", 10, "title", "full", "partial", "none", "`splits.csv`, `run.json`", "honest_split")


@pytest.fixture
def handed_in(finished_run, tmp_path):
    """An honest submission, and one whose predictions were invented; with reports and key."""
    key = write_key(finished_run, tmp_path / "key.json") and load_key(tmp_path / "key.json")
    names = {f"run/{p.relative_to(finished_run.path).as_posix()}": p for p in finished_run.path.rglob("*")}
    files = {name: path.read_bytes() for name, path in names.items() if READ.fullmatch(name) and path.is_file()}
    table = finished_run.read_table("predictions.csv")
    columns = [name for name in table if name.startswith("p_")]
    invented = table.assign(**{name: table[name].to_numpy()[::-1] for name in columns})
    evaluate_predictions(invented, finished_run.facts.class_names)
    forged = files | {"run/predictions.csv": invented.to_csv(index=False).encode()}
    write_submission(files, tmp_path / "in" / "anna.zip")
    write_submission(forged, tmp_path / "in" / "ben.zip")
    paths = {f"{name}.zip": tmp_path / "in" / f"{name}.zip" for name in ("anna", "ben")}
    return grade_all(paths, Rubric((ROW,)), key), paths, key


def test_what_was_invented_does_not_come_out_of_a_training(handed_in, finished_run, tmp_path, monkeypatch):
    reports, paths, key = handed_in
    said = challenge(reports, paths, key, tmp_path / "c", finished_run.letters, 5)
    found = {one.source: one for one in said}
    assert found["anna.zip"].holds is True, found
    assert found["ben.zip"].holds is False
    assert "predictions.csv comes out the same" in found["ben.zip"].sentence
    chosen = json.loads((tmp_path / "c" / "chosen.json").read_text())["chosen"]
    assert sorted(chosen) == ["anna.zip", "ben.zip"]
    # A second call trains nothing again, and chooses the same.
    monkeypatch.setattr("casestudy.grading.challenge._trained_again", None)
    assert challenge(reports, paths, key, tmp_path / "c", finished_run.letters, 5) == said
    assert [one.source for one in challenge(reports, paths, key, tmp_path / "c", finished_run.letters, 1)] == chosen[:1]


def test_another_challenges_folder_and_endless_epochs_are_refused(handed_in, finished_run, tmp_path):
    reports, paths, key = handed_in
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "chosen.json").write_text('{"chosen": ["cleo.zip"]}')
    with pytest.raises(GradingError, match=r"cleo.zip, which is not among these"):
        challenge(reports, paths, key, tmp_path / "c", finished_run.letters, 1)
    short = {**key.recipe, "phases": [{**phase, "epochs": 0} for phase in key.recipe["phases"]]}
    tiny = load_key(tmp_path / "key.json")
    object.__setattr__(tiny, "recipe", {**short, "phases": [{**p, "epochs": 1} for p in short["phases"]]})
    asked = sum(phase["epochs"] for phase in key.recipe["phases"])
    (one,) = challenge(reports[:1], paths, tiny, tmp_path / "d", finished_run.letters, 1)
    assert (one.holds is None) == (asked > 2 * len(short["phases"]))
