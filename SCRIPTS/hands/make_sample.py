"""Draws the embedded sample: DATA/sample/asl_sample.rar, the key to what is planted in it, and a contact sheet.

    python -m SCRIPTS.hands.make_sample            draw all three (about a minute)
    python -m SCRIPTS.hands.make_sample --check    draw them again elsewhere and compare
    python -m SCRIPTS.hands.make_sample --pages runs/hands    draw every letter of every signer, large, to look at

Seeds, times and order are fixed, so the same program draws the same bytes. JPEG and PNG bytes come from the encoders
inside Pillow, hence from the version that requirements.lock pins; the pixels come from NumPy in double precision.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from casestudy.cleaning import CommandParser
from casestudy.files import atomic_path
from SCRIPTS.articles.stamps import Picture, stamp
from SCRIPTS.hands.drawing import render_hand
from SCRIPTS.hands.handshapes import LETTERS
from SCRIPTS.hands.rar5 import stored_rar5
from SCRIPTS.hands.scenes import skin_tone
from SCRIPTS.hands.signers import Signer, random_signer
from SCRIPTS.release.environment import ROOT

ARCHIVE, KEY = "DATA/sample/asl_sample.rar", "DATA/sample/asl_sample.key.csv"
SHEET = "ARTICLES/sample_contact_sheet.jpg"
SEED, SIZE, SHOTS = 2, 128, 5

# name -> tone on the ten-step Monk scale (1 lightest), what stands behind, left-handed
CAST = {
    "user_2": (3, "panel", False),
    "user_3": (8, "window", False),
    "user_4": (5, "bricks", False),
    "user_5": (2, "shelf", False),
    "user_6": (7, "street", True),
    "user_7": (4, "leaves", False),
    "user_8": (9, "office", False),
    "user_9": (6, "garden", False),
    "user_Zoë": (1, "stripes", False),
}
MARK = "DRAWN.txt"  # what `casestudy.data.drawn` knows drawn images by
NESTED = "user_9"  # keeps photographs as a/0.jpg rather than A0.jpg


@dataclass(frozen=True)
class Row:
    """What the key says of one entry of the archive."""

    entry: str
    status: str
    label: str = ""
    signer: str = ""
    reason: str = ""
    duplicate_of: str = ""


def signer_named(name: str) -> Signer:
    """The signer of that name, always the same."""
    tone, backdrop, left_handed = CAST[name]
    rng = np.random.default_rng([SEED, list(CAST).index(name)])
    return random_signer(rng, skin=skin_tone(tone), backdrop=backdrop, left_handed=left_handed)


def entry_name(name: str, letter: str, shot: int) -> str:
    """Where a photograph stands in the archive.

    >>> entry_name("user_3", "A", 0), entry_name("user_9", "A", 0)
    ('user_3/A0.jpg', 'user_9/a/0.jpg')
    """
    return f"{name}/{letter.lower()}/{shot}.jpg" if name == NESTED else f"{name}/{letter}{shot}.jpg"


def _encode(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    """An image file of that kind."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def moment(name: str, letter: str, shot: int) -> np.random.Generator:
    """What decides one photograph, beyond who signs: always the same for the same three."""
    return np.random.default_rng([SEED, list(CAST).index(name), ord(letter), shot])


def draw_photograph(name: str, letter: str, shot: int, kind: str = "JPEG") -> tuple[bytes, tuple[int, int, int, int]]:
    """The file of one photograph and the box of the hand in it (left, top, right, bottom)."""
    signer = signer_named(name)
    pixels, box = render_hand(letter, signer, moment(name, letter, shot), SIZE)
    return _encode(pixels, kind, **({"quality": signer.quality} if kind == "JPEG" else {})), box


def draw_sample(progress: bool = True) -> tuple[list[tuple[str, bytes]], list[Row]]:
    """The archive's members in order, and one key row for each."""
    files: dict[str, bytes] = {}
    rows: dict[str, Row] = {}
    boxes: dict[str, list[tuple[str, tuple[int, int, int, int]]]] = {name: [] for name in CAST}

    def put(entry, data, status, label="", box=None, reason="", duplicate_of=""):
        owner = entry.rpartition("/")[0].split("/")[0]
        files[entry], rows[entry] = data, Row(entry, status, label, owner, reason, duplicate_of)
        if box is not None:
            boxes[owner].append((entry, box))

    shots = [(name, letter, shot) for name in CAST for letter in LETTERS for shot in range(SHOTS)]
    for name, letter, shot in tqdm(shots, desc="drawing", disable=not progress):
        data, box = draw_photograph(name, letter, shot)
        put(entry_name(name, letter, shot), data, "kept", letter, box)

    # Everything planted comes on top of the five sound photographs a letter, as shot 5.
    def extra(name: str, letter: str, kind: str = "JPEG"):
        data, box = draw_photograph(name, letter, SHOTS, kind)
        return entry_name(name, letter, SHOTS), data, box

    cuts = {("user_2", "C"): 0.3, ("user_4", "H"): 0.6, ("user_9", "R"): 0.75, ("user_6", "Q"): 0.9,
            ("user_8", "V"): 0.99, ("user_3", "E"): -2, ("user_5", "B"): 10}  # fmt: skip
    for (name, letter), cut in cuts.items():
        entry, data, box = extra(name, letter)
        lost = ("repairable", letter, box, "no end mark") if cut == -2 else ("corrupt", letter, box, "truncated")
        put(entry, data[: int(len(data) * cut) if 0 < cut < 1 else cut], *lost)
    entry, _, box = extra("user_7", "D")
    put(entry, b"", "corrupt", "D", box, "empty")
    entry, _, box = extra("user_6", "G")
    page = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body><h1>Photo not found</h1></body></html>\n"
    put(entry, page, "corrupt", "G", box, "not an image")
    entry, data, box = extra("user_4", "P", "PNG")
    put(entry, data, "kept", "P", box)

    copies = {("user_3", "M"): ("user_3", "M", 1), ("user_5", "N"): ("user_5", "M", 2),
              ("user_7", "K"): ("user_4", "K", 1)}  # fmt: skip
    for (name, letter), source in copies.items():  # within a letter, across two letters, across two signers
        first = entry_name(*source)
        box = dict(boxes[source[0]])[first]
        put(entry_name(name, letter, SHOTS), files[first], "duplicate", letter, box, duplicate_of=first)

    rng = np.random.default_rng([SEED, 99])
    beach = np.linspace((120, 170, 220), (225, 205, 160), SIZE)[:, None, :] + rng.normal(0, 4, (SIZE, SIZE, 3))
    put("user_2/holiday.jpg", _encode(np.clip(beach, 0, 255).astype(np.uint8), "JPEG", quality=80), "unrecognised")
    put("user_6/Thumbs.db", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), "sidecar")
    put("user_4/.~lock.user_4_loc.csv#", b",student,lab-pc,14.09.2020 10:12,file:///home/student/.config;", "sidecar")
    for name, listed in boxes.items():
        lines = ["image,top_left_x,top_left_y,bottom_right_x,bottom_right_y"]
        lines += [",".join(["\\".join(e.split("/")), *map(str, box)]) for e, box in sorted(listed)]
        put(f"{name}/{name}_loc.csv", ("\n".join(lines) + "\n").encode(), "sidecar")
    put(
        MARK,
        b"A program drew these hands: nobody was photographed. Scores on them say nothing about people.\n",
        "sidecar",
    )
    order = sorted(files)
    return [(entry, files[entry]) for entry in order], [rows[entry] for entry in order]


