"""The page to mark on: what is typed is kept at once, strangers' text stays text, and nobody else is let in."""

import csv
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest
from drawn_submissions import bound_key, edited, honest, packed

from casestudy.cli import main
from casestudy.errors import GradingError
from casestudy.grading.gradebook import grade_submissions
from casestudy.grading.key import key_text
from casestudy.grading.marking import Desk, Server
from casestudy.grading.rubric import load_rubric

ROOT = Path(__file__).parents[1]
RUBRIC = ROOT / "rubric.md"
EVIL = '</p></textarea><script>alert(1)</script><img src=x onerror="alert(1)"> {{ 7*7 }} \u202e&lt;b&gt;'
NAMES = ("mulleranna_11_101_s.zip", "bergben_12_102_s.zip", "cruzcleo_13_103_s.zip")


class Page(HTMLParser):
    """What a browser finds in a page: elements with their attributes, fields with their values, and the answer."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.fields, self.texts, self._open = [], {}, {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "input":
            self.fields[attrs["name"]] = attrs.get("value", "")
        if tag in ("textarea", "p", "h1", "script", "bdi"):
            self._open.append((tag, attrs.get("name") or attrs.get("class") or tag))

    def handle_endtag(self, tag):
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            tag, name = self._open[-1]
            self.texts[name] = self.texts.get(name, "") + data
            if tag == "textarea":
                self.fields[name] = self.texts[name].removeprefix("\n")


class Reader:
    """A person with a browser: opens a page, fills in its form, follows where it leads."""

    def __init__(self, out, **options):
        self.desk = Desk(out, load_rubric(RUBRIC), **options)
        self.server = Server(self.desk)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.port, self.home = self.server.server_address[1], f"/{self.server.token}/"

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {"Content-Length": str(len(body or b"")), **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def open(self, query=""):
        status, self.headers, self.text = self.ask("GET", self.home + query)
        assert status == 200
        self.page = Page(self.text)
        return self.page

    def choose(self, question):
        """Opens a question's first open answer, by the link of the start page."""
        start = self.open()
        return self.open(next(a["href"] for tag, a in start.tags if tag == "a" and a["href"] == f"?q={question}"))

    def send(self, go="next", **typed):
        form = {**self.page.fields, **typed, "go": go}
        body = urlencode(form).encode()
        status, headers, self.text = self.ask("POST", self.home, body, Origin=f"http://127.0.0.1:{self.port}")
        if status == 303:
            self.open(headers["Location"].removeprefix(self.home))
        return status

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def course(tmp_path):
    """Three graded submissions; the second answers with what would harm a page."""
    (tmp_path / "in").mkdir()
    for k, name in enumerate(NAMES):
        files = honest(k)
        if k == 1:
            files = edited(files, "notebooks/01_read_the_case.ipynb", lambda n: n["cells"][2].update(source=EVIL))
        (tmp_path / "in" / name).write_bytes(packed(files))
    (tmp_path / "key.json").write_text(key_text(bound_key()))

    def graded(**options):
        return grade_submissions([tmp_path / "in"], RUBRIC, tmp_path / "key.json", tmp_path / "out", **options)

    graded()
    return tmp_path, graded


@pytest.fixture
def reader(course):
    one = Reader(course[0] / "out")
    yield one
    one.close()


def marks_of(home: Path) -> dict[tuple[str, str], tuple[str, str]]:
    rows = csv.DictReader((home / "out" / "criteria.csv").open(encoding="utf-8"))
    return {(row["file"], row["criterion"]): (row["points"], row["comment"]) for row in rows}


