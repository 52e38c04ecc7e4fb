"""The drawn hands spell the American manual alphabet, stay within what a hand can do, and are lit and placed rightly.

The letters' descriptions follow the article "American manual alphabet" of Wikipedia (thumb beside the fist in A, before
it in S; K and P, G and Q, H and U differ in orientation; J and Z move), the classroom handout "The Manual Alphabet"
(docslib.org/doc/1066164: which fingers are up, where the thumb rests), wikiHow's "Fingerspell the Alphabet in American
Sign Language" (which palms face whom), Lifeprint's fingerspelling pages (three fingers over the thumb in M, two in N)
and the Helen Keller National Center's "ASL handshapes described". All are seen by who faces a right-handed signer.
"""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest

from SCRIPTS.hands import drawing, scenes, shading
from SCRIPTS.hands.handshapes import (
    FINGERS,
    GIRTHS,
    LETTERS,
    LIMITS,
    PHALANGES,
    THUMB_BONES,
    THUMB_GIRTHS,
    angles_of,
    between,
    skeleton,
    with_angles,
)
from SCRIPTS.hands.signers import random_signer, room_behind
from SCRIPTS.hands.solids import rotation

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

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
    """A letter's hand; its joints have x to the thumb's side, y along the fingers and z out of the palm."""

    def __init__(self, letter: str):
        self.shape = LETTERS[letter]
        self.thumb, *fingers = skeleton(self.shape)[0]
        self.finger = dict(zip(FINGERS, fingers, strict=True))
        self.turn = rotation(*self.shape.turn)

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
        return float((away - girths).min() - THUMB_GIRTHS[3])

    def heights(self, name: str) -> np.ndarray:
        """How far the thumb is before (or, below 0, behind) a finger where it crosses it; empty if it does not."""
        steps = along(self.thumb[1:])[:, None] - along(self.finger[name])
        aside = np.linalg.norm(steps[..., :2], axis=-1)
        if aside.min() > 0.15 or np.linalg.norm(steps, axis=-1).min() > 0.3:
            return np.array([])
        return steps[..., 2][aside < aside.min() + 0.03]

    def angles(self, *names: str) -> list[float]:
        """Degrees between each finger and the next."""
        ways = [self.finger[n][3] - self.finger[n][0] for n in names]
        return [degrees_between(a, b) for a, b in pairwise(ways)]

    def parting(self, *names: str) -> list[float]:
        """How far apart each fingertip and the next are, in distances between their knuckles."""
        between_joints = np.linalg.norm(np.diff([self.finger[n] for n in names], axis=0), axis=2)
        return (between_joints[:, 3] / between_joints[:, 0]).tolist()


