"""A page to mark on: one question over all students, on this machine alone, each mark kept as soon as it is given.

The page is served on the loopback address to whoever has the random word in its address. What students wrote is text
there, never HTML, and nothing is fetched from elsewhere. Nothing but the gradebook is kept, so a marking that was cut
off at any moment goes on with the same command.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import socketserver
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, urlencode, urlsplit

from casestudy.errors import GradingError
from casestudy.grading.grade import answers_of
from casestudy.grading.gradebook import SCORES, marked, write_gradebook
from casestudy.grading.marks import BOOK, CHANGED, Marks
from casestudy.grading.roster import Seat
from casestudy.grading.rubric import Rubric, load_rubric
from casestudy.grading.scores import Shared, comment_bank, filled_in, given_points, to_judge
from casestudy.report import page, source

LOOPBACK = "127.0.0.1"
MOST_BYTES = 200_000  # of a form that is sent
MOST_OFFERED = 9  # comments of the bank, one a key
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # characters that make other text run the other way


class Desk:
    """What the page shows and keeps: the questions of a gradebook, and the answers to each in their order."""

    def __init__(self, out: Path, rubric: Rubric, comments: Path | None = None, *, hide_names: bool = False) -> None:
        """Opens a folder of grades; a GradingError says that there is none, or nothing to judge in it."""
        if not (out / BOOK).is_file():
            remedy = f"Grade first: casestudy grade FILES --key key.json --out {out}"
            raise GradingError(f"What is marked lies in a {BOOK}; {out} has none. {remedy}")
        self.out, self.rubric, self.hide_names, self.lock = out, rubric, hide_names, Lock()
        self.bank = comment_bank(comments)
        found = marked([], rubric, out, comments=comments)  # with what was typed into scores.csv
        if not to_judge(found):
            raise GradingError(
                f"There is nothing to mark in {out}: nothing waits for a person, and nothing was judged by one. "
                f"Its overview.html has all grades."
            )
        (out / SCORES).unlink(missing_ok=True)  # taken in; as it is, it would speak against later marks
        self.known: dict[tuple[str, str], Seat | None] = {}
        with Marks(out, self.known) as book:
            self.plain = book.everyone([], rubric)  # without marks: these may change at any moment

    def questions(self) -> dict[str, list[Shared]]:
        """Returns for each criterion that a person judges what is to be judged, with the marks as they are now."""
        with Marks(self.out, self.known) as book:
            now = to_judge(book.applied(self.plain))
        found: dict[str, list[Shared]] = {criterion.id: [] for criterion in self.rubric.criteria}
        for one in now:
            found[one.criterion.id].append(one)
        if self.hide_names:  # another order for each question, so that nobody is always the first
            found = {name: sorted(several, key=lambda one: _word(one, name)) for name, several in found.items()}
        return {name: several for name, several in found.items() if several}

    def save(self, one: Shared, points: str, comment: str) -> None:
        """Keeps a mark, of everybody in `one`; a GradingError says why it is none."""
        given = given_points(points, one.criterion) if points.strip() else None
        text = filled_in(comment.replace("\r\n", "\n"), self.bank, "Comment")
        with Marks(self.out) as book:
            book.judge(one.reports, one.criterion.id, given, text)

    def offered(self, several: Sequence[Shared]) -> list[str]:
        """Returns comments to use again: those of the bank, then those given to this question, the usual ones first."""
        given = Counter(one.result.comment for one in several if one.result.comment)
        return list(dict.fromkeys([*self.bank.values(), *(text for text, _ in given.most_common())]))[:MOST_OFFERED]

    def finish(self) -> None:
        """Writes all pages and tables anew, with the marks."""
        reports = marked([], self.rubric, self.out)
        with Marks(self.out) as book:
            write_gradebook(reports, self.rubric, self.out, seats=book.seats, title=book.title)


def _apart(one: Shared, only: str) -> tuple[Shared, Shared] | None:
    """Returns who gets a mark, and who of the group is left: all and all, or the member with the number `only`."""
    if not only:
        return one, one
    parts = [tuple(r for k, r in enumerate(one.reports) if (str(k) == only) == alone) for alone in (True, False)]
    return (Shared(parts[0], one.result), Shared(parts[1], one.result)) if all(parts) else None


def _word(one: Shared, salt: str = "") -> str:
    """Returns what stands for somebody in an address; it does not say who it is."""
    who = [(report.source, report.student.name, report.student.id) for report in one.reports]
    return hashlib.sha256(f"{salt}{who}".encode()).hexdigest()[:16]


class Server(socketserver.ThreadingTCPServer):
    """Serves one desk on the loopback address; `address` is where."""

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # on Windows it would let two programs share a port

    def __init__(self, desk: Desk, port: int = 0) -> None:
        """Takes the port, or any that is free for 0; a GradingError says that it cannot be had."""
        self.desk, self.token = desk, secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "a port is a number from 1 to 65535"
            raise GradingError(
                f"The page needs a port of its own; {port} cannot be had ({why}). Name another with --port, or none."
            ) from error
        self.hosts = {f"{name}:{self.server_address[1]}" for name in (LOOPBACK, "localhost")}
        self.address = f"http://{LOOPBACK}:{self.server_address[1]}/{self.token}/"

    def link(self, name: str, one: Shared) -> str:
        """Returns the address of one answer to a question."""
        return self.address + _place(name, one)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "casestudy", ""
    timeout = 30  # seconds; a browser opens connections that it does not use

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the terminal is the instructor's."""

    def do_GET(self) -> None:
        if self._let_in():
            asked = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
            self._show(asked.get("q", ""), asked.get("who", ""))

    def do_POST(self) -> None:
        """Keeps what was changed in the form, and shows what was asked for."""
        size = self.headers.get("Content-Length", "")
        if not self._let_in():
            return None
        if self.headers.get("Origin", "").removeprefix("http://") not in self.server.hosts:
            return self._refuse(HTTPStatus.FORBIDDEN)
        if not size.isdecimal() or int(size) > MOST_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        sent = parse_qs(self.rfile.read(int(size)).decode("utf-8", "replace"), keep_blank_values=True)
        form = {name: values[-1] for name, values in sent.items()}
        name, who, go, only = (form.get(field, "") for field in ("q", "who", "go", "only"))
        points, comment = form.get("points", "").strip(), form.get("comment", "").strip()
        with self.server.desk.lock:
            questions = self.server.desk.questions()
            one = next((one for one in questions.get(name, ()) if _word(one) == who), None)
            if one is None or (parts := _apart(one, only)) is None:
                return self._refuse(HTTPStatus.NOT_FOUND)
            before = form.get("was_points", "").strip(), form.get("was_comment", "").replace("\r\n", "\n").strip()
            if only or go == "save" or (points, comment.replace("\r\n", "\n")) != before:
                try:
                    self.server.desk.save(parts[0], points, comment)
                except GradingError as error:
                    return self._show(name, who, problem=str(error), typed=(points, comment))
                questions = self.server.desk.questions()
                if only:  # then the others of the group are shown, where their mark is another one
                    go, rest = "save", _word(parts[1])
                    who = rest if rest in map(_word, questions.get(name, ())) else who
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", f"/{self.server.token}/{_goal(questions, name, who, go)}")
        self.end_headers()
        return None

    def _let_in(self) -> bool:
        """Returns whether the address is ours, asked for by this machine's name; answers where it is not."""
        path, ours = urlsplit(self.path).path, f"/{self.server.token}/"
        if secrets.compare_digest(path.encode(), ours.encode()) and self.headers.get("Host") in self.server.hosts:
            return True
        self._refuse(HTTPStatus.FORBIDDEN)
        return False

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(status, f"{status.phrase}. Open the address that casestudy mark printed.\n", "text/plain")

    def _show(self, name: str, who: str, *, problem: str = "", typed: tuple[str, str] | None = None) -> None:
        questions = self.server.desk.questions()
        several = questions.get(name, [])
        waiting = (k for k, one in enumerate(several) if one.result.waits)
        first = next(waiting, 0 if several else None)  # a question is opened where the first answer waits
        place = next((k for k, one in enumerate(several) if _word(one) == who), None) if who else first
        one = several[place] if place is not None else None
        script = source("mark.js")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        rows = [(found[0].criterion, found, sum(one.result.waits for one in found)) for found in questions.values()]
        group = one.reports[0].source if one else None
        mates = [(k, m, _word(m)) for k, m in enumerate(several, 1) if m is not one and m.reports[0].source == group]
        text = page(
            "mark.html",
            style=source("report.css") + source("grades.css") + source("mark.css"),
            script=script,
            script_hash=digest,
            questions=rows,
            one=one,
            word=_word(one) if one else "",
            place=place,
            count=len(several),
            mates=mates,
            answer=TURNING.sub("", answers_of(one.reports[0], one.result)) if one else "",
            bank=self.server.desk.offered(several),
            hide_names=self.server.desk.hide_names,
            changed=CHANGED,
            problem=problem,
            typed=typed,
        )
        self._send(HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK, text, "text/html", digest)

    def _send(self, status: HTTPStatus, text: str, kind: str, script: str = "") -> None:
        data = text.encode("utf-8", "replace")
        may = f"style-src 'unsafe-inline'; script-src 'sha256-{script}'; form-action 'self'; " if script else ""
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(data)),
            "Content-Security-Policy": f"default-src 'none'; {may}base-uri 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        self.send_response(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(data)


