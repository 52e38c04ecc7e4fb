"""The command line: parse, call one function, print."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import casestudy
from casestudy import runs, training  # a room loads a name when it is used
from casestudy.cleaning import CommandParser, add_clean_command
from casestudy.cli import grading as grade_command, reading as read_command, runs as run_command
from casestudy.cli.saying import Lines, reason, shown
from casestudy.cluster import add_worker_options, check_cluster, run_tasks
from casestudy.errors import CaseStudyError
from casestudy.runs import Options
from casestudy.studies import STUDIES
from casestudy.study import DataSpec
from casestudy.words import counted, printable

Call = Callable[[argparse.Namespace], int]

WELCOME = """\
From an archive of fingerspelled letters to an honest report. Type this first:

  casestudy doctor              is this machine ready?
  casestudy run --quick         the whole way, on a sample that is here, in a minute or two
  casestudy COMMAND --help      what a command can be told, with examples"""
RUN_EXAMPLES = (
    "casestudy run --quick",
    "casestudy run --data photos.rar --split leave-one-signer-out",
    "casestudy run --epochs 20,4 --seed 1 --out runs/my-idea",
    "casestudy run fashion-mnist --variants none",
)
RUN_GROUPS = {
    "data": ("data", "pattern", "layout", "crop", "as_published", "quick"),
    "what to train": ("model", "weights", "image_size", "fine_tune", "variants"),
    "how to train": ("budget", "epochs", "learning_rate", "fraction", "mirror", "precision", "seed", "seeds"),
    "how to test": ("split", "compare_splits"),
}


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 something is lost or does not hold, 2 a call that cannot be carried out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot show ë shows ?, and the work goes on
    args = build_parser().parse_args(arguments)
    level = logging.WARNING if args.quiet else logging.INFO
    said = logging.StreamHandler(sys.stderr)
    said.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[said])
    try:
        return CommandParser.carry_out(args)
    except (CaseStudyError, OSError) as error:
        if args.debug:
            raise
        line = str(error) if isinstance(error, CaseStudyError) else printable(reason(error))
        print(f"casestudy: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ncasestudy: stopped. Nothing is half written; call the same command again.", file=sys.stderr)
        return 130


def build_parser() -> CommandParser:
    """Returns the parser of every command; the table in ARTICLES/commands.md is held against it by a test."""
    common = CommandParser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="say only what is wrong")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = CommandParser(prog="casestudy", usage="casestudy COMMAND …")
    parser.add_argument("--version", action="version", version=f"casestudy {casestudy.__version__}")
    parser.set_defaults(call=_overview, parser=parser, quiet=False, debug=False)
    commands = parser.add_subparsers(prog="casestudy", metavar="COMMAND", help=argparse.SUPPRESS)
    overview = [WELCOME]

    def group(title: str) -> None:
        overview.append(f"\n{title}:")

    def command(name: str, help: str, call: Call | None, *examples: str, run: str = "") -> CommandParser:
        about = help[0].upper() + help[1:] + "."
        added = commands.add_parser(name, description=about, parents=[common], examples=examples)
        added.set_defaults(call=call, parser=added)
        if run:
            added.add_argument("run", type=Path, metavar="RUN", help=run)
        overview.append(f"  {name:9} {help}")
        return added

    group("to begin")
    command(
        "doctor", "say what this machine has, and what to do about what it lacks", _doctor, "casestudy doctor"
    ).add_argument("--train", action="store_true", help="also train a little on each device, twice on one, and compare")
    command("studies", "list the studies and their settings", _studies, "casestudy studies")

    about = "hold what a study's source claims against its notebook, and against this"
    audit = command("audit", about, _audit, "casestudy audit fashion-mnist", "casestudy audit")
    audit.add_argument("study", nargs="?", default="", metavar="STUDY", help="a study's name, or all (the default)")

    group("from data to a report")
    about = "clean, train, evaluate and report; goes on where it was stopped"
    run = command("run", about, _run, *RUN_EXAMPLES)
    run.usage = "casestudy run [STUDY] [options]"  # the models and splits would fill a screen
    about = f"{', '.join(STUDIES)} (default: asl), or a .py file of your own"
    run.add_argument("study", nargs="?", default="asl", metavar="STUDY", help=about)
    table = Options.table()
    for title, names in RUN_GROUPS.items():
        options = run.add_argument_group(title)
        for name in names:
            switch = isinstance(getattr(Options, name), bool)
            kind: dict[str, Any] = {"action": "store_true"} if switch else {"metavar": table[name].metavar}
            options.add_argument(Options.called(name), help=table[name].help, **kind)
        if title == "data":
            options.add_argument("--password", help="of an encrypted archive")
    options = run.add_argument_group("the run folder")
    options.add_argument("--out", type=Path, metavar="FOLDER", help="where it is (default: runs/STUDY-DATA)")
    about = "share each training among the GPUs that are here, or the workers that TF_CONFIG names"
    add_worker_options(options).add_argument("--devices", choices=["all"], help=about)

    about = "look at data, and write a study file to edit and run"
    new = command("new", about, _new, "casestudy new my-study photos.rar")
    new.add_argument("name", metavar="NAME", help="of the study: small letters, digits and hyphens")
    new.add_argument("data", metavar="DATA", help="archive, folder, letters.zip or web address")
    new.add_argument("--out", type=Path, metavar="FILE", help="a new file (default: the name, here)")
    for name in ("layout", "pattern"):
        new.add_argument(Options.called(name), metavar=table[name].metavar, help=table[name].help)
    new.add_argument("--password", help="of an encrypted archive")

    about = "archive of per-user folders to letters.zip, nothing lost"
    clean = command("clean", about, None, "casestudy clean photos.rar", "casestudy clean photos.rar --dry-run")
    add_clean_command(clean)
    add_worker_options(clean)
    clean.set_defaults(call=_clean, clean=clean.get_default("call"))

    read_command.add_command(command)

    example = "casestudy report runs/asl-asl_sample"
    again = command("report", "write report.html again from a run folder", _report, example, run="run folder")
    again.add_argument(
        "--data", type=Path, metavar="DATA", help="the run's photographs, where they are not in its folder"
    )

    run_command.add_commands(command)

    examples = ("casestudy verify runs/asl-asl_sample", "casestudy verify runs/asl-asl_sample --retrain runs/again")
    about = "recompute every figure of a run, and its predictions"
    verify = command("verify", about, _verify, *examples, run="run folder")
    verify.add_argument("--retrain", type=Path, metavar="FOLDER", help="also train again, in a new folder, and compare")
    verify.add_argument("--data", type=Path, metavar="DATA", help="the run's data, where they are not in its folder")
    verify.add_argument(
        "--weights", type=Path, metavar="FILE", help="for --retrain: the file of weights that the run began with"
    )
    verify.add_argument(
        "--pattern", metavar="PATTERN", help="for --retrain from an archive: the pattern by which its names are read"
    )

    about = "search for better settings of a study's own model, on its validation part"
    tune = command(
        "tune", about, _tune, "casestudy tune emnist --quick --trials 2", "casestudy tune emnist --trials 40"
    )
    spaces = [name for name, study in STUDIES.items() if study.search]
    tune.add_argument("study", metavar="STUDY", choices=spaces, help=f"one with a space to search: {', '.join(spaces)}")
    tune.add_argument("--data", help="archive, folder or web address (default: the study's own)")
    tune.add_argument("--out", type=Path, help="folder; an earlier search there goes on (default: runs/tune-STUDY)")
    most = "so many in all (default: 20)"
    tune.add_argument("--trials", type=CommandParser.at_least_one, default=20, metavar="N", help=most)
    tune.add_argument("--seed", metavar="N", help="of the search (default: the study's)")
    add_worker_options(tune)
    tune.add_argument("--quick", action="store_true", help="on a drawn stand-in, one epoch a trial")

    grade_command.add_commands(command, group)
    parser.description = "\n".join(overview)
    return parser


def _overview(args: argparse.Namespace) -> int:
    args.parser.print_help()
    return 0


def _run(args: argparse.Namespace) -> int:
    options = Options.parse(vars(args))
    check_cluster(args.cluster)  # before a download
    wishes, data = options.wishes_and_data()
    name = f"{wishes.study.name}-{data.name.split('.')[0]}" + ("-quick" if options.quick else "")
    out = args.out or Path("runs") / name
    with ExitStack() as stack:
        devices = stack.enter_context(training.Devices.all()) if args.devices else None
        run = casestudy.run_study(wishes, data, out, password=args.password, cluster=args.cluster, devices=devices)
    if devices and not devices.chief:
        print(f"this worker has done its part of {printable(str(out))}")
        return 0
    casestudy.write_report(run)
    print(shown(run_command.on_screen(run)))
    return 0


def _new(args: argparse.Namespace) -> int:
    from casestudy import scaffold  # only now: --help needs no decoders

    target = args.out or Path(f"{args.name.replace('-', '_')}.py")
    scaffold.require_free(args.name, target)  # before a long look
    spec = DataSpec(layout=args.layout, pattern=args.pattern)
    seen = scaffold.look_at(args.data, spec, password=args.password, progress=not args.quiet)
    scaffold.write_study(*scaffold.propose(args.name, seen, spec), seen, target)
    print("\n".join(map(printable, [*seen.lines(), "", f"written: {target}", "", "Read it, then look at every step:"])))
    print(f"  {printable(scaffold.command(target, seen))} --quick")
    return 0


def _clean(args: argparse.Namespace) -> int:
    check_cluster(args.cluster)
    if args.cluster and len(args.archive) > 1:
        shards = args.out.with_suffix(".shards")
        args.beside = (lambda make, tasks: run_tasks(make, tasks, args.cluster, shards, noun="archive")), shards
    return args.clean(args)


def _tune(args: argparse.Namespace) -> int:
    check_cluster(args.cluster)
    options = Options.parse(vars(args))  # which refuses a seed that is none
    study = STUDIES[options.study]
    if args.quick and study.search:
        fraction = study.search.fraction if args.data else 1.0  # a part of the few drawn images lacks labels
        study = dataclasses.replace(study, search=dataclasses.replace(study.search, epochs=1, fraction=fraction))
    study, data = casestudy.data_for(study, args.data, quick=args.quick)
    seed = study.seed if options.seed is None else options.seed
    out = args.out or Path("runs") / f"tune-{study.name}"
    print(runs.tune(study, data, out, seed=seed, trials=args.trials, cluster=args.cluster))
    return 0


def _report(args: argparse.Namespace) -> int:
    print(casestudy.write_report(run_command.open_run(args, data=args.data)))
    return 0


def _verify(args: argparse.Namespace) -> int:
    run, weights = run_command.open_run(args, data=args.data), [args.weights] if args.weights else []
    checks = casestudy.verify_run(run, retrain=args.retrain, source=args.data, weights=weights, pattern=args.pattern)
    print(shown("\n".join(checks.lines())))
    return 0 if checks.hold else 1


def _studies(args: argparse.Namespace) -> int:
    for study in STUDIES.values():
        print(f"{study.name}: {study.title}")
        print(f"  model {study.model.name}, split by {study.split.protocol}, from {study.source}")
        for phase in study.phases:
            most = f"up to {counted(phase.epochs, 'epoch')} at {phase.learning_rate:g}"
            print(f"  {phase.name}: trains {phase.trainable}, {most}")
    return 0


def _audit(args: argparse.Namespace) -> int:
    from casestudy.audit import audit_lines  # only now: --help needs no NumPy

    print("\n".join(audit_lines(args.study)))
    return 0


def _doctor(args: argparse.Namespace) -> int:
    checked = []
    for it in chain(casestudy.check_machine(), casestudy.prove_machine() if args.train else ()):
        checked.append(it)
        print(shown(f"{it.state:8}  {it.name}: {it.found}" + f"\n{'':10}{it.remedy}" * bool(it.remedy)), flush=True)
    if missing := ", ".join(one.name for one in checked if one.state == "needed"):
        print(f"\nNot ready to train: see to {missing} first. Cleaning, reports and grading need less.")
        return 1
    print("\nReady: `casestudy run --quick` shows every step in a minute or two. What is optional can wait.")
    return 0
