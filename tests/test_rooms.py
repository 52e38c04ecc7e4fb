"""The house keeps its rules: arrows go down, rooms are entered by their door, and CONTRIBUTING.md shows what is there.

The rules about imports are data, in `[tool.importlinter]` of pyproject.toml; the last tests break each on a copy.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "casestudy"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS = next(rule["layers"] for rule in RULES if rule["type"] == "layers")
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
MOST_LINES, MOST_IN_ALL, MOST_NAMES = 300, 25_894, 10  # in all on the way to 9,000: lower it


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def job(name: str) -> str:
    """Returns the first line of a room's or file's docstring."""
    path = PACKAGE / name if name.endswith(".py") else PACKAGE / name / "__init__.py"
    return (ast.get_docstring(tree(path)) or "").partition("\n")[0]


def door(room: str) -> list[ast.ImportFrom]:
    """Returns the imports of a room's door: its stub, or its `__init__.py` where everything is loaded at once."""
    stub = PACKAGE / room / "__init__.pyi"
    body = tree(stub if stub.is_file() else stub.with_suffix(".py")).body
    return [node for node in body if isinstance(node, ast.ImportFrom)]


def public(room: str) -> list[str]:
    """Returns the names that a room is entered by: those of its stub, or of `__all__` where it has none."""
    stub = PACKAGE / room / "__init__.pyi"
    if stub.is_file():
        return [alias.asname or alias.name for node in door(room) for alias in node.names]
    for node in tree(stub.with_suffix(".py")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{room} names nothing: it needs an __init__.pyi or an __all__")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on the package in `root`, by the rules in the pyproject.toml there."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", check=False)


def test_imports_follow_the_rules():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_layers_are_what_there_is():
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert set(LAYERS) == files | set(ROOMS)
    assert len(LAYERS) == len(set(LAYERS))


def test_every_room_is_protected():
    protected = {rule["allowed_importers"][0]: rule for rule in RULES if rule["type"] == "protected"}
    for room in ROOMS:
        rule = protected[f"casestudy.{room}"]
        assert rule["allowed_importers"] == [f"casestudy.{room}"]
        assert rule["protected_modules"] == [f"casestudy.{room}.*"]
        assert "ignore_imports" not in rule or room == "cleaning"


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_names_ten_things_at_the_most(room):
    names = public(room)
    assert 0 < len(names) <= MOST_NAMES, names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / room / "__init__.pyi").is_file()])
def test_a_door_opens_its_own_room_only(room):
    """import-linter reads no stubs, so one could pass on another room's names, and nobody would see the arrow."""
    for node in door(room):
        assert node.level == 1 and (PACKAGE / room / f"{node.module}.py").is_file(), ast.unparse(node)


