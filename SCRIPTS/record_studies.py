"""Writes what finished runs of the further studies scored into DATA/results, and from there the README's table.

    python SCRIPTS/record_studies.py runs/licence-plates-licence-plates runs/fashion-mnist-fashion-mnist

One file a study, with the run's configuration and environment; `tests/test_claims.py` holds the README against them.
"""

import argparse
import json
import sys
from pathlib import Path

from record_results import README, ROOT, replaced, write  # which finds the package, too

from casestudy.pages import percent
from casestudy.results import OWN
from casestudy.runs import RunFolder

FOLDER = ROOT / "DATA" / "results"
BEGIN, END = "<!-- studies -->", "<!-- end of studies -->"


def main(arguments: list[str] | None = None) -> int:
    """Reads the run folders named on the command line; a study's earlier results are replaced."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run folders; none only writes the README again")
    FOLDER.mkdir(exist_ok=True)
    for path in parser.parse_args(arguments).runs:
        result = summarise(RunFolder.open(path, needs="comparison.csv"))
        write(FOLDER / f"{result['study']['name']}.json", json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    page = README.read_text(encoding="utf-8")
    write(README, replaced(page, table(load()), BEGIN, END))
    return 0


def load() -> list[dict]:
    """Returns the committed results, by the names of their studies."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def summarise(run: RunFolder) -> dict:
    """Returns what of a run is worth keeping: its configuration, environment, scores, comparison and copies."""
    settings = run.settings
    kept = ("study", "seed", "data", "protocol", "class_names", "machine", "environment")
    result = {key: settings[key] for key in kept}
    result["data"] = {key: settings["data"][key] for key in ("name", "sha256")}
    parts = run.read_table("splits.csv")["part"].value_counts()
    rows = run.read_table("comparison.csv").to_dict("records")
    comparison = [{key: None if value != value else value for key, value in row.items()} for row in rows]  # NaN
    return {
        **result,
        "parts": {part: int(count) for part, count in parts.items()},
        "copies": len(run.read_table("copies.csv")) if run.has("copies.csv") else 0,
        "scores": run.read_json("metrics.json")["scores"],
        "comparison": comparison,
        "most_confused": run.read_table("most_confused.csv")
        .head(3)[["label", "predicted", "count"]]
        .to_dict("records"),
    }


def table(results: list[dict]) -> str:
    """Returns the README's table: a row a model, what its source published beside what it scored here."""
    lines = [
        "| study | model | published | here | 95 % interval | without copies | parameters | seconds | rank |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        study, scores = result["study"], {score["name"]: score for score in result["scores"]}
        published = {variant["name"]: variant["published"] for variant in study["variants"]}
        for row in result["comparison"]:
            unique = scores.get(("headline" if row["name"] == OWN else row["name"]) + "-unique")
            cells = [study["name"], row["name"], percent(published.get(row["name"])), percent(row["accuracy"])]
            cells += [f"{percent(row['low'])} to {percent(row['high'])}", percent(unique and unique["accuracy"])]
            cells += [f"{row['parameters']:,.0f}", f"{row['seconds']:.0f}", str(row["rank"])]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