# Skin meets skin where two centre lines are a good 0.2 hand units apart; a unit is about nine centimetres.
RULES = {
    "straight": lambda hand, *names: {n for n in FINGERS if hand.stretch(n) > 0.98} == set(names),  # these and no other
    "none straight": lambda hand: all(hand.stretch(n) < 0.95 for n in FINGERS),
    "closed": lambda hand, *names: all(
        hand.stretch(n) < 0.5 and hand.finger[n][3][1] < hand.finger[n][0][1] for n in names
    ),
    "curved": lambda hand, *names: all(0.7 < hand.stretch(n) < 0.95 for n in names),
    "hooked": lambda hand, n: hand.finger[n][1][1] > hand.finger[n][0][1] + 0.4 and hand.stretch(n) < 0.7,
    "together": lambda hand, *names: max(hand.angles(*names)) < 5,
    "apart": lambda hand, *names: min(hand.angles(*names)) > 9 and min(hand.parting(*names)) > 1.3,
    "crossed": lambda hand, front, back: (
        (hand.finger[front][0] - hand.finger[back][0])[0] * (hand.finger[front][3] - hand.finger[back][3])[0] < 0
        and hand.finger[front][3][2] > hand.finger[back][3][2] + 0.1
    ),
    "on the thumb": lambda hand, *names: all(
        np.linalg.norm(along(hand.thumb[1:]) - hand.finger[n][3], axis=1).min() < 0.26
        and hand.finger[n][3][1] > hand.thumb[2][1] for n in names
    ),
    "over the thumb": lambda hand, *names: (
        {n for n in FINGERS if hand.heights(n).size and (hand.heights(n) < 0).all() and hand.stretch(n) > 0.5}
        == set(names)
    ),
    "thumb over": lambda hand, *names: all(hand.heights(n).size and (hand.heights(n) > 0).all() for n in names),
    "thumb across palm": lambda hand: (
        hand.thumb[3][0] < hand.finger["middle"][0][0] and hand.thumb[3][1] < hand.finger["middle"][0][1]
    ),
    "thumb away from": lambda hand, *names: all(hand.gap(n) > 0.4 for n in names),
    "thumb opposite": lambda hand: hand.thumb[3][2] > 0.7 and hand.thumb[3][1] < 0.5,
    "thumb touches": lambda hand, name: {n for n in FINGERS if hand.gap(n) < 0.05} == {name},
    "thumb beside": lambda hand, n: (hand.thumb[1:, 0] > hand.finger[n][:, 0].max()).all() and hand.gap(n) < 0.05,
    "thumb alongside": lambda hand, n: (
        degrees_between(hand.thumb_points(), hand.finger[n][3] - hand.finger[n][0]) < 40 and 0.05 < hand.gap(n) < 0.4
    ),
    "thumb between": lambda hand, inner, outer: (
        hand.finger[inner][0][0] > hand.thumb[3][0] > hand.finger[outer][0][0]
        and min(hand.gap(inner), hand.gap(outer)) < 0.05
    ),
    "thumb up": lambda hand: degrees_between(hand.thumb_points(), np.array([0, 1, 0])) < 30,
    "thumb out": lambda hand: hand.thumb_points()[0] > 0.8,
    "up": lambda hand, *names: all(hand.pointing(n)[1] > 0.95 for n in names),
    "down": lambda hand, *names: all(hand.pointing(n)[1] < -0.9 for n in names),
    "sideways": lambda hand, *names: all(hand.pointing(n)[0] > 0.95 for n in names),
    "palm to viewer": lambda hand: hand.palm()[2] > 0.8,
    "palm to signer": lambda hand: hand.palm()[2] < -0.9,
    "palm inwards": lambda hand: hand.palm()[0] > 0.8,  # to the signer's other hand
    "palm down": lambda hand: hand.palm()[1] < -0.8,
    "moves": lambda hand, name: set(hand.shape.sweep) == {name},
    "still": lambda hand: not hand.shape.sweep,
}  # fmt: skip


def is_true(fact: str, letter: str) -> bool:
    words = fact.split()
    rule = RULES[" ".join(word for word in words if word not in FINGERS)]
    return bool(rule(Hand(letter), *(word for word in words if word in FINGERS)))


FACTS = {letter: text.split("; ") for letter, text in DESCRIPTIONS.items()}


@pytest.mark.parametrize(("letter", "fact"), [(letter, fact) for letter, facts in FACTS.items() for fact in facts])
def test_a_letter_is_as_the_manual_alphabet_describes_it(letter, fact):
    assert is_true(fact, letter)


@pytest.mark.parametrize("letter", ALPHABET)
def test_no_other_letter_fits_a_letters_description(letter):
    assert [other for other in LETTERS if all(is_true(fact, other) for fact in FACTS[letter])] == [letter]


def test_two_letters_move_and_what_moves_is_the_finger_that_writes():
    signer = random_signer(np.random.default_rng(1))
    moving = {}
    for letter, shape in LETTERS.items():
        instants = drawing._instants(drawing.Pose(shape, np.eye(3)), signer)
        first, last = instants[0], instants[-1]
        moving[letter] = {a.part for a, b in zip(first, last, strict=True) if np.linalg.norm(a.b - b.b) > 0.05}
    assert {letter: parts for letter, parts in moving.items() if parts} == {"J": {4}, "Z": {1}}  # little, index


