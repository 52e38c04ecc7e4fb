"""A training from several seeds: one split, one table and one network each, and how far they lie apart."""

import dataclasses
import statistics

import pytest

from casestudy.report.report import summary_sentence
from casestudy.runs import Options, Wishes, run_study, verify_run
from casestudy.runs.record import Score
from casestudy.study import Phase


def test_each_seed_trains_anew_on_the_same_split(small_study, letters_zip, tmp_path):
    study = dataclasses.replace(small_study, phases=(Phase("all", "everything", epochs=1, learning_rate=1e-2),))
    run = run_study(Wishes(study, 3, seeds=2), letters_zip, tmp_path / "run")
    names = [score.name for score in run.scores()]
    assert names == ["headline", "seed-4"]
    alone = run_study(Wishes(study, 3), letters_zip, tmp_path / "alone")
    for name in ("splits.csv", "history.csv", "predictions.csv"):  # one seed more changes nothing of the first
        assert (run.path / name).read_bytes() == (alone.path / name).read_bytes()
    own, other = run.read_table("predictions.csv"), run.read_table("predictions_seed_4.csv")
    assert own["name"].tolist() == other["name"].tolist() and (own["p_A"] != other["p_A"]).all()
    assert (run.path / "seeds" / "4" / "model.keras").is_file()
    checks = verify_run(run, source=letters_zip)
    assert checks.hold and any("predictions_seed_4.csv is what seeds/4/model.keras" in what for what, _, _ in checks)


def test_the_report_says_how_far_luck_goes():
    facts = {"loss": 1.0, "interval": (0.5, 0.9), "loss_interval": (0.5, 1.5), "interval_method": "-"}

    def score(name, accuracy):
        table = "predictions.csv"
        return Score(name, "signer", "all phases", table, 10, accuracy, calibration_error=0.1, **facts)

    found = [score("headline", 0.7), score("seed-8", 0.8), score("seed-9", 0.6), score("seed-9-distorted", 0.1)]
    said = summary_sentence(found, "")
    assert "from 3 seeds on the same split, it reads 70.0 % on average, from 60.0 % to 80.0 %" in said.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert f"deviation is {100 * statistics.stdev([0.7, 0.8, 0.6]):.3g} points." in said
    assert "seeds" not in summary_sentence(found[:1], "")


@pytest.mark.parametrize("seeds", ["1", "5"])
def test_the_option_goes_there_and_back(seeds):
    wishes = Options.parse({"study": "asl", "seeds": seeds}).wishes()
    assert list(wishes.other_seeds) == list(range(8, 7 + int(seeds)))
    assert Wishes(wishes.study, 2**32 - 1, seeds=3).other_seeds == [0, 1]
    assert Options.parse({"study": "asl", "seeds": seeds}).arguments() == [
        "asl",
        *([] if seeds == "1" else ["--seeds=5"]),
    ]
