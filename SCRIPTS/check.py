"""Holds a change to the project's rules before it is committed: `python SCRIPTS/check.py`.

Lint, format, types, import rules and the fast tests, a line each. `--all` runs the slow tests, too. Lint and format
correct what they can in the files; with `--no-fix` they only say what is wrong.
"""

import subprocess
import sys
import time

IMPORT_RULES = "from importlinter.cli import lint_imports_command; lint_imports_command()"  # it has no `python -m`


def main(arguments=None):
    """Returns the exit code of the first step that failed, 0 if none did; every step is run.

    Args:
        arguments: Of the command line; None for this process' own.
    """
    from casestudy.cleaning import CommandParser  # in the environment, where it is found

    parser = CommandParser(prog="check.py", description=__doc__.partition(":")[0] + ".")
    parser.add_argument("--all", action="store_true", help="run the slow tests, too")
    parser.add_argument("--no-fix", action="store_true", help="change no file")
    args = parser.parse_args(arguments)
    codes = [run(*step) for step in steps(args.all, not args.no_fix)]
    return next(filter(None, codes), 0)


def steps(everything, fix):
    """Returns (name, arguments of Python, whether its output is shown as it comes) of each step, in their order."""
    fast = ("fast tests", ["-m", "pytest", "-m", "not slow"], False)
    return (
        ("lint", ["-m", "ruff", "check", *(["--fix"] if fix else []), "."], False),
        ("format", ["-m", "ruff", "format", *([] if fix else ["--check"]), "."], False),
        ("types", ["-m", "mypy"], False),
        ("import rules", ["-c", IMPORT_RULES, "--no-cache", "--no-logo"], False),
        ("all tests", ["-m", "pytest"], True) if everything else fast,
    )


def run(name, arguments, shown):
    """Returns the exit code of one step, and prints its line, below it the output of one that failed."""
    begin = time.monotonic()
    pipe = None if shown else subprocess.PIPE
    done = subprocess.run([sys.executable, *arguments], stdout=pipe, stderr=pipe and subprocess.STDOUT, check=False)
    seconds, verdict = time.monotonic() - begin, "failed" if done.returncode else "ok"
    print(f"{name:<12} {verdict:<6} {seconds:6.1f} s", flush=True)
    if done.returncode and not shown:
        print(done.stdout.decode("utf-8", "replace"), flush=True)
    return done.returncode


if __name__ == "__main__":
    if __package__:  # called as `python -m SCRIPTS.check`, in the environment
        sys.exit(main())
    from release.environment import ROOT, run_in_environment

    run_in_environment("SCRIPTS.check", *sys.argv[1:], cwd=ROOT)
