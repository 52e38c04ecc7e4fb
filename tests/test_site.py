"""The documentation site: links and anchors arrive, nothing is fetched from outside, each page says what it is.

It is built once, by Sphinx; where the extra `site` is not installed, the tests of the built pages are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from SCRIPTS.release import site
from SCRIPTS.release.environment import NEWEST, OLDEST, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
OFFICIAL = {"checkout", "setup-python", "upload-pages-artifact", "deploy-pages"}
FETCHED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
needs_sphinx = pytest.mark.skipif(
    not all(map(find_spec, site.NEEDED)) and "CASESTUDY_NEEDS_SITE" not in os.environ,
    reason='needs the extra site: pip install -e ".[site]"',
)


class Page(HTMLParser):
    """What a built page links to, fetches, and calls itself."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.links, self.fetched, self.anchors = path, [], [], set()
        self.lang, self.headings, self.title, self.inside = "", 0, "", ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        of, self.inside = dict(attributes), tag
        self.anchors |= {of[key] for key in ("id", "name") if of.get(key)}
        self.headings += tag == "h1"
        self.lang = of.get("lang", "") if tag == "html" else self.lang
        if tag == "a" and of.get("href"):
            self.links.append(of["href"])
        self.fetched += [value for key, value in attributes if (tag, key) in FETCHED and value]

    def handle_data(self, data):
        self.title += data.strip() if self.inside == "title" else ""


def dead(pages: dict[Path, Page]) -> list[tuple[str, str]]:
    """Returns (page, link) of each link or fetched file that is not there, or has no such anchor."""
    found = []
    for page in pages.values():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = Path(os.path.normpath(page.path.parent / unquote(parts.path))) if parts.path else page.path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                found.append((page.path.name, link))
    return found


def crawl(folder: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in folder.rglob("*.html")}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[Path, Page]:
    """The pages of a site with a sample report, by path, built by the command."""
    run, out = tmp_path_factory.mktemp("a run"), tmp_path_factory.mktemp("made") / "a site"
    report = '<!doctype html><html lang="en"><title>Report</title><h1>Mine</h1></html>'
    (run / "report.html").write_text(report, encoding="utf-8")
    done = call("--out", str(out), "--report", str(run))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return crawl(out)


def call(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "SCRIPTS/release/site.py"), *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, encoding="utf-8", check=False)


def folder_of(built) -> Path:
    return next(path for path in built if path.name == "index.html").parent


@needs_sphinx
def test_every_link_and_anchor_arrives(built):
    assert sum(len(page.links) for page in built.values()) > 1000
    assert dead(built) == []


def test_a_dead_link_is_found(tmp_path):
    links = ("b.html", "b.html#here", "b.html#there", "c.html", "#me", "#you", "https://example.org/")
    text = '<p id="me">' + "".join(f'<a href="{link}">a</a>' for link in links) + '<img src="no.png">'
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1>', encoding="utf-8")
    assert [link for _, link in dead(crawl(tmp_path))] == ["b.html#there", "c.html", "#you", "no.png"]


@needs_sphinx
def test_nothing_is_fetched_from_outside(built):
    for page in built.values():
        assert [link for link in page.fetched if urlsplit(link).netloc] == [], page.path
    for path in folder_of(built).rglob("*.css"):
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")), path
    for path in folder_of(built).rglob("*.js"):  # a script that could load more from elsewhere
        assert not re.search(r"(?:fetch|import)\(\s*['\"`]https?:", path.read_text(encoding="utf-8")), path


@needs_sphinx
def test_every_page_has_one_heading_a_title_and_a_language(built):
    for page in built.values():
        assert (page.headings, page.lang) == (1, "en"), page.path
        assert page.title, page.path


