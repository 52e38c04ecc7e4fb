"""The cells of an executed notebook, and the answers in them, found as a person would find them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from casestudy.grading.containers import readable
from casestudy.words import counted

LONGEST = 1_000  # cells of a notebook
MOST_PRINTED = 100_000  # characters of a cell's output that are read
PLACEHOLDER = "Your answer: replace this line."
AFTER_ANSWERS = ("next", "hand-in")  # the notebooks' own cells below an answer
HEADING = re.compile(r"^#+\s*Your turn\b", re.MULTILINE)  # over every question
BELOW = re.compile(r"^\s*(\*\*Next:\*\*|#+\s*Hand in\b)")  # how the cells below an answer begin
LEFT_OUT = "picture-left-out"  # how `casestudy submit` marks an output that it took out
PICTURES = {"image/png", "image/jpeg", "image/svg+xml"}
# What notebook 05 advises to call in a new cell, which cannot have run when the notebook is handed in.
SUBMITTING = re.compile(r"(\s*#[^\n]*\n)*\s*![^\n;&|]*\bcasestudy submit\b([^\n\\]|\\\n)*\s*")


@dataclass(frozen=True)
class Cell:
    """A notebook's cell: its execution count, the error it ended with, whether it shows a picture, what it printed."""

    id: str
    kind: str
    source: str
    count: int | None
    error: str
    picture: bool
    tags: tuple[str, ...] = ()
    printed: str = ""


def cells_of(notebook: dict[str, Any]) -> list[Cell]:
    """Returns the cells of a notebook; a ValueError says, after its name, why it is none."""
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ValueError("is not a notebook")
    if len(cells) > LONGEST:
        raise ValueError(f"has {counted(len(cells), 'cell')}; a notebook has at most {LONGEST:,}")
    return [_cell(cell) for cell in cells]


def _cell(values: dict[str, Any]) -> Cell:
    outputs, count = values.get("outputs"), values.get("execution_count")
    metadata = _dictionary(values.get("metadata"))
    shown = [output for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []
    error = next((output.get("ename", "error") for output in shown if output.get("output_type") == "error"), "")
    tags = metadata.get("tags")
    return Cell(
        id=str(values.get("id") or metadata.get("id") or ""),  # Colab keeps it in the metadata
        kind=str(values.get("cell_type", "")),
        source=_text(values.get("source")),
        count=count if isinstance(count, int) else None,
        error=readable(error, 80),
        picture=any(
            LEFT_OUT in _dictionary(o.get("metadata")) or PICTURES & _dictionary(o.get("data")).keys() for o in shown
        ),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        printed="\n".join(_text(output.get("text")) for output in shown if "text" in output)[:MOST_PRINTED],
    )


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def answer_in(cells: list[Cell], name: str) -> list[str] | None:
    """Returns what was written in the answer cell of that name, above it and below it; None where there is none."""
    place = next((k for k, cell in enumerate(cells) if cell.id == name), None)
    return None if place is None else _around(cells, place)


def answer_by_heading(cells: list[Cell]) -> list[str] | None:
    """Returns the same by the tag "answer", by what stood in the cell, or by the question; None where all are gone.

    Editors drop ids, and people type in the next cell, or below the question itself.
    """
    by_tag = [k for k, cell in enumerate(cells) if "answer" in cell.tags or PLACEHOLDER in cell.source]
    by_question = [k for k, cell in enumerate(cells) if cell.kind != "code" and HEADING.search(cell.source)]
    if by_tag:
        return _around(cells, by_tag[-1])
    return _around(cells, by_question[-1]) if by_question else None


def _around(cells: list[Cell], place: int) -> list[str]:
    """Returns the texts that belong to an answer: from the question on, without it, to the notebook's own next cell."""
    start = place
    while start > 0 and cells[start - 1].kind != "code" and not HEADING.search(cells[start].source):
        start -= 1
    if not HEADING.search(cells[start].source):
        start = place
    own = takewhile(lambda cell: not _ends(cell), cells[start:])
    texts = [_own_words(cell) for cell in own if cell.kind != "code"]
    return [text for text in texts if text.strip()]


def _ends(cell: Cell) -> bool:
    return cell.id in AFTER_ANSWERS or (cell.kind != "code" and BELOW.match(cell.source) is not None)


def _own_words(cell: Cell) -> str:
    """Returns a cell's text without the placeholder, and without the question that it may hold."""
    text = re.sub(r"\**" + re.escape(PLACEHOLDER) + r"\**", "", cell.source)
    if not HEADING.search(text):
        return text
    paragraphs = re.split(r"\n\s*\n", text[HEADING.search(text).start() :])  # type: ignore[union-attr]
    return "\n\n".join(one for one in paragraphs[1:] if not _printed_question(one))


def _printed_question(paragraph: str) -> bool:
    """Returns whether a paragraph below the heading is one of the case's own: a question, or what to read."""
    plain = " ".join(paragraph.split())
    return plain.startswith(("**Read**", "Which one number", "Choose one odd entry", "A friend cleans",
                             "Phase 2 changes", "In your own words"))  # fmt: skip
