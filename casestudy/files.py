"""Writes files whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`, renamed to it when the block ends and removed when it fails."""
    # The ending stays the target's: some writers choose their format by it.
    partial = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
