"""Files appear whole or not at all, are told by their digests, and are found in the checkout."""

from __future__ import annotations

from pathlib import Path

from casestudy.cleaning.files import (
    MOST_TABLE,
    atomic_path,
    code_digest,
    file_digest,
    partial_path,
    read_member,
    remove_left_behind,
    reserve,
)

__all__ = [
    "MOST_TABLE",
    "STALL",
    "atomic_path",
    "code_digest",
    "file_digest",
    "find_in_checkout",
    "partial_path",
    "read_member",
    "remove_left_behind",
    "reserve",
]

STALL = 20.0  # seconds without a byte, after which a download is given up


def find_in_checkout(name: Path) -> Path | None:
    """Returns where a file of this project's checkout is, or None where there is no checkout.

    The working folder and those above it are looked at first, then the checkout that the package itself belongs to.
    """
    folders = (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[1])
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
