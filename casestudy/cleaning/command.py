"""The `clean` command, for `casestudy clean` and for DATA/clean_data.py: parse, call one function, print."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from casestudy.cleaning.errors import ConservationError, DataError


def add_clean_command(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command, all but `--quiet` and `--debug`, and `call`, which carries it out."""
    parser.set_defaults(call=run_clean)
    add = parser.add_argument
    add("archive", type=Path, help="a .rar, .zip, .tar(.gz/.bz2/.xz) or folder; with --undo, a letters.zip")
    add("--out", type=Path, default=Path("letters.zip"), help="where to write (default: letters.zip here)")
    add("--undo", type=Path, metavar="FOLDER", help="rebuild the original tree from a letters.zip there")
    pattern = "(?P<signer>hand\\d+)_(?P<label>[a-z0-9])_"
    add("--pattern", help=f"regular expression with a group label, and signer if it can: '{pattern}'")
    add("--password", help="of an encrypted archive")
    add("--workers", type=_positive, help="threads that screen (default: one a processor)")
    add("--dry-run", action="store_true", help="look at everything, write nothing")
    add("--json", action="store_true", help="print the ledger as JSON instead of the summary")


def run_clean(args: argparse.Namespace) -> int:
    """Carries the command out, prints what happened, and returns 1 if something would be lost or nothing is usable.

    Raises:
        CaseStudyError: The call cannot be carried out: exit with 2.
    """
    try:
        return _undo(args) if args.undo else _clean(args)
    except (ConservationError, DataError) as error:
        if getattr(args, "debug", False):
            raise
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        return 1


def _undo(args: argparse.Namespace) -> int:
    from casestudy.cleaning.rebuild import undo  # only now: --help needs no package

    set_aside = undo(args.archive, args.undo, progress=not args.quiet)
    if args.json:
        print(json.dumps({"schema_version": 1, "folder": str(args.undo), "set_aside": set_aside}))
    elif not args.quiet:
        print(f"{args.undo} holds the original files again, byte for byte.")
        for entry, place in set_aside.items():
            print(f"  {entry} has a name that cannot be used here: it is in {place}")
    return 0


def _clean(args: argparse.Namespace) -> int:
    from casestudy.cleaning.regroup import clean_archive

    out = None if args.dry_run else args.out
    outcome = f"{out} was there already, with the same bytes" if args.out.exists() else f"written: {out}"
    options = {name: getattr(args, name) for name in ("password", "pattern", "workers")}
    ledger = clean_archive(args.archive, out, **options, progress=not args.quiet)
    if args.json:
        print(json.dumps(ledger.to_json(), ensure_ascii=False))
    elif not args.quiet:
        print(ledger.summary())
        print(outcome if out else "nothing was written (--dry-run)")
    return 0 if ledger.labelled() else 1


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, received {text}")
    return number
