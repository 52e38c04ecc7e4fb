"""A real browser opens report.html from disk, clicks, presses keys and measures.

Needs Chromium (Debian: `apt install chromium`); without it these tests are skipped. It is spoken to through a pipe in
the DevTools protocol, so no driver and no further package is needed.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from casestudy.report import write_report

EVIL = "<img src=x onerror=alert(1)>"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the pipe to the browser is made the POSIX way"),
    pytest.mark.skipif(
        CHROMIUM is None and "CASESTUDY_NEEDS_BROWSER" not in os.environ,
        reason="no Chromium found; install it with: apt install chromium",
    ),
]
SECONDS = 180  # for one answer, on the slowest machine


class Browser:
    """One page of a headless Chromium; `troubles` and `requests` hold what it complained of and asked for."""

    def __init__(self, profile, *more):
        self.troubles, self.requests, self.numbers, self.buffer = [], [], itertools.count(1), b""
        theirs_in, self.write_end = os.pipe()
        self.read_end, theirs_out = os.pipe()
        # The protocol wants file descriptors 3 and 4, which only a shell can name.
        flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars"
        command = f'exec "$0" {flags} --remote-debugging-pipe "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM, f"--user-data-dir={profile}", *more],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    session = None

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def receive(self):
        end = time.monotonic() + SECONDS
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self.buffer += os.read(self.read_end, 1 << 16)
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        method, params = message.get("method", ""), message.get("params", {})
        if (
            method in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening")
            or (method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"))
            or (method == "Log.entryAdded" and params["entry"]["level"] == "error")
        ):
            self.troubles.append(params)
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        self.last = method
        return message

    def open(self, path, fragment=""):
        self.troubles.clear()
        self.requests.clear()
        self.call("Page.navigate", url=path.as_uri() + (f"#{fragment}" if fragment else ""))
        while self.last != "Page.loadEventFired":
            self.receive()

    def run(self, script):
        """Returns the value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector):
        """Clicks with the mouse in the middle of an element, scrolled to first."""
        script = f"""(() => {{ const e = {selector}; e.scrollIntoView({{block: "center", inline: "center"}});
          const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] }})()"""
        x, y = self.run(script)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key, code=0):
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def size(self, width, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, media="", scheme="light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, path, whole=False):
        options = {"captureBeyondViewport": True} if whole else {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait(SECONDS)
        os.close(self.write_end)
        os.close(self.read_end)


@pytest.fixture(scope="module")
def run(tmp_path_factory, fabricate_run, write_letters, draw, encode):
    """A run whose photographs have names and signers that would do harm if they were taken for HTML."""
    photos = []
    for signer in ("user_1", "user_3", "user_4", "<i>user_5</i>"):
        for label, take in itertools.product("ABC", range(6)):
            name = f"{label}{take}{EVIL}.png" if take == 0 else f"{label}{take}.png"
            facts = {"entry": f"{signer}/{name}", "signer": signer, "label": label}
            stored = {"stored_as": f"{label}/{signer.strip('<>/i')}__{name}"}
            photos.append({**facts, **stored, "data": encode(draw(label, ord(signer[-1]), take))})
    bad = {"entry": f"user_1/{EVIL}.jpg", "stored_as": f"_quarantine/{EVIL}.jpg", "status": "corrupt"}
    photos.append({**bad, "reason": f"truncated: {EVIL}", "data": b"?"})
    folder = tmp_path_factory.mktemp("browser")
    letters = write_letters(folder / "letters.zip", photos)
    return explained(fabricate_run(folder / "run", letters, test=("user_4", "<i>user_5</i>")))


def explained(run):
    """Returns a fabricated run with what a network would have seen, but for its last mistake."""
    table, parts, chance = run.read_table("predictions.csv"), run.read_table("splits.csv"), np.random.default_rng(1)
    wrong = table[table["label"] != table["predicted"]].sort_values(["confidence", "name"], ascending=[False, True])
    train = parts[parts["part"] == "train"].groupby("label")["name"].agg(list)
    rows = [
        (row.name, label, near)
        for row in wrong[:-1].itertuples(index=False)
        for label in (row.label, row.predicted)
        for near in chance.choice(train[label], 3, replace=False)
    ]
    run.write_table("near.csv", pd.DataFrame(rows, columns=["name", "label", "near"]))
    heat = ["00ff00 000000 000000", *["000000 000000 0000ff"] * (len(wrong) - 2)]
    run.write_table("heat.csv", pd.DataFrame({"name": wrong["name"][:-1], "heat": heat}))
    places = {"x": chance.normal(size=len(table)), "y": chance.normal(size=len(table))}
    shares = {"same_label": 0.5, "same_signer": 0.9}
    run.write_table("map.csv", pd.DataFrame({"name": table["name"], **places, **shares}))
    write_report(run)
    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    assert CHROMIUM, "CASESTUDY_NEEDS_BROWSER is set, and there is no Chromium"
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.fixture
def page(browser, run):
    browser.media()
    browser.size(1280)
    browser.open(run.path / "report.html")
    yield browser
    assert browser.troubles == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in browser.requests if url.startswith("file:")]) == 1  # the page itself


