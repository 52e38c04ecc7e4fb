"""Writes what finished runs scored into ARTICLES/results.json, and from it the README's table and the articles' values.

    python SCRIPTS/record_results.py runs/asl-asl_sample runs/asl-asl_signers

A figure in the README comes from here or not at all: `tests/test_claims.py` compares the two. After new results,
`article_figures.py` draws the articles' figures again.
"""

import argparse
import json
import sys
from pathlib import Path

import article_values

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from casestudy.files import atomic_path  # noqa: E402
from casestudy.report.pages import percent  # noqa: E402
from casestudy.report.report import PROTOCOLS  # noqa: E402
from casestudy.runs.folder import RunFolder  # noqa: E402

RESULTS = ROOT / "ARTICLES" / "results.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def main() -> None:
    """Reads the run folders named on the command line; results of the same data and settings are replaced."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="finished run folders; none only writes the README again")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for path in parser.parse_args().runs:
        key, result = summarise(RunFolder.open(path))
        results[key] = result
    write(RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    write(README, replaced(README.read_text(encoding="utf-8"), table(results)))
    article_values.main()


def summarise(run: RunFolder) -> tuple[str, dict]:
    """Returns a key and what of a run is worth keeping: how it was made, its scores, and its seconds."""
    settings, scores = run.settings, run.read_json("metrics.json")["scores"]
    model, (height, width) = settings["study"]["model"]["name"], settings["machine"]["image_size"]
    key = " ".join([settings["data"]["name"], model, f"{width}x{height}", settings["protocol"]])
    return key, {
        "data": settings["data"]["name"],
        "model": model,
        "image_size": [height, width],
        "weights": settings["weights"].split(":")[0],
        "cropped": settings["cropped"],
        "epochs": [phase["epochs"] for phase in settings["study"]["phases"]],
        "learning_rates": [phase["learning_rate"] for phase in settings["study"]["phases"]],
        "seed": settings["seed"],
        "environment": settings["environment"],
        "scores": scores,
        "per_signer": run.read_table("per_signer.csv")[["signer", "support", "accuracy"]].to_dict("records"),
    }


def table(results: dict[str, dict]) -> str:
    """Returns the README's table: a row a score, every number from `results`."""
    lines = [
        "| data | model, starting weights | trained | tested on | accuracy | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for result in results.values():
        height, width = result["image_size"]
        model = f"{result['model']} at {width}×{height}, {result['weights']}"
        for score in result["scores"]:
            cells = [result["data"], model, score["training"], PROTOCOLS[score["protocol"]]]
            cells += [percent(score["accuracy"]), " to ".join(percent(end) for end in score["interval"])]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def replaced(page: str, block: str, begin: str = BEGIN, end: str = END) -> str:
    """Returns the page, by default the README, with the block between its two markers."""
    before, rest = page.split(begin)
    return f"{before}{begin}\n{block}\n{end}{rest.split(end)[1]}"


def write(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
