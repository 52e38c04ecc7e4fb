"""Draws README's confusion matrix and the articles' six figures from committed results, and fills in their prose.

    python -m SCRIPTS.articles.figures                       draws again
    python -m SCRIPTS.articles.figures runs/asl-asl_sample   first takes a run's curves, confusions and letters
    python -m SCRIPTS.articles.figures runs/asl-asl_signers  first takes README's matrix: each signer left out once

What a figure shows stands in ARTICLES: results.json (`record_results`), benchmark.json (`SCRIPTS.benchmark.run`) and
articles.json, of which `measurements` writes two parts and this script two more, "run" and "matrix". Each picture
carries a hash of these numbers and of the code that drew it; see `stamps`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from casestudy.cleaning import CommandParser
from casestudy.files import atomic_path
from casestudy.plots import results as plots
from casestudy.plots.results import BLUE, FAINT, GREY, ORANGE, SILVER
from casestudy.runs import RunFolder
from casestudy.words import percent
from SCRIPTS.articles.record_results import summarise
from SCRIPTS.articles.stamps import KEY, Picture
from SCRIPTS.articles.values import REAL, SAMPLE, fill_pages, ledger_counts, note, on_strangers, read
from SCRIPTS.articles.writing import ARTICLES

FOLDER = ARTICLES / "figures"
DPI = 150
NAMES = {SAMPLE: "drawn sample, ResNet50V2", REAL: "photographs, ResNet50V2"}


def main() -> None:
    """Takes the facts of runs where some are named, draws all pictures and fills all pages."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run folders")
    for run in map(RunFolder.open, parser.parse_args().runs):
        if run.facts.protocol == "leave-one-signer-out":
            note("matrix", matrix_of(run))
        else:
            note("run", facts_of(run))
    FOLDER.mkdir(exist_ok=True)
    for path, picture in PICTURES.items():
        figure = picture.draw(picture.data())
        with atomic_path(path) as partial:
            figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None, KEY: picture.stamp()})
    fill_pages()


def matrix_of(run: RunFolder) -> dict:
    """Returns the labels of a run and its (K, K) counts: true labels down, predicted ones across."""
    counts = run.read_table("confusion.csv").drop(columns="label").to_numpy().tolist()
    return {"key": summarise(run)[0], "class_names": run.facts.class_names, "confusion": counts}


def facts_of(run: RunFolder) -> dict:
    """Returns what the articles tell of a run: how it was made, its scores, curves, confusions and letters."""
    result = summarise(run)[1]
    labels = run.read_table("per_label.csv")[["label", "support", "accuracy", "loss", "low", "high"]]
    history = run.read_table("history.csv")
    confused = run.read_table("most_confused.csv")[["label", "predicted", "count", "share"]].head(10)
    return {
        **matrix_of(run),
        **{name: result[name] for name in ("model", "image_size", "weights", "seed", "scores")},
        "parts": run.read_table("splits.csv")["part"].value_counts().to_dict(),
        "batch_norm_change": run.training().batch_norm_change,
        "history": history[history["metric"].isin(["accuracy", "val_accuracy"])].to_dict("records"),
        "per_label": labels.to_dict("records"),
        "most_confused": confused.to_dict("records"),
    }


def matrix(facts: dict) -> Figure:
    """Returns the confusion matrix of the photographs, every signer left out once."""
    fig, (ax,) = plots.figure(6.4, 6.4)
    plots.plot_counts(ax, np.array(facts["confusion"]), facts["class_names"])
    return fig


def transfer_learning(facts: dict) -> Figure:
    """Returns the curves of both phases, and beside them what each phase reaches on unseen signers."""
    fig, (left, right) = plots.figure(8.2, 3.5, columns=2)
    plots.plot_history(left, pd.DataFrame(facts["history"]), "accuracy")
    ends = []
    for key, colour, look in ((SAMPLE, ORANGE, "s--"), (REAL, BLUE, "o-")):
        scores = facts["scores"][key]
        values = [scores[name]["accuracy"] for name in ("head", "headline")]
        errors = _errors(values, [scores[name]["interval"] for name in ("head", "headline")])
        right.errorbar([0, 1], values, yerr=errors, color=colour, fmt=look, ms=5, capsize=3, lw=1.8)
        ends.append((values[1], key, colour))
    (low, *_), (high, *_) = ends = sorted(ends)
    push = max(0.0, 0.16 - (high - low)) / 2  # names of two lines that would touch move apart
    for (end, key, colour), shift in zip(ends, (-push, push), strict=True):
        place = (1.1, min(end + shift, 0.98))
        right.annotate(NAMES[key].replace(", ", ",\n"), place, color=colour, va="center", fontsize=9)
    right.set_xticks([0, 1], ["phase 1\nalone", "both\nphases"])
    right.set(xlim=(-0.25, 2.15), ylim=(0, 1), ylabel="accuracy on unseen signers")
    _tidy(right)
    return fig


