"""Fills the figures into the articles and the hook document: a number in prose is one that a committed file holds.

    python -m SCRIPTS.articles.values

In a page, `<!--=name-->` and `<!--/-->` stand round a value; `values` says what each name amounts to. A test fills the
pages again and compares. `record_results` and `figures` fill them, too.
"""

from __future__ import annotations

import csv
import re
from collections import Counter

import numpy as np

from casestudy.evaluation import how_sure
from casestudy.report import decimals, interval
from casestudy.studies import STUDIES
from casestudy.words import STATUSES, duration, percent
from SCRIPTS.articles.writing import ARTICLES, read_json, write_json, write_text
from SCRIPTS.benchmark import coverage
from SCRIPTS.release.environment import ROOT

PAGES = [ROOT / "hook_document.md", *sorted(ARTICLES.glob("0?_*.md"))]
FILLED = [*PAGES, ARTICLES / "alternatives.md"]
MARK = re.compile(r"(<!--=([\w.-]+)-->)(.*?)(<!--/-->)", re.S)
# Which committed results the articles speak of.
SAMPLE = "asl_sample.rar resnet50v2 96x96 signer"
SOLID = "500 in a solid RAR"  # what the benchmark calls the archive that the article on cleaning speaks of
REAL = "asl-signers.rar resnet50v2 96x96 leave-one-signer-out"


def fill_pages() -> None:
    """Fills every page."""
    known = values()
    for path in FILLED:
        page = path.read_text(encoding="utf-8")
        if (text := filled(page, known)) != page:
            write_text(path, text)


def filled(page: str, known: dict[str, str]) -> str:
    """Returns the page with every marked value as `known` has it.

    >>> filled("It scored <!--=real.accuracy-->?<!--/-->.", {"real.accuracy": "88.8 %"})
    'It scored <!--=real.accuracy-->88.8 %<!--/-->.'
    """
    return MARK.sub(lambda mark: f"{mark[1]}{known[mark[2]]}{mark[4]}", page)


def values() -> dict[str, str]:
    """Returns what each name stands for, as it is written in prose."""
    results, facts = read("results.json"), read("articles.json")
    found: dict[str, str] = {}
    for name, result in (("sample", results[SAMPLE]), ("real", results[REAL])):
        found |= of_result(name, result)
    found |= of_run(facts["run"]) | of_statistics(facts["statistics"]) | of_seeds(facts["seeds"])
    found |= of_weights(read("weights.json")["measurements"])
    found |= of_benchmark(read("benchmark.json")["parts"]) | of_ledger() | of_study() | of_coverage(coverage.load())
    return found | {"wilson.8.10": of_images(8, 10)}


def read(name: str) -> dict:
    """Returns a committed JSON file of the articles' folder."""
    return read_json(ARTICLES / name)


def note(part: str, facts: dict) -> None:
    """Writes one part of articles.json and leaves the others."""
    path = ARTICLES / "articles.json"
    parts = read_json(path) if path.exists() else {"schema_version": 1}
    write_json(path, dict(sorted({**parts, part: facts}.items())), indent=1)


def of_result(name: str, result: dict) -> dict[str, str]:
    """Returns the values of a recorded run: each score, the weakest and the strongest signer, the flattery."""
    found = {f"{name}.weights": result["weights"], f"{name}.model": result["model"]}
    scores = {score["name"]: score for score in result["scores"]}
    for score in scores.values():
        found |= {
            f"{name}.{score['name']}": percent(score["accuracy"]),
            f"{name}.{score['name']}.interval": interval(score["interval"], " to "),
            f"{name}.{score['name']}.loss": decimals(score["loss"]),
            f"{name}.{score['name']}.images": f"{score['images']:,}",
            f"{name}.{score['name']}.calibration": points(score["calibration_error"]),
        }
    found[f"{name}.flattery"] = points(scores["head-random"]["accuracy"] - on_strangers(scores)["accuracy"])
    found[f"{name}.gain"] = points(scores["headline"]["accuracy"] - scores["head"]["accuracy"])
    by_signer = sorted(result["per_signer"], key=lambda row: row["accuracy"])
    found[f"{name}.signers"] = str(len(by_signer))
    for which, row in (("weakest", by_signer[0]), ("strongest", by_signer[-1])):
        found |= {f"{name}.{which}": percent(row["accuracy"]), f"{name}.{which}.signer": f"`{row['signer']}`"}
    return found


