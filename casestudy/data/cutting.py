"""The square round a hand that is cut out of a photograph."""

from __future__ import annotations

Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


def square_box(box: Box, size: tuple[int, int], margin: float) -> Box:
    """Returns the square (left, top, right, bottom) round a box, inside the picture and at most as large as it.

    Args:
        box: (left, top, right, bottom) in pixels, corners in any order.
        size: (width, height) of the picture.
        margin: Share of the longer side that is added to it.

    >>> square_box((40, 10, 60, 50), (320, 240), 0.0)
    (30.0, 10.0, 70.0, 50.0)
    >>> square_box((300, 0, 340, 20), (320, 240), 0.5)
    (260.0, 0.0, 320.0, 60.0)
    """
    (left, right), (top, bottom) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    width, height = size
    side = min(max(right - left, bottom - top, 1) * (1 + margin), width, height)
    x = min(max((left + right - side) / 2, 0), width - side)
    y = min(max((top + bottom - side) / 2, 0), height - side)
    return (float(x), float(y), float(x + side), float(y + side))
