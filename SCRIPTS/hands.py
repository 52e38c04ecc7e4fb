"""Draws a hand that spells a letter: a posed skeleton in, a photograph out.

Every bone is a ball swept along a line while its radius changes. Seen from the camera each such solid has a closed-form
depth, so a picture is one depth buffer: no mesh, no ray marching. Everything is float64, so that another processor's
last bit does not survive the rounding to 8 bits, and the same seed gives the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from handshapes import FINGERS, GIRTHS, LETTERS, THUMB_GIRTHS, Handshape, angles_of, skeleton, with_angles
from signers import Signer, photograph, room_behind

OVERSAMPLE = 2
FAR = -1e6
FOREARM, PALM, THUMB, SLEEVE = 6, 5, 0, 7  # part numbers; fingers are 1–4


@dataclass(frozen=True)
class Solid:
    """A ball swept from `a` to `b` (radii `ra`, `rb`), melting into what it meets over the depth `melt`."""

    a: np.ndarray
    b: np.ndarray
    ra: float
    rb: float
    part: int
    bone: int
    back: np.ndarray
    melt: float


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The rotation (3, 3) that turns about y, then x, then z; degrees."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def _solids(shape: Handshape, signer: Signer, turn: np.ndarray) -> list[Solid]:
    """The hand, forearm and sleeve as solids in camera coordinates (x right, y up, z to the viewer)."""
    joints, backs = skeleton(shape, proportions=np.array(signer.proportions))
    width, thick = signer.proportions[0], signer.thickness
    out: list[tuple] = []
    dorsal = np.array([0.0, 0.0, -1.0])

    def add(a, b, ra, rb, part, bone=0, back=dorsal, melt=0.2):
        out.append((np.asarray(a, float), np.asarray(b, float), ra * thick, rb * thick, part, bone, back, melt))

    knuckles = joints[1:, 0]
    for i, root in enumerate((0.17, 0.06, -0.06, -0.16)):
        add((root * width, 0.06, 0.0), knuckles[i] - [0, 0.03, 0], 0.17, 0.135, PALM)
    for i in range(3):
        add(knuckles[i] - [0, 0.06, 0], knuckles[i + 1] - [0, 0.06, 0], 0.13, 0.125, PALM)
    add((-0.19 * width, 0.2, 0.06), (-0.29 * width, 0.6, 0.05), 0.17, 0.14, PALM)
    add(joints[0, 0], joints[0, 1], THUMB_GIRTHS[0] * 1.12, THUMB_GIRTHS[1] * 1.02, PALM, back=backs[0, 0])
    web = joints[0, 0] * 0.35 + joints[0, 1] * 0.65
    add(web, (0.26 * width, 0.62, 0.03), 0.11, 0.12, PALM)
    for bone in (1, 2):
        add(joints[0, bone], joints[0, bone + 1], *THUMB_GIRTHS[bone : bone + 2], THUMB, bone, backs[0, bone],
            0.07 if bone == 1 else 0.03)  # fmt: skip
    for finger in range(1, 5):
        for bone in range(3):
            add(joints[finger, bone], joints[finger, bone + 1], *GIRTHS[finger - 1, bone : bone + 2], finger, bone,
                backs[finger, bone], 0.05 if bone == 0 else 0.02)  # fmt: skip
    moved = [Solid(turn @ a, turn @ b, ra, rb, part, bone, turn @ back, melt)
             for a, b, ra, rb, part, bone, back, melt in out]  # fmt: skip
    arm = turn @ np.array([0.0, -1.0, 0.0]) if shape.forearm is None else np.array(shape.forearm)
    arm = arm / np.linalg.norm(arm)
    wrist, back = turn @ np.array([0.0, 0.05, 0.0]), turn @ dorsal
    inside = signer.sleeve_start + 0.3
    moved.append(
        Solid(wrist, wrist + arm * inside, 0.225 * thick, (0.225 + 0.05 * inside) * thick, FOREARM, 0, back, 0.1)
    )
    cuff = wrist + arm * signer.sleeve_start
    moved.append(Solid(cuff, cuff + arm * 6, 0.32 * thick, 0.64 * thick, SLEEVE, 0, back, 0.0))
    if signer.left_handed:
        flip = np.array([-1.0, 1.0, 1.0])
        moved = [replace(s, a=s.a * flip, b=s.b * flip, back=s.back * flip) for s in moved]
    return moved


def _project(solids: list[Solid], distance: float) -> list[Solid]:
    """The solids with perspective applied to their ends; depth stays in hand units."""

    def shrink(p):
        s = distance / (distance - p[2])
        return np.array([p[0] * s, p[1] * s, p[2]]), s

    out = []
    for solid in solids:
        (a, sa), (b, sb) = shrink(solid.a), shrink(solid.b)
        out.append(replace(solid, a=a, b=b, ra=solid.ra * sa, rb=solid.rb * sb))
    return out


def _rasterise(solids: list[Solid], side: int) -> dict[str, np.ndarray]:
    """Depth, normal, part, bone, place along the bone and back-facing share for every pixel of a side×side picture.

    The solids are in pixel units, y down. A pixel's ray meets the swept ball where the ball's centre is `t` of the way
    along; with `t` clamped to the bone, the two end balls come for free.
    """
    buffers = {name: np.zeros((side, side)) for name in ("part", "bone", "along", "back", "length")}
    depth, normal = np.full((side, side), FAR), np.zeros((side, side, 3))
    for s in solids:
        reach = max(s.ra, s.rb)
        low = np.clip(np.floor(np.minimum(s.a, s.b)[:2] - reach), 0, side).astype(int)
        high = np.clip(np.ceil(np.maximum(s.a, s.b)[:2] + reach) + 1, 0, side).astype(int)
        if (high <= low).any():
            continue
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        y, x = np.mgrid[box]
        px, py = x + 0.5 - s.a[0], y + 0.5 - s.a[1]
        axis = s.b - s.a
        length = max(np.linalg.norm(axis), 1e-6)
        ux, uy, uz = axis / length
        taper = np.clip((s.ra - s.rb) / length, -0.9, 0.9)
        slant = 1.0 - taper * taper
        # The ray (px, py, z) meets the tangent cone |m|² − h² = (ra − taper·h)² / slant, where h = m·u.
        flat = px * ux + py * uy
        qa = max(1.0 - uz * uz / slant, 1e-4)
        qb = -(flat * uz) / slant + s.ra * taper * uz / slant
        qc = px * px + py * py - (flat * flat + s.ra * s.ra - 2 * s.ra * taper * flat) / slant
        root = qb * qb - qa * qc
        z = (-qb + np.sqrt(np.maximum(root, 0.0))) / qa
        t = np.clip((flat + z * uz - taper * s.ra) / (slant * length), 0.0, 1.0)
        radius = s.ra + (s.rb - s.ra) * t
        dx, dy = px - t * axis[0], py - t * axis[1]
        under = radius * radius - dx * dx - dy * dy
        dz = np.sqrt(np.maximum(under, 0.0))
        hit = under > 0
        here = np.where(hit, s.a[2] + t * axis[2] + dz, FAR)
        face = np.stack([dx, dy, dz], axis=-1) / radius[..., None]
        old = depth[box]
        mix = np.clip(0.5 + 0.5 * (here - old) / max(s.melt, 1e-6), 0.0, 1.0) * hit
        bridge = np.where(old > FAR / 2, s.melt * mix * (1 - mix), 0.0)
        depth[box] = np.where(hit, old * (1 - mix) + np.where(hit, here, 0.0) * mix + bridge, old)
        normal[box] = normal[box] * (1 - mix[..., None]) + face * mix[..., None]
        wins = mix > 0.5 + 1e-6  # two bones share the ball at their joint: such a tie must not hang on the last bit
        for name, value in (("part", s.part + 1), ("bone", s.bone), ("along", t), ("length", length)):
            buffers[name][box] = np.where(wins, value, buffers[name][box])
        buffers["back"][box] = buffers["back"][box] * (1 - mix) + (face @ s.back) * mix
    size = np.linalg.norm(normal, axis=-1, keepdims=True)
    return {**buffers, "depth": depth, "normal": normal / np.maximum(size, 1e-9), "mask": depth > FAR / 2}


def _box_blur(image: np.ndarray, radius: int) -> np.ndarray:
    """A square moving average of a 2-D array, edges repeated."""
    for axis in (0, 1):
        padded = np.pad(image, [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        total = np.cumsum(padded, axis=axis)
        n = image.shape[axis]
        upper, lower = np.take(total, range(2 * radius + 1, 2 * radius + 1 + n), axis), np.take(total, range(n), axis)
        image = (upper - lower) / (2 * radius + 1)
    return image


def _sunken(buffers: dict[str, np.ndarray], radius: int) -> np.ndarray:
    """How far each pixel lies behind its surroundings on the hand, in pixels: large in the creases between fingers."""
    mask = buffers["mask"].astype(np.float64)
    depth = np.where(buffers["mask"], buffers["depth"], 0.0)
    for _ in range(2):
        share = np.maximum(_box_blur(mask, radius), 1e-6)
        depth_blur = _box_blur(depth * mask, radius) / share
        depth = depth_blur
    return np.where(buffers["mask"], depth_blur - buffers["depth"], 0.0)


def _lit(buffers: dict[str, np.ndarray], light: np.ndarray, unit: float) -> np.ndarray:
    """The share of the light that reaches each pixel past the rest of the hand, from 0 (in shadow) to 1."""
    depth, (height, width) = buffers["depth"], buffers["depth"].shape
    reach = max(float(np.hypot(light[0], light[1])), 0.05)
    covered = np.zeros_like(depth)
    for away in (0.06, 0.12, 0.2, 0.3, 0.42, 0.56):  # hand units along the picture, towards the light
        dx, dy = (round(float(part) / reach * away * unit) for part in light[:2])
        here = (slice(max(0, -dy), min(height, height - dy)), slice(max(0, -dx), min(width, width - dx)))
        there = (slice(max(0, dy), min(height, height + dy)), slice(max(0, dx), min(width, width + dx)))
        above = depth[there] - depth[here] - (light[2] / reach * away + 0.03) * unit
        covered[here] = np.maximum(covered[here], np.clip(above / (0.05 * unit), 0.0, 1.0))
    return 1.0 - _box_blur(covered, max(1, int(unit * 0.02)))


def _shade(buffers: dict[str, np.ndarray], signer: Signer, light: np.ndarray, unit: float) -> np.ndarray:
    """Linear-light colour (side, side, 3) of the hand; `unit` is the number of pixels in a hand unit."""
    n, part, along = buffers["normal"], buffers["part"] - 1, buffers["along"]
    skin = np.array(signer.skin) ** 2.2
    pale = skin * 0.62 + np.array([0.66, 0.41, 0.30]) * 0.38 * (0.35 + 0.65 * skin.mean() ** 0.5)
    front = np.clip(0.5 - 0.9 * buffers["back"], 0.0, 1.0)[..., None]  # palms are paler, most of all on dark skin
    colour = skin * (1 - front) + pale * front
    end = (along * buffers["length"] / unit)[..., None]  # hand units from the bone's root
    finger = ((part <= 4) & (part >= 0))[..., None]
    inner = finger & (buffers["bone"] >= 1)[..., None] & (buffers["back"] < 0.2)[..., None]
    colour = np.where(inner, colour * (1 - 0.4 * np.exp(-((end / 0.022) ** 2))), colour)
    nail = (part <= 4) & (part >= 0) & (buffers["bone"] == 2) & (along > 0.42) & (buffers["back"] > 0.74)
    rim = nail & (buffers["back"] < 0.80)
    colour = np.where(nail[..., None], colour * 0.55 + np.array([0.62, 0.42, 0.38]) * 0.45, colour)
    colour = np.where(rim[..., None], colour * 0.6, colour)
    colour = np.where((part == SLEEVE)[..., None], np.array(signer.sleeve) ** 2.2, colour)
    skin_part = (part != SLEEVE)[..., None]
    blotches = np.sin(buffers["place"][..., 0] * 7 + signer.accent_seed % 7) * np.sin(buffers["place"][..., 1] * 9)
    colour = np.where(skin_part, colour * (1 + 0.05 * blotches[..., None] * np.array([0.3, 1.0, 1.0])), colour)
    lambert = np.clip((n @ light + 0.25) / 1.25, 0.0, 1.0)
    lambert *= 1 - signer.shadow * (1 - _lit(buffers, light, unit))
    near, wide = _sunken(buffers, max(1, int(unit * 0.03))), _sunken(buffers, int(unit * 0.16))
    shadow = np.exp(-np.clip(near / (unit * 0.045), 0, 2.2)) * np.exp(-np.clip(wide / (unit * 0.30), 0, 1.2))
    rounding = 0.72 + 0.28 * np.clip(n[..., 2], 0, 1)
    tint = np.array(signer.light_colour)
    lit = signer.ambient * (0.75 - 0.25 * n[..., 1])[..., None] + (1.05 - signer.ambient) * lambert[..., None] * tint
    half = light + np.array([0.0, 0.0, 1.0])
    shine = np.clip(n @ (half / np.linalg.norm(half)), 0, 1) ** 24 * 0.025 * (part != SLEEVE)
    return colour * lit * (shadow * rounding)[..., None] + (shine * shadow)[..., None]


@dataclass(frozen=True)
class Pose:
    """How a hand is held before the camera: its handshape with all its wobbles, and its rotation (3, 3)."""

    shape: Handshape
    turn: np.ndarray


def hold(shape: Handshape, signer: Signer, habit: np.random.Generator, rng: np.random.Generator, loose: float) -> Pose:
    """The pose of one photograph: `habit` is the signer's own way with this letter, `rng` the moment's; `loose` 1 is
    the wobble of careful signers and 2 twice that, in the fingers, the thumb and the turn of the wrist."""
    spread = np.array([5.0, 6.0, 4.0, 1.5]) * loose
    accent = habit.normal(0, 1, (4, 4)) * spread + rng.normal(0, 1, (4, 4)) * spread * 0.45
    tilt = habit.normal(0, 1, 3) * (4, 3, 3) + rng.normal(0, 1, 3) * (4, 3, 3.5)
    yaw, pitch, roll = signer.view + tilt * loose
    thumb = habit.normal(0, 0.025, 3) + rng.normal(0, 0.012, 3)
    turn = _rotation(0, 0, roll) @ _rotation(yaw, pitch, 0) @ _rotation(*shape.turn)
    return Pose(with_angles(shape, angles_of(shape) + accent, thumb=tuple(shape.thumb + thumb * loose)), turn)


def _instants(pose: Pose, signer: Signer) -> list[list[Solid]]:
    """The solids of every instant of the exposure; the last one is the pose itself."""
    out = []
    for left in np.linspace(1, 0, 5) if pose.shape.sweep else (0.0,):
        angles = angles_of(pose.shape)
        for finger, degrees in pose.shape.sweep.items():
            angles[FINGERS.index(finger), 3] += degrees * left
        out.append(_project(_solids(with_angles(pose.shape, angles), signer, pose.turn), signer.distance))
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
        buffers = _rasterise(solids, side)
        rows, columns = (np.flatnonzero(buffers["mask"].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        seen = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        weight = 1.0 if len(instants) == 1 else 0.6 if number == len(instants) else 0.4 / (len(instants) - 1)
        mask = buffers["mask"][seen][..., None] * weight
        place = np.moveaxis(np.mgrid[seen], 0, -1) / unit
        inside = {name: b[seen] for name, b in buffers.items()}
        colour[seen] += _shade({**inside, "place": place}, signer, light, unit) * mask
        cover[seen] += mask

    def shrink(image: np.ndarray) -> np.ndarray:
        return image.reshape(size, OVERSAMPLE, size, OVERSAMPLE, -1).mean(axis=(1, 3))

    return Cutout(shrink(colour), shrink(cover), box / OVERSAMPLE)


def render_hand(
    letter: str | Handshape, signer: Signer, rng: np.random.Generator, size: int = 128
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A photograph of `signer` spelling `letter`, uint8 (size, size, 3), and the hand's box (left, top, right, bottom).

    Args:
        letter: A–Z, or any `Handshape`.
        signer: who signs, where and before which camera.
        rng: what differs from photograph to photograph: joints, place, turn, light, exposure, grain.
        size: the picture's side in pixels.
    """
    named = isinstance(letter, str)
    # A signer's own way of forming a letter: the same in all of their photographs of it.
    habit = np.random.default_rng([signer.accent_seed, ord(letter) if named else 0])
    pose = hold(LETTERS[letter] if named else letter, signer, habit, rng, loose=1.0)
    fill, at = signer.fill * rng.uniform(0.93, 1.07), np.array([0.5, 0.47]) + rng.uniform(-0.06, 0.06, 2)
    hand = draw_hand(pose, signer, rng, size, fill=fill, at=at)
    behind = room_behind(signer, rng, size) ** 2.2
    # The hand keeps some light from what is close behind it.
    move = np.rint(np.array(signer.light[:2]) * (-1, 1) * size * 0.07).astype(int)
    fallen = _box_blur(np.roll(hand.cover[..., 0], tuple(move[::-1]), axis=(0, 1)), max(1, size // 24))
    behind = behind * (1 - 0.45 * signer.shadow * fallen[..., None])
    scene = hand.colour + behind * (1 - hand.cover)
    left, top, right, bottom = np.clip(np.rint(hand.box), 0, size - 1).astype(int).tolist()
    return photograph(scene, signer, rng), (left, top, right, bottom)
