"""Writes what finished runs of the further studies scored into DATA/results, and from there the tables in prose.

    python -m SCRIPTS.articles.record_studies runs/licence-plates-licence-plates runs/fashion-mnist-fashion-mnist

One file a study, with the run's configuration and environment; `tests/test_claims.py` holds
ARTICLES/studies.md against them.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from casestudy.audit import UNMEASURED as NOT_YET, Audited, audit, current
from casestudy.choices import OWN
from casestudy.cleaning import CommandParser
from casestudy.evaluation import compare_models
from casestudy.report import interval
from casestudy.runs import RunFolder, published_table
from casestudy.runs.results import contender
from casestudy.runs.trained import Test
from casestudy.studies import STUDIES
from casestudy.study import Phase, Study
from casestudy.words import percent
from SCRIPTS.articles.writing import ARTICLES, read_json, replaced, write_json, write_text
from SCRIPTS.release.environment import ROOT

FOLDER = ROOT / "DATA" / "results"
BEGIN, END = "<!-- studies -->", "<!-- end of studies -->"
SHIFT = 0.05  # of a part; in parts that are drawn from one pot a label seldom moves so far
ASKED = "as asked"  # ends the sentence about weights that nobody chose for the run
ARTICLE, AUDIT = ARTICLES / "studies.md", ARTICLES / "audit.md"
AUDIT_MARKS = "<!-- audit -->", "<!-- end of audit -->"
UNMEASURED = "*Not measured yet: `casestudy run` has left no committed result of this study.*"


def main(arguments: list[str] | None = None) -> int:
    """Reads the run folders named on the command line; a study's earlier results are replaced."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run folders; none only writes the tables again")
    FOLDER.mkdir(exist_ok=True)
    for path in parser.parse_args(arguments).runs:
        result = summarise(RunFolder.open(path, needs="metrics.json"))
        write_json(FOLDER / f"{result['study']['name']}.json", result)
    page = replaced(ARTICLE.read_text(encoding="utf-8"), table(load()), BEGIN, END)
    write_text(ARTICLE, filled(page, load()))
    write_text(AUDIT, replaced(AUDIT.read_text(encoding="utf-8"), audit_table(audit()), *AUDIT_MARKS))
    return 0


def load() -> list[dict]:
    """Returns the committed results, by the names of their studies; without networks that are others by now."""
    return [current(read_json(path)) for path in sorted(FOLDER.glob("*.json"))]


def summarise(run: RunFolder) -> dict:
    """Returns what of a run is worth keeping: its configuration, environment, scores, comparison and copies."""
    settings = run.record.to_json()
    kept = ("study", "seed", "data", "protocol", "class_names", "weights", "machine", "environment")
    result = {key: settings[key] for key in kept}
    result["variant_weights"] = {name: said for name, (_, said) in settings["variant_weights"].items()}
    result["data"] = {key: settings["data"][key] for key in ("name", "sha256")}
    divided = run.read_table("splits.csv")
    parts = divided["part"].value_counts()
    compared = [contender(run, model) for model in run.compared()]
    rows = compare_models(compared, steps=run.record.wishes.study.ladder)["comparison.csv"].to_dict("records")
    alone = ("rank", "pareto") if len(rows) == 1 else ()  # one model is first of none
    comparison = [{k: None if value != value or k in alone else value for k, value in row.items()} for row in rows]
    return {
        **result,
        "parts": {part: int(count) for part, count in parts.items()},
        "shift": shift(divided),
        "copies": len(run.read_table("copies.csv")) if run.has("copies.csv") else 0,
        "scores": [score.to_json() for score in run.scores()],
        "comparison": comparison,
        "most_confused": run.read_table("most_confused.csv")
        .head(3)[["label", "predicted", "count"]]
        .to_dict("records"),
    }


def shift(divided: pd.DataFrame) -> list[dict]:
    """Returns the labels whose shares of training and of test differ by more than `SHIFT`, the largest first."""
    shares = pd.crosstab(divided["label"], divided["part"], normalize="columns")
    moved = (shares["test"] - shares["train"]).abs().sort_values(ascending=False, kind="stable")
    return [
        {"label": str(label), "train": float(shares["train"][label]), "test": float(shares["test"][label])}
        for label in moved[moved > SHIFT].index
    ]


