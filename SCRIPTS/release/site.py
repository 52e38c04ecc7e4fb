"""Builds the documentation site from the files that are there: `python SCRIPTS/release/site.py --out DIR`.

Sphinx with MyST builds from PyPI's packages alone, without a network, reads Markdown, notebooks and docstrings, and
has been kept up by a team since 2008. MkDocs has had no release since 2024, Zensical is young and reads no notebooks,
Jupyter Book 2 and Quarto need programs that PyPI does not hold.

Pages lie on the site as in the repository, so that links arrive; `rewritten` turns the others. `pages` has the rest.
"""

import ast
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).resolve().parent / "pages"
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
NEEDED = ("furo", "myst_nb", "sphinx")  # the extra `site`
FENCED = re.compile(r"(^```.*?^```$)", re.S | re.M)
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
PICTURE_ELSEWHERE = re.compile(r"!\[([^]]*)\]\(https?:[^)]*\)")
FROM_COLAB = re.compile(r"\s+\(\[from\s+Colab\]\([^)]+\)\)")  # who reads the site is not on Colab
WORDS_A_MINUTE = 130  # slow readers of English, who look at tables and figures, too
MENDED = (  # what an audit of the theme's pages found: roles without what they need, and boxes no key can scroll
    ('<aside class="sidebar-drawer"', '<aside aria-label="Pages" class="sidebar-drawer"'),
    ('<aside class="toc-drawer', '<aside aria-label="This page" class="toc-drawer'),
    ('<p class="caption" role="heading"', '<p class="caption" role="heading" aria-level="2"'),
    ('<div id="search-results">', '<h1>Search</h1><div id="search-results">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ("<pre>", '<pre tabindex="0">'),
)


def chapters():
    """Returns the pages of the site in their order, by chapter; the first page of all is README.md."""
    steps, studies = (sorted(ROOT.glob(f"notebooks/{tens}?_*.ipynb")) for tens in (0, 1))
    guide = ROOT / "ARTICLES/for_instructors.md"
    commands = [ROOT / "ARTICLES/commands.md", ROOT / "ARTICLES/promises.md"]
    articles = [path for path in sorted(ROOT.glob("ARTICLES/*.md")) if path not in (guide, *commands)]
    return {
        "Start here": [OWN / "student.md", guide, *(OWN / f"{name}.md" for name in ("course", "archive", "faq"))],
        "The case": [ROOT / "hook_document.md", ROOT / "rubric.md", *steps],
        "Articles": [path for path in articles if path.stem[0].isdigit()],
        "Further studies": studies,
        "Background": [path for path in articles if not path.stem[0].isdigit()],
        "Data": sorted(ROOT.glob("DATA/**/README.md")),
        "Reference": [*commands, OWN / "python.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", OWN / "cite.md"],
    }


def places():
    """Returns where each file lies on the site, without the ending."""
    found = {ROOT / "README.md": PurePosixPath("index")}
    for path in (*itertools.chain(*chapters().values()), OWN / "sample_report.md"):
        base = OWN if OWN in path.parents else ROOT
        found[path] = PurePosixPath(path.relative_to(base).with_suffix("").as_posix())
    return found


def rewritten(text, source):
    """Returns a page's Markdown with links that work on the site, and the files it shows or offers that are no pages.

    Args:
        text: What stands in it, or in a cell of text.
        source: The file it is from.
    """
    where, files = places(), set()
    here = where[source].parent

    def turned(match):
        target, hash_, anchor = match[1].partition("#")
        inside = target.removeprefix(f"{REPOSITORY}/blob/main/")
        if not target or (inside == target and re.match(r"\w+:", target)):
            return match[0]
        path = Path(os.path.normpath(ROOT / inside if inside != target else source.parent / inside))
        path = path / "README.md" if path / "README.md" in where else path
        if path in where:
            place = where[path].with_suffix(path.suffix)
        elif path.is_file():
            place = PurePosixPath(path.relative_to(ROOT).as_posix())
            files.add(path)
        else:
            return f"{REPOSITORY}/tree/main/{path.relative_to(ROOT).as_posix()}"
        return os.path.relpath(place, here).replace(os.sep, "/") + hash_ + anchor

    parts = FENCED.split(text)
    for k in range(0, len(parts), 2):
        parts[k] = LINK.sub(turned, FROM_COLAB.sub("", PICTURE_ELSEWHERE.sub(r"\1", parts[k])))
    return "".join(parts), files


def minutes(text):
    return max(1, round(len(text.split()) / WORDS_A_MINUTE))


def steps():
    """Returns the student's path: each notebook with what to read beside it, minutes for both, and its question."""
    parts, up = [], "../../.."
    for path in chapters()["The case"][2:]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = {cell["id"]: "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"}
        text = "\n\n".join(texts.values())
        title = re.search(r"^# (.+)$", text, re.M)[1]
        parts.append(f"### {title}\n\n- [The notebook]({up}/notebooks/{path.name}): {minutes(text)} min")
        for article in dict.fromkeys(re.findall(r"\*\*Read\*\* \[[^]]+\]\(\.\./([^)#]+)", text)):
            words = (ROOT / article).read_text(encoding="utf-8")
            heading = re.search(r"^# (.+)$", words, re.M)[1]
            parts.append(f"- Beside it: [{heading}]({up}/{article}): {minutes(words)} min")
        question = texts["question"].split("\n\n")[1].replace("\n", " ")
        parts.append(f"- The question: *{question}*\n")
    return "\n".join(parts)


def reference():
    """Returns the public names by the room they are from, for Sphinx to fill in with their docstrings."""
    parts = []
    for node in ast.parse((ROOT / "casestudy/__init__.pyi").read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ImportFrom):
            continue
        room = ROOT / "casestudy" / node.module
        source = (room / "__init__.py" if room.is_dir() else room.with_suffix(".py")).read_text(encoding="utf-8")
        parts.append(f"## {node.module}\n\n{ast.get_docstring(ast.parse(source)).splitlines()[0]}\n")
        for name in (alias.name for alias in node.names):
            kind = "py:data" if name.isupper() else "autoclass" if name[0].isupper() else "autofunction"
            more = "\n   :members:" if kind == "autoclass" else ""
            parts.append(f"### {name}\n\n```{{eval-rst}}\n.. {kind}:: casestudy.{name}{more}\n```\n")
    return "\n".join(parts)


def citation():
    """Returns CITATION.cff as an entry of BibTeX."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    of = dict(re.findall(r'^(?:  - )?([\w-]+): "?(.+?)"?$', text, re.M))
    fields = {
        "title": f"{of['title']}: {of['abstract'].rstrip('.')}",
        "author": f"{{{of['name']}}}",
        "version": of["version"],
        "year": of["date-released"][:4],
        "url": of["repository-code"],
        "license": of["license"],
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items()]
    return "\n".join(["```bibtex", "@software{casestudy,", *lines, "}", "```"])


def executed(path):
    """Returns a notebook as JSON, executed in quick mode in its own folder; no path of this machine is shown."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []) and "QUICK" in cell.source:
            cell.source += "\nQUICK = True  # on this site"
            notebook.cells[0].source += "\n\n" + (OWN / "quick.md").read_text(encoding="utf-8")
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": path.parent}}).execute()
    return untitled(json.dumps(notebook).replace(str(path.parents[1]), "casestudy").replace(str(ROOT), "casestudy"))


def untitled(text):
    """Returns an executed notebook's JSON whose printed pages have bold lines for titles: a page has one title."""
    notebook = json.loads(text)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", ())):
        if "text/markdown" in output.get("data", {}):
            shown = "".join(output["data"]["text/markdown"])
            output["data"]["text/markdown"] = re.sub(r"^#+ (.+)$", r"**\1**", shown, flags=re.M)
    return json.dumps(notebook)


def stage(folder, report=None, execute=False):
    """Writes what Sphinx reads, laid out as the repository is.

    Args:
        folder: An empty folder.
        report: A report.html that the site shows as a sample; None for none.
        execute: Whether the notebooks are executed there, in quick mode, or shown as they are committed.
    """
    made, extra = {"steps": steps, "reference": reference, "citation": citation}, set()
    for source, place in places().items():
        if place.name == "sample_report" and not report:
            continue
        target = folder / place.with_suffix(source.suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        for name, make in made.items() if OWN in source.parents else ():
            text = text.replace(f"<!-- {name} -->", make())
        text, files = (staged_notebook if source.suffix == ".ipynb" else rewritten)(text, source)
        target.write_text(text + menu(report) * (place.name == "index"), encoding="utf-8")
        extra |= files
    for path in extra:
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in sorted(folder.glob("notebooks/*.ipynb")) if execute else ():
        print(path.stem, flush=True)
        path.write_text(executed(path), encoding="utf-8")
    shutil.rmtree(folder / "notebooks" / "runs", ignore_errors=True)  # what the notebooks left
    for name in ("conf.py", "_static"):
        (shutil.copytree if (OWN / name).is_dir() else shutil.copy)(OWN / name, folder / name)
    if report:
        (folder / "extra").mkdir()
        shutil.copy(report, folder / "extra" / "report.html")


def staged_notebook(text, source):
    """Returns a notebook as JSON with its links rewritten, and the files it shows or its code opens."""
    notebook, files = json.loads(text), set()
    notebook["metadata"]["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}  # committed without
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"], more = rewritten("".join(cell["source"]), source)
            files |= more
        else:  # what its code opens; pages are there
            named = (source.parent / name for name in re.findall(r'"(\.\./[^"\n]+)"', "".join(cell["source"])))
            files |= {path.resolve() for path in named if path.suffix != ".md" and path.is_file()}
    return json.dumps(notebook), files


def menu(report):
    """Returns the table of contents, which README itself does not show."""
    parts = []
    for name, pages in chapters().items():
        lines = [str(places()[path]) for path in pages]
        lines += ["sample_report"] if report and name == "The case" else []
        parts.append("\n".join(["\n```{toctree}", ":hidden:", f":caption: {name}", "", *lines, "```"]))
    return "\n".join(parts) + "\n"


def build(out, report=None, execute=False):
    """Builds the site; the folder has it whole, or is as it was.

    Args:
        out: The folder for it; a site in it is replaced.
        report: A report.html to show, or None.
        execute: Whether to execute the notebooks, in quick mode; this takes many minutes.

    Raises:
        subprocess.CalledProcessError: Sphinx complained, such as of a link that leads nowhere; it has said of what.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source, made, trees = (Path(temporary) / name for name in ("source", "made", "doctrees"))
        source.mkdir()
        stage(source, report, execute)
        options = ["-q", "-W", "--keep-going", "-d", str(trees)]
        options += ["-D", "html_extra_path=extra"] if report else []
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}  # the docstrings of this checkout
        subprocess.run([sys.executable, "-m", "sphinx", *options, str(source), str(made)], env=environ, check=True)
        for page in made.rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            for old, new in MENDED if page.name != "report.html" else ():
                text = text.replace(old, new)
            page.write_text(text, encoding="utf-8")
        (made / ".nojekyll").touch()  # GitHub's pages leave out folders like _static otherwise
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(made, out)


def main(arguments=None):
    """Returns the exit code: 0, or Sphinx's.

    Args:
        arguments: Of the command line; None for this process' own.
    """
    from casestudy.cleaning import CommandParser

    example = "python SCRIPTS/release/site.py --out build/site"
    parser = CommandParser(prog="site.py", description=__doc__.partition(":")[0] + ".", examples=[example])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for the site")
    parser.add_argument("--report", type=Path, metavar="RUN", help="a run folder, whose report is shown as a sample")
    parser.add_argument("--execute", action="store_true", help="execute the notebooks first, in quick mode")
    args = parser.parse_args(arguments)
    missing = ", ".join(name for name in NEEDED if not find_spec(name))
    if missing:
        parser.error(f'the site is built by packages of which these are missing: {missing}. pip install -e ".[site]"')
    report = args.report and args.report / "report.html"
    if report and not report.is_file():
        parser.error(f"--report takes a run that has a report; {report} is not there. casestudy report {args.report}")
    foreign = args.out.is_dir() and any(args.out.iterdir()) and not (args.out / "objects.inv").is_file()
    if args.out.is_file() or foreign:
        parser.error(
            f"--out takes a new folder, an empty one or a site; received {args.out}, which holds something else"
        )
    try:
        build(args.out, report, args.execute)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(args.out / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
