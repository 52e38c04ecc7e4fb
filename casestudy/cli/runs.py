"""Run folders that are there: which there are, one on a screen, several side by side."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import casestudy
from casestudy import report  # a room loads a name when it is used
from casestudy.errors import CaseStudyError, RunError
from casestudy.runs import Options
from casestudy.words import MANY_LABELS, counted, duration, percent, printable

WEAKEST = 15  # labels that the screen shows where there are many
HERE = (Path("runs"), Path("notebooks") / "runs")
EXAMPLES = (
    "casestudy compare runs/asl-asl_sample runs/my-idea",
    "casestudy compare runs/one runs/two runs/three --out three.html",
    "casestudy compare runs/dense-baseline-asl_sample",
)
LACKING = "`casestudy run` makes one in runs"


def found_runs(*places: Path) -> list[str]:
    """Returns the run folders in folders, each once, in the order of the folders and of their names."""
    return list(dict.fromkeys(path.parent.as_posix() for place in places for path in sorted(place.glob("*/run.json"))))


def on_screen(run: casestudy.RunFolder) -> str:
    """Returns a run's result on one screen."""
    scores = run.scores()
    known, found = run.provenance(), report.claims(run)
    lines = ["", f"starting weights: {run.resolved.weights}", ""]
    lines += [known.banner, ""] if known.banner else []
    lines += [report.summary_sentence(scores, run.evaluation().sure.sentence), ""]
    trained = [f"{score.training}, {report.PROTOCOLS[score.protocol]}" for score in scores]
    wide = max(map(len, trained))
    for what, score in zip(trained, scores, strict=True):
        accuracy, loss = percent(score.accuracy), report.decimals(score.loss)
        lines.append(f"  {what:{wide}}  accuracy {accuracy:>8}   loss {loss}")
    table = run.read_table("per_label.csv")
    shown = table.sort_values("accuracy", kind="stable").head(WEAKEST) if len(table) > MANY_LABELS else table
    labels = shown.to_dict("records")
    wide = max(len(label) for label in ("label", *(row["label"] for row in labels)))
    lines += ["", f"  {'label':{wide}}  support  accuracy     loss   most confused with"]
    for row in labels:
        numbers = f"{percent(row['accuracy']):>8}  {report.decimals(row['loss']):>7}"
        lines.append(f"  {row['label']:{wide}}  {row['support']:7}  {numbers}   {row['most_confused_with']}")
    if len(shown) < len(table):
        lines.append(f"  the weakest of {counted(len(table), 'label')}; per_label.csv has the others")
    for title, sentences in (("You may write:", found.may), ("You may not write:", found.may_not)):
        lines += ["", title]
        whole = (one.replace(" %", "\N{NO-BREAK SPACE}%") for one in sentences)
        lines += [textwrap.fill(one, 110, initial_indent="  - ", subsequent_indent="    ") for one in whole]
    if known.seconds_for_everyone and (command := Options.again(run, everyone=True)):
        time = duration(known.seconds_for_everyone)
        lines += ["", f"To test the whole training on everyone, in about {time}:", f"  {command}"]
    lines += ["", f"seal: {run.record.seal}", f"report: {run.path / 'report.html'}"]
    name = shlex.quote(str(run.path))
    lines += [f"your own hand or picture: casestudy demo {name}"] * run.has("model.keras")
    lines += [f"its models side by side: casestudy compare {name}"] * (len(run.compared()) > 1)
    return "\n".join(lines)


def open_run(args: argparse.Namespace, path: Path | None = None, *, data: Path | None = None) -> casestudy.RunFolder:
    """Returns the run folder at `path`, or at `args.run`; a RunError says which ones are here where it is none."""
    named = path or args.run
    if not (named / "run.json").is_file():
        found = found_runs(named, *HERE)
        here = f"Runs that are here: {', '.join(found[:5])}" if found else LACKING
        name = next(iter(get_close_matches(str(named), found, 1)), next(iter(found), "runs/NAME"))
        what = "has none" if named.exists() else "is not there"
        call = " ".join(name if one == named else str(one) for one in getattr(args, "runs", [named]))
        raise RunError(f"A run folder holds a run.json; {named} {what}. {here}. Name it: {args.parser.prog} {call}")
    return casestudy.RunFolder.open(named, data=data)


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds compare, demo and runs; `command(name, help, call, *examples, run="")` makes a parser."""
    compare = command("compare", "hold runs side by side, or the models of one, on one page", _compare, *EXAMPLES)
    about = "two to eight run folders; the others are held against the first; of one alone, its models"
    compare.add_argument("runs", nargs="+", type=Path, metavar="RUN", help=about)
    out = "new file (default: comparison.html)"
    compare.add_argument("--out", type=Path, default=Path("comparison.html"), metavar="PAGE", help=out)
    about = "the first run's photographs, where they are not in its folder"
    compare.add_argument("--data", type=Path, metavar="DATA", help=about)

    about = "write a page that reads your own hand in a browser, without a network"
    demo = command("demo", about, _demo, "casestudy demo runs/asl-asl_sample", run="run folder")
    out = "new file (default: demo.html)"
    demo.add_argument("--out", type=Path, default=Path("demo.html"), metavar="PAGE", help=out)

    runs = command("runs", "list run folders with their scores", _runs, "casestudy runs", "casestudy runs runs/course")
    about = "where they are (default: runs and notebooks/runs)"
    runs.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help=about)


def _compare(args: argparse.Namespace) -> int:
    from casestudy.compare import compare_runs, write_comparison  # only now: --help needs no pandas

    runs = [open_run(args, path, data=None if k else args.data) for k, path in enumerate(args.runs)]
    found = compare_runs(runs)
    page = write_comparison(found, args.out)
    print("\n".join(map(printable, [*found.lines(), "", f"page: {page}"])))
    return 0


def _demo(args: argparse.Namespace) -> int:
    from casestudy.demo import write_demo  # only now: --help needs no pandas

    target = write_demo(open_run(args), args.out)
    size = counted(round(target.stat().st_size / 1e6, 1), "megabyte")
    print(printable(f"page: {target}, {size}. Open it in a browser: it needs no server and no network."))
    return 0


def _runs(args: argparse.Namespace) -> int:
    if args.folder and not args.folder.is_dir():
        raise RunError(f"Runs are looked for in a folder; {args.folder} is none. Name another: casestudy runs FOLDER")
    places = (args.folder,) if args.folder else HERE
    rows = [(name, *_row(Path(name))) for name in found_runs(*places)]
    if not rows:
        print(printable(f"No run is in {' or '.join(map(str, places))}. {LACKING[0]}{LACKING[1:]}."))
        return 0
    wide = [max(len(printable(row[k])) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{printable(cell):{width}}" for cell, width in zip(row, wide, strict=True)).rstrip())
    return 0


def _row(path: Path) -> tuple[str, ...]:
    """Returns study, model, date, marks and score of a run folder, with how sure it is."""
    try:
        run = casestudy.RunFolder.open(path)
        record, done = run.record, run.has("metrics.json")
        score = run.scores()[0] if done else None
    except CaseStudyError as error:
        return ("", "", "", "", f"cannot be read: {error}")
    study, drawn = record.wishes.study, record.images and record.images.drawn
    marks = ", ".join(["quick" if record.wishes.quick else "whole", *(["drawn"] if drawn else [])])
    said = "not finished"
    if score:
        ends = report.interval(score.interval, " to ")
        sure = score.interval_method if ends == "–" else ends
        said = f"{percent(score.accuracy):>7} ({sure}), {report.PROTOCOLS[score.protocol]}"
    return (study.name, study.model.name, record.started[:10], marks, said)