@pytest.mark.parametrize("name", ["__init__.py", *ROOMS, *sorted(path.name for path in PACKAGE.glob("[a-z]*.py"))])
def test_a_room_tells_its_job_in_a_line(name):
    assert re.fullmatch(r"\S.{10,118}\.", job(name)), job(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_file_is_read_in_one_sitting(path):
    assert lines(path) <= MOST_LINES


def test_the_house_stays_small():
    assert sum(map(lines, FILES)) <= MOST_IN_ALL


def test_the_guides_picture_is_the_house():
    picture = re.search(r"^```text\n(casestudy/.*?)^```$", GUIDE, re.S | re.M)[1].splitlines()
    shown = [re.fullmatch(r" *(\S+) +(\S.*)", line).groups() for line in picture]
    names = [name + ("/" if name in ROOMS else ".py") for name in LAYERS]
    assert [name for name, _ in shown] == ["casestudy/", *names]
    for name, text in shown:
        line = job({"casestudy/": "__init__.py"}.get(name, name.removesuffix("/")))
        assert text == line, f"CONTRIBUTING.md's picture says of {name}: {text} Its docstring says: {line}"


def rows() -> list[list[str]]:
    """Returns the cells of the table under "Where to change what"."""
    part = GUIDE.partition("## Where to change what")[2].partition("\n## ")[0]
    return [re.split(r"\s*\|\s*", line.strip("| ")) for line in part.splitlines() if line.startswith("|")][2:]


def names_of(path: Path) -> set[str]:
    """Returns what a file defines at its top: functions, classes, constants."""
    found = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_what_the_guide_says_to_change_is_there(row):
    places = re.findall(r"`([\w./-]+\.\w+)`(?: → ((?:`\w+`(?:, )?)+))?", row[1])
    assert places
    for file, names in places:
        assert (ROOT / file).is_file(), file
        if file.endswith(".py"):
            wanted = set(re.findall(r"\w+", names))
            assert wanted and wanted <= names_of(ROOT / file), (file, wanted - names_of(ROOT / file))


def test_the_guide_names_what_there_is():
    for link in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert link.startswith("http") or (ROOT / link).exists(), link
    for script in re.findall(r"python (SCRIPTS/[\w/]+\.py)", GUIDE):
        assert (ROOT / script).is_file(), script


def test_slow_files_are_there():
    slow = next(node for node in tree(ROOT / "tests" / "conftest.py").body if "SLOW = " in ast.unparse(node)[:7])
    names = {node.value for node in ast.walk(slow) if isinstance(node, ast.Constant)}
    assert names and all((ROOT / "tests" / f"{name}.py").is_file() for name in names), names


def test_the_guides_study_is_one():
    from casestudy.study import Study

    example = re.search(r"^```python\n(.*?)^```$", GUIDE, re.S | re.M)[1]
    scope: dict[str, object] = {}
    exec(example, scope)
    assert isinstance(scope["MY_LETTERS"], Study)


@pytest.fixture
def copy(tmp_path):
    """A copy of the package and its rules, to break them in."""
    shutil.copytree(PACKAGE, tmp_path / "casestudy", ignore=shutil.ignore_patterns("__pycache__", "templates"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def add(copy: Path, file: str, line: str) -> subprocess.CompletedProcess[str]:
    """Adds a line to a file of the copy, and returns what import-linter says then."""
    with (copy / "casestudy" / file).open("a", encoding="utf-8") as target:
        target.write(f"\n{line}\n")
    return lint(copy)


def broken(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^(.+) BROKEN\b", done.stdout, re.M)


def test_a_copy_is_as_good(copy):
    done = add(copy, "cli/__init__.py", "")
    assert (done.returncode, broken(done)) == (0, [])


@pytest.mark.parametrize(
    "line",
    ["from casestudy.runs import run_study", "def later():\n    import casestudy.runs"],
    ids=["top", "in function"],
)
def test_an_arrow_that_goes_up_is_found(copy, line):
    done = add(copy, "data/splits.py", line)
    assert (done.returncode, broken(done)) == (1, ["Arrows go down only"])
    assert "casestudy.data.splits -> casestudy.runs" in re.sub(r"\s+", " ", done.stdout)


def test_an_arrow_past_a_door_is_found(copy):
    """`__main__` stands above every room, so none of these goes up."""
    modules = [next(path.stem for path in (PACKAGE / room).glob("[a-z]*.py")) for room in ROOMS]
    lines = [f"import casestudy.{room}.{module}" for room, module in zip(ROOMS, modules, strict=True)]
    done = add(copy, "__main__.py", "\n".join(lines))
    assert done.returncode == 1
    assert sorted(broken(done)) == [f"{room} is entered through its __init__" for room in ROOMS]


def test_a_name_for_the_type_checker_is_no_arrow(copy):
    line = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from casestudy.runs.folder import RunFolder"
    assert add(copy, "data/splits.py", line).returncode == 0


def test_a_second_door_to_tensorflow_is_found(copy):
    assert broken(add(copy, "data/splits.py", "import keras")) == ["TensorFlow has one door"]


def test_a_heavy_cleaning_is_found(copy):
    assert broken(add(copy, "cleaning/ledger.py", "import pandas")) == ["cleaning is light"]


def test_a_file_without_a_layer_is_found(copy):
    done = add(copy, "attic.py", "")
    assert broken(done) == ["Arrows go down only"] and "casestudy.attic" in done.stdout
