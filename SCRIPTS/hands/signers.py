"""Who signs, before which camera, in which light and place, and what that camera makes of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from SCRIPTS.hands.scenes import PLACES, backdrop, skin_tone


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
    shadow: float  # how dark the light's own shadows are, 0–1
    backdrop: str
    clutter: int
    person: tuple[tuple[float, float, float], tuple[float, float, float]] | None  # skin and shirt of who stands behind
    wall: tuple[float, float, float]
    accent_wall: tuple[float, float, float]
    room_seed: int
    blur: float
    noise: float
    quality: int


def random_signer(
    rng: np.random.Generator,
    *,
    skin: tuple[float, float, float] | None = None,
    backdrop: str | None = None,
    left_handed: bool = False,
    wild: float = 0.0,
) -> Signer:
    """A signer whose hand, habits, camera, light and room are drawn from `rng`, and what is not given too.

    `wild` widens the camera's angles and the ranges of light, from a tidy series of photographs (0) to anything (1).
    """
    skin = skin or skin_tone(rng.uniform(1, 10))
    side = rng.choice([-1.0, 1.0])
    warmth = rng.uniform(-0.06, 0.1) * (1 + wild)
    wall = rng.uniform(0.5 - 0.35 * wild, 0.9) * (1 + rng.uniform(-0.09, 0.09, 3) * (1 + wild))
    sleeve = rng.uniform(0.15, 0.7) * rng.uniform(0.5, 1.3, 3)
    angles = np.array((15, 12, 9)) * (1 + wild)
    behind = rng.uniform() < 0.5
    return Signer(
        skin=skin,
        sleeve=tuple(sleeve),
        sleeve_start=rng.uniform(0.35, 1.1 + 0.8 * wild),
        proportions=tuple(rng.uniform((0.92, 0.9, 0.93), (1.1, 1.1, 1.05))),
        thickness=rng.uniform(0.88, 1.14),
        left_handed=left_handed,
        accent_seed=int(rng.integers(1 << 30)),
        view=tuple(rng.uniform(-angles, angles)),
        distance=rng.uniform(5.0, 12.0),
        fill=rng.uniform(0.62, 0.76),
        light=(side * rng.uniform(0.15, 0.75 + wild), rng.uniform(0.25 - 0.6 * wild, 0.8), rng.uniform(0.55, 0.95)),
        light_colour=(1 + warmth, 1.0, 1 - warmth),
        ambient=rng.uniform(0.3, 0.48 + 0.3 * wild),
        shadow=rng.uniform(0.3, 0.85),
        backdrop=backdrop or str(rng.choice(list(PLACES))),
        clutter=int(rng.integers(0, 4 + round(8 * wild))),
        person=(skin, tuple(sleeve)) if behind else None,
        wall=tuple(wall),
        accent_wall=tuple(rng.uniform(0.25, 0.8) * rng.uniform(0.75, 1.2, 3)),
        room_seed=int(rng.integers(1 << 30)),
        blur=rng.uniform(0.25, 0.6),
        noise=rng.uniform(0.8, 3.0),
        quality=int(rng.integers(78, 91)),
    )


def room_behind(signer: Signer, rng: np.random.Generator, size: int) -> np.ndarray:
    """The room behind the hand, sRGB in 0–1, (size, size, 3): the same for a signer up to a small shift."""
    big = size + size // 4
    image = backdrop(
        signer.backdrop, np.random.default_rng(signer.room_seed), big, wall=signer.wall, other=signer.accent_wall,
        clutter=signer.clutter, person=signer.person,
    )  # fmt: skip
    left, top = rng.integers(0, big - size + 1, 2)
    return image[top : top + size, left : left + size] / 255.0


def photograph(linear: np.ndarray, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """What the camera makes of the scene: exposure, softness, grain and 8 bits."""
    metered = np.clip(0.36 / linear.mean(), 0.95, 1.5)  # an automatic exposure, within limits
    image = np.clip(linear * metered * rng.uniform(0.92, 1.1), 0, 1) ** (1 / 2.2)
    soft = Image.fromarray((image * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(signer.blur))
    grain = rng.normal(0, signer.noise, image.shape[:2])[..., None] + rng.normal(0, signer.noise * 0.4, image.shape)
    return np.clip(np.floor(np.asarray(soft, dtype=np.float64) + grain + 0.5), 0, 255).astype(np.uint8)
