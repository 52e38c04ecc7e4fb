"""What a student hands in is small, whole, without pictures, and what is missing is said before."""

import hashlib
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn_submissions import good, honest, notebook

from casestudy.cli import main
from casestudy.errors import DataError, RunError
from casestudy.grading.containers import Member, choose
from casestudy.grading.contents import Contents
from casestudy.grading.key import Key
from casestudy.grading.rubric import load_rubric
from casestudy.grading.submission import Student, Submission, find_submissions, read_submission, student_of
from casestudy.grading.submit import collect, lacking, write_submission
from casestudy.runs.folder import RunFolder

ROOT = Path(__file__).parents[1]
RUBRIC = load_rubric(ROOT / "rubric.md")


@pytest.fixture
def work(tmp_path):
    """A run folder with more than is needed in it, and executed notebooks."""
    run, notebooks = tmp_path / "my run", tmp_path / "note books"
    for name, data in good().items():
        path = run / name.removeprefix("run/") if name.startswith("run/") else notebooks / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in (
        "letters.zip",
        "model.keras",
        "plots/confusion.png",
        "checkpoints/best.arrays",
        "predictions_dense.csv",
    ):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(b"photographs of people")
    (notebooks / "11_dense_baseline.ipynb").write_text(json.dumps(notebook("05")))
    return RunFolder(run), notebooks


def test_only_what_grading_reads_goes_in(work, tmp_path):
    files = collect(*work)
    assert set(files) == set(good())
    size = write_submission(files, tmp_path / "out" / "submission.zip", student="Zoë")
    with zipfile.ZipFile(tmp_path / "out" / "submission.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert set(archive.namelist()) == {"manifest.json", *files}
        for name, digest in manifest["files"].items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
    assert manifest["student"] == "Zoë"
    assert size == (tmp_path / "out" / "submission.zip").stat().st_size < 100_000
    write_submission(files, tmp_path / "again.zip", student="Zoë")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "out" / "submission.zip").read_bytes()


def test_pictures_stay_at_home(work):
    run, notebooks = work
    path = notebooks / "05_results.ipynb"
    values = notebook("05")
    secret = "iVBORw0KGgo" * 1000
    values["cells"][1]["outputs"] = [
        {"output_type": "display_data", "data": {"image/png": secret, "text/plain": "figure"}, "metadata": {}},
        {"output_type": "execute_result", "data": {"image/jpeg": secret}, "metadata": {}, "execution_count": 2},
        {"output_type": "stream", "name": "stdout", "text": "kept"},
    ]
    values["cells"][2]["attachments"] = {"me.png": {"image/png": secret}}
    path.write_text(json.dumps(values))
    before = path.read_bytes()
    text = collect(run, notebooks)["notebooks/05_results.ipynb"].decode()
    assert secret not in text
    assert "kept" in text
    assert text.count("picture-left-out") == 2
    assert path.read_bytes() == before  # the student's own notebook is as it was


def test_copies_of_notebooks_are_known_by_their_step_and_the_last_counts(work):
    run, notebooks = work
    original = notebooks / "03_clean_data.ipynb"
    for k, name in enumerate(
        ("Copy of 03_clean_data", "03_clean_data-Copy2", "03_clean_data (1)", "my 03_clean_data"), 1
    ):
        values = notebook("03")
        values["cells"][0]["source"] = f"number {k}"
        path = notebooks / f"{name}.ipynb"
        path.write_text(json.dumps(values))
        os.utime(path, (k, original.stat().st_mtime + k))
    files = collect(run, notebooks)
    assert set(files) == set(good())
    assert b"number 4" in files["notebooks/03_clean_data.ipynb"]


def test_what_is_missing_is_said_with_its_price(work):
    run, notebooks = work
    assert lacking(collect(run, notebooks), RUBRIC) == []
    (run.path / "training.json").unlink()
    values = notebook("05")
    values["cells"][2]["source"] = "*Your answer: replace this line.*"
    (notebooks / "05_results.ipynb").write_text(json.dumps(values))
    (notebooks / "02_import_data.ipynb").unlink()
    found = {title: (points, what) for points, title, what in lacking(collect(run, notebooks), RUBRIC)}
    prices = {criterion.title: criterion.points for criterion in RUBRIC.criteria if "training.json" in criterion.needs}
    assert {title: points for title, (points, what) in found.items() if "training.json" in what} == prices
    assert [what for _, what in found.values() if "answer" in what] == [
        "answer-02 is missing", "cell answer-05 is not answered",
    ]  # fmt: skip
    assert len(found) == len(prices) + 3  # and a notebook is missing


