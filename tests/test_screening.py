import io
import random
import struct
import time
import zlib

import numpy as np
import pytest
import simplejpeg
from drawn_jpegs import jpeg
from PIL import Image, ImageDraw

from casestudy.cleaning import decode_image, near
from casestudy.cleaning.archive import iter_members
from casestudy.cleaning.formats import detect_format
from casestudy.cleaning.huffman import follow
from casestudy.cleaning.near import first_matches, thumbnail
from casestudy.cleaning.screening import (
    is_meant_as_image,
    screen,
    screen_image,
)


def draw(seed=0, size=(320, 240), mode="RGB"):
    """A picture with edges, gradients and a little noise, as a photograph has."""
    dice = random.Random(seed)
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, r = dice.randrange(size[0]), dice.randrange(size[1]), dice.randrange(5, 60)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(dice.randrange(256) for _ in range(3)))
    noise = Image.frombytes("L", size, dice.randbytes(size[0] * size[1])).convert("RGB")
    return Image.blend(image, noise, 0.05).convert(mode)


def encode(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


JPEG = encode(draw(), quality=85)
PROGRESSIVE = encode(draw(), quality=85, progressive=True)
PNG = encode(draw(size=(64, 48)), "PNG")
SCAN = JPEG.index(b"\xff\xda") + 14
HALF = (SCAN + len(JPEG)) // 2


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(width, height):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"\0" * 64)) + png_chunk(b"IEND", b"")


def jpeg_of(width, height):
    frame = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:frame] + struct.pack(">HH", height, width) + JPEG[frame + 4 :]


def with_bytes(data, position, replacement):
    return data[:position] + replacement + data[position + len(replacement) :]


SOUND = {
    "jpeg": JPEG,
    "progressive jpeg": PROGRESSIVE,
    "grey jpeg": encode(draw(mode="L")),
    "cmyk jpeg": encode(draw(mode="CMYK")),
    "4:4:4 jpeg": encode(draw(), subsampling=0),
    "jpeg with restart markers": encode(draw(), restart_marker_rows=1),
    "jpeg with exif": encode(draw(), exif=b"Exif\0\0" + bytes(200)),
    "jpeg with a comment after its end": JPEG + b"written by a camera",
    "jpeg of one pixel": encode(draw(size=(1, 1))),
    "large jpeg": encode(draw(size=(1500, 1100))),
    "png": PNG,
    "png with alpha": encode(draw(size=(40, 40), mode="RGBA"), "PNG"),
    "png with palette": encode(draw(size=(40, 40), mode="P"), "PNG"),
    "16-bit png": encode(Image.new("I;16", (20, 20), 999), "PNG"),
    "1-bit png": encode(draw(size=(40, 40), mode="1"), "PNG"),
    "gif": encode(draw(size=(40, 40), mode="P"), "GIF"),
    "bmp": encode(draw(size=(40, 40)), "BMP"),
    "webp": encode(draw(size=(40, 40)), "WEBP"),
    "tiff": encode(draw(size=(40, 40)), "TIFF", compression="tiff_lzw"),
    "tiff of 16 bits": encode(Image.new("I;16", (20, 20), 999), "TIFF"),
    "jpeg of a large phone": encode(Image.radial_gradient("L").resize((8192, 6144)), quality=30),
    "panorama": encode(Image.radial_gradient("L").resize((12000, 5000)), quality=30),
    "jpeg with fill bytes": JPEG[:2] + b"\xff\xff" + JPEG[2:-2] + b"\xff\xff\xff\xd9",
    "jpeg behind a jpeg": JPEG + PROGRESSIVE,
}

