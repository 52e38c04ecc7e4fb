"""`casestudy new`: what it sees of data, the study that it writes, and that the file runs and can be run again."""

import ast
import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from casestudy.cli import main
from casestudy.errors import DataError
from casestudy.runs import Options, RunFolder
from casestudy.scaffold import Seen, look_at, propose, write_study
from casestudy.studies import STUDIES, find_study
from casestudy.study import DataSpec


@pytest.fixture
def photographs(tmp_path, draw, encode, monkeypatch):
    """Writes a folder of photographs, `takes` of A, B and C by each person, and makes it the working folder's."""
    monkeypatch.chdir(tmp_path)

    def written(people=("user_1", "user_2", "user_3", "user_4"), takes=3, size=32, home="photos"):
        for number, person in enumerate(people, start=1):
            folder = tmp_path / home / person
            folder.mkdir(parents=True)
            for label in "ABC":
                for take in range(takes):
                    (folder / f"{label}{take}.png").write_bytes(encode(draw(label, number, take, size=size)))
        return home

    return written


def seen(people=(5, 5, 5), side=64, photographs=60, parts=(), unknown=0) -> Seen:
    named = Counter({f"user_{k}": count for k, count in enumerate(people)}) + Counter({"": unknown})
    labels = Counter({"A": photographs // 2, "B": photographs - photographs // 2})
    return Seen("photos.rar", photographs, labels, named, Counter(parts), (side,) * 3, 0)


def error_of(capsys, *call: str) -> str:
    assert main(list(call)) == 2
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 1, said.err
    return said.err


def test_the_file_runs_and_its_run_is_made_again_without_it(photographs, tmp_path, capsys):
    """Four people of nine photographs; the run folder alone is enough for the second training."""
    data = photographs()
    assert main(["new", "my-bars", data]) == 0
    told = capsys.readouterr().out
    for line in ("36 sound photographs with a label, of 36 entries", "4 people: user_1, user_2, user_3, user_4"):
        assert line in told and f"#   {line}" in (tmp_path / "my_bars.py").read_text(encoding="utf-8")
    assert "casestudy run my_bars.py --data photos --quick" in told
    assert main(["run", "my_bars.py", "--data", data, "--quick", "--out", "first"]) == 0
    run = RunFolder.open(tmp_path / "first")
    assert run.record.wishes.study == find_study("my_bars.py").quick()
    with (run.path / "splits.csv").open(encoding="utf-8") as file:
        parts = {(row["signer"], row["part"]) for row in csv.DictReader(file)}
    assert Counter(signer for signer, _ in parts) == {f"user_{k}": 1 for k in (1, 2, 3, 4)}
    assert Counter(part for _, part in parts) == {"train": 2, "validation": 1, "test": 1}
    again = "casestudy verify first --retrain first-again"
    assert again in (run.path / "report.html").read_text(encoding="utf-8")
    (tmp_path / "my_bars.py").unlink()
    capsys.readouterr()
    assert main([*again.split()[1:], "--data", data]) == 0
    assert "does not hold" not in capsys.readouterr().out


def test_the_default_folder_has_the_studys_own_name(photographs, tmp_path, monkeypatch):
    data = photographs()
    assert main(["new", "my-bars", data, "--out", "other.py"]) == 0
    folders = []
    monkeypatch.setattr("casestudy.run_study", lambda wishes, data, out, **more: folders.append(out), raising=False)
    with pytest.raises(AttributeError):  # there is no run to report
        main(["run", "other.py", "--data", data])
    assert [folder.as_posix() for folder in folders] == ["runs/my-bars-photos"]


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (seen(people=(5, 5, 5)), "signer"),
        (seen(people=(5, 5)), "leave-one-signer-out"),
        (seen(people=(5, 5), parts={"train": 40, "test": 20}), "published"),
        (seen(people=(5, 5, 5), parts={"train": 40, "test": 20}), "signer"),
        (seen(people=(), parts={"train": 40, "valid": 20}), "random"),
        (seen(people=(60,)), "random"),
        (seen(people=()), "random"),
    ],
)
def test_who_is_tested_follows_from_who_is_known(data, protocol):
    study, why = propose("mine", data, DataSpec())
    assert study.split.protocol == protocol
    assert ("flatters" in why["split.protocol"]) == (protocol in ("random", "published"))
    assert ("split.test" in why) == (protocol in ("signer", "random"))


