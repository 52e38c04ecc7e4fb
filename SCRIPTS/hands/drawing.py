"""Draws a hand that spells a letter: a posed skeleton in, a photograph out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SCRIPTS.hands.handshapes import FINGERS, LETTERS, Handshape, angles_of, with_angles
from SCRIPTS.hands.shading import box_blur, shade
from SCRIPTS.hands.signers import Signer, photograph, room_behind
from SCRIPTS.hands.solids import PALM, Solid, build_solids, project, rasterise, rotation

OVERSAMPLE = 2
# The fingers' wobble at their three joints and sideways, in degrees: a careful signer's, and the most that the hand
# does as a whole and that one finger does for itself, free or folded. Folded is one that bends so far at two joints.
WOBBLE = np.array([5.0, 6.0, 4.0, 1.5])
COMMON, OWN, OWN_FOLDED = np.array([[7.0, 8.0, 7.0, 2.0], [3.5, 5.0, 6.0, 1.5], [2.5, 4.0, 5.0, 1.5]])
FOLDED = 115


@dataclass(frozen=True)
class Pose:
    """How a hand is held before the camera: its handshape with all its wobbles, and its rotation (3, 3)."""

    shape: Handshape
    turn: np.ndarray


def hold(shape: Handshape, signer: Signer, habit: np.random.Generator, rng: np.random.Generator, loose: float) -> Pose:
    """The pose of one photograph: `habit` is the signer's own way with this letter, `rng` the moment's; `loose` 1 is
    the wobble of careful signers and 2 twice that, in the fingers, the thumb and the turn of the wrist."""
    accent = habit.normal(0, 1, (4, 4)) + rng.normal(0, 1, (4, 4)) * 0.45
    tilt = habit.normal(0, 1, 3) * (4, 3, 3) + rng.normal(0, 1, 3) * (4, 3, 3.5)
    yaw, pitch, roll = signer.view + tilt * loose
    thumb = habit.normal(0, 0.025, 3) + rng.normal(0, 0.012, 3)
    turn = rotation(0, 0, roll) @ rotation(yaw, pitch, 0) @ rotation(*shape.turn)
    angles = angles_of(shape)
    # Fingers share muscles: they wobble as one, and each for itself much less where it is folded among others, so that
    # no fist has one finger up. Nobody goes so far that it becomes another letter.
    common = accent.mean(axis=0)
    folded = (angles[:, :2].sum(axis=1) > FOLDED)[:, None]
    alone = _soften((accent - common) * WOBBLE * loose, np.where(folded, OWN_FOLDED, OWN))
    angles = angles + _soften(1.5 * common * WOBBLE * loose, COMMON) + alone
    return Pose(with_angles(shape, angles, thumb=tuple(shape.thumb + _soften(thumb * loose, 0.03))), turn)


def hold_letter(letter: str, signer: Signer, rng: np.random.Generator) -> Pose:
    """The pose of one photograph of a letter, A–Z, by a careful signer."""
    # A signer's own way of forming a letter: the same in all of their photographs of it.
    habit = np.random.default_rng([signer.accent_seed, ord(letter)])
    return hold(LETTERS[letter], signer, habit, rng, loose=1.0)


def _soften(wobble: np.ndarray, most: np.ndarray | float) -> np.ndarray:
    """The wobble, almost unchanged where it is small, and never beyond `most` on either side."""
    return most * np.tanh(wobble / most)


def _instants(pose: Pose, signer: Signer) -> list[list[Solid]]:
    """The solids of every instant of the exposure; the last one is the pose itself."""
    out = []
    for left in np.linspace(1, 0, 5) if pose.shape.sweep else (0.0,):
        angles = angles_of(pose.shape)
        for finger, degrees in pose.shape.sweep.items():
            angles[FINGERS.index(finger), 3] += degrees * left
        out.append(project(build_solids(with_angles(pose.shape, angles), signer, pose.turn), signer.distance))
    return out


def _frame(
    instants: list[list[Solid]], fill: float, at: np.ndarray, side: int
) -> tuple[list[list[Solid]], float, np.ndarray]:
    """The same instants in pixels, y down; the pixels in a hand unit; the hand's box (left, top, right, bottom)."""
    ends = [(end[:2], radius) for solids in instants for s in solids if s.part <= PALM
            for end, radius in ((s.a, s.ra), (s.b, s.rb))]  # fmt: skip
    low = np.min([point - radius for point, radius in ends], axis=0)
    high = np.max([point + radius for point, radius in ends], axis=0)
    # Half way between filling the frame with every hand and showing every hand at one scale.
    unit = side * fill / np.sqrt(2.1 * max(high - low))
    down = np.array([1.0, -1.0, 1.0])
    centre = at * side
    middle = np.array([*(low + high) / 2, 0.0])
    shift = np.array([*centre, 0.0])

    def place(s: Solid) -> Solid:
        a, b = ((end - middle) * down * unit + shift for end in (s.a, s.b))
        return replace(s, a=a, b=b, ra=s.ra * unit, rb=s.rb * unit, back=s.back * down, melt=s.melt * unit)

    half = (high - low) / 2 * unit
    return [[place(s) for s in solids] for solids in instants], unit, np.concatenate([centre - half, centre + half])


