"""The photographs behind a run's predictions, cut and turned as the model saw them, where their zip is at hand."""

from __future__ import annotations

import base64
import contextlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from casestudy.dataset import Box, read_boxes, square_box
from casestudy.runs import RunFolder

SIZES = ((600, 96), (1500, 72), (2400, 56))  # so many thumbnails may have so many pixels a side
MOST_BYTES = 4_500_000  # of all thumbnails in base64: half of what the page may have


@dataclass(frozen=True)
class Photographs:
    """An open zip of photographs; without one it holds none.

    Attributes:
        margin: How much larger than its box a cut is, as a share; None takes photographs whole.
    """

    archive: zipfile.ZipFile | None = None
    boxes: dict[str, Box] | None = None
    margin: float | None = None

    @property
    def names(self) -> set[str]:
        return set(self.archive.namelist()) if self.archive else set()

    def picture(self, name: str, size: int) -> Image.Image:
        """Returns a photograph in RGB whose longer side is at most `size` pixels."""
        assert self.archive is not None
        with Image.open(io.BytesIO(self.archive.read(name))) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        box = (self.boxes or {}).get(name)
        if self.margin is not None and box:
            left, top, right, bottom = square_box(box, image.size, self.margin)
            image = image.crop((round(left), round(top), round(right), round(bottom)))
        image.thumbnail((size, size))
        return image


@contextlib.contextmanager
def open_photographs(run: RunFolder) -> Iterator[Photographs]:
    """Yields the photographs of a run, from its own letters.zip or from the clean zip that it was given."""
    settings = run.settings
    path = run.path / "letters.zip"
    if not path.is_file():
        path = Path(settings["data"]["path"])
    if not (path.is_file() and zipfile.is_zipfile(path)):
        yield Photographs()
        return
    with zipfile.ZipFile(path) as archive:
        margin = settings["study"]["crop_margin"] if settings["cropped"] else None
        yield Photographs(archive, read_boxes(archive), margin)


def thumbnails(photographs: Photographs, wanted: Iterable[str]) -> dict[str, str]:
    """Returns small JPEGs in base64 by name, the first wanted first; smaller the more there are, and never too many.

    Names that the zip lacks have none, and neither have those that would make the page too large.
    """
    held = photographs.names
    names = [name for name in dict.fromkeys(wanted) if name in held][: SIZES[-1][0]]
    size = next(size for most, size in SIZES if len(names) <= most)
    found, used = {}, 0
    for name in names:
        buffer = io.BytesIO()
        photographs.picture(name, size).save(buffer, "JPEG", quality=75)
        found[name] = base64.b64encode(buffer.getvalue()).decode()
        used += len(found[name])
        if used > MOST_BYTES:
            del found[name]
            break
    return found