def contact_sheet(files: dict[str, bytes], comment: str = "", cell: int = 96) -> bytes:
    """A JPEG with a column for every letter and a row for every signer; `comment` is kept in it."""
    sheet = Image.new("RGB", (cell * len(LETTERS), 18 + cell * len(CAST)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, letter in enumerate(LETTERS):
        pen.text((column * cell + cell // 2 - 3, 3), letter, fill="black")
        for row, name in enumerate(CAST):
            photo = Image.open(io.BytesIO(files[entry_name(name, letter, row % SHOTS)]))
            sheet.paste(photo.resize((cell - 2, cell - 2), Image.Resampling.LANCZOS), (column * cell, 18 + row * cell))
    return _encode(np.asarray(sheet), "JPEG", quality=88, comment=comment.encode())


def write_pages(folder: Path, side: int = 192, rows: int = 6) -> list[Path]:
    """Pages (PNG) with a row for each of a few letters and a column for each signer, drawn `side` pixels large."""
    folder.mkdir(parents=True, exist_ok=True)
    letters, paths = "".join(LETTERS), []
    for first in tqdm(range(0, len(letters), rows), desc="pages"):
        here = letters[first : first + rows]
        page = Image.new("RGB", (side * len(CAST), side * len(here)), "white")
        pen = ImageDraw.Draw(page)
        for row, letter in enumerate(here):
            for column, name in enumerate(CAST):
                pixels, _ = render_hand(letter, signer_named(name), moment(name, letter, 0), side - 2)
                page.paste(Image.fromarray(pixels), (column * side, row * side))
                pen.text(
                    (column * side + 4, row * side + 2),
                    f"{letter} {name}",
                    fill="black",
                    stroke_width=1,
                    stroke_fill="white",
                )
        paths.append(folder / f"{here[0]}-{here[-1]}.png")
        page.save(paths[-1])
    return paths


def write_all(root: Path) -> list[Path]:
    """Draws the archive, the key and the contact sheet below `root` and returns their paths."""
    members, rows = draw_sample()
    key = io.StringIO()
    table = csv.writer(key, lineterminator="\n")
    table.writerow(Row.__dataclass_fields__)
    table.writerows([list(vars(row).values()) for row in rows])
    archive = stored_rar5(members)
    sheet = contact_sheet(dict(members), stamp(archive, contact_sheet))
    made = {ARCHIVE: archive, KEY: key.getvalue().encode(), SHEET: sheet}
    for name, data in made.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial:
            partial.write_bytes(data)
    return [root / name for name in made]


# The contact sheet, of the photographs in the archive.
PICTURE = Picture("python -m SCRIPTS.hands.make_sample", contact_sheet, lambda: (ROOT / ARCHIVE).read_bytes())


def main(argv: list[str] | None = None) -> int:
    """Draws, or with --check draws elsewhere and compares; 0 when all is well, 1 when a file differs."""
    parser = CommandParser(description="Draw the embedded sample of fingerspelled letters.")
    parser.add_argument("--check", action="store_true", help="draw in a temporary folder and compare with what is here")
    parser.add_argument(
        "--pages", type=Path, metavar="FOLDER", help="draw every letter of every signer, large, to look at"
    )
    args = parser.parse_args(argv)
    if args.pages:
        print(*write_pages(args.pages), sep="\n")
        return 0
    if not args.check:
        for path in write_all(ROOT):
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")
        return 0
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        for drawn in write_all(Path(folder)):
            name = drawn.relative_to(folder)
            here = ROOT / name
            digests = [hashlib.sha256(p.read_bytes()).hexdigest() if p.exists() else "missing" for p in (here, drawn)]
            different += digests[0] != digests[1]
            print(
                f"{'same' if digests[0] == digests[1] else 'DIFFERENT'}  {name}  {digests[0][:12]}  {digests[1][:12]}"
            )
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
