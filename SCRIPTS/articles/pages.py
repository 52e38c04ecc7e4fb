"""Takes the pictures of pages in ARTICLES/for_instructors.md and README: a browser opens the pages.

    python -m SCRIPTS.articles.pages                        an invented class, as the tests draw theirs: nobody is in it
    python -m SCRIPTS.articles.pages runs/asl-asl_sample    README's report, of the run that `record_results` recorded

It needs Chromium (Debian: apt install chromium). Each picture carries a hash of the templates that made it, and
README's of the recorded scores, too; see `stamps`.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image, PngImagePlugin

from casestudy.cleaning import CommandParser
from casestudy.grading import grade_submissions
from casestudy.grading.key import key_text
from casestudy.grading.marking import Desk, Server
from casestudy.grading.rubric import load_rubric
from casestudy.report import source, write_report
from casestudy.runs import RunFolder
from SCRIPTS.articles.figures import FOLDER
from SCRIPTS.articles.record_results import RESULTS, summarise
from SCRIPTS.articles.stamps import KEY, Picture
from SCRIPTS.articles.values import SAMPLE
from SCRIPTS.articles.writing import read_json
from SCRIPTS.release.environment import ROOT

WIDTH = 1000
SHOWN = {"overview": 1000, "feedback": 720, "mark": 860, "report": 1130}  # pixels from the top
MADE_OF = {name: (f"{name}.html", "grades.css") for name in SHOWN}
MADE_OF["report"] = ("report.html", "report.css", "report.js", "matrix.js", "beside.js", "features.js", "explore.js")
COMMAND = "python -m SCRIPTS.articles.pages"
BANK = "name,comment\npeople,Say whom it must be measured on.\ninterval,How sure are you? Name the interval.\n"

# What is said to each of the five questions, in three ways: too short to be compared with one another.
SAID = (
    ("Accuracy on strangers.", "The score for people who were never photographed for training.", "The accuracy."),
    ("A file breaks off; the ledger has its bytes.", "C1 of user_2 was broken.", "I saw nothing odd."),
    ("Counts before and after, and each file's bytes.", "That nothing is lost.", "It looks better."),
    ("A tenth of the rate; frozen BatchNormalization moved by 0.0.", "A small rate.", "I trained longer."),
    ("Two strangers are few; C is weakest.", "It works.", "C is read worst, and two people give no interval."),
)


def framed(shot: bytes) -> Image.Image:
    """Returns a screenshot with few colours, and so few bytes."""
    return Image.open(io.BytesIO(shot)).convert("RGB").quantize(64, dither=Image.Dither.NONE)


def _templates(name: str) -> Picture:
    texts = [*map(source, MADE_OF[name]), str(SHOWN[name])]
    if name == "report":
        return Picture(f"{COMMAND} RUN", framed, lambda: [*texts, read_json(RESULTS)[SAMPLE]])
    return Picture(COMMAND, framed, "\n".join(texts).encode)


PICTURES = {FOLDER / f"page_{name}.png": _templates(name) for name in SHOWN}


def draw_class(home: Path) -> None:
    """Writes what six students hand in: whole, late, and each of the others with something to look at."""
    from tests.drawn_submissions import bound_key, edited, honest, packed

    changes = {
        2: ("run/ledger.csv", lambda table: table.drop(index=[3])),
        3: ("run/confusion.csv", lambda table: table.assign(**{"A": "1"})),
        4: ("run/history.csv", lambda table: table.assign(epoch=table["epoch"].to_numpy()[::-1])),
    }
    names = ("mulleranna_11_101", "bergben_12_102", "cruzcleo_LATE_13_103", "diazdan_14_104", "endoeva_15_105")
    for k, name in enumerate((*names, "falkfinn_16_106")):
        files = edited(honest(k), *changes[k], seal=k != 4) if k in changes else honest(k)
        for step in range(1, 6):
            text = SAID[step - 1][k % 3]
            place = next(name for name in files if name.startswith(f"notebooks/0{step}"))
            files = edited(files, place, lambda book, text=text: book["cells"][2].update(source=text), seal=False)
        if k == 5:
            files.pop("notebooks/05_results.ipynb")
        (home / "downloads").mkdir(exist_ok=True)
        (home / "downloads" / f"{name}_submission.zip").write_bytes(packed(files))
    (home / "key.json").write_text(key_text(bound_key()), encoding="utf-8")
    (home / "comments.csv").write_text(BANK, encoding="utf-8")


def recorded(run: RunFolder) -> Path:
    """Returns the path of a run's report, written again; a SystemExit says that README has the scores of another."""
    known = read_json(RESULTS)[SAMPLE]["scores"]
    if json.loads(json.dumps(summarise(run)[1]["scores"])) != known:
        sys.exit(f"README shows the run that it has the scores of; {run.path} is another. Record it first.")
    return write_report(run).resolve()


def main() -> None:
    """Takes the pictures of the class, or of the run that is named."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="run folder, whose report is shown (default: the class)")
    named = parser.parse_args().run
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("A browser is needed: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if named:
            _take(browser, home, "report", recorded(RunFolder.open(named)).as_uri())
            return
        draw_class(home)
        rubric, out = ROOT / "rubric.md", home / "grades"
        grade_submissions([home / "downloads"], rubric, home / "key.json", out)
        desk = Desk(out, load_rubric(rubric), home / "comments.csv")
        for question, points, comment in (
            ("reading", 5, ""),
            ("reading", 2.5, "{people}"),
            ("import", 5, "Well seen."),
        ):
            desk.save(next(one for one in desk.questions()[question] if one.result.waits), str(points), comment)
        with Server(desk) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            word = desk.questions()["conclusions"]
            _take(browser, home, "mark", server.link("conclusions", word[1]))
            server.shutdown()
        desk.finish()
        _take(browser, home, "overview", (out / "overview.html").as_uri())
        _take(browser, home, "feedback", next(out.glob("students/bergben*/feedback.html")).as_uri())


def _take(browser: str, home: Path, name: str, address: str) -> None:
    shot = home / f"{name}.png"
    call = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={shot}"]
    call += [f"--window-size={WIDTH},{SHOWN[name]}", f"--user-data-dir={home / 'profile'}", address]
    subprocess.run(call, check=True, capture_output=True, timeout=120)
    path, text = FOLDER / f"page_{name}.png", PngImagePlugin.PngInfo()
    text.add_text(KEY, PICTURES[path].stamp())
    framed(shot.read_bytes()).save(path, optimize=True, pnginfo=text)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
