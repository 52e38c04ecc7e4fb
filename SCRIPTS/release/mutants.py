"""Breaks the package on purpose, a line at a time, and says which faults the tests do not see.

Each fault, called a mutant, is an entry of mutants.toml: a file, the text that stands there, the one that replaces it,
and the tests that ought to fail then. It is made in a copy of the working tree, never in the tree itself. A mutant that
no test can tell from the original says why in `equivalent`, and is not run.

    python -m SCRIPTS.release.mutants                  all of them: 18 minutes on two cores
    python -m SCRIPTS.release.mutants cleaning data    those of two rooms
    python -m SCRIPTS.release.mutants wilson-z-of-90   one of them
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from casestudy.cleaning import CommandParser

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it on these Pythons

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_suffix(".toml")
TIMEOUT = 300.0  # seconds; a mutant that makes the tests hang is killed, too
KILLED, SURVIVED, EQUIVALENT, BROKEN = "killed", "survived", "equivalent", "broken off"


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        id: Says what is wrong.
        file: Of the working tree, with "/" between the parts.
        old: What stands there, once.
        new: What replaces it.
        tests: What pytest is called with.
        equivalent: Why no test can tell it from the original; "" where one must.
    """

    id: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    @property
    def room(self) -> str:
        """The room of the package it is in, or the module that stands by itself."""
        return Path(self.file).parts[1].removesuffix(".py")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant; `by` is the test that failed first."""

    id: str
    room: str
    outcome: str
    seconds: float = 0.0
    by: str = ""


def read_list(path: Path = LIST) -> list[Mutant]:
    """Returns the mutants of a list, in its order; a SystemExit where one cannot be made as it is written."""
    mutants = [
        Mutant(**{**entry, "tests": tuple(entry["tests"])})
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    ]
    if again := [name for name, count in Counter(mutant.id for mutant in mutants).items() if count > 1]:
        raise SystemExit(f"Every mutant has its own id; {again[0]} is there twice. Change one.")
    return mutants


def mutate(mutant: Mutant, text: str) -> str:
    """Returns a file's text with the fault in it; a SystemExit where it does not stand there just once."""
    if (count := text.count(mutant.old)) != 1:
        raise SystemExit(f"{mutant.id}: its text must stand once in {mutant.file}; it is there {count} times. Mend it.")
    return text.replace(mutant.old, mutant.new)


def choose(mutants: list[Mutant], wanted: list[str]) -> list[Mutant]:
    """Returns those whose id or room is named, all where none is; a SystemExit for a name of neither."""
    known = {mutant.id for mutant in mutants} | {mutant.room for mutant in mutants}
    if unknown := [name for name in wanted if name not in known]:
        raise SystemExit(f"{unknown[0]} is no mutant and no room. See --list.")
    return [mutant for mutant in mutants if not wanted or {mutant.id, mutant.room} & set(wanted)]


