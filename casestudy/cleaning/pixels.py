"""The one decoder: what screening calls sound, and what training, reports and hidden tests see, is what it returns.

Its rules, the same everywhere: the picture is turned as its EXIF asks; what is transparent lies on white; of 16 bits
the upper eight count; of several frames or pages the first; colour profiles are not applied, CMYK is converted simply.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageFile, features

from casestudy.cleaning.formats import detect_format, is_plain_jpeg, is_plain_tiff, without_remarks

MAX_PIXELS = 200_000_000  # what the largest phone pictures have: 0.8 GB decoded, and one at a time; more is a bomb
_AT_ONCE = 32_000_000  # pixels decoded at the same time by all threads together, some 130 MB; a larger one waits alone
FORMATS = {"JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
NOT_TURNED = "its EXIF cannot be read: not turned"


class UnsupportedError(ValueError):
    """A picture that may be sound, but is of a kind that is not decoded here; the message says which."""


def _as_it_is(image: Image.Image) -> Image.Image:
    return image


def decode_image(
    data: bytes,
    mode: str = "RGB",
    then: Callable[[Image.Image], Image.Image] = _as_it_is,
    *,
    lenient: bool = False,
    notes: list[str] | None = None,
) -> Image.Image:
    """Returns what `then` makes of the picture: upright, over white, in "RGB" or "L".

    Large pictures are decoded one after another, so that threads together need no more memory than the largest one.

    Args:
        data: The bytes of the file.
        mode: "RGB" or "L".
        then: Cuts, say, or makes it smaller, before the next large picture is decoded.
        lenient: Shows of a damaged picture what can still be decoded. One thread at a time.
        notes: Gets what a reader should know of the picture.

    Raises:
        ValueError: It cannot be decoded, or has more than `MAX_PIXELS`; the message is the same on every machine.
    """
    with (
        _whatever_decodes() if lenient else contextlib.nullcontext(),
        opened(data, [] if notes is None else notes) as image,
        memory_for(image.width * image.height),
    ):
        try:
            image.load()
            turn = turn_of(image, [] if notes is None else notes)
            flat = _flat(image, mode)
        except Exception:  # Pillow raises a dozen kinds; each means the same
            raise ValueError("damaged: its pixels cannot all be decoded") from None
        return then(flat.transpose(turn) if turn is not None else flat)


@contextlib.contextmanager
def opened(data: bytes, notes: list[str]) -> Iterator[Image.Image]:
    """Yields a picture whose pixels are not yet decoded; `notes` gets what a reader should know of it.

    Raises:
        ValueError: It cannot be opened, or is too large.
    """
    name = detect_format(data)
    if not name:
        raise ValueError("not an image")
    factory = _factory(name)
    if name == "JPEG" and not is_plain_jpeg(data):
        raise UnsupportedError("lossless, arithmetic-coded or 12-bit JPEG")
    if name == "TIFF" and not is_plain_tiff(data):
        raise UnsupportedError("TIFF of another kind, or a camera's raw file")
    try:
        image = factory(io.BytesIO(data), "")
    except Exception:
        try:  # a remark that Pillow trips over says nothing of the pixels
            image = factory(io.BytesIO(without_remarks(name, data)), "")
        except Exception:
            raise ValueError("damaged: it cannot be opened") from None
        notes.append("its EXIF or text cannot be read")
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"decompression bomb: {image.width}×{image.height} pixels")
        with contextlib.suppress(Exception):  # a damaged second frame is no matter
            if name != "JPEG" and getattr(image, "is_animated", False):
                notes.append("several frames or pages: the first is used")
        yield image


def turn_of(image: Image.Image, notes: list[str]) -> Image.Transpose | None:
    """Returns how a picture must be turned by its EXIF; one that Pillow trips over asks for nothing, and is noted.

    Pillow decodes a PNG to find its EXIF, which may stand at its end.
    """
    try:
        return _TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:
        notes.append(NOT_TURNED)
        return None


def shown_size(data: bytes) -> tuple[int, int]:
    """Returns the (width, height) at which a picture is shown; a ValueError says that it cannot be opened."""
    with opened(data, []) as image:
        if image.format == "TIFF":  # which Pillow turns by itself, when it is decoded
            with contextlib.suppress(Exception):
                image.load()
        if image.format == "PNG" and b"eXIf" not in data and b"exif" not in data:  # it would be decoded to look for it
            return image.size
        return turned_size(image.size, turn_of(image, []))


def turned_size(size: tuple[int, int], turn: Image.Transpose | None) -> tuple[int, int]:
    """Returns what becomes of a (width, height)."""
    sideways = turn in [_TURNS[k] for k in (5, 6, 7, 8)]
    return (size[1], size[0]) if sideways else size


def _factory(name: str) -> Callable[[io.BytesIO, str], ImageFile.ImageFile]:
    """Returns what opens one format and no other; raises UnsupportedError for one without a decoder here."""
    Image.init()
    if name == "HEIC":
        with contextlib.suppress(ImportError):
            import pillow_heif  # type: ignore[import-not-found, unused-ignore]

            pillow_heif.register_heif_opener()
            name = "HEIF"
    known = name in FORMATS or name == "HEIF" or (name == "AVIF" and "avif" in features.get_supported_modules())
    if not known:
        more = {"HEIC": "pip install pillow-heif", "AVIF": "pip install -U Pillow"}
        raise UnsupportedError(f"{name}, {more.get(name, 'convert it to PNG or JPEG')}")
    return Image.OPEN[name][0]


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """Returns an image in "RGB" or "L", with what is transparent over white."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        key = image.info.get("transparency")
        grey = np.where(levels == key, 255, levels >> 8) if isinstance(key, int) else levels >> 8
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what Pillow warns of (a damaged EXIF, say) from the terminal, and its being an error from the result.

    To be entered before threads start and left when they have ended: warnings are a switch of the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


class _Memory:
    """Lets threads decode as long as all of them together stay below a limit; a picture above it has its turn alone."""

    def __init__(self, most: int) -> None:
        self._most, self._used, self._changed = most, 0, threading.Condition()

    @contextlib.contextmanager
    def __call__(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._most)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


memory_for = _Memory(_AT_ONCE)
_LENIENT = threading.Lock()


@contextlib.contextmanager
def _whatever_decodes() -> Iterator[None]:
    with _LENIENT:  # a switch of the whole of Pillow
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