def _goal(questions: Mapping[str, Sequence[Shared]], name: str, who: str, go: str) -> str:
    """Returns where a step leads, as the end of an address: to the same answer, a neighbour, the next that waits.

    Where there is none, and where the answer itself is gone, it leads to the start page.
    """
    order = [(key, one) for key, several in questions.items() for one in several]
    here = next((k for k, (key, one) in enumerate(order) if key == name and _word(one) == who), None)
    if here is None:
        return ""
    later = range(here + 1, len(order))
    ways = {"next": later[:1], "previous": range(here - 1, -1, -1)[:1], "save": [here]}
    waiting = (k for k in (*later, *range(here)) if order[k][1].result.waits)
    goal = next(iter(ways.get(go, waiting)), None)
    return "" if goal is None else _place(*order[goal])


def _place(name: str, one: Shared) -> str:
    return "?" + urlencode({"q": name, "who": _word(one)})


def mark(
    out: Path,
    rubric: Path | None = None,
    comments: Path | None = None,
    *,
    hide_names: bool = False,
    port: int = 0,
    ready: Callable[[str], object] = str,
) -> None:
    """Serves the page until Ctrl-C, then writes the folder's pages and tables anew.

    Args:
        out: A folder that `grade_submissions` wrote.
        rubric: By which it was graded; None for rubric.md.
        comments: A bank of comments to use again; see `scores.comment_bank`.
        hide_names: Show numbers for names, and each question in another order.
        port: 0 for any that is free.
        ready: Called with the page's address as soon as it can be opened.

    Raises:
        GradingError: There is nothing to mark, something does not fit together, or the port is taken.
    """
    desk = Desk(out, load_rubric(rubric), comments, hide_names=hide_names)
    try:
        with Server(desk, port) as server:
            ready(server.address)
            server.serve_forever()
    except KeyboardInterrupt:  # how it ends
        pass
    finally:
        desk.finish()