def test_a_hand_at_rest_is_a_right_hand_that_shows_the_viewer_its_palm():
    joints, backs = skeleton(LETTERS["B"])
    assert joints[0, 0, 0] > 0  # the thumb's root is on the viewer's right: on the signer's left, hence a right hand
    assert (joints[1:, 3, 1] > joints[1:, 0, 1]).all()  # fingertips up
    assert (backs[1:, :, 2] < -0.9).all()  # the backs of the fingers face away


@pytest.mark.parametrize(
    ("turn", "side", "fingers", "palm"),
    [
        ((90, 0, 0), (0, 0, -1), (0, 1, 0), (1, 0, 0)),  # the palm to the viewer's right
        ((0, 90, 0), (1, 0, 0), (0, 0, 1), (0, -1, 0)),  # the fingertips to the viewer
        ((0, 0, 90), (0, 1, 0), (-1, 0, 0), (0, 0, 1)),  # counter-clockwise
        ((90, 90, 90), (-1, 0, 0), (0, 0, 1), (0, 1, 0)),
    ],
)
def test_yaw_pitch_and_roll_turn_the_hand_in_that_order(turn, side, fingers, palm):
    assert rotation(*turn) == pytest.approx(np.array([side, fingers, palm], float).T, abs=1e-12)


def lengths(shape) -> np.ndarray:
    return np.linalg.norm(np.diff(skeleton(shape)[0], axis=1), axis=-1)


def within_limits(shape) -> bool:
    angles = angles_of(shape)
    return bool(((angles >= LIMITS[:, 0]) & (angles <= LIMITS[:, 1])).all())


BONES = np.vstack([THUMB_BONES, PHALANGES])


@pytest.mark.parametrize("letter", ALPHABET)
def test_no_letter_stretches_a_bone_or_bends_a_joint_further_than_it_goes(letter):
    joints, backs = skeleton(LETTERS[letter])
    assert within_limits(LETTERS[letter])
    np.testing.assert_allclose(lengths(LETTERS[letter]), BONES, rtol=1e-9)
    np.testing.assert_allclose((np.diff(joints, axis=1) * backs).sum(axis=-1), 0, atol=1e-9)


def test_no_pose_between_two_letters_does_either():
    for k, (a, b) in enumerate(combinations(ALPHABET, 2)):
        pose = between(LETTERS[a], LETTERS[b], (0.25, 0.5, 0.75)[k % 3])
        assert within_limits(pose), (a, b)
        np.testing.assert_allclose(lengths(pose), BONES, rtol=1e-9, err_msg=a + b)


def test_a_pose_between_begins_at_one_letter_and_ends_at_the_other():
    for a, b in ("AZ", "GQ", "OL", "KP"):
        start, half, end = (between(LETTERS[a], LETTERS[b], share) for share in (0, 0.5, 1))
        assert angles_of(start) == pytest.approx(angles_of(LETTERS[a]))
        assert angles_of(end) == pytest.approx(angles_of(LETTERS[b]))
        assert 2 * angles_of(half) == pytest.approx(angles_of(LETTERS[a]) + angles_of(LETTERS[b]))
        assert skeleton(start)[0][0, 3] == pytest.approx(skeleton(LETTERS[a])[0][0, 3], abs=0.03)  # the thumb's tip
        assert skeleton(end)[0][0, 3] == pytest.approx(skeleton(LETTERS[b])[0][0, 3], abs=0.03)
        assert (start.turn, end.turn) == (LETTERS[a].turn, LETTERS[b].turn)


