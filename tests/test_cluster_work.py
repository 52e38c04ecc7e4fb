"""Gradings, searches and cleanings on a cluster end with the bytes of those without."""

import dataclasses
import io
import json
import zipfile
from functools import partial

import pytest
import worked
from drawn_submissions import good, make_key, packed
from test_tuning import STUDY

from casestudy.cluster import run_tasks
from casestudy.data.drawn import stand_in
from casestudy.errors import ClusterError, GradingError
from casestudy.grading import many
from casestudy.grading.grade import grade_safely
from casestudy.grading.gradebook import write_gradebook
from casestudy.grading.many import grade_all
from casestudy.grading.rubric import load_rubric
from casestudy.runs import search


@pytest.fixture(scope="module")
def submissions(tmp_path_factory):
    """Six files: two alike, one with the same run in another file, one without evidence, one that is no zip."""
    folder = tmp_path_factory.mktemp("downloads")
    drawn = {f"s{seed}.zip": packed(good(seed)) for seed in (1, 2, 3)} | {"s4.zip": packed({}), "s5.zip": b"no zip"}
    drawn |= {"s2.zip": drawn["s1.zip"], "s6.zip": packed(good(1), student="Ben Berg")}
    for name, data in drawn.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in drawn}


def written(reports, rubric, out):
    """Returns the bytes of every file that an instructor gets."""
    write_gradebook(reports, rubric, out)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


WAYS = ("jobs:2", "local:2")


@pytest.mark.parametrize("way", WAYS)
def test_grades_are_the_same_however_many_grade_though_one_is_killed(submissions, way, monkeypatch, tmp_path):
    if way.startswith("local"):
        pytest.importorskip("distributed")
    rubric, key = load_rubric(None), make_key()
    alone = grade_all(submissions, rubric, key)
    monkeypatch.setattr(many, "A_TASK", 2)
    monkeypatch.setattr(many, "_grade_some", worked.grades_and_dies_once)
    found = written(grade_all(submissions, rubric, key, way, tmp_path / "kept"), rubric, tmp_path / "many")
    assert (tmp_path / "died").read_text() == "begun"
    assert found == written(alone, rubric, tmp_path / "alone") and "grades.csv" in found
    assert [report.source for report in alone] == list(submissions)
    assert any("Shares with" in remark for remark in alone[0].remarks)  # which is told of files of two tasks
    assert not list(tmp_path.rglob(".seen-*"))


def test_a_grading_that_was_stopped_goes_on_and_another_rubric_or_key_begins_again(submissions, monkeypatch, tmp_path):
    rubric, key, graded, stop = load_rubric(None), make_key(), [], [3]

    def grade(submission, **by):
        if len(graded) == stop[0]:
            raise KeyboardInterrupt
        graded.append(submission.source)
        return grade_safely(submission, **by)

    alone = written(grade_all(submissions, rubric, key), rubric, tmp_path / "alone")
    monkeypatch.setattr(many, "grade_safely", grade)
    kept = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        grade_all(submissions, rubric, key, kept=kept)
    stop[0] = None
    for name in ("on", "again"):
        assert written(grade_all(submissions, rubric, key, kept=kept), rubric, tmp_path / name) == alone
        assert graded == list(submissions)  # each once
    assert any("every prediction" in text.decode() for text in alone.values())  # which is told of what was kept, too
    grade_all(submissions, rubric, make_key(archive="cd" * 32), kept=kept)
    reworded = dataclasses.replace(rubric.criteria[0], title="Another title")
    grade_all(submissions, dataclasses.replace(rubric, criteria=(reworded, *rubric.criteria[1:])), key, kept=kept)
    assert graded == list(submissions) * 3
    other = tmp_path / "s1.zip"
    other.write_bytes(packed(good(9)))
    grade_all({"s1.zip": other}, rubric, key, kept=kept)
    assert len(graded) == 19  # the same name, another submission
    for path in kept.iterdir():
        path.write_text(path.read_text()[:-9])  # cut short, by a disk that was full, say
    assert written(grade_all(submissions, rubric, key, kept=kept), rubric, tmp_path / "mended") == alone


