"""Every link from a page or a notebook to a file of the project arrives, at the heading that it names, too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path for where in ("", "ARTICLES/", "DATA/**/", "SCRIPTS/release/pages/") for path in ROOT.glob(f"{where}*.md")
)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STEPS = [path for path in NOTEBOOKS if path.stem.startswith("0")]
REPOSITORY = re.search(r'^Repository = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
BLOB = f"{REPOSITORY}/blob/main/"  # where Colab, which has no files beside a notebook, finds a page
COLAB = f"{BLOB.replace('https://github.com', 'https://colab.research.google.com/github')}"
READ = re.compile(r"\*\*Read\*\* \[[^]]+\]\(\.\./([^)]+)\) \(\[from Colab\]\(([^)]+)\)\): (.+)", re.S)


def by_name(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(ROOT).as_posix())


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text(path: Path) -> str:
    """Returns a page without its code, or what a notebook says in its cells of text."""
    if path.suffix == ".ipynb":
        return "\n\n".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown")
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)


def headings(page: Path) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead(path: Path) -> list[str]:
    """Returns the links of a page or a notebook to files or headings that are not there."""
    found = []
    for link in re.findall(r"\]\(\s*<?([^)>\s]+)>?[^)]*\)", text(path)):
        for site in (BLOB, COLAB):
            if link.startswith(site):
                target, base = link[len(site) :], ROOT
                break
        else:
            if re.match(r"\w+:", link):
                continue
            target, base = link, path.parent
        file, _, anchor = target.partition("#")
        page = base / file if file else path
        if not page.exists() or (anchor and anchor not in headings(page)):
            found.append(link)
    return found


@by_name([*PAGES, *NOTEBOOKS])
def test_every_link_arrives(path):
    assert dead(path) == []


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "b.md").write_text('# B\n\n## What "opens" means\n\n```\n# no heading\n```\n', encoding="utf-8")
    links = {
        "b.md": True, "b.md#b": True, "b.md#what-opens-means": True, "https://example.org/x": True, "c.md": False,
        "b.md#no-heading": False, "#elsewhere": False, f"{BLOB}README.md": True, f"{BLOB}README.md#none": False,
        f"{COLAB}notebooks/01_read_the_case.ipynb": True, f"{COLAB}notebooks/99.ipynb": False,
    }  # fmt: skip
    (tmp_path / "a.md").write_text("\n".join(f"[a]({link})" for link in links), encoding="utf-8")
    assert dead(tmp_path / "a.md") == [link for link, arrives in links.items() if not arrives]


@by_name(NOTEBOOKS)
def test_files_that_a_notebook_opens_are_there(path):
    code = "".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code")
    for name in re.findall(r'"(\.\./[^"]+)"', code):
        assert (path.parent / name).is_file(), name
    for name in re.findall(r"\b(?:DATA|ARTICLES)/[\w/]+\.md\b", code):
        assert (ROOT / name).is_file(), name


def to_read(path: Path) -> dict[str, str]:
    """Returns the articles that a notebook gives to read, each with the reason, from paragraphs of their own."""
    paragraphs = [part.replace("\n", " ") for part in text(path).split("\n\n") if "**Read**" in part]
    found = [READ.fullmatch(paragraph) for paragraph in paragraphs]
    assert all(found), paragraphs
    for one in found:
        assert one[2] == BLOB + one[1], "the same page on Colab"
        assert len(one[3]) <= 120 and one[3].endswith("."), "one short line says why"
    return {one[1].partition("#")[0]: one[3] for one in found}


@by_name(NOTEBOOKS)
def test_a_notebook_names_what_to_read(path):
    found = to_read(path)
    assert found
    assert path in STEPS or "ARTICLES/studies.md" in found


def test_the_five_steps_lead_to_all_articles():
    articles = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ARTICLES").glob("0*.md")}
    assert len(articles) == 6
    assert set().union(*(to_read(path) for path in STEPS)) == articles


def test_where_the_data_of_a_study_can_be_had_is_said_once():
    """Notebook 14 sends its reader to DATA/README.md; the command names the study's own address."""
    from casestudy.studies import STUDIES

    page = text(ROOT / "DATA" / "README.md")
    for study in STUDIES.values():
        assert not study.data.home or f"]({study.data.home})" in page, study.name
