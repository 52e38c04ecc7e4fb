"""Draws numbers that others computed: every function takes an `Axes` and returns it."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

BLUE, ORANGE, GREY = "#2166ac", "#d6604d", "#777777"  # told apart by colour-blind eyes and on grey paper


def figure(width: float = 6.4, height: float = 4.0, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Returns a figure that no global state knows of, and its axes side by side; sizes in inches."""
    fig = Figure(figsize=(width, height), layout="constrained", dpi=110)
    return fig, list(np.atleast_1d(fig.subplots(1, columns)))


def plot_history(ax: Axes, history: pd.DataFrame, metric: str) -> Axes:
    """Draws a metric and its validation twin over all epochs, phase after phase, with the boundaries marked."""
    offset = 0
    for phase in history["phase"].unique():
        of_phase = history[history["phase"] == phase]
        for name, colour, label in ((metric, BLUE, "training"), (f"val_{metric}", ORANGE, "validation")):
            rows = of_phase[of_phase["metric"] == name]
            ax.plot(rows["epoch"] + offset, rows["value"], marker="o", ms=3.5, color=colour, label=label)
        if offset:
            ax.axvline(offset + 0.5, color=GREY, lw=1, ls="--")
        last = int(of_phase["epoch"].max())
        ax.text(
            offset + (last + 1) / 2,
            1.01,
            phase,
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            color=GREY,
        )
        offset += last
    handles = dict(zip(ax.get_legend_handles_labels()[1], ax.get_legend_handles_labels()[0], strict=True))
    ax.legend(handles.values(), handles.keys(), frameon=False)
    ax.set(xlabel="epoch", ylabel=metric)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if metric == "accuracy":
        ax.set_ylim(0, 1)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_confusion(ax: Axes, confusion: np.ndarray, rates: np.ndarray, class_names: list[str]) -> Axes:
    """Draws int (K, K) counts shaded by float (K, K) rates of each row; true labels down, predicted labels across."""
    rates = np.nan_to_num(rates)
    ax.imshow(rates, cmap=mpl.colormaps["Blues"], vmin=0, vmax=1)
    size = 8 if len(class_names) <= 30 else 5
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if rates[row, column] > 0.55 else "black"
            ax.text(column, row, str(count), ha="center", va="center", fontsize=size, color=colour)
    ticks = range(len(class_names))
    ax.set_xticks(ticks, class_names, fontsize=size + 1, parse_math=False)  # a name is no formula
    ax.set_yticks(ticks, class_names, fontsize=size + 1, parse_math=False)
    ax.set_xticks(np.arange(len(class_names)) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(class_names)) - 0.5, minor=True)
    ax.grid(which="minor", color="#e4e4e4", lw=0.5)
    ax.tick_params(which="both", length=0)
    ax.tick_params(labeltop=True)
    ax.set(xlabel="predicted label", ylabel="true label")
    return ax


def plot_per_group(ax: Axes, table: pd.DataFrame, name: str) -> Axes:
    """Draws the accuracy of each label (or signer) with its interval, the weakest at the top."""
    rows = table.dropna(subset=["accuracy"]).sort_values("accuracy", ascending=False)
    places = np.arange(len(rows))
    errors = np.vstack([rows["accuracy"] - rows["low"], rows["high"] - rows["accuracy"]]).clip(0)
    ax.errorbar(rows["accuracy"], places, xerr=errors, fmt="o", ms=4, color=BLUE, ecolor="#9ec3e0", elinewidth=2)
    ax.set_yticks(places, rows[name], parse_math=False)
    ax.set(xlim=(-0.02, 1.02), xlabel="accuracy, 95 % interval", ylabel=name)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(axis="x", color="#e4e4e4")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def plot_reliability(ax: Axes, bins: pd.DataFrame) -> Axes:
    """Draws how often the model is right over how sure it says it is; the diagonal is perfect honesty."""
    ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    area = 20 + 180 * bins["support"] / bins["support"].max()
    ax.plot(bins["confidence"], bins["accuracy"], color=BLUE, lw=1)
    ax.scatter(bins["confidence"], bins["accuracy"], s=area, color=BLUE, clip_on=False, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.spines[["top", "right"]].set_visible(False)
    return ax
