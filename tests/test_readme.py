"""README is a front door of one screen or two; what the page of commands says of Python is done, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (ROOT / "ARTICLES" / "commands.md").read_text(encoding="utf-8")


def test_the_front_door_is_small_and_shows_the_report():
    """The limit is 8 KB; the three doors, and what a reader needs first, stand in it."""
    readme = (ROOT / "README.md").read_bytes()
    assert len(readme) <= 8 * 1024
    titles = re.findall(r"^## (.+)$", readme.decode(), re.M)
    assert titles == ["Two commands", "Three doors", "What comes out", "To read", "Licence"]
    before, after = readme.decode().split("## Two commands")
    assert "](ARTICLES/figures/page_report.png)" in before
    assert all(f"\n**{door}**" in after for door in ("Students", "Instructors", "Only an archive?"))
    assert (ROOT / "ARTICLES/figures/page_report.png").stat().st_size <= 200_000


def test_the_verbs_run_as_they_stand_there(tmp_path, monkeypatch, draw, encode, capsys):
    """On photographs of three signers, with a small network: the code itself is not changed."""
    import casestudy as cs

    for signer in range(1, 4):
        (tmp_path / "photos.rar" / f"user_{signer}").mkdir(parents=True)  # a folder is as good as an archive
        for label in "ABC":
            for take in range(3):
                photograph = tmp_path / "photos.rar" / f"user_{signer}" / f"{label}{take}.png"
                photograph.write_bytes(encode(draw(label, signer, take)))
    model = cs.ModelSpec("small_cnn", weights=None)
    phases = (cs.Phase("head", "head", 1, 1e-2), cs.Phase("tune", "all", 1, 1e-3))
    small = cs.Study("asl", "Small", "the tests", model, phases, cs.SplitSpec())
    monkeypatch.setattr(cs, "STUDIES", {"asl": small}, raising=False)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", COMMANDS, re.S)
    names: dict[str, object] = {}
    exec(code, names)
    result, splits = names["result"], names["splits"]
    assert len(result.predictions) == len(splits.test) == 9
    right = result.predictions["label"] == result.predictions["predicted"]
    assert result.accuracy == np.mean(right)
    assert str(result.accuracy) in capsys.readouterr().out
    assert list(names["training"].seconds) == ["head", "tune"]
    assert (tmp_path / "first" / "checkpoints").is_dir() and (tmp_path / "letters.zip").is_file()
