"""Tasks for the tests of `casestudy.cluster`: workers know them by the name of this module."""

import os
import signal
import time
from pathlib import Path


def word(path: Path) -> str:
    """Returns what a file holds; the first one's is found last."""
    time.sleep(0.2 if path.stem == "0" else 0)
    return path.read_text(encoding="utf-8")


def process(_: object) -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("TF_NUM_INTRAOP_THREADS")


def dies_once(path: Path) -> str:
    """Kills its worker without a word, as a lack of memory does; the next one finds what it left."""
    if not path.exists():
        path.write_text("begun", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)
    return path.read_text(encoding="utf-8")


def dies(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tidied_up(path: Path) -> str:
    """Finds a file gone that was there, and the second time what another has made of it."""
    if path.exists():
        return "done by another"
    path.write_text("", encoding="utf-8")
    raise FileNotFoundError(path)


def listening(_: object) -> list[str]:
    """Returns the addresses at which the scheduler's process and all workers take calls."""
    import psutil

    home = psutil.Process().parent().parent()
    home = next((one for one in [home, *home.parents()] if "pytest" in " ".join(one.cmdline())), home)
    found = []
    for one in [home, *home.children(recursive=True)]:
        found += [call.laddr.ip for call in one.net_connections("inet") if call.status == "LISTEN"]
    return found


def dies_once_before(mark: Path, call, task):
    """Kills its worker without a word before the first of all tasks."""
    dies_once(mark)
    return call(task)


def grades_and_dies_once(rubric, key, kept: Path, some: list):
    """Kills its worker after the first submission that any of them has graded."""
    from casestudy.grading import many

    many._grade_some(rubric, key, kept, some[:1])
    dies_once(kept.parent / "died")
    return many._grade_some(rubric, key, kept, some)