@needs_sphinx
def test_all_that_is_written_is_on_the_site(built):
    """Counted by the folders, not by the script's own list."""
    out = folder_of(built)
    written = [*ROOT.glob("[!R]*.md"), *ROOT.glob("ARTICLES/*.md"), *ROOT.glob("DATA/**/*.md")]
    for path in [*written, *ROOT.glob("notebooks/*.ipynb")]:
        assert (out / path.relative_to(ROOT)).with_suffix(".html") in built, path
    assert "Two commands" in (out / "index.html").read_text(encoding="utf-8")
    names = re.findall(r"\w+ as (\w+)", (ROOT / "casestudy/__init__.pyi").read_text(encoding="utf-8"))
    described = built[out / "python.html"].anchors
    assert len(names) > 40 and {f"casestudy.{name}" for name in names} <= described
    assert "<h1>Mine</h1>" in (out / "report.html").read_text(encoding="utf-8")
    assert "report.html" in built[out / "sample_report.html"].links
    cited = (out / "cite.html").read_text(encoding="utf-8")
    (cff,) = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert cff in re.sub(r"<[^>]+>", "", cited)


@needs_sphinx
def test_what_is_wider_than_a_telephone_can_be_scrolled_with_keys(built):
    for path in built:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'<pre>|<div class="table-wrapper|role="heading">', text), path


@needs_sphinx
def test_no_folder_of_somebody_elses_is_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    done = call("--out", str(tmp_path))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "holds something else" in done.stderr and (tmp_path / "mine.txt").is_file()
    done = call("--out", str(tmp_path / "new"), "--report", str(tmp_path))
    assert done.returncode == 2 and f"is not there. casestudy report {tmp_path}." in done.stderr


def test_without_its_packages_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(site, "NEEDED", ("sphinx_of_nobody",))
    with pytest.raises(SystemExit) as ended:
        site.main(["--out", "nowhere"])
    assert ended.value.code == 2
    assert 'missing: sphinx_of_nobody. pip install -e ".[site]"' in capsys.readouterr().err
    assert {re.match(r"[\w-]+", one)[0].replace("-", "_") for one in PROJECT["optional-dependencies"]["site"]} >= {
        "furo", "myst_nb", "sphinx"
    }  # fmt: skip


def test_links_are_turned_to_where_things_lie_on_the_site():
    repository = PROJECT["urls"]["Repository"]
    turned = {
        "[a](../ARTICLES/03_leakage.md#the-quieter-leaks)": "[a](../ARTICLES/03_leakage.md#the-quieter-leaks)",
        "[a](../README.md#two-commands)": "[a](../index.md#two-commands)",
        "[a](../DATA/weights)": "[a](../DATA/weights/README.md)",
        "[a](../DATA/results)": f"[a]({repository}/tree/main/DATA/results)",
        f"[a]({repository}/blob/main/rubric.md)": "[a](../rubric.md)",
        "[a](../LICENSE)": "[a](../LICENSE)",
        "[a](https://example.org/x.md)": "[a](https://example.org/x.md)",
        "[![Open](https://example.org/x.svg)](https://example.org/)": "[Open](https://example.org/)",
        "```\n[a](../README.md)\n```": "```\n[a](../README.md)\n```",
        f"[a](../rubric.md) ([from\nColab]({repository}/blob/main/rubric.md)): b": "[a](../rubric.md): b",
    }
    notebook = ROOT / "notebooks" / "01_read_the_case.ipynb"
    for link, wanted in turned.items():
        assert site.rewritten(link, notebook)[0] == wanted
    assert site.rewritten("[a](../LICENSE) ![b](../ARTICLES/pretrain_signs.png)", notebook)[1] == {
        ROOT / "LICENSE", ROOT / "ARTICLES/pretrain_signs.png"
    }  # fmt: skip


def test_the_students_path_has_every_step_with_its_question():
    path = site.steps()
    assert re.findall(r"^### (Step [^·]+) ·", path, re.M) == [
        "Step 1",
        "Step 2",
        "Step 3",
        "Step 3, continued",
        "Step 4",
    ]
    assert path.count("- The question: *") == 5
    words = len((ROOT / "ARTICLES/05_cleaning.md").read_text(encoding="utf-8").split())
    assert f"ARTICLES/05_cleaning.md): {words / 130:.0f} min" in path


