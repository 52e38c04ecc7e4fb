"""The command that reads photographs: parse, call one function, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import casestudy
from casestudy import evaluation  # a room loads a name when it is used
from casestudy.cli.runs import open_run
from casestudy.errors import RunError
from casestudy.files import atomic_path
from casestudy.words import counted, percent, printable

SHOWN = 3  # labels a photograph, the likeliest first


def add_command(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds read; `command(name, help, call, *examples, run="")` makes a parser."""
    about = "read photographs of your own with the model of a run"
    examples = (
        "casestudy read runs/asl-asl_sample my_hand.jpg",
        "casestudy read runs/asl-asl_sample/model.keras photos/ more.zip --csv read.csv",
    )
    read = command("read", about, _read, *examples, run="run folder, or a model.keras alone")
    read.add_argument("photographs", nargs="+", type=Path, metavar="PHOTO", help="photographs, folders or archives")
    read.add_argument("--csv", type=Path, metavar="FILE", help="new file: a row a photograph, a column a label")
    read.add_argument("--password", help="of encrypted archives")


def _read(args: argparse.Namespace) -> int:
    if args.csv and args.csv.exists():
        raise RunError(f"What was read is never overwritten; {args.csv} is there already. Name another file.")
    model = args.run if args.run.is_file() else open_run(args).path
    table = casestudy.read_photographs(model, args.photographs, password=args.password)
    if args.csv:
        with atomic_path(args.csv) as partial:
            table.to_csv(partial, index=False, lineterminator="\n")
    else:
        for row in table.to_dict("records"):
            print(printable(f"{row['name']}: {_said(row)}"))
    failed = int((table["why"] != "").sum())
    if args.csv or len(table) > 1:
        unsure = int((table["sure"].eq(False)).sum())
        print(f"{counted(len(table), 'photograph')}: {failed} not read, {unsure} not sure")
    return 1 if failed else 0


def _said(row: dict) -> str:
    """Returns what a line says of one photograph."""
    if row["why"]:
        return f"not read: {row['why']}"
    prefix = evaluation.PREFIX
    each = [(value, name.removeprefix(prefix)) for name, value in row.items() if name.startswith(prefix)]
    first, *others = (f"{label} {percent(value)}" for value, label in sorted(each, reverse=True)[:SHOWN])
    unsure = "not sure, perhaps " if row["sure"] is False else ""
    return f"{unsure}{', then '.join([first, *[', '.join(others)] * bool(others)])} ({row['cut']})"
