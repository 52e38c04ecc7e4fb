"""What a file's bytes say of the image in it, before any of it is decoded."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Iterator

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif", ".jp2", ".jxl", ".ppm", ".pgm"),
)
SIGNATURES = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("WEBP", 8, b"WEBPVP8"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("AVIF", 4, b"ftypavi"),
    ("HEIC", 4, b"ftyphe"),
    ("HEIC", 4, b"ftypmif1"),
    ("JPEG 2000", 0, b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("JPEG XL", 0, b"\0\0\0\x0cJXL \r\n\x87\n"),
    *(("PPM", 0, b"P%d%c" % (kind, end)) for kind in range(1, 7) for end in b" \n\r\t"),
)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_TIFF_PACKINGS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)  # none, fax, LZW, JPEG, Deflate, PackBits
_PLAIN = range(0xC0, 0xC3)  # markers of a frame that is baseline, extended or progressive, all of them Huffman-coded


def detect_format(data: bytes) -> str:
    """Returns the image format that the first bytes show, or an empty string.

    >>> detect_format(b"GIF89a...")
    'GIF'
    """
    for name, offset, magic in SIGNATURES:
        if data.startswith(magic, offset):
            return name
    is_bmp = data.startswith(b"BM") and len(data) >= 18 and struct.unpack_from("<I", data, 14)[0] in _BMP_HEADERS
    return "BMP" if is_bmp else ""


def stated_size(name: str, data: bytes) -> tuple[int | None, int | None]:
    """Returns the (width, height) that the header states, (None, None) if it does not or the file ends before it."""
    layouts = {"PNG": (">II", 16), "GIF": ("<HH", 6), "BMP": ("<HH" if data[14:15] == b"\x0c" else "<ii", 18)}
    try:
        if name == "JPEG":
            return jpeg_frame(data)[2:4]
        form, start = layouts[name]
        width, height = struct.unpack_from(form, data, start)
        return abs(width), abs(height)  # a BMP's negative height means rows from top to bottom
    except (struct.error, LookupError):
        return None, None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start, end) of what stands before the picture data, the marker SOS as the last.

    Raises:
        IndexError: A byte that is no marker stands where one must.
        struct.error: The bytes end before that.
    """
    position = 2
    while True:
        if data[position] != 0xFF:
            raise IndexError("no marker where one must stand")
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:  # markers without a body
            position += 2
        else:
            end = position + 2 + struct.unpack_from(">H", data, position + 2)[0]
            yield marker, position, end
            if marker == 0xDA:
                return
            position = end


def jpeg_frame(data: bytes) -> tuple[int, int, int, int, int]:
    """Returns (bits a sample, frame marker, width, height, components); raises as `jpeg_segments` if there is none."""
    for marker, start, _ in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, height, width, components = struct.unpack_from(">BHHB", data, start + 4)
            return precision, marker, width, height, components
    raise IndexError("no frame")


def is_plain_jpeg(data: bytes) -> bool:
    """Returns whether a JPEG is of the kind that every decoder reads: 8 bits, Huffman-coded, not lossless."""
    with contextlib.suppress(IndexError, struct.error):  # without a frame it is damaged, not of another kind
        precision, marker = jpeg_frame(data)[:2]
        return precision == 8 and marker in _PLAIN
    return True


def is_plain_tiff(data: bytes) -> bool:
    """Returns whether a TIFF's first page is a picture of 8 or 16 bits in a common compression, and no preview."""
    order = "<" if data.startswith(b"II") else ">"
    tags = {}
    try:
        start = struct.unpack_from(order + "I", data, 4)[0]
        for k in range(struct.unpack_from(order + "H", data, start)[0]):
            tag, kind, count = struct.unpack_from(order + "HHI", data, start + 2 + 12 * k)
            at = start + 10 + 12 * k
            size = 4 if kind == 4 else 2
            if kind in (3, 4) and count:
                at = at if count * size <= 4 else struct.unpack_from(order + "I", data, at)[0]
                tags[tag] = struct.unpack_from(order + ("I" if size == 4 else "H"), data, at)[0]
    except struct.error:
        return True  # damaged, not of another kind
    is_preview, bits, packing, floats = tags.get(254, 0) & 1, tags.get(258, 1), tags.get(259, 1), tags.get(339, 1)
    return not is_preview and bits in (1, 2, 4, 8, 16) and packing in _TIFF_PACKINGS and floats == 1


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int, bool]]:
    """Yields (kind, start, end, whether the checksum holds) of each whole chunk, IEND as the last if it is there."""
    position = 8
    while len(data) >= position + 12:
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            return
        checksum = zlib.crc32(memoryview(data)[position + 4 : end - 4])
        yield kind, position, end, checksum == struct.unpack_from(">I", data, end - 4)[0]
        if kind == b"IEND":
            return
        position = end


def without_remarks(name: str, data: bytes) -> bytes:
    """Returns a JPEG or PNG without what is no part of the picture: EXIF, text, colour profiles.

    Raises:
        IndexError, struct.error: A JPEG's structure does not hold.
    """
    if name == "PNG":
        keep = [data[start:end] for kind, start, end, _ in png_chunks(data) if kind[:1].isupper() or kind == b"tRNS"]
        return data[:8] + b"".join(keep)
    parts, end = [data[:2]], 2
    for marker, start, end in jpeg_segments(data):
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):  # what Adobe says of colours, in 0xEE, is needed
            parts.append(data[start:end])
    return b"".join([*parts, data[end:]])


def ends_early(name: str, data: bytes) -> bool:
    """Returns whether a file that does not decode lacks its end, as far as its structure shows."""
    if name == "JPEG":
        try:
            *_, (_, start, _) = jpeg_segments(data)
        except (IndexError, struct.error):
            start = 0
        return b"\xff\xd9" not in data[start:]
    if name == "PNG":
        return b"IEND" not in [kind for kind, *_ in png_chunks(data)]
    if name == "WEBP":
        return struct.unpack_from("<I", data, 4)[0] + 8 > len(data)
    if name == "GIF":
        return not data.endswith(b";")
    if name == "BMP" and len(data) >= 30:
        width, height = stated_size(name, data)
        bits = struct.unpack_from("<H", data, 24 if data[14:15] == b"\x0c" else 28)[0]
        start = struct.unpack_from("<I", data, 10)[0]
        return bool(width and height and len(data) < start + (width * bits + 31) // 32 * 4 * height)
    return False
