"""Whoever spells a letter spells that letter: the nine people of the sample and the loose hands of the pretraining."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from described_hands import FACTS, Hand, is_true

from SCRIPTS.hands import drawing, make_sample
from SCRIPTS.hands.handshapes import LETTERS, angles_of
from SCRIPTS.hands.make_sample import moment
from SCRIPTS.hands.signers import random_signer

BESIDE = 0.13  # hand units by which fingers folded side by side may differ in height
LOOSE = 300  # people as the pretraining draws them: any camera and light, up to twice a careful signer's wobble

# The fingers that each letter folds, from the same references, in groups that end side by side.
FOLDED = {
    "A": "index middle ring little", "E": "index middle ring little", "G": "middle ring little", "H": "ring little",
    "I": "index middle ring", "J": "index middle ring", "K": "ring little", "L": "middle ring little",
    "M": "index middle ring, little", "N": "index middle, ring little", "P": "ring little", "Q": "middle ring little",
    "R": "ring little", "S": "index middle ring little", "T": "index, middle ring little", "U": "ring little",
    "V": "ring little", "W": "little", "X": "middle ring little", "Y": "index middle ring", "Z": "middle ring little",
}  # fmt: skip


def held(pose: drawing.Pose, signer) -> Hand:
    return Hand(pose.shape, person=True, proportions=signer.proportions, thickness=signer.thickness)


@pytest.fixture(scope="module")
def sample_hands() -> list[tuple[str, str, Hand]]:
    """Every photograph's hand, the planted sixth of a letter, too."""
    shots = [(name, letter, shot) for name in make_sample.CAST for letter in LETTERS for shot in range(6)]
    signers = {name: make_sample.signer_named(name) for name in make_sample.CAST}
    return [(letter, f"{name} {shot}", held(drawing.hold_letter(letter, signers[name], moment(name, letter, shot)),
             signers[name])) for name, letter, shot in shots]  # fmt: skip


@pytest.fixture(scope="module")
def loose_hands() -> list[tuple[str, str, Hand]]:
    out = []
    for number in range(LOOSE):
        rng = np.random.default_rng([7, number])
        signer, loose = random_signer(rng, wild=1.0), rng.uniform(0.8, 2.0)
        out += [(letter, f"{number}", held(drawing.hold(shape, signer, rng, rng, loose), signer))
                for letter, shape in LETTERS.items()]  # fmt: skip
    return out


@pytest.fixture(params=["sample_hands", "loose_hands"])
def hands(request) -> list[tuple[str, str, Hand]]:
    return request.getfixturevalue(request.param)


def test_everybody_forms_every_letter_as_it_is_described(hands):
    assert Counter(letter for letter, _, _ in hands) == dict.fromkeys(LETTERS, len(hands) // 26)
    wrong = [(who, letter, fact) for letter, who, hand in hands for fact in FACTS[letter] if not is_true(fact, hand)]
    assert wrong == []


def standing(letter: str, hand: Hand) -> set[str]:
    """The fingers that should be folded and stand up: the tip is above the knuckle, or the first joint is far above it,
    or further than that of the finger beside it; in hand units, of which a raised finger has 0.45 or more."""
    up = set()
    for group in FOLDED[letter].split(", "):
        rise = {name: max(hand.rise(name, 1), hand.rise(name, 3)) for name in group.split()}
        up |= {name for name in rise if hand.rise(name, 3) > 0.1 or rise[name] > 0.45}
        up |= {a if rise[a] > rise[b] else b for a, b in pairwise(rise) if abs(rise[a] - rise[b]) > BESIDE}
    return up


def test_no_folded_finger_stands_up(hands):
    assert [
        (who, letter, up) for letter, who, hand in hands if letter in FOLDED and (up := standing(letter, hand))
    ] == []


@pytest.mark.parametrize("letter", sorted(FOLDED))
def test_a_raised_finger_would_be_noticed(letter):
    for name in FOLDED[letter].replace(",", "").split():
        assert name in standing(letter, Hand(replace(LETTERS[letter], **{name: (20, 10, 5, 0)})))


def test_the_raised_finger_that_a_sample_once_had_would_be_noticed():
    fingers = {
        "index": (75, 73, 19, 2),
        "middle": (59, 84, 17, 5),
        "ring": (88, 94, 52, -10),
        "little": (80, 88, 49, -6),
    }
    assert standing("N", Hand(replace(LETTERS["N"], **fingers), person=True, proportions=(0.93, 1.1, 0.98))) == {
        "middle"
    }


def test_people_still_differ_in_how_they_form_a_letter(sample_hands):
    for letter in LETTERS:
        bends = np.array([angles_of(hand.shape)[:, :3].ravel() for of, _, hand in sample_hands if of == letter])
        assert (bends.reshape(9, 6, 12).mean(axis=1).std(axis=0) > 1.0).mean() > 0.6, (
            letter
        )  # degrees, person to person
        assert bends.reshape(9, 6, 12).std(axis=1).mean() > 0.5, letter  # and one's own photographs
