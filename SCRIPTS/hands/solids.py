"""The solids a hand is made of, and what the camera sees of them at every pixel: depth, normal, part, bone.

Every bone is a ball swept along a line while its radius changes. Seen from the camera each such solid has a closed-form
depth, so a picture is one depth buffer: no mesh, no ray marching. Everything is float64, so that another processor's
last bit does not survive the rounding to 8 bits, and the same seed gives the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from SCRIPTS.hands.handshapes import GIRTHS, THUMB_GIRTHS, Handshape, skeleton
from SCRIPTS.hands.signers import Signer

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


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The rotation (3, 3) that turns about y, then x, then z; degrees."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def build_solids(shape: Handshape, signer: Signer, turn: np.ndarray) -> list[Solid]:
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


def project(solids: list[Solid], distance: float) -> list[Solid]:
    """The solids with perspective applied to their ends; depth stays in hand units."""

    def shrink(p):
        s = distance / (distance - p[2])
        return np.array([p[0] * s, p[1] * s, p[2]]), s

    out = []
    for solid in solids:
        (a, sa), (b, sb) = shrink(solid.a), shrink(solid.b)
        out.append(replace(solid, a=a, b=b, ra=solid.ra * sa, rb=solid.rb * sb))
    return out


def rasterise(solids: list[Solid], side: int) -> dict[str, np.ndarray]:
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
