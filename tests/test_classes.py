"""A class as it comes: groups that share a submission, and a whole class in one zip."""

import csv
import datetime
import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from drawn_submissions import SEATS, bound_key, edited, honest, packed
from test_marking import Reader

from casestudy.grading.exports import moodle_csv
from casestudy.grading.gradebook import grade_submissions
from casestudy.grading.key import Key, key_text
from casestudy.grading.marking import Desk
from casestudy.grading.roster import Seat, give_seeds, seat_of
from casestudy.grading.rubric import load_rubric
from casestudy.grading.scores import Shared
from casestudy.grading.submission import find_submissions, read_submission

RUBRIC = Path(__file__).parents[1] / "rubric.md"
ANNA, BEN, CLEO, DAN = SEATS[:4]


def grouped(*, moodle: bool = False) -> Key:
    """Returns a key of three who hand in together, with one seed, and one who is alone."""
    members = [Seat(one.name, f"Participant 470{k}" if moodle else one.id, "", ANNA.seed, "red group")
               for k, one in enumerate((ANNA, BEN, CLEO))]  # fmt: skip
    return Key(**{**vars(bound_key()), "students": (*members, DAN)})


@pytest.fixture
def course(tmp_path):
    """One submission of a group of three, handed in by Ben, and one of Dan."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bergben_12_102_s.zip").write_bytes(packed(honest(0)))
    (tmp_path / "in" / "diazdan_14_104_s.zip").write_bytes(packed(honest(3)))
    (tmp_path / "key.json").write_text(key_text(grouped()))

    def graded(**options):
        reports = grade_submissions([tmp_path / "in"], RUBRIC, tmp_path / "key.json", tmp_path / "out", **options)
        return {report.student.name: report for report in reports}

    return tmp_path, graded


def points_of(report, name):
    return next(result.points for result in report.results if result.criterion.id == name)


def scores(home: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((home / "out" / "scores.csv").open(encoding="utf-8-sig", newline="")))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_members_of_a_group_get_one_seed(tmp_path):
    text = "Name;ID;Group\nAnna;1;Red\nBen;2;red\nCleo;3;\nDan;4;\nEva;5;Blue\n"
    (tmp_path / "r.csv").write_text(text)
    seats, lines = give_seeds(tmp_path / "r.csv")
    seeds = [seat.seed for seat in seats]
    assert seeds[0] == seeds[1] and len(set(seeds)) == 4
    assert [int(row["seed"]) for row in csv.DictReader(io.StringIO(lines))] == seeds
    assert seat_of(seats, "", "Red") == seats[0] and seat_of(seats, "", "RED Ben") == seats[1]
    assert seat_of(seats, "", "Green") is None


def test_every_member_gets_the_marks_of_the_one_submission(course):
    home, graded = course
    first = graded()
    assert set(first) == {ANNA.name, BEN.name, CLEO.name, "diazdan"}
    assert {report.points for report in first.values()} == {65}
    assert not any("seed" in remark for report in first.values() for remark in report.remarks)
    rows = scores(home)
    assert [row["student"] for row in rows if row["criterion"] == "reading"] == [
        f"{ANNA.name} + {BEN.name} + {CLEO.name}", "diazdan",
    ]  # fmt: skip
    for row in rows:
        row["points"] = {"reading": "4", "import": "2"}.get(row["criterion"], "")
    write(home / "out" / "scores.csv", rows)
    for _ in range(2):
        now = graded()
        assert {points_of(now[one.name], "reading") for one in (ANNA, BEN, CLEO)} == {4}
        assert {report.points for report in now.values()} == {71}
    pages = [path.read_text() for path in (home / "out" / "students").glob("*/feedback.html")]
    assert len(pages) == 4 and sum("handed in together" in page for page in pages) == 3
    canvas = list(csv.DictReader((home / "out" / "for_canvas.csv").open()))
    assert [(row["Student"], row["SIS User ID"]) for row in canvas[1:]] == [
        (one.name, one.id) for one in (ANNA, BEN, CLEO, DAN)
    ]
    assert [row["ID"] for row in canvas[1:]] == ["", "12", "", "14"]  # Canvas' own number of whoever handed in


def test_a_mark_of_ones_own_outweighs_the_groups_and_stays(course):
    home, graded = course
    graded()
    rows = scores(home)
    for row in rows:
        row["points"] = "4" if row["criterion"] == "reading" else ""
    write(home / "out" / "scores.csv", rows)
    graded()
    (home / "appeal.csv").write_text(
        "file,student,criterion,points,comment\n"
        f"bergben_12_102_s.zip,{CLEO.name},reading,1,She was not there.\n"
        f"bergben_12_102_s.zip,{CLEO.name},split,0,\n"
        "bergben_12_102_s.zip,,import,5,\n"
        "bergben_12_102_s.zip,,reading,4,\n"  # it comes last, and is not what counts for her
    )
    graded(scores=home / "appeal.csv")
    for _ in range(2):  # and by the list that was written, once more
        now = graded()
        assert [points_of(now[one.name], "reading") for one in (ANNA, BEN, CLEO)] == [4, 4, 1]
        assert [points_of(now[one.name], "split") for one in (ANNA, BEN, CLEO)] == [10, 10, 0]
        assert {points_of(now[one.name], "import") for one in (ANNA, BEN, CLEO)} == {5}
    assert [row["points"] for row in scores(home) if row["criterion"] == "reading"] == ["4", "1", "4"]


def test_a_group_is_one_answer_on_the_page_and_each_member_gets_the_mark(course):
    home, graded = course
    graded()
    desk = Desk(home / "out", load_rubric(RUBRIC))
    both = desk.questions()["reading"]
    assert len(both) == 2 and both[0].who == f"{ANNA.name} + {BEN.name} + {CLEO.name}"
    desk.save(both[0], "3", "Good.")
    desk.finish()
    now = graded()
    assert {points_of(now[one.name], "reading") for one in (ANNA, BEN, CLEO)} == {3}
    assert points_of(now["diazdan"], "reading") == 0


def seen(reader: Reader) -> str:
    """Returns the page's words."""
    return " ".join(re.sub("<[^>]+>", "", reader.text).split())


