"""The command line: parse, call one function, print."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import casestudy
from casestudy import report, runs  # a room loads a name when it is used
from casestudy.cleaning import add_clean_command
from casestudy.cli import grading as grade_command
from casestudy.errors import CaseStudyError
from casestudy.records import did_you_mean
from casestudy.runs import Options
from casestudy.studies import STUDIES

Call = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a call, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 something is lost or does not hold, 2 a call that cannot be carried out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot show ë shows ?, and the work goes on
    args, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        near = did_you_mean(unknown[0], re.findall(r"--[a-z][a-z-]+", args.parser.format_help()))
        args.parser.error(f"there is no {unknown[0]}. {near}".rstrip(". "))
    level = logging.WARNING if args.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    try:
        return args.call(args)
    except (CaseStudyError, OSError) as error:
        if args.debug:
            raise
        unexpected = f"a file could not be read or written: {error}. Check the path, rights and space."
        print(f"casestudy: {error if isinstance(error, CaseStudyError) else unexpected}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ncasestudy: stopped. Nothing is half written; call the same command again.", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of every command; the README's table is held against it by a test."""
    common = Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="say only what is wrong")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = Parser(prog="casestudy", description="From an archive of fingerspelled letters to an honest report.")
    parser.add_argument("--version", action="version", version=f"casestudy {casestudy.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, help: str, call: Call | None = None, *, run: str = "") -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", parents=[common])
        added.set_defaults(call=call, parser=added)
        if run:
            added.add_argument("run", type=Path, help=run)
        return added

    run = command("run", "clean, train, evaluate and report; goes on where it was stopped", _run)
    run.add_argument("study", nargs="?", default="asl", metavar="STUDY", help=f"{', '.join(STUDIES)} (default: asl)")
    for name, option in Options.table().items():
        switch = isinstance(getattr(Options, name), bool)
        kind: dict[str, Any] = {"action": "store_true"} if switch else {"metavar": option.metavar}
        run.add_argument(Options.called(name), help=option.help, **kind)
    run.add_argument("--out", type=Path, help="run folder (default: runs/STUDY-DATA)")
    run.add_argument("--password", help="of an encrypted archive")

    tune = command("tune", "search for better settings of a study's own model, on its validation part", _tune)
    tune.add_argument("study", choices=STUDIES, help="which study; it must have a space to search")
    tune.add_argument("--data", help="archive, folder or web address (default: the study's own)")
    tune.add_argument("--out", type=Path, help="folder; an earlier search there goes on (default: runs/tune-STUDY)")
    tune.add_argument("--trials", type=int, default=20, help="so many in all (default: 20)")
    tune.add_argument("--seed", type=int, help="of the search (default: the study's)")
    tune.add_argument("--quick", action="store_true", help="on a drawn stand-in, one epoch a trial")

    add_clean_command(command("clean", "archive of per-user folders to letters.zip, nothing lost"))

    again = command("report", "write report.html again from a run folder", _report, run="run folder")
    again.add_argument("--data", type=Path, help="the run's photographs, where they are not in its folder")

    verify = command("verify", "recompute every figure of a run, and its predictions", _verify, run="run folder")
    verify.add_argument("--retrain", type=Path, metavar="FOLDER", help="also train again, in a new folder, and compare")
    verify.add_argument("--data", type=Path, help="the run's data, where they are not in its folder")
    verify.add_argument("--weights", type=Path, help="for --retrain: the file of weights that the run began with")
    verify.add_argument("--pattern", help="for --retrain from an archive: the pattern by which its names are read")

    grade_command.add_commands(command)

    command("studies", "list the studies and what each expects", _studies)
    command("doctor", "say what this machine has, and what to do about what it lacks", _doctor)
    return parser


def _run(args: argparse.Namespace) -> int:
    options = Options.parse(vars(args))
    wishes, data = options.wishes_and_data()
    name = f"{options.study}-{data.name.split('.')[0]}" + ("-quick" if options.quick else "")
    run = casestudy.run_study(wishes, data, args.out or Path("runs") / name, password=args.password)
    casestudy.write_report(run)
    print(_screen(run))
    return 0


def _tune(args: argparse.Namespace) -> int:
    study = STUDIES[args.study]
    if args.quick and study.search:
        study = dataclasses.replace(study, search=dataclasses.replace(study.search, epochs=1))
    study, data = casestudy.data_for(study, args.data, quick=args.quick)
    seed = study.seed if args.seed is None else args.seed
    print(runs.tune(study, data, args.out or Path("runs") / f"tune-{study.name}", seed=seed, trials=args.trials))
    return 0


def _screen(run: casestudy.RunFolder) -> str:
    """Returns a run's result on one screen."""
    scores = run.scores()
    lines = ["", f"starting weights: {run.resolved.weights}", "", report.summary_sentence(scores), ""]
    trained = [f"{score.training}, {report.PROTOCOLS[score.protocol]}" for score in scores]
    wide = max(map(len, trained))
    for what, score in zip(trained, scores, strict=True):
        accuracy, loss = report.percent(score.accuracy), report.decimals(score.loss)
        lines.append(f"  {what:{wide}}  accuracy {accuracy:>8}   loss {loss}")
    labels = run.read_table("per_label.csv").to_dict("records")
    wide = max(len(label) for label in ("label", *(row["label"] for row in labels)))
    lines += ["", f"  {'label':{wide}}  support  accuracy     loss   most confused with"]
    for row in labels:
        numbers = f"{report.percent(row['accuracy']):>8}  {report.decimals(row['loss']):>7}"
        lines.append(f"  {row['label']:{wide}}  {row['support']:7}  {numbers}   {row['most_confused_with']}")
    lines += ["", f"seal: {run.record.seal}", f"report: {run.path / 'report.html'}"]
    return "\n".join(lines)


def _report(args: argparse.Namespace) -> int:
    print(casestudy.write_report(casestudy.RunFolder.open(args.run, data=args.data)))
    return 0


def _verify(args: argparse.Namespace) -> int:
    run = casestudy.RunFolder.open(args.run, data=args.data)
    weights = [args.weights] if args.weights else []
    checks = casestudy.verify_run(run, retrain=args.retrain, source=args.data, weights=weights, pattern=args.pattern)
    print("\n".join(checks.lines()))
    return 0 if checks.hold else 1


def _studies(args: argparse.Namespace) -> int:
    for study in STUDIES.values():
        print(f"{study.name}: {study.title}")
        print(f"  model {study.model.name}, split by {study.split.protocol}, from {study.source}")
        for phase in study.phases:
            print(f"  {phase.name}: trains {phase.trainable}, up to {phase.epochs} epochs at {phase.learning_rate:g}")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    for finding in casestudy.check_machine():
        print(f"{'ok  ' if finding.ok else 'LACK'}  {finding.name}: {finding.found}")
        if finding.remedy:
            print(f"      {finding.remedy}")
    return 0