def test_what_a_notebook_prints_has_no_second_title():
    shown = {"cell_type": "code", "source": "", "outputs": [{"data": {"text/markdown": ["# A\n", "b\n", "## C\n"]}}]}
    cells = json.loads(site.untitled(json.dumps({"cells": [shown], "metadata": {}})))["cells"]
    assert cells[0]["outputs"][0]["data"] == {"text/markdown": "**A**\nb\n**C**\n"}


def test_a_notebook_is_executed_in_quick_mode_where_it_lies(tmp_path):
    parameters = nbformat.v4.new_code_cell("QUICK = False", metadata={"tags": ["parameters"]})
    title, code = nbformat.v4.new_markdown_cell("# A title"), "import os\n\nprint(QUICK, os.getcwd())"
    cells = [title, parameters, nbformat.v4.new_code_cell(code)]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "a.ipynb")
    made = json.loads(site.executed(tmp_path / "notebooks" / "a.ipynb"))
    assert "".join(made["cells"][2]["outputs"][0]["text"]).split() == ["True", f"casestudy{os.sep}notebooks"]
    assert "ran in quick mode" in "".join(made["cells"][0]["source"])


def test_what_the_code_of_a_notebook_opens_is_staged_with_it(tmp_path):
    """All that a committed cell names by a path is there when the notebook is executed."""
    site.stage(tmp_path / "stage")
    named = [
        (path, name)
        for path in sorted((tmp_path / "stage" / "notebooks").glob("*.ipynb"))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
        for name in re.findall(r"""["'](\.\./.+?)["']""", "".join(cell["source"]))
    ]
    assert "../ARTICLES/sample_contact_sheet.jpg" in [name for _, name in named]
    assert [(path.name, name) for path, name in named if not (path.parent / name).is_file()] == []


def test_a_notebooks_links_are_turned_and_its_code_is_not():
    cells = [{"cell_type": kind, "source": ["# x\n", "[a](../README.md)"]} for kind in ("markdown", "code")]
    text, _ = site.staged_notebook(json.dumps({"cells": cells, "metadata": {}}), ROOT / "notebooks/04_train.ipynb")
    sources = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    assert sources == ["# x\n[a](../index.md)", "# x\n[a](../README.md)"]


def test_the_workflows_run_what_the_pages_promise():
    """The tests on every supported Python and three systems; nothing secret, no address, official actions alone."""
    assert [path.stem for path in WORKFLOWS] == ["site", "tests", "weekly"]
    texts = {path.stem: path.read_text(encoding="utf-8") for path in WORKFLOWS}
    pythons = [f"3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]
    listed = re.search(r"^ +python: \[(.+)\]$", texts["tests"], re.M)[1]
    assert re.findall(r'"([\d.]+)"', listed) == pythons
    assert all(f"{system}-latest" in texts["tests"] for system in ("ubuntu", "macos", "windows"))
    assert "run: python SCRIPTS/test.py" in texts["tests"]
    assert re.findall(r'python: "([\d.]+)", resolution: ([\w-]+)', texts["weekly"]) == [
        (pythons[-1], "highest"), (pythons[0], "highest"), (pythons[0], "lowest-direct")
    ]  # fmt: skip
    for text in texts.values():
        assert not re.search(r"secrets|https?://|index-url|PASSWORD|TOKEN", text)
        used = re.findall(r"uses: (\S+)", text)
        assert used and all(re.fullmatch(r"actions/([\w-]+)@v\d+", one)[1] in OFFICIAL for one in used)
        assert "permissions:\n  contents: read" in text


def test_the_workflows_are_yaml():
    yaml = pytest.importorskip("yaml", reason="comes with the extra site")
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        for job in jobs.values():
            assert (
                job["runs-on"] and job["timeout-minutes"] and all({"run", "uses"} & set(step) for step in job["steps"])
            )
