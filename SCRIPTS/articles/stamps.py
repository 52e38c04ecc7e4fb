"""Committed pictures carry a hash of the data and the code that drew them, so that a test sees when one is out of date.

    python -m SCRIPTS.articles.stamps        names the committed pictures that are out of date, and what draws them

A PNG keeps it as text, a JPEG as comment. It says nothing of the library that drew: a newer one makes other bytes of
the same picture.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

KEY = "Drawn-from"  # of the text in a PNG
OURS = ("casestudy.", "SCRIPTS.", "__main__")  # a script that draws is __main__, and the same code


@dataclass(frozen=True)
class Picture:
    """A committed picture: what draws it.

    Attributes:
        command: Draws it again.
        draw: The function that makes it of its data, the first argument.
        data: Returns what is drawn: values that JSON can hold, or bytes.
    """

    command: str
    draw: Callable[..., Any]
    data: Callable[[], Any]

    def stamp(self) -> str:
        """Returns the hash that the picture must carry."""
        return stamp(self.data(), self.draw)


def stamp(data: Any, draw: Callable[..., Any]) -> str:
    """Returns the SHA-256 of the data, of the function's source and of all of this project that it names."""
    known = data if isinstance(data, bytes) else json.dumps(data, sort_keys=True).encode()
    digest = hashlib.sha256(hashlib.sha256(known).digest())
    for name, source in sorted(sources(draw).items()):
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()


def sources(function: Callable[..., Any]) -> dict[str, str]:
    """Returns the source of a function, and of what it calls and names of this project, by their names."""
    found: dict[str, str] = {}
    waiting: list[Any] = [function]
    while waiting:
        one = waiting.pop()
        name = f"{Path(one.__code__.co_filename).stem}.{one.__qualname__}"
        if name in found:
            continue
        found[name] = inspect.getsource(one)
        for called, value in _named(one.__code__, one.__globals__):
            if inspect.isfunction(value) and value.__module__.startswith(OURS):
                waiting.append(value)
            elif isinstance(value, (str, int, float, tuple, dict)) and not called.startswith("__"):
                with contextlib.suppress(TypeError):  # a table of functions is no constant
                    found[f"{name}: {called}"] = json.dumps(value, sort_keys=True)
    return found


def _named(code: types.CodeType, known: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the globals that a code names, and what it takes of this project's modules."""
    modules = [known[name] for name in code.co_names if isinstance(known.get(name), types.ModuleType)]
    spaces = [known, *(vars(module) for module in modules if module.__name__.startswith(OURS))]
    yield from ((name, space[name]) for name in code.co_names for space in spaces if name in space)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _named(inner, known)


def stamp_of(path: Path) -> str:
    """Returns the hash that a picture carries; "" where there is none."""
    with Image.open(path) as picture:
        kept = picture.info.get(KEY) or picture.info.get("comment", "")
    return kept.decode("ascii", "replace") if isinstance(kept, bytes) else kept


def committed() -> dict[Path, Picture]:
    """Returns every picture that a page of the checkout shows, by its path, with what draws it."""
    from SCRIPTS.articles import figures, pages
    from SCRIPTS.hands import make_sample, pretrain_signs
    from SCRIPTS.release.environment import ROOT

    others = {ROOT / make_sample.SHEET: make_sample.PICTURE, pretrain_signs.CARDS_CURVE: pretrain_signs.PICTURE}
    return figures.PICTURES | pages.PICTURES | others


def out_of_date() -> dict[Path, str]:
    """Returns the committed pictures that other data or other code drew, each with the command that draws it again."""
    return {path: one.command for path, one in committed().items() if stamp_of(path) != one.stamp()}


if __name__ == "__main__":
    old = out_of_date()
    sys.exit("\n".join(f"{path} is out of date; draw it again: {command}" for path, command in old.items()) or None)
