"""A bar for what takes longer than two seconds; its package is loaded only then."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
PATIENCE = 2.0  # seconds without a bar


def watched(items: Iterable[Item], what: str, *, show: bool, total: int | None = None) -> Generator[Item, None, None]:
    """Yields the items, and shows on standard error how many of `total` are done."""
    started, bar = time.monotonic(), None
    try:
        for done, item in enumerate(items, 1):
            yield item
            if bar is not None:
                bar.update()
            elif show and time.monotonic() - started > PATIENCE:
                from tqdm.auto import tqdm

                bar = tqdm(desc=what, unit=" files", total=total, initial=done)
    finally:
        if bar is not None:
            bar.close()
