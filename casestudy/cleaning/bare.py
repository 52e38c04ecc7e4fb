"""A photograph's pixels and nothing else: no time, no place, no file name, no thumbnail, nothing behind its end."""

from __future__ import annotations

import io

from PIL import Image

from casestudy.cleaning.pixels import decode_image

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_COMMENT = 0xFE
_APPS = range(0xE0, 0xF0)
_ADOBE = 0xEE  # says how colours are coded: without it, they are others
_JFIF_BYTES = 16  # of an APP0 segment without a thumbnail


def bare_jpeg(data: bytes) -> bytes | None:
    """Returns a JPEG without its metadata; None where it is none, or would not give the same pixels without them.

    The latter is so of a photograph that its metadata turn.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        bare = _without_segments(data)
        before, after = decode_image(data), decode_image(bare)
        same = before.size == after.size and before.tobytes() == after.tobytes()
    except Exception:  # damaged bytes make decoders raise nearly anything
        return None
    return bare if same else None


def bare_png(data: bytes) -> bytes:
    """Returns the pixels of a sound image as a PNG, as everything here sees them: upright, in RGB, over white."""
    image, target = decode_image(data), io.BytesIO()
    Image.frombytes(image.mode, image.size, image.tobytes()).save(target, "PNG")  # a new one: Pillow keeps `info`
    return target.getvalue()


def _without_segments(data: bytes) -> bytes:
    """Returns a JPEG up to its first end, without comments and application data; IndexError where it ends before."""
    kept, position = bytearray(data[:2]), 2
    while True:
        marker = data[position + 1]
        if data[position] != 0xFF:
            raise IndexError("no marker where one must stand")
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == _EOI:
            return bytes(kept + data[position : position + 2])
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        is_plain_jfif = marker == _APPS.start and end - position - 2 == _JFIF_BYTES
        if marker == _SOS:
            end = _end_of_scan(data, end)
        if (marker not in _APPS or marker == _ADOBE or is_plain_jfif) and marker != _COMMENT:
            kept += data[position:end]
        position = end


def _end_of_scan(data: bytes, position: int) -> int:
    """Returns where the next marker begins that is no part of a scan's coded data."""
    while True:
        position = data.index(b"\xff", position)
        if data[position + 1] not in (0x00, 0xFF, *range(0xD0, 0xD8)):
            return position
        position += 1 if data[position + 1] == 0xFF else 2
