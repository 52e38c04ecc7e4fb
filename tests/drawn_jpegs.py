"""JPEGs in any chroma sampling, written bit by bit: each 8×8 block one grey level, each plane a mosaic of them."""

import math
import random
import struct

_DC = (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)  # how many codes have 1, 2, 3 … bits, as in the standard's table
_CODES = {}
_code = 0
for _length, _count in enumerate(_DC, 1):
    for _ in range(_count):
        _CODES[len(_CODES)] = format(_code, f"0{_length}b")
        _code += 1
    _code <<= 1


def jpeg(factors, size=(70, 50), *, seed=0, restart=0, apart=False):
    """Returns the bytes, one (across, down) a component; every `restart` MCUs a mark; `apart`: a scan a component."""
    dice = random.Random(seed)
    most = max(f[0] for f in factors), max(f[1] for f in factors)
    head = b"\xff\xd8" + _segment(0xDB, b"\0" + bytes([8] * 64))
    shape = b"".join(bytes([k, 16 * across + down, 0]) for k, (across, down) in enumerate(factors, 1))
    head += _segment(0xC0, struct.pack(">BHHB", 8, size[1], size[0], len(factors)) + shape)
    head += _segment(0xC4, b"\0" + bytes(_DC) + bytes(range(12)))
    head += _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")  # of the other coefficients only: no more
    head += _segment(0xDD, struct.pack(">H", restart)) if restart else b""
    for scan in [[k] for k in range(len(factors))] if apart else [list(range(len(factors)))]:
        if len(scan) == 1:
            across, down = (math.ceil(math.ceil(size[i] * factors[scan[0]][i] / most[i]) / 8) for i in (0, 1))
            layout = scan
        else:
            across, down = (math.ceil(size[i] / (8 * most[i])) for i in (0, 1))
            layout = [k for k in scan for _ in range(factors[k][0] * factors[k][1])]
        named = b"".join(bytes([k + 1, 0]) for k in scan)
        head += _segment(0xDA, bytes([len(scan)]) + named + b"\0\x3f\0")
        every = restart or across * down
        for start in range(0, across * down, every):
            bits, last = "", dict.fromkeys(scan, 0)
            for _ in range(min(every, across * down - start)):
                for k in layout:
                    level = dice.randrange(-90, 90)
                    bits += _number(level - last[k]) + "0"
                    last[k] = level
            bits += "1" * (-len(bits) % 8)
            body = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
            head += (bytes([0xFF, 0xD0 + (start // every - 1) % 8]) if start else b"") + body
    return head + b"\xff\xd9"


def _segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _number(value):
    size = abs(value).bit_length()
    return _CODES[size] + (format(value if value > 0 else value + (1 << size) - 1, f"0{size}b") if size else "")
