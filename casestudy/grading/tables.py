"""CSV as people and their spreadsheets write it, in; and out so that no spreadsheet takes a cell for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.report import points

SEPARATORS = ",;\t"
MOST_BYTES = 50_000_000
RISKY = ("=", "+", "-", "@")


def csv_text(header: Iterable[object], rows: Iterable[Iterable[object]], *, bom: bool = False) -> str:
    """Returns a table as CSV, each cell harmless for a spreadsheet; with a byte-order mark Excel reads it as UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([harmless(cell) for cell in row] for row in (header, *rows))
    return "\ufeff" * bom + text.getvalue()


def harmless(cell: object) -> object:
    """Returns a cell that no spreadsheet takes for a formula (OWASP, CSV injection), whatever its separator is.

    >>> harmless("=1+1"), harmless(-1.5), harmless("Anna"), harmless("a;=1+1")
    ("'=1+1", -1.5, 'Anna', "a;'=1+1")
    """
    if isinstance(cell, float) and cell >= 0:
        return points(cell)
    if not isinstance(cell, str):
        return cell
    cell = f"'{cell}" if cell.lstrip().startswith(RISKY) and cell != "-" else cell  # a dash alone is none
    for separator in ";\t":  # read with it, what follows begins a cell of its own
        first, *rest = cell.split(separator)
        cell = separator.join([first, *(f"'{one}" if one.lstrip().startswith(RISKY) else one for one in rest)])
    return cell


def bare(cell: str) -> str:
    """Returns a cell as it was before it was made harmless.

    >>> bare("'=1+1"), bare("a;'=1+1"), bare("it's")
    ('=1+1', 'a;=1+1', "it's")
    """
    for separator in "\t;":
        first, *rest = cell.split(separator)
        cell = separator.join([first, *map(_opened, rest)])
    return _opened(cell)


def _opened(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].lstrip().startswith(RISKY) else cell


def read_rows(path: Path, columns: tuple[str, ...], what: str) -> list[tuple[str, dict[str, str]]]:
    """Returns each row of a CSV file that is not empty, with the place to name where it does not fit.

    UTF-8 with or without a mark, UTF-16, and what Excel writes with a code page of its own are read; cells may be
    divided by commas, semicolons or tabs, as the header is. Names of columns are small letters without blanks round.

    Raises:
        GradingError: There is no such file, it is no table, or lacks one of the columns.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GradingError(
            f"{what} are CSV files; there is no file {path} to be read. Name one that is there."
        ) from error
    if len(data) > MOST_BYTES or data[:4] == b"PK\x03\x04":
        raise GradingError(f"{what} are CSV files; {path} is none. Save it as CSV UTF-8 in your spreadsheet.")
    text = decoded(data)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(SEPARATORS, key=first.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=separator)
        reader.fieldnames = [name.strip().casefold() for name in reader.fieldnames or []]
        rows = []
        for row in reader:
            cells = {name: cell for name, cell in row.items() if isinstance(name, str) and isinstance(cell, str)}
            if any(cell.strip() for cell in cells.values()):
                rows.append((f"{path}, line {reader.line_num}", cells))
    except csv.Error as error:
        raise GradingError(f"{path} is not a CSV table ({error}). Save it as CSV UTF-8.") from error
    lacking = [column for column in columns if column not in reader.fieldnames]
    if lacking:
        needs = f"{path} needs the columns {', '.join(columns)}"
        raise GradingError(f"{needs}; it lacks {lacking[0]}. Put the header back.")
    return rows


def decoded(data: bytes) -> str:
    """Returns text in UTF-8, UTF-16, or the code page that western editions of Excel write.

    >>> decoded("ü".encode("cp1252")), decoded("ü".encode("utf-16")), decoded("ü".encode("utf-8-sig"))
    ('ü', 'ü', 'ü')
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