def test_few_people_and_unknown_ones_are_spoken_of():
    """A quarter of eleven people is three, of nine two: of two, the interval says nothing."""
    nine, eleven = (propose("mine", seen(people=(5,) * n), DataSpec())[1]["split.protocol"] for n in (9, 11))
    assert "9 people are known" in nine and "2 of them for the test" in nine and "leave-one-signer-out" in nine
    assert "3 of them for the test" in eleven and "leave-one-signer-out" not in eleven
    assert "without a person" not in nine
    unknown = propose("mine", seen(unknown=1), DataSpec())[1]["split.protocol"]
    assert "3 people are known" in unknown and "1 photograph without a person will be left out" in unknown


def test_small_images_get_a_small_network_and_few_of_them_more_epochs():
    names = [propose("mine", seen(side=side), DataSpec())[0].model.name for side in (47, 48)]
    assert names == ["compact_cnn", "resnet50v2"]
    small = propose("mine", seen(side=28, photographs=4_999), DataSpec())[0]
    assert (small.model.image_size, small.model.weights, small.phases[0].trainable) == ((28, 28), None, "everything")
    assert not small.model.mirror_average and "mirror" not in small.model.augmentation
    epochs = [propose("mine", seen(side=28, photographs=n), DataSpec())[0].phases[0].epochs for n in (4_999, 5_000)]
    assert epochs == [30, 10]


@pytest.mark.parametrize("data", [seen(), seen(side=20, people=()), seen(people=(5, 5))], ids=["a", "b", "c"])
@pytest.mark.parametrize("spec", [DataSpec(), DataSpec(pattern=r"(?P<label>[A-Z])'\"_"), DataSpec(layout="label/any")])
def test_the_file_makes_the_study_that_was_proposed_and_gives_each_reason(data, spec, tmp_path):
    study, why = propose("my-study", data, spec)
    path = write_study(study, why, data, tmp_path / "mine.py")
    assert find_study(str(path)) == study
    text = path.read_text(encoding="utf-8")
    comments = " ".join(re.findall(r"^ +# (.+)$", text, re.M))
    for place, reason in why.items():
        assert reason in comments, place
        assert re.search(rf"^ +{place.rpartition('.')[2]}=", text, re.M), place
    assert max(len(line) for line in text.splitlines() if "--data" not in line) <= 120  # a path may be long
    options = Options.parse({"study": str(path), "data": "x", "model": "small_cnn", "weights": "none"})
    assert options.wishes().study.name == "my-study"


def test_names_in_the_data_stay_comments(photographs, tmp_path):
    """Folders may be called anything; here one ends the comment, and one a text."""
    bad = 'anna\nimport os; os.abort() #\x1b[2J"""'
    photographs(people=("user_1", "user_2", bad))
    found = look_at("photos", DataSpec(), progress=False)
    assert any("import os" in person for person in found.persons)
    named = Seen(bad, *[getattr(found, name) for name in ("entries", "labels", "people", "parts", "sides", "boxes")])
    path = write_study(*propose("mine", named, DataSpec()), named, tmp_path / "mine.py")
    text = path.read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.split("\n"))  # shown by a terminal, too, it does nothing
    kinds = [type(node).__name__ for node in ast.parse(text).body]
    assert kinds == ["Expr", "ImportFrom", "Assign"]
    assert find_study(str(path)).name == "mine"


def test_what_is_seen_of_a_letters_zip_is_what_is_seen_of_the_archive(photographs):
    """Twelve photographs by two people, one file that is none, and a box file."""
    data = photographs(people=("user_1", "user_2"), takes=2, size=50)
    columns = "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y"
    boxes = [columns, *(f"user_1/{name}.png,5,5,45,45" for name in ("A0", "A1", "B0"))]
    Path(data, "user_1", "user_1_loc.csv").write_text("\n".join(boxes), encoding="utf-8")
    Path(data, "user_2", "A9.png").write_bytes(b"no picture")
    assert main(["clean", data, "--out", "letters.zip", "--quiet"]) == 0
    for place in (data, "letters.zip"):
        found = look_at(place, DataSpec(), progress=False)
        assert (found.entries, found.boxes, found.side) == (14, 3, 50)
        assert found.labels == {"A": 4, "B": 4, "C": 4} and found.people == {"user_1": 6, "user_2": 6}
        assert found.persons == ["user_1", "user_2"]


