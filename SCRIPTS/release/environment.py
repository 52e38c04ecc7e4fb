"""The private environment `.venv`: made from requirements.lock where it is missing, stale or half made.

run.py and test.py call `run_in_environment`. Only the standard library is used, and the syntax is that of Python 3.6,
so that an old Python can say which one is needed, or let uv fetch it. Progress goes to stderr: stdout is the command's.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)  # the Pythons of requirements.lock, which are those TensorFlow has wheels for
STAMP = "casestudy-environment"  # marks a `.venv` as ours; holds `_fingerprint` once everything is installed
DOWNLOAD = 740  # MB on Linux x86_64; 490 on Windows, 430 on Linux arm64, 350 on macOS
DISK = 4  # GB: the environment takes 2.7, the downloads and their cache the rest

# Settings of the caller's own Pythons. Where packages come from (index, proxy, certificate, cache) is none of them.
FOREIGN = {"PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "CONDA_PREFIX"}
FOREIGN |= {"PIP_PREFIX", "PIP_TARGET", "UV_PYTHON", "UV_SYSTEM_PYTHON"}


class SetupError(Exception):
    """There is no environment; the message is one line: the rule, what was received, what to do next."""


def run_in_environment(*command, cwd=None):
    """Ends this process as `python -m *command` ends in the environment, which is made first where needed.

    Args:
        *command: A module and its arguments.
        cwd: The folder to run in; None for the caller's.
    """
    try:
        python = ensure_environment()
    except SetupError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nStopped while setting up. The same command starts again from what was downloaded.", file=sys.stderr)
        sys.exit(130)
    if cwd:
        os.chdir(str(cwd))
    arguments = [str(python), "-m", *command]
    if os.name == "posix":  # become the command: exit code and every signal are then its own
        os.execve(arguments[0], arguments, _clean_environ())
    with subprocess.Popen(arguments, env=_clean_environ()) as process:
        while True:
            try:
                sys.exit(process.wait())
            except KeyboardInterrupt:  # it reached the command too, which may have work to save
                continue


def ensure_environment(root=ROOT):
    """Returns the Python of `.venv` with exactly the packages of requirements.lock in it.

    Args:
        root: The folder of the project.

    Raises:
        SetupError: It cannot be made on this machine, or a `.venv` that is not ours is in the way.
    """
    version = "{}.{}".format(*(sys.version_info if _fits() else NEWEST))
    target = root / ".venv"
    stamp = target / STAMP
    wanted = _fingerprint(root / "requirements.lock", version)
    try:
        found = stamp.read_text() if stamp.is_file() else None
        python = target / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if found == wanted and _runs(python):
            return python
        if found is None and (target.is_symlink() or target.exists()) and not (target.is_dir() and _is_empty(target)):
            raise SetupError(
                f"The environment belongs in {target}, but something that these scripts did not make is there. "
                "Rename or delete it, then run the same command again."
            )
        _make(root, target, python, version)
        stamp.write_text(wanted)
    except OSError as error:
        raise SetupError(
            f"The environment is made in {target}, which cannot be written ({error.strerror or error}). "
            "End programs that use it, or copy the project to a folder of your own, then run the same command again."
        ) from error
    return python


def _make(root, target, python, version):
    """Fills `target` by the first installer that can: uv where it is on the PATH, else venv and pip."""
    uv = shutil.which("uv")
    if not uv and not _fits():
        raise SetupError(
            "The project runs on Python {}.{} to {}.{}, for which TensorFlow has wheels, and this is {}.{}. Run the "
            "same command with one of those, or install uv, which fetches one.".format(
                *OLDEST, *NEWEST, *sys.version_info[:2]
            )
        )
    free = shutil.disk_usage(str(root)).free / 1e9
    if free < DISK:
        raise SetupError(
            f"The environment needs {DISK} GB of free disk, and {root} has {free:.1f} GB. "
            "Make room, then run the same command again."
        )
    lock = ["--require-hashes", "--only-binary", ":all:", "-r", str(root / "requirements.lock")]
    own = _own_python() if _fits() else version  # by its version alone uv finds or fetches one
    installers = {}
    if uv:
        installers["uv"] = (
            [uv, "venv", "--quiet", "--allow-existing", "--python", own, str(target)],
            [uv, "pip", "install", "--python", str(python), *lock],
        )
    if _fits() and importlib.util.find_spec("ensurepip"):
        # Behind uv too, because a mirror or certificate may be known to pip alone.
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        installers["pip"] = ([own, "-m", "venv", str(target)], [*pip, *lock])
    if not installers:
        raise SetupError(
            "A private environment needs uv, or Python's own venv and ensurepip modules; this Python has neither. "
            f"Install uv, or on Debian and Ubuntu run `sudo apt install python{version}-venv`."
        )
    for name, commands in installers.items():
        _say(
            f"Setting up .venv with {name}: Python {version} and the packages of requirements.lock. "
            f"This is done once and downloads up to {DOWNLOAD} MB ..."
        )
        _begin(target)
        if all(subprocess.call(command, env=_clean_environ(), cwd=str(root)) == 0 for command in commands):
            _add_project(root, target, python, version)
            return
        _say(f"{name} could not do it.")
    raise SetupError(
        f"Python {version} with the packages of requirements.lock could not be set up by {' or '.join(installers)} "
        "(the last words stand above). They exist for Linux (x86_64, aarch64), Windows (x86_64) and macOS (Apple "
        f"silicon); this is {sys.platform} ({platform.machine()}). With the package index or a mirror within reach, "
        "run the same command again."
    )


def _begin(target):
    """Leaves in `target` only a stamp that says it is ours and unfinished, so a half-made one is made anew."""
    target.mkdir(exist_ok=True)
    (target / STAMP).write_text("unfinished")
    for entry in target.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        elif entry.name != STAMP:
            entry.unlink()


def _add_project(root, target, python, version):
    """Puts the project's source on the environment's path, and a `casestudy` command beside its Python.

    A line in a .pth file may be relative to its folder: this one survives a move of the project, and no path with
    accents is written in an encoding that some Python would misread. An editable install would do neither.
    """
    site = target / ("Lib" if os.name == "nt" else f"lib/python{version}") / "site-packages"
    (site / "casestudy-source.pth").write_text(os.path.relpath(str(root), str(site)) + "\n")
    if os.name == "nt":
        python.with_name("casestudy.cmd").write_text('@"%~dp0python.exe" -m casestudy %*\n')
    else:
        command = python.with_name("casestudy")
        command.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m casestudy "$@"\n')
        command.chmod(0o755)


def _fingerprint(lock, version):
    """Returns what the stamp says when the environment is complete and current."""
    if not lock.is_file():
        raise SetupError(f"The packages to install are listed in {lock}, which is missing. Clone the project again.")
    return f"{version} {hashlib.sha256(lock.read_bytes()).hexdigest()}"


def _fits():
    """Whether this Python is one that the lock was checked for."""
    return OLDEST <= sys.version_info[:2] <= NEWEST


def _own_python():
    """Returns the interpreter behind this one: in a virtual environment, perhaps the one to replace, its base."""
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _runs(python):
    """Whether the interpreter still starts: an upgrade or removal of its base leaves a dead link behind."""
    try:
        return subprocess.call([str(python), "-c", ""], env=_clean_environ(), stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _clean_environ():
    """Returns this process' environment variables without those that point into other Pythons."""
    environ = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**environ, "PIP_USER": "0"}


def _is_empty(folder):
    return next(folder.iterdir(), None) is None


def _say(text):
    print(text, file=sys.stderr, flush=True)