def test_a_member_gets_a_mark_of_ones_own_on_the_page(course):
    home, graded = course
    graded()
    both, reader = f"{ANNA.name} + {BEN.name}", Reader(home / "out")
    reader.choose("reading")
    assert [a["value"] for tag, a in reader.page.tags if tag == "button" and a.get("name") == "only"] == ["0", "1", "2"]
    assert reader.send(only="3", points="1") == reader.send(only="nobody", points="1") == 404
    assert reader.send(only="2", points="6") == 422 and "points go from 0 to 5" in reader.text  # and nothing is kept
    assert reader.send(only="2", points="1", comment="She was not there.") == 303
    assert reader.page.texts["bdi"].startswith(both) and f"own: {CLEO.name}, 1 of 5." in seen(reader)
    assert reader.page.fields["points"] == ""  # the others still wait
    reader.send("save", points="4")
    reader.send("next")
    assert reader.page.texts["bdi"].startswith(CLEO.name) and f"own: {both}, 4 of 5." in seen(reader)
    assert not any(a.get("name") == "only" for tag, a in reader.page.tags if tag == "button")
    reader.desk.finish()
    for _ in range(2):
        now = graded()
        assert [points_of(now[one.name], "reading") for one in (ANNA, BEN, CLEO)] == [4, 4, 1]
    rows = [(row["student"], row["points"]) for row in scores(home) if row["criterion"] == "reading"]
    assert rows == [(both, "4"), (CLEO.name, "1"), ("diazdan", "")]
    reader.choose("reading")
    reader.send("previous")
    reader.send("previous")
    reader.send("save", points="5")  # the group's mark, later: hers stays
    reader.desk.finish()
    assert [points_of(graded()[one.name], "reading") for one in (ANNA, BEN, CLEO)] == [5, 5, 1]
    reader.send(only="0", points="5")  # the same as Ben's: no mark of one's own
    assert both in reader.page.texts["bdi"]
    reader.close()


def test_a_row_for_some_of_a_group_leaves_the_others_alone(course):
    home, graded = course
    graded()
    both = f"{ANNA.name} + {BEN.name}"
    for student, now in ((both, [3, 3, 0]), (f"{both} + {CLEO.name}", [3, 3, 3]), (f"{both} + Nobody", [3, 3, 3])):
        shutil.rmtree(home / "out")
        row = {"file": "bergben_12_102_s.zip", "student": student, "criterion": "reading", "points": "3", "comment": ""}
        write(home / "some.csv", [row])
        given = graded(scores=home / "some.csv")
        assert [points_of(given[one.name], "reading") for one in (ANNA, BEN, CLEO)] == now


def test_hidden_names_have_no_marks_of_ones_own_and_stay_hidden(course):
    home, graded = course
    graded()
    desk = Desk(home / "out", load_rubric(RUBRIC))
    whole = next(one for one in desk.questions()["reading"] if len(one.reports) == 3)
    desk.save(Shared(whole.reports[2:], whole.result), "1", "")
    reader = Reader(home / "out", hide_names=True)
    for _ in range(3):
        reader.choose("reading")
        while "In the same group" not in reader.text:
            reader.send("next")
        assert not re.search("anna|ben berg|cleo", reader.text, re.I) and 'name="only"' not in reader.text
    reader.close()


