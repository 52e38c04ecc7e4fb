"""Is this a sound image, and if not, why: told from the bytes, every one of which is read.

What `pixels.decode_image` cannot decode is not sound; and screening is stricter. JPEG is decoded by libjpeg-turbo with
every warning taken as a failure, since Pillow lets flipped bytes, zeroed blocks and early end markers pass. Of PNG,
every checksum and the number of pixels are tried. What no decoder can see stays unseen: a flipped byte in a JPEG's
picture data, or in a BMP, often yields other valid pixels.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from casestudy.cleaning import pixels
from casestudy.cleaning.formats import (
    EXTENSIONS,
    detect_format,
    ends_early,
    jpeg_frame,
    png_chunks,
    stated_size,
)
from casestudy.cleaning.huffman import follow
from casestudy.cleaning.mending import mended
from casestudy.cleaning.near import is_blank, thumbnail

_DECODED_SIDE = 256  # a JPEG is decoded at 1/2, 1/4 or 1/8 where that leaves at least this many pixels a side
_FOLLOWED = 8 << 20  # bytes of a JPEG whose codes are followed in plain Python where need be: some three seconds
_APPLE_DOUBLE = b"\0\x05\x16\x07"  # the "._A0.jpg" beside "A0.jpg" that macOS puts into archives: no image


@dataclass(frozen=True, slots=True)
class Screening:
    """What one look at a file's bytes found."""

    reason: str | None  # None for a sound image, else why not, keyword first, such as "truncated: …"
    format: str = ""  # such as "JPEG", from the content
    width: int | None = None  # in pixels, before any rotation that metadata ask for
    height: int | None = None
    thumbnail: bytes = b""  # 16×16 grey levels, row by row, of a sound image
    status: str = "corrupt"  # of an image that is not sound: or "repairable", "unsupported"
    note: str = ""  # what deserves a look in a sound image
    mended: bytes = b""  # of a repairable one: the file as it should be
    shown: tuple[int, int] = (0, 0)  # (width, height) of a sound image, upright


def screen_image(data: bytes) -> str | None:
    """Returns why `data` is not a sound image of a supported format, None if it is."""
    return screen(data).reason


def is_meant_as_image(name: str, data: bytes) -> bool:
    """Returns whether a file claims to be an image, by its extension or by its first bytes.

    >>> is_meant_as_image("A0.JPG", b""), is_meant_as_image("boxes.csv", b"image,x")
    (True, False)
    """
    if data.startswith(_APPLE_DOUBLE):
        return False
    return name.lower().endswith(EXTENSIONS) or bool(detect_format(data))


def screen(data: bytes) -> Screening:
    """Returns everything one decoding of `data` shows; never raises for what the bytes hold."""
    found = _look(data)
    if found.reason is not None and found.status == "corrupt":
        for reason, candidate in mended(data):
            again = _look(candidate)
            if again.reason is None:
                return dataclasses.replace(again, reason=reason, status="repairable", mended=candidate)
    return found


def _look(data: bytes) -> Screening:
    if not data:
        return Screening("empty")
    name = detect_format(data)
    if not name:
        return Screening(f"not an image: {_describe(data)}")
    width, height = stated_size(name, data)
    if width is not None and height is not None:
        if not width or not height:
            return Screening(f"zero dimension: {width}×{height}", name, width, height)
        if width * height > pixels.MAX_PIXELS:
            return Screening(f"decompression bomb: {width}×{height} pixels", name, width, height)
    elif name in ("JPEG", "PNG", "GIF", "BMP"):
        return Screening("truncated: it ends before the size is stated", name)
    notes: list[str] = []
    try:
        with pixels.opened(data, notes) as image:
            width, height = image.size
            small, shown = _strictly(name, data, image, notes)
    except pixels.UnsupportedError as error:
        return Screening(f"unsupported: {error}", name, width, height, status="unsupported")
    except Exception as error:  # decoders raise nearly anything on damaged bytes, and each of them is a finding
        return Screening(_explain(error, name, data), name, width, height)
    levels = small.tobytes()
    notes += ["blank: nearly one colour"] * is_blank(levels)
    return Screening(None, name, width, height, levels, note="; ".join(dict.fromkeys(notes)), shown=shown)


def _strictly(name: str, data: bytes, image: Image.Image, notes: list[str]) -> tuple[Image.Image, tuple[int, int]]:
    """Returns the thumbnail and the size, upright, of an image that decodes without a warning.

    It raises what a decoder raises.
    """
    if name == "JPEG":
        turn, shown = pixels.turn_of(image, notes), image.size
        small = thumbnail(_decode_jpeg(data, image))
        return (small if turn is None else small.transpose(turn)), pixels.turned_size(shown, turn)
    if name == "PNG":
        _check_png(data)
    sizes = []

    def seen(upright: Image.Image) -> Image.Image:
        sizes.append(upright.size)
        return thumbnail(upright)

    return pixels.decode_image(data, "L", seen, notes=notes), sizes[0]


def _decode_jpeg(data: bytes, image: Image.Image) -> np.ndarray:
    # Scaling skips no picture data: every coefficient is parsed before the small inverse transform.
    _, marker, width, height, components = jpeg_frame(data)
    colours = "CMYK" if components == 4 else "GRAY"
    side = _DECODED_SIDE
    with pixels.memory_for(width * height if marker == 0xC2 else 0):  # a progressive one is held whole, as coefficients
        try:
            grey = simplejpeg.decode_jpeg(data, colours, min_height=side, min_width=side, strict=True)
        except ValueError as error:
            if "subsampling" not in str(error):
                raise
            # Of chroma samplings that are rarely seen, TurboJPEG reads none; Pillow does, but lets damage pass.
            if len(data) <= _FOLLOWED:
                follow(data)
            image.draft("L", (side, side))
            return np.asarray(image.convert("L"))
    return grey[:, :, 0 if colours == "GRAY" else 1]


def _check_png(data: bytes) -> None:
    """Raises ValueError unless every checksum holds, the end is there and every pixel, too."""
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits *= {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    passes = ((8, 8, 0, 0), (8, 8, 4, 0), (4, 8, 0, 4), (4, 4, 2, 0), (2, 4, 0, 2), (2, 2, 1, 0), (1, 2, 0, 1))
    missing = 0
    for across, down, x, y in passes if interlaced else ((1, 1, 0, 0),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        missing += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    stream = zlib.decompressobj()
    last = b""
    for last, start, end, holds in png_chunks(data):
        if not holds:
            raise ValueError("a checksum does not hold")
        piece = data[start + 8 : end - 4] if last == b"IDAT" else b""
        while piece and not stream.eof and missing >= 0:
            missing -= len(stream.decompress(piece, 1 << 18))
            piece = stream.unconsumed_tail
    if last != b"IEND" or missing or not stream.eof:
        raise ValueError("not as many pixels as stated")


def _explain(error: Exception, name: str, data: bytes) -> str:
    """Returns one of few reasons: what decoders say differs from version to version."""
    if str(error).startswith("decompression bomb"):
        return str(error)
    if ends_early(name, data):
        return "truncated: it ends before its last pixel"
    return "damaged: its pixels cannot be decoded without errors"


def _describe(data: bytes) -> str:
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if not data.strip(b"\0"):
        return "only zero bytes"
    return f"it starts with {data[:8].hex(' ')}"
