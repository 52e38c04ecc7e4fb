"""Axes in, the same axes out; the numbers of a comparison stand on them, and no names touch."""

import io
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors

from casestudy.evaluation.comparison import pareto
from casestudy.plots import comparison as comparison_plots, results as plots


def saved(fig) -> bytes:
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    return buffer.getvalue()


def models(count: int) -> pd.DataFrame:
    """Returns a table as `compare` does, of models that grow and get better, save some; two share the first rank."""
    accuracy = 0.9 - 0.02 * np.arange(count)
    return pd.DataFrame(
        {
            "name": [f"network no. {k}" for k in range(count)],
            "parameters": (3e6 / 1.7 ** np.arange(count) * np.where(np.arange(count) % 3 == 2, 9, 1)).astype(int),
            "accuracy": accuracy,
            "low": accuracy - 0.015,
            "high": accuracy + 0.012,
            "rank": [1, 1, *range(3, count + 1)],
        }
    )


def steps() -> pd.DataFrame:
    """Returns a table as `ladder` does: a clear gain, a small one, a clear loss."""
    return pd.DataFrame(
        {
            "name": ["dense", "+ ReLU", "+ dropout", "- scaling"],
            "accuracy": [0.60, 0.70, 0.705, 0.65],
            "change": [np.nan, 10.0, 0.5, -5.5],
            "low": [np.nan, 8.0, -1.0, -7.0],
            "high": [np.nan, 12.0, 2.0, -4.0],
            "beyond_noise": [False, True, False, True],
        }
    )


def grid(count: int = 2) -> pd.DataFrame:
    rows = [
        (f"model {k}", trained, tested, accuracy, accuracy - 0.02, accuracy + 0.02)
        for k in range(count)
        for trained, tested, accuracy in (
            ("plain", "clean", 0.8),
            ("plain", "augmented", 0.5),
            ("augmented", "clean", 0.82),
            ("augmented", "augmented", 0.7),
        )
    ]
    return pd.DataFrame(rows, columns=["model", "trained", "tested", "accuracy", "low", "high"])


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text()]


def touching(artists) -> list[tuple[str, str]]:
    boxes = [(artist.get_text(), artist.get_window_extent()) for artist in artists if artist.get_text()]
    return [(one[0], other[0]) for one, other in combinations(boxes, 2) if one[1].overlaps(other[1])]


def test_models_that_two_people_tested_are_dots_without_intervals(recwarn):
    fig, (ax,) = plots.figure(4, 3)
    comparison_plots.plot_models(ax, models(3).assign(low=np.nan, high=np.nan))
    fig.draw_without_rendering()
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert all(ax.get_xlim()[0] < dot < ax.get_xlim()[1] for dot in dots) and len(dots) == 3
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("count", [2, 5, 12])
def test_models_stand_by_rank_with_their_intervals(count, recwarn):
    table = models(count)
    fig, (ax,) = plots.figure(*plots.size_per_group(table["name"]))
    assert comparison_plots.plot_models(ax, table.sample(frac=1, random_state=3)) is ax
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == table["name"].tolist()[::-1]  # upwards: the best at the top
    dots = {round(line.get_ydata()[0]): line for line in ax.lines if line.get_marker() == "o"}
    assert [dots[k].get_xdata()[0] for k in range(count)] == table["accuracy"].tolist()[::-1]
    filled = [colors.to_hex(dots[k].get_markerfacecolor()) != "#ffffff" for k in range(count)]
    assert filled == [rank == 1 for rank in table["rank"].tolist()[::-1]]
    bars = [tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 5]
    assert bars == list(zip(table["low"], table["high"], strict=True))[::-1]
    shown = texts(ax)
    assert shown[:count] == [f"{100 * accuracy:.1f} %" for accuracy in table["accuracy"][::-1]]
    assert shown[count + 1 : 2 * count + 1] == [str(rank) for rank in table["rank"][::-1]]
    assert len([line for line in ax.lines if line.get_linestyle() == ":"]) == count - 2  # between ranks, not in one
    fig.draw_without_rendering()
    assert touching([*ax.texts, *ax.get_yticklabels()]) == []
    assert all(text.get_window_extent().x1 <= fig.bbox.x1 for text in ax.texts)
    assert not [w for w in recwarn if "layout" in str(w.message)]
    assert saved(fig)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_front_is_drawn_and_every_point_named(count):
    table = models(count)
    table["pareto"] = pareto(table)
    fig, (ax,) = plots.figure(7.2, 4.6)
    assert comparison_plots.plot_pareto(ax, table) is ax
    assert ax.get_xscale() == "log"
    stairs, front, rest = ax.lines
    best = table[table["pareto"]].sort_values("parameters")
    assert front.get_xydata().tolist() == best[["parameters", "accuracy"]].to_numpy().tolist()
    assert len(rest.get_xdata()) == (~table["pareto"]).sum()
    assert stairs.get_xydata()[0].tolist() == front.get_xydata()[0].tolist()
    assert stairs.get_ydata()[-1] == best["accuracy"].iloc[-1]
    assert sorted(texts(ax)) == sorted(table["name"])
    fig.draw_without_rendering()
    assert touching(ax.texts) == []
    assert saved(fig)


