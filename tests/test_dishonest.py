"""What earns points for nothing is held back, lost or pointed out; and what cannot be known is listed, and stated."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from drawn_dishonest import COPIED, HELD, KINDS, LOST, NOT_CAUGHT, REMARK, WHOSE, answered, hidden_rows, within
from drawn_submissions import ANSWERS, LABELS, SEATS, bound_key, edited, honest, notebook, packed

from casestudy.grading.grade import grade
from casestudy.grading.many import grade_all
from casestudy.grading.rubric import load_rubric
from casestudy.grading.submission import Student, Submission, find_submissions

ROOT = Path(__file__).parents[1]
RUBRIC, KEY = load_rubric(ROOT / "rubric.md"), bound_key()
AUTOMATIC = {criterion.id for criterion in RUBRIC.criteria if not criterion.manual}
ALL_POINTS = 65


def judged(files, seat=0, rubric=RUBRIC, key=KEY):
    return grade(Submission("s.zip", Student(SEATS[seat].name), files, "digest"), rubric, key)


@pytest.mark.parametrize("seat", range(len(SEATS)))
def test_the_honest_earn_everything_and_nothing_is_said_of_them(seat):
    report = judged(honest(seat), seat)
    assert (report.points, report.remarks) == (ALL_POINTS, ())


@pytest.mark.parametrize("kept", [0, 1, 2], ids=["over before", "went on", "an experiment beside it"])
def test_a_notebook_that_went_on_with_its_training_is_honest(kept):
    def change(book):
        for cell in book["cells"][3:]:
            printed = cell["outputs"][0]
            if kept == 2:  # in a cell of one's own, with a folder of one's own
                cell["source"] = cell["source"].replace("checkpoints=run", "checkpoints=other")
                printed["text"] = printed["text"].replace("accuracy 0.", "accuracy 0.9")
            else:
                printed["text"] = "".join(printed["text"].splitlines(True)[-kept:] if kept else [])

    report = judged(edited(honest(), "notebooks/04_train.ipynb", change))
    assert (report.points, report.remarks) == (ALL_POINTS, ())


def honest_but_odd():
    """Yields submissions that are honest, though not as most are, by what is odd."""
    submit = '# hand in\n!casestudy submit runs/first \\\n  --notebooks . --name "Anna Müller"'
    cell = {"cell_type": "code", "id": "x", "source": submit, "execution_count": None, "outputs": []}
    yield "submitted from a new cell", edited(honest(), "notebooks/05_results.ipynb", lambda n: n["cells"].append(cell))
    yield (
        "from a Git repository on Windows",
        {name: data.replace(b"\n", b"\r\n") if name.startswith("run/") else data for name, data in honest().items()},
    )

    def one_twice(table):  # a loss can come twice; three times in six it is copied
        mine = (table["phase"] == "head") & (table["metric"] == "loss")
        table.loc[mine & (table["epoch"] == "3"), "value"] = table.loc[mine & (table["epoch"] == "2"), "value"].iloc[0]
        return table

    files = edited(honest(), "run/history.csv", one_twice)
    told = pd.read_csv(io.BytesIO(files["run/history.csv"])).to_dict("records")
    yield (
        "a loss that comes twice",
        files | {"notebooks/04_train.ipynb": json.dumps(notebook("04", None, told)).encode()},
    )
    yield (
        "an answer that quotes a little of another one",
        edited(
            honest(), "notebooks/05_results.ipynb", lambda n: n["cells"][2].update(source=within(ANSWERS["answer-04"]))
        ),
    )


@pytest.mark.parametrize(("odd", "files"), list(honest_but_odd()), ids=lambda one: one if isinstance(one, str) else "")
def test_what_is_odd_and_honest_earns_everything(odd, files):
    report = judged(files)
    assert (report.points, report.remarks) == (ALL_POINTS, ())


def test_nobody_takes_another_persons_place_by_the_name_inside(tmp_path):
    """Who the file's name says, where the roster has that person; and what is inside is said."""
    (tmp_path / "Ben Berg.zip").write_bytes(packed(honest(1), student=SEATS[1].name))
    (tmp_path / "Anna Müller.zip").write_bytes(packed(honest(1, skill=0.5), student=SEATS[1].name))
    (tmp_path / "mine.zip").write_bytes(packed(honest(2), student=SEATS[2].name))
    reports = {r.source: r for r in grade_all(find_submissions([tmp_path]), RUBRIC, KEY)}
    assert [r.student.name for r in reports.values()] == [one.name for one in SEATS[:3]]
    assert (reports["Ben Berg.zip"].points, reports["mine.zip"].points) == (ALL_POINTS, ALL_POINTS)
    anna = reports["Anna Müller.zip"]
    assert anna.points == 0 and "says it is Ben Berg's; the file was handed in by Anna Müller" in " ".join(anna.remarks)