def cell(i, j):
    return f"document.querySelector('#matrix tbody').rows[{i}].cells[{j + 1}]"


SHOWN = """(() => { const d = document.getElementById("behind"); return d.open && [...d.querySelectorAll("figure")].map(
  (f) => ({
    name: f.dataset.name, text: f.innerText, pictures: [...f.querySelectorAll("img")].map((i) => i.alt),
    guesses: [...f.querySelectorAll(".guess")].map((g) => [g.children[0], g.children[2]].map((e) => e.textContent))
  }))})()"""


def expected(run, label, predicted):
    """Returns the names behind a cell and, for each, the percentages that predictions.csv gives each label."""
    table = run.read_table("predictions.csv")
    rows = table[(table["label"] == label) & (table["predicted"] == predicted)]
    return {row["name"]: {name: f"{100 * row['p_' + name]:.1f} %" for name in "ABC"} for row in rows.to_dict("records")}


def check_shown(shown, wanted, run):
    table = run.read_table("predictions.csv")
    facts = table.set_index("name")[["signer", "label", "predicted"]].T.to_dict("list")
    assert sorted(photo["name"] for photo in shown) == sorted(wanted)
    for photo in shown:
        assert photo["name"] in photo["text"]
        (told,) = photo["pictures"]
        signer, label, predicted = facts[photo["name"]]
        assert told == f"Photograph of {label} by {signer}, read as {predicted}"
        for label, text in photo["guesses"]:
            assert abs(float(text[:-2]) - float(wanted[photo["name"]][label][:-2])) < 0.11


def test_clicking_a_cell_shows_exactly_the_photographs_behind_it(page, run):
    filled = 0
    for (i, label), (j, predicted) in itertools.product(enumerate("ABC"), repeat=2):
        wanted = expected(run, label, predicted)
        page.click(cell(i, j))
        shown = page.run(SHOWN)
        assert bool(shown) == bool(wanted)
        if wanted:
            filled += 1
            check_shown(shown, wanted, run)
            assert f"{len(wanted)} of 12 photographs" in page.run("document.getElementById('behind-title').textContent")
            page.press("Escape", 27)
            assert not page.run("document.getElementById('behind').open")
    assert filled > 5
    decoded = "Promise.all([...document.images].map((i) => i.decode().then(() => i.naturalWidth)))"
    assert min(page.run(decoded)) > 0


EXPLORED = "[...document.querySelectorAll('#explored figure')].map((figure) => figure.dataset.name)"
LATER = "new Promise((done) => setTimeout(done, 100))"


def chosen(run, label="", read="", person="", show="", low=0.0, high=2.0):
    """Returns the names that a choice lets through, the least probable truth first, by pandas alone."""
    table = run.read_table("predictions.csv")
    table["own"] = [row["p_" + row["label"]] for row in table.to_dict("records")]
    for column, wanted in (("label", label), ("predicted", read), ("signer", person)):
        table = table[(table[column] == wanted) | (wanted == "")]
    right = table["label"] == table["predicted"]
    table = table[(show == "") | (right == (show == "right"))]
    return table[table["confidence"].ge(low) & table["confidence"].lt(high)].sort_values("own")["name"].tolist()


