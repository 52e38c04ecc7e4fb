"""The list of mutants is sound, and the runner tells a fault that the tests see from one that they do not."""

import ast
import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from SCRIPTS.release import mutants
from SCRIPTS.release.mutants import ROOT, mutate, read_list

MUTANTS = read_list()
LEAST = 120
MODULES = {
    "choices",
    "compare",
    "data_spec",
    "demo",
    "doctor",
    "files",
    "jobs",
    "listing",
    "proof",
    "records",
    "rows",
    "scaffold",
    "study",
}  # the rest are rooms
ROOMS = {path.parent.name for path in (ROOT / "casestudy").glob("*/__init__.py")}
by_id = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)


def test_there_are_enough_in_every_room():
    assert len([mutant for mutant in MUTANTS if not mutant.equivalent]) >= LEAST
    counts = Counter(mutant.room for mutant in MUTANTS)
    assert set(counts) - {"articles", "hands", "release"} == ROOMS | MODULES  # and what makes weights, pages and site
    assert all(counts[room] >= 3 for room in ROOMS - {"studies"}), counts


@by_id
def test_a_mutant_can_be_made_and_has_its_tests(mutant):
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    changed = mutate(mutant, text)  # its text is there, once
    assert changed != text
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))  # more than a comment or the form
    assert mutant.tests
    for target in mutant.tests:
        file, *names = target.partition("[")[0].split("::")  # and of a test, perhaps one case
        assert (ROOT / file).is_file()
        assert all(f"def {name}(" in (ROOT / file).read_text(encoding="utf-8") for name in names), target


def test_ids_are_names():
    assert all(mutant.id == "-".join(filter(str.isalnum, mutant.id.lower().split("-"))) for mutant in MUTANTS)


PACKAGE = (
    '"""Sums."""\n\n\ndef total(numbers):\n    return sum(numbers)\n\n\ndef least(numbers):\n    return min(numbers)\n'
)
TESTS = "from casestudy.sums.totals import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
ENTRY = """[[mutant]]
id = "{}"
file = "casestudy/sums/totals.py"
old = "{}"
new = "{}"
tests = ["tests/test_totals.py"]
"""
KILLED = ENTRY.format("total-is-the-largest", "return sum(numbers)", "return max(numbers)")
SURVIVOR = ENTRY.format("least-is-the-largest", "return min(numbers)", "return max(numbers)")
SAME = (
    ENTRY.format("least-of-a-list", "return min(numbers)", "return min(list(numbers))") + 'equivalent = "as it was"\n'
)


@pytest.fixture
def tree(tmp_path):
    """A working tree with a package of two functions, one of them tested, and what git ignores."""
    files = {
        "casestudy/__init__.py": "",  # a package, which comes before that of the environment's own checkout
        "casestudy/sums/__init__.py": "",
        "casestudy/sums/totals.py": PACKAGE,
        "tests/test_totals.py": TESTS,
        ".gitignore": "ignored.txt\n",
        "ignored.txt": "",
    }
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path / "tree", check=True)
    return tmp_path / "tree"


@pytest.fixture
def call(tree, tmp_path, capsys):
    """Runs mutants of a list in the tree; returns the exit code and what was printed."""

    def called(text, *arguments):
        path = tmp_path / "list.toml"
        path.write_text(text, encoding="utf-8")
        before = {file: file.read_bytes() for file in tree.rglob("*") if file.is_file()}
        code = mutants.main(list(arguments), root=tree, path=path)
        assert {file: file.read_bytes() for file in tree.rglob("*") if file.is_file()} == before
        return code, capsys.readouterr().out

    return called


def outcomes(printed):
    """Returns what was printed of each mutant: id and outcome, and of a killed one the test."""
    lines = [line.split() for line in printed.splitlines() if " s  " in line]
    return {words[4]: (words[0], *words[5:]) for words in lines}


def test_a_mutant_is_killed_survives_or_is_equivalent(call, tmp_path):
    code, printed = call(KILLED + SURVIVOR + SAME, "--json", str(tmp_path / "found.json"))
    assert code == 1
    assert outcomes(printed) == {
        "total-is-the-largest": ("killed", "tests/test_totals.py::test_total"),
        "least-is-the-largest": ("survived",),
        "least-of-a-list": ("equivalent",),
    }
    assert [line.split() for line in printed.splitlines()[-2:]] == [["sums", "1", "1", "1"], ["all", "1", "1", "1"]]
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(one["id"], one["room"], one["outcome"]) for one in found] == [
        ("total-is-the-largest", "sums", "killed"),
        ("least-is-the-largest", "sums", "survived"),
        ("least-of-a-list", "sums", "equivalent"),
    ]


def test_all_killed_is_exit_0_and_one_can_be_chosen(call):
    assert call(KILLED + SURVIVOR, "total-is-the-largest")[0] == 0
    assert call(KILLED + SAME, "sums", "--workers", "1")[0] == 0
    code, printed = call(KILLED + SURVIVOR, "--list")
    assert (code, printed.split()) == (0, ["sums", "total-is-the-largest", "sums", "least-is-the-largest"])


def test_tests_that_fail_by_themselves_end_it(call, tree):
    (tree / "tests" / "test_totals.py").write_text(TESTS.replace("== 3", "== 4"), encoding="utf-8")
    with pytest.raises(SystemExit, match="must pass on the unchanged copy"):
        call(KILLED)


def test_tests_that_never_end_kill(tree, monkeypatch, tmp_path):
    monkeypatch.setattr(mutants, "TIMEOUT", 1.0)
    copy = mutants.Copy(tree, tmp_path / "copy")
    (copy.tree / "tests" / "test_totals.py").write_text("import time\n\ntime.sleep(60)\n", encoding="utf-8")
    assert copy.pytest(("tests",), timeout=1.0) == (1, "nothing after 1 seconds")


def test_a_copy_holds_what_git_does_not_ignore(tree, tmp_path):
    (tree / "deleted.txt").write_text("")
    subprocess.run(["git", "add", "deleted.txt"], cwd=tree, check=True)
    (tree / "deleted.txt").unlink()
    copy = mutants.Copy(tree, tmp_path / "copy")
    found = {file.relative_to(copy.tree).as_posix() for file in copy.tree.rglob("*") if file.is_file()}
    package = {"casestudy/__init__.py", "casestudy/sums/__init__.py", "casestudy/sums/totals.py"}
    assert found == package | {"tests/test_totals.py", ".gitignore"}


@pytest.mark.parametrize(
    ("text", "arguments", "reason"),
    [
        (KILLED, ["sum"], "sum is no mutant and no room"),
        (KILLED + KILLED, [], "total-is-the-largest is there twice"),
        (KILLED.replace("sum(numbers)", "summe(numbers)"), [], "it is there 0 times"),
        (KILLED.replace('"return sum(numbers)"', '"numbers"'), [], "it is there 4 times"),
    ],
)
def test_what_cannot_be_run_is_one_line(text, arguments, reason, call):
    with pytest.raises(SystemExit, match=reason):
        call(text, *arguments)


def test_nothing_stays_behind(call, monkeypatch, tmp_path):
    monkeypatch.setattr(mutants.tempfile, "tempdir", str(tmp_path))
    call(KILLED)

    def interrupted(self, mutant):
        raise KeyboardInterrupt

    monkeypatch.setattr(mutants.Copy, "test", interrupted)
    assert call(KILLED)[0] == 130
    assert not list(Path(tmp_path).glob("mutants-*"))
