"""The twenty-six handshapes of the American manual alphabet, as joint angles of one small hand.

The hand is a right hand in its own coordinates: x to the thumb's side, y along the fingers, z out of the palm. One
unit is the distance from the wrist to the knuckle of the middle finger, about nine centimetres. A viewer who faces the
signer looks along -z, so a hand with yaw, pitch and roll 0 shows its palm, fingers up, thumb on the picture's right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

FINGERS = ("index", "middle", "ring", "little")
KNUCKLES = np.array([[0.31, 0.94, 0.02], [0.10, 1.0, 0.0], [-0.11, 0.95, 0.0], [-0.31, 0.84, 0.04]])
PHALANGES = np.array([[0.45, 0.28, 0.23], [0.50, 0.32, 0.24], [0.46, 0.30, 0.24], [0.36, 0.22, 0.21]])
GIRTHS = np.array([[0.125, 0.112, 0.1, 0.084], [0.127, 0.114, 0.102, 0.086], [0.121, 0.108, 0.097, 0.082],
                   [0.107, 0.094, 0.084, 0.07]])  # fmt: skip
THUMB_BASE = np.array([0.22, 0.16, 0.07])
THUMB_BONES = np.array([0.44, 0.36, 0.28])
THUMB_GIRTHS = np.array([0.165, 0.138, 0.122, 0.092])
# How far a finger bends at its three joints and swings sideways, in degrees: an adult's active range, rounded out.
LIMITS = np.array([[-20, 95], [-5, 115], [-5, 85], [-30, 25]], dtype=np.float64)

Angles = tuple[float, float, float, float]  # flexion at the three joints, then spread towards the thumb; degrees
Point = tuple[float, float, float]

UP: Angles = (2, 4, 3, 0)
FIST: Angles = (86, 100, 55, 0)
# Over the thumb; the longer a finger, the further its knuckle bends, so that they end side by side.
DRAPED: dict[str, Angles] = {"index": (73, 81, 21, 0), "middle": (80, 78, 21, 1), "ring": (74, 81, 21, 3)}


@dataclass(frozen=True)
class Handshape:
    """A letter's pose: four fingers, where the thumb goes, how the hand is turned and what moves."""

    index: Angles
    middle: Angles
    ring: Angles
    little: Angles
    thumb: Point  # where the thumb's tip goes, in the hand's coordinates or in those of the joint that `touch` names
    knee: Point = (0.55, 0.45, 0.25)  # where the thumb's two inner joints lie, roughly
    # A finger and its joint, from 1 to 3, the tip. The thumb keeps to it, however the finger bends: `thumb` is counted
    # from there, to the thumb's side, along the bone that ends there, and out of that bone's back.
    touch: tuple[str, int] | None = None
    turn: Point = (0, 0, 0)  # yaw (palm to the viewer's right), pitch (fingertips to the viewer), roll; degrees
    forearm: Point | None = None  # where the arm comes from, seen by the viewer; None: straight on from the hand
    sweep: dict[str, float] = field(default_factory=dict)  # finger -> degrees it swings during the exposure


def _spread(angles: Angles, degrees: float) -> Angles:
    """The same flexion with another sideways angle."""
    return (*angles[:3], degrees)


_SIDEWAYS = (180, 14, -84)
_OVER_FIST = {"thumb": (-0.18, -0.04, 0.21), "knee": (0.56, 0.46, 0.52), "touch": ("middle", 2)}
_HOLD_RING = {"thumb": (0.08, -0.02, 0.20), "knee": (0.52, 0.42, 0.36), "touch": ("ring", 2)}
_ROUND = (57, 54, 28, 0)