def test_what_is_typed_is_in_every_page_and_table_afterwards(course, reader):
    home, graded = course
    reader.choose("reading")
    assert "bergben" in reader.text  # in the order of the files
    assert reader.send(points="2,5", comment="Whom?\r\nSay it.") == 303
    assert "cruzcleo" in reader.text
    assert reader.send(points="5", comment="") == 303
    reader.desk.finish()
    now = marks_of(home)
    assert now[NAMES[1], "reading"] == ("2.5", "Whom?\nSay it.")
    assert now[NAMES[2], "reading"] == ("5", "")
    assert now[NAMES[0], "reading"][0] == "0"
    overview = (home / "out" / "overview.html").read_text()
    assert "Answers of <b>3 submissions</b> wait" in overview
    assert "Say it." in next((home / "out" / "students").glob("bergben*/feedback.html")).read_text()
    graded()  # and the list that is taken in again changes nothing
    assert marks_of(home) == now


def test_a_killed_marking_loses_nothing(course, reader):
    """Nobody calls finish: the gradebook alone has the marks, and no old scores.csv speaks against them."""
    home, graded = course
    reader.choose("reading")
    reader.send(points="4", comment="Good.")
    reader.close()
    again = Reader(home / "out")
    again.choose("reading")
    assert "cruzcleo" in again.text  # the next that waits
    again.send("previous")
    assert (again.page.fields["points"], again.page.fields["comment"].strip()) == ("4", "Good.")
    again.close()
    graded()
    assert marks_of(home)[NAMES[1], "reading"] == ("4", "Good.")


def test_what_was_typed_into_the_list_before_is_taken_in(course):
    home, _ = course
    path = home / "out" / "scores.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    for row in rows:
        row["points"] = "3" if (row["file"], row["criterion"]) == (NAMES[0], "import") else ""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    reader = Reader(home / "out")
    reader.close()
    assert not path.exists()
    reader.desk.finish()
    assert marks_of(home)[NAMES[0], "import"][0] == "3" and path.is_file()


def test_a_grading_beside_the_open_page_takes_no_mark_back(course, reader):
    """The list that it writes is older than the marks that come after it, until somebody types into it."""
    home, graded = course
    reader.choose("reading")
    reader.send("save", points="4")
    graded()
    reader.send("save", points="5")
    reader.desk.finish()
    assert marks_of(home)[NAMES[1], "reading"][0] == "5"
    text = (home / "out" / "scores.csv").read_text(encoding="utf-8-sig")
    (home / "out" / "scores.csv").write_text(text.replace(",5,5,", ",5,3,"), encoding="utf-8-sig")
    graded()
    assert marks_of(home)[NAMES[1], "reading"][0] == "3"


def test_a_mark_is_taken_back_and_an_untouched_one_is_left(course, reader):
    home, _ = course
    first = reader.choose("reading").fields
    reader.send("save", points="4")
    assert reader.page.fields["points"] == "4"
    stale = {**first, "go": "next"}  # a second window, in which nothing was typed
    status, _, _ = reader.ask("POST", reader.home, urlencode(stale).encode(), Origin=f"http://localhost:{reader.port}")
    assert status == 303
    reader.desk.finish()
    assert marks_of(home)[NAMES[1], "reading"][0] == "4"
    (home / "out" / "scores.csv").unlink()
    reader.send("save", points="")
    assert reader.page.fields["points"] == ""
    reader.desk.finish()
    assert marks_of(home)[NAMES[1], "reading"][0] == "0"


@pytest.mark.parametrize("points", ["6", "-1", "five", "nan", "1e400"])
def test_points_that_are_none_are_said_and_nothing_is_lost(points, course, reader):
    reader.choose("reading")
    assert reader.send(points=points, comment="A long comment.") == 422
    assert "points go from 0 to 5" in reader.text
    kept = Page(reader.text).fields
    assert (kept["points"], kept["comment"].strip()) == (points, "A long comment.")
    assert reader.open().texts["p"].startswith("18 answers")


def test_the_bank_has_its_comments_and_those_given_before(course, tmp_path):
    home, _ = course
    (home / "comments.csv").write_text("name,comment\npeople,You name the people.\n")
    reader = Reader(home / "out", comments=home / "comments.csv")
    reader.choose("reading")
    reader.send(points="4", comment="{people} Well done.")
    offered = [a["data-comment"] for _, a in reader.page.tags if "data-comment" in a]
    assert offered == ["You name the people.", "You name the people. Well done."]
    assert reader.send(points="4", comment="{nobody}") == 422 and "no comment {nobody} in the bank" in reader.text
    reader.close()


