"""Each student has a seed of their own, by whatever name the roster and the platform call them."""

import csv
import io
import json
from pathlib import Path

import pytest
from drawn_submissions import SEATS, bound_key, edited, good

from casestudy.cli import main
from casestudy.errors import GradingError
from casestudy.grading.grade import grade
from casestudy.grading.key import load_key
from casestudy.grading.roster import SEEDS, Seat, give_seeds, seat_of
from casestudy.grading.rubric import load_rubric
from casestudy.grading.submission import Student, Submission

ROOT = Path(__file__).parents[1]


def roster(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "name,id,email\nAnna Müller,s1,anna@x.org\nBen Berg,s2,ben@x.org\n",
        "Vorname;Nachname;ID;E-Mail\r\nAnna;Müller;s1;anna@x.org\r\nBen;Berg;s2;ben@x.org\r\n",
        'Student,ID,SIS User ID,SIS Login ID,Section\n"Müller, Anna",s1,x,anna@x.org,1\n"Berg, Ben",s2,y,ben@x.org,1\n',
        "First name,Surname,ID number,Email address\nAnna,Müller,s1,anna@x.org\nBen,Berg,s2,ben@x.org\n",
    ],
    ids=["plain", "Excel", "Canvas", "Moodle"],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_a_roster_is_read_as_platforms_export_it(text, encoding, tmp_path):
    seats, lines = give_seeds(roster(tmp_path / "r.csv", text, encoding))
    assert [seat.id for seat in seats] == ["s1", "s2"]
    assert all(seat.seed in SEEDS for seat in seats) and seats[0].seed != seats[1].seed
    for name in ("Anna Müller", "annamuller", "muelleranna"):
        assert seat_of(seats, "", name) == seats[0]
    rows = list(csv.DictReader(io.StringIO(lines)))
    assert [int(row["seed"]) for row in rows] == [seat.seed for seat in seats]
    assert all(row["seed"] in row["line"] for row in rows)


def test_seeds_are_a_secret_and_never_follow_from_the_roster(tmp_path):
    path = roster(tmp_path / "r.csv", "name\n" + "".join(f"Student {k}\n" for k in range(300)))
    first, second = ([seat.seed for seat in give_seeds(path)[0]] for _ in range(2))
    assert len(set(first)) == 300
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name\n", "has no row"),
        ("", "has no row"),
        ("id\ns1\n", "line 2: a roster names every student"),
        ("name\nAnna\nanna\n", "line 3: anna is there already"),
    ],
)
def test_a_roster_that_is_none_is_one_line(text, reason, tmp_path):
    with pytest.raises(GradingError) as caught:
        give_seeds(roster(tmp_path / "r.csv", text))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_who_it_is_is_never_guessed():
    two = (Seat("Anna Berg", "s1", "", 1), Seat("Anna Berg", "s2", "", 2), Seat("Berna Gan", "", "", 3))
    assert seat_of(two, "s2", "whoever") == two[1]  # an id goes before a name
    assert seat_of(two, "", "Anna Berg") is None  # two of them
    assert seat_of(two, "", "Gan, Berna") == two[2]  # the words go before the letters, which Anna Berg has, too
    assert seat_of(two, "", "Nobody") is seat_of(two, "", "") is None


def test_through_the_command_line(finished_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    roster(tmp_path / "roster.csv", "name,id\nAnna Müller,s1\n=cmd|x,s2\n")
    call = ["key", str(finished_run.path), "--students", "roster.csv"]
    assert main(call) == 0
    assert "a seed for each of 2 students" in capsys.readouterr().out
    key = load_key(tmp_path / "key.json")
    lines = list(csv.DictReader((tmp_path / "seeds.csv").open(encoding="utf-8")))
    assert [(seat.name, str(seat.seed)) for seat in key.students] == [
        (row["name"].removeprefix("'"), row["seed"]) for row in lines
    ]
    assert lines[1]["name"].startswith("'=")
    assert key.recipe == json.loads(json.dumps(finished_run.record.wishes.study.to_json()))
    splits = finished_run.read_table("splits.csv")
    parts = key.parts("signer", finished_run.record.wishes.seed)
    assert parts == {"part": dict(zip(splits["name"], splits["part"], strict=True))}
    before = (tmp_path / "key.json").read_bytes()
    assert main(call) == 2
    assert (tmp_path / "key.json").read_bytes() == before
    (tmp_path / "key.json").unlink()
    assert main(call) == 2  # letters that may have been sent are not overwritten either
    assert not (tmp_path / "key.json").exists()


def test_an_honest_random_split_is_still_partial_and_not_in_doubt():
    key, seed = bound_key(), SEATS[0].seed
    files = good(seed, parts=key.parts("random", seed)["part"])
    files = edited(files, "run/run.json", lambda s: s.update(protocol="random"))
    report = grade(Submission("x.zip", Student(SEATS[0].name), files, "d"), load_rubric(ROOT / "rubric.md"), key)
    assert {r.criterion.id: r.status for r in report.results}["split"] == "partial"
    assert report.points == 60 and report.remarks == ()
