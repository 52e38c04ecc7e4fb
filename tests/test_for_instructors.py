"""What ARTICLES/for_instructors.md says is done, command by command as it stands there; nothing is lost on the way."""

import csv
import io
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from drawn_submissions import ARCHIVE, LABELS, SEATS, edited, good, ledger, packed
from test_parity import parsers

from casestudy.cli import main
from casestudy.grading import challenge
from casestudy.grading.key import load_key
from casestudy.grading.marking import Server
from casestudy.grading.rubric import load_rubric
from casestudy.runs import RunFolder, Wishes
from casestudy.runs.files import table_text
from casestudy.runs.local import Local
from casestudy.runs.record import ImageFacts, Resolved, RunRecord, Source
from casestudy.studies import STUDIES
from casestudy.training import Machine

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARTICLES" / "for_instructors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.S | re.M)
COMMANDS = [line for kind, block in BLOCKS if not kind for line in block.splitlines()]
TABLES = [block for kind, block in BLOCKS if kind == "markdown"]
NAMES = ("mulleranna_11_101", "bergben_12_102", "cruzcleo_LATE_13_103", "diazdan_14_104")


class Course:
    """An instructor at a desk: calls the page's commands in their order, and reads what comes out."""

    def __init__(self, home: Path) -> None:
        self.home, self.waiting = home, list(COMMANDS)

    def call(self, begins: str) -> None:
        """Calls the next command of the page, which must begin so."""
        line = self.waiting.pop(0)
        assert line.startswith(begins), line
        assert main(shlex.split(line)[1:]) == 0, line

    def points(self, folder: str = "grades") -> dict[tuple[str, str], tuple[float, str]]:
        """Returns each student's points and comment for each criterion."""
        with (self.home / folder / "criteria.csv").open(encoding="utf-8") as file:
            return {(r["student"], r["criterion"]): (float(r["points"]), r["comment"]) for r in csv.DictReader(file)}


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "rubric.md", tmp_path)
    return Course(tmp_path)


def own_run(path: Path) -> None:
    """Writes a run of the instructor's, on the archive that students get."""
    run = RunFolder(path, Local("letters.rar"))
    path.mkdir(parents=True)
    rows = pd.DataFrame(ledger())
    used = rows[rows["status"].isin(["kept", "duplicate"])]
    (path / "ledger.csv").write_text(table_text(rows), encoding="utf-8", newline="")
    run.write_table(
        "splits.csv", used.assign(name=used["stored_as"], part="train")[["name", "signer", "label", "part"]]
    )
    machine = Machine("CPU", (64, 64), "float32")
    run.write_record(
        RunRecord(
            Wishes(STUDIES["asl"], 7),
            Source("letters.rar", ARCHIVE),
            started="2026-01-01T00:00:00+00:00",
            resolved=Resolved("signs", None, machine, environment={"python": "3"}),
            images=ImageFacts("signer", cropped=True, class_names=LABELS),
        )
    )


