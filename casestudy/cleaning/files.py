"""Files appear whole or not at all, and are told by their digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`, renamed to it when the block ends and removed when it fails."""
    # The ending stays the target's, all of ".weights.h5": some writers choose their format by it.
    stem, dot, ending = target.name.partition(".")
    partial = target.with_name(f".{stem}.{os.getpid()}.tmp{dot}{ending}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Returns the digest of a file in hexadecimal, read in pieces; of any algorithm that hashlib knows."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
