"""What is true of each letter of the American manual alphabet, as rules about a hand's joints.

The letters' descriptions follow the article "American manual alphabet" of Wikipedia (thumb beside the fist in A, before
it in S; K and P, G and Q, H and U differ in orientation; J and Z move), the classroom handout "The Manual Alphabet"
(docslib.org/doc/1066164: which fingers are up, where the thumb rests), wikiHow's "Fingerspell the Alphabet in American
Sign Language" (which palms face whom), Lifeprint's fingerspelling pages (three fingers over the thumb in M, two in N)
and the Helen Keller National Center's "ASL handshapes described". All are seen by who faces a right-handed signer.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from SCRIPTS.hands.handshapes import FINGERS, GIRTHS, THUMB_GIRTHS, Handshape, skeleton
from SCRIPTS.hands.solids import rotation

# What is true of each letter. Every sentence names a rule of RULES and the fingers it is about.
DESCRIPTIONS = {
    "A": "none straight; closed index middle ring little; thumb up; thumb beside index; palm to viewer",
    "B": "straight index middle ring little; together index middle ring little; thumb across palm; palm to viewer",
    "C": "curved index middle ring little; thumb away from index middle ring little; thumb opposite; palm inwards",
    "D": "straight index; curved middle ring little; thumb touches middle; up index; palm to viewer",
    "E": "none straight; closed index middle ring little; on the thumb index middle ring little; thumb across palm",
    "F": "straight middle ring little; apart middle ring little; thumb touches index; up middle; palm to viewer",
    "G": "straight index; closed middle ring little; thumb alongside index; sideways index; palm to signer",
    "H": "straight index middle; together index middle; thumb over ring; sideways index middle; palm to signer",
    "I": "straight little; closed index middle ring; thumb over index middle; up little; palm to viewer; still",
    "J": "straight little; closed index middle ring; thumb over index middle; palm to viewer; moves little",
    "K": "straight index middle; apart index middle; thumb between index middle; thumb up; up index; palm to viewer",
    "L": "straight index; closed middle ring little; thumb out; up index; palm to viewer",
    "M": "none straight; over the thumb index middle ring; closed little; thumb between ring little; palm to viewer",
    "N": "none straight; over the thumb index middle; closed ring little; thumb between middle ring; palm to viewer",
    "O": "curved index middle ring little; thumb touches index; palm inwards",
    "P": "straight index middle; apart index middle; thumb between index middle; down middle; palm down",
    "Q": "straight index; closed middle ring little; thumb alongside index; down index; palm to signer",
    "R": "straight index middle; crossed index middle; closed ring little; thumb over ring; palm to viewer",
    "S": "none straight; closed index middle ring little; thumb over index middle; palm to viewer",
    "T": "none straight; over the thumb index; closed middle ring little; thumb between index middle; thumb up",
    "U": "straight index middle; together index middle; closed ring little; thumb over ring; up index middle",
    "V": "straight index middle; apart index middle; closed ring little; thumb over ring; palm to viewer",
    "W": "straight index middle ring; apart index middle ring; thumb over little; up middle; palm to viewer",
    "X": "none straight; hooked index; closed middle ring little; thumb over middle; palm inwards",
    "Y": "straight little; closed index middle ring; thumb out; palm to viewer",
    "Z": "straight index; closed middle ring little; thumb over middle; palm to viewer; moves index",
}


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(unit(a) @ unit(b), -1, 1))))


def along(chain: np.ndarray) -> np.ndarray:
    """Points (n, 3), a few to a bone, from the first joint of a chain to its last."""
    share = np.linspace(0, 1, 13)[:, None]
    return np.concatenate([a + (b - a) * share for a, b in pairwise(chain)])


class Hand:
    """A hand; its joints have x to the thumb's side, y along the fingers and z out of the palm.

    `person` says that somebody holds it, with that person's proportions and thickness: rules are looser then.
    """

    def __init__(
        self,
        shape: Handshape,
        person: bool = False,
        proportions: tuple[float, float, float] = (1.0, 1.0, 1.0),
        thickness: float = 1.0,
    ):
        self.shape, self.person, self.thickness = shape, person, thickness
        self.thumb, *fingers = skeleton(shape, proportions=np.array(proportions))[0]
        self.finger = dict(zip(FINGERS, fingers, strict=True))
        self.turn = rotation(*self.shape.turn)

    def bar(self, meant: float, held: float) -> float:
        return held if self.person else meant

    def rise(self, name: str, joint: int) -> float:
        """How far a finger's joint is above its knuckle."""
        return float(self.finger[name][joint][1] - self.finger[name][0][1])

    def stretch(self, name: str) -> float:
        """How far the fingertip is from the knuckle, as a share of the finger's length."""
        joints = self.finger[name]
        return np.linalg.norm(joints[3] - joints[0]) / np.linalg.norm(np.diff(joints, axis=0), axis=1).sum()

    def pointing(self, name: str) -> np.ndarray:
        """Where a finger points, for the viewer: x to their right, y up, z towards them."""
        return self.turn @ unit(self.finger[name][3] - self.finger[name][0])

    def palm(self) -> np.ndarray:
        return self.turn @ np.array([0.0, 0.0, 1.0])

    def thumb_points(self) -> np.ndarray:
        return unit(self.thumb[3] - self.thumb[0])

    def gap(self, name: str) -> float:
        """Space between the skin of the thumb's tip and of a finger; below 0 they press on each other."""
        away = np.linalg.norm(along(self.finger[name]) - self.thumb[3], axis=1)
        girths = along(GIRTHS[FINGERS.index(name)][:, None])[:, 0]
        return float((away - girths * self.thickness).min() - THUMB_GIRTHS[3] * self.thickness)

    def height(self, name: str) -> float:
        """How far the thumb is before (or, below 0, behind) a finger's outer bones where it crosses them; else NaN."""
        steps = along(self.thumb)[:, None] - along(self.finger[name][1:])
        aside = np.linalg.norm(steps[..., :2], axis=-1)
        if aside.min() > self.bar(0.15, 0.4) or np.linalg.norm(steps, axis=-1).min() > self.bar(0.35, 0.6):
            return np.nan
        return float(steps[..., 2][aside < aside.min() + 0.03].mean())

    def angles(self, *names: str) -> list[float]:
        """Degrees between each finger and the next."""
        ways = [self.finger[n][3] - self.finger[n][0] for n in names]
        return [degrees_between(a, b) for a, b in pairwise(ways)]

    def crossed(self, one: str, other: str) -> bool:
        """Whether two fingertips lie the other way round than their knuckles."""
        across = (self.finger[one] - self.finger[other])[:, 0]
        return bool(across[0] * across[3] < 0)

    def parting(self, *names: str) -> list[float]:
        """How far apart each fingertip and the next are, in distances between their knuckles."""
        between_joints = np.linalg.norm(np.diff([self.finger[n] for n in names], axis=0), axis=2)
        return (between_joints[:, 3] / between_joints[:, 0]).tolist()


