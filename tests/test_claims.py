"""A figure in prose is one that a committed result holds."""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "SCRIPTS"))

import record_results  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = json.loads((ROOT / "ARTICLES" / "results.json").read_text(encoding="utf-8"))


def test_the_readme_shows_the_committed_scores():
    assert record_results.replaced(README, record_results.table(RESULTS)) == README


def test_the_committed_scores_are_whole():
    for name, result in RESULTS.items():
        for score in result["scores"]:
            right = score["accuracy"] * score["images"]
            assert abs(right - round(right)) < 1e-6, f"{name}: {score['name']} is no share of {score['images']}"
            assert score["interval"][0] <= score["accuracy"] <= score["interval"][1]
        headline = result["scores"][0]
        pooled = sum(row["accuracy"] * row["support"] for row in result["per_signer"]) / headline["images"]
        assert abs(pooled - headline["accuracy"]) < 1e-9


def test_accuracies_elsewhere_in_the_readme_are_committed_ones():
    known = {f"{100 * score['accuracy']:.1f}" for result in RESULTS.values() for score in result["scores"]}
    outside = README.split(record_results.BEGIN)[0] + README.split(record_results.END)[1]
    claimed = set(re.findall(r"(\d+\.\d) %", outside))
    assert claimed <= known, f"no committed run scored {sorted(claimed - known)}"
