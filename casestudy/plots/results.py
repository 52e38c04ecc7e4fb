"""Draws numbers that others computed: every function takes an `Axes` and returns it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from PIL import Image

from casestudy.evaluation import Evaluation
from casestudy.plots.lettering import drawable, in_lines, longest_line, set_lettering
from casestudy.words import MANY_LABELS

# Told apart by colour-blind eyes and on grey paper (tests/test_palettes.py), and never by the colour alone.
BLUE, ORANGE, GREY = "#0a3a78", "#c64f09", "#6b6b6b"
GREEN, RED = "#1a7f50", "#700f0f"
FAINT, SILVER, PALE = "#e4e4e4", "#c4c4c4", "#9ec3e0"
LONG = 8  # two names of more characters take two lines above a picture
UPRIGHT = 28  # characters of a line of a name beside or below its group
WIDE = 17  # a line of more characters is set smaller there, and in more lines
MANY = 14  # more groups than these stand side by side, in the format of a slide

Cut = tuple[Image.Image, tuple[float, float, float, float], str]  # a photograph, left … bottom in pixels, a title


def figure(width: float = 6.4, height: float = 4.0, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Returns a figure that no global state knows of, and its axes row by row; sizes in inches."""
    fig = Figure(figsize=(width, height), layout="constrained", dpi=120)
    return fig, list(np.atleast_1d(fig.subplots(rows, columns)).flat)


