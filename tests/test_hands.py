"""The drawn hands spell the American manual alphabet, keep to what a hand can do, and are lit and placed rightly."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from described_hands import FACTS, Hand, is_true

from SCRIPTS.hands import drawing, scenes, shading
from SCRIPTS.hands.handshapes import (
    LETTERS,
    LIMITS,
    PHALANGES,
    THUMB_BONES,
    angles_of,
    between,
    skeleton,
    with_angles,
)
from SCRIPTS.hands.signers import random_signer, room_behind
from SCRIPTS.hands.solids import rotation

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(("letter", "fact"), [(letter, fact) for letter, facts in FACTS.items() for fact in facts])
def test_a_letter_is_as_the_manual_alphabet_describes_it(letter, fact):
    assert is_true(fact, Hand(LETTERS[letter]))


@pytest.mark.parametrize("letter", ALPHABET)
def test_no_other_letter_fits_a_letters_description(letter):
    hands = {other: Hand(shape) for other, shape in LETTERS.items()}
    assert [other for other in LETTERS if all(is_true(fact, hands[other]) for fact in FACTS[letter])] == [letter]


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