def table(results: list[dict]) -> str:
    """Returns the article's first table: a row a model, what its source published beside what it scored here."""
    lines = [
        "| study | model | published | here | 95 % interval | without copies | parameters | seconds | rank |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        study, scores = result["study"], {score["name"]: score for score in result["scores"]}
        published = {variant.name: variant.published for variant in STUDIES[study["name"]].variants}
        for row in result["comparison"]:
            unique = scores.get(("headline" if row["name"] == OWN else row["name"]) + "-unique")
            cells = [study["name"], row["name"], percent(published.get(row["name"])), percent(row["accuracy"])]
            sure = interval((row["low"], row["high"]), " to ")
            rank = str(row["rank"] or "–") if sure != "–" else "–"  # two people rank nothing, nor do two runs
            cells += [sure, percent(unique and unique["accuracy"])]
            cells += [f"{row['parameters']:,.0f}", "–" if row["seconds"] is None else f"{row['seconds']:.0f}", rank]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def filled(page: str, results: list[dict]) -> str:
    """Returns the article on the studies with each one's block as the results have it."""
    found = {result["study"]["name"]: result for result in results}
    for name in STUDIES:
        if name in found or marks(name)[0] in page:
            page = replaced(page, block(found.get(name)), *marks(name))
    return page


def marks(name: str) -> tuple[str, str]:
    """Returns what stands before and after the block of a study."""
    return f"<!-- study {name} -->", f"<!-- end of study {name} -->"


def block(result: dict | None) -> str:
    """Returns what the article tells of a study's result: the table, how it was measured, what is confused.

    What a source published, and how a model deviates from it, is taken from the study as it stands now: a run computed
    neither.
    """
    if result is None:
        return UNMEASURED
    run = Study.from_json(result["study"])
    scores = {score["name"]: score["accuracy"] for score in result["scores"]}
    parameters = {row["name"]: row["parameters"] for row in result["comparison"]}
    epochs = {one.name: one.phases for one in run.variants if one.name in parameters} | {OWN: run.phases}
    lines = [
        "| model | tested on | published | reproduced | ours | without copies | epochs | parameters | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in published_table(STUDIES[run.name], pd.DataFrame(result["scores"])).itertuples():
        test = Test(distorted=row.tested == "distorted", unique=True)
        unique = ("headline" if row.model == OWN else row.model) + test.suffix
        shares = (row.published, row.reproduced, row.ours, scores.get(unique))
        cells = [row.model, row.tested, *map(percent, shares)]
        if row.model not in parameters and row.model != OWN:
            cells[3] = NOT_YET
        cells.append(most_epochs(epochs.get(row.model, ())))
        cells.append(f"{parameters[row.model]:,.0f}" if row.model in parameters else "–")
        lines.append("| " + " | ".join([*cells, row.note]) + " |")
    leaky = (
        [f"- On a random split, the same people on both sides: {percent(scores['random'])}."]
        if "random" in scores
        else []
    )
    return "\n".join([*lines, "", *leaky, *measured(run, result), confused(result)])


def most_epochs(phases: Sequence[Phase]) -> str:
    """Returns how many epochs phases have; up to so many, where one of them may end sooner."""
    early = "up to " if any(phase.patience for phase in phases) else ""
    return f"{early}{sum(phase.epochs for phase in phases)}" if phases else "–"


def measured(run: Study, result: dict) -> list[str]:
    """Returns how a result was measured: images, copies, machine, and the weights that trainings began with."""
    parts, machine = result["parts"], result["machine"]
    images = [f"{parts['train']:,} images to train"]
    images += [f"{parts['validation']:,} to choose the epoch"] if parts.get("validation") else []
    copies = f", {result['copies']:,} of them with a copy in training" if result["copies"] else ""
    images += [f"{parts['test']:,} to test{copies}."]
    some = "" if run.split.fraction == 1 else f", on {percent(run.split.fraction)} of the training images"
    own_split: dict[str, list[str]] = defaultdict(list)
    for row in result["comparison"]:
        variant = next((one for one in run.variants if one.name == row["name"]), None)
        if variant and variant.split:
            share = percent(variant.split.validation)
            own_split[f"{share} of the training part held out ({variant.split.draw})"].append(row["name"])
    other: dict[str, list[str]] = defaultdict(list)
    for name, precision in result.get("variant_precision", {}).items():
        if precision != machine["precision"]:
            other[precision].append(name)
    others = "".join(f" ({', '.join(names)} in {precision})" for precision, names in other.items())
    lines = [
        "- " + ", ".join(images),
        *(f"- {', '.join(names)}: with {words}." for words, names in own_split.items()),
        f"- On a {machine['device']}, in {machine['precision']}{others}, seed {result['seed']}{some}.",
    ]
    moved = [f"{one['label']} {percent(one['train'])} and {percent(one['test'])}" for one in result.get("shift", ())]
    lines += [f"- The parts have other mixtures, training and test: {', '.join(moved)}."] if moved else []
    began: dict[str, Any] = {**result.get("variant_weights", {}), OWN: result.get("weights")}
    named = [f"{model} from {said.split(':')[0]}" for model, said in began.items() if said and ASKED not in said]
    return [*lines, f"- Began: {'; '.join(named)}."] if named else lines


def confused(result: dict) -> str:
    """Returns what ours confuses most often, in a line."""
    pairs = [f"{row['label']} read as {row['predicted']} ({row['count']})" for row in result["most_confused"]]
    return f"- What ours confuses most often: {', '.join(pairs) or 'nothing'}."


def audit_table(rows: list[Audited]) -> str:
    """Returns an audit as a table in Markdown."""
    head = ["| study | claim | its own notebook | here | verdict |", "|---|---|---|---|---|"]
    found = []
    for row in rows:
        because = f": {row.why}" if row.why else ""
        found.append((row.study, row.claim.text, row.claim.shown, row.here, f"**{row.verdict}**{because}"))
    return "\n".join([*head, *("| " + " | ".join(cells) + " |" for cells in found)])


if __name__ == "__main__":
    sys.exit(main())