def test_strangers_text_stays_text(reader):
    reader.choose("reading")
    assert reader.page.texts["answer"] == EVIL.replace("\u202e", "")
    scripts = [attrs for tag, attrs in reader.page.tags if tag == "script"]
    assert scripts == [{}] and not any(tag == "img" for tag, _ in reader.page.tags)
    assert not any(name.startswith("on") or name == "style" for _, attrs in reader.page.tags for name in attrs)
    reader.send("save", points="0", comment=EVIL)
    assert reader.page.fields["comment"].strip() == EVIL
    assert len([1 for tag, _ in reader.page.tags if tag == "script"]) == 1
    policy = reader.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "script-src 'sha256-" in policy and "http" not in policy
    assert reader.headers["Cache-Control"] == "no-store"
    assert not re.search(r"(?:src|href|action)=\"(?!\?)", reader.text)  # nothing is fetched, nothing leads away


def test_nobody_else_is_let_in(course, reader):
    home, _ = course
    reader.choose("reading")
    good_form = urlencode({**reader.page.fields, "points": "5", "go": "save"}).encode()
    own = f"http://127.0.0.1:{reader.port}"
    wrong = "/" + "x" * len(reader.server.token) + "/"
    for call, status in {
        ("GET", "/", None, ()): 403,
        ("GET", wrong, None, ()): 403,
        ("GET", reader.home, None, (("Host", f"evil.example:{reader.port}"),)): 403,
        ("GET", reader.home, None, (("Host", "127.0.0.1"),)): 403,
        ("POST", reader.home, good_form, ()): 403,  # a form of another page says where it comes from, or nothing
        ("POST", reader.home, good_form, (("Origin", "http://evil.example"),)): 403,
        ("POST", reader.home, good_form, (("Origin", "null"),)): 403,
        ("POST", wrong, good_form, (("Origin", own),)): 403,
        ("POST", reader.home, b"x" * 300_000, (("Origin", own),)): 413,
        ("POST", reader.home, b"q=reading&who=nobody", (("Origin", own),)): 404,
        ("PUT", reader.home, b"", ()): 501,
    }.items():
        method, path, body, headers = call
        if body and status == 413:
            connection = http.client.HTTPConnection("127.0.0.1", reader.port, timeout=10)
            connection.request(method, path, headers={**dict(headers), "Content-Length": str(len(body))})
            assert connection.getresponse().status == 413
        else:
            assert reader.ask(method, path, body, **dict(headers))[0] == status, call
    with socket.create_connection(("127.0.0.1", reader.port), timeout=10) as line:  # one refusal, not two
        head = f"POST {wrong} HTTP/1.0\r\nHost: 127.0.0.1:{reader.port}\r\nContent-Length: 0\r\n\r\n"
        line.sendall(head.encode())
        assert b"".join(iter(lambda: line.recv(1 << 16), b"")).count(b"HTTP/1.") == 1
    reader.desk.finish()
    assert marks_of(home)[NAMES[1], "reading"] == ("0", "")
    assert reader.server.server_address[0] == "127.0.0.1"


def test_hidden_names_are_nowhere_and_each_question_has_its_own_order(course):
    home, _ = course
    reader = Reader(home / "out", hide_names=True)
    orders = []
    for question in ("reading", "import", "cleaning", "precautions", "conclusions"):
        order = [one.who for one in reader.desk.questions()[question]]
        assert sorted(order) == ["bergben", "cruzcleo", "mulleranna"]
        orders.append(tuple(order))
        reader.choose(question)
        assert not re.search("anna|berg|cleo|_s.zip", reader.text, re.I) and "Number 1" in reader.text
    assert len(set(orders)) > 1
    reader.close()


