"""The commands round grading: parse, call one function, print."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import casestudy
from casestudy import grading, report  # a room loads a name when it is used
from casestudy.cleaning import CommandParser
from casestudy.cli.runs import open_run
from casestudy.cluster import add_worker_options, check_cluster
from casestudy.words import counted

FEWEST_STRANGERS = 3  # people of a hidden test, below which only guessing is told from reading


def add_commands(command: Callable[..., argparse.ArgumentParser], group: Callable[[str], None]) -> None:
    """Adds predict, submit, rubric, key, grade and mark; `command(name, help, call, *examples, run)` makes a parser."""

    def takes(parser: argparse.ArgumentParser, name: str, help: str, **more: Any) -> None:
        parser.add_argument(name, type=Path, help=help, **more)

    def takes_rubric(parser: argparse.ArgumentParser) -> None:
        takes(parser, "--rubric", "another rubric (default: rubric.md of the checkout)", metavar="FILE")

    group("to hand in")
    about = "read the photographs of a hidden test with the model of a run"
    example = "casestudy predict runs/asl-asl_sample hidden.zip"
    predict = command("predict", about, _predict, example, run="run folder")
    takes(predict, "photographs", "the zip that you were given", metavar="PHOTOGRAPHS")

    about = "pack a run folder and its notebooks into one file to hand in"
    example = 'casestudy submit notebooks/runs/first --name "Anna Müller"'
    submit = command("submit", about, _submit, example, run="run folder")
    takes(submit, "--notebooks", "their folder (default: notebooks)", default=Path("notebooks"), metavar="FOLDER")
    submit.add_argument("--name", default="", help="who you are")
    submit.add_argument("--check", action="store_true", help="say what is missing or wrong, and write nothing")
    takes(submit, "--out", "new file (default: submission.zip)", default=Path("submission.zip"), metavar="FILE")
    takes_rubric(submit)

    group("to grade")
    takes_rubric(command("rubric", "check rubric.md, print it and total it", _rubric, "casestudy rubric"))

    own = "run folder, on the archive that students get"
    about = "make the key that submissions are held against, from a run of your own"
    key = command("key", about, _key, "casestudy key runs/asl-asl_sample --out key.json", run=own)
    takes(key, "--out", "new file, to be kept secret (default: key.json)", default=Path("key.json"), metavar="FILE")
    takes(key, "--hidden", "labelled photographs for a hidden test, which nobody has seen", metavar="ARCHIVE")
    out = "where those go without their labels, for students (default: hidden.zip)"
    takes(key, "--hand-out", out, default=Path("hidden.zip"), metavar="FILE")
    takes(key, "--students", "a CSV file of the students: each gets a seed of their own", metavar="ROSTER")
    out = "a line for each of them, for a mail merge (default: seeds.csv)"
    takes(key, "--letters", out, default=Path("seeds.csv"), metavar="FILE")

    examples = (
        "casestudy grade downloads --key key.json",
        "casestudy grade downloads --key key.json --merge grades/scores.csv --out final",
    )
    grade = command("grade", "grade submissions against the rubric, running nobody's code", _grade, *examples)
    takes(grade, "submissions", "files, or folders as a learning platform gives them", nargs="+", metavar="FILES")
    takes(grade, "--key", "from casestudy key", required=True, metavar="FILE")
    takes_rubric(grade)
    takes(
        grade,
        "--out",
        "folder, a new one or that of an earlier grading (default: grades)",
        default=Path("grades"),
        metavar="FOLDER",
    )
    takes(grade, "--merge", "your own points and comments: scores.csv, filled in", metavar="CSV")
    takes(grade, "--gradescope", "where Gradescope looks for results.json; written in any case", metavar="FILE")
    about = "train so many runs again, chosen by chance, and compare; a second call goes on"
    grade.add_argument("--challenge", type=CommandParser.at_least_one, default=0, help=about, metavar="N")
    takes(grade, "--data", "for --challenge: the archive that students were given", metavar="ARCHIVE")
    grade.add_argument("--title", default="Case study", help="the assignment's name in Canvas", metavar="TITLE")
    about = "where the rubric's points have changed, every mark keeps its share of them"
    grade.add_argument("--rescale", action="store_true", help=about)
    add_worker_options(grade)
    takes(grade, "--comments", "comments to use again: name,comment", metavar="CSV")

    about = "read answers and give points on a page in your browser, on this machine alone"
    mark = command("mark", about, _mark, "casestudy mark grades", "casestudy mark grades --hide-names")
    takes(mark, "grades", "folder of casestudy grade (default: grades)", nargs="?", default=Path("grades"))
    takes_rubric(mark)
    takes(mark, "--comments", "comments to use again: name,comment", metavar="CSV")
    mark.add_argument("--hide-names", action="store_true", help="show numbers, and each question in another order")
    mark.add_argument("--port", type=int, default=0, help="of the page (default: any that is free)", metavar="N")


def _rubric(args: argparse.Namespace) -> int:
    rubric = grading.load_rubric(args.rubric)
    width = max(len(criterion.id) for criterion in rubric.criteria)
    for criterion in rubric.criteria:
        print(f"{report.points(criterion.points):>5}  {criterion.id:{width}}  {criterion.title} ({criterion.check})")
    checked, read = report.points(rubric.points - rubric.manual_points), report.points(rubric.manual_points)
    print(f"{report.points(rubric.points):>5}  {rubric.unit}s: {checked} by checks, {read} by a person")
    for bundle in rubric.bundles:
        print(f"{report.points(bundle.points):>5}  grade {bundle.grade}: {', '.join(bundle.asks)}")
    return 0


def _key(args: argparse.Namespace) -> int:
    run = casestudy.RunFolder.resume(open_run(args).path)  # one's own: its data lie where they lay
    files = {"hidden": args.hidden, "hand_out": args.hand_out, "roster": args.students, "letter": args.letters}
    key = grading.write_key(run, args.out, **files)
    if key.hidden:
        print(f"{args.hand_out}: {counted(len(key.hidden), 'photograph')} without labels, to hand out")
        people = len({signer for _, signer in key.hidden.values() if signer})
        if people < FEWEST_STRANGERS:
            few = f"Of {counted(people, 'person')}, a hidden test tells little: people differ, and luck is allowed for."
            print(f"{few} Take photographs of {FEWEST_STRANGERS} or more.")
    if key.students:
        print(f"{args.letters}: a seed for each of {counted(len(key.students), 'student')}, to send to them")
    entries, photographs = counted(len(key.ledger), "entry"), counted(len(key.photographs), "photograph")
    print(f"{args.out}: {entries}, {photographs}. Keep it to yourself.")
    return 0


def _predict(args: argparse.Namespace) -> int:
    print(grading.predict_hidden(open_run(args), args.photographs))
    return 0


def _submit(args: argparse.Namespace) -> int:
    rubric = grading.load_rubric(args.rubric)
    run = open_run(args)
    packed = grading.pack_submission(run, args.notebooks, None if args.check else args.out, rubric, student=args.name)
    if packed.missing:
        given_away = report.points(sum(cost for cost, _, _ in packed.missing))
        print(f"As it is, this gives away {given_away} of {counted(rubric.points, rubric.unit)}:")
        for cost, title, what in packed.missing:
            print(f"  {report.points(cost):>4}  {title}: {what}")
    else:
        print("Nothing is missing: every criterion has something to look at.")
    if packed.wrong:
        print("What does not fit together, and waits for your instructor if you hand it in so:")
        print(*(f"  {one}" for one in packed.wrong), sep="\n")
    if args.check:
        return 0
    packed_as = f"{counted(packed.files, 'file')}, {packed.size / 1e6:.1f} MB, no photographs and no model"
    print(f"{args.out}: {packed_as}. Hand in this one file.")
    return 0


def _mark(args: argparse.Namespace) -> int:
    def ready(address: str) -> None:
        print(f"Mark at {address}\nCtrl-C ends, and writes pages and tables.", flush=True)

    grading.mark(args.grades, args.rubric, args.comments, hide_names=args.hide_names, port=args.port, ready=ready)
    print(f"\n{args.grades / 'overview.html'}: all pages and tables are up to date.")
    return 0


def _grade(args: argparse.Namespace) -> int:
    own = {"scores": args.merge, "comments": args.comments, "gradescope": args.gradescope}
    own |= {"challenged": args.challenge, "data": args.data, "title": args.title, "rescale": args.rescale}
    check_cluster(args.cluster)
    own |= {"cluster": args.cluster}
    reports = grading.grade_submissions(args.submissions, args.rubric, args.key, args.out, **own)
    if len(reports) == 1:
        for result in reports[0].results:
            earned = "–" if result.waits else report.points(result.points)
            most = report.points(result.criterion.points)
            print(f"{earned:>5} of {most:<3} {result.criterion.title}: {result.said}. {result.sentence}")
        print(grading.standing(reports[0]))
    print(f"{len(reports)} graded: {args.out / 'overview.html'}")
    if waiting := len({one.source for one in reports if one.open}):
        print(f"Answers of {counted(waiting, 'submission')} wait for you: casestudy mark {shlex.quote(str(args.out))}")
    return 0
