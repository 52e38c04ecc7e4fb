"""Colours that mean different things can be told apart by everybody, on grey paper too, and all text can be read.

Colour vision is simulated as in G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, A Physiologically-based Model for
Simulation of Color Vision Deficiency, IEEE Transactions on Visualization and Computer Graphics 15 (6), 2009: the
matrices for a severity of 1, on linear RGB. Distances are those of CIE 1976 L*a*b* under D65, of which some 2.3 are
just noticeable (M. Mahy, L. Van Eycken and A. Oosterlinck, Color Research & Application 19 (2), 1994); contrast and its
least values are those of WCAG 2.2, success criterion 1.4.3.
"""

import itertools
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from casestudy.grading import outcomes
from casestudy.plots import results as plots
from casestudy.report import pages

ROOT = Path(__file__).parents[1]
FARTHER = 15  # in L*a*b*, for each kind of colour vision
LIGHTER = 10  # in L*, on grey paper
READABLE = 4.5  # contrast of text
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
STATUSES = ["earned", "partial", "not-earned", "no-evidence", "needs-review"]
SHADES = [f"s{k}" for k in range(11)]


def linear(colour: str) -> np.ndarray:
    code = colour.lstrip("#")
    code = "".join(2 * digit for digit in code) if len(code) == 3 else code
    values = np.array([int(code[k : k + 2], 16) for k in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    ratios = XYZ @ rgb.clip(0, 1) / XYZ.sum(axis=1)
    f = np.where(ratios > 216 / 24389, np.cbrt(ratios), (24389 / 27 * ratios + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def lightness(colour: str) -> float:
    return float(lab(linear(colour))[0])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def assert_apart(colours: dict[str, str]) -> None:
    for (one, a), (other, b) in itertools.combinations(colours.items(), 2):
        for vision, matrix in VISION.items():
            distance = np.linalg.norm(lab(matrix @ linear(a)) - lab(matrix @ linear(b)))
            assert distance >= FARTHER, f"{one} {a} and {other} {b}: {distance:.0f} under {vision}"
        grey = abs(lightness(a) - lightness(b))
        assert grey >= LIGHTER, f"{one} {a} and {other} {b}: {grey:.0f} in grey"


def css(scheme: str) -> dict[str, str]:
    """Returns the colours of both style sheets by the names of their variables, and the shades (and `ink-s0` …)."""
    text, found = pages.source("report.css") + pages.source("grades.css"), {}
    dark = re.compile(r"@media screen and \(prefers-color-scheme: dark\) \{(?:[^{}]|\{[^{}]*\})*\}")
    parts = [dark.sub("", text)] + (dark.findall(text) if scheme == "dark" else [])
    assert len(parts) == (3 if scheme == "dark" else 1)  # each sheet has its own dark part
    for part in parts:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,8})\b", part))
        for name, paper, ink in re.findall(r"\.(s\d+) \{ background: (#\w+); color: (#\w+) \}", part):
            found |= {name: paper, f"ink-{name}": ink}
    return found


def in_the_dark(colour: str, paper: str) -> str:
    """Returns what becomes of a plot's colour on the dark page: inverted, hue turned by half, and screened.

    The matrix is that of hue-rotate(180deg) in the W3C's Filter Effects Module Level 1, on sRGB as it stands.
    """
    turn = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])
    own, below = (np.array([int(one[k : k + 2], 16) for k in (1, 3, 5)]) / 255 for one in (colour, paper))
    turned = (turn @ (1 - own)).clip(0, 1)
    return mpl.colors.to_hex(1 - (1 - turned) * (1 - below))


NAMED = {name: getattr(plots, name) for name in ("BLUE", "ORANGE", "GREY", "GREEN", "RED", "FAINT", "SILVER", "PALE")}
APART = [
    ("BLUE", "ORANGE"),  # training and validation, better and worse, unseen signers and a random split
    ("BLUE", "GREY"),  # first rank and later ones, on the front and behind it
    ("GREEN", "RED"),  # right and wrong
    ("BLUE", "PALE"),  # a value and its interval, two ways to train
    ("BLUE", "SILVER"),  # values and the band between them
    ("ORANGE", "SILVER"),
    ("GREY", "SILVER"),
]


