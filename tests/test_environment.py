"""The two commands' set-up: what it decides, what it says, and once, without network, all of it for real."""

import ast
import base64
import collections
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "SCRIPTS"


@pytest.fixture
def environment():
    spec = importlib.util.spec_from_file_location("environment_under_test", SCRIPTS / "release/environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "a stüdy folder"
    folder.mkdir()
    (folder / "requirements.lock").write_text("tiny==1.0 --hash=sha256:0\n")
    return folder


class Installers:
    """Stands in for every program the set-up starts; `failing` names those that exit with 1, or the exception."""

    def __init__(self):
        self.commands = []
        self.failing = {}

    def __call__(self, command, **_):
        if command[1:] == ["-c", ""]:  # does the interpreter start?
            return 0 if Path(command[0]).exists() else 1
        self.commands.append([str(part) for part in command])
        tool = "uv" if command[0] == "/bin/uv" else "pip"
        if "install" in command and tool in self.failing:
            if isinstance(self.failing[tool], BaseException):
                raise self.failing[tool]
            return self.failing[tool]
        if "venv" in command:
            target = Path(command[-1])
            version = "{}.{}".format(*sys.version_info)
            for folder in ("bin", "Scripts", "Lib/site-packages", f"lib/python{version}/site-packages"):
                (target / folder).mkdir(parents=True, exist_ok=True)
            (target / "bin/python").touch()
            (target / "Scripts/python.exe").touch()
        return 0

    def tools(self):
        return ["uv" if command[0] == "/bin/uv" else "pip" for command in self.commands if "install" in command]


@pytest.fixture
def installers(environment, monkeypatch):
    fake = Installers()
    monkeypatch.setattr(environment.subprocess, "call", fake)
    monkeypatch.setattr(environment.shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    return fake


@pytest.fixture
def no_uv(environment, installers, monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)


def test_uv_is_preferred_and_every_package_must_have_its_hash(environment, installers, root):
    python = environment.ensure_environment(root)
    assert python.parent.parent == root / ".venv"
    assert installers.tools() == ["uv"]
    install = installers.commands[-1]
    assert install[install.index("-r") + 1] == str(root / "requirements.lock")
    assert "--require-hashes" in install
    assert install[install.index("--python") + 1] == str(python)


def test_without_uv_venv_and_pip_do_it(environment, installers, root, no_uv):
    python = environment.ensure_environment(root)
    make, install = installers.commands
    assert make[1:] == ["-m", "venv", str(root / ".venv")]
    assert install[:3] == [str(python), "-m", "pip"]
    assert "--require-hashes" in install


def test_the_second_time_installs_nothing(environment, installers, root, capsys):
    environment.ensure_environment(root)
    done = len(installers.commands)
    capsys.readouterr()
    environment.ensure_environment(root)
    assert len(installers.commands) == done
    assert capsys.readouterr() == ("", "")


def test_another_lock_makes_it_anew(environment, installers, root):
    environment.ensure_environment(root)
    (root / ".venv/left_over").touch()
    (root / "requirements.lock").write_text("tiny==1.1 --hash=sha256:1\n")
    environment.ensure_environment(root)
    assert installers.tools() == ["uv", "uv"]
    assert not (root / ".venv/left_over").exists()


def test_an_interrupted_set_up_is_mended(environment, installers, root):
    installers.failing["uv"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        environment.ensure_environment(root)
    assert (root / ".venv").is_dir()
    installers.failing.clear()
    environment.ensure_environment(root)
    environment.ensure_environment(root)
    assert installers.tools() == ["uv", "uv"]


def test_a_python_that_is_gone_is_replaced(environment, installers, root):
    environment.ensure_environment(root).unlink()
    assert environment.ensure_environment(root).exists()
    assert installers.tools() == ["uv", "uv"]


def test_the_users_own_venv_is_never_touched(environment, installers, root):
    (root / ".venv").mkdir()
    own = root / ".venv/pyvenv.cfg"
    own.write_text("mine")
    with pytest.raises(environment.SetupError, match="Rename or delete it"):
        environment.ensure_environment(root)
    assert own.read_text() == "mine"
    assert [path.name for path in (root / ".venv").iterdir()] == ["pyvenv.cfg"]
    assert installers.commands == []


def test_pip_is_tried_where_uv_cannot(environment, installers, root):
    installers.failing["uv"] = 1
    environment.ensure_environment(root)
    assert installers.tools() == ["uv", "pip"]


def test_when_nothing_can_install_one_line_says_so(environment, installers, root):
    installers.failing = {"uv": 1, "pip": 1}
    with pytest.raises(environment.SetupError, match="could not be set up by uv or pip") as caught:
        environment.ensure_environment(root)
    assert "\n" not in str(caught.value)
    installers.failing.clear()
    environment.ensure_environment(root)  # what was left is known to be unfinished, and ours


def test_a_python_outside_the_lock_needs_uv(environment, installers, root, monkeypatch):
    monkeypatch.setattr(environment, "_fits", lambda: False)
    monkeypatch.setattr(environment, "NEWEST", sys.version_info[:2])  # so that the fake's folders have its name
    environment.ensure_environment(root)
    make = installers.commands[0]
    assert make[make.index("--python") + 1] == "{}.{}".format(*sys.version_info)
    installers.failing["uv"] = 1
    (root / "requirements.lock").write_text("")
    with pytest.raises(environment.SetupError, match="set up by uv "):
        environment.ensure_environment(root)


def test_a_python_outside_the_lock_without_uv_is_told_which_to_take(environment, installers, root, no_uv, monkeypatch):
    monkeypatch.setattr(environment, "_fits", lambda: False)
    with pytest.raises(environment.SetupError, match=r"runs on Python 3\.11 to 3\.13.* or install uv"):
        environment.ensure_environment(root)
    assert not (root / ".venv").exists()


def test_a_python_without_ensurepip_is_told_what_to_install(environment, installers, root, no_uv, monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(environment.SetupError, match=r"sudo apt install python3\.\d+-venv"):
        environment.ensure_environment(root)


def test_a_folder_that_cannot_be_written_is_named(environment, installers, root, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(environment.Path, "mkdir", refuse)
    with pytest.raises(environment.SetupError, match=r"a stüdy folder.*Permission denied.*copy the project"):
        environment.ensure_environment(root)


def test_a_full_disk_is_told_before_the_download(environment, installers, root, monkeypatch):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 9**10, 10**9))
    with pytest.raises(environment.SetupError, match=r"needs .* GB of free disk.* has 1\.0 GB"):
        environment.ensure_environment(root)
    assert installers.commands == []


def test_other_pythons_settings_stay_out_and_the_index_stays_in(environment, monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "mirror")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "mirror")
    environ = environment._clean_environ()
    assert "elsewhere" not in environ.values()
    assert environ["PIP_INDEX_URL"] == environ["UV_DEFAULT_INDEX"] == "mirror"


@pytest.mark.parametrize(("failure", "code"), [(KeyboardInterrupt(), 130), ("one line", 2)])
def test_the_commands_end_in_one_line(environment, monkeypatch, capsys, failure, code):
    def fail():
        raise environment.SetupError(failure) if isinstance(failure, str) else failure

    monkeypatch.setattr(environment, "ensure_environment", fail)
    with pytest.raises(SystemExit) as caught:
        environment.run_in_environment("pytest")
    assert caught.value.code == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def make_wheel(folder):
    """Writes the smallest wheel pip accepts and returns its line of a lock."""
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    files = {
        "tiny.py": b"answer = 42\n",
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(data)}\n"
        archive.writestr("tiny-1.0.dist-info/RECORD", record + "tiny-1.0.dist-info/RECORD,,\n")
    return f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def test_for_real_without_network(root, tmp_path):
    """run.py with venv and pip, from another folder: arguments, exit code, own packages and nobody else's."""
    shutil.copytree(SCRIPTS / "release", root / "SCRIPTS/release", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SCRIPTS / "run.py", root / "SCRIPTS")
    (root / "casestudy").mkdir()
    (root / "casestudy/__main__.py").write_text(
        "import sys, tiny\nprint(tiny.answer, __file__, sys.argv[1:])\nsys.exit(7)\n", encoding="utf-8"
    )
    wheels, elsewhere = tmp_path / "wheels", tmp_path / "elsewhere"
    wheels.mkdir()
    elsewhere.mkdir()
    (root / "requirements.lock").write_text(make_wheel(wheels))
    (elsewhere / "tiny.py").write_text("answer = 'of another Python'\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "COV_"))}
    environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}
    environ |= {"PYTHONPATH": str(elsewhere), "PATH": str(elsewhere), "PYTHONUTF8": "1"}  # and so no uv

    def call(*command):
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, encoding="utf-8")

    for time in ("first", "second"):
        result = call(sys.executable, str(root / "SCRIPTS/run.py"), "--seed", "two words")
        assert result.returncode == 7, result.stderr
        assert result.stdout.splitlines()[-1].startswith("42 ")
        assert str(root / "casestudy") in result.stdout
        assert result.stdout.rstrip().endswith("['run', 'asl', '--seed', 'two words']")
        assert ("Setting up .venv with pip" in result.stderr) == (time == "first")
    environ["PATH"] = os.environ["PATH"]
    del environ["PYTHONPATH"]
    command = root / (".venv/Scripts/casestudy.cmd" if os.name == "nt" else ".venv/bin/casestudy")
    assert call(str(command), "doctor").stdout.rstrip().endswith("['doctor']")


@pytest.mark.parametrize("name", ["release/environment.py", "run.py", "test.py"])
def test_the_scripts_need_only_a_python_and_parse_on_old_ones(name):
    tree = ast.parse((SCRIPTS / name).read_text(encoding="utf-8"), feature_version=(3, 6))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names | {"release"}
    assert not any(isinstance(node, ast.NamedExpr | ast.Match) for node in ast.walk(tree))


def lock_entries():
    """Returns (requirement, number of hashes) for each entry of requirements.lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text))
    return [(Requirement(re.split(r"\\|--hash", entry)[0].strip()), entry.count("--hash=sha256:")) for entry in entries]


def test_the_lock_holds_names_versions_and_hashes_only():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|@|--index|--find-links|--trusted", text)
    for requirement, hashes in lock_entries():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert hashes, requirement


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_pins_every_dependency_once_and_as_pyproject_allows(platform, python):
    target = {"sys_platform": platform, "python_version": python, "python_full_version": f"{python}.5"}
    pinned = collections.defaultdict(list)
    for requirement, _ in lock_entries():
        if requirement.marker is None or requirement.marker.evaluate(target):
            pinned[canonicalize_name(requirement.name)].append(str(requirement.specifier).removeprefix("=="))
    assert all(len(versions) == 1 for versions in pinned.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in project["dependencies"] + project["optional-dependencies"]["test"]:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate(target):
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)][0]), line


def test_pre_commit_formats_as_the_lock_does():
    version = next(str(requirement.specifier)[2:] for requirement, _ in lock_entries() if requirement.name == "ruff")
    assert f"rev: v{version}\n" in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