def on_strangers(scores: dict[str, dict]) -> dict:
    """Returns the score of the head alone on as many unseen signers as there are, as the report compares it."""
    return scores.get("head-everyone", scores["head"])


def of_run(run: dict) -> dict[str, str]:
    """Returns the values of the run whose curves, confusions and letters the articles show."""
    score = run["scores"][0]
    labels = sorted(run["per_label"], key=lambda row: (row["loss"], row["label"]))
    best, worst, pair = labels[0], labels[-1], run["most_confused"][0]
    found = {
        "run.model": f"{run['model']} at {run['image_size'][1]}×{run['image_size'][0]}",
        "run.weights": run["weights"],
        "run.accuracy": percent(score["accuracy"]),
        "run.loss": decimals(score["loss"]),
        "run.calibration": points(score["calibration_error"]),
        "run.images": str(score["images"]),
        "run.labels": str(len(labels)),
        "run.support": str(worst["support"]),
        "run.pair.label": pair["label"],
        "run.pair.predicted": pair["predicted"],
        "run.pair.count": str(pair["count"]),
        "run.bn": f"{run['batch_norm_change']}",
        "run.training": str(run["parts"]["train"]),
        "run.validation": str(run["parts"]["validation"]),
    }
    for which, row in (("best", best), ("worst", worst)):
        found |= {
            f"run.{which}.label": row["label"],
            f"run.{which}.loss": decimals(row["loss"]),
            f"run.{which}.accuracy": percent(row["accuracy"]),
            f"run.{which}.interval": of_images(round(row["accuracy"] * row["support"]), row["support"]),
        }
    return found


def of_images(right: int, images: int) -> str:
    """Returns the interval of so many photographs read rightly, each taken for a person of its own.

    >>> of_images(8, 10)
    '49.0 % to 94.3 %'
    """
    low, high = how_sure(np.arange(images) < right).interval
    return f"{percent(low)} to {percent(high)}"


def of_coverage(rows: list[dict]) -> dict[str, str]:
    """Returns how often intervals held, in worlds of a hundred: the lowest and the highest of what a cell is about."""

    def held(way: str, width: bool = False, **facts) -> str:
        """Returns both ends over all rows with these facts, and over the three spreads where none is named."""
        facts = {"way": way, "spread": ("small", "medium", "large"), **facts}
        met = [row for row in rows if all(row[k] in (v if isinstance(v, tuple) else (v,)) for k, v in facts.items())]
        found = sorted((f"{100 * row['width' if width else 'held']:.1f}" for row in met), key=float)
        return found[0] if width or found[0] == found[-1] else f"{found[0]}–{found[-1]}"

    found, several = {}, coverage.PEOPLE[1:]
    for people in coverage.PEOPLE:
        found[f"coverage.before.{people}"] = held("bootstrap", kind="share", people=people, counts=("equal", "unequal"))
        for counts in ("equal", "unequal"):
            for spread in ("none", "small", "medium", "large") if people > 2 else ():
                found[f"coverage.{people}.{counts}.{spread}"] = held(
                    "chosen", kind="share", people=people, counts=counts, spread=spread
                )
    for place, way in enumerate(coverage.WAYS):
        found[f"coverage.way.{place}"] = held(way, kind="share", people=several, counts=("equal", "unequal", "label"))
        typical = {"people": 5, "counts": "equal", "mean": 0.8, "spread": "medium"}
        found[f"coverage.width.{place}"] = held(way, width=True, kind="share", **typical)
    for kind in ("loss", "difference"):
        found[f"coverage.{kind}"] = held("chosen", kind=kind, people=several)
    found["coverage.label"] = held("chosen", kind="share", people=several, counts="label")
    found["coverage.rare"] = held("chosen", spread="one in ten", people=7)
    found["coverage.ways"], found["coverage.draws"] = str(len(coverage.WAYS)), f"{coverage.DRAWS:,}"
    return found