def test_the_loosest_signer_bends_no_joint_further_than_it_goes():
    rng = np.random.default_rng(3)
    signer = random_signer(rng)
    poses = [drawing.hold(LETTERS[letter], signer, rng, rng, loose=4.0) for letter in ALPHABET]
    assert all(within_limits(pose.shape) for pose in poses)
    wild = with_angles(LETTERS["B"], np.full((4, 4), 500.0))
    assert angles_of(wild).tolist() == [[95, 115, 85, 25]] * 4  # an adult's range, as LIMITS has it


def cutout(letter: str = "K", size: int = 48, **changes: object) -> drawing.Cutout:
    signer = replace(random_signer(np.random.default_rng(5)), **changes)
    pose = drawing.Pose(LETTERS[letter], rotation(20, 10, 15) @ rotation(*LETTERS[letter].turn))
    return drawing.draw_hand(pose, signer, np.random.default_rng(6), size, fill=0.6, at=np.array([0.5, 0.5]))


@pytest.mark.parametrize("letter", ["L", "Z"])
def test_a_left_handed_signer_is_the_mirror_image(letter):
    right, left = (cutout(letter, left_handed=left_handed) for left_handed in (False, True))
    assert np.abs(right.cover - right.cover[:, ::-1]).mean() > 0.05  # no symmetrical shape
    np.testing.assert_allclose(left.cover, right.cover[:, ::-1], atol=1e-6)
    west, north, east, south = right.box
    assert left.box == pytest.approx((48 - east, north, 48 - west, south))


def test_a_cutouts_box_holds_the_hand_and_the_hand_fills_it():
    away = cutout("B", sleeve_start=40.0)  # without forearm and sleeve, which the box leaves out
    rows, columns = (np.flatnonzero(away.cover[..., 0].any(axis=axis)) for axis in (1, 0))
    left, top, right, bottom = away.box
    assert (columns[0], rows[0]) == pytest.approx((left, top), abs=1.5)
    assert columns[-1] + 1 == pytest.approx(right, abs=1.5)
    assert rows[-1] + 1 >= bottom - 1.5


