"""Searches a pattern in names in another process, which is stopped if it does not come to an end.

`re` has no time limit, holds Python's lock while it searches, and some patterns take longer than a life for 40 letters.
A second engine with a limit would be another dependency, and would read some patterns otherwise; telling beforehand
which patterns are slow refuses good ones. A process can be stopped on every system, and costs a name 0.1 ms.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor, TimeoutError as TooLong

from casestudy.cleaning.errors import CaseStudyError

SECONDS = 5.0  # that one name may take; it takes microseconds with a pattern that is fit for its purpose
_SEARCHER = """
import json, re, sys
pattern = re.compile(json.loads(sys.stdin.readline()))
for line in sys.stdin:
    found = pattern.search(json.loads(line))
    print(json.dumps(found and found.groupdict()), flush=True)
"""


class Pattern:
    """A regular expression with a group `label`."""

    def __init__(self, pattern: str) -> None:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise CaseStudyError(f"The pattern {pattern!r} is no regular expression ({error}); mend it.") from None
        if "label" not in groups:
            raise CaseStudyError(f"The pattern {pattern!r} lacks a group label: write (?P<label>…) around the letter.")
        self.pattern = pattern
        call = [sys.executable, "-I", "-c", _SEARCHER]
        self._process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._reader = ThreadPoolExecutor(1)
        weakref.finalize(self, _stop, self._process, self._reader)
        self._write(pattern)

    def search(self, text: str) -> dict[str, str | None] | None:
        """Returns the groups of the first place where it fits, None where it fits nowhere.

        A CaseStudyError says that the search took too long.
        """
        assert self._process.stdout is not None
        self._write(text)
        try:
            line = self._reader.submit(self._process.stdout.readline).result(SECONDS)
        except TooLong:
            self._process.kill()
            raise CaseStudyError(
                f"A pattern reads a name in at most {SECONDS:g} s; {self.pattern!r} takes longer for {text!r}. Write "
                f"it without a repeat inside a repeat, such as (a+)+."
            ) from None
        if not line:
            raise CaseStudyError(f"The search for the pattern {self.pattern!r} broke off at {text!r}. Call again.")
        found: dict[str, str | None] | None = json.loads(line)
        return found

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(text) + "\n")


def _stop(process: subprocess.Popen[str], reader: ThreadPoolExecutor) -> None:
    process.kill()
    reader.shutdown()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.wait()
