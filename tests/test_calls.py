"""What a student types first, and mistypes: an overview, help with examples, and one line that says what to do next."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from casestudy.cleaning import CommandParser, add_clean_command
from casestudy.cli import main
from casestudy.cli.commands import RUN_GROUPS, build_parser
from casestudy.runs import Options
from casestudy.studies import STUDIES

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for path in (ROOT / "SCRIPTS").rglob("*.py") if "CommandParser(" in path.read_text("utf-8"))


def commands() -> dict[str, CommandParser]:
    actions = build_parser()._actions
    return dict(next(action for action in actions if isinstance(action, argparse._SubParsersAction)).choices)


def said(call: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Returns exit code, output and errors of a call."""
    try:
        code = main(call)
    except SystemExit as done:
        code = int(done.code or 0)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_bare_command_is_an_overview(capsys):
    code, overview, errors = said([], capsys)
    assert (code, errors) == (0, "")
    assert said(["--help"], capsys) == (0, overview, "")
    first = overview.index("casestudy doctor"), overview.index("casestudy run --quick")
    titles = ("to begin", "from data to a report", "to hand in", "to grade")
    groups = [overview.index(f"\n{title}:\n") for title in titles]
    assert [*first, *groups] == sorted([*first, *groups])
    for name, parser in commands().items():
        about = parser.description.rstrip(".")
        assert re.search(rf"^  {name} +{re.escape(about[0].lower() + about[1:])}$", overview, re.M)
    assert max(map(len, overview.splitlines())) <= 100


@pytest.mark.parametrize("name", commands())
def test_every_help_ends_with_examples_that_can_be_called(name, capsys):
    code, shown, _ = said([name, "--help"], capsys)
    examples = shown.partition("\nexamples:\n")[2].splitlines()
    assert code == 0 and examples
    for example in examples:
        program, *words = shlex.split(example)
        args = build_parser().parse_args(words)
        assert (program, args.parser.prog) == ("casestudy", f"casestudy {name}")
        if name == "run":
            Options.parse(vars(args)).wishes()


def test_the_options_of_run_stand_in_groups(capsys):
    names = [name for group in RUN_GROUPS.values() for name in group]
    assert sorted(names) == sorted(field.name for field in fields(Options) if field.name != "study")
    _, shown, _ = said(["run", "--help"], capsys)
    titles = ["data", "what to train", "how to train", "how to test", "the run folder"]
    parts = re.split(rf"^({'|'.join(titles)}):$", shown, flags=re.M)
    assert parts[1::2] == titles
    places = {title: part for title, part in zip(parts[1::2], parts[2::2], strict=True)}
    for name, title in {"--pattern": "data", "--password": "data", "--model": "what to train", "--seed": "how to train",
                        "--split": "how to test", "--out": "the run folder"}.items():  # fmt: skip
        assert re.search(rf"^  {name}\b", places[title], re.M)
    assert len(shown.split("\n\n")[0].splitlines()) == 1  # a usage of one line, not of a screen