def test_names_that_can_be_read_in_two_ways_are_read_as_they_are_told(photographs, tmp_path, capsys):
    photographs(people=("A", "B", "C"))
    assert "--layout" in error_of(capsys, "new", "mine", "photos")
    assert not (tmp_path / "mine.py").exists()
    assert main(["new", "mine", "photos", "--layout", "signer/name", "--quiet"]) == 0
    assert find_study("mine.py").data.layout == "signer/name"


def test_what_cannot_be_done_is_said_in_a_line_before_a_long_look(photographs, tmp_path, capsys, monkeypatch):
    photographs()
    (tmp_path / "mine.py").write_text("kept", encoding="utf-8")
    assert "mine.py is there. Give the new one another name" in error_of(capsys, "new", "mine", "NOWHERE")
    assert "no is none. Make it first" in error_of(capsys, "new", "x", "NOWHERE", "--out", "no/such.py")
    assert "there is nothing at NOWHERE" in error_of(capsys, "new", "x", "NOWHERE")
    assert "small letters, digits and hyphens" in error_of(capsys, "new", "My_Study", "NOWHERE")
    assert "'asl' is one of ours" in error_of(capsys, "new", "asl", "NOWHERE")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("no picture", encoding="utf-8")
    assert "--layout or --pattern" in error_of(capsys, "new", "x", "empty")
    (tmp_path / "tables").mkdir()
    pixels = ",".join(f"pixel{k}" for k in range(1, 785))
    rows = "\n".join(f"{k % 3}," + ",".join(map(str, np.full(784, k))) for k in range(6))
    (tmp_path / "tables" / "sign_mnist_train.csv").write_text(f"label,{pixels}\n{rows}\n", encoding="utf-8")
    assert "holds tables of pixels" in error_of(capsys, "new", "x", "tables")
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there"),
        ("STUDY = 1 +\n", "line 1 of mine.py says SyntaxError"),
        ("import casestudy\n\nSTUDY = casestudy.Nothing()\n", "line 3 of mine.py says AttributeError"),
        ("raise SystemExit('no')", "line 1 of mine.py says SystemExit: no"),
        ("x = 1\n", "makes 0"),
        ("from casestudy.studies.asl import ASL\n", "makes 0"),
        (
            "from dataclasses import replace\nfrom casestudy.studies.asl import ASL\n"
            "A, B = (replace(ASL, name=name) for name in ('one', 'two'))\n",
            "makes 2",
        ),
        (
            "from dataclasses import replace\nfrom casestudy.studies.asl import ASL\nA = replace(ASL, title='Mine')\n",
            "'asl', of ours",
        ),
        (
            "from dataclasses import replace\nfrom casestudy.studies.asl import ASL\nA = replace(ASL, seed=-1)\n",
            "seed of a Study",
        ),
    ],
)
def test_a_file_that_makes_no_study_says_so_in_a_line(text, said, photographs, tmp_path, capsys):
    if text is not None:
        (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    assert said in error_of(capsys, "run", "mine.py", "--data", photographs(), "--out", "out")
    assert not (tmp_path / "out").exists()


def test_a_study_of_ones_own_that_begins_with_one_of_ours_is_found_and_needs_data(tmp_path, monkeypatch):
    """Without --data the sample would be taken, in silence."""
    monkeypatch.chdir(tmp_path)
    text = "from dataclasses import replace\nfrom casestudy.studies.asl import ASL\nA = B = replace(ASL, name='mine')\n"
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    assert find_study("mine.py").phases == STUDIES["asl"].phases
    for quick in (False, True):
        with pytest.raises(DataError, match=r"mine\.py names none\. Add --data PATH"):
            Options("mine.py", quick=quick).wishes_and_data()
    with pytest.raises(DataError, match="Did you mean 'asl'"):
        find_study("asll")


def test_a_study_file_is_run_once(tmp_path):
    """It may take long, or write something."""
    path = write_study(*propose("my-study", seen(), DataSpec()), seen(), tmp_path / "mine.py")
    runs = tmp_path / "runs.txt"
    path.write_text(f"{path.read_text(encoding='utf-8')}\nopen({str(runs)!r}, 'a').write('x')\n", encoding="utf-8")
    options = Options.parse({"study": str(path), "data": "x", "model": "small_cnn", "weights": "none"})
    assert options.wishes() == options.wishes() and runs.read_text() == "x"