DEFECTS = {
    "no bytes": (b"", "empty"),
    "jpeg cut in the header": (JPEG[:100], "truncated"),
    "ten bytes of a jpeg": (JPEG[:10], "truncated"),
    "jpeg cut after the header": (JPEG[: SCAN + 5], "truncated"),
    "jpeg cut at a third": (JPEG[: len(JPEG) // 3], "truncated"),
    "jpeg cut at the half": (JPEG[:HALF], "truncated"),
    "jpeg cut at 99 %": (JPEG[: len(JPEG) * 99 // 100], "truncated"),
    "progressive jpeg cut at the half": (PROGRESSIVE[: len(PROGRESSIVE) // 2], "truncated"),
    "large jpeg cut at 99 %": (SOUND["large jpeg"][: len(SOUND["large jpeg"]) * 99 // 100], "truncated"),
    "jpeg that ends early, with an end marker": (JPEG[:HALF] + b"\xff\xd9", ("damaged", "truncated")),
    "end marker inside the scan": (with_bytes(JPEG, HALF, b"\xff\xd9"), ("damaged", "truncated")),
    "zeroed block in the scan": (with_bytes(JPEG, HALF, bytes(512)), "damaged"),
    "zeroed second half": (with_bytes(JPEG, HALF, bytes(len(JPEG) - HALF)), ("damaged", "truncated")),
    "block of ones in the scan": (with_bytes(JPEG, HALF, b"\xff" * 64), ("damaged", "truncated")),
    "a marker in the scan": (with_bytes(JPEG, HALF, b"\xff\xc4\0\x1f"), ("damaged", "truncated")),
    "a block of the scan left out": (JPEG[:HALF] + JPEG[HALF + 700 :], ("damaged", "truncated")),
    "jpeg without quantisation tables": (JPEG.replace(b"\xff\xdb", b"\xff\xfe"), "damaged"),
    "jpeg of 12 bits": (with_bytes(JPEG, JPEG.index(b"\xff\xc0") + 4, b"\x0c"), "unsupported: "),
    "jpeg of height 0": (jpeg_of(320, 0), "zero dimension"),
    "jpeg of 65,500 by 65,500": (jpeg_of(65500, 65500), "decompression bomb"),
    "png with a wrong checksum": (with_bytes(PNG, 29, b"\0\0\0\0"), "damaged"),
    "png with a flipped pixel byte": (with_bytes(PNG, len(PNG) // 2, bytes([PNG[len(PNG) // 2] ^ 1])), "damaged"),
    "png cut at the half": (PNG[: len(PNG) // 2], ("damaged", "truncated")),
    "png of width 0": (png_of(0, 5), "zero dimension"),
    "png of 40,000 by 40,000": (png_of(40_000, 40_000), "decompression bomb"),
    "png with too few pixels": (png_of(500, 500), ("damaged", "truncated")),
    "gif cut at the half": (SOUND["gif"][: len(SOUND["gif"]) // 2], ("damaged", "truncated")),
    "bmp cut at the half": (SOUND["bmp"][: len(SOUND["bmp"]) // 2], ("damaged", "truncated")),
    "webp cut at the half": (SOUND["webp"][: len(SOUND["webp"]) // 2], ("damaged", "truncated")),
    "a web page": (b"<!DOCTYPE html><html>not found</html>", "not an image: an HTML page"),
    "zeros": (bytes(5000), "not an image: only zero bytes"),
    "text": (b"A0.jpg", "not an image"),
    "png with fewer rows than its sound header states": (
        PNG[:16] + png_chunk(b"IHDR", struct.pack(">II", 64, 99) + PNG[24:29])[8:] + PNG[33:],
        "damaged",
    ),
    "tiff cut at the half": (SOUND["tiff"][: len(SOUND["tiff"]) // 2], ("damaged", "truncated")),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(40), "unsupported: HEIC"),
    "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "unsupported: JPEG XL"),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_images_pass(name):
    found = screen(SOUND[name])
    assert found.reason is None
    with Image.open(io.BytesIO(SOUND[name])) as image:
        assert (found.format, (found.width, found.height)) == (image.format, image.size)


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_are_found_and_named(name):
    data, expected = DEFECTS[name]
    reason = screen_image(data)
    assert reason is not None
    assert reason.startswith(expected), reason
    assert "\n" not in reason and len(reason) <= 60
    assert screen(data).status == ("unsupported" if reason.startswith("unsupported") else "corrupt")


def test_every_depth_of_truncation_is_found():
    for data in (JPEG, PROGRESSIVE, PNG):
        for size in range(0, len(data) - 20, 97):
            assert screen(data[:size]).status == "corrupt" and screen_image(data[:size]) is not None, size


def test_small_scales_read_the_whole_scan():
    large = SOUND["large jpeg"]  # decoded at a quarter
    for share in (0.3, 0.6, 0.9, 0.98):
        place = int(len(large) * share)
        assert screen_image(with_bytes(large, place, bytes(600))) is not None, share


def test_no_garbage_raises():
    dice = random.Random(0)
    for start in (JPEG[:SCAN], PNG[:40], b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff", b""):
        for _ in range(30):
            assert screen_image(start + dice.randbytes(200)) is not None


def test_content_counts_not_the_extension():
    assert screen(PNG).format == "PNG"
    assert is_meant_as_image("user_3/A0.JPG", b"")
    assert is_meant_as_image("user_3/no extension", JPEG)
    assert not is_meant_as_image("user_3/Thumbs.db", b"\xd0\xcf\x11\xe0")
    assert not is_meant_as_image("BMW.csv", b"BMW,1,2\n" * 9)
    assert not is_meant_as_image("__MACOSX/._A0.jpg", b"\0\x05\x16\x07" + bytes(100))
    assert detect_format(b"") == ""


def copies(image):
    for quality, scale in ((60, 1), (85, 1), (90, 0.5), (80, 0.75), (90, 1.5)):
        size = (int(image.width * scale), int(image.height * scale))
        yield encode(image.resize(size, Image.Resampling.LANCZOS), quality=quality)
    yield encode(image, "PNG")


def matches(smalls):
    """Returns the earliest match of each thumbnail, None where it has none."""
    table = np.frombuffer(b"".join(smalls), np.uint8).reshape(-1, 256)
    return [None if k < 0 else k for k in first_matches(table).tolist()]


def test_copies_are_near_duplicates_and_other_pictures_are_not():
    pictures = [draw(seed) for seed in range(12)]
    smalls = [screen(encode(picture, quality=92)).thumbnail for picture in pictures]
    found = matches(smalls + [screen(copy).thumbnail for picture in pictures for copy in copies(picture)])
    assert found[:12] == [None] * 12
    found = found[12:]
    right = [number for number in range(12) for _ in range(6)]
    assert sum(one == other for one, other in zip(found, right, strict=True)) >= 0.95 * len(right)
    assert all(one in (other, None) for one, other in zip(found, right, strict=True))


def test_a_moved_hand_is_no_near_duplicate():
    frames = []
    for shift in (0, 6):
        frame = draw()
        ImageDraw.Draw(frame).ellipse((100 + shift, 80, 180 + shift, 200), fill=(230, 190, 160))
        frames.append(screen(encode(frame, quality=90)).thumbnail)
    assert matches(frames) == [None, None]


@pytest.mark.parametrize("part", [1, 100, 1000])
def test_the_search_agrees_with_comparing_all_pairs(part, monkeypatch):
    monkeypatch.setattr(near, "_PART", part)
    monkeypatch.setattr(near, "_PAIRS", 7 * part)
    dice = random.Random(0)
    thumbnails = [bytes(dice.randrange(100, 140) for _ in range(256)) for _ in range(20)]
    for _ in range(300):
        step = dice.choice((1, 1, 2))
        thumbnails.append(
            bytes(min(255, max(0, pixel + dice.randint(-step, step))) for pixel in dice.choice(thumbnails))
        )
    found = matches(thumbnails)
    assert len(found) == 320 and sum(k is not None for k in found) > 100
    for number, mine in enumerate(thumbnails):
        earlier = (k for k in range(number) if max(abs(a - b) for a, b in zip(mine, thumbnails[k], strict=True)) <= 1)
        assert found[number] == next(earlier, None)


@pytest.mark.realdata
def test_no_real_photograph_is_rejected(realdata):
    members = iter_members(realdata / "asl-signers.rar")
    reasons = [screen_image(member.data) for member in members if is_meant_as_image(member.name, member.data)]
    assert reasons == [None] * 1680


def test_the_largest_picture_is_no_bomb_and_one_pixel_more_is(monkeypatch):
    """200 million pixels: so many have the largest pictures of phones."""
    for of in (png_of, jpeg_of):
        assert "bomb" not in (screen_image(of(20_000, 10_000)) or "")
        assert screen_image(of(20_000, 10_001)) == "decompression bomb: 20000×10001 pixels"
    for limit, reason in ((1600, None), (1599, "decompression bomb: 40×40 pixels")):
        monkeypatch.setattr("casestudy.cleaning.pixels.MAX_PIXELS", limit)
        assert screen_image(SOUND["webp"]) == reason  # whose size only Pillow knows


def test_darker_is_as_different_as_brighter():
    grey = bytes([100] * 256)
    found = [grey, bytes([99] + [100] * 255), bytes([98] + [100] * 255), bytes([100] * 255 + [101])]
    assert matches(found) == [None, 0, 1, 0]
    assert matches([bytes([90] + [100] * 255), grey]) == [None, None]
    assert matches([]) == []


def test_the_earliest_match_counts_wherever_it_lies():
    """The first adds up to just below a multiple of 512 in one quarter, the others to that or more: another cell."""
    assert matches([bytes([128] * 255 + [127]), bytes([128] * 256), bytes([129] + [128] * 255)]) == [None, 0, 0]


def test_a_turned_photograph_is_a_copy_of_the_upright_one():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = screen(encode(draw(), quality=95, exif=exif)).thumbnail
    upright = screen(encode(draw().transpose(Image.Transpose.ROTATE_270), quality=95)).thumbnail
    assert matches([turned, upright]) == [None, 0]


def test_a_bmp_from_top_to_bottom_has_the_same_size():
    data = SOUND["bmp"]
    height = struct.unpack_from("<i", data, 22)[0]
    found = screen(with_bytes(data, 22, struct.pack("<i", -height)))
    assert (found.reason, found.width, found.height) == (None, 40, 40)
    assert screen_image(with_bytes(data, 22, struct.pack("<i", -height))[:-50]).startswith("truncated")


SAMPLINGS = {
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:4:1": ((1, 4), (1, 1), (1, 1)),
    "2×4": ((2, 4), (1, 1), (1, 1)),
    "3×1": ((3, 1), (1, 1), (1, 1)),
    "3×2": ((3, 2), (1, 1), (1, 1)),
    "4:2:2 as 2×2": ((2, 2), (1, 2), (1, 2)),
    "4:4:0 as 2×2": ((2, 2), (2, 1), (2, 1)),
    "chroma unlike chroma": ((2, 2), (2, 1), (1, 2)),
    "one chroma finer": ((2, 2), (2, 2), (1, 1)),
    "chroma finer than luma": ((1, 1), (2, 1), (2, 1)),
    "four components": ((2, 1), (1, 1), (1, 1), (2, 1)),
    "grey, twice as many": ((2, 2),),
}


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("how", [{}, {"restart": 1}, {"restart": 3}, {"apart": True}, {"size": (17, 9)}])
def test_every_chroma_sampling_is_sound_and_cut_ones_are_not(name, how):
    data = jpeg(SAMPLINGS[name], **how)
    assert screen_image(data) is None
    with Image.open(io.BytesIO(data)) as image:
        assert decode_image(data, "L").tobytes() == image.convert("L").tobytes()
    start = data.rindex(b"\xff\xda") + 8 + 2 * data[data.rindex(b"\xff\xda") + 4]
    third = (len(data) - start) // 3
    for broken in (data[:-third], data[:-third] + data[-2:], data[: start + third] + data[-third:]):
        assert screen(broken).status == "corrupt" and screen_image(broken), len(broken)


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restart", "grey", "4:4:4"])
def test_codes_followed_here_are_judged_as_libjpeg_judges_them(kind):
    """Of damage in the picture data, nothing that libjpeg warns of passes; what it takes without a warning is sound."""
    options = {"progressive": {"progressive": True}, "restart": {"restart_marker_rows": 1}, "4:4:4": {"subsampling": 0}}
    image = draw(1, (96, 64), "L" if kind == "grey" else "RGB")
    data = encode(image, quality=80, **options.get(kind, {}))
    follow(data)
    start, dice, found = data.index(b"\xff\xda") + 14, random.Random(0), 0
    for _ in range(60):
        at = dice.randrange(start, len(data) - 40)
        broken = dice.choice(
            (
                with_bytes(data, at, bytes([data[at] ^ 1 << dice.randrange(8)])),
                with_bytes(data, at, bytes(30)),
                data[:at] + data[at + 20 :],
                data[:at] + b"\xff\xd9",
            )
        )
        try:
            simplejpeg.decode_jpeg(broken, strict=True)
        except ValueError:
            found += 1
            with pytest.raises((ValueError, IndexError, KeyError, struct.error)):
                follow(broken)
    assert found > 20


REPAIRABLE = {
    "no end mark": (JPEG[:-2], JPEG),
    "half an end mark": (JPEG[:-1], JPEG),
    "stray bytes before": (b"HTTP/1.1 200 OK\r\n\r\n" + JPEG, JPEG),
    "stray bytes before a png": (b"\r\n" + PNG, PNG),
    "stray bytes between": (JPEG[:20] + b"stray" + JPEG[20:], JPEG),
    "stray bytes at the end": (JPEG[:-2] + bytes(7) + JPEG[-2:], JPEG),
    "a length that is too large": (JPEG[:2] + b"\xff\xe1\x01\x08abcdef" + JPEG[2:], JPEG),
    "png without its last chunk": (PNG[:-12], PNG),
    "png cut in its last chunk": (PNG[:-5], PNG),
    "png with a damaged remark": (PNG[:33] + png_chunk(b"tEXt", b"a\0b")[:-1] + b"?" + PNG[33:], PNG),
    "webp of a wrong length": (with_bytes(SOUND["webp"], 4, struct.pack("<I", 9_999_999)), SOUND["webp"]),
}


@pytest.mark.parametrize("name", REPAIRABLE)
def test_what_has_all_its_pixels_is_repairable(name):
    data, whole = REPAIRABLE[name]
    found = screen(data)
    assert (found.status, found.format) == ("repairable", screen(whole).format)
    assert found.reason and len(found.reason) <= 60
    assert screen_image(found.mended) is None
    with Image.open(io.BytesIO(whole)) as right, Image.open(io.BytesIO(found.mended)) as mended:
        assert mended.convert("RGB").tobytes() == right.convert("RGB").tobytes()


def test_a_preview_inside_is_not_taken_for_the_picture():
    preview = encode(draw(size=(32, 24)))
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(preview) // 2) + preview + JPEG[2:]
    found = screen(data)
    assert found.status == "corrupt" or (found.width, found.height) == (320, 240)


def test_reasons_do_not_depend_on_what_a_decoder_says(monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError(f"something else at {id(args):#x}")

    broken = with_bytes(JPEG, HALF, bytes(512))
    before = screen_image(broken)
    monkeypatch.setattr("simplejpeg.decode_jpeg", fail)
    assert screen_image(broken) == before == "damaged: its pixels cannot be decoded without errors"


def test_what_shows_nothing_is_flagged_and_stays_sound():
    for level, note in ((0, True), (255, True), (77, True)):
        found = screen(encode(Image.new("L", (60, 40), level), "PNG"))
        assert (found.reason, found.note.startswith("blank")) == (None, note)
    faint = Image.new("L", (60, 40), 100)
    faint.paste(103, (0, 0, 30, 40))
    assert screen(encode(faint, "PNG")).note == ""


def test_thumbnails_are_pillow_s_to_the_bit():
    dice = random.Random(0)
    for size in ((320, 240), (1, 1), (17, 33), (16, 16), (5, 300), (719, 511), (2100, 20)):
        image = Image.frombytes("L", size, dice.randbytes(size[0] * size[1]))
        for one in (image, image.point(lambda level: 255 * (level > 128))):
            rows = one.resize((16, one.height), Image.Resampling.LANCZOS)
            right = rows.resize((16, 16), Image.Resampling.LANCZOS).tobytes()
            assert thumbnail(one).tobytes() == thumbnail(np.asarray(one)).tobytes() == right


@pytest.mark.parametrize("levels", [range(5), range(250, 256), (0, 255)])
def test_the_search_is_quick_whatever_the_pictures(levels):
    """Near-black and drawn pictures cost up to 90 times as much as photographs once: 2.5 ms each."""
    dice = random.Random(0)
    smalls, start = [bytes(dice.choices(levels, k=256)) for _ in range(2000)], time.process_time()
    matches(smalls)
    assert time.process_time() - start < 2
