"""What is written agrees with what is there: README, names and commands; and no file does what none may."""

import argparse
import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import casestudy
from casestudy.cli.commands import build_parser
from casestudy.studies import STUDIES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "casestudy"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "ARTICLES" / "commands.md").read_text(encoding="utf-8")
PAGES = README + COMMANDS + (ROOT / "ARTICLES" / "promises.md").read_text(encoding="utf-8")
FILES = sorted(PACKAGE.rglob("*.py"))
SPEAKERS = {
    "cli/commands.py",
    "cli/grading.py",
    "cli/reading.py",
    "cli/runs.py",
    "cleaning/command.py",
}  # who may print


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def parsers() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def test_imports_are_absolute():
    """A file can then be moved without a change in it; only the stubs, which name a room's own files, are relative."""
    for path in FILES:
        levels = [node.level for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom)]
        assert not any(levels), path


def test_printing_is_the_command_lines_business():
    printing = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert printing == SPEAKERS


def test_nothing_is_pickled():
    assert len(FILES) > 60
    for path in FILES:
        assert not re.search(r"^\s*import pickle|allow_pickle=True|joblib", path.read_text(encoding="utf-8"), re.M), (
            path
        )


def test_every_public_name_is_there():
    assert casestudy.__all__ == sorted(set(casestudy.__all__))
    for name in casestudy.__all__:
        assert getattr(casestudy, name) is not None
        assert name in dir(casestudy)
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = casestudy.nonesuch


def test_the_verbs_of_the_design_are_public():
    verbs = "clean_archive load_images split_images build_model train evaluate run_study write_report read_photographs"
    promised = re.search(r"The verbs, in the order of the pipeline: (.*?)\. Each", casestudy.__doc__, re.S)
    assert " ".join(re.findall(r"`(\w+)`", promised[1])) == verbs
    assert {"iter_members", *verbs.split()} <= set(casestudy.__all__)


def test_every_public_object_is_documented():
    for name in casestudy.__all__:
        thing = getattr(casestudy, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


def test_a_page_documents_every_command():
    for name in parsers():
        assert re.search(rf"^\| `casestudy {name}\b", COMMANDS, re.M), name
    named = set(re.findall(r"\bcasestudy (run|\w+)(?= [A-Z\[<]|`| -)", PAGES))
    assert named <= {*parsers(), "authors"}, named


def test_the_readme_shows_the_two_commands():
    for script in ("run", "test"):
        assert f"python SCRIPTS/{script}.py" in README
        assert (ROOT / "SCRIPTS" / f"{script}.py").is_file()


def test_every_option_on_these_pages_exists():
    ours = set.union(*(options(parser) for parser in parsers().values()))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", PAGES)) <= ours


def test_the_commands_on_these_pages_can_be_parsed():
    lines = re.findall(r"`!?casestudy ([^`]+)`", PAGES)
    lines += [f"run {found}".strip() for found in re.findall(r"python SCRIPTS/run\.py ?([^`\n]*)`", PAGES)]
    assert len(lines) > 6
    for line in lines:
        words = re.sub(r"[\[\]]", "", line).split()
        if words[0] in parsers() and not {"…", "..."} & set(words):
            words += ["X"] if words == ["clean"] or words == ["verify"] or words == ["report"] else []
            build_parser().parse_args([word for word in words if word != "--help"])


def said():
    """Yields (file, text) of every string in the package that is no docstring; what is filled in is an X."""
    for path in FILES:
        tree = parsed(path)
        bodies = [
            node.body[0] for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list) and node.body
        ]
        docstrings = {id(first.value) for first in bodies if isinstance(first, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield path.name, "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield path.name, node.value


def test_what_messages_advise_exists():
    ours = set.union(*(options(parser) for parser in parsers().values()))
    advised = {(name, word) for name, text in said() for word in re.findall(r"(?<=[ `(])--[a-z][a-z-]+", text)}
    commands = [line.split() for _, text in said() for line in re.findall(r"`casestudy ([^`]+)`", text)]
    for words in commands:
        needs = [] if words[0] in ("run", "doctor", "audit") or len(words) > 2 else ["X"]  # the message says of what
        build_parser().parse_args([*(word for word in words if word != "--help"), *needs])
    assert len(advised) > 20 and len(commands) > 6
    assert {(name, word) for name, word in advised if word not in ours} == {  # of pip and Dask
        ("doctor.py", "--upgrade"), ("cluster.py", "--host"), ("cluster.py", "--nthreads"),
    }  # fmt: skip


def test_every_option_says_what_it_does():
    for name, parser in parsers().items():
        for action in parser._actions:
            assert action.help, (name, action.dest)
            for word in action.option_strings:
                assert word in parser.format_help()


def test_help_names_every_model_and_protocol():
    from typing import get_args

    from casestudy.choices import Protocol
    from casestudy.models.architectures import MODELS

    run = {action.dest: action for action in parsers()["run"]._actions}
    assert run["model"].metavar == "{" + ",".join(MODELS) + "}"
    for model in MODELS:
        assert model in COMMANDS
    assert set(run["split"].metavar.strip("{}").split(",")) == set(get_args(Protocol))
    assert run["study"].help.startswith(f"{', '.join(STUDIES)} (")


def test_the_tree_is_formatted():
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    for call in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff, *call, "."], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