def test_photographs_are_looked_through_by_person_letter_verdict_and_confidence(page, run):
    evil = "<i>user_5</i>"
    assert page.run(EXPLORED) == chosen(run) and len(chosen(run)) == 36
    for choice, wanted in (
        ({"label": "B"}, {"label": "B"}),
        ({"label": "", "read": "C"}, {"read": "C"}),
        ({"person": evil}, {"read": "C", "person": evil}),
        ({"show": "wrong"}, {"read": "C", "person": evil, "show": "wrong"}),
        ({"read": "", "person": "", "show": "right"}, {"show": "right"}),
        ({"sure": "high"}, {"show": "right", "low": 0.9}),
        ({"show": "", "sure": "middle"}, {"low": 0.5, "high": 0.9}),
        ({"sure": "low"}, {"high": 0.5}),
    ):
        for name, value in choice.items():
            page.run(f"(form.elements.{name}.value = {json.dumps(value)}, form.dispatchEvent(new Event('input')))")
        names = chosen(run, **wanted)
        assert page.run(EXPLORED) == names and names, wanted
        assert page.run("document.getElementById('found').textContent") == f"{len(names)} of 36"
        assert page.run("form.elements.person.options.length") == 3
    page.click("document.querySelector('#explore button')")
    above = page.run("scrollY")
    page.run(LATER)
    assert page.run(EXPLORED) == chosen(run)
    assert page.run("location.hash") == "#photographs" and page.run("scrollY") == above  # the eye stays where it was


def test_the_address_keeps_what_was_chosen(page, run, browser):
    evil = "<i>user_5</i>"
    page.run(f"(form.elements.person.value = {json.dumps(evil)}, form.dispatchEvent(new Event('input')))")
    page.run("(form.elements.show.value = 'right', form.dispatchEvent(new Event('input')))")
    address = page.run("location.href")
    page.open(run.path / "report.html")
    assert page.run("location.hash") == "" and page.run(EXPLORED) == chosen(run)
    for href, wanted in (
        (address, {"person": evil, "show": "right"}),
        ("#label=A&read=B", {"label": "A", "read": "B"}),
        ("#label=A&person=nobody&sure=__proto__", {"label": "A"}),
        ("#labels", {"label": "A"}),
    ):
        page.run(f"(location.href = {json.dumps(href)}, {LATER})")
        assert page.run(EXPLORED) == chosen(run, **wanted), href
    page.call("Page.navigate", url="about:blank")
    page.open(run.path / "report.html", address.partition("#")[2])
    assert page.run(EXPLORED) == chosen(run, person=evil, show="right")
    assert page.run("form.getBoundingClientRect().top") < 900  # it is in sight


def test_a_cell_leads_to_its_photographs(page, run):
    page.click(cell(0, 0))
    for _ in range(2):  # the second time the address is the same already
        page.click("document.querySelector('#behind p a')")
        page.run(LATER)
        assert not page.run("document.getElementById('behind').open")
        assert page.run(EXPLORED) == chosen(run, "A", "A")
        page.run("show(0, 0)")
    page.run("document.getElementById('behind').close()")


def test_so_many_photographs_are_shown_at_once_and_more_when_asked(page, run):
    copies = "...everything.map((one) => ({...one, figure: null}))"
    page.run(f"(everything.push({copies}, {copies}), draw())")
    assert len(page.run(EXPLORED)) == 48
    page.click("document.getElementById('more')")
    assert len(page.run(EXPLORED)) == 96
    page.click("document.getElementById('more')")
    assert len(page.run(EXPLORED)) == 108
    assert page.run("document.getElementById('more').hidden")


BESIDE = """(() => { const s = document.getElementById("beside"); return {
  mistake: s.querySelector("figure").dataset.name, title: s.querySelector("h3").textContent,
  heat: s.querySelector("canvas")?.getAttribute("aria-label"),
  near: [...s.querySelectorAll(".three")].map((row) => [...row.querySelectorAll("figure")].map(
    (f) => f.innerText.split(" · ")[0])),
  alts: [...s.querySelectorAll(".three img")].map((i) => i.alt) }})()"""


