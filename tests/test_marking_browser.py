"""A real browser on the page to mark on: keys alone are enough, hostile answers do nothing, and it fits a telephone."""

import types

import pytest
import test_marking
import test_report_browser
from drawn_submissions import honest, packed
from test_classes import grouped
from test_marking import NAMES, RUBRIC, Reader, marks_of

from casestudy.grading.gradebook import grade_submissions
from casestudy.grading.key import key_text

pytestmark = test_report_browser.pytestmark  # where there is no browser, all is skipped
course = test_marking.course


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    one = test_report_browser.Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def page(browser, course):
    """The first answer to the first question, which is the hostile one."""
    reader = Reader(course[0] / "out")
    several = reader.desk.questions()["reading"]
    browser.size(1280)
    browser.open(types.SimpleNamespace(as_uri=lambda: reader.server.link("reading", several[0])))
    yield browser, reader, course[0]
    reader.close()


def typed(browser, key, *, alt=False, ctrl=False, code="", text=None):
    """Presses a key as a person does; what it is bound to leads to another page, or writes."""
    kind = {"key": key, "code": code, "modifiers": 1 * alt + 2 * ctrl}
    text = {"text": key} if len(key) == 1 and not (alt or ctrl) else {"text": "\r"} if key == "Enter" else {}
    browser.call("Input.dispatchKeyEvent", type="keyDown", **kind, **text)
    browser.call("Input.dispatchKeyEvent", type="keyUp", **kind)


def goes(browser, *key, **options):
    """Presses a key that leads to another page, and waits for it."""
    browser.last = ""
    typed(browser, *key, **options)
    while browser.last != "Page.loadEventFired":
        browser.receive()


def test_keys_alone_are_enough(page):
    browser, reader, home = page
    assert "bergben" in browser.run("document.querySelector('.who').innerText")
    typed(browser, "f")
    typed(browser, "c")
    browser.call("Input.insertText", text="Whom?")
    goes(browser, "Enter", ctrl=True)
    assert "cruzcleo" in browser.run("document.querySelector('.who').innerText")
    typed(browser, "2")
    assert browser.run("document.activeElement.name + document.forms.mark.points.value") == "points2"
    goes(browser, "Enter")
    assert "mulleranna" in browser.run("document.querySelector('.who').innerText")
    typed(browser, "1", alt=True, code="Digit1")
    assert browser.run("document.forms.mark.comment.value") == "Whom?"
    typed(browser, "z")
    goes(browser, "p")
    typed(browser, "h")
    goes(browser, "s")
    assert browser.run("document.forms.mark.points.value") == "2.5"
    goes(browser, "u")
    assert browser.run("document.querySelector('h1').innerText") == "You looked before you touched anything"
    assert browser.troubles == []
    reader.desk.finish()
    now = marks_of(home)
    given = [now[name, "reading"] for name in NAMES]
    assert given == [("0", "Whom?"), ("5", "Whom?"), ("2.5", "")]


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_fetches_nothing(width, page):
    browser, reader, _ = page
    browser.size(width)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelector('.answer').innerText").startswith("</p></textarea><script>alert(1)")
    assert browser.troubles == []
    assert browser.requests and all(url.startswith(reader.server.address) for url in browser.requests)


def test_a_mark_for_one_of_a_group_by_keys_alone(browser, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / NAMES[1]).write_bytes(packed(honest(0)))
    (tmp_path / "key.json").write_text(key_text(grouped()))
    grade_submissions([tmp_path / "in"], RUBRIC, tmp_path / "key.json", tmp_path / "out")
    reader = Reader(tmp_path / "out")
    whole = reader.desk.questions()["reading"][0]
    browser.size(390)
    browser.open(types.SimpleNamespace(as_uri=lambda: reader.server.link("reading", whole)))
    assert browser.run("document.documentElement.scrollWidth") <= 390
    typed(browser, "h")
    typed(browser, "o")
    assert browser.run("document.activeElement.innerText") == "Anna Müller"
    goes(browser, "Enter")
    assert "Anna Müller, 2.5 of 5" in browser.run("document.querySelector('.banner').innerText")
    assert browser.run("document.querySelector('.who bdi').innerText") == "Ben Berg + Cleo Cruz"
    assert browser.troubles == []
    reader.close()
