"""The scripts stand in folders, import one another from the root, and are called as the pages say."""

import ast
import os
import re
import subprocess
import sys

import pytest

from SCRIPTS.release.environment import ROOT

SCRIPTS = sorted((ROOT / "SCRIPTS").rglob("*.py"))
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("ARTICLES/*.md"), *ROOT.glob("DATA/**/*.md"), *SCRIPTS]
COMMANDS = ("run.py", "test.py", "check.py")  # these start with any Python, and import `release` as they lie
MOST_LINES = 300


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(ROOT).as_posix())


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def test_a_user_sees_the_commands_alone():
    assert {path.name for path in (ROOT / "SCRIPTS").glob("*.py")} <= set(COMMANDS)


@by_name(SCRIPTS)
def test_a_script_is_short_and_tells_its_job_in_a_line(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    assert re.fullmatch(r"\S.{10,118}[.:`]", ast.get_docstring(tree(path)).partition("\n")[0])


@by_name([*SCRIPTS, *sorted((ROOT / "tests").glob("*.py"))])
def test_nothing_changes_where_python_looks_for_modules(path):
    attributes = {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    assert "sys.path" not in attributes


@by_name([path for path in SCRIPTS if path.name not in COMMANDS])
def test_scripts_import_one_another_from_the_root(path):
    own = {one.stem for one in SCRIPTS} | {one.parent.name for one in SCRIPTS} - {"SCRIPTS"}
    for node in ast.walk(tree(path)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not own & {name.partition(".")[0] for name in names}, ast.unparse(node)
        assert not getattr(node, "level", 0)


@by_name(PAGES)
def test_the_scripts_that_a_page_names_are_there(path):
    text = path.read_text(encoding="utf-8")
    named = [name.replace(".", "/") + ".py" for name in re.findall(r"python\s-m\s(SCRIPTS(?:\.\w+)+)", text)]
    for name in [*named, *re.findall(r"SCRIPTS/[\w/]+\.py", text)]:
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("how", [["-m", "SCRIPTS.hands.make_sample"], [str(ROOT / "SCRIPTS/hands/make_sample.py")]])
def test_a_script_is_called_by_its_module_or_by_its_path(how, tmp_path):
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}  # what the private environment's .pth file does
    command = [sys.executable, *how, "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "--check" in done.stdout