def frozen_batch_norm(facts: dict) -> Figure:
    """Returns the accuracy on unseen signers while nothing but BatchNormalization's statistics moves."""
    fig, (ax,) = plots.figure(7.2, 3.6)
    steps = facts["batches"]
    for row in facts["per_signer"]:
        ax.plot(steps, row["accuracy"], color=SILVER, lw=1)
    ax.plot(steps, facts["accuracy"], color=BLUE, marker="o", ms=4.5, lw=2)
    ax.plot([steps[-1] + 14], [facts["new_head"]], color=ORANGE, marker="D", ms=6, ls="none", clip_on=False)
    ax.annotate("a new head on\nthe new features", (steps[-1] + 14, facts["new_head"]), (8, 0), color=ORANGE,
                textcoords="offset points", va="center", fontsize=9, annotation_clip=False)  # fmt: skip
    ax.annotate("mean of seven", (steps[-1], facts["accuracy"][-1]), (8, 0), color=BLUE, fontsize=9,
                textcoords="offset points", va="center", annotation_clip=False)  # fmt: skip
    top = max(row["accuracy"][-3] for row in facts["per_signer"])
    ax.annotate("each signer", (steps[-3], top), (8, 4), color=GREY, textcoords="offset points", fontsize=9)
    ax.set(xlim=(-4, steps[-1] + 55), ylim=(0, 1), ylabel="accuracy on unseen signers")
    ax.set_xticks([0, 45, 90, 135, 180, 225])
    ax.set_xlabel("batches of training photographs that passed (45 are one epoch); no weight was trained")
    _tidy(ax)
    return fig


def leakage(facts: dict) -> Figure:
    """Returns the same head on the same features under two splits, each with its interval."""
    fig, (ax,) = plots.figure(7.2, 2.9)
    ways = (("head", BLUE, "o", "unseen signers", -1), ("head-random", ORANGE, "s", "random", 1))
    for place, key in enumerate((SAMPLE, REAL)):
        scores = {**facts[key], "head": on_strangers(facts[key])}
        values = [scores[name]["accuracy"] for name in ("head", "head-random")]
        ax.plot(values, [place, place], color=SILVER, lw=6, zorder=1, solid_capstyle="round")
        for name, colour, mark, label, shift in ways:
            accuracy = scores[name]["accuracy"]
            errors = _errors([accuracy], [scores[name]["interval"]])
            ax.errorbar([accuracy], [place], xerr=errors, fmt=mark, ms=7, color=colour, capsize=3)
            ax.annotate(f"{label}\n{percent(accuracy)}", (accuracy, place), (0, 10 * shift), color=colour, fontsize=9,
                        textcoords="offset points", ha="center", va="bottom" if shift > 0 else "top")  # fmt: skip
    ax.set_yticks([0, 1], [NAMES[SAMPLE].replace(", ", ",\n"), NAMES[REAL].replace(", ", ",\n")])
    ax.set(xlim=(0, 1), ylim=(-0.6, 1.6), xlabel="accuracy of the head that phase 1 trains, 95 % interval")
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def confusion(run: dict) -> Figure:
    """Returns the confusion matrix of a run, and beside it each letter's loss over its accuracy."""
    names = run["class_names"]
    fig = Figure(figsize=(12.2, 6.6), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=[1.35, 1])
    plots.plot_counts(left, np.array(run["confusion"]), names)
    table = pd.DataFrame(run["per_label"])
    right.scatter(table["accuracy"], table["loss"], s=14, color=SILVER)
    for (accuracy, _), rows in table.groupby(["accuracy", table["loss"].round(1)]):  # letters that would touch
        labels = rows.sort_values("label")["label"]
        text = " ".join(labels) if len(rows) <= 4 else f"{len(rows)} letters"
        right.annotate(text, (accuracy, rows["loss"].mean()), (6, 0), textcoords="offset points", va="center",
                       color=BLUE, fontsize=10, parse_math=False)  # fmt: skip
    chance = float(np.log(len(names)))
    right.axhline(chance, color=GREY, lw=1, ls="--")
    right.annotate(f"guessing all {len(names)} alike: {chance:.2f}", (1.0, chance), (0, 4), color=GREY, fontsize=9,
                   textcoords="offset points", ha="right")  # fmt: skip
    right.set_xticks(np.arange(0, 1.01, 0.2))
    right.set(
        xlim=(-0.03, 1.22), ylim=(-0.12, None), xlabel="accuracy of the letter", ylabel="loss of the letter, nats"
    )
    right.xaxis.set_major_formatter(PercentFormatter(1))
    right.spines[["top", "right"]].set_visible(False)
    return fig