def test_names_of_close_points_keep_apart_and_inside():
    chance = np.random.default_rng(5)
    table = pd.DataFrame({"name": [f"MobileNetV2 0.{k}" for k in range(12)]})
    table["parameters"] = 3e6 * 10 ** chance.normal(0, 0.12, 12)
    table["accuracy"] = 0.9 + chance.normal(0, 0.006, 12)
    fig, (ax,) = plots.figure(7.2, 4.6)
    comparison_plots.plot_pareto(ax, table.assign(pareto=pareto(table)))
    fig.draw_without_rendering()
    assert touching(ax.texts) == []
    named = [text.get_window_extent() for text in ax.texts if text.get_text()]
    dots = [dot for line in ax.lines[1:] for dot in ax.transData.transform(line.get_xydata())]
    assert not any(box.contains(*dot) for box in named for dot in dots)
    assert all(ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 for box in named)


def test_a_name_without_a_line_stands_nearest_to_its_own_dot():
    table = pd.DataFrame({"name": ["lower", "upper"], "parameters": [2e6, 2e6], "accuracy": [0.607, 0.617]})
    table.loc[2] = ["far", 2e7, 0.85]
    fig, (ax,) = plots.figure(7.2, 4.6)
    comparison_plots.plot_pareto(ax, table.assign(pareto=pareto(table)))
    fig.draw_without_rendering()
    for note in ax.texts:
        box, dots = note.get_window_extent(), ax.transData.transform(table[["parameters", "accuracy"]])
        gaps = [np.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1)) for x, y in dots]
        assert table["name"][int(np.argmin(gaps))] == note.get_text()


