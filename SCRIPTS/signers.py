"""Who signs, and where: skin, proportions, habits, camera and light of a signer, the room, and the camera's flaws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

# Ellis Monk's ten skin tones, lightest first (skintone.google, CC BY 4.0)
MONK = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
BACKDROPS = ("panel", "stripes", "bricks", "shelf", "window", "leaves")


@dataclass(frozen=True)
class Signer:
    """One person in front of one camera in one room; colours are sRGB in 0–1, angles degrees, lengths hand units."""

    skin: tuple[float, float, float]
    sleeve: tuple[float, float, float]
    sleeve_start: float
    proportions: tuple[float, float, float]
    thickness: float
    left_handed: bool
    accent_seed: int
    view: tuple[float, float, float]  # yaw, pitch, roll of the camera
    distance: float  # of the camera, in hand units: small means strong perspective
    fill: float  # share of the picture's side that the hand takes
    light: tuple[float, float, float]
    light_colour: tuple[float, float, float]
    ambient: float
    backdrop: str
    wall: tuple[float, float, float]
    accent_wall: tuple[float, float, float]
    room_seed: int
    blur: float
    noise: float
    quality: int


def skin_tone(step: int) -> tuple[float, float, float]:
    """The sRGB colour (0–1) of a step from 1 to 10 on the Monk scale, warmed: its swatches are duller than lit skin."""
    red, green, blue = bytes.fromhex(MONK[step - 1])
    return red / 255, green / 255 * 0.86, blue / 255 * 0.77


def random_signer(
    rng: np.random.Generator,
    *,
    skin: tuple[float, float, float] | None = None,
    backdrop: str | None = None,
    left_handed: bool = False,
) -> Signer:
    """A signer whose hand, habits, camera, light and room are drawn from `rng`, and what is not given too."""
    skin = skin or skin_tone(int(rng.integers(1, 11)))
    side = rng.choice([-1.0, 1.0])
    warmth = rng.uniform(-0.06, 0.1)
    wall = rng.uniform(0.5, 0.9) * (1 + rng.uniform(-0.09, 0.09, 3))
    return Signer(
        skin=skin,
        sleeve=tuple(rng.uniform(0.15, 0.7) * rng.uniform(0.5, 1.3, 3)),
        sleeve_start=rng.uniform(0.35, 1.1),
        proportions=tuple(rng.uniform((0.92, 0.9, 0.93), (1.1, 1.1, 1.05))),
        thickness=rng.uniform(0.9, 1.12),
        left_handed=left_handed,
        accent_seed=int(rng.integers(1 << 30)),
        view=tuple(rng.uniform((-15, -12, -9), (15, 12, 9))),
        distance=rng.uniform(5.0, 12.0),
        fill=rng.uniform(0.62, 0.76),
        light=(side * rng.uniform(0.15, 0.75), rng.uniform(0.25, 0.8), rng.uniform(0.55, 0.95)),
        light_colour=(1 + warmth, 1.0, 1 - warmth),
        ambient=rng.uniform(0.3, 0.48),
        backdrop=backdrop or str(rng.choice(BACKDROPS)),
        wall=tuple(wall),
        accent_wall=tuple(rng.uniform(0.25, 0.8) * rng.uniform(0.75, 1.2, 3)),
        room_seed=int(rng.integers(1 << 30)),
        blur=rng.uniform(0.25, 0.6),
        noise=rng.uniform(0.8, 3.0),
        quality=int(rng.integers(78, 91)),
    )


def backdrop(signer: Signer, rng: np.random.Generator, size: int) -> np.ndarray:
    """The room behind the hand, sRGB in 0–1, (size, size, 3): the same for a signer up to a small shift."""
    room = np.random.default_rng(signer.room_seed)
    big = size + size // 4
    y, x = np.mgrid[0:big, 0:big] / big
    wall, other = np.array(signer.wall), np.array(signer.accent_wall)
    image = wall * (1.08 - 0.25 * y[..., None] + 0.12 * (x[..., None] - 0.5))
    if signer.backdrop == "panel":
        image = np.where((y > room.uniform(0.5, 0.7))[..., None], other * (1.1 - 0.3 * y[..., None]), image)
    elif signer.backdrop == "stripes":
        wave = np.sin(x * room.uniform(40, 60)) > room.uniform(-0.2, 0.4)
        image = np.where(wave[..., None], image * 0.55 + other * 0.45, image)
    elif signer.backdrop == "bricks":
        row = np.floor(y * 11)
        gap = ((y * 11) % 1 < 0.12) | (((x * 5 + 0.5 * (row % 2)) % 1) < 0.05)
        image = np.where(gap[..., None], other, image)
    elif signer.backdrop == "shelf":
        for left in np.arange(0, 1, 0.07):
            top, book = room.uniform(0.05, 0.3), room.uniform(0.15, 0.75, 3)
            for shelf in (0.0, 0.52):
                inside = (x > left) & (x < left + 0.062) & (y > shelf + top / 2) & (y < shelf + 0.46)
                image = np.where(inside[..., None], book * 0.6 + other * 0.4, image)
    elif signer.backdrop == "window":
        pane = (abs(x - 0.62) < 0.26) & (abs(y - 0.36) < 0.3)
        bar = pane & ((abs(x - 0.62) < 0.012) | (abs(y - 0.36) < 0.012))
        image = np.where((pane & ~bar)[..., None], other * (1.15 - 0.4 * y[..., None]), image)
    elif signer.backdrop == "leaves":
        for _ in range(70):
            cx, cy, r = room.uniform(0, 1), room.uniform(0, 1), room.uniform(0.03, 0.09)
            blob = (x - cx) ** 2 + ((y - cy) * room.uniform(0.7, 1.6)) ** 2 < r * r
            image = np.where(blob[..., None], image * 0.45 + other * room.uniform(0.5, 1.0) * 0.55, image)
    soft = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    soft = soft.filter(ImageFilter.GaussianBlur(size * 0.012))
    left, top = rng.integers(0, big - size + 1, 2)
    return np.asarray(soft, dtype=np.float64)[top : top + size, left : left + size] / 255


def photograph(linear: np.ndarray, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """What the camera makes of the scene: exposure, softness, grain and 8 bits."""
    metered = np.clip(0.36 / linear.mean(), 0.95, 1.5)  # an automatic exposure, within limits
    image = np.clip(linear * metered * rng.uniform(0.92, 1.1), 0, 1) ** (1 / 2.2)
    soft = Image.fromarray((image * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(signer.blur))
    grain = rng.normal(0, signer.noise, image.shape[:2])[..., None] + rng.normal(0, signer.noise * 0.4, image.shape)
    return np.clip(np.floor(np.asarray(soft, dtype=np.float64) + grain + 0.5), 0, 255).astype(np.uint8)