def test_a_mistake_stands_beside_its_nearest_of_both_labels_the_surest_first(page, run, browser):
    table, near = run.read_table("predictions.csv").set_index("name"), run.read_table("near.csv")
    names = near["name"].drop_duplicates().tolist()

    def check(name):
        row, shown = table.loc[name], page.run(BESIDE)
        assert shown["mistake"] == name
        assert shown["title"] == f"✗ {row.label} read as {row.predicted}, {100 * row.confidence:.1f} % sure"
        own = near[near["name"] == name]
        sides = [own[own["label"] == label]["near"].tolist() for label in (row.label, row.predicted)]
        assert shown["near"] == sides
        assert {alt.partition(" by ")[0] for alt in shown["alts"]} == {
            f"Photograph of {row.label}", f"Photograph of {row.predicted}",
        }  # fmt: skip
        where = "upper centre" if name == names[0] else "lower right"
        assert shown["heat"] == f"Most spoke for {row.predicted} at the {where}"

    check(names[0])
    assert page.run("document.getElementById('surer').disabled && location.hash === ''")
    page.click("document.getElementById('doubted')")
    check(names[1])
    address = page.run("location.href")
    page.run("(chosen.selectedIndex = chosen.length - 1, chosen.dispatchEvent(new Event('input')))")
    check(names[-1])
    assert page.run("document.getElementById('doubted').disabled")
    page.run(f"(location.href = {json.dumps(address)}, {LATER})")
    check(names[1])
    page.run(f"(location.href = '#mistake=__proto__', {LATER})")
    check(names[1])
    page.call("Page.navigate", url="about:blank")
    page.open(run.path / "report.html", address.partition("#")[2])
    check(names[1])
    row = table.loc[names[2]]
    page.run(f"show({'ABC'.index(row.label)}, {'ABC'.index(row.predicted)})")
    button = f"(one) => one.dataset.beside === {json.dumps(names[2])}"
    page.click(f"[...document.querySelectorAll('#behind [data-beside]')].find({button})")
    assert not page.run("dialog.open") and page.run("document.activeElement.id") == "mistake"
    check(names[2])
    last = table[(table["label"] != table["predicted"]) & ~table.index.isin(names)].index[0]
    assert (
        page.run(f"document.querySelector('#explored [data-beside={json.dumps(last)}]')") is None
    )  # nobody explained it


def test_the_map_shows_each_photograph_by_letter_or_person_and_follows_the_choice(page, run):
    table = run.read_table("predictions.csv")
    wanted = dict(zip(table["name"], table["label"], strict=True))
    signs = "Object.fromEntries(drawn.map((point, k) => [facts.map.names[k], point.textContent]))"
    assert page.run(signs) == wanted
    missed = page.run("drawn.flatMap((point, k) => (point.classList.contains('missed') ? [facts.map.names[k]] : []))")
    assert sorted(missed) == sorted(table[table["label"] != table["predicted"]]["name"])
    page.click("document.querySelector('[name=way][value=\"1\"]')")
    people = {"<i>user_5</i>": "1", "user_4": "2"}
    assert page.run(signs) == {name: people[one] for name, one in zip(table["name"], table["signer"], strict=True)}
    assert page.run("[...document.querySelectorAll('#signs li')].map((one) => one.textContent)") == [
        "1 <i>user_5</i>", "2 user_4",
    ]  # fmt: skip
    shown = "document.querySelector('#pointed figure').dataset.name"
    page.click("drawn[4]")
    assert page.run(shown) == table["name"][4] and page.run("document.activeElement === drawn[4]")
    x = page.run("drawn.map((point) => point.x.baseVal[0].value)")
    page.press("ArrowRight", 39)
    after = page.run("drawn.indexOf(document.activeElement)")
    assert x[after] > x[4] and page.run(shown) == table["name"][after]
    page.press("ArrowLeft", 37)
    assert x[page.run("drawn.indexOf(document.activeElement)")] < x[after]
    assert page.run("drawn.filter((point) => point.tabIndex === 0).length") == 1
    at = page.run("drawn.indexOf(document.activeElement)")
    page.run("document.querySelector('[name=way]:checked').focus()")
    page.press("Tab", 9)
    assert page.run("drawn.indexOf(document.activeElement)") == at  # the only stop of the map, and it is kept
    page.press("Tab", 9)
    assert page.run("!document.activeElement.closest('#map')")
    page.run("(form.elements.show.value = 'right', form.dispatchEvent(new Event('input')))")
    page.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")  # the map follows a frame later
    pale = page.run("drawn.flatMap((point, k) => (point.classList.contains('off') ? [facts.map.names[k]] : []))")
    assert sorted(pale) == sorted(missed)


