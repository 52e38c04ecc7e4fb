"""Draws how several models compare; every function takes an `Axes` and returns it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from matplotlib.transforms import Bbox

from casestudy.plots.results import BLUE, FAINT, GREY, ORANGE, PALE, SILVER, bare
from casestudy.words import percent

AROUND = ((-1, 1), (0, 1), (1, 1), (-1, 0), (1, 0), (1, -1), (0, -1), (-1, -1))  # places of a name, the best first
DISTANCES = (6, 18, 32, 48, 66)  # points from its dot, the best first; from the second on a line leads there


def plot_models(ax: Axes, table: pd.DataFrame) -> Axes:
    """Draws the accuracy of each model with its interval, and its rank, the best at the top.

    A rank is 1 + the number of models that are better beyond noise; the dots of those that nobody beats are filled.
    The table is that of `evaluation.comparison.compare`; `size_per_group` says how large, up to `MANY` models.
    """
    rows = table.sort_values(["rank", "accuracy"], ascending=[False, True], kind="stable")
    for place, row in enumerate(rows.itertuples()):
        colour, pale, face = (BLUE, PALE, BLUE) if row.rank == 1 else (GREY, SILVER, "white")
        ax.plot([row.low, row.high], [place, place], color=pale, lw=5, solid_capstyle="butt")
        ax.plot(row.accuracy, place, "o", ms=7, color=colour, mfc=face, mew=1.5)
    for above in np.flatnonzero(np.diff(rows["rank"])):
        ax.axhline(above + 0.5, color=GREY, lw=0.6, ls=":")
    _rows(ax, rows["name"])
    _column(ax, 58, "accuracy", [percent(accuracy) for accuracy in rows["accuracy"]])
    _column(ax, 92, "rank", [str(row.rank) if row.low == row.low else "–" for row in rows.itertuples()])
    ends = rows[["low", "accuracy", "high"]]  # an interval that is not known is NaN, and takes no room
    _zoom(ax, "x", np.nanmin(ends), np.nanmax(ends))
    ax.set_xlabel("accuracy on the same photographs" + _told(rows))
    return ax


def plot_pareto(ax: Axes, table: pd.DataFrame) -> Axes:
    """Draws accuracy over the number of parameters; the stairs join the models that no other beats in both.

    The size of the axes is final: labels are placed where they touch neither each other nor a dot. The table is that of
    `evaluation.comparison.compare`, with the column `pareto`.
    """
    rows = table.dropna(subset=["parameters"]).sort_values(["parameters", "accuracy"])
    ax.set_xscale("log")
    wide = max(rows["parameters"].max() / rows["parameters"].min(), 2) ** 0.15
    ax.set_xlim(rows["parameters"].min() / wide, rows["parameters"].max() * wide)
    if wide < 100**0.15:
        ax.xaxis.set_major_locator(LogLocator(subs=[1, 2, 5]))
    _zoom(ax, "y", rows["accuracy"].min(), rows["accuracy"].max(), margin=0.15)
    front = rows[rows["pareto"]]
    ends = [*front["parameters"].repeat(2).iloc[1:], ax.get_xlim()[1]]
    stairs = np.column_stack([ends, front["accuracy"].repeat(2)])
    ax.plot(*stairs.T, color=BLUE, lw=1.2)
    for these, colour, face in ((front, BLUE, BLUE), (rows[~rows["pareto"]], GREY, "white")):
        ax.plot(these["parameters"], these["accuracy"], "o", ms=7, color=colour, mfc=face, mew=1.5)
    ax.set(xlabel="parameters (log scale)", ylabel="accuracy on the same photographs")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(color=FAINT)
    ax.set_axisbelow(True)
    bare(ax)
    colours = [BLUE if chosen else GREY for chosen in rows["pareto"]]
    _label_points(ax, rows["name"], rows[["parameters", "accuracy"]].to_numpy(), stairs, colours)
    return ax


def plot_ladder(ax: Axes, table: pd.DataFrame) -> Axes:
    """Draws what each step was worth, downwards, as a waterfall with the 95 % interval of each change.

    Filled bars are changes beyond noise, blue for better and orange for worse; hollow ones are within noise. The table
    is that of `evaluation.comparison.ladder`; `size_per_group` says how large, up to `MANY` steps.
    """
    rows = table.assign(before=table["accuracy"].shift()).iloc[::-1]
    for place, row in enumerate(rows.itertuples()):
        if np.isnan(row.before):
            ax.plot(row.accuracy, place, "o", ms=7, color=GREY)
        else:
            colour = BLUE if row.change >= 0 else ORANGE
            look = {"color": colour} if row.beyond_noise else {"color": "none", "edgecolor": colour, "zorder": 3}
            ax.barh(place, row.accuracy - row.before, left=row.before, height=0.56, **look)
            _interval(ax, row.before + row.low / 100, row.before + row.high / 100, place)
        if place:
            ax.plot([row.accuracy, row.accuracy], [place, place - 1], color=GREY, lw=0.8, zorder=0)
    _rows(ax, rows["name"])
    changes = ["" if np.isnan(change) else f"{change:+.1f}".replace("-", "−") for change in rows["change"]]
    _column(ax, 46, "points", changes)
    _column(ax, 106, "accuracy", [percent(accuracy) for accuracy in rows["accuracy"]])
    ends = np.concatenate([rows["accuracy"], rows["before"] + rows["low"] / 100, rows["before"] + rows["high"] / 100])
    _zoom(ax, "x", np.nanmin(ends), np.nanmax(ends))
    ax.set_xlabel("accuracy" + _told(rows, ", 95 % interval of each change") + "; hollow: within noise")
    return ax


def plot_grouped(ax: Axes, table: pd.DataFrame) -> Axes:
    """Draws the accuracy of each model, trained in two ways and tested on two sets, as bars side by side.

    The shade tells how a model was trained, hatching what it was tested on; both are written at each bar. The table has
    the columns model, trained, tested, accuracy, low, high, in the order downwards; `size_grouped` says how large.
    """
    shades = dict(zip(table["trained"].unique(), (PALE, BLUE), strict=False))
    hatches = dict(zip(table["tested"].unique(), ("", "////"), strict=False))
    bars: list[tuple[str, str]] = []  # name and value of each row, upwards
    for model, rows in reversed(list(table.groupby("model", sort=False))):
        for row in reversed(list(rows.itertuples())):
            look = {"color": shades[row.trained], "hatch": hatches[row.tested], "edgecolor": "white"}
            ax.barh(len(bars), row.accuracy, height=0.86, **look)
            _interval(ax, row.low, row.high, len(bars))
            bars.append((f"{row.trained}, {row.tested}", percent(row.accuracy)))
        bars.append((str(model), ""))
    names, values = zip(*bars, strict=True)
    _rows(ax, names)
    for tick, value in zip(ax.get_yticklabels(), values, strict=True):
        tick.set_fontweight("normal" if value else "bold")
    _column(ax, 58, "accuracy", values)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("accuracy" + _told(table))
    return ax


def _told(table: pd.DataFrame, what: str = ", 95 % interval") -> str:
    """Returns what the lines of a drawing are, and nothing where no interval is known."""
    return what if table["low"].notna().any() else ""


def size_grouped(table: pd.DataFrame) -> tuple[float, float]:
    """Returns width and height, in inches, that `plot_grouped` needs for this table."""
    return 8.0, 0.22 * (len(table) + table["model"].nunique()) + 1.0


def _rows(ax: Axes, names: Sequence[str]) -> None:
    """Names the rows of a drawing, upwards, and leaves room for a heading above the columns beside them."""
    ax.set_yticks(range(len(names)), names, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(axis="x", color=FAINT)
    ax.set_axisbelow(True)
    bare(ax)
    ax.spines["left"].set_visible(False)


def _column(ax: Axes, points: float, heading: str, texts: Sequence[str]) -> None:
    """Writes a text at the right of each row, and a heading above them, all ending so many points beside the axes."""
    for row, text in [*enumerate(texts), (len(texts) - 0.1, heading)]:
        place: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "ha": "right"}
        colour = GREY if text == heading else "black"
        ax.annotate(text, (1, row), (points, 0), va="center", color=colour, annotation_clip=False, **place)


def _interval(ax: Axes, low: float, high: float, row: float) -> None:
    """Draws the interval of a bar, to be seen on any colour."""
    halo = [withStroke(linewidth=3, foreground="white")]
    ax.plot([low, high], [row, row], color="black", lw=1.4, path_effects=halo, solid_capstyle="butt")


def _zoom(ax: Axes, name: Literal["x", "y"], low: float, high: float, margin: float = 0.04) -> None:
    """Makes an axis one of accuracies that holds these two, with a margin of this share, and few round ticks."""
    edge = max(margin * (high - low), 0.005)
    ends = (low - edge, high + edge)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(*ends)
    axis = ax.xaxis if name == "x" else ax.yaxis
    axis.set_ticks([tick for tick in ticks if ends[0] <= tick <= min(ends[1], 1)])
    axis.set_major_formatter(PercentFormatter(1, decimals=0 if ticks[1] - ticks[0] > 0.0099 else 1))
    (ax.set_xlim if name == "x" else ax.set_ylim)(ends)


def _label_points(ax: Axes, names: Sequence[str], points: np.ndarray, stairs: np.ndarray, colours: list[str]) -> None:
    """Names points (N, 2) so that a name touches no dot, no other name, no stair and no edge while a place is free.

    A name stands beside its own dot and nearer to it than to any other, or a line leads from it to the dot.
    """
    ax.figure.canvas.figure.draw_without_rendering()  # settles where everything lies
    pixels, reach = ax.transData.transform, 5 * ax.figure.dpi / 72
    dots = pixels(points)
    taken = [Bbox([dot - reach, dot + reach]) for dot in dots]
    taken += [Bbox([np.minimum(*ends), np.maximum(*ends)]) for ends in pairwise(pixels(stairs))]
    for k, (name, point, colour) in enumerate(zip(names, points, colours, strict=True)):
        note = ax.annotate(name, point, (0, 0), textcoords="offset points", color=colour, parse_math=False)
        for distance, (across, up) in product(DISTANCES, AROUND):
            note.xyann = (distance * across, distance * up)
            note.set(ha=("center", "left", "right")[across], va=("center", "bottom", "top")[up])
            box = note.get_window_extent()
            inside = ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1
            gaps = np.hypot(*np.maximum(0, np.maximum(box.min - dots, dots - box.max)).T)
            led = distance > DISTANCES[0]
            if inside and (led or gaps[k] == gaps.min()) and not any(box.overlaps(other) for other in taken):
                break
        if led:
            line = {"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 0, "shrinkB": 4}
            ax.annotate("", point, note.xyann, textcoords="offset points", arrowprops=line)
        taken.append(box.padded(2))
