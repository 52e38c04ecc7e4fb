"""The `clean` command, for `casestudy clean` and for DATA/clean_data.py, and the parser that all commands share."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

from casestudy.cleaning.errors import CaseStudyError, ConservationError, DataError
from casestudy.cleaning.named_layouts import LAYOUTS, layout_pattern
from casestudy.cleaning.words import did_you_mean, printable

_SAID = (  # what argparse says, and the same in the words of this project
    (r"the following arguments are required: (.+)", r"a call must name \1"),
    (r"argument (\S+): expected .*", r"\1 needs a value after it; one that begins with a dash is written \1=VALUE"),
    (r"argument (\S+): ignored explicit argument (.+)", r"\1 takes no value; received \2"),
    (r"argument (\S+): invalid int value: (.+)", r"\1 takes a whole number; received \2"),
    (r"argument (\S+): invalid float value: (.+)", r"\1 takes a number; received \2"),
    (r"argument (\S+): (.+)", r"\1 \2"),
)


class CommandParser(argparse.ArgumentParser):
    """Says in one line what is wrong with a call, and what to do next; its help ends with examples."""

    def __init__(self, *, examples: Sequence[str] = (), epilog: str = "", **options: Any) -> None:
        self.examples = examples
        shown = "\n  ".join(("examples:", *examples)) if examples else ""
        options |= {"epilog": f"{shown}\n\n{epilog}".strip(), "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Looks first whether every option is known: one that is mistyped is not called missing."""
        words = list(sys.argv[1:] if args is None else args)
        own = takewhile(lambda word: word.startswith("-") if self._subparsers else word != "--", words)
        for name in (word.partition("=")[0] for word in own if word.startswith("--")):
            if name not in self._option_string_actions:
                absent = f"there is no option {name}{' before a command' if self._subparsers else ''}"
                self.error(f"{absent}. {did_you_mean(name, self._option_string_actions)}".rstrip(". "))
        return super().parse_known_args(words, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Returns what was given; a word too many is refused by the command that it was given to."""
        parsed, more = self.parse_known_args(args, namespace)
        if more:
            what = "no option here" if more[0].startswith("-") else "a word too many: a name with spaces needs quotes"
            getattr(parsed, "parser", self).error(f"received {more[0]!r}, which is {what}")
        return parsed

    @staticmethod
    def carry_out(args: argparse.Namespace) -> int:
        """Returns the exit code of the command that was parsed; 141 where nobody reads it further, as in `| head`."""
        try:
            code = args.call(args)
            sys.stdout.flush()
            return int(code)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
            return 141  # as a shell says it of others

    @staticmethod
    def at_least_one(text: str) -> int:
        """Returns the whole number from 1 up that a text gives; for the `type` of an option."""
        number = int(text) if re.fullmatch(r"\s*[+-]?\d+\s*", text) else 0
        if number < 1:
            raise argparse.ArgumentTypeError(f"takes a whole number from 1 up; received {text!r}")
        return number

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in (known := list(action.choices)):
            near = did_you_mean(value, known) or ("Use one of them." if known[1:] else "Use it.")
            rule = f"is {'one of ' if known[1:] else ''}{', '.join(known)}"
            raise argparse.ArgumentError(action, f"{rule}; received {value!r}. {near}")

    def error(self, message: str) -> NoReturn:
        said = next((re.sub(form, words, message) for form, words in _SAID if re.fullmatch(form, message)), message)
        if not said.endswith((".", "?")):
            named = " must name " in said and self.examples
            said += f". For example: {self.examples[0]}" if named else f". More: {self.prog} --help"
        self.exit(2, f"{self.prog}: {said}\n")


def add_clean_command(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command, all but `--quiet` and `--debug`, and `call`, which carries it out."""
    parser.set_defaults(call=run_clean, prog=Path(parser.prog.split()[0]).stem)
    add = parser.add_argument
    kinds = "RAR, ZIP, TAR, 7z or folder, or several of them; with --undo, one letters.zip"
    add("archive", type=Path, nargs="+", metavar="ARCHIVE", help=kinds)
    add("--out", type=Path, default=Path("letters.zip"), help="where to write (default: letters.zip here)")
    add("--undo", type=Path, metavar="FOLDER", help="rebuild the original tree from a letters.zip there")
    pattern = "(?P<signer>hand\\d+)_(?P<label>[a-z0-9])_"
    add("--pattern", help=f"regular expression with a group label, signer and part if it can: '{pattern}'")
    layout = "how paths are read, in words from the top: " + ", ".join(LAYOUTS) + " …; any: says nothing"
    add("--layout", type=layout_word, metavar="WORDS", help=layout)
    add("--password", help="of an encrypted archive")
    add("--salvage", action="store_true", help="keep what is sound of a damaged archive, and list what is lost")
    add("--repair", action="store_true", help="mend images with all pixels, but no end mark, say; originals stay")
    add("--workers", type=CommandParser.at_least_one, metavar="N", help="threads (default: one a processor)")
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
        print(f"{args.prog}: {error}", file=sys.stderr)
        return 1


def _undo(args: argparse.Namespace) -> int:
    from casestudy.cleaning.rebuild import undo  # only now: --help needs no package

    if len(args.archive) > 1:
        raise CaseStudyError(f"--undo rebuilds one letters.zip; received {len(args.archive)}: call it once for each.")
    if args.dry_run:
        raise CaseStudyError("--undo writes the original files; received --dry-run, too. Leave one of them out.")
    set_aside = undo(args.archive[0], args.undo, progress=not args.quiet)
    if args.json:
        print(_json({"schema_version": 1, "folder": str(args.undo), "set_aside": set_aside}))
    elif not args.quiet:
        print(f"{printable(str(args.undo))} holds the original files again, byte for byte.")
        for entry, place in set_aside.items():
            named = printable(entry) or "An entry without a name"
            print(f"  {named} has a name that cannot be used here: it is in {printable(place)}")
    return 0


def _clean(args: argparse.Namespace) -> int:
    from casestudy.cleaning.regroup import clean_archive

    out = None if args.dry_run else args.out
    outcome = f"{out} was there already, with the same bytes" if args.out.exists() else f"written: {out}"
    options = {name: getattr(args, name) for name in ("password", "pattern", "layout", "repair", "salvage", "workers")}
    beside = getattr(args, "beside", None)  # of whoever has workers: this room knows none
    ledger = clean_archive(args.archive, out, **options, progress=not args.quiet, beside=beside)
    if args.json:
        print(_json(ledger.to_json()))
    elif not args.quiet:
        print(ledger.summary())
        print(printable(outcome) if out else "nothing was written (--dry-run)")
    return 0 if ledger.labelled() else 1


def _json(values: dict[str, Any]) -> str:
    """Returns one line of JSON, in ASCII: a name may hold what a terminal obeys."""
    return json.dumps(values).replace("\x7f", "\\u007f")


def layout_word(text: str) -> str:
    """Returns a layout that can be read; for the `type` of an option."""
    try:
        layout_pattern(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--layout ")) from None
    return text