def test_notebooks_that_were_not_run_are_said_too(work):
    run, notebooks = work
    for k, path in enumerate(sorted(notebooks.glob("0*.ipynb"))):
        values = json.loads(path.read_text())
        values["cells"][0]["execution_count"] = None
        path.write_text(json.dumps(values))
        ((points, _, what),) = lacking(collect(run, notebooks), RUBRIC)
        assert points == (5 if k == 4 else 2.5)
        assert "not every cell ran" in what


def test_through_the_command_line(work, tmp_path, capsys, monkeypatch):
    run, notebooks = work
    monkeypatch.chdir(tmp_path)
    call = [
        "submit",
        str(run.path),
        "--notebooks",
        str(notebooks),
        "--rubric",
        str(ROOT / "rubric.md"),
        "--name",
        "Anna",
    ]
    assert main(call) == 0
    assert "Nothing is missing" in capsys.readouterr().out
    before = (tmp_path / "submission.zip").read_bytes()
    assert main(call) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "submission.zip").read_bytes() == before
    (run.path / "ledger.csv").unlink()
    assert main([*call, "--out", "later.zip"]) == 0
    assert "gives away 15 of 100 points" in capsys.readouterr().out
    assert main([*call[:2], "--notebooks", "nowhere", *call[4:], "--out", "third.zip"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_what_cannot_be_packed_is_one_line(work, tmp_path):
    run, notebooks = work
    (notebooks / "03_clean_data.ipynb").write_text("not a notebook")
    with pytest.raises(DataError, match="is not a notebook"):
        collect(run, notebooks)
    noise = {
        f"notebooks/0{k}_x.ipynb": np.random.default_rng(k).bytes(size) for k, size in ((1, 4_900_000), (2, 5_100_000))
    }
    with pytest.raises(RunError, match=r"02_x.ipynb of a submission has at most 5 MB; yours has 5.1"):
        write_submission(noise, tmp_path / "submission.zip")
    noise = {f"notebooks/0{k}_x.ipynb": np.random.default_rng(k).bytes(4_900_000) for k in range(3)}
    with pytest.raises(RunError, match=r"at most 10 MB; this one has 14.7"):
        write_submission(noise, tmp_path / "submission.zip")
    assert list(tmp_path.glob("*.zip")) == list(tmp_path.glob(".*zip")) == []


@pytest.mark.parametrize(
    ("path", "name", "id"),
    [
        ("muelleranna_1234_98765_submission.zip", "muelleranna", "1234"),
        ("muelleranna_LATE_1234_98765_submission-1.zip", "muelleranna", "1234"),
        ("Anna Müller_4711_assignsubmission_file/submission.zip", "Anna Müller", "4711"),
        ("Anna Müller_4711_assignsubmission_file_submission.zip", "Anna Müller", "4711"),
        ("Jean_Luc_4711_assignsubmission_file_/x.zip", "Jean_Luc", "4711"),
        ("submission.zip", "submission", ""),
    ],
)
def test_who_it_is_stands_in_the_name(path, name, id):
    student = student_of(Path(path))
    assert (student.name, student.id) == (name, id)
    assert student.late == ("LATE" in path)


@pytest.mark.parametrize(
    ("path", "platform", "name", "id"),
    [
        ("Case study_amueller_attempt_2026-11-26-13-05-17_submission.zip", "blackboard", "amueller", "amueller"),
        ("123-456 - Anna Müller - 26 November, 2026 1305 - submission.zip", "brightspace", "Anna Müller", "123"),
        ("123-456 - Anna Müller - 26 November, 2026 105 PM/submission.zip", "brightspace", "Anna Müller", "123"),
        ("submission_777/submission.zip", "gradescope", "submission", ""),
    ],
)
def test_other_platforms_have_their_own_names(path, platform, name, id):
    student = student_of(Path(path))
    assert (student.platform, student.name, student.id) == (platform, name, id)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("Nov 26, 2026 105 PM", "Dec 2, 2026 900 AM"),
        ("Nov 26, 2026 1105 AM", "Nov 26, 2026 105 PM"),
        ("Nov 26, 2026 105 PM", "Nov 26, 2026 905 PM"),
        ("26 November, 2026 1305", "2 December, 2026 900"),
        ("26 Nov, 2026 905", "26 Nov, 2026 1305"),
    ],
)
def test_of_two_attempts_the_later_sorts_behind(earlier, later):
    first, second = (student_of(Path(f"123-456 - Anna Müller - {when} - x.zip")).handed_in for when in (earlier, later))
    assert first < second


