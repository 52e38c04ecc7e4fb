"""The commands round grading: parse, call one function, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds rubric, key, predict, submit and grade; `command(name, help, call)` makes a parser."""

    def takes_rubric(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--rubric", type=Path, metavar="FILE", help="another rubric (default: rubric.md of the checkout)"
        )

    rubric = command("rubric", "check rubric.md, print it and total it", _rubric)
    takes_rubric(rubric)

    key = command("key", "make the key that submissions are held against, from a run of your own", _key)
    key.add_argument("run", type=Path, help="run folder, on the archive that students get")
    key.add_argument(
        "--out", type=Path, default=Path("key.json"), help="new file, to be kept secret (default: key.json)"
    )
    key.add_argument(
        "--hidden", type=Path, metavar="ARCHIVE", help="labelled photographs for a hidden test, which nobody has seen"
    )
    key.add_argument(
        "--hand-out",
        type=Path,
        default=Path("hidden.zip"),
        help="where those go without their labels, for students (default: hidden.zip)",
    )

    predict = command("predict", "read the photographs of a hidden test with the model of a run", _predict)
    predict.add_argument("run", type=Path, help="run folder")
    predict.add_argument("photographs", type=Path, help="the zip that you were given")

    submit = command("submit", "pack a run folder and its notebooks into one file to hand in", _submit)
    submit.add_argument("run", type=Path, help="run folder")
    submit.add_argument("--notebooks", type=Path, default=Path("notebooks"), help="their folder (default: notebooks)")
    submit.add_argument("--name", default="", help="who you are")
    submit.add_argument("--out", type=Path, default=Path("submission.zip"), help="new file (default: submission.zip)")
    takes_rubric(submit)

    grade = command("grade", "grade submissions against the rubric, running nobody's code", _grade)
    grade.add_argument("submissions", type=Path, nargs="+", help="files, or folders as a learning platform gives them")
    grade.add_argument("--key", type=Path, required=True, help="from casestudy key")
    takes_rubric(grade)
    grade.add_argument("--out", type=Path, default=Path("grades"), help="new folder (default: grades)")
    grade.add_argument("--merge", type=Path, metavar="CSV", help="your own points and comments: scores.csv, filled in")
    grade.add_argument(
        "--gradescope", type=Path, metavar="FILE", help="where Gradescope looks for results.json; written in any case"
    )
    grade.add_argument("--comments", type=Path, metavar="CSV", help="comments to use again: name,comment")


def _rubric(args: argparse.Namespace) -> int:
    from casestudy.grading import load_rubric
    from casestudy.report import points

    rubric = load_rubric(args.rubric)
    width = max(len(criterion.id) for criterion in rubric.criteria)
    for criterion in rubric.criteria:
        print(f"{points(criterion.points):>5}  {criterion.id:{width}}  {criterion.title} ({criterion.check})")
    checked = rubric.points - rubric.manual_points
    print(
        f"{points(rubric.points):>5}  points: {points(checked)} by checks, {points(rubric.manual_points)} by a person"
    )
    return 0


def _key(args: argparse.Namespace) -> int:
    from casestudy.grading import write_key
    from casestudy.runs import RunFolder

    key = write_key(RunFolder.open(args.run), args.out, hidden=args.hidden, hand_out=args.hand_out)
    if key.hidden:
        print(f"{args.hand_out}: {len(key.hidden)} photographs without labels, to hand out")
    print(f"{args.out}: {len(key.ledger):,} entries, {len(key.photographs):,} photographs. Keep it to yourself.")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from casestudy.grading import predict_hidden
    from casestudy.runs import RunFolder

    print(predict_hidden(RunFolder.open(args.run), args.photographs))
    return 0


def _submit(args: argparse.Namespace) -> int:
    from casestudy.grading import load_rubric, pack_submission
    from casestudy.report import points
    from casestudy.runs import RunFolder

    rubric = load_rubric(args.rubric)
    packed = pack_submission(RunFolder.open(args.run), args.notebooks, args.out, rubric, student=args.name)
    if packed.missing:
        given_away = points(sum(cost for cost, _, _ in packed.missing))
        print(f"As it is, this gives away {given_away} of {points(rubric.points)} points:")
        for cost, title, what in packed.missing:
            print(f"  {points(cost):>4}  {title}: {what}")
    else:
        print("Nothing is missing: every criterion has something to look at.")
    size = f"{packed.size / 1e6:.1f} MB"
    print(f"{args.out}: {packed.files} files, {size}, no photographs and no model. Hand in this one file.")
    return 0


def _grade(args: argparse.Namespace) -> int:
    from casestudy.grading import grade_submissions, standing
    from casestudy.report import points

    reports = grade_submissions(
        args.submissions,
        args.rubric,
        args.key,
        args.out,
        scores=args.merge,
        comments=args.comments,
        gradescope=args.gradescope,
    )
    if len(reports) == 1:
        for result in reports[0].results:
            earned = "–" if result.waits else points(result.points)
            got = f"{earned:>5} of {points(result.criterion.points):<3}"
            print(f"{got} {result.criterion.title}: {result.status}. {result.sentence}")
        print(standing(reports[0]))
    print(f"{len(reports)} graded: {args.out / 'overview.html'}")
    return 0