@dataclass(frozen=True)
class Cutout:
    """A lit hand without its surroundings, (size, size): linear-light `colour` times `cover`, `cover` in 0–1 with a
    last axis of 1, and the hand's box in pixels (left, top, right, bottom)."""

    colour: np.ndarray
    cover: np.ndarray
    box: np.ndarray


def draw_hand(
    pose: Pose, signer: Signer, rng: np.random.Generator, size: int, *, fill: float, at: np.ndarray
) -> Cutout:
    """The hand, forearm and sleeve of one photograph; the hand takes the share `fill` of the side, around `at`."""
    side = size * OVERSAMPLE
    instants, unit, box = _frame(_instants(pose, signer), fill, at, side)
    light = np.array(signer.light) + rng.normal(0, 0.08, 3)
    light = light / np.linalg.norm(light) * (1.0, -1.0, 1.0)
    colour, cover = np.zeros((side, side, 3)), np.zeros((side, side, 1))
    for number, solids in enumerate(instants, start=1):
        buffers = rasterise(solids, side)
        rows, columns = (np.flatnonzero(buffers["mask"].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        seen = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        weight = 1.0 if len(instants) == 1 else 0.6 if number == len(instants) else 0.4 / (len(instants) - 1)
        mask = buffers["mask"][seen][..., None] * weight
        place = np.moveaxis(np.mgrid[seen], 0, -1) / unit
        inside = {name: b[seen] for name, b in buffers.items()}
        colour[seen] += shade({**inside, "place": place}, signer, light, unit) * mask
        cover[seen] += mask

    def shrink(image: np.ndarray) -> np.ndarray:
        return image.reshape(size, OVERSAMPLE, size, OVERSAMPLE, -1).mean(axis=(1, 3))

    return Cutout(shrink(colour), shrink(cover), box / OVERSAMPLE)


def render_hand(
    letter: str, signer: Signer, rng: np.random.Generator, size: int = 128
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A photograph of `signer` spelling `letter`, uint8 (size, size, 3), and the hand's box (left, top, right, bottom).

    Args:
        letter: A–Z.
        signer: who signs, where and before which camera.
        rng: what differs from photograph to photograph: joints, place, turn, light, exposure, grain.
        size: the picture's side in pixels.
    """
    pose = hold_letter(letter, signer, rng)
    fill, at = signer.fill * rng.uniform(0.93, 1.07), np.array([0.5, 0.47]) + rng.uniform(-0.06, 0.06, 2)
    hand = draw_hand(pose, signer, rng, size, fill=fill, at=at)
    behind = room_behind(signer, rng, size) ** 2.2
    # The hand keeps some light from what is close behind it.
    move = np.rint(np.array(signer.light[:2]) * (-1, 1) * size * 0.07).astype(int)
    fallen = box_blur(np.roll(hand.cover[..., 0], tuple(move[::-1]), axis=(0, 1)), max(1, size // 24))
    behind = behind * (1 - 0.45 * signer.shadow * fallen[..., None])
    scene = hand.colour + behind * (1 - hand.cover)
    left, top, right, bottom = np.clip(np.rint(hand.box), 0, size - 1).astype(int).tolist()
    return photograph(scene, signer, rng), (left, top, right, bottom)