def test_the_command_grades_with_processes_and_keeps_what_is_graded(submissions, tmp_path, monkeypatch, capsys):
    from casestudy.cli import main
    from casestudy.grading.key import key_text

    (tmp_path / "key.json").write_text(key_text(make_key()), encoding="utf-8")
    call = ["grade", str(submissions["s1.zip"].parent), "--key", str(tmp_path / "key.json"), "--quiet", "--out"]
    assert main([*call, str(tmp_path / "alone")]) == main([*call, str(tmp_path / "many"), "--jobs", "2"]) == 0
    tables = [(tmp_path / name / "grades.csv").read_bytes() for name in ("alone", "many")]
    assert tables[0] == tables[1] and tables[0].count(b"\n") == 7
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "many" / ".graded").iterdir()}
    assert main([*call, str(tmp_path / "many")]) == 0 and len(kept) == 6
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "many" / ".graded").iterdir()} == kept
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "grades.csv").write_text("somebody's")
    assert main([*call, str(tmp_path / "strange"), "--jobs", "2"]) == 2
    assert (
        "Grades are never overwritten" in capsys.readouterr().err and len(list((tmp_path / "strange").iterdir())) == 1
    )


def test_a_submission_that_is_gone_is_nobodys_zero(submissions, tmp_path):
    with pytest.raises(GradingError, match=r"s9\.zip is gone\. Put it back\."):
        grade_all({"s1.zip": submissions["s1.zip"], "s9.zip": tmp_path / "s9.zip"}, load_rubric(None), make_key())


