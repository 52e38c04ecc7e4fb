"""Writes what finished runs scored into ARTICLES/results.json, and from it the README's table and the articles' values.

    python -m SCRIPTS.articles.record_results runs/asl-asl_sample runs/asl-asl_signers

A figure in the README comes from here or not at all: `tests/test_claims.py` compares the two. After new results,
`figures` draws the articles' figures again.
"""

from itertools import groupby
from pathlib import Path

from casestudy.cleaning import CommandParser
from casestudy.report import PROTOCOLS, interval
from casestudy.runs import RunFolder
from casestudy.words import percent
from SCRIPTS.articles.values import fill_pages
from SCRIPTS.articles.writing import ARTICLES, README, read_json, replaced, write_json, write_text

RESULTS = ARTICLES / "results.json"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main() -> None:
    """Reads the run folders named on the command line; results of the same data and settings are replaced."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run folders; none only writes the README again")
    results = read_json(RESULTS) if RESULTS.exists() else {}
    for path in parser.parse_args().runs:
        key, result = summarise(RunFolder.open(path))
        results[key] = result
    write_json(RESULTS, results)
    write_text(README, replaced(README.read_text(encoding="utf-8"), table(results), BEGIN, END))
    fill_pages()


def summarise(run: RunFolder) -> tuple[str, dict]:
    """Returns a key and what of a run is worth keeping: how it was made, its scores, and its seconds."""
    record, resolved, facts = run.record, run.resolved, run.facts
    study, (height, width) = record.wishes.study, resolved.machine.image_size
    key = " ".join([record.data.name, study.model.name, f"{width}x{height}", facts.protocol])
    return key, {
        "data": record.data.name,
        "drawn": facts.drawn is not None,
        "model": study.model.name,
        "image_size": [height, width],
        "weights": resolved.weights.split(":")[0],
        "cropped": facts.cropped,
        "epochs": [phase.epochs for phase in study.phases],
        "learning_rates": [phase.learning_rate for phase in study.phases],
        "seed": record.wishes.seed,
        "environment": resolved.environment,
        "scores": [score.to_json() for score in run.scores()],
        "per_signer": run.read_table("per_signer.csv")[["signer", "support", "accuracy"]].to_dict("records"),
    }


def table(results: dict[str, dict]) -> str:
    """Returns the README's tables, one for each network with a row a score; every number is from `results`."""
    lines: list[str] = []
    for model, group in groupby(results.values(), _model):
        lines += ["", model + ":", ""]
        lines += ["| data | trained | tested on | accuracy | 95 % interval |", "|---|---|---|---|---|"]
        for result in group:
            data = result["data"] + " (drawn)" * result.get("drawn", False)
            for score in result["scores"]:
                sure = interval(score["interval"], " to ")
                cells = [data, score["training"], PROTOCOLS[score["protocol"]]]
                cells += [percent(score["accuracy"]), score["interval_method"] if sure == "–" else sure]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


def _model(result: dict) -> str:
    height, width = result["image_size"]
    return f"{result['model']} at {width}×{height} pixels, started from {result['weights']}"


if __name__ == "__main__":
    main()