LETTERS: dict[str, Handshape] = {
    "A": Handshape(FIST, FIST, FIST, FIST, (0.145, -0.07, 0.135), (0.53, 0.5, 0.2), touch=("index", 1)),
    "B": Handshape(UP, UP, _spread(UP, 1), _spread(UP, 3), (-0.08, 0.72, 0.26), (0.45, 0.42, 0.2)),
    "C": Handshape((34, 40, 24, 0), (34, 42, 24, 0), (36, 42, 24, 0), (38, 40, 24, 0),
                   (0.36, 0.42, 0.98), (0.46, 0.26, 0.55), turn=(62, 4, -4)),
    "D": Handshape(UP, (62, 62, 32, 0), (66, 64, 34, 0), (70, 66, 36, 0), (0.04, 0.06, 0.04), (0.46, 0.42, 0.45),
                   touch=("middle", 3), turn=(34, 0, 0)),
    "E": Handshape((40, 108, 52, 0), (46, 106, 52, 0), (40, 106, 52, 0), (30, 110, 54, 0), (-0.06, 0.065, -0.01),
                   (0.52, 0.56, 0.22), touch=("ring", 3)),
    "F": Handshape((56, 66, 28, 0), (10, 8, 4, -2), (6, 8, 4, -12), (2, 8, 4, -24), (0.0, 0.07, 0.005),
                   (0.58, 0.42, 0.4), touch=("index", 3), turn=(34, 0, 2)),
    "G": Handshape(UP, FIST, FIST, FIST, (0.58, 1.12, 0.22), (0.60, 0.5, 0.2), turn=_SIDEWAYS,
                   forearm=(-0.9, -0.45, -0.2)),
    "H": Handshape(UP, UP, FIST, FIST, (0.13, 0.0, 0.17), (0.46, 0.42, 0.36), touch=("ring", 2), turn=_SIDEWAYS,
                   forearm=(-0.9, -0.45, -0.2)),
    "I": Handshape(FIST, FIST, FIST, _spread(UP, -6), **_OVER_FIST),
    "J": Handshape(FIST, FIST, FIST, _spread(UP, -22), **_OVER_FIST, turn=(-24, 8, 30), sweep={"little": 34}),
    "K": Handshape(_spread(UP, 7), (34, 6, 4, -14), FIST, FIST, (0.125, -0.115, -0.19), (0.46, 0.55, 0.3),
                   touch=("middle", 1), turn=(-28, -4, 0)),
    "L": Handshape(UP, FIST, FIST, FIST, (1.20, 0.51, 0.10), (0.6, 0.30, 0.10)),
    "M": Handshape(**DRAPED, little=_spread(FIST, -12), thumb=(-0.15, -0.11, -0.03), knee=(0.42, 0.50, 0.28),
                   touch=("ring", 2)),
    "N": Handshape(**(DRAPED | {"ring": _spread(FIST, -8)}), little=_spread(FIST, -8), thumb=(-0.16, -0.13, -0.03),
                   knee=(0.46, 0.46, 0.28), touch=("middle", 2)),
    "O": Handshape(_ROUND, _ROUND, (56, 54, 28, 0), (60, 56, 28, 0), (0.0, 0.075, -0.04), (0.5, 0.28, 0.5),
                   touch=("index", 3), turn=(58, 0, 0)),
    "P": Handshape(_spread(UP, 5), (74, 6, 4, -4), FIST, FIST, (0.125, 0.02, -0.075), (0.5, 0.5, 0.3),
                   touch=("middle", 1), turn=(-66, 0, 112), forearm=(0.9, -0.4, -0.3)),
    "Q": Handshape((14, 4, 3, 0), FIST, FIST, FIST, (0.75, 1.06, 0.26), (0.64, 0.5, 0.2), turn=(178, 8, 176),
                   forearm=(-0.5, -0.75, -0.6)),
    "R": Handshape((16, 5, 4, -8), (0, 6, 4, 12), FIST, FIST, **_HOLD_RING),
    "S": Handshape(FIST, FIST, FIST, FIST, **_OVER_FIST),
    "T": Handshape((73, 80, 22, 12), _spread(FIST, -4), _spread(FIST, -3), FIST, (0.115, -0.40, 0.09),
                   (0.30, 0.52, 0.14), touch=("middle", 2)),
    "U": Handshape(_spread(UP, -1), _spread(UP, 1), FIST, FIST, **_HOLD_RING),
    "V": Handshape(_spread(UP, 13), _spread(UP, -11), FIST, FIST, **_HOLD_RING),
    "W": Handshape(_spread(UP, 15), UP, _spread(UP, -15), FIST, (0.07, 0.015, 0.14), (0.44, 0.36, 0.34),
                   touch=("little", 2)),
    "X": Handshape((-4, 74, 50, 2), FIST, FIST, FIST, (-0.16, -0.13, 0.165), (0.36, 0.5, 0.46), touch=("middle", 2),
                   turn=(56, 0, 0)),
    "Y": Handshape(FIST, FIST, FIST, _spread(UP, -24), (1.13, 0.66, 0.10), (0.6, 0.36, 0.1)),
    "Z": Handshape((20, 6, 4, 10), FIST, FIST, FIST, (-0.04, -0.02, 0.19), (0.54, 0.46, 0.42), touch=("middle", 2),
                   turn=(10, 16, -20), sweep={"index": -30}),
}  # fmt: skip

# Other ways in which people form the letters that are told apart by little: fingers less curled, the thumb elsewhere.
_LONG: dict[str, Angles] = {"index": (84, 52, 12, 0), "middle": (89, 50, 12, 1), "ring": (85, 52, 12, 3)}
VARIANTS: dict[str, tuple[Handshape, ...]] = {
    "A": (replace(LETTERS["A"], thumb=(0.27, 0.0, 0.06)),),
    "E": (Handshape((18, 106, 60, 0), (22, 106, 60, 0), (20, 106, 60, 0), (14, 106, 60, 0), (-0.14, 0.76, 0.27),
                    (0.5, 0.5, 0.22)),
          Handshape((62, 98, 40, 0), (66, 96, 40, 0), (62, 98, 40, 0), (56, 100, 40, 0), (-0.06, 0.065, -0.01),
                    (0.52, 0.56, 0.22), touch=("ring", 3))),
    "M": (replace(LETTERS["M"], **_LONG),),
    "N": (replace(LETTERS["N"], **{**_LONG, "ring": _spread(FIST, -8)}),),
    "S": (replace(LETTERS["S"], thumb=(0.02, -0.04, 0.21)),),
    "T": (replace(LETTERS["T"], index=(60, 86, 24, 12), thumb=(0.11, -0.52, 0.11)),),
}  # fmt: skip