def copy_tree(root: Path, target: Path) -> None:
    """Copies every file that git knows or does not ignore, as it lies in the working tree."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source, place = root / name, target / name
        if source.is_file():  # a file that is deleted and not committed yet is listed all the same
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)


class Copy:
    """A copy of the working tree in which one mutant after another is tested."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.tree, self._scratch = folder / "tree", folder / "scratch"  # apart: tests must find no checkout above
        self._process: subprocess.Popen[str] | None = None
        self.stopped = False
        folder.mkdir()
        copy_tree(root, self.tree)

    def test(self, mutant: Mutant) -> Verdict:
        """Returns whether the mutant's tests fail with it; the copy is as it was afterwards."""
        if mutant.equivalent:
            return Verdict(mutant.id, mutant.room, EQUIVALENT)
        file, begin = self.tree / mutant.file, time.monotonic()
        original = file.read_bytes()
        file.write_bytes(mutate(mutant, original.decode()).encode())
        try:
            code, output = self.pytest(mutant.tests, "-x")
        finally:
            file.write_bytes(original)
        outcome = SURVIVED if code == 0 else BROKEN if code < 0 else KILLED
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
        by = "" if outcome == SURVIVED else failed[1] if failed else output.strip().rpartition("\n")[2]
        return Verdict(mutant.id, mutant.room, outcome, time.monotonic() - begin, by)

    def pytest(self, targets: tuple[str, ...], *options: str, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Returns the exit code of pytest in the copy, and what it said; 1 where it took too long."""
        # No bytecode: a mutant of the same second and length would pass for the original.
        environ = {**os.environ, "PYTHONPATH": str(self.tree), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", *options, "-q", "-p", "no:cacheprovider"]
        command += [f"--basetemp={self._scratch}", *targets]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
        # A group of its own, so that what the tests have started ends with them.
        self._process = subprocess.Popen(command, cwd=self.tree, env=environ, start_new_session=True, **pipes)
        try:
            if self.stopped:
                self.stop()
            output, _ = self._process.communicate(timeout=timeout)
            return self._process.returncode, output
        except subprocess.TimeoutExpired:
            self._end()
            return 1, f"nothing after {timeout:g} seconds"
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def stop(self) -> None:
        """Ends the tests that are running, and those that would begin now."""
        self.stopped = True
        self._end()

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
            self._process.communicate()


def check_unchanged(copy: Copy, mutants: list[Mutant]) -> None:
    """Raises a SystemExit unless the tests of these mutants pass without them, each target once."""
    targets = tuple(dict.fromkeys(target for mutant in mutants if not mutant.equivalent for target in mutant.tests))
    begin = time.monotonic()
    code, output = copy.pytest(targets, timeout=TIMEOUT * max(1, len(targets))) if targets else (0, "")
    if code:
        raise SystemExit(f"{output}\nThe tests must pass on the unchanged copy; these do not. Mend them first.")
    print(f"unchanged: {len(targets)} targets pass ({time.monotonic() - begin:.0f} s)", flush=True)


def run(mutants: list[Mutant], root: Path = ROOT, *, workers: int = 2, check: bool = True) -> list[Verdict]:
    """Returns the verdict on each mutant, in their order, and prints each as it is known."""
    verdicts: dict[str, Verdict] = {}
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    faults: list[BaseException] = []

    def work(copy: Copy) -> None:
        with contextlib.suppress(queue.Empty):
            while not faults:
                mutant = waiting.get_nowait()
                try:
                    found = verdicts[mutant.id] = copy.test(mutant)
                    if copy.stopped:
                        return
                except BaseException as error:  # of this script, or of its list: it ends the others, too
                    faults.append(error)
                    return
                print(
                    f"{found.outcome:<10} {found.seconds:6.1f} s  {found.room:<10} {found.id}  {found.by}", flush=True
                )

    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as scratch:
        copies = [Copy(root, Path(scratch, str(k))) for k in range(max(1, min(workers, len(mutants))))]
        threads = [threading.Thread(target=work, args=(copy,), daemon=True) for copy in copies]
        try:
            if check:
                check_unchanged(copies[0], mutants)
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # in short waits, which Ctrl-C can end on every system
        except BaseException as error:
            faults.append(error)
            for copy in copies:
                copy.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(10)
            raise
    if faults:
        raise faults[0]
    return [verdicts[mutant.id] for mutant in mutants]


def totals(verdicts: list[Verdict]) -> list[str]:
    """Returns a line for each room and one for all: how many were killed, survived, are equivalent."""
    rooms = list(dict.fromkeys(verdict.room for verdict in verdicts))
    lines = [f"{'':<12}{KILLED:>8}{SURVIVED:>10}{EQUIVALENT:>12}"]
    for room in [*rooms, "all"]:
        found = Counter(verdict.outcome for verdict in verdicts if room in (verdict.room, "all"))
        alive = found[SURVIVED] + found[BROKEN]
        lines.append(f"{room:<12}{found[KILLED]:>8}{alive:>10}{found[EQUIVALENT]:>12}")
    return lines


def main(arguments: list[str] | None = None, *, root: Path = ROOT, path: Path = LIST) -> int:
    """Returns 0 if every mutant is killed that is not equivalent, else 1.

    Args:
        arguments: Of the command line; None for this process' own.
        root: The working tree.
        path: The list.
    """
    parser = CommandParser(prog="mutants.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wanted", nargs="*", metavar="NAME", help="ids or rooms (default: all)")
    parser.add_argument("--list", action="store_true", help="name them, and run none")
    parser.add_argument("--workers", type=int, default=2, help="so many at a time (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there, too")
    parser.add_argument("--unchecked", action="store_true", help="take it that the tests pass on the unchanged copy")
    args = parser.parse_args(arguments)
    mutants = choose(read_list(path), args.wanted)
    if args.list:
        print("\n".join(f"{mutant.room:<10} {mutant.id}" for mutant in mutants))
        return 0
    for mutant in mutants:  # at once, and not after an hour
        mutate(mutant, (root / mutant.file).read_text(encoding="utf-8"))
    try:
        verdicts = run(mutants, root, workers=args.workers, check=not args.unchecked)
    except KeyboardInterrupt:
        print("stopped; the copies are gone", file=sys.stderr)
        return 130
    print("\n".join(totals(verdicts)))
    if args.json:
        args.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n", encoding="utf-8")
    return int(any(verdict.outcome in (SURVIVED, BROKEN) for verdict in verdicts))


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # leaves as little behind as Ctrl-C
    sys.exit(main())
