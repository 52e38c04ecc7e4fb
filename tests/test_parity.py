"""What is written agrees with what is there: README, layers, names and commands."""

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
OUTSIDE = {"__init__", "__main__"}  # the front door, which stands beside the layers


def rooms() -> list[tuple[int, str]]:
    """Returns (layer, module) in the order of the README's table; a row may name several modules."""
    found = []
    for line in README.splitlines():
        row = re.match(r"\| (\d) \| (`[^|]+`) \| \S", line)
        if row:
            found += [(int(row[1]), name) for name in re.findall(r"`(\w+)\.py`", row[2])]
    return found


def imports(module: str) -> set[str]:
    """Returns the package's modules that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("casestudy.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            if node.module == "casestudy":
                found |= {alias.name for alias in node.names if (PACKAGE / f"{alias.name}.py").exists()}
            elif (node.module or "").startswith("casestudy."):
                found.add(node.module.split(".")[1])
    return found


def parsers() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def test_every_module_has_one_room():
    listed = [module for _, module in rooms()]
    on_disk = sorted({path.stem for path in PACKAGE.glob("*.py")} - OUTSIDE)
    assert sorted(listed) == on_disk


def test_imports_go_down():
    place = {module: (layer, k) for k, (layer, module) in enumerate(rooms())}
    assert len(place) > 20
    assert [layer for layer, _ in rooms()] == sorted(layer for layer, _ in rooms())
    upward = [(m, other) for m in place for other in imports(m) if place.get(other, (9, 0)) >= place[m]]
    assert upward == []


def test_only_the_door_opens_tensorflow():
    """TensorFlow and Keras come through `backend`; a name for the type checker alone is no import."""
    for path in PACKAGE.glob("*.py"):
        text = re.sub(r"if TYPE_CHECKING:\n(    .*\n)+", "", path.read_text(encoding="utf-8"))
        heavy = re.findall(r"^\s*(?:import|from) (?:keras|tensorflow)\b", text, re.M)
        assert bool(heavy) == (path.stem == "backend"), path.stem


def test_printing_is_the_command_lines_business():
    for path in PACKAGE.glob("*.py"):
        calls = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        ]
        assert not calls or path.stem in ("cli", "clean_command", "grade_command"), (path.stem, calls)


def test_nothing_is_pickled():
    for path in PACKAGE.glob("*.py"):
        assert not re.search(r"^\s*import pickle|allow_pickle=True|joblib", path.read_text(encoding="utf-8"), re.M), (
            path
        )


def test_every_public_name_is_there():
    assert casestudy.__all__ == sorted(set(casestudy.__all__))
    for name in casestudy.__all__:
        assert getattr(casestudy, name) is not None
        assert name in dir(casestudy)
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        _ = casestudy.nonesuch


def test_the_verbs_of_the_design_are_public():
    verbs = "iter_members screen_image clean_archive load_images split_images build_model train evaluate"
    verbs += " run_study write_report load_rubric grade"
    assert set(verbs.split()) <= set(casestudy.__all__)
    promised = re.search(r"The verbs, in the order of the pipeline: (.*?)\. Each", casestudy.__doc__, re.S)
    assert set(re.findall(r"`(\w+)`", promised[1])) <= set(casestudy.__all__)


def test_every_public_object_is_documented():
    for name in casestudy.__all__:
        thing = getattr(casestudy, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


def test_the_readme_documents_every_command():
    for name in parsers():
        assert re.search(rf"^\| `casestudy {name}\b", README, re.M), name
    named = set(re.findall(r"\bcasestudy (run|\w+)(?= [A-Z\[<]|`| -)", README))
    assert named <= {*parsers(), "authors"}, named


def test_the_readme_shows_the_two_commands():
    for script in ("run", "test"):
        assert f"python SCRIPTS/{script}.py" in README
        assert (ROOT / "SCRIPTS" / f"{script}.py").is_file()


def test_every_option_in_the_readme_exists():
    ours = set.union(*(options(parser) for parser in parsers().values()))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", README)) <= ours


def test_the_readmes_commands_can_be_parsed():
    lines = re.findall(r"`!?casestudy ([^`]+)`", README)
    lines += [f"run {found}".strip() for found in re.findall(r"python SCRIPTS/run\.py ?([^`\n]*)`", README)]
    assert len(lines) > 6
    for line in lines:
        words = re.sub(r"[\[\]]", "", line).split()
        if words[0] in parsers() and not {"…", "..."} & set(words):
            words += ["X"] if words == ["clean"] or words == ["verify"] or words == ["report"] else []
            build_parser().parse_args([word for word in words if word != "--help"])


def test_every_option_says_what_it_does():
    for name, parser in parsers().items():
        for action in parser._actions:
            assert action.help, (name, action.dest)
            for word in action.option_strings:
                assert word in parser.format_help()


def test_help_names_every_model_and_protocol():
    from typing import get_args

    from casestudy.choices import Protocol
    from casestudy.models.network import MODELS

    run = {action.dest: action for action in parsers()["run"]._actions}
    assert list(run["model"].choices) == list(MODELS)
    for model in MODELS:
        assert model in README
    assert set(run["split"].choices) == set(get_args(Protocol))
    assert list(run["study"].choices) == list(STUDIES)


def test_files_that_the_readme_links_to_are_there():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_the_tree_is_formatted():
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    for call in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff, *call, "."], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