def plot_history(ax: Axes, history: pd.DataFrame, metric: str) -> Axes:
    """Draws a metric and its validation twin over all epochs, phase after phase, with the boundaries marked."""
    is_share = metric == "accuracy"
    offset, ends = 0, {}
    for phase, of_phase in history.groupby("phase", sort=False):
        for name, colour, label in ((metric, BLUE, "training"), (f"val_{metric}", ORANGE, "validation")):
            rows = of_phase[of_phase["metric"] == name]
            ax.plot(rows["epoch"] + offset, rows["value"], "o-" if name == metric else "s--", ms=4, color=colour)
            if len(rows):
                ends[label] = (rows["epoch"].iloc[-1] + offset, rows["value"].iloc[-1], colour)
        if offset:
            ax.axvline(offset + 0.5, color=GREY, lw=1, ls=":")
        last = int(of_phase["epoch"].max())
        middle = offset + (last + 1) / 2
        ax.text(middle, 1.02, phase, transform=ax.get_xaxis_transform(), ha="center", va="bottom", color=GREY)
        offset += last
    ax.set(xlabel="epoch", ylabel=metric if is_share else f"{metric} (nats)", xlim=(0.5, offset + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(0, 1 if is_share else max(1.05 * ax.dataLim.y1, 1e-3))  # with room above a single epoch, too
    if is_share:
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    bare(ax)
    between = 0.07 * np.ptp(ax.get_ylim())  # of two names that would touch, the higher curve's goes up
    places = sorted((y, label) for label, (_, y, _) in ends.items())
    push = max(0.0, between - (places[-1][0] - places[0][0])) / 2 if len(places) > 1 else 0.0
    for k, (y, label) in enumerate(places):
        x, _, colour = ends[label]
        value = f"{100 * y:.0f} %" if is_share else f"{y:.2f}"
        place = (x + 0.02 * (offset + 1), y + (push if k else -push))
        ax.annotate(f"{label} {value}", place, color=colour, va="center", annotation_clip=False)
    return ax


def plot_confusion(ax: Axes, evaluation: Evaluation) -> Axes:
    """Draws the (K, K) counts of the confusion matrix, true labels down, shaded by their share of each true label.

    The shade grows with the square root of the share, so that a mistake made one time in twenty can be seen. Of more
    than `MANY_LABELS` labels, shades alone are drawn, and the names of some; `size_confusion` says how large.
    """
    names, families = drawable(evaluation.class_names)
    names = [in_lines(name) for name in names]
    if len(names) > MANY_LABELS:
        return _plot_shades(ax, evaluation.confusion, names, families)
    plot_counts(ax, evaluation.confusion, names)
    _letter_matrix(ax, names, families, len(names))
    return ax


def size_confusion(class_names: Sequence[str]) -> tuple[float, float]:
    """Returns width and height, in inches, that `plot_confusion` needs for these labels."""
    side = max(5.0, 0.32 * len(class_names) + 1.2) if len(class_names) <= MANY_LABELS else 13.0
    words = 0.08 * max(0, longest_line(map(in_lines, class_names)) - 3)  # names stand at the left, below and above
    return side + words, side + 2 * words


def _letter_matrix(ax: Axes, names: Sequence[str], families: list[str], rows: int) -> None:
    """Sets fonts and sizes of the labels of a matrix, so that words of several lines stay in their row."""
    ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
    longest, lines = longest_line(names), 1 + max(name.count("\n") for name in names)
    side = 72 * ax.bbox.width / ax.figure.dpi  # in points
    fitting = min(10.0, 0.9 * side / rows / (1.25 * lines), 0.45 * side / longest)
    set_lettering(ticks, families, max(4.0, fitting) if longest > 3 else None)
    if longest > 3:
        set_lettering([ax.xaxis.label, ax.yaxis.label], [], 11)
        ax.set_aspect("auto")  # the layout finds room for long names only where it may stretch the cells a little


def _plot_shades(ax: Axes, counts: np.ndarray, names: Sequence[str], families: list[str]) -> Axes:
    """Draws a large confusion matrix as shades of each true label's shares, and names every so manieth label."""
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(rates, cmap=mpl.colormaps["Blues"], norm=PowerNorm(0.5, vmin=0, vmax=1))
    step = -(-len(names) // MANY_LABELS)
    places = range(0, len(names), step)
    for axis, what in ((ax.xaxis, "predicted"), (ax.yaxis, "true")):
        axis.set_ticks(places, [names[k] for k in places], parse_math=False)
        axis.set_label_text(f"{what} label; one in {step} is named")
    ax.tick_params(axis="x", labelrotation=90, labeltop=True)
    _letter_matrix(ax, [names[k] for k in places], families, len(places))
    ax.spines[:].set_color(GREY)
    return ax


def plot_counts(ax: Axes, counts: np.ndarray, class_names: Sequence[str]) -> Axes:
    """Draws a confusion matrix as `plot_confusion` does, from its (K, K) counts alone."""
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = ax.imshow(rates, cmap=mpl.colormaps["Blues"], norm=PowerNorm(0.5, vmin=0, vmax=1))
    cell = 72 * ax.bbox.width / ax.figure.dpi / len(class_names)  # in points
    digits = len(str(counts.max(initial=0)))
    size = float(np.clip(min(0.5, 1.1 / digits) * cell, 4, 11))
    letters = float(np.clip(0.5 * cell, 5.6, 15))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = _ink(picture.to_rgba(rates[row, column])[:3])
            ax.text(column, row, str(count), ha="center", va="center", fontsize=size, color=colour)
    places = np.arange(len(class_names))
    for axis, what in ((ax.xaxis, "predicted"), (ax.yaxis, "true")):
        axis.set_ticks(places, class_names, fontsize=letters, parse_math=False)  # a name is no formula
        axis.set_ticks(places - 0.5, minor=True)
        axis.set_label_text(f"{what} label", fontsize=max(10.0, letters))
    if max(map(len, class_names)) > 3:
        ax.tick_params(axis="x", labelrotation=90)
    ax.grid(which="minor", color=FAINT, lw=0.5)
    ax.tick_params(which="both", length=0)
    ax.tick_params(labeltop=True)
    ax.spines[:].set_color(GREY)
    return ax


def _ink(paper: Any) -> str:
    """Returns black or white, whichever WCAG 2.2 gives more contrast on this RGB colour in [0, 1]: 4.6 at the least."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in paper]
    return "black" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else "white"


def size_per_group(names: Sequence[str]) -> tuple[float, float]:
    """Returns width and height, in inches, that `plot_per_group` needs for these groups."""
    words = 0.07 * max(0, longest_line(in_lines(name, UPRIGHT) for name in names) - 10)
    drawn = min(len(names), MANY_LABELS)
    return (max(9.6, 0.27 * drawn), 4.4 + words) if len(names) > MANY else (6.4 + words, 0.35 * drawn + 1.2)


def plot_per_group(ax: Axes, table: pd.DataFrame, name: str) -> Axes:
    """Draws the accuracy of each label (or signer) with its interval, the weakest first: at the top, or at the left.

    Of more than `MANY_LABELS`, the weakest are drawn.
    """
    many = len(table) > MANY
    known = table.dropna(subset=["accuracy"])
    rows = known.sort_values("accuracy", ascending=many, kind="stable").head(MANY_LABELS)
    places = np.arange(len(rows))
    errors = np.vstack([rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]).clip(0)
    line: dict[str, Any] = {"x": places, "y": rows["accuracy"], "yerr": errors}
    if not many:
        line = {"x": rows["accuracy"], "y": places, "xerr": errors}
    ax.errorbar(**line, fmt="o", ms=5, color=BLUE, ecolor=PALE, elinewidth=3)
    groups, values = (ax.xaxis, ax.yaxis) if many else (ax.yaxis, ax.xaxis)
    names, families = drawable(rows[name])
    names = [in_lines(one, UPRIGHT) for one in names]
    groups.set_ticks(places, names, parse_math=False)
    lines = 1 + max((one.count("\n") for one in names), default=0)
    set_lettering(groups.get_ticklabels(), families, 12.5 / lines if lines > 1 else None)
    first = "the weakest first" if len(rows) == len(known) else f"the {len(rows)} weakest of {len(known)}"
    groups.set_label_text(f"{name}, {first}" if many else name)
    if many and longest_line(names) > 3:
        ax.tick_params(axis="x", labelrotation=90)
    (ax.set_ylim if many else ax.set_xlim)(-0.02, 1.02)
    (ax.set_xlim if many else ax.set_ylim)(-0.6, max(len(rows), 1) - 0.4)
    values.set_label_text("accuracy, 95 % interval" if np.isfinite(errors).any() else "accuracy")
    values.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="y" if many else "x", color=FAINT)
    bare(ax)
    return ax


def plot_reliability(ax: Axes, bins: pd.DataFrame) -> Axes:
    """Draws how often the model is right over how sure it says it is; the diagonal is perfect honesty."""
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    area = 20 + 180 * bins["support"] / bins["support"].max()
    ax.plot(bins["confidence"], bins["accuracy"], color=BLUE, lw=1)
    ax.scatter(bins["confidence"], bins["accuracy"], s=area, color=BLUE, clip_on=False, zorder=3)
    ax.text(0.03, 0.97, "more often right\nthan it claims", color=GREY, va="top")
    ax.text(0.97, 0.03, "surer than\nit is right", color=GREY, ha="right")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence of the prediction", ylabel="share that is right")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    ax.set_aspect("equal")
    bare(ax)
    return ax


def plot_heat(ax: Axes, pixels: np.ndarray, heat: np.ndarray, label: str, predicted: str) -> Axes:
    """Draws a photograph in grey, uint8 (height, width, C), under the heat of `gradcam.grad_cam`, (h, w) in [0, 1]."""
    height, width = pixels.shape[:2]
    glow = np.asarray(Image.fromarray(heat).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    ax.imshow(pixels.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    ax.imshow(glow, cmap="inferno", vmin=0, vmax=1, alpha=0.15 + 0.6 * glow)
    return _title(ax, label, predicted)


def _title(ax: Axes, label: str, predicted: str) -> Axes:
    """Writes above a picture what was read: green and ticked where right, red and crossed where wrong."""
    right = label == predicted
    (label, *guess), families = drawable([label] if right else [label, predicted])
    between = "\n" if len(label) + len("".join(guess)) > LONG else " "
    title = f"✓ {label}" if right else f"✗ {label}{between}read as {guess[0]}"
    long = longest_line([title]) > WIDE
    lines = [in_lines(line, 20) for line in title.split("\n")] if long else [title]
    size = 9 if long else 13
    ax.set_title("\n".join(lines), color=GREEN if right else RED, fontsize=size, fontweight="bold", parse_math=False)
    set_lettering([ax.title], families)
    ax.axis("off")
    return ax


def contact_sheet(pictures: Iterable[Image.Image | np.ndarray], titles: Iterable[str], columns: int = 5) -> Figure:
    """Returns a figure of photographs side by side, each under its title."""
    names, families = drawable(titles)
    size = max(9.0, 1.8 * columns)  # a page shrinks a wide figure
    width = int(2.1 * 72 / (0.62 * size))  # characters over a picture
    pairs = list(zip(pictures, names, strict=True))
    fig, axes = _sheet(len(pairs), columns, 2.1, 2.4)
    for ax, (picture, title) in zip(axes, pairs, strict=False):
        ax.imshow(picture, cmap="gray")  # the colours of a picture that has any stay
        ax.set_title(in_lines(title, width), fontsize=size, parse_math=False)
        set_lettering([ax.title], families)
    return fig


def box_sheet(cuts: Sequence[Cut], columns: int = 5) -> Figure:
    """Returns a figure of whole photographs, each with the box that was cut out of it in light on dark lines."""
    fig, axes = _sheet(len(cuts), columns, 2.1, 2.0)
    for ax, (picture, (left, top, right, bottom), title) in zip(axes, cuts, strict=False):
        ax.imshow(picture)
        for colour, width in (("black", 3.5), ("white", 1.5)):  # seen on any photograph
            ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, ec=colour, lw=width))
        ax.set_title(title, fontsize=11)
    return fig


def prediction_sheet(
    pictures: Sequence[Image.Image], labels: Iterable[str], predicted: Iterable[str], columns: int = 5
) -> Figure:
    """Returns a figure of photographs side by side, each under what was read.

    That is green and ticked where it is right, red and crossed where it is wrong.
    """
    fig, axes = _sheet(len(pictures), columns, 2.0, 2.3)
    for ax, picture, label, guess in zip(axes, pictures, labels, predicted, strict=False):
        ax.imshow(picture)
        _title(ax, label, guess)
    return fig


def _sheet(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Returns a figure with room for so many pictures of this size in inches, and its axes, no frame round any."""
    rows = max(1, -(-count // columns))
    fig, axes = figure(width * columns, height * rows, columns, rows)
    for ax in axes:
        ax.axis("off")
    return fig, axes


def bare(ax: Axes) -> None:
    """Takes away the lines of the frame that carry no scale."""
    ax.spines[["top", "right"]].set_visible(False)
