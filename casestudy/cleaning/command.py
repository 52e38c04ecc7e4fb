"""The `clean` command, for `casestudy clean` and for DATA/clean_data.py: parse, call one function, print."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from casestudy.cleaning.errors import ConservationError, DataError
from casestudy.cleaning.rebuild import undo
from casestudy.cleaning.regroup import clean_archive


def add_clean_command(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command, all but `--quiet` and `--debug`, and `call`, which carries it out."""
    parser.set_defaults(call=run_clean)
    parser.add_argument(
        "archive", type=Path, help="a .rar, .zip, .tar(.gz/.bz2/.xz) or folder; with --undo, a letters.zip"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("letters.zip"), help="where to write (default: letters.zip here)"
    )
    parser.add_argument(
        "--undo", type=Path, metavar="FOLDER", help="rebuild the original tree from a letters.zip there"
    )
    parser.add_argument(
        "--pattern",
        help="regular expression with a group label, and signer if it can: '(?P<signer>hand\\d+)_(?P<label>[a-z0-9])_'",
    )
    parser.add_argument("--password", help="of an encrypted archive")
    parser.add_argument("--workers", type=_positive, help="threads that screen (default: one a processor)")
    parser.add_argument("--dry-run", action="store_true", help="look at everything, write nothing")
    parser.add_argument("--json", action="store_true", help="print the ledger as JSON instead of the summary")


def run_clean(args: argparse.Namespace) -> int:
    """Carries the command out and prints what happened.

    Returns:
        0 if all is accounted for, 1 if something would have been lost or nothing is usable.

    Raises:
        CaseStudyError: The call cannot be carried out: exit with 2.
    """
    try:
        if args.undo:
            set_aside = undo(args.archive, args.undo, progress=not args.quiet)
            if args.json:
                print(json.dumps({"schema_version": 1, "folder": str(args.undo), "set_aside": set_aside}))
            elif not args.quiet:
                print(f"{args.undo} holds the original files again, byte for byte.")
                for entry, place in set_aside.items():
                    print(f"  {entry} has a name that cannot be used here: it is in {place}")
            return 0
        existed = args.out.exists()
        ledger = clean_archive(
            args.archive,
            None if args.dry_run else args.out,
            password=args.password,
            pattern=args.pattern,
            workers=args.workers,
            progress=not args.quiet,
        )
    except (ConservationError, DataError) as error:
        if getattr(args, "debug", False):
            raise
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(ledger.to_json(), ensure_ascii=False))
    elif not args.quiet:
        print(ledger.summary())
        print(_outcome(args, existed))
    return 0 if ledger.labelled() else 1


def _outcome(args: argparse.Namespace, existed: bool) -> str:
    if args.dry_run:
        return "nothing was written (--dry-run)"
    return f"{args.out} was there already, with the same bytes" if existed else f"written: {args.out}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, received {text}")
    return number
