"""The commands round grading: parse, call one function, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import casestudy
from casestudy import grading, report  # a room loads a name when it is used


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds rubric, key, predict, submit and grade; `command(name, help, call, run="")` makes a parser."""

    def takes(parser: argparse.ArgumentParser, name: str, help: str, **more: Any) -> None:
        parser.add_argument(name, type=Path, help=help, **more)

    def takes_rubric(parser: argparse.ArgumentParser) -> None:
        takes(parser, "--rubric", "another rubric (default: rubric.md of the checkout)", metavar="FILE")

    takes_rubric(command("rubric", "check rubric.md, print it and total it", _rubric))

    own = "run folder, on the archive that students get"
    key = command("key", "make the key that submissions are held against, from a run of your own", _key, run=own)
    takes(key, "--out", "new file, to be kept secret (default: key.json)", default=Path("key.json"))
    takes(key, "--hidden", "labelled photographs for a hidden test, which nobody has seen", metavar="ARCHIVE")
    out = "where those go without their labels, for students (default: hidden.zip)"
    takes(key, "--hand-out", out, default=Path("hidden.zip"))

    about = "read the photographs of a hidden test with the model of a run"
    predict = command("predict", about, _predict, run="run folder")
    takes(predict, "photographs", "the zip that you were given")

    about = "pack a run folder and its notebooks into one file to hand in"
    submit = command("submit", about, _submit, run="run folder")
    takes(submit, "--notebooks", "their folder (default: notebooks)", default=Path("notebooks"))
    submit.add_argument("--name", default="", help="who you are")
    takes(submit, "--out", "new file (default: submission.zip)", default=Path("submission.zip"))
    takes_rubric(submit)

    grade = command("grade", "grade submissions against the rubric, running nobody's code", _grade)
    takes(grade, "submissions", "files, or folders as a learning platform gives them", nargs="+")
    takes(grade, "--key", "from casestudy key", required=True)
    takes_rubric(grade)
    takes(grade, "--out", "new folder (default: grades)", default=Path("grades"))
    takes(grade, "--merge", "your own points and comments: scores.csv, filled in", metavar="CSV")
    takes(grade, "--gradescope", "where Gradescope looks for results.json; written in any case", metavar="FILE")
    takes(grade, "--comments", "comments to use again: name,comment", metavar="CSV")


def _rubric(args: argparse.Namespace) -> int:
    rubric = grading.load_rubric(args.rubric)
    width = max(len(criterion.id) for criterion in rubric.criteria)
    for criterion in rubric.criteria:
        print(f"{report.points(criterion.points):>5}  {criterion.id:{width}}  {criterion.title} ({criterion.check})")
    checked, read = report.points(rubric.points - rubric.manual_points), report.points(rubric.manual_points)
    print(f"{report.points(rubric.points):>5}  points: {checked} by checks, {read} by a person")
    return 0


def _key(args: argparse.Namespace) -> int:
    key = grading.write_key(casestudy.RunFolder.open(args.run), args.out, hidden=args.hidden, hand_out=args.hand_out)
    if key.hidden:
        print(f"{args.hand_out}: {len(key.hidden)} photographs without labels, to hand out")
    print(f"{args.out}: {len(key.ledger):,} entries, {len(key.photographs):,} photographs. Keep it to yourself.")
    return 0


def _predict(args: argparse.Namespace) -> int:
    print(grading.predict_hidden(casestudy.RunFolder.open(args.run), args.photographs))
    return 0


def _submit(args: argparse.Namespace) -> int:
    rubric = grading.load_rubric(args.rubric)
    run = casestudy.RunFolder.open(args.run)
    packed = grading.pack_submission(run, args.notebooks, args.out, rubric, student=args.name)
    if packed.missing:
        given_away = report.points(sum(cost for cost, _, _ in packed.missing))
        print(f"As it is, this gives away {given_away} of {report.points(rubric.points)} points:")
        for cost, title, what in packed.missing:
            print(f"  {report.points(cost):>4}  {title}: {what}")
    else:
        print("Nothing is missing: every criterion has something to look at.")
    packed_as = f"{packed.files} files, {packed.size / 1e6:.1f} MB, no photographs and no model"
    print(f"{args.out}: {packed_as}. Hand in this one file.")
    return 0


def _grade(args: argparse.Namespace) -> int:
    own = {"scores": args.merge, "comments": args.comments, "gradescope": args.gradescope}
    reports = grading.grade_submissions(args.submissions, args.rubric, args.key, args.out, **own)
    if len(reports) == 1:
        for result in reports[0].results:
            earned = "–" if result.waits else report.points(result.points)
            most = report.points(result.criterion.points)
            print(f"{earned:>5} of {most:<3} {result.criterion.title}: {result.status}. {result.sentence}")
        print(grading.standing(reports[0]))
    print(f"{len(reports)} graded: {args.out / 'overview.html'}")
    return 0