def test_there_are_more_than_fifty_kinds_and_each_has_a_name_of_its_own():
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 51


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in COPIED], ids=lambda kind: kind.name)
def test_points_for_nothing(kind):
    report = judged(kind.make())
    unearned = {result.criterion.id: result for result in report.results
                if result.criterion.id in AUTOMATIC and result.points < result.criterion.points}  # fmt: skip
    wanted = set(kind.criteria) or (AUTOMATIC if kind in WHOSE else set())
    assert wanted <= set(unearned), (unearned.keys(), report.remarks)
    if kind.effect != REMARK:
        assert report.points < ALL_POINTS
    for name in kind.criteria:
        status = unearned[name].status
        assert (
            (status == "needs review") if kind.effect == HELD else status in ("not earned", "partial", "no evidence")
        ), name
    said = " ".join([*report.remarks, *(f"{r.evidence} {r.sentence}" for r in report.results)])
    assert kind.says in said


@pytest.mark.parametrize("kind", COPIED, ids=lambda kind: kind.name)
def test_copies_are_pointed_out(kind, tmp_path):
    other = {f: d for f, d in answered(lambda text: text).items() if f.startswith("notebooks/")}
    (tmp_path / "anna.zip").write_bytes(packed(kind.make()))
    (tmp_path / "ben.zip").write_bytes(packed({**honest(1), **other}))
    files = honest(2)
    for step in range(1, 6):
        name = next(one for one in files if one.startswith(f"notebooks/0{step}"))
        text = f"Step {step} in quite other words than anybody else would ever think of when asked such a plain thing."
        files = edited(files, name, lambda n, t=text: n["cells"][2].update(source=t))
    (tmp_path / "cleo.zip").write_bytes(packed(files))
    remarks = {r.student.name: " ".join(r.remarks) for r in grade_all(find_submissions([tmp_path]), RUBRIC, KEY)}
    assert re.search(rf"Shares with ben .*{kind.says}", remarks["anna"])
    assert "Shares" not in remarks["cleo"]


@pytest.mark.parametrize("name", NOT_CAUGHT)
def test_what_cannot_be_known_earns_all_and_is_stated(name):
    """If one of these is caught one day, the list and the page are to be changed."""
    assert judged(NOT_CAUGHT[name]()).points == ALL_POINTS
    guide = " ".join((ROOT / "ARTICLES" / "for_instructors.md").read_text().split())
    assert "labels are public" in guide and "a careful forger can invent everything" in guide


# --- what a hidden test adds ---------------------------------------------------------------------------------------

HIDDEN = bound_key(hidden={f"unlabelled/{k:05d}.jpg": (LABELS[k % 5], f"stranger {k % 4}") for k in range(120)})
ROW = "| hidden | 10 | It holds on strangers | holds | lower | none | `hidden_predictions.csv` | hidden_test |\n"


@pytest.fixture(scope="module")
def with_hidden(tmp_path_factory):
    path = tmp_path_factory.mktemp("rubric") / "rubric.md"
    path.write_text((ROOT / "rubric.md").read_text().rstrip("\n") + "\n" + ROW)
    return load_rubric(path)


@pytest.mark.parametrize(("right", "status"), [(0.0, "partial"), (0.2, "partial"), (0.95, "earned")])
def test_an_invented_run_fails_on_strangers(right, status, with_hidden):
    files = honest(skill=6.0) | {"run/hidden_predictions.csv": hidden_rows(HIDDEN, right, seed=1)}
    result = judged(files, rubric=with_hidden, key=HIDDEN).results[-1]
    assert result.status == status, result.evidence


def test_a_hidden_test_that_two_hand_in_alike_is_pointed_out(tmp_path, with_hidden):
    rows = hidden_rows(HIDDEN, 0.9, seed=1)
    lines = rows.decode().splitlines()
    shuffled = "\n".join([lines[0], *reversed(lines[1:])]).encode() + b"\n"
    for name, seat, table in (("anna", 0, rows), ("ben", 1, shuffled), ("cleo", 2, hidden_rows(HIDDEN, 0.9, seed=2))):
        files = honest(seat) | {"run/hidden_predictions.csv": table}
        (tmp_path / f"{name}.zip").write_bytes(packed(files))
    remarks = {
        r.student.name: " ".join(r.remarks) for r in grade_all(find_submissions([tmp_path]), with_hidden, HIDDEN)
    }
    assert "Shares with ben (ben.zip): every prediction of hidden_predictions" in remarks["anna"]
    assert "hidden_predictions" not in remarks["cleo"]


def test_lost_and_held_are_two_things():
    assert {kind.effect for kind in KINDS} == {HELD, LOST, REMARK}
