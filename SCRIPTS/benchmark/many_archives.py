"""What joining the shards of many archives costs, and how it grows: real archives, shards and ledger, drawn findings.

Each archive is a ZIP of a thousand small JPEGs by one person. Workers' tasks are done as ever but for the decoding:
what screening finds is drawn, with thumbnails that resemble each other as photographs of one person do, one copy and
one re-encoded picture in a hundred. Then another process joins the shards, and its seconds and memory are taken. All
seconds are a processor's: they hardly change when others use the machine, too.

    python SCRIPTS/benchmark/many_archives.py 10000 100000        so many photographs; needs 4 KB of disk for each
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from casestudy.cleaning import clean_archive, desk, shards
from casestudy.cleaning.screening import Screening

AN_ARCHIVE = 1000  # photographs
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXY"


def main() -> None:
    if sys.argv[1:2] == ["join"]:
        print(json.dumps(joined(Path(sys.argv[2]))))
        return
    print("| rows | archives | tasks, s | join, s | of it near copies, s | memory, MB | shards, MB | ledger, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in map(int, sys.argv[1:] or ("10000", "100000")):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            tasks = prepared(home, rows // AN_ARCHIVE)
            call = [sys.executable, __file__, "join", folder]
            found = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
            cells = [rows, rows // AN_ARCHIVE, tasks, *found.values()]
            print(
                "| " + " | ".join(f"{cell:,.0f}" if cell >= 10 else f"{cell:.1f}" for cell in cells) + " |", flush=True
            )


def prepared(home: Path, count: int) -> float:
    """Writes archives and their shards; returns the processor's seconds for the shards."""
    small = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 60)).save(small, "JPEG")
    start, rest = small.getvalue()[:2], small.getvalue()[2:]
    for k in range(count):
        with zipfile.ZipFile(home / f"archive{k:05}.zip", "w") as archive:
            for number in range(AN_ARCHIVE):
                told = f"{k} {number - number % 100 if number % 100 == 1 else number}".encode()  # one in 100 is a copy
                comment = b"\xff\xfe" + (len(told) + 2).to_bytes(2, "big") + told
                name = f"user_{k}/{LETTERS[number % 25]}{number // 25}.jpg"
                archive.writestr(name, start + comment + rest)
    shards.screen = drawn
    before = time.process_time()
    shards.Shards(archives(home), (done_here, home / "shards"), password=None, salvage=False).made()
    return time.process_time() - before


def archives(home: Path) -> list[Path]:
    return sorted(home.glob("archive*.zip"))


def done_here(make: object, tasks: list) -> None:
    for task in tasks:
        make(task)


def drawn(data: bytes) -> Screening:
    """Returns what screening might find of a photograph, by the numbers in its comment."""
    person, number = map(int, data[6 : 4 + int.from_bytes(data[4:6], "big")].split())
    copied = number % 100 == 3
    chance = np.random.default_rng([person, number - copied])
    levels = _background(person) + np.kron(chance.normal(0, 15, (8, 8)), np.ones((2, 2))) + copied
    return Screening(None, "JPEG", 640, 480, np.clip(levels, 0, 255).astype(np.uint8).tobytes())


@cache
def _background(person: int) -> np.ndarray:
    return np.kron(np.random.default_rng(person).uniform(60, 200, (4, 4)), np.ones((4, 4)))


def joined(home: Path) -> dict[str, float]:
    """Joins the shards of a folder; returns seconds, those of near copies, and megabytes: memory, shards, ledger."""
    import resource

    near, inner = [], desk.first_matches

    def timed(smalls: np.ndarray) -> np.ndarray:
        before = time.process_time()
        found = inner(smalls)
        near.append(time.process_time() - before)
        return found

    desk.first_matches = timed
    size = sum(path.stat().st_size for path in (home / "shards").iterdir())
    before, paths = time.process_time(), archives(home)
    clean_archive(paths, home / "letters.zip", progress=False, workers=1, beside=(done_here, home / "shards"))
    seconds = time.process_time() - before
    with zipfile.ZipFile(home / "letters.zip") as made:
        ledger = made.getinfo("ledger.csv").file_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"join": seconds, "near": near[0], "memory": peak, "shards": size / 1e6, "ledger": ledger / 1e6}


if __name__ == "__main__":
    main()
