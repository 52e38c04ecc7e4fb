"""The notebooks: what a student sees runs to the end without a warning, in small cells, from public verbs alone."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import casestudy
from casestudy.cli import main
from casestudy.grading.notebooks import AFTER_ANSWERS, PLACEHOLDER
from casestudy.grading.rubric import load_rubric
from casestudy.runs.files import LAST_NOTEBOOK, NOTEBOOKS
from casestudy.runs.folder import RunFolder
from casestudy.runs.verify import verify_run

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STEPS = [path for path in PATHS if path.stem.startswith("0")]  # of the case study
STUDIES = [path for path in PATHS if path not in STEPS]  # one each
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDIES_PAGE = (ROOT / "ARTICLES" / "studies.md").read_text(encoding="utf-8")
RUBRIC = (ROOT / "rubric.md").read_text(encoding="utf-8")
MOST_LINES = 12


def by_name(paths=PATHS):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def tagged(notebook, tag: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def tree(cell) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(cell.source))


def code_cells(notebook) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_notebook(path: Path, **parameters: object) -> nbformat.NotebookNode:
    """Returns the notebook executed in a fresh kernel, in its own folder, with these parameters in place of its own."""
    notebook = read(path)
    (cell,) = tagged(notebook, "parameters")
    names = {node.targets[0].id for node in tree(cell).body}
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items() if name in names)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    return notebook


def shown(notebook) -> str:
    """Returns all text that a reader sees below the cells."""
    texts = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            texts += [output.get("text", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(texts)


def test_there_are_five_and_the_readme_lists_them():
    titles = {}
    for path in STEPS:
        heading = re.search(r"^# (Step \d[^·]*) · (.+)$", read(path).cells[0].source, re.M)
        titles[path.stem] = (heading[1], heading[2])
    listed = re.findall(r"^\| (Step [^|·]+) · \[([^]]+)\]\(notebooks/(\w+)\.ipynb\) \|", README, re.M)
    assert {name: (step, title) for step, title, name in listed} == titles
    assert [path.stem[:2] for path in STEPS] == ["01", "02", "03", "04", "05"]


def test_each_study_has_a_notebook_and_the_article_lists_it():
    listed = dict(re.findall(r"^\| \[`([\w-]+)`\]\(\.\./notebooks/(\w+)\.ipynb\) \|", STUDIES_PAGE, re.M))
    assert listed == {path.stem[3:].replace("_", "-"): path.stem for path in STUDIES}
    assert set(listed) == {name for name in casestudy.STUDIES if not name.startswith("asl")}  # the case has those above
    for name, stem in listed.items():
        source = "".join(cell.source for cell in read(ROOT / "notebooks" / f"{stem}.ipynb").cells)
        assert f'cs.STUDIES["{name}"]' in source


def test_errors_name_notebooks_that_exist():
    assert {*NOTEBOOKS.values(), LAST_NOTEBOOK} <= {path.stem for path in PATHS}


@by_name()
def test_committed_without_outputs(path):
    for cell in code_cells(read(path)):
        assert not cell.outputs and cell.execution_count is None


@by_name()
def test_cells_are_small_and_no_library(path):
    for cell in code_cells(read(path)):
        assert len(cell.source.splitlines()) <= MOST_LINES, cell.id
        for node in ast.walk(tree(cell)):
            assert not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)), cell.id


@by_name()
def test_only_public_names_are_used(path):
    for cell in code_cells(read(path)):
        for node in ast.walk(tree(cell)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "cs":
                assert node.attr in casestudy.__all__, (cell.id, node.attr)
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_"), (cell.id, node.attr)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("casestudy"), cell.id


@by_name()
def test_the_shape_is_the_same_everywhere(path):
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    repository = re.search(r'^Repository = "(.+)"$', project, re.M)[1]
    notebook, first = read(path), read(PATHS[0])
    badge = f"{repository.replace('https://github.com', 'https://colab.research.google.com/github')}/blob/main/"
    assert f"({badge}notebooks/{path.name})" in notebook.cells[0].source
    assert notebook.cells[1].source == first.cells[1].source, "one set-up cell for all"
    assert repository in notebook.cells[1].source
    assert len(tagged(notebook, "parameters")) == 1
    (answer,) = tagged(notebook, "answer")
    assert answer.id == f"answer-{path.stem[:2]}"
    assert answer.cell_type == "markdown"
    for before, cell in zip(notebook.cells[4:], notebook.cells[5:], strict=False):
        if cell.cell_type == "code" and before.cell_type == "markdown":
            assert "**Look for**" in re.sub(r"\s+", " ", before.source), before.id


def test_the_rubric_asks_for_answers_that_exist():
    cells = {cell.id for path in STEPS for cell in tagged(read(path), "answer")}
    assert set(re.findall(r"`(answer-\w+)`", RUBRIC)) == cells


def test_what_stands_below_an_answer_is_known_to_the_grading():
    for path in STEPS:
        cells = read(path).cells
        (place,) = [k for k, cell in enumerate(cells) if "answer" in cell.metadata.get("tags", [])]
        assert {cell.id for cell in cells[place + 1 :]} <= set(AFTER_ANSWERS)
        assert PLACEHOLDER in cells[place].source


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """All five, one after the other, on the sample in quick mode; also the run folder they made."""
    run = tmp_path_factory.mktemp("note books") / "first run"
    return {path.stem: run_notebook(path, RUN=str(run), QUICK=True) for path in STEPS}, RunFolder(run)


def assert_quiet(notebook) -> None:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.id
            assert output.get("name") != "stderr", (cell.id, output.text)
    assert not re.search(r"\b(warn|Warn|WARN)", shown(notebook))


@by_name(STEPS)
def test_runs_without_error_or_warning(path, executed):
    assert_quiet(executed[0][path.stem])


@pytest.mark.xdist_group("notebooks of studies")
@by_name(STUDIES)
def test_a_study_runs_without_error_or_warning(path, tmp_path):
    """With one other model each, the cheapest: all of them take minutes."""
    cheapest = {"11": "dense", "12": "none", "13": "model-1", "14": "batch-norm", "15": "dense"}[path.stem[:2]]
    notebook = run_notebook(path, RUN=str(tmp_path / "run"), QUICK=True, VARIANTS=cheapest)
    assert_quiet(notebook)
    run = RunFolder(tmp_path / "run")
    assert run.finished
    assert run.has("comparison.csv") == (cheapest != "none")


def test_they_leave_a_run_that_holds(executed):
    notebooks, run = executed
    assert run.finished
    assert all(holds is not False for _, holds, _ in verify_run(run))
    rows, entries, same = re.search(
        r"(\d+) entries in the archive, (\d+) rows in the ledger, (\d+) with the same",
        shown(notebooks["03_clean_data"]),
    ).groups()
    assert rows == entries == same == str(len(run.read_table("ledger.csv")))


def test_the_reference_solution_earns_every_automatic_point(executed, tmp_path, capsys):
    """What the notebooks leave behind, answered, handed in and graded through three commands."""
    notebooks, run = executed
    for name, notebook in notebooks.items():
        copy = nbformat.from_dict(json.loads(nbformat.writes(notebook)))
        (answer,) = tagged(copy, "answer")
        answer.source = "The number for people nobody photographed for training, because the next one is a stranger."
        nbformat.write(copy, tmp_path / f"{name}.ipynb")
    key, submission, out = tmp_path / "key.json", tmp_path / "submission.zip", tmp_path / "grades"
    rubric = ["--rubric", str(ROOT / "rubric.md")]
    assert main(["key", str(run.path), "--out", str(key)]) == 0
    assert main(["submit", str(run.path), "--notebooks", str(tmp_path), "--out", str(submission), *rubric]) == 0
    assert "Nothing is missing" in capsys.readouterr().out
    assert main(["grade", str(submission), "--key", str(key), "--out", str(out), *rubric]) == 0
    with (out / "criteria.csv").open(encoding="utf-8") as file:
        rows = {row["criterion"]: row for row in csv.DictReader(file)}
    for criterion in load_rubric(ROOT / "rubric.md").criteria:
        row = rows[criterion.id]
        assert row["status"] == ("needs review" if criterion.manual else "earned"), row


def test_the_proof_is_shown(executed):
    """The head's phase moves no base, and BatchNormalization moves in neither; the convolutions do move."""
    changes = executed[1].read_json("training.json")["largest_change"]
    assert changes["head"]["Conv2D"] == changes["head"]["BatchNormalization"] == 0
    assert changes["fine-tune"]["BatchNormalization"] == 0 < changes["fine-tune"]["Conv2D"]
    assert "BatchNormalization" in shown(executed[0]["04_train"])


@pytest.mark.parametrize("end", ["03", "04", "05"])
def test_out_of_order_it_says_in_one_line_which_one_to_run_first(end, tmp_path, letters_zip, small_study):
    if end != "03":  # begun, and nothing done
        RunFolder.begin(tmp_path / "run", casestudy.Wishes(small_study, seed=1), letters_zip)
    path = next(path for path in STEPS if path.stem.startswith(end))
    with pytest.raises(CellExecutionError) as caught:
        run_notebook(path, RUN=str(tmp_path / "run"))
    before = {"03": "02_import_data", "04": "03_clean_data", "05": "04_train"}[end]
    lines = [line for line in str(caught.value).splitlines() if "RunError" in line]
    assert any(f"Run notebook {before} first" in line for line in lines)
    assert "Traceback" not in str(caught.value)