def test_a_ladder_goes_down_from_the_accuracy_before():
    table = steps()
    fig, (ax,) = plots.figure(*plots.size_per_group(table["name"]))
    assert comparison_plots.plot_ladder(ax, table) is ax
    assert [tick.get_text() for tick in ax.get_yticklabels()] == table["name"].tolist()[::-1]
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in ax.patches}
    assert [(bars[k].get_x(), bars[k].get_x() + bars[k].get_width()) for k in (2, 1, 0)] == [
        pytest.approx((0.60, 0.70)),
        pytest.approx((0.70, 0.705)),
        pytest.approx((0.705, 0.65)),
    ]
    assert [bars[k].get_facecolor()[3] > 0 for k in (2, 1, 0)] == [True, False, True]  # within noise: hollow
    assert [colors.to_hex(bars[k].get_facecolor()) for k in (2, 0)] == [plots.BLUE, plots.ORANGE]
    assert colors.to_hex(bars[1].get_edgecolor()) == plots.BLUE
    ends = {line.get_ydata()[0]: line.get_xdata() for line in ax.lines if line.get_path_effects()}
    assert [ends[k] for k in (2, 1, 0)] == [
        pytest.approx([0.68, 0.72]),
        pytest.approx([0.69, 0.72]),
        pytest.approx([0.635, 0.665]),
    ]
    assert texts(ax)[:3] == ["−5.5", "+0.5", "+10.0"]
    assert "60.0 %" in texts(ax)
    fig.draw_without_rendering()
    assert touching([*ax.texts, *ax.get_yticklabels()]) == []
    assert saved(fig)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_groups_keep_their_order_and_say_what_they_are(count):
    table = grid(count)
    fig, (ax,) = plots.figure(*comparison_plots.size_grouped(table))
    assert comparison_plots.plot_grouped(ax, table) is ax
    labels = [tick.get_text() for tick in ax.get_yticklabels()][::-1]  # downwards
    assert labels[:5] == ["model 0", "plain, clean", "plain, augmented", "augmented, clean", "augmented, augmented"]
    assert len(labels) == 5 * count
    bars = sorted(ax.patches, key=lambda bar: -bar.get_y())
    assert [bar.get_width() for bar in bars] == table["accuracy"].tolist()
    assert ax.get_xlim() == (0, 1)  # a bar begins at nothing
    looks = [(colors.to_hex(bar.get_facecolor()), bar.get_hatch() or "") for bar in bars[:4]]
    assert looks == [(plots.PALE, ""), (plots.PALE, "////"), (plots.BLUE, ""), (plots.BLUE, "////")]
    fig.draw_without_rendering()
    assert touching([*ax.texts, *ax.get_yticklabels()]) == []
    assert saved(fig)


def test_shades_differ_on_grey_paper():
    def lightness(colour):
        return float(np.dot(colors.to_rgb(colour), (0.299, 0.587, 0.114)))

    assert lightness(plots.PALE) - lightness(plots.BLUE) > 0.25


def test_accuracies_are_never_ticked_above_all():
    table = models(2).assign(accuracy=[0.999, 0.998], low=[0.995, 0.994], high=[1.0, 0.9995])
    for draw in (
        comparison_plots.plot_models,
        lambda ax, table: comparison_plots.plot_pareto(ax, table.assign(pareto=True)),
    ):
        (ax,) = plots.figure()[1]
        draw(ax, table)
        axis = ax.xaxis if draw is comparison_plots.plot_models else ax.yaxis
        assert max(axis.get_ticklocs()) <= 1
        assert len(axis.get_ticklocs()) >= 2
        ticks = [tick.get_text() for tick in axis.get_ticklabels()]
        assert len(set(ticks)) == len(ticks)


def test_intervals_that_are_not_known_are_not_drawn(recwarn):
    draws = (
        (comparison_plots.plot_models, models(4), "accuracy on the same photographs"),
        (comparison_plots.plot_ladder, steps(), "accuracy; hollow: within noise"),
        (comparison_plots.plot_grouped, grid(), "accuracy"),
    )
    for draw, known, label in draws:
        figs = {}
        for some in (False, True):
            table = known.copy()
            table.loc[table.index[1:] if some else table.index, ["low", "high"]] = np.nan
            figs[some], (ax,) = plots.figure()
            draw(ax, table)
            assert saved(figs[some])
            spoken = [ax.get_xlabel(), *texts(ax), *(tick.get_text() for tick in ax.get_xticklabels())]
            assert not [text for text in spoken if "nan" in text.lower()]
            if not some:
                assert ax.get_xlabel() == label
                low, high = ax.get_xlim()
                assert low < known["accuracy"].min() and known["accuracy"].max() < high
    assert not recwarn.list


@pytest.mark.parametrize("name", ["$\\bad$", "a_b^c", "$", "<b>", "ß"])
def test_any_name_can_be_drawn(name):
    for draw, table in (
        (comparison_plots.plot_models, models(3).assign(name=[name, "B", "C"])),
        (comparison_plots.plot_pareto, models(3).assign(name=[name, "B", "C"], pareto=[True, False, False])),
        (comparison_plots.plot_ladder, steps().assign(name=[name, "B", "C", "D"])),
        (comparison_plots.plot_grouped, grid().assign(trained=[name, name, "B", "B"] * 2)),
    ):
        fig, (ax,) = plots.figure()
        draw(ax, table)
        assert saved(fig)
