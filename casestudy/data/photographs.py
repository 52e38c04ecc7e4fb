"""The photographs behind a run's predictions, cut and turned as the model saw them, where their zip is at hand."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from casestudy.cleaning import decode_image
from casestudy.data.cutting import Box, square_box
from casestudy.data.image_set import ImageSet
from casestudy.data.letters import read_boxes
from casestudy.files import zip_names

log = logging.getLogger(__name__)

SIZES = ((600, 96), (1500, 72), (2400, 56))  # so many thumbnails may have so many pixels a side
MOST_BYTES = 4_500_000  # of all thumbnails in base64: half of what the page may have
LARGE, LARGE_BYTES = 128, 1_200_000  # of those that are looked at closely: pixels a side, and bytes of all


@dataclass(frozen=True)
class Photographs:
    """An open zip of photographs, or images that were published without files; without either it holds none."""

    archive: zipfile.ZipFile | None = None
    boxes: dict[str, Box] | None = None
    margin: float | None = None  # how much larger than its box a cut is, as a share; None takes photographs whole
    images: ImageSet | None = None

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.images.names.tolist())} if self.images is not None else {}

    @property
    def names(self) -> set[str]:
        if self.images is not None:
            return set(self._place)
        return set(self.archive.namelist()) if self.archive else set()

    def picture(self, name: str, size: int) -> Image.Image:
        """Returns a photograph in RGB whose longer side is at most `size` pixels; see `decode_picture`."""
        if self.images is not None:
            return Image.fromarray(self.images.images[self._place[name]].squeeze()).convert("RGB")
        assert self.archive is not None
        box = (self.boxes or {}).get(name) if self.margin is not None else None
        return decode_picture(self.archive.read(name), size, box, self.margin or 0.0)

    def whole(self, name: str) -> Image.Image:
        """Returns a photograph in RGB as it is, uncut, in its own size."""
        assert self.archive is not None
        return decode_image(self.archive.read(name))

    def thumbnails(self, wanted: Iterable[str], *, large: bool = False) -> dict[str, str]:
        """Returns small JPEGs in base64 by name, the first wanted first; smaller the more there are, up to a limit.

        Those that are looked at closely are `large`. Names that the zip lacks have none, and neither have those that
        would make the page too large.
        """
        held = self.names
        names = [name for name in dict.fromkeys(wanted) if name in held][: SIZES[-1][0]]
        size = LARGE if large else next(size for most, size in SIZES if len(names) <= most)
        found, used = {}, 0
        for name in names:
            buffer = io.BytesIO()
            self.picture(name, size).save(buffer, "JPEG", quality=75)
            encoded = base64.b64encode(buffer.getvalue()).decode()
            used += len(encoded)
            if used > (LARGE_BYTES if large else MOST_BYTES):
                break
            found[name] = encoded
        return found


def decode_picture(data: bytes, size: int, box: Box | None = None, margin: float = 0.0) -> Image.Image:
    """Returns a photograph in RGB whose longer side is at most `size` pixels; an empty square where nothing decodes.

    Args:
        data: The bytes of the file; a damaged one shows what can still be decoded.
        size: In pixels.
        box: Cuts this box out, as a square; corners in pixels.
        margin: How much larger than its box the cut is, as a share.
    """

    def cut(image: Image.Image) -> Image.Image:
        if box:
            left, top, right, bottom = square_box(box, image.size, margin)
            image = image.crop((round(left), round(top), round(right), round(bottom)))
        image.thumbnail((size, size))
        return image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, say: what is shown is plain enough
            return decode_image(data, "RGB", cut, lenient=True)
    except (ValueError, Image.DecompressionBombError):  # there is nothing to see
        return Image.new("RGB", (size, size), "#e4e4e4")


@contextlib.contextmanager
def open_photographs(
    source: Path | ImageSet, margin: float | None = None, boxes: dict[str, Box] | None = None
) -> Iterator[Photographs]:
    """Yields the photographs of a letters.zip (none where it is missing), or images published without files.

    `margin` and `boxes` are those of `Photographs`; boxes of None are those of the zip.
    """
    if isinstance(source, ImageSet):
        yield Photographs(images=source)
    elif zip_names(source):
        with zipfile.ZipFile(source) as archive:
            yield Photographs(archive, read_boxes(archive) if boxes is None else boxes, margin)
    else:
        if source.is_file() and zipfile.is_zipfile(source):
            log.warning("%s is damaged: no photograph of it is shown", source)
        yield Photographs()