def _reach(base: np.ndarray, joints: np.ndarray, bones: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Joints of a chain that starts at `base`, keeps its bone lengths and ends as near `target` as it can, (4, 3).

    Alternates between pinning the far end and the near end (the FABRIK scheme); a dozen rounds are enough for a thumb.
    """
    chain = np.vstack([base, joints, target])
    for _ in range(12):
        chain[3] = target
        for i in (2, 1, 0):
            step = chain[i] - chain[i + 1]
            chain[i] = chain[i + 1] + step * (bones[i] / np.linalg.norm(step))
        chain[0] = base
        for i in (0, 1, 2):
            step = chain[i + 1] - chain[i]
            chain[i + 1] = chain[i] + step * (bones[i] / np.linalg.norm(step))
    return chain


def angles_of(shape: Handshape) -> np.ndarray:
    """The fingers' angles (4, 4): a row for each of `FINGERS`; degrees."""
    return np.array([getattr(shape, name) for name in FINGERS], dtype=np.float64)


def with_angles(shape: Handshape, angles: np.ndarray, **changes: object) -> Handshape:
    """The same handshape with other angles of the fingers, held within the joints' `LIMITS`."""
    rows = np.clip(angles, LIMITS[:, 0], LIMITS[:, 1]).tolist()
    return replace(shape, **{name: tuple(row) for name, row in zip(FINGERS, rows, strict=True)}, **changes)


def between(first: Handshape, second: Handshape, share: float) -> Handshape:
    """The pose a hand passes through on its way from one handshape to another; `share` 0 is the first, 1 the second."""

    def mix(a, b):
        return (1 - share) * np.asarray(a, dtype=np.float64) + share * np.asarray(b, dtype=np.float64)

    thumbs = [skeleton(shape)[0][0, 3] for shape in (first, second)]
    return with_angles(
        first if share < 0.5 else second,
        mix(angles_of(first), angles_of(second)),
        thumb=tuple(mix(*thumbs)),
        knee=tuple(mix(first.knee, second.knee)),
        touch=None,
        turn=tuple(mix(first.turn, second.turn)),
        sweep={},
    )


def skeleton(shape: Handshape, *, proportions: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Joint positions (5, 4, 3) and outward (back-of-the-hand) directions (5, 3, 3) of a pose.

    Row 0 is the thumb, rows 1–4 the fingers; every row runs from its root to its tip: with the wrist, at the origin,
    21 joints. `proportions` scales palm width, finger length and thumb length.
    """
    width, length, thumb_length = (1.0, 1.0, 1.0) if proportions is None else proportions
    scale = np.array([width, 1.0, 1.0])
    joints, backs, aside = np.empty((5, 4, 3)), np.empty((5, 3, 3)), np.empty((4, 3))
    for finger, (*flexion, spread) in enumerate(angles_of(shape)):
        side = np.radians(spread)
        along, aside[finger] = np.array([[np.sin(side), np.cos(side), 0.0], [np.cos(side), -np.sin(side), 0.0]])
        joints[finger + 1, 0] = KNUCKLES[finger] * scale
        bend = np.radians(np.cumsum(flexion))
        for bone, angle in enumerate(bend):
            direction = np.cos(angle) * along + np.sin(angle) * np.array([0.0, 0.0, 1.0])
            joints[finger + 1, bone + 1] = joints[finger + 1, bone] + direction * PHALANGES[finger, bone] * length
            backs[finger + 1, bone] = np.sin(angle) * along - np.cos(angle) * np.array([0.0, 0.0, 1.0])
    target = np.array(shape.thumb, dtype=np.float64)
    if shape.touch is None:
        target *= scale
    else:
        finger, joint = FINGERS.index(shape.touch[0]), shape.touch[1]
        chain = joints[finger + 1]
        bone = (chain[joint] - chain[joint - 1]) / (PHALANGES[finger, joint - 1] * length)
        target = chain[joint] + target @ np.stack([aside[finger] * width, bone, backs[finger + 1, joint - 1]])
    knee = np.array(shape.knee) * scale
    joints[0] = _reach(
        THUMB_BASE * scale, np.stack([knee, (knee + target) / 2 + 0.05]), THUMB_BONES * thumb_length, target
    )
    palm = np.array([-0.45, 0.15, 0.88])  # the thumb's pad looks across the palm
    for bone in range(3):
        direction = joints[0, bone + 1] - joints[0, bone]
        direction /= np.linalg.norm(direction)
        pad = palm - direction * (palm @ direction)
        backs[0, bone] = -pad / np.linalg.norm(pad)
    return joints, backs
