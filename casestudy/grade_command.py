"""The commands round grading: parse, call one function, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from casestudy.errors import GradingError


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
    from casestudy.pages import points
    from casestudy.rubric import load_rubric

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
    from casestudy.key import write_key
    from casestudy.runs import RunFolder

    run = RunFolder.open(args.run)
    if args.out.exists():
        raise GradingError(f"A key is never overwritten; {args.out} is there already. Name another file with --out.")
    hidden = None
    if args.hidden:
        from casestudy.hidden import write_hidden

        settings = run.settings
        hidden = write_hidden(args.hidden, args.hand_out, seed=settings["seed"], pattern=settings["pattern"])
        print(f"{args.hand_out}: {len(hidden)} photographs without labels, to hand out")
    key = write_key(run, args.out, hidden=hidden)
    print(f"{args.out}: {len(key.ledger):,} entries, {len(key.photographs):,} photographs. Keep it to yourself.")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from casestudy.hidden import predict_hidden
    from casestudy.runs import RunFolder

    print(predict_hidden(RunFolder.open(args.run), args.photographs))
    return 0


def _submit(args: argparse.Namespace) -> int:
    from casestudy.pages import points
    from casestudy.rubric import load_rubric
    from casestudy.runs import RunFolder
    from casestudy.submitting import collect, lacking, write_submission

    rubric, files = load_rubric(args.rubric), collect(RunFolder.open(args.run), args.notebooks)
    missing = lacking(files, rubric)
    if missing:
        given_away = points(sum(cost for cost, _, _ in missing))
        print(f"As it is, this gives away {given_away} of {points(rubric.points)} points:")
        for cost, title, what in missing:
            print(f"  {points(cost):>4}  {title}: {what}")
    else:
        print("Nothing is missing: every criterion has something to look at.")
    size = write_submission(files, args.out, student=args.name)
    print(f"{args.out}: {len(files)} files, {size / 1e6:.1f} MB, no photographs and no model. Hand in this one file.")
    return 0


def _grade(args: argparse.Namespace) -> int:
    from casestudy.gradebook import ungraded

    try:
        return _graded(args)
    except Exception as error:
        if args.gradescope and not args.gradescope.exists():  # a platform that finds no file says nothing to anybody
            args.gradescope.parent.mkdir(parents=True, exist_ok=True)
            args.gradescope.write_text(ungraded(str(error)), encoding="utf-8")
        raise


def _graded(args: argparse.Namespace) -> int:
    from casestudy.findings import REVIEW
    from casestudy.gradebook import OVERVIEW, gradescope, standing, write_gradebook
    from casestudy.grading import grade_all
    from casestudy.key import load_key
    from casestudy.pages import points
    from casestudy.rubric import load_rubric
    from casestudy.scores import merge
    from casestudy.submission import find_submissions

    rubric, key = load_rubric(args.rubric), load_key(args.key)
    if absent := [path for path in args.submissions if not path.exists()]:
        raise GradingError(f"Submissions are files or folders; there is nothing at {absent[0]}. Check the path.")
    own = (args.key, args.out, args.merge, args.comments, args.rubric)
    files = find_submissions(args.submissions, skip=tuple(path for path in own if path))
    if not files:
        raise GradingError(f"There is no submission in {args.submissions[0]}. Name the folder with the files in it.")
    if args.gradescope and len(files) > 1:
        raise GradingError(f"--gradescope is for one submission; received {len(files)}. Name a single file.")
    reports = grade_all(files, rubric, key)
    if args.merge:
        reports = merge(reports, args.merge, args.comments)
    write_gradebook(reports, rubric, args.out)
    if args.gradescope:
        args.gradescope.parent.mkdir(parents=True, exist_ok=True)
        args.gradescope.write_text(gradescope(reports[0]), encoding="utf-8")
    if len(reports) == 1:
        for result in reports[0].results:
            earned = "–" if result.status == REVIEW else points(result.points)
            got = f"{earned:>5} of {points(result.criterion.points):<3}"
            print(f"{got} {result.criterion.title}: {result.status}. {result.sentence}")
        print(standing(reports[0]))
    print(f"{len(reports)} graded: {args.out / OVERVIEW}")
    return 0