def test_the_keyboard_does_the_same(page, run):
    table = run.read_table("confusion.csv").set_index("label")
    page.run("document.getElementsByName('unit')[0].focus()")
    page.press("Tab", 9)
    assert page.run(f"document.activeElement === {cell(0, 0)}")
    at = [0, 0]
    for key, code, step in (("ArrowRight", 39, (0, 1)), ("ArrowDown", 40, (1, 0)), ("ArrowDown", 40, (1, 0))):
        page.press(key, code)
        at = [at[0] + step[0], at[1] + step[1]]
        assert page.run(f"document.activeElement === {cell(*at)}")
        assert page.run(f"getComputedStyle({cell(*at)}).outlineWidth") == "3px"
        tip = page.run("document.getElementById('tip').innerText")
        label, predicted = "ABC"[at[0]], "ABC"[at[1]]
        count = table.loc[label, predicted]
        assert f"{count} of 12 photographs, {100 * count / 12:.1f} %" in tip
    for key, code, column in (("End", 35, 2), ("Home", 36, 0), ("ArrowUp", 38, 0), ("End", 35, 2)):
        page.press(key, code)
        assert page.run("document.activeElement.cellIndex") - 1 == column
    assert page.run(f"document.activeElement === {cell(1, 2)}")
    page.press("ArrowRight", 39)  # the edge holds
    assert page.run(f"document.activeElement === {cell(1, 2)}")
    page.press("ArrowLeft", 37)
    assert page.run("document.querySelectorAll('#matrix [tabindex=\"0\"]').length") == 1
    page.press("Enter", 13)
    check_shown(page.run(SHOWN), expected(run, "B", "B"), run)
    page.press("Escape", 27)
    assert page.run(f"document.activeElement === {cell(1, 1)}")


def test_the_matrix_turns_from_counts_to_shares(page, run):
    counts, rates = run.read_table("confusion.csv"), run.read_table("confusion_rates.csv")
    read = (
        "[...document.querySelectorAll('#matrix tbody tr')].map((r) => [...r.cells].slice(1).map((c) => c.innerText))"
    )
    assert page.run(read) == [[str(c or "") for c in row] for row in counts[["A", "B", "C"]].to_numpy()]
    page.click("document.querySelector('[value=rates]')")
    shares = [[f"{100 * share:.0f}" if share else "" for share in row] for row in rates[["A", "B", "C"]].to_numpy()]
    assert page.run(read) == shares


def test_shades_can_be_told_apart_in_greyscale(page):
    for scheme, order in (("light", -1), ("dark", 1)):
        page.media(scheme=scheme)
        colours = page.run(
            "[...document.querySelectorAll('.legend i')].map((i) => getComputedStyle(i).backgroundColor)"
        )
        grey = [luminance(tuple(map(int, colour[4:-1].split(",")))) for colour in colours]
        assert len(grey) == 11
        assert sorted(grey, reverse=order < 0) == grey
        assert all(contrast(a, b) > 1.1 for a, b in itertools.pairwise(grey))


@pytest.mark.parametrize("key", [None, "Enter"])
def test_tables_sort(page, run, key):
    table = run.read_table("per_label.csv")
    column = "document.querySelectorAll('#per-label thead th')[%d]"
    labels = "[...document.querySelectorAll('#per-label tbody tr')].map((row) => row.cells[0].innerText)"

    def sort(k):
        if key:
            page.run((column % k) + ".querySelector('button').focus()")
            page.press("Enter", 13)
        else:
            page.click((column % k) + ".querySelector('button')")
        return page.run((column % k) + ".getAttribute('aria-sort')"), page.run(labels)

    for k, name in ((2, "accuracy"), (6, "loss")):
        values = dict(zip(table["label"], table[name], strict=True))
        for way, sign in (("ascending", 1), ("descending", -1)):
            said, shown = sort(k)
            assert said == way
            assert [values[label] for label in shown] == sorted(values.values(), key=lambda value, s=sign: s * value)
    assert sort(0) == ("ascending", ["A", "B", "C"])
    assert sort(0) == ("descending", ["C", "B", "A"])
    assert page.run("document.querySelectorAll('#per-label [aria-sort]').length") == 1


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