def test_the_newest_of_a_group_counts_and_is_no_copy(course):
    home, graded = course
    other = edited(honest(0), "notebooks/05_results.ipynb", lambda n: n["cells"][2].update(source="Quite new words."))
    (home / "in" / "mulleranna_11_205_s.zip").write_bytes(packed(other))
    now = graded()
    assert {now[one.name].source for one in (ANNA, BEN, CLEO)} == {"mulleranna_11_205_s.zip"}
    for one in (ANNA, BEN, CLEO):
        said = " ".join(now[one.name].remarks)
        assert "2 attempts" in said and "before: bergben_12_102_s.zip" in said and "Shares with diazdan" in said
        assert "Shares with bergben" not in said and "Shares with mulleranna" not in said
    assert now[BEN.name].student.id == "12" and now[ANNA.name].student.id == "11"  # each by its own file


def test_a_stranger_who_has_the_groups_work_is_pointed_out(course):
    home, graded = course
    (home / "in" / "falkfinn_16_106_s.zip").write_bytes(packed(honest(0)))
    now = graded()
    assert any("Shares with" in remark and "bergben" in remark for remark in now["falkfinn"].remarks)
    assert any("Shares with" in remark and "falkfinn" in remark for remark in now[ANNA.name].remarks)


def test_moodle_gives_each_member_a_copy_under_the_groups_name(tmp_path):
    (tmp_path / "in").mkdir()
    for k, one in enumerate((ANNA, BEN)):
        folder = tmp_path / "in" / f"Red group-{one.name}_470{k}_assignsubmission_file"
        folder.mkdir()
        (folder / "submission.zip").write_bytes(packed(honest(0)))
    (tmp_path / "key.json").write_text(key_text(grouped(moodle=True)))
    reports = grade_submissions([tmp_path / "in"], RUBRIC, tmp_path / "key.json", tmp_path / "out")
    assert [report.student.name for report in reports] == [ANNA.name, BEN.name, CLEO.name]
    assert not any("attempts" in remark for report in reports for remark in report.remarks)  # copies are no attempts
    rows = list(csv.DictReader((tmp_path / "out" / "for_moodle.csv").open()))
    assert [row["Identifier"] for row in rows] == [f"Participant 470{k}" for k in range(3)]


def test_moodle_knows_when_a_grade_is_newer(tmp_path):
    """What the file itself says; Moodle leaves a grade alone that was changed after this time."""
    path = tmp_path / f"{ANNA.name}_4711_assignsubmission_file_s.zip"
    path.write_bytes(packed(honest(0)))
    os.utime(path, (1_790_000_000, 1_790_000_000))
    grade_submissions([path], RUBRIC, _key(tmp_path), tmp_path / "out")
    (row,) = csv.DictReader((tmp_path / "out" / "for_moodle.csv").open())
    when = row["Last modified (grade)"]
    assert datetime.datetime.fromisoformat(when).timestamp() == 1_790_000_000
    assert moodle_csv([]).count("\n") == 1


def _key(home: Path) -> Path:
    (home / "key.json").write_text(key_text(bound_key()))
    return home / "key.json"


def zipped(files: dict[str, bytes], when=(2026, 11, 26, 13, 5, 10)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, when), data)
    return buffer.getvalue()


ONE, TWO = packed(honest(0)), packed(honest(1))
RUN_777 = {f"submission_777/{name}": data for name, data in honest(0).items()}
RUN_778 = {f"submission_778/{name}": data for name, data in honest(1).items()}