def test_a_search_tries_the_same_with_any_number_of_workers(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    pytest.importorskip("keras_tuner")
    monkeypatch.setattr(search, "ROUND", 2)
    study, data = STUDY, stand_in(STUDY, tmp_path / "data")
    alone = json.loads(search.tune(study, data, tmp_path / "alone", seed=0, trials=4).read_text())
    many = json.loads(search.tune(study, data, tmp_path / "many", seed=0, trials=4, cluster="local:2").read_text())
    assert many == alone
    assert len({json.dumps(trial["values"]) for trial in alone["trials"]}) == 4


def test_a_search_knows_the_scores_of_earlier_rounds_and_reads_trials_that_are_there(tmp_path, monkeypatch):
    """Eight values, of which the last is best: after the first ones by chance, it is gone for."""
    pytest.importorskip("keras_tuner")
    space = {"dropout": [k / 100 for k in range(40)]}
    study = dataclasses.replace(STUDY, search=dataclasses.replace(STUDY.search, space=space))
    data = stand_in(study, tmp_path / "data")
    trained = []

    def score(self, trial):
        name, values = trial
        trained.append(name)
        return {"values": values, "parameters": 1, "val_accuracy": values["dropout"]}

    with monkeypatch.context() as patch:
        patch.setattr(search._Trials, "tried", score)
        patch.setattr(search, "ROUND", 3)
        found = json.loads(search.tune(study, data, tmp_path / "search", seed=5, trials=9).read_text())
    tried = [trial["values"]["dropout"] for trial in found["trials"]]
    assert trained == [f"{k:03}" for k in range(9)] and found["best"]["val_accuracy"] == max(tried)
    assert sum(tried[6:]) / 3 > sum(tried[:3]) / 3
    with monkeypatch.context() as patch:
        patch.setattr(search._Trials, "tried", score)
        patch.setattr(search, "ROUND", 3)
        again = json.loads(search.tune(study, data, tmp_path / "again", seed=5, trials=6).read_text())
    assert again["trials"] == found["trials"][:6]  # more trials go on where fewer ended


def test_a_cluster_is_looked_for_before_the_work(tmp_path, submissions, capsys):
    pytest.importorskip("distributed")
    from casestudy.cli import main

    for call in (["run"], ["tune", "emnist"], ["grade", str(tmp_path), "--key", "none.json"]):
        assert main([*call, "--cluster", "tcp://127.0.0.1:9"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("casestudy: --cluster names a Dask scheduler that answers") and said.count("\n") == 1
    with pytest.raises(ClusterError):
        grade_all(submissions, load_rubric(None), make_key(), "local")


@pytest.fixture
def archives(tmp_path, draw, encode):
    """Three archives: a copy across two, a damaged picture, one that can be mended, boxes, and an archive inside."""
    held = {
        "a.zip": {f"user_1/{label}{k}.png": encode(draw(label, 1, k)) for label in "ABC" for k in range(2)},
        "b.zip": {f"user_2/{label}0.jpg": encode(draw(label, 2, 0), "JPEG") for label in "ABC"},
        "c.zip": {"user_3/A0.png": encode(draw("A", 3, 0)), "user_3/notes.txt": b"nothing"},
    }
    held["b.zip"] |= {"user_2/A1.png": held["a.zip"]["user_1/A1.png"], "user_2/B1.png": encode(draw("B", 2, 1))[:-20]}
    held["b.zip"]["user_2/C1.jpg"] = held["b.zip"]["user_2/C0.jpg"][:-2]
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("user_4/C0.png", encode(draw("C", 4, 0)))
    held["c.zip"]["more.zip"] = inner.getvalue()
    for name, files in held.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry, data in files.items():
                archive.writestr(entry, data)
    return [tmp_path / name for name in held]


@pytest.mark.parametrize("workers", [("--jobs", "2"), ("--cluster", "local:2")])
def test_archives_are_cleaned_to_the_same_bytes(archives, workers, tmp_path, monkeypatch):
    if "--cluster" in workers:
        pytest.importorskip("distributed")
    from casestudy.cli import main

    monkeypatch.chdir(tmp_path)
    call = ["clean", *(path.name for path in archives), "--repair", "--quiet"]
    assert main([*call, "--out", "alone.zip"]) == 0
    assert main([*call, "--out", "many.zip", *workers]) == 0
    assert not (tmp_path / "many.shards").exists()
    assert (tmp_path / "alone.zip").read_bytes() == (tmp_path / "many.zip").read_bytes()
    with zipfile.ZipFile("many.zip") as archive:
        told = archive.read("ledger.csv").decode()
    for word in ("duplicate", "corrupt", "_quarantine", "b.zip/user_2/C1.jpg", "c.zip/more.zip"):
        assert word in told, word


def test_a_shard_must_be_of_the_archive_that_is_there(archives, tmp_path):
    from casestudy.cleaning import clean_archive
    from casestudy.errors import ConservationError

    for change in (lambda rows: rows[:-1], lambda rows: [*rows, rows[0]], lambda rows: [rows[1], rows[0], *rows[2:]]):

        def each(make, tasks, change=change):
            for task in tasks:
                make(task)
            shard = tasks[-1][1]
            with zipfile.ZipFile(shard) as source:
                held = {name: source.read(name) for name in source.namelist()}
            index = json.loads(held["found.json"])
            index["rows"] = change(index["rows"])
            with zipfile.ZipFile(shard, "w") as target:
                for name, data in (held | {"found.json": json.dumps(index).encode()}).items():
                    target.writestr(name, data)

        with pytest.raises(ConservationError, match="was another file when it was screened"):
            clean_archive(archives, tmp_path / "out.zip", progress=False, beside=(each, tmp_path / "shards"))
        assert not (tmp_path / "out.zip").exists()
        for shard in (tmp_path / "shards").iterdir():
            shard.unlink()


@pytest.mark.parametrize("way", WAYS)
def test_archives_are_cleaned_to_the_same_bytes_though_a_worker_is_killed(archives, way, tmp_path):
    if way.startswith("local"):
        pytest.importorskip("distributed")
    from casestudy.cleaning import clean_archive

    def each(make, tasks):
        return run_tasks(partial(worked.dies_once_before, tmp_path / "died", make), tasks, way, tmp_path / "shards")

    alone = clean_archive(archives, tmp_path / "alone.zip", progress=False)
    beside = (each, tmp_path / "shards")
    assert clean_archive(archives, tmp_path / "many.zip", progress=False, beside=beside) == alone
    assert (tmp_path / "many.zip").read_bytes() == (tmp_path / "alone.zip").read_bytes()
    assert (tmp_path / "died").exists() and not (tmp_path / "shards").exists()


def test_a_cleaning_that_was_stopped_goes_on_with_the_shards_that_are_there(archives, tmp_path):
    from casestudy.cleaning import clean_archive

    made, shards = [], tmp_path / "shards"

    def each(make, tasks):
        for task in tasks:
            if len(made) == 2:
                made.append("stopped")
                raise KeyboardInterrupt
            before = task[1].exists()
            make(task)
            made.append(None if before else task[0].name)

    alone = clean_archive(archives, tmp_path / "alone.zip", progress=False)
    with pytest.raises(KeyboardInterrupt):
        clean_archive(archives, tmp_path / "out.zip", progress=False, beside=(each, shards))
    (tmp_path / "b.txt").write_text("new")  # beside b.zip: it might be a part of it
    assert clean_archive(archives, tmp_path / "out.zip", progress=False, beside=(each, shards)) == alone
    assert made == ["a.zip", "b.zip", "stopped", None, "b.zip", "c.zip"]
    assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "alone.zip").read_bytes()
    assert not shards.exists()


def test_more_than_a_ledger_takes_is_refused_before_the_work(archives, tmp_path, monkeypatch):
    from casestudy.cleaning import clean_archive, regroup
    from casestudy.errors import CaseStudyError

    def each(make, tasks):
        raise AssertionError("work")

    monkeypatch.setattr(regroup, "MOST_TABLE", 1200)
    with pytest.raises(CaseStudyError, match=r"most 1,200 bytes; that of 16 entries .*\. Clean fewer"):
        clean_archive(archives, tmp_path / "out.zip", progress=False, beside=(each, tmp_path / "shards"))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir() or path.name.startswith("out")] == []