TEXTS = """(() => { const seen = {};
  const solid = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (!c.startsWith("rgba")) return c; } return "none" };
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName) || !e.checkVisibility()) continue;
    const s = getComputedStyle(e), large = parseFloat(s.fontSize) >= 24;
    seen[[s.color, solid(e), large]] = e.tagName + "." + e.className + ": " + e.textContent.slice(0, 40); }
  return Object.entries(seen) })()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_aa_contrast(page, scheme):
    page.media(scheme=scheme)
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.run("document.querySelector('.legend').append(...[...Array(11).keys()].map((k) => make('b', 's' + k, k)))")
    page.run("show(0, 0)")
    pairs = page.run(TEXTS)
    assert len(pairs) > 15  # eleven shades, ink, soft, links, right, wrong …
    for pair, where in pairs:
        ink, paper, large = pair.replace("rgb(", "").split("),") if pair.count("rgb(") == 2 else pytest.fail(pair)
        ratio = contrast(*(luminance(tuple(map(int, colour.split(",")))) for colour in (ink, paper)))
        assert ratio >= (3 if large == "true" else 4.5), f"{ratio:.2f} {where} {pair}"
    dark = page.run("getComputedStyle(document.documentElement).backgroundColor") == "rgb(20, 24, 30)"
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_has_to_be_scrolled_sideways(page, width):
    page.size(width)
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert page.run("document.documentElement.scrollWidth") <= width
    if width == 1280:  # on a laptop no table hides a column
        wider = "[...document.querySelectorAll('.scroll')].filter((s) => s.scrollWidth > s.clientWidth).length"
        assert page.run(wider) == 0
    page.click(cell(0, 0))
    assert page.run("document.documentElement.scrollWidth") <= width
    box = page.run("(({left, right}) => [left, right])(document.getElementById('behind').getBoundingClientRect())")
    assert 0 <= box[0] < box[1] <= width
    page.press("Escape", 27)
    small = page.run("Math.min(...[...document.querySelectorAll('#matrix tbody td')].map((c) => c.offsetWidth))")
    assert small >= 24  # pixels: a finger finds it


def test_a_phone_shows_the_accuracy_in_every_table(page):
    page.size(390)
    hidden = """[...document.querySelectorAll('.scroll table')].flatMap((t) => {
      const k = [...t.tHead?.rows[0].cells ?? []].findIndex((c) => c.innerText.trim().startsWith('accuracy'));
      return k < 0 ? [] : [...t.rows].map((row) => row.cells[k].getBoundingClientRect().right) })"""
    edges = page.run(hidden)
    assert len(edges) >= 4 + 4 + 3  # scores, labels, signers, each with its heading
    assert max(edges) <= 390 - 20  # within the page's own margin


@pytest.mark.parametrize("width", [390, 1280])
def test_letters_of_the_matrix_stand_in_the_middle_of_their_row_and_column(page, width):
    page.size(width)
    middles = """(() => { const middle = (node) => { const range = document.createRange();
        range.selectNodeContents(node); const r = range.getBoundingClientRect();
        return [r.x + r.width / 2, r.y + r.height / 2] };
      const box = (e) => { const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] };
      const t = document.getElementById('matrix'), rows = [...t.tBodies[0].rows];
      return [rows.map((row) => [middle(row.cells[0])[1], box(row.cells[1])[1]]),
        [t.tHead, t.tFoot].flatMap((part) => [...part.rows[0].cells].slice(1).map((head, k) =>
          [middle(head)[0], box(rows[0].cells[k + 1])[0]]))] })()"""
    down, across = page.run(middles)
    assert len(down) == 3 and len(across) == 6
    assert max(abs(letter - cell) for letter, cell in [*down, *across]) <= 1.5  # pixels


def test_paper_keeps_the_matrix_whole(page):
    """On A4 with margins of 1 cm, 718 by 1047 CSS pixels, the matrix, its heading and its legend fit on a page."""
    page.size(718, 1047)
    page.media("print")
    part = "document.getElementById('matrix').closest('section')"
    assert page.run(f"getComputedStyle({part}).breakInside") == "avoid"
    assert page.run(f"!!{part}.querySelector('h2') && !!{part}.querySelector('.legend')")
    for labels in (3, 26, 47):
        page.run(f"document.querySelector('.matrix').style.setProperty('--k', {labels})")
        cell = page.run("document.querySelector('#matrix tbody td').getBoundingClientRect().height")
        rest = page.run(f"{part}.getBoundingClientRect().height") - 3 * cell
        assert rest + labels * cell <= 1047


def test_names_are_text_everywhere(page, run):
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert f"user_1/{EVIL}.jpg" in page.run("document.body.innerText")
    assert "<i>user_5</i>" in page.run("document.body.innerText")
    told = ""
    for i, j in itertools.product(range(3), repeat=2):
        page.run(f"show({i}, {j})")
        told += page.run("document.getElementById('behind').innerText")
        page.run("document.getElementById('behind').close()")
    assert told.count(EVIL) == 6  # one photograph a label and a signer, in some cell each
    assert "<i>user_5</i>" in told
    assert page.run("[...document.images].filter((i) => !i.src.startsWith('data:image/')).length") == 0
    assert page.run("document.querySelectorAll('i:not(.bar i):not(.legend i)').length") == 0


def test_only_the_pages_own_script_may_run(browser, run, tmp_path):
    text = (run.path / "report.html").read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace("</main>", "<script>window.foreign = 1</script></main>"), encoding="utf-8")
    browser.open(changed)
    assert browser.run("window.foreign") is None
    assert browser.run("document.querySelectorAll('#matrix [tabindex=\"0\"]').length") == 1


def test_it_reads_without_scripts(page, run):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(run.path / "report.html")
        document = page.call("DOM.getDocument")["root"]["nodeId"]
        found = page.call("DOM.querySelectorAll", nodeId=document, selector="#matrix td:not(:empty)")["nodeIds"]
        filled = (run.read_table("confusion.csv")[["A", "B", "C"]].to_numpy() > 0).sum()
        assert len(found) == filled
        for selector in (".js:not([hidden])", "dialog[open]", "#tip:not([hidden])"):
            assert page.call("DOM.querySelectorAll", nodeId=document, selector=selector)["nodeIds"] == []
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


def test_paper_shows_what_is_folded(page):
    page.call("Page.printToPDF", printBackground=True)
    assert page.run("document.querySelectorAll('details[open]').length") == 0  # folded again afterwards
    page.media("print")
    page.run("dispatchEvent(new Event('beforeprint'))")
    heights = page.run("[...document.querySelectorAll('details:not(.kept) .files')].map((f) => f.offsetHeight)")
    assert heights
    assert min(heights) > 0
    assert page.run("getComputedStyle(document.querySelector('nav')).display") == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_reads_on_a_phone_and_without_a_script(browser, run, tmp_path, fabricate_run, scheme):
    from casestudy.compare import compare_runs, write_comparison

    other = fabricate_run(tmp_path / EVIL.replace("/", ""), run.letters, seed=8, test=("user_4", "<i>user_5</i>"))
    browser.media(scheme=scheme)
    browser.open(write_comparison(compare_runs([run, other]), tmp_path / "page.html"))
    for width in (390, 1280):
        browser.size(width)
        assert browser.run("document.documentElement.scrollWidth") <= width
    shown = browser.run("document.body.innerText")
    assert EVIL.replace("/", "") in shown and "<i>user_5</i>" in shown
    for pair, where in browser.run(TEXTS):
        ink, paper, large = pair.replace("rgb(", "").split("),")
        ratio = contrast(*(luminance(tuple(map(int, colour.split(",")))) for colour in (ink, paper)))
        assert ratio >= (3 if large == "true" else 4.5), f"{ratio:.2f} {where} {pair}"
    decoded = "Promise.all([...document.images].map((i) => i.decode().then(() => i.naturalWidth)))"
    assert min(browser.run(decoded)) > 0
    assert browser.troubles == [] and len([url for url in browser.requests if not url.startswith("data:")]) == 1


def test_a_picture_of_it_is_no_blank_page(page, tmp_path):
    page.picture(tmp_path / "page.png", whole=True)
    with Image.open(tmp_path / "page.png") as shot:
        assert shot.height > 2000
        assert len(shot.convert("RGB").getcolors(1 << 24)) > 100