def test_submissions_are_named_as_reports_name_them(tmp_path):
    names = ["Anna  Müller.zip", "Anna Müller.zip", "Anna\u200b Müller.zip", f"{'x' * 230}.zip", "ben.zip"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    found = find_submissions([tmp_path])
    assert sorted(one.name for one in found.values()) == sorted(names)
    plain = [name for name, file in found.items() if name == file.name]
    assert sorted(plain) == ["Anna Müller.zip", "ben.zip"]  # whoever else is there
    assert all(read_submission(file, name).source == name for name, file in found.items())


def test_a_canvas_name_is_the_files_and_not_the_folders():
    name = "X_1234_98765_s.zip"
    assert student_of(Path(f"{name}/{name}")) == student_of(Path(name))


# --- whatever it comes in ------------------------------------------------------------------------------------------


def zipped(files: dict[str, bytes], top: str = "") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(top + name, data)
    return target.getvalue()


def with_macs_files(files: dict[str, bytes]) -> bytes:
    more = {f"__MACOSX/submission/._{Path(name).name}": b"\0\x05\x16\x07" for name in files}
    return zipped(
        {**{f"submission/{name}": data for name, data in files.items()}, **more, "submission/.DS_Store": b"x"}
    )


def renamed(files: dict[str, bytes], run: str, notebooks: str, name: str) -> dict[str, bytes]:
    def other(place: str) -> str:
        if place.startswith("notebooks/"):
            return notebooks + name.format(Path(place).stem)
        return run + place.removeprefix("run/")

    return {other(place): data for place, data in files.items()}


@pytest.mark.parametrize(
    "make",
    [
        lambda files: zipped(files, "submission/"),
        with_macs_files,
        lambda files: zipped({"Anna/submission.zip": zipped(files)}),
        lambda files: zipped(renamed(files, "case/runs/first/", "case/notebooks/", "{}.ipynb")),
        lambda files: zipped(renamed(files, "", "", "Kopie von {}.ipynb")),
        lambda files: zipped(renamed(files, "run/", "my notebooks/", "{} (2).ipynb")),
        lambda files: zipped(renamed(files, "run/", "", "Müller_{}-Copy1.ipynb")),
    ],
    ids=["a folder on top", "a Mac's zip", "a zip in a zip", "the whole checkout", "flat", "numbered", "named"],
)
def test_any_honest_container_is_read(make, tmp_path):
    files = good()
    (tmp_path / "anna.zip").write_bytes(make(files))
    found = read_submission(tmp_path / "anna.zip")
    assert {name: data for name, data in found.files.items() if name != "manifest.json"} == files


def test_an_unpacked_folder_is_one_submission(tmp_path):
    for who, run in (("submission_1", "run/"), ("case-study-annamueller", "runs/first/")):
        for name, data in renamed(good(), run, "notebooks/", "{}.ipynb").items():
            (tmp_path / who / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / who / name).write_bytes(data)
        (tmp_path / who / ".git").mkdir()
        (tmp_path / who / ".git" / "run.json").write_text("no")
    (tmp_path / "ben.zip").write_bytes(zipped(good()))
    found = find_submissions([tmp_path])
    assert set(found) == {"submission_1", "case-study-annamueller", "ben.zip"}
    for path in found.values():
        assert read_submission(path).files == good()
    assert set(find_submissions([tmp_path / "submission_1"])) == {"submission_1"}


def test_the_newest_copy_of_a_notebook_counts_and_the_page_says_which(tmp_path):
    files = good()
    newer = files["notebooks/05_results.ipynb"].replace(b"Two strangers", b"Both strangers")
    assert newer != files["notebooks/05_results.ipynb"]
    with zipfile.ZipFile(tmp_path / "anna.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)
        archive.writestr(zipfile.ZipInfo("notebooks/Kopie von 05_results.ipynb", (2026, 1, 2, 0, 0, 0)), newer)
    found = read_submission(tmp_path / "anna.zip")
    assert found.files["notebooks/05_results.ipynb"] == newer
    assert "05 is there 2 times; notebooks/Kopie von 05_results.ipynb is newest." in found.problems


def test_a_notebook_with_another_name_is_known_by_the_answer_in_it(tmp_path):
    files = good()
    data = files.pop("notebooks/05_results.ipynb")
    (tmp_path / "anna.zip").write_bytes(zipped({**files, "my conclusions.ipynb": data}))
    assert read_submission(tmp_path / "anna.zip").files["notebooks/05_results.ipynb"] == data


def test_the_name_that_was_given_counts_where_nobody_else_says_it(tmp_path):
    manifest = json.dumps({"student": "Anna Müller"}).encode()
    for name, expected in (("x.zip", "Anna Müller"), ("bergben_1_2_x.zip", "bergben")):
        (tmp_path / name).write_bytes(zipped({**good(), "manifest.json": manifest}))
        assert read_submission(tmp_path / name).student.name == expected


ANSWER = "Two strangers were tested, and that is few."


@pytest.mark.parametrize(
    "change",
    [
        lambda cells: (
            cells.append(text("## Your turn\n\nIn your own words, half a page.\n\n" + ANSWER)) or cells.pop(-2)
        ),
        lambda cells: cells[-1].update(id="x1", source=ANSWER),
        lambda cells: (
            cells[-1].update(id="x1", metadata={}, source="*Your answer: replace this line.*")
            or cells.append(text(ANSWER))
        ),
        lambda cells: (
            cells[-1].update(source="*Your answer: replace this line.*") or cells.extend([code("1 + 1"), text(ANSWER)])
        ),
        lambda cells: (
            cells.insert(-1, text("## Your turn\n\nIn your own words.\n\n" + ANSWER))
            or cells[-1].update(source="*Your answer: replace this line.*")
        ),
    ],
    ids=["in the question's cell", "its id dropped", "below, ids dropped", "a cell between", "above the placeholder"],
)
def test_an_answer_is_found_as_a_person_would(change):
    values = notebook("05")
    change(values["cells"])
    files = {**good(), "notebooks/05_results.ipynb": json.dumps(values).encode()}
    found = Contents(Submission("x", Student("x"), files), Key("", "", (), (), {}))
    assert found.answer("answer-05") == ANSWER


def text(source: str) -> dict:
    return {"cell_type": "markdown", "id": "n1", "metadata": {}, "source": source}


def code(source: str) -> dict:
    return {"cell_type": "code", "id": "n2", "metadata": {}, "source": source, "outputs": [], "execution_count": 9}


def test_nobody_in_a_download_is_overlooked(tmp_path):
    for name in ("a/submission.zip", "b/submission.zip", "c.pdf", ".hidden", "__MACOSX/d.zip", "key.json", "out/x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_submissions([tmp_path], skip=(tmp_path / "key.json", tmp_path / "out"))
    assert set(found) == {"a/submission.zip", "b/submission.zip", "c.pdf"}
    assert set(find_submissions([tmp_path / "a" / "submission.zip"])) == {"submission.zip"}


def test_a_manifest_that_is_none_is_empty():
    for data in (b"", b"[]", b"\xff", b"[" * 99_999):
        assert Submission("", student_of(Path("x.zip")), {"manifest.json": data}).manifest == {}


def test_a_check_says_what_is_wrong_and_writes_nothing(work, tmp_path, capsys, monkeypatch):
    run, notebooks = work
    monkeypatch.chdir(tmp_path)
    call = ["submit", str(run.path), "--notebooks", str(notebooks), "--rubric", str(ROOT / "rubric.md"), "--check"]
    for name, data in honest(0).items():
        place = run.path / name.removeprefix("run/") if name.startswith("run/") else notebooks / Path(name).name
        place.write_bytes(data)
    assert main(call) == 0
    assert "does not fit" not in capsys.readouterr().out
    history = run.path / "history.csv"
    history.write_text(history.read_text().replace("head,1,loss,", "head,1,loss,-"))
    assert main(call) == 0
    said = capsys.readouterr().out
    assert "run/history.csv is not the file that was there when the run was finished." in said
    assert "a loss below zero in head" in said
    assert not (tmp_path / "submission.zip").exists()


def test_a_bomb_in_a_zip_in_a_zip_and_a_thousand_strange_notebooks_stay_small(tmp_path):
    bomb = zipped({f"run/folds/{k:04}/history.csv": bytes(7_900_000) for k in range(30)} | {"run/run.json": b"{}"})
    assert len(bomb) < 1_000_000
    (tmp_path / "bomb.zip").write_bytes(zipped({"s.zip": bomb}))
    tracemalloc.start()
    found = read_submission(tmp_path / "bomb.zip")
    assert sum(map(len, found.files.values())) <= 60_000_000
    assert tracemalloc.get_traced_memory()[1] < 150_000_000
    tracemalloc.stop()
    opened = []
    members = [Member(f"n{k}.ipynb", (0,), lambda most, k=k: (opened.append(k) or b"{}", "")) for k in range(1_000)]
    assert choose(members, []) == {}
    assert len(opened) == 20
