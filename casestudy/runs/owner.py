"""Who works in a run folder: one process at a time, which a file tells; that of a dead one counts no longer."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from casestudy.errors import RunError
from casestudy.files import partial_path, remove_left_behind

OWNER = "owner"
BEAT = 60.0  # seconds between two signs of life
SILENT = 10 * BEAT  # without one, after which a process of another machine counts as dead; one of this machine is seen


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keeps a run folder for this process inside the block; a RunError says that another one works in it."""
    own, stop = partial_path(folder / OWNER), threading.Event()
    if own.exists():  # by a caller further up
        yield
        return
    own.write_text(f"process {os.getpid()} of {platform.node()}", encoding="utf-8")
    try:
        refuse_others(folder)  # only now: of two that begin at the same time, none overlooks the other
        threading.Thread(target=_beat, args=(own, stop), daemon=True).start()
        yield
    finally:
        stop.set()
        own.unlink(missing_ok=True)


def refuse_others(folder: Path) -> None:
    """Raises a RunError where another process works in the folder."""
    own = partial_path(folder / OWNER)
    for path in remove_left_behind(folder, OWNER, forgotten=SILENT):
        if path != own:
            who = ""
            with suppress(OSError):
                who = path.read_text(encoding="utf-8")
            raise RunError(
                f"One process at a time works in a run folder; in {folder} it is {who or path.name}. Wait for it, or "
                f"name another folder with --out. If it is dead, remove {path}."
            )


def _beat(own: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        with suppress(OSError):
            os.utime(own)