def test_the_same_seeds_give_the_same_pixels_and_others_do_not():
    signers = [random_signer(np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert signers[0] == signers[1] != signers[2]
    first, again, moment, signer = (
        drawing.render_hand("R", signers[who], np.random.default_rng(seed), size=48)[0]
        for who, seed in ((0, 7), (1, 7), (0, 8), (2, 7))
    )
    assert first.shape == (48, 48, 3) and first.dtype == np.uint8
    assert first.tobytes() == again.tobytes()
    assert all(np.abs(first.astype(int) - other).mean() > 3 for other in (moment, signer))


def lit(light: tuple[float, float, float], height: float = 10.0) -> np.ndarray:
    """The share of light on a plane (40, 40) with a square block in its middle; 50 pixels a hand unit, y down."""
    depth = np.zeros((40, 40))
    depth[18:22, 18:22] = height
    return shading._lit({"depth": depth}, np.array(light) / np.linalg.norm(light), unit=50)


def test_what_is_raised_shades_the_side_away_from_the_light_and_no_other():
    beside = {"right": (20, 25), "left": (20, 14), "above": (14, 20), "below": (25, 20)}
    for light, dark in (((1, 0, 1), "left"), ((-1, 0, 1), "right"), ((0, -1, 1), "below"), ((0, 1, 1), "above")):
        shares = {side: lit(light)[place] for side, place in beside.items()}
        assert shares.pop(dark) < 0.1, light
        assert set(shares.values()) == {1.0}, light
    assert lit((1, 0, 1))[20, 20] == 1.0  # the block itself is in the light
    assert (lit((1, 0, 1), height=0.0) == 1.0).all()  # and nothing shades a plane
    assert (lit((0.1, 0, 1)) > 0.9).sum() > (lit((1, 0, 1)) > 0.9).sum()  # a light high above casts short shadows


def test_shadows_only_darken():
    hand = cutout("K").cover[..., 0] > 0.5
    none, some, full = (cutout("K", shadow=shadow, light=(0.9, 0.2, 0.4)).colour for shadow in (0.0, 0.5, 1.0))
    assert (none >= some - 1e-12).all() and (some >= full - 1e-12).all()
    assert (none > full * 1.3)[hand].any(axis=-1).mean() > 0.02


# Ellis Monk's tones from 1 to 10 as skintone.google publishes them, red, green and blue.
PUBLISHED = [(246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150), (160, 126, 86),
             (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32)]  # fmt: skip


def monk(step: int) -> np.ndarray:
    return np.array(PUBLISHED[step - 1]) / 255


def test_skin_tones_are_the_monk_scale_warmed_and_what_lies_between_its_steps():
    for step in range(1, 11):
        assert scenes.skin_tone(step) == pytest.approx(monk(step) * (1, 0.86, 0.77))
        assert scenes.skin_tone(min(step + 0.25, 10)) == pytest.approx(
            (0.75 * monk(step) + 0.25 * monk(min(step + 1, 10))) * (1, 0.86, 0.77)
        )


def test_signers_have_every_tone_of_the_scale():
    skins = np.array([random_signer(np.random.default_rng(seed)).skin for seed in range(200)])
    tones = np.array([scenes.skin_tone(step) for step in range(1, 11)])
    nearest = np.linalg.norm(skins[:, None] - tones, axis=-1).argmin(axis=1)
    assert np.bincount(nearest, minlength=10).min() >= 5


WALL, OTHER = (0.7, 0.6, 0.5), (0.3, 0.4, 0.6)


def place(name: str, seed: int = 4, size: int = 64, **options: object) -> np.ndarray:
    options = {"wall": WALL, "other": OTHER} | options
    return scenes.backdrop(name, np.random.default_rng(seed), size, **options)


def test_every_place_is_drawn_again_from_its_seed_and_is_like_no_other():
    drawn = {name: place(name) for name in scenes.PLACES}
    assert set(scenes.OUTDOORS) | set(scenes.INDOORS) == set(scenes.PLACES)
    for name, picture in drawn.items():
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert picture.tobytes() == place(name).tobytes()
        assert np.abs(picture.astype(int) - place(name, seed=5)).mean() > 2
    for a, b in combinations(drawn.values(), 2):
        assert np.abs(a.astype(int) - b).mean() > 5


@pytest.mark.parametrize(
    "options", [{"clutter": 6}, {"person": ((0.5, 0.3, 0.2), (0.9, 0.1, 0.1))}, {"wall": (0.2, 0.2, 0.3)}], ids=str
)
def test_clutter_a_person_and_the_walls_colour_change_a_place(options):
    for name in ("panel", "garden"):
        assert (np.abs(place(name).astype(int) - place(name, **options)).max(axis=-1) > 30).mean() > 0.05


def test_a_person_stands_there_in_their_own_skin_and_shirt():
    skin, shirt = (0.6, 0.4, 0.3), (0.1, 0.2, 0.9)
    picture = place("panel", person=(skin, shirt), softness=0.0).reshape(-1, 3) / 255
    for colour in (skin, shirt):
        likeness = picture @ colour / np.linalg.norm(picture, axis=1) / np.linalg.norm(colour)
        assert (likeness > 0.995).mean() > 0.02  # of that hue, in any light


def test_a_signer_stays_in_one_room_and_only_moves_a_little_in_it():
    signer = random_signer(np.random.default_rng(8))
    first, second = (room_behind(signer, np.random.default_rng(seed), 40) for seed in (0, 1))
    assert not np.array_equal(first, second)

    def overlap(picture: np.ndarray, dx: int, dy: int) -> np.ndarray:
        return picture[max(0, dy) : 40 + min(0, dy), max(0, dx) : 40 + min(0, dx)]

    shifts = [(dx, dy) for dx in range(-10, 11) for dy in range(-10, 11)]
    same = [shift for shift in shifts if np.array_equal(overlap(first, *shift), overlap(second, *(-s for s in shift)))]
    assert len(same) == 1