def test_a_step_leads_to_neighbours_over_all_questions(reader):
    reader.choose("reading")
    reader.send("previous")
    assert reader.page.texts["h1"] == "Marking"  # before the first there is none
    reader.choose("reading")
    seen = []
    while reader.page.texts["h1"] != "Marking":
        seen.append((reader.page.fields["q"], reader.page.fields["who"]))
        reader.send("open", points="1")
    assert len(seen) == len(set(seen)) == 18
    assert "Everything is judged" in reader.text


def test_an_answer_that_changed_is_said_and_saving_confirms_the_mark(course, reader):
    home, graded = course
    reader.choose("reading")
    reader.send("save", points="4")
    reader.desk.finish()
    reader.close()
    other = edited(honest(1), "notebooks/01_read_the_case.ipynb", lambda n: n["cells"][2].update(source="Another."))
    (home / "in" / "bergben_12_207_s.zip").write_bytes(packed(other))
    graded()
    again = Reader(home / "out")
    again.choose("reading")
    again.send("previous")
    assert "another one than the one that was judged" in again.text
    again.send("next")  # going past is no confirmation
    again.send("previous")
    assert "another one than the one that was judged" in again.text
    again.send("save")
    assert "another one than the one that was judged" not in again.text and again.page.fields["points"] == "4"
    again.close()


def test_what_a_check_doubts_is_marked_there_too(course):
    home, graded = course
    files = edited(honest(0), "run/metrics.json", lambda m: m["scores"][0].update(accuracy=0.99), seal=False)
    (home / "in" / NAMES[0]).write_bytes(packed(files))
    graded()
    reader = Reader(home / "out")
    page = reader.choose("reproducible")
    assert "A person has to look." in reader.text and page.texts["h1"] == "Somebody else gets the same numbers"
    reader.close()


def test_a_taken_port_and_nothing_to_mark_are_one_line_each(course, reader, tmp_path, capsys):
    home, _ = course
    call = ["mark", str(home / "out"), "--rubric", str(RUBRIC)]
    capsys.readouterr()
    for arguments, said in (
        ([*call, "--port", str(reader.port)], f"{reader.port} cannot be had"),
        ([*call, "--port", "99999"], "from 1 to 65535"),
        (["mark", str(tmp_path / "nowhere")], "casestudy grade FILES"),
    ):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert said in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()
    (home / "in2").mkdir()
    (home / "in2" / "empty.zip").write_bytes(packed({}))
    grade_submissions([home / "in2"], RUBRIC, home / "key.json", home / "out2")
    with pytest.raises(GradingError, match="nothing to mark"):
        Desk(home / "out2", load_rubric(RUBRIC))


@pytest.mark.skipif(os.name != "posix", reason="the interrupt is sent the POSIX way")
def test_ctrl_c_writes_the_pages_and_is_no_error(course):
    home, _ = course
    call = [sys.executable, "-m", "casestudy", "mark", str(home / "out"), "--rubric", str(RUBRIC)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        address = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+)", process.stdout.readline())
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=10)
            connection.request("GET", address[2])
            if connection.getresponse().status == 200:
                break
            time.sleep(0.05)
        assert not (home / "out" / "scores.csv").exists()
        process.send_signal(signal.SIGINT)
        said, trouble = process.communicate(timeout=60)
    assert (process.returncode, trouble) == (0, "") and "overview.html" in said
    assert (home / "out" / "scores.csv").is_file()


def test_marks_of_the_page_and_of_the_list_are_the_same(course, reader):
    """A row of scores.csv that says nothing speaks against no mark: somebody may save an old list over the new one."""
    home, graded = course
    reader.choose("reading")
    reader.send(points="4", comment="Good.")
    reader.desk.finish()
    text = (home / "out" / "scores.csv").read_text(encoding="utf-8-sig")
    (home / "out" / "scores.csv").write_text(text.replace(",4,Good.,", ",,,"), encoding="utf-8-sig")
    graded()
    assert marks_of(home)[NAMES[1], "reading"] == ("4", "Good.")