@pytest.mark.parametrize(
    ("files", "platform", "names"),
    [
        ({"mulleranna_11_101_s.zip": ONE, "bergben_LATE_12_102_s.zip": TWO, "cruz_13_103_x.pdf": b"%PDF"}, "canvas",
         ["bergben_LATE_12_102_s.zip", "cruz_13_103_x.pdf", "mulleranna_11_101_s.zip"]),
        ({"Anna Müller_4711_assignsubmission_file/s.zip": ONE, "Ben Berg_4712_assignsubmission_file/s.zip": TWO},
         "moodle", ["Anna Müller_4711_assignsubmission_file/s.zip", "Ben Berg_4712_assignsubmission_file/s.zip"]),
        ({"Anna Müller_4711_assignsubmission_file/s.zip": ONE}, "moodle", ["s.zip"]),
        ({f"assignment_9_export/{n}": d for n, d in {**RUN_777, **RUN_778, "submission_metadata.yml": b""}.items()},
         "gradescope", ["submission_777", "submission_778"]),
        ({"top/anna.zip": ONE, "top/ben.zip": TWO, "__MACOSX/top/._anna.zip": b"x"}, "", ["anna.zip", "ben.zip"]),
    ],
    ids=["Canvas", "Moodle", "a class of one", "Gradescope, unpacked", "zip of zips"],
)  # fmt: skip
def test_a_whole_class_in_one_zip(files, platform, names, tmp_path):
    """The same submissions, by the same names, as from the unpacked folder."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "class.zip").write_bytes(zipped(files))
    (tmp_path / "b").mkdir()
    with zipfile.ZipFile(tmp_path / "a" / "class.zip") as archive:
        archive.extractall(tmp_path / "b")
    for path in (tmp_path / "a" / "class.zip", tmp_path / "a"):
        found = find_submissions([path])
        assert sorted(found) == sorted(names)
        read = {name: read_submission(file, name) for name, file in found.items()}
        whole = {name: one for name, one in read.items() if one.files}
        assert len(whole) >= len(names) - 1 and {one.student.platform for one in whole.values()} == {platform}
        assert all(set(honest(0)) <= set(one.files) for one in whole.values())
        if platform != "canvas":
            assert {one.student.handed_in for one in whole.values()} == {"2026-11-26 13:05:10"}
    unpacked = find_submissions([next((tmp_path / "b").iterdir()) if names[0][:1] in "sa" else tmp_path / "b"])
    assert sorted(unpacked) == sorted(names)
    if platform == "gradescope":
        assert sorted(find_submissions([tmp_path / "b"])) == names  # the folder above the export, too
    for name in whole:
        assert read_submission(unpacked[name], name).files == whole[name].files
        assert read_submission(unpacked[name], name).digest == whole[name].digest


TOLD = """---
submission_777:
  :submitters:
  - :name: "Ann\\u00e9 M\\xFCller"
    :sid: s0
    :email: anna@example.org
  - :name: Zoe O'Neill
    :sid: ''
    :email: zoe@example.org
  :created_at: 2026-11-26 13:05:10.000000000 Z
  :results:
    output: |-
      submission_778:
        :submitters:
        - :name: Somebody else
  :submitters:
  - :name: Once more
submission_778:
  :score: !ruby/object:Kernel {}
  :submitters:
  - :name: 'Ben ''the'' Berg'
    :sid: '0012'
  :history:
  - :name: Nobody
    :sid: '99'
submission_779:
  :submitters:
  - :name: &a |
    :sid:
"""  # as Ruby writes it; the second line of submission_777's output is a student's


def test_gradescope_says_who_handed_in_what(tmp_path):
    """In the zip and unpacked: names and numbers of all, of two who handed in together, and of an empty hand."""
    top = "assignment_9_export"
    files = {f"{top}/{n}": d for n, d in {**RUN_777, **RUN_778, "submission_metadata.yml": TOLD.encode()}.items()}
    files[f"{top}/submission_779/notes.txt"] = b"I have nothing."
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "class.zip").write_bytes(zipped(files))
    with zipfile.ZipFile(tmp_path / "a" / "class.zip") as archive:
        archive.extractall(tmp_path / "b")
    key = _key(tmp_path)
    for where in ("a", "b"):
        reports = grade_submissions([tmp_path / where], RUBRIC, key, tmp_path / f"out-{where}")
        told = {report.student.name: (report.student.id, report.team, report.points) for report in reports}
        together = (ANNA.name, "Zoe O'Neill")  # the roster's name, by the number
        assert told.pop(ANNA.name) == ("s0", together, 65)
        assert told.pop("Zoe O'Neill") == ("zoe@example.org", together, 65)
        assert told.pop("Ben 'the' Berg")[:2] == ("0012", ())
        assert [points for _, _, points in told.values()] == [0]
    assert read_submission(tmp_path / "b" / top / "submission_777").student.name == "Anné Müller"
    again = {name.replace("_777", "_999"): data for name, data in files.items()}
    again[f"{top}/submission_metadata.yml"] = TOLD.replace("submission_777", "submission_999").encode()
    (tmp_path / "a" / "class.zip").write_bytes(zipped(again))
    reports = grade_submissions([tmp_path / "a"], RUBRIC, key, tmp_path / "out-a")
    anna = next(report for report in reports if report.student.name == ANNA.name)
    assert len(reports) == 4 and anna.source == "submission_999"


def test_what_gradescopes_file_says_of_a_stranger_is_not_obeyed(tmp_path):
    """A wrong, huge, damaged or linked file names nobody; the submissions count all the same."""
    for k, data in enumerate(
        (b"\xff\x00: &a [*a, *a]", b"- " * 1000, *(TOLD.encode().ljust(n) for n in (60_000_001, 60_000_000)))
    ):
        for name, content in {**RUN_777, "submission_metadata.yml": data}.items():
            (path := tmp_path / str(k) / name).parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert list(find_submissions([tmp_path / str(k)])) == ["submission_777"]
        one = read_submission(tmp_path / str(k) / "submission_777")
        if k == 3:  # as large as it may be
            assert (one.student.name, len(one.partners)) == ("Anné Müller", 1)
            continue
        assert (one.student.name, one.student.id, one.partners) == ("submission_777", "", ())
    (tmp_path / "0" / "submission_metadata.yml").unlink()
    (tmp_path / "told.yml").write_text(TOLD)
    (tmp_path / "0" / "submission_metadata.yml").symlink_to(tmp_path / "told.yml")
    assert read_submission(tmp_path / "0" / "submission_777").student.name == "submission_777"


@pytest.mark.parametrize(
    "files",
    [
        {"runs/first/run.json": b"{}", "runs/second/run.json": b"{}", "old.zip": b"x", "older.zip": b"x"},
        {"submission.zip": ONE},
        {"notes.txt": b"x"},
    ],
    ids=["two runs", "a zip in a zip", "anything"],
)
def test_one_students_zip_is_no_class(files, tmp_path):
    (tmp_path / "anna.zip").write_bytes(zipped(files))
    assert list(find_submissions([tmp_path / "anna.zip"])) == ["anna.zip"]
    (tmp_path / "x_1_2_s.zip").write_bytes(zipped({"a.zip": ONE, "b.zip": TWO}))
    assert list(find_submissions([tmp_path / "x_1_2_s.zip"])) == ["x_1_2_s.zip"]  # Canvas says whose it is


def test_what_is_odd_in_a_classs_zip_costs_nobody_else(tmp_path):
    files = {"mulleranna_11_101_s.zip": ONE, "bergben_12_102_s.zip": b"broken", "../evil_13_103_s.zip": TWO}
    path = tmp_path / "class.zip"
    path.write_bytes(zipped(files))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("lzma_14_104_s.zip", TWO)
    out = tmp_path / "out"
    reports = {r.source: r for r in grade_submissions([path], RUBRIC, _key(tmp_path), out)}
    assert set(reports) == {"mulleranna_11_101_s.zip", "bergben_12_102_s.zip", "lzma_14_104_s.zip"}
    assert reports["mulleranna_11_101_s.zip"].points == 65
    assert reports["bergben_12_102_s.zip"].points == reports["lzma_14_104_s.zip"].points == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["class.zip", "key.json", "out"]


def test_the_overview_begins_with_who_needs_a_look(tmp_path):
    """Doubts first, then what waits for a person, odd ones before others; then points, from below."""
    (tmp_path / "in").mkdir()
    doubted = edited(honest(0), "run/history.csv", lambda t: t.assign(epoch=t["epoch"].to_numpy()[::-1]), seal=False)
    less = edited(honest(4), "run/ledger.csv", lambda t: t.drop(index=3))
    handed_in = {"mulleranna_11_101": doubted, "bergben_12_102": honest(1), "cruzcleo_LATE_13_103": honest(2)}
    handed_in |= {"diazdan_14_104": {}, "endoeva_15_105": less}
    for name, files in handed_in.items():
        words = "".join(f"{name}{k} " for k in range(30))  # nobody's answers are alike
        for step in ("01_read_the_case", "02_import_data", "03_clean_data", "04_train", "05_results") if files else ():
            text = f"{step} {words}"
            files = edited(
                files, f"notebooks/{step}.ipynb", lambda n, t=text: n["cells"][2].update(source=t), seal=False
            )
        (tmp_path / "in" / f"{name}_s.zip").write_bytes(packed(files))
    (tmp_path / "key.json").write_text(key_text(bound_key()))
    grade_submissions([tmp_path / "in"], RUBRIC, tmp_path / "key.json", tmp_path / "out")
    text = (tmp_path / "out" / "overview.html").read_text()
    order = re.findall(r"feedback.html\"><bdi>(\w+)</bdi>", text)
    assert order == ["mulleranna", "cruzcleo", "endoeva", "bergben", "diazdan"]
    assert text.index("<h2>Submissions</h2>") < text.index("<h2>Points so far")
