"""Files appear whole or not at all, are told by their digests, and are found in the checkout."""

from __future__ import annotations

import zipfile
from pathlib import Path

from casestudy.cleaning.files import (
    MOST_TABLE as MOST_TABLE,
    atomic_path as atomic_path,
    code_digest as code_digest,
    file_digest as file_digest,
    partial_path as partial_path,
    read_member as read_member,
    remove_left_behind as remove_left_behind,
    reserve as reserve,
)
from casestudy.errors import UNREADABLE

STALL = 20.0  # seconds without a byte, after which a download is given up


def write_text(target: Path, text: str) -> None:
    """Writes a text file, with the same line ends on every system; a folder that is not there is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def find_in_checkout(name: Path) -> Path | None:
    """Returns where a file of this project's checkout is, or None where there is no checkout.

    The working folder and those above it are looked at first, then the checkout that the package itself belongs to.
    """
    folders = (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[1])
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def zip_names(path: Path) -> list[str]:
    """Returns the names of a ZIP file's entries; none where it is none, or not whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, *UNREADABLE):
        return []
