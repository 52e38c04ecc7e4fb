"""Text and JSON files, written whole or not at all, and the blocks of a page between two marks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from casestudy.files import write_text as write_text
from SCRIPTS.release.environment import ROOT

ARTICLES, README = ROOT / "ARTICLES", ROOT / "README.md"


def write_json(path: Path, values: Any, *, indent: int = 2) -> None:
    """Writes values as a JSON file that people can read, too."""
    write_text(path, json.dumps(values, indent=indent, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Returns the values of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def replaced(page: str, block: str, begin: str, end: str) -> str:
    """Returns the page with the block between the two marks.

    >>> replaced("words [ old ] words", "new", "[", "]")
    'words [\\nnew\\n] words'
    """
    before, rest = page.split(begin)
    return f"{before}{begin}\n{block}\n{end}{rest.split(end)[1]}"
