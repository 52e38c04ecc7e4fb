"""The colour of every pixel of a hand: skin, nails and sleeve, in the signer's light and the hand's own shadows."""

from __future__ import annotations

import numpy as np

from SCRIPTS.hands.signers import Signer
from SCRIPTS.hands.solids import SLEEVE


def box_blur(image: np.ndarray, radius: int) -> np.ndarray:
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
        share = np.maximum(box_blur(mask, radius), 1e-6)
        depth_blur = box_blur(depth * mask, radius) / share
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
    return 1.0 - box_blur(covered, max(1, int(unit * 0.02)))


def shade(buffers: dict[str, np.ndarray], signer: Signer, light: np.ndarray, unit: float) -> np.ndarray:
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