# Skin meets skin where two centre lines are a good 0.2 hand units apart; a unit is about nine centimetres.
# Where a rule has two bars, the first is for a letter as it is meant, the second for what a person makes of it.
RULES = {
    "straight": lambda hand, *names: (  # these and no other
        {n for n in FINGERS if hand.stretch(n) > hand.bar(0.98, 0.93)} == set(names)
    ),
    "none straight": lambda hand: all(hand.stretch(n) < 0.95 for n in FINGERS),
    "closed": lambda hand, *names: all(
        hand.stretch(n) < hand.bar(0.5, 0.6) and hand.rise(n, 3) < hand.bar(0.0, 0.05) for n in names
    ),
    "curved": lambda hand, *names: all(hand.bar(0.7, 0.55) < hand.stretch(n) < hand.bar(0.95, 0.97) for n in names),
    "hooked": lambda hand, n: hand.rise(n, 1) > hand.bar(0.4, 0.3) and hand.stretch(n) < hand.bar(0.7, 0.8),
    "together": lambda hand, *names: max(hand.angles(*names)) < hand.bar(5, 16),
    "apart": lambda hand, *names: (
        min(hand.angles(*names)) > hand.bar(9, 6) and min(hand.parting(*names)) > hand.bar(1.3, 1.2)
        and not any(hand.crossed(*pair) for pair in pairwise(names))
    ),
    "crossed": lambda hand, front, back: (
        hand.crossed(front, back) and hand.finger[front][3][2] > hand.finger[back][3][2] + hand.bar(0.1, 0.0)
    ),
    "on the thumb": lambda hand, *names: all(
        np.linalg.norm(along(hand.thumb[1:]) - hand.finger[n][3], axis=1).min() < hand.bar(0.26, 0.4)
        and hand.finger[n][3][1] > hand.thumb[2][1] - hand.bar(0.0, 0.05) for n in names
    ),
    "over the thumb": lambda hand, *names: (
        {n for n in FINGERS if hand.height(n) < hand.bar(0.0, 0.05) and hand.stretch(n) > hand.bar(0.5, 0.58)}
        == set(names)
    ),
    "thumb over": lambda hand, *names: all(hand.height(n) > hand.bar(0.0, -0.05) for n in names),
    "thumb across palm": lambda hand: (
        hand.thumb[3][0] < hand.finger["middle"][0][0] and hand.thumb[3][1] < hand.finger["middle"][0][1]
    ),
    "thumb away from": lambda hand, *names: all(hand.gap(n) > hand.bar(0.4, 0.25) for n in names),
    "thumb opposite": lambda hand: hand.thumb[3][2] > hand.bar(0.7, 0.6) and hand.thumb[3][1] < 0.5,
    "thumb touches": lambda hand, name: (
        hand.gap(name) < hand.bar(0.05, 0.1) and min(hand.gap(n) for n in FINGERS if n != name) > hand.bar(0.05, -0.05)
    ),
    "thumb beside": lambda hand, n: (
        (hand.thumb[1:, 0] > hand.finger[n][:, 0].max() - hand.bar(0.0, 0.03)).all()
        and hand.gap(n) < hand.bar(0.05, 0.08)
    ),
    "thumb alongside": lambda hand, n: (
        degrees_between(hand.thumb_points(), hand.finger[n][3] - hand.finger[n][0]) < hand.bar(40, 50)
        and hand.bar(0.05, 0.0) < hand.gap(n) < hand.bar(0.4, 0.5)
    ),
    "thumb between": lambda hand, inner, outer: (
        hand.finger[inner][0][0] > hand.thumb[3][0] > hand.finger[outer][0][0]
        and min(hand.gap(inner), hand.gap(outer)) < hand.bar(0.05, 0.1)
    ),
    "thumb up": lambda hand: degrees_between(hand.thumb_points(), np.array([0, 1, 0])) < hand.bar(30, 45),
    "thumb out": lambda hand: hand.thumb_points()[0] > 0.8,
    "up": lambda hand, *names: all(hand.pointing(n)[1] > hand.bar(0.95, 0.8) for n in names),
    "down": lambda hand, *names: all(hand.pointing(n)[1] < hand.bar(-0.9, -0.7) for n in names),
    "sideways": lambda hand, *names: all(hand.pointing(n)[0] > hand.bar(0.95, 0.85) for n in names),
    "palm to viewer": lambda hand: hand.palm()[2] > 0.8,
    "palm to signer": lambda hand: hand.palm()[2] < -0.9,
    "palm inwards": lambda hand: hand.palm()[0] > 0.8,  # to the signer's other hand
    "palm down": lambda hand: hand.palm()[1] < -0.8,
    "moves": lambda hand, name: set(hand.shape.sweep) == {name},
    "still": lambda hand: not hand.shape.sweep,
}  # fmt: skip


def is_true(fact: str, hand: Hand) -> bool:
    words = fact.split()
    rule = RULES[" ".join(word for word in words if word not in FINGERS)]
    return bool(rule(hand, *(word for word in words if word in FINGERS)))


FACTS = {letter: text.split("; ") for letter, text in DESCRIPTIONS.items()}