def of_statistics(facts: dict) -> dict[str, str]:
    """Returns the values of the walk of BatchNormalization's statistics."""
    by_batches = dict(zip(facts["batches"], facts["accuracy"], strict=True))
    found = {f"statistics.{count}": percent(accuracy) for count, accuracy in by_batches.items()}
    ends = [row["accuracy"][-1] for row in facts["per_signer"]]
    return found | {
        "statistics.new_head": percent(facts["new_head"]),
        "statistics.worst": percent(min(ends)),
        "statistics.best": percent(max(ends)),
    }


def of_seeds(facts: dict) -> dict[str, str]:
    """Returns the values of the heads that were trained with one seed after the other."""
    found = {"seeds.count": str(len(facts["training"])), "seeds.again": f"{facts['again_differs_by']}"}
    for name in ("training", "signers", "random"):
        low, high = min(facts[name]), max(facts[name])
        found |= {
            f"seeds.{name}": f"{percent(low)} to {percent(high)}",
            f"seeds.{name}.spread": points(high - low),
        }
    return found


def of_weights(measurements: dict) -> dict[str, str]:
    """Returns the values of each way to start: of the last score of each, and its time."""
    found = {}
    for key, values in measurements.items():
        name, score = "weights." + key.replace(" ", "."), values["scores"][-1]
        found |= {
            f"{name}.mean": percent(score["mean"]),
            f"{name}.weakest": percent(score["range"][0]),
            f"{name}.interval": interval(score["interval"], " to "),
            f"{name}.all": duration(values["seconds"]),
        }
    return found


def of_benchmark(parts: dict) -> dict[str, str]:
    """Returns the values of the benchmark that the article on cleaning quotes."""
    rows = {(row["what"], row["way"]): row["median"] for row in parts["screening"]["rows"]}
    solid = {(row["way"], row["unit"]): row["median"] for row in parts["cleaning"]["rows"] if SOLID in row["what"]}
    heads = {(row["way"], row["unit"]): row["median"] for row in parts["phase1"]["rows"] if row["what"] == "10 epochs"}
    damaged = "40 of them damaged"
    return {
        "phase1.plain": f"{heads['plain', 's']:.0f}",
        "phase1.ours": f"{heads['ours', 's']:.0f}",
        "phase1.difference": f"{heads['plain and ours', 'largest ΔW between them']:g}",
        "screening.ours": f"{rows[damaged, 'ours']:g}",
        "screening.load": f"{rows[damaged, 'Pillow load']:g}",
        "screening.verify": f"{rows[damaged, 'Pillow verify']:g}",
        "cleaning.500.ours": f"{solid['ours', 's']:.1f}",
        "cleaning.500.member": f"{solid['rarfile, member by member', 's']:.0f}",
    }


def of_ledger() -> dict[str, str]:
    """Returns the number of the sample's entries, in all and of each status."""
    counts = ledger_counts()
    return {"ledger.entries": f"{sum(counts.values()):,}", **{f"ledger.{k}": f"{n:,}" for k, n in counts.items()}}


def ledger_counts() -> dict[str, int]:
    """Returns how many entries of the sample have each status that occurs in it, by its key."""
    with (ROOT / "DATA" / "sample" / "asl_sample.key.csv").open(encoding="utf-8", newline="") as file:
        counts = Counter(row["status"] for row in csv.DictReader(file))
    return {status: counts[status] for status in STATUSES if status in counts}


def of_study() -> dict[str, str]:
    """Returns the study's settings: epochs and rates of its two phases."""
    found = {}
    for number_, phase in enumerate(STUDIES["asl"].phases, start=1):
        found |= {f"phase{number_}.epochs": str(phase.epochs), f"phase{number_}.rate": f"{phase.learning_rate:g}"}
    return found


def points(share: float) -> str:
    """Returns a difference of shares in percentage points, without its sign."""
    return f"{abs(100 * share):.1f} points"


if __name__ == "__main__":
    fill_pages()
