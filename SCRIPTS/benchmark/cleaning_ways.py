"""The ways of cleaning an archive and of screening a folder, and the drawn photographs they are measured on."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from SCRIPTS.benchmark.shared import SAMPLE, SEED, Clock, LeftOut


def draw_photographs(folder: str, count: int, size: tuple[int, int] = (320, 240)) -> dict:
    """Writes `count` JPEGs, of about 19 KB where they are 320×240, varied from the sample's, as user_N/A0.jpg."""
    import numpy as np
    from PIL import Image

    from casestudy.cleaning.archive import iter_members
    from casestudy.cleaning.screening import screen_image

    members = [member.data for member in iter_members(SAMPLE)]
    photos = [Image.open(io.BytesIO(data)).convert("RGB") for data in members if screen_image(data) is None]
    rng = np.random.default_rng(SEED)
    for k in range(count):
        left, top, side = rng.integers(0, 30), rng.integers(0, 30), rng.integers(80, 98)
        photo = photos[k * 7 % len(photos)].resize(tuple(size), box=(left, top, left + side, top + side))
        noise = rng.normal(0, 11, (size[1], size[0], 1))  # grain, which is what a real photograph spends its bytes on
        pixels = np.clip(np.asarray(photo, np.float32) + noise, 0, 255).astype(np.uint8)
        target = Path(folder, f"user_{k // 250 + 1}", f"{chr(65 + k % 25)}{k % 250 // 25}.jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target, quality=75)
    return {"bytes": sum(path.stat().st_size for path in Path(folder).rglob("*.jpg"))}


def draw_large(folder: str, size: tuple[int, int]) -> dict:
    """Writes zips with one large picture each, sound, of the kinds that a decoder must hold whole."""
    import zipfile

    import numpy as np
    from PIL import Image

    grain = np.random.default_rng(SEED).integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    picture = Image.fromarray(grain).resize(tuple(size))
    kinds = {"JPEG": ("jpg", {}), "progressive JPEG": ("jpg", {"progressive": True}), "PNG": ("png", {})}
    for kind, (suffix, how) in kinds.items():
        path = Path(folder, f"{kind} of {size[0]}×{size[1]}.zip")
        with zipfile.ZipFile(path, "w") as target, target.open(f"A/1.{suffix}", "w") as stream:
            picture.save(stream, {"jpg": "JPEG"}.get(suffix, "PNG"), **how)
    return {}


def clean_ours(archive: str, work: str) -> dict:
    """The project's cleaning: one streaming pass, strict screening in threads, ledger, zip, read-back check."""
    clock = Clock()
    from casestudy import clean_archive

    ledger = clean_archive(archive, Path(work, "letters.zip"), progress=False)
    measured = clock.stop()
    return {**measured, "kept": _digest(row.sha256 for row in ledger.labelled()), "count": len(ledger.labelled())}


def clean_rarfile(archive: str, work: str) -> dict:
    """Member by member with rarfile, `verify` and `load` of Pillow, a folder a letter."""
    clock = Clock()
    import rarfile

    kept = []
    try:
        with rarfile.RarFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    _keep_if_sound(entry.filename, opened.read(entry), work, kept)
    except rarfile.RarCannotExec as error:
        raise LeftOut(f"rarfile needs a program that unpacks RAR ({error}); on Debian: unrar from non-free") from None
    return {**clock.stop(), "kept": _digest(kept), "count": len(kept)}


def clean_unpacked(archive: str, work: str, program: list[str]) -> dict:
    """All at once with unrar or 7-Zip to a folder, then the same; what someone does who knows of solid archives."""
    import os
    import subprocess

    clock = Clock()
    kept = []
    tree = Path(work, "tree")
    tree.mkdir()
    subprocess.run([*program, archive], cwd=tree, check=True, stdout=subprocess.DEVNULL)
    for folder, _, names in os.walk(tree):
        for name in names:
            path = Path(folder, name)
            _keep_if_sound(path.relative_to(work).as_posix(), path.read_bytes(), work, kept)
    return {**clock.stop(), "kept": _digest(kept), "count": len(kept)}


def _keep_if_sound(name: str, data: bytes, work: str, kept: list[str]) -> None:
    from PIL import Image

    try:
        Image.open(io.BytesIO(data)).verify()
        Image.open(io.BytesIO(data)).load()
    except Exception:
        return
    user, file = name.split("/")[-2:]
    folder = Path(work, "letters", file[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{user}_{file}").write_bytes(data)
    kept.append(hashlib.sha256(data).hexdigest())


def _digest(hashes) -> str:
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def damage(folder: str, every: int) -> dict:
    """Damages every so-many-th JPEG of a folder, by turns in four ways, and returns how many."""
    paths = sorted(Path(folder).rglob("*.jpg"))[::every]
    for k, path in enumerate(paths):
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        if k % 4 == 0:
            del data[middle:]  # cut short
        elif k % 4 == 1:
            data[middle : middle + 64] = b"\xff\x00" * 32  # a block of rubbish
        elif k % 4 == 2:
            data[middle : middle + 512] = bytes(512)  # a zeroed disk sector
        else:
            data[middle:middle] = b"\xff\xd9"  # an end marker too early
        path.write_bytes(data)
    return {"damaged": len(paths)}


def screen_ours(folder: str) -> dict:
    """`casestudy clean FOLDER --dry-run`: strict decoding, SHA-256, exact and near duplicates."""
    clock = Clock()
    from casestudy import clean_archive

    ledger = clean_archive(folder, None, progress=False)
    return {**clock.stop(), "found": ledger.counts()["corrupt"] + ledger.counts()["repairable"]}


def screen_pillow(folder: str, method: str) -> dict:
    """`load` or `verify` of Pillow on each file."""
    clock = Clock()
    from PIL import Image

    found = 0
    for path in sorted(Path(folder).rglob("*.jpg")):
        try:
            with Image.open(path) as image:
                getattr(image, method)()
        except Exception:
            found += 1
    return {**clock.stop(), "found": found}


def screen_cleanvision(folder: str, issues: list[str]) -> dict:
    """cleanvision, with the checks named, or all of its defaults where none is."""
    clock = Clock()
    try:
        from cleanvision import Imagelab
    except ModuleNotFoundError:
        raise LeftOut(
            "cleanvision is not installed; put it in an environment of its own "
            "(python -m venv cv; cv/bin/pip install cleanvision) and pass --cleanvision-python cv/bin/python"
        ) from None
    lab = Imagelab(data_path=folder, verbose=False)
    lab.find_issues({issue: {} for issue in issues} or None, verbose=False)
    return {**clock.stop(), "found": None}  # it has no check for damage


WAYS = (
    draw_photographs, draw_large, damage, clean_ours, clean_rarfile, clean_unpacked,
    screen_ours, screen_pillow, screen_cleanvision,
)  # fmt: skip