@pytest.mark.parametrize("names", APART, ids="-".join)
def test_colours_of_plots_are_told_apart_on_both_papers(names):
    assert_apart({name: NAMED[name] for name in names})
    paper = css("dark")["paper"]
    assert_apart({name: in_the_dark(NAMED[name], paper) for name in names})


def test_the_two_lines_of_the_weights_card_are_told_apart():
    cycle = [mpl.colors.to_hex(f"C{k}") for k in range(2)]  # of pretrain_signs.png
    assert_apart(dict(zip(("first", "second"), cycle, strict=True)))


@pytest.mark.parametrize("name", ["BLUE", "ORANGE", "GREY", "GREEN", "RED"])
def test_text_in_a_plot_can_be_read_on_both_papers(name):
    paper = css("dark")["paper"]
    assert contrast(NAMED[name], "#ffffff") >= READABLE
    assert contrast(in_the_dark(NAMED[name], paper), paper) >= READABLE


def test_numbers_in_the_matrix_can_be_read_on_every_shade():
    _, (ax,) = plots.figure()
    counts = np.array([[k, 100 - k] for k in range(1, 100)])
    plots.plot_counts(ax, np.pad(counts, ((0, 0), (0, 97))), [str(k) for k in range(99)])
    shown = {(round(text.get_position()[1]), round(text.get_position()[0])): text for text in ax.texts}
    for (row, column), text in shown.items():
        paper = mpl.colors.to_hex(ax.images[0].to_rgba(counts[row, column] / 100)[:3])
        assert contrast(mpl.colors.to_hex(text.get_color()), paper) >= READABLE
    assert len(shown) == 198


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_pages_are_told_apart(scheme):
    found = css(scheme)
    assert_apart({name: found[name] for name in STATUSES})
    for names in (("right", "wrong"), ("blue", "bar"), ("blue", "panel"), ("bar", "paper")):
        assert_apart({name: found[name] for name in names})
    shades = [lightness(found[name]) for name in SHADES]
    steps = np.diff(shades) * (1 if scheme == "dark" else -1)
    assert steps.min() >= 3  # one way, and each to be seen; the number stands in the cell, too
    assert min(abs(a - b) for a, b in zip(shades, shades[3:], strict=False)) >= LIGHTER


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_pages_can_be_read(scheme):
    found = css(scheme)
    pairs = [*itertools.product(("ink", "soft", "blue", "right", "wrong"), ("paper", "panel"))]
    pairs += [
        ("paper", "ink"),
        ("paper", "blue"),
        *((f"c{k}", "paper") for k in range(6)),
        *((f"ink-{name}", name) for name in SHADES),
    ]
    for ink, paper in pairs:
        assert contrast(found[ink], found[paper]) >= READABLE, (ink, paper)
    assert contrast(found["ring"], found["paper"]) >= 3  # what marks the focus: WCAG 2.2, 1.4.11


def test_no_colour_is_left_out():
    """A colour that is new somewhere gets its place above, in what is told apart or in what is read."""
    number = re.compile(r"[\"'](#[0-9a-fA-F]{3,8})[\"']")
    drawn = [*(ROOT / "casestudy/plots").glob("*.py"), *(ROOT / "SCRIPTS/articles").glob("*.py")]
    assert {colour for path in drawn for colour in number.findall(path.read_text(encoding="utf-8"))} <= {
        *NAMED.values()
    }
    known = {*STATUSES, *SHADES, *(f"ink-{name}" for name in SHADES), "weave"}
    known |= {f"c{k}" for k in range(6)}  # of points that say by their letters or numbers what they are
    known |= {"ink", "soft", "line", "paper", "panel", "blue", "bar", "right", "wrong", "ring"}
    for scheme in ("light", "dark"):
        assert set(css(scheme)) == known
    for sheet in ("report.css", "grades.css"):
        bare = re.sub(r"--[\w-]+: #\w+|\.s\d+ \{[^}]*\}", "", pages.source(sheet))
        assert set(re.findall(r"#[0-9a-f]{3,8}\b", bare)) <= {"#0009"}  # what lies over the page behind a dialog


def test_a_status_has_a_sign_of_its_own_beside_its_word():
    words = {outcomes.EARNED, outcomes.PARTIAL, outcomes.NOT_EARNED, outcomes.REVIEW, outcomes.NOTHING}
    assert set(pages.SIGNS) == words
    assert len(set(pages.SIGNS.values())) == len(words)
    assert [name.replace(" ", "-") for name in pages.SIGNS] == STATUSES