# Calls that are mistyped, and what their line says.
MISTYPED = {
    "dance": "COMMAND is one of doctor, studies, audit, run,",
    "verfy runs/x": "Did you mean 'verify'?",
    "VERIFY runs/x": "Did you mean 'verify'?",
    "--verison": "there is no option --verison before a command. Did you mean '--version'?",
    "--quiet run": "there is no option --quiet before a command. More: casestudy --help",
    "-q": "received '-q', which is no option here",
    "run asll": "The study is one of",
    "run ASL": "Did you mean 'asl'?",
    "run a b": "received 'b', which is a word too many: a name with spaces needs quotes",
    "run --modle x": "there is no option --modle. Did you mean '--model'?",
    "run --see=3": "there is no option --see. Did you mean '--seed'?",
    "run --seed": "--seed needs a value after it",
    "run --learning-rate -1,1": "one that begins with a dash is written --learning-rate=VALUE",
    "run --quick=yes": "--quick takes no value; received 'yes'",
    "run --model Resnet50": "Did you mean 'resnet50v2'?",
    "run --split Signers": "Did you mean 'signer'?",
    "run --crop boxs": "Did you mean 'boxes'?",
    "run --precision mixed_float": "Did you mean 'mixed_float16'?",
    "tune": "a call must name STUDY. For example: casestudy tune emnist --quick --trials 2",
    "tune emnst": "STUDY is emnist; received 'emnst'. Did you mean 'emnist'?",
    "tune asl": "STUDY is emnist; received 'asl'. Use it.",
    "tune emnist --trials 0": "--trials takes a whole number from 1 up; received '0'",
    "tune emnist --trials many": "--trials takes a whole number from 1 up; received 'many'",
    "tune emnist --seed x": "--seed takes a",
    "tune emnist --seed=-1": "--seed is from 0 to",
    "tune emnist --data nowhere": "there is nothing at nowhere",
    "clean": "a call must name ARCHIVE. For example: casestudy clean photos.rar",
    "clean nowhere": "There is no archive or folder at nowhere: check the path.",
    "clean . --workers 0": "--workers takes a whole number from 1 up; received '0'",
    "clean . --workers two": "--workers takes a whole number from 1 up; received 'two'",
    "clean . --pattern ( --out a.zip": "mend it.",
    "clean . --pattern (x) --out a.zip": "write (?P<label>…) around the letter.",
    "clean . --out no/a.zip": "There is no folder no: make it, or name another place with --out.",
    "clean . --undo x": "make it with `casestudy clean`.",
    "clean . --dryrun": "Did you mean '--dry-run'?",
    "report": "a call must name RUN. For example: casestudy report runs/asl-asl_sample",
    "compare": "a call must name RUN. For example: casestudy compare runs/asl-asl_sample runs/my-idea",
    "compare nowhere": "nowhere is not there.",
    "runs nowhere": "Runs are looked for in a folder; nowhere is none.",
    "verify": "a call must name RUN. For example: casestudy verify runs/asl-asl_sample",
    "verify a b": "received 'b', which is a word too many",
    "verify nowhere": "nowhere is not there.",
    "verify . --retain x": "Did you mean '--retrain'?",
    "predict runs/x": "a call must name PHOTOGRAPHS. For example: casestudy predict",
    "predict nowhere hidden.zip": "nowhere is not there.",
    "submit nowhere": "nowhere is not there.",
    "submit . --nam Anna": "Did you mean '--name'?",
    "key nowhere": "nowhere is not there.",
    "key . --hiden x": "Did you mean '--hidden'?",
    "rubric --rubric nowhere": "Name it with --rubric FILE.",
    "grade": "a call must name FILES, --key. For example: casestudy grade downloads --key key.json",
    "grade x": "a call must name --key. For example:",
    "grade x --ky key.json": "there is no option --ky. Did you mean '--key'?",
    "grade x --key nowhere": "Make one from a run of your own: casestudy key RUN.",
    "grade x --key .": "Make one from a run of your own: casestudy key RUN.",
    "studies x": "received 'x', which is a word too many",
    "doctor --verbose": "there is no option --verbose. More: casestudy doctor --help",
}


@pytest.mark.parametrize("call", MISTYPED)
def test_what_is_mistyped_is_one_line_that_says_what_to_do(call, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output, errors = said(call.split(), capsys)
    assert (code, output) == (2, "")
    assert len(errors.strip().splitlines()) == 1
    assert errors.startswith("casestudy") and "usage:" not in errors and "Traceback" not in errors
    assert MISTYPED[call] in errors
    assert list(tmp_path.iterdir()) == []


def test_what_no_run_holds_is_told_which_ones_do(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (["verify", "."], ["report", "."], ["submit", "."]):
        code, _, errors = said(call, capsys)
        assert code == 2
        assert "A run folder holds a run.json; . has none. `casestudy run` makes one in runs." in errors
        assert errors.rstrip().endswith(f"Name it: casestudy {call[0]} runs/NAME")
    for name in ("runs/asl-asl_sample", "runs/my-idea", "notebooks/runs/first"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").touch()
    (tmp_path / "runs" / "none").mkdir()
    for named, near in {".": "runs/asl-asl_sample", "runs": "runs/asl-asl_sample", "runs/myidea": "runs/my-idea",
                        "my-idea": "runs/my-idea", "notebooks/runs": "notebooks/runs/first"}.items():  # fmt: skip
        errors = said(["verify", named], capsys)[2]
        assert all(name in errors for name in ("runs/asl-asl_sample", "runs/my-idea", "notebooks/runs/first")), named
        assert "runs/none" not in errors
        assert errors.rstrip().endswith(f"Name it: casestudy verify {near}"), named


def test_a_study_is_found_where_only_its_capitals_are_wrong():
    from casestudy.words import did_you_mean

    assert all(did_you_mean(name.upper(), STUDIES) == f"Did you mean {name!r}?" for name in STUDIES)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "a call must name ARCHIVE. For example: python DATA/clean_data.py photos.rar"),
        (["x", "--wrkers", "1"], "there is no option --wrkers. Did you mean '--workers'?"),
        (["x", "--workers", "0"], "--workers takes a whole number from 1 up; received '0'. More: clean_data.py --help"),
    ],
)
def test_the_script_that_cleans_says_it_in_one_line_too(words, line, tmp_path):
    command = [sys.executable, str(ROOT / "DATA" / "clean_data.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"clean_data.py: {line}\n")


def test_no_script_has_a_parser_of_another_kind():
    assert len(SCRIPTS) >= 10
    for path in (path for folder in ("SCRIPTS", "DATA", "casestudy") for path in (ROOT / folder).rglob("*.py")):
        assert "ArgumentParser(" not in path.read_text("utf-8"), path


def test_a_word_that_begins_with_a_dash_can_be_given(tmp_path):
    parser = CommandParser(prog="clean")
    add_clean_command(parser)
    assert parser.parse_args(["--password=--secret", "a.zip"]).password == "--secret"
    assert parser.parse_args(["--", "--a.zip"]).archive == [Path("--a.zip")]
