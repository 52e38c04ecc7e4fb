"""Labels that an archive lists in tables of its own, as Roboflow exports them: flat names, and a CSV beside them.

train/_classes.csv        filename, A, B, del        one column a class, 1 where it is
train/_annotations.csv    filename,width,height,class,xmin,ymin,xmax,ymax
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from casestudy.cleaning.paths import as_label
from casestudy.cleaning.stored_names import split_path

_LISTS = ("_classes.csv", "_annotations.csv")


def is_class_list(name: str) -> bool:
    """Returns whether a file is called as such a table.

    >>> is_class_list("train/_classes.csv"), is_class_list("user_3/user_3_loc.csv")
    (True, False)
    """
    return split_path(name)[-1].lower() in _LISTS


def read_class_lists(tables: Mapping[str, bytes]) -> dict[str, str]:
    """Returns the one label of each image that such tables, by their own names, name; with two it has none here."""
    labels: dict[str, set[str]] = {}
    for table, data in tables.items():
        folder = table[: len(table) - len(split_path(table)[-1])]
        for file_name, label in _rows(data):
            labels.setdefault(folder + file_name, set()).add(as_label(label))
    return {entry: next(iter(found)) for entry, found in labels.items() if len(found) == 1 and "" not in found}


def _rows(data: bytes) -> Iterator[tuple[str, str]]:
    """Yields (file name, label) of each row; of a table of another kind, nothing."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline="")))
    except csv.Error:  # a cell of a hundred thousand characters, say
        return
    columns = [name.strip() for name in rows[0]] if rows else []
    if "filename" not in columns:
        return
    file = columns.index("filename")
    for row in rows[1:]:
        if len(row) != len(columns):
            continue
        if "class" in columns:
            yield row[file].strip(), row[columns.index("class")].strip()
        else:
            for name, mark in zip(columns, row, strict=True):
                if mark.strip() == "1":
                    yield row[file].strip(), name
