"""The command line: parse, call one function, print."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import casestudy
from casestudy.cleaning import add_clean_command
from casestudy.cli import grading as grade_command
from casestudy.errors import CaseStudyError, DataError, WeightsError
from casestudy.studies import STUDIES
from casestudy.study import ARCHITECTURES, Phase, Protocol, Study, Variant

Call = Callable[[argparse.Namespace], int]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 something is lost or does not hold, 2 a call that cannot be carried out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot show ë shows ?, and the work goes on
    args = build_parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO if not args.quiet else logging.WARNING, format="%(message)s", stream=sys.stderr
    )
    try:
        return args.call(args)
    except CaseStudyError as error:
        if args.debug:
            raise
        print(f"casestudy: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if args.debug:
            raise
        print(
            f"casestudy: a file could not be read or written: {error}. Check the path, rights and space.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("\ncasestudy: stopped. Nothing is half written; call the same command again.", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of every command; the README's table is held against it by a test."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="say only what is wrong")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(
        prog="casestudy", description="From an archive of fingerspelled letters to an honest report."
    )
    parser.add_argument("--version", action="version", version=f"casestudy {casestudy.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, help: str, call: Call | None = None) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", parents=[common])
        added.set_defaults(call=call)
        return added

    run = command("run", "clean, train, evaluate and report; goes on where it was stopped", _run)
    run.add_argument("study", nargs="?", default="asl", choices=STUDIES, help="which study (default: asl)")
    run.add_argument("--data", help="archive, folder, letters.zip or web address (default: the embedded sample)")
    run.add_argument("--out", type=Path, help="run folder (default: runs/STUDY-DATA)")
    run.add_argument(
        "--seed", type=int, help="decides split and training (default: the study's, 7 unless it says otherwise)"
    )
    run.add_argument(
        "--quick",
        action="store_true",
        help="small images, two epochs a phase and one for other models: a look at everything, in minutes",
    )
    run.add_argument("--epochs", help="at most so many, one number for each phase: 20,5")
    run.add_argument(
        "--fraction", type=float, help="train on this share of the training images, such as 0.1; tests stay whole"
    )
    run.add_argument(
        "--precision",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
        help="of the arithmetic (default: float32, or mixed_float16 on a GPU that is fast at it)",
    )
    run.add_argument("--learning-rate", help="one number for each phase: 1e-3,1e-4")
    run.add_argument("--image-size", help="pixels, 96 or 96x128 (height x width) (default: by machine and weights)")
    run.add_argument("--model", choices=ARCHITECTURES, help="which network (default: the study's)")
    run.add_argument(
        "--weights",
        help="imagenet, signs (this project's own, without network), none, or a .weights.h5 or .npz file "
        "(default: auto, ImageNet where it can be had, else signs)",
    )
    run.add_argument(
        "--fine-tune",
        metavar="LAYERS",
        help="what the last phase trains: all, top:N of the base, or everything, BatchNormalization too",
    )
    run.add_argument("--split", choices=get_args(Protocol), help="who is tested (default: the study's)")
    run.add_argument(
        "--variants",
        metavar="NAMES",
        default="all",
        help="which of the study's other models to train beside its own: all (default), none, or their names: a,b",
    )
    run.add_argument("--compare-splits", action="store_true", help="also train in full on a random split")
    run.add_argument(
        "--crop",
        choices=("auto", "boxes", "none"),
        help="cut hands out by boxes.csv (default: auto, where there are boxes)",
    )
    run.add_argument("--mirror", action="store_true", help="also train on mirrored photographs")
    run.add_argument("--password", help="of an encrypted archive")
    run.add_argument("--pattern", help="regular expression with the groups label and signer, for other file names")
    run.add_argument("--resume", action="store_true", default=True, help="go on where a killed run stopped (always on)")

    tune = command("tune", "search for better settings of a study's own model, on its validation part", _tune)
    tune.add_argument("study", choices=STUDIES, help="which study; it must have a space to search")
    tune.add_argument("--data", help="archive, folder or web address (default: the study's own)")
    tune.add_argument("--out", type=Path, help="folder; an earlier search there goes on (default: runs/tune-STUDY)")
    tune.add_argument("--trials", type=int, default=20, help="so many in all (default: 20)")
    tune.add_argument("--seed", type=int, help="of the search (default: the study's)")
    tune.add_argument("--quick", action="store_true", help="on a drawn stand-in, one epoch a trial")

    add_clean_command(command("clean", "archive of per-user folders to letters.zip, nothing lost"))

    report = command("report", "write report.html again from a run folder", _report)
    report.add_argument("run", type=Path, help="run folder")

    verify = command("verify", "recompute every figure of a run from its predictions", _verify)
    verify.add_argument("run", type=Path, help="run folder")
    verify.add_argument("--retrain", type=Path, metavar="FOLDER", help="also train again, in a new folder, and compare")
    verify.add_argument("--data", type=Path, help="data for --retrain (default: what the run used)")

    grade_command.add_commands(command)

    command("studies", "list the studies and what each expects", _studies)
    command("doctor", "say what this machine has, and what to do about what it lacks", _doctor)
    return parser


def configure(study: Study, args: argparse.Namespace) -> Study:
    """Returns the study with what the command line changes in it.

    Raises:
        DataError: A value does not fit the study.
    """
    study = study.quick() if args.quick else study
    model, phases, split = study.model, study.phases, study.split
    if args.epochs:
        phases = _for_each_phase(phases, "epochs", args.epochs, int, "20,5")
        study = dataclasses.replace(study, variants=tuple(_at_most(phases, variant) for variant in study.variants))
    if args.learning_rate:
        phases = _for_each_phase(phases, "learning_rate", args.learning_rate, float, "1e-3,1e-4")
    if args.fine_tune:
        if not re.fullmatch(r"head|all|everything|top:[1-9]\d*", args.fine_tune):
            raise DataError(
                f"--fine-tune takes head, all, everything or top:N, N a number of layers; received {args.fine_tune!r}."
            )
        phases = (*phases[:-1], dataclasses.replace(phases[-1], trainable=args.fine_tune))
    if args.image_size:
        model = dataclasses.replace(model, image_size=_image_size(args.image_size))
    if args.model:
        model = dataclasses.replace(model, name=args.model)
    if args.weights:
        if args.weights not in ("auto", "imagenet", "signs", "none") and not Path(args.weights).is_file():
            raise WeightsError(
                "--weights takes auto, imagenet, signs, none or a .weights.h5 or .npz file; there is no file "
                f"{args.weights}."
            )
        model = dataclasses.replace(model, weights=None if args.weights == "none" else args.weights)
    if args.mirror:
        model = dataclasses.replace(model, augmentation={**model.augmentation, "mirror": True})
    if args.split:
        split = dataclasses.replace(split, protocol=args.split)
    if args.fraction is not None:
        if not 0 < args.fraction <= 1:
            raise DataError(f"--fraction takes a share above 0 and up to 1, such as 0.1; received {args.fraction:g}.")
        split = dataclasses.replace(split, fraction=args.fraction)
    changed = dataclasses.replace(study, model=model, phases=phases, split=split, crop=args.crop or study.crop)
    return changed.choose(args.variants)


def _for_each_phase(phases: tuple[Phase, ...], name: str, text: str, kind: type, example: str) -> tuple[Phase, ...]:
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != len(phases) or any(not 0 < value < float("inf") for value in values):
        option = name.replace("_", "-")
        raise DataError(
            f"--{option} takes a positive number for each of the {len(phases)} phases, as {example}; received {text!r}."
        )
    return tuple(dataclasses.replace(phase, **{name: value}) for phase, value in zip(phases, values, strict=True))


def _at_most(phases: tuple[Phase, ...], variant: Variant) -> Variant:
    """Returns the variant with no more epochs in its first, second, … phase than those phases have."""
    fewer = (
        dataclasses.replace(own, epochs=min(own.epochs, bound.epochs))
        for own, bound in zip(variant.phases, phases, strict=False)
    )
    return dataclasses.replace(variant, phases=(*fewer, *variant.phases[len(phases) :]))


def _image_size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    try:
        size = (int(height), int(width or height))
    except ValueError:
        size = (0, 0)
    if min(size) < 8 or max(size) > 1024:
        raise DataError(f"--image-size takes pixels from 8 to 1024, as 96 or 96x128; received {text!r}.")
    return size


def _run(args: argparse.Namespace) -> int:
    from casestudy.data import data_for
    from casestudy.report import write_report
    from casestudy.runs import run_study

    study = configure(STUDIES[args.study], args)
    study, data = data_for(study, args.data, quick=args.quick)
    name = f"{study.name}-{data.name.split('.')[0]}" + ("-quick" if args.quick else "")
    out = args.out or Path("runs") / name
    run = run_study(
        study,
        data,
        out,
        seed=study.seed if args.seed is None else args.seed,
        compare_splits=args.compare_splits,
        password=args.password,
        pattern=args.pattern,
        precision=args.precision,
    )
    write_report(run)
    print(_screen(run))
    return 0


def _tune(args: argparse.Namespace) -> int:
    from casestudy.data import data_for
    from casestudy.runs import tune

    study = STUDIES[args.study]
    if args.quick and study.search:
        study = dataclasses.replace(study, search=dataclasses.replace(study.search, epochs=1))
    study, data = data_for(study, args.data, quick=args.quick)
    seed = study.seed if args.seed is None else args.seed
    print(tune(study, data, args.out or Path("runs") / f"tune-{study.name}", seed=seed, trials=args.trials))
    return 0


def _screen(run: casestudy.RunFolder) -> str:
    """Returns a run's result on one screen."""
    from casestudy.report import PROTOCOLS, number, percent, summary_sentence

    scores = run.read_json("metrics.json")["scores"]
    lines = ["", f"starting weights: {run.settings['weights']}", "", summary_sentence(scores), ""]
    trained = [f"{score['training']}, {PROTOCOLS[score['protocol']]}" for score in scores]
    wide = max(map(len, trained))
    for what, score in zip(trained, scores, strict=True):
        lines.append(f"  {what:{wide}}  accuracy {percent(score['accuracy']):>8}   loss {number(score['loss'])}")
    labels = run.read_table("per_label.csv").to_dict("records")
    wide = max(len(label) for label in ("label", *(row["label"] for row in labels)))
    lines += ["", f"  {'label':{wide}}  support  accuracy     loss   most confused with"]
    for row in labels:
        numbers = f"{percent(row['accuracy']):>8}  {number(row['loss']):>7}"
        lines.append(f"  {row['label']:{wide}}  {row['support']:7}  {numbers}   {row['most_confused_with']}")
    lines += ["", f"report: {run.path / 'report.html'}"]
    return "\n".join(lines)


def _report(args: argparse.Namespace) -> int:
    from casestudy.report import write_report
    from casestudy.runs import RunFolder

    print(write_report(RunFolder.open(args.run)))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from casestudy.runs import RunFolder, verify_run

    checks = verify_run(RunFolder.open(args.run), retrain=args.retrain, source=args.data)
    for what, holds, detail in checks:
        print(f"{'ok  ' if holds else 'FAIL'}  {what}{f' ({detail})' if detail else ''}")
    return 0 if all(holds for _, holds, _ in checks) else 1


def _studies(args: argparse.Namespace) -> int:
    for study in STUDIES.values():
        print(f"{study.name}: {study.title}")
        print(f"  model {study.model.name}, split by {study.split.protocol}, from {study.source}")
        for phase in study.phases:
            print(f"  {phase.name}: trains {phase.trainable}, up to {phase.epochs} epochs at {phase.learning_rate:g}")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from casestudy.doctor import examine

    for finding in examine():
        print(f"{'ok  ' if finding.ok else 'LACK'}  {finding.name}: {finding.found}")
        if finding.remedy:
            print(f"      {finding.remedy}")
    return 0