def cleaning(facts: dict) -> Figure:
    """Returns what became of the sample's entries, and what three ways of screening find among damaged files."""
    fig, (left, right) = plots.figure(8.2, 3.0, columns=2)
    counts, ways = facts["entries"], facts["found"]
    names = list(counts)[::-1]
    for place, name in enumerate(names):
        colour, mark = (BLUE, "o") if name in ("kept", "duplicate") else (ORANGE, "s")
        left.scatter([counts[name]], [place], s=70, color=colour, marker=mark, zorder=3)
        left.annotate(f"{counts[name]:,}", (counts[name], place), (8, 0), textcoords="offset points", va="center")
    left.set_yticks(range(len(names)), names)
    left.set_xscale("log")
    left.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    left.minorticks_off()
    left.grid(axis="x", color=FAINT)
    left.set(
        xlim=(0.7, 6000),
        ylim=(-0.6, len(names) - 0.4),
        xlabel="entries of the sample's archive",
        title="every entry is a row",
    )
    order = ["Pillow verify", "Pillow load", "ours"]
    right.barh([0, 1, 2], [40] * 3, color=FAINT)
    right.barh([0, 1, 2], [ways[way] for way in order], color=[ORANGE, ORANGE, BLUE])
    for place, way in enumerate(order):
        right.annotate(f"{ways[way]:.0f} of 40", (40, place), (5, 0), textcoords="offset points", va="center")
    right.set_yticks([0, 1, 2], ["Pillow\nverify", "Pillow\nload", "this\nproject"])
    right.set(xlim=(0, 51), xlabel="damaged files found, among 2,000", title="strict decoding finds more")
    for ax in (left, right):
        ax.title.set_fontsize(10)
        ax.spines[["top", "right"]].set_visible(False)
    return fig


def seeds(facts: dict) -> Figure:
    """Returns the accuracies of heads that differ in nothing but a seed, by what the seed decides."""
    rows = {
        "again": "the same seed\nonce more",
        "training": "initial weights,\norder, dropout",
        "signers": "who is in\nthe test part",
        "random": "which photographs\n(random split)",
    }
    shown = {"again": [facts["training"][0]] * 2, **{name: facts[name] for name in list(rows)[1:]}}
    fig, (ax,) = plots.figure(7.2, 3.4)
    for place, name in enumerate(list(rows)[::-1]):
        found = sorted(shown[name])
        colour, mark = (ORANGE, "s") if name == "random" else (BLUE, "o")
        ax.plot([found[0], found[-1]], [place, place], color=SILVER, lw=6, zorder=1, solid_capstyle="round")
        ax.scatter(found, [place] * len(found), color=colour, marker=mark, s=34, alpha=0.65, lw=0, zorder=2)
        spread = 100 * (found[-1] - found[0])
        ax.annotate(f"spread {spread:.1f} points", (found[-1], place), (10, 0), color=colour, fontsize=9,
                    textcoords="offset points", va="center")  # fmt: skip
    ax.set_yticks(range(4), [rows[name] for name in list(rows)[::-1]])
    low = min(min(found) for found in shown.values())
    ax.set(xlim=(np.floor(10 * low) / 10, 1.12), ylim=(-0.6, 3.6), xlabel="accuracy of the head that phase 1 trains")
    ax.set_xticks(np.arange(np.floor(10 * low) / 10, 1.01, 0.1))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def _errors(values: list[float], intervals: list[list[float | None]]) -> np.ndarray:
    """Returns how far both ends (2, N) of each interval are from its value; NaN, and not drawn, where there is none."""
    return np.abs(np.array(intervals, dtype=float).T - np.array(values))


def _tidy(ax: Axes) -> None:
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.spines[["top", "right"]].set_visible(False)


def _scores() -> dict[str, dict[str, dict]]:
    """Returns the recorded scores by the keys of their runs and by their names."""
    results = read("results.json")
    return {key: {score["name"]: score for score in results[key]["scores"]} for key in (SAMPLE, REAL)}


def _cleaned() -> dict[str, dict]:
    """Returns the sample's entries by status, and how many damaged files each way of screening found."""
    rows = read("benchmark.json")["parts"]["screening"]["rows"]
    found = {row["way"]: row["median"] for row in rows if row["what"] == "40 of them damaged"}
    return {"entries": ledger_counts(), "found": found}


def _part(name: str) -> dict:
    return read("articles.json")[name]


# Each article's figure: what draws it, and of which committed numbers.
FIGURES: dict[str, tuple[Callable[[dict], Figure], Callable[[], dict]]] = {
    "01_transfer_learning": (transfer_learning, lambda: {"history": _part("run")["history"], "scores": _scores()}),
    "02_frozen_batchnorm": (frozen_batch_norm, lambda: _part("statistics")),
    "03_leakage": (leakage, _scores),
    "04_confusion_and_loss": (confusion, lambda: _part("run")),
    "05_cleaning": (cleaning, _cleaned),
    "06_reproducibility": (seeds, lambda: _part("seeds")),
}
COMMAND = "python -m SCRIPTS.articles.figures"
PICTURES = {
    ARTICLES / "confusion_asl_signers.png": Picture(COMMAND, matrix, lambda: _part("matrix")),
    **{FOLDER / f"{name}.png": Picture(COMMAND, draw, data) for name, (draw, data) in FIGURES.items()},
}


if __name__ == "__main__":
    main()