def test_the_page_from_the_first_key_to_the_last_appeal(course, monkeypatch, capsys):
    home = course.home
    course.call("casestudy rubric")
    assert "100  points: 65 by checks, 35 by a person" in capsys.readouterr().out

    own_run(home / "runs" / "asl-asl_sample")
    lines = ["name,id,email,group", *(f"{one.name},{one.id},{one.email}," for one in SEATS[:2])]
    lines += [f"{one.name},{one.id},{one.email},red" for one in SEATS[2:5]]
    (home / "roster.csv").write_text("\n".join(lines), encoding="utf-8")
    course.call("casestudy key")
    key = load_key(home / "key.json")
    seeds = list(csv.DictReader((home / "seeds.csv").open(encoding="utf-8")))
    assert [int(row["seed"]) for row in seeds] == [seat.seed for seat in key.students]

    def work(seat: int) -> dict[str, bytes]:
        seed = key.students[seat].seed
        return good(seed, parts=key.parts("signer", seed)["part"])

    for name, data in work(0).items():
        run = home / "notebooks" / "runs" / "first"
        path = run / name[4:] if name.startswith("run/") else home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    course.call("casestudy submit")
    assert "Nothing is missing" in capsys.readouterr().out
    downloads = home / "downloads"
    downloads.mkdir()
    (home / "submission.zip").rename(downloads / f"{NAMES[0]}_submission.zip")
    for k, name in enumerate(NAMES[1:], 1):  # the last for a group of three; Ben has lost a row of the ledger
        files = edited(work(k), "run/ledger.csv", lambda t: t.drop(index=[3])) if k == 1 else work(k)
        (downloads / f"{name}_submission.zip").write_bytes(packed(files))
    (downloads / f"{NAMES[2]}_submission.zip").unlink()  # Dan hands in for Cleo and Eva, too

    course.call("casestudy grade downloads")
    people = {"mulleranna", "bergben", "Cleo Cruz", "Dan Diaz", "Eva Endo"}
    assert {student for student, _ in course.points()} == people
    assert course.points()["bergben", "nothing-lost"] == (5, "")

    (home / "comments.csv").write_text("name,comment\npeople,You name the people.\n")

    def reads(server, *_):
        """Gives full points for reading, half for conclusions, and stops in the middle."""
        for question, share in (("reading", 1), ("conclusions", 0.5)):
            for one in server.desk.questions()[question]:
                server.desk.save(one, f"{one.criterion.points * share:g}", "{people}" if share == 1 else "")
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", reads)
    course.call("casestudy mark")
    marked = course.points()
    for student in people:
        assert (marked[student, "reading"], marked[student, "conclusions"]) == ((5, "You name the people."), (5, ""))

    new = edited(work(0), "notebooks/05_results.ipynb", lambda n: n["cells"][2].update(source="Another answer."))
    (downloads / f"{NAMES[0].replace('101', '205')}_submission.zip").write_bytes(packed(new))
    assert main(shlex.split(COMMANDS[3])[1:]) == 0  # another submission: "the command of step 4 again"
    assert course.points() == marked
    assert "another one than the one that was judged" in (home / "grades" / "criteria.csv").read_text()
    assert "2 attempts" in (home / "grades" / "overview.html").read_text()

    appeal = f"file,criterion,points,comment\n{NAMES[0]}_submission.zip,split,7,We looked together.\n"
    (home / "appeal.csv").write_text(appeal)
    course.call("casestudy grade downloads/mulleranna")
    assert course.points() == {**marked, ("mulleranna", "split"): (7, "We looked together.")}

    text = (home / "rubric.md").read_text(encoding="utf-8")
    (home / "rubric.md").write_text(text.replace("| reading | 5 |", "| reading | 10 |"), encoding="utf-8")
    assert main(shlex.split(COMMANDS[3])[1:]) == 2  # asked, and nothing changed
    assert "--rescale" in capsys.readouterr().err
    course.call("casestudy grade downloads --key key.json --rescale")
    now = course.points()
    assert {points for (_, name), (points, _) in now.items() if name == "reading"} == {10}
    assert now["mulleranna", "split"] == (7, "We looked together.")

    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for k, one in enumerate(SEATS[:2]):
            archive.writestr(f"{one.name}_471{k}_assignsubmission_file/submission.zip", packed(work(k)))
    (home / "moodle.zip").write_bytes(whole.getvalue())
    course.call("casestudy grade moodle.zip")
    rows = list(csv.DictReader((home / "moodle" / "for_moodle.csv").open(encoding="utf-8")))
    assert [row["Identifier"] for row in rows] == ["Participant 4710", "Participant 4711"]
    assert course.points() == now  # the first course is as it was

    (home / "specifications.md").write_text(TABLES[0], encoding="utf-8")
    course.call("casestudy rubric --rubric specifications.md")
    course.call("casestudy grade downloads --key key.json --rubric specifications.md")
    with (home / "by-specifications" / "grades.csv").open(encoding="utf-8") as file:
        standing = {row["student"]: row["standing"].split(":")[0] for row in csv.DictReader(file)}
    assert (standing["mulleranna"], standing["bergben"]) == ("Grade B", "Grade none")

    def trained(source, *_):  # in no time; tests/test_challenge.py trains
        return challenge.Challenge(source, True, "Trained again: it comes out the same.")

    monkeypatch.setattr(challenge, "_trained_again", trained)
    course.call("casestudy grade downloads --key key.json --challenge 20")
    assert "Trained again" in (home / "grades" / "overview.html").read_text()
    assert course.waiting == []


def test_the_row_of_a_hidden_test_is_one(tmp_path):
    text = (ROOT / "rubric.md").read_text(encoding="utf-8").rstrip("\n") + "\n" + TABLES[1]
    (tmp_path / "rubric.md").write_text(text, encoding="utf-8")
    assert load_rubric(tmp_path / "rubric.md").criteria[-1].check == "hidden_test"


def test_every_option_and_file_that_the_page_names_is_there(course):
    commands = parsers()
    known = {option for one in commands.values() for action in one._actions for option in action.option_strings}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", PAGE)) <= known
    for line in re.findall(r"`casestudy ([^`]+)`", PAGE):
        assert line.split()[0] in commands, line


def test_the_page_is_short_and_its_pictures_are_small():
    assert len(re.sub(r"^\|.*", "", PAGE, flags=re.M).split()) <= 1200
    pictures = re.findall(r"!\[[^\]]+\]\((figures/page_\w+\.png)\)", PAGE)
    assert len(pictures) == 3
    for picture in pictures:
        assert 5_000 < (ROOT / "ARTICLES" / picture).stat().st_size <= 200_000
