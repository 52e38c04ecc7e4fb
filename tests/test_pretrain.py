"""What the pretraining learns from is what it says it is, and a few steps of all of it work from end to end."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from SCRIPTS.hands import drawing, make_sample, pretrain_camera, pretrain_images, pretrain_signs
from SCRIPTS.hands.handshapes import LETTERS, LIMITS, VARIANTS, angles_of, skeleton
from SCRIPTS.hands.pretrain_images import (
    CANVAS,
    POSE,
    Shelf,
    Stock,
    batches,
    describe,
    draw_batch,
    draw_stock,
    load_stock,
)
from SCRIPTS.hands.signers import random_signer
from SCRIPTS.hands.solids import rotation
from SCRIPTS.release.environment import ROOT


def degrees_between(a, b) -> float:
    return float(np.degrees(np.arccos(np.clip(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


# --- how a hand is held, and what a picture of it shows -------------------------------------------------------------


def arrow(direction: tuple[float, float]) -> np.ndarray:
    """A picture like a drawn hand's: a bar through the middle, red at its tail, green at its head; y points up."""
    image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
    middle, step = CANVAS / 2, np.array([direction[0], -direction[1]]) * 30
    for end, colour in ((-step, (255, 0, 0, 255)), (step, (0, 255, 0, 255))):
        ImageDraw.Draw(image).line([(middle, middle), tuple(middle + end)], fill=colour, width=10)
    return np.asarray(image)


def direction_in(picture: np.ndarray) -> np.ndarray:
    """Where the arrow in a picture points: from the middle of what is redder to that of what is greener; y up."""
    greener = picture[..., 1].astype(float) - picture[..., 0]
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    ends = [[np.average(axis, weights=np.clip(sign * greener, 0, None)) for axis in (columns, -rows)]
            for sign in (1, -1)]  # fmt: skip
    return np.subtract(*ends)


def pose_with(palm, fingers) -> np.ndarray:
    return np.concatenate([np.arange(POSE - 6) / 10, palm, fingers]).astype(np.float32)


BOX = np.array([26.0, 26.0, 86.0, 86.0])
COMPASS = [(np.cos(angle), np.sin(angle)) for angle in np.radians(range(10, 360, 45))]


def placed(hand, seed, size, box=BOX):
    """A hand's picture as a camera's frame cuts it out, its turn in radians, and whether it was mirrored."""
    frame = pretrain_images._frame(box, np.random.default_rng(seed), 1.0)
    return pretrain_images.framed(hand, frame, size), frame.turn, frame.mirrored


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("direction", COMPASS, ids=lambda d: f"{np.degrees(np.arctan2(d[1], d[0])):.0f}")
def test_directions_of_a_pose_turn_and_mirror_as_the_pixels_do(direction, size):
    pose, kinds = pose_with((0, 0, 1), (*direction, 0)), set()
    for seed in range(60):
        picture, turn, mirrored = placed(arrow(direction), seed, size)
        if abs(turn) < 0.16:  # too small a turn to tell it from the opposite one under the stretching
            continue
        kinds.add((turn > 0, mirrored))
        seen = direction_in(picture)
        assert degrees_between(seen, pretrain_images._seen(pose, turn, mirrored)[-3:-1]) < 8.5
        assert degrees_between(seen, pretrain_images._seen(pose, -turn, mirrored)[-3:-1]) > 8.5
    assert len(kinds) == 4  # turned both ways, mirrored and not


def test_an_arrow_is_measured_as_it_was_drawn():
    for direction in COMPASS:
        assert degrees_between(direction_in(arrow(direction)), direction) < 3


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_pose_of_a_turned_picture_is_that_of_a_hand_held_so(mirrored):
    rng = np.random.default_rng(1)
    held = rotation(30, -20, 40) @ rotation(*LETTERS["K"].turn)
    for turn in rng.uniform(-1, 1, 5):
        about_the_view = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        drawn_so = describe(drawing.Pose(LETTERS["K"], about_the_view @ held), left_handed=mirrored)
        upright = describe(drawing.Pose(LETTERS["K"], held), left_handed=False)
        assert pretrain_images._seen(upright, turn, mirrored) == pytest.approx(drawn_so, abs=1e-6)


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("roll", [-50, 50])
def test_a_pose_says_where_the_fingers_of_a_drawn_hand_point(roll, left_handed):
    signer = replace(random_signer(np.random.default_rng(2), left_handed=left_handed), sleeve_start=0.4)
    pose = drawing.Pose(LETTERS["B"], rotation(0, 0, roll))
    middle = np.array([0.5, 0.5])
    hand = drawing.draw_hand(pose, signer, np.random.default_rng(3), 64, fill=0.5, at=middle)
    rows, columns = np.nonzero(hand.cover[..., 0] > 0.5)
    fingertips = rows <= rows.min() + 3  # the arm is below
    told = describe(pose, left_handed)[-3:]
    assert degrees_between((columns[fingertips].mean() - 32, 32 - rows[fingertips].mean()), told[:2]) < 20
    assert describe(pose, left_handed)[-6:-3] == pytest.approx((0, 0, 1))  # the palm faces the viewer


def test_a_pose_tells_the_fingers_angles_and_the_thumb():
    shape = LETTERS["L"]
    told = describe(drawing.Pose(shape, np.eye(3)), left_handed=False)
    assert told.shape == (POSE,) and told.dtype == np.float32
    assert (told[:16].reshape(4, 4) + 0.8) * 45 == pytest.approx(angles_of(shape), abs=1e-4)
    outwards = told[16:25].reshape(3, 3)[:, 0]  # of the thumb's joints
    assert (np.diff(outwards) > 0).all() and outwards[-1] > 1.5
    other = describe(drawing.Pose(LETTERS["S"], np.eye(3)), left_handed=False)
    assert other[16:25].reshape(3, 3)[-1, 0] < 0  # and of a fist, whose thumb lies across it


# --- the stock of hands and places ----------------------------------------------------------------------------------


@pytest.fixture
def shelf(monkeypatch, shelf_folder):
    """Three hands in shards of two, and two places."""
    monkeypatch.setattr(pretrain_images, "SHARD", 2)
    drawn = Shelf(shelf_folder, first=5, hands=3, places=2)
    draw_stock(drawn, workers=1)  # the first time; later all is there
    return drawn


@pytest.fixture(scope="module")
def shelf_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stock")


def files(shelf: Shelf) -> dict[str, tuple[str, int]]:
    """Digest and time of every file of the shelf."""
    return {path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in shelf.folder.iterdir()}  # fmt: skip


def test_a_cut_drawing_goes_on_with_what_is_missing_and_draws_the_same(shelf):
    before = files(shelf)
    assert sorted(before) == ["hands-00005.npz", "hands-00006.npz", "hands-from-00005.npy", "places-5.npy"]
    for name in ("hands-00006.npz", "hands-from-00005.npy"):
        (shelf.folder / name).unlink()
    half = shelf.folder / ".hands-00006.1.tmp.npz"  # what a killed process leaves
    half.write_bytes(b"half a shard")
    draw_stock(shelf, workers=1)
    half.unlink()
    after = files(shelf)
    assert {name: digest for name, (digest, _) in after.items()} == {
        name: digest for name, (digest, _) in before.items()
    }
    assert {name for name in after if after[name] != before[name]} == {"hands-00006.npz", "hands-from-00005.npy"}


def test_a_stock_holds_hands_with_the_letter_box_and_pose_drawn_with_them(shelf):
    stock = load_stock(shelf)
    assert stock.hands.shape == (3, CANVAS, CANVAS, 4) and stock.places.shape[0] == 2
    for number, (shard, k) in enumerate([(5, 0), (5, 1), (6, 0)]):
        part = np.load(shelf.folder / f"hands-{shard:05d}.npz")
        assert (stock.hands[number] == part["hands"][k]).all()
        assert stock.letters[number] == part["letters"][k] and (stock.poses[number] == part["poses"][k]).all()
    for hand, (left, top, right, bottom) in zip(stock.hands, stock.boxes, strict=True):
        cover = hand[..., 3] / 255
        inside = cover[int(top) + 2 : int(bottom) - 1, int(left) + 2 : int(right) - 1]
        assert inside.mean() > 0.2  # a hand fills its box, and nothing stands above it but an arm
    assert len({hand.tobytes() for hand in stock.hands}) == 3


def test_a_shards_poses_say_how_its_pictures_are_whichever_hand_signs(tmp_path, monkeypatch):
    leaning = drawing.Pose(LETTERS["B"], rotation(0, 0, 50))
    monkeypatch.setattr(pretrain_images, "hold", lambda *args, **options: leaning)
    pretrain_images._draw_shard(0, 8, tmp_path / "shard.npz")
    shard, sides = np.load(tmp_path / "shard.npz"), set()
    for hand, pose in zip(shard["hands"], shard["poses"], strict=True):
        rows, columns = np.nonzero(hand[..., 3] > 128)
        fingertips = columns[rows <= rows.min() + 3].mean() - CANVAS / 2
        assert np.sign(fingertips) == np.sign(pose[-3])
        sides.add(np.sign(fingertips))
    assert sides == {-1, 1}


def test_a_batch_follows_from_its_entropy(shelf):
    stock = load_stock(shelf)
    first, again, other = (draw_batch(stock, entropy, 6, 32) for entropy in ((17, 3), (17, 3), (17, 4)))
    images, letters, poses = first
    assert images.shape == (6, 32, 32, 3) and images.dtype == np.uint8 and poses.shape == (6, POSE)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (images == other[0]).all()
    assert len({image.tobytes() for image in images}) == 6  # the same hand is never the same picture
    for letter, pose in zip(letters, poses, strict=True):  # joints are those of the hand that is named
        known = np.flatnonzero((stock.poses[:, :25] == pose[:25]).all(axis=1))
        assert len(known) == 1 and stock.letters[known[0]] == letter


def test_other_processes_make_the_same_batches_in_order(tmp_path):
    shelf = Shelf(tmp_path, first=8, hands=2, places=2)
    draw_stock(shelf, workers=1)
    stock, wanted = load_stock(shelf), [((17, k), 2, 32 + 16 * k, k / 2) for k in range(3)]
    made = list(batches(shelf, wanted, workers=1))
    assert len(made) == 3
    for batch, job in zip(made, wanted, strict=True):
        assert all((a == b).all() for a, b in zip(batch, draw_batch(stock, *job), strict=True))


def stock_of_one_arrow() -> Stock:
    """One hand, which points to the right, before one black place."""
    return Stock(
        hands=arrow((1.0, 0.0))[None], letters=np.array([3]), boxes=BOX[None],
        poses=pose_with((0, 0, 1), (1, 0, 0))[None], places=np.zeros((1, 128, 128, 3), np.uint8),
    )  # fmt: skip


def test_a_picture_shows_its_hand_as_its_pose_says_whether_mirrored_or_not():
    images, _, poses = draw_batch(stock_of_one_arrow(), (1,), 12, 48, trouble=0.0)
    told = poses[:, -3]
    assert set(np.sign(told)) == {-1, 1}
    for image, x in zip(images, told, strict=True):
        assert degrees_between(direction_in(image), (x, 0)) < 5


def test_trouble_is_what_makes_pictures_of_a_hand_differ_from_one_another():
    stock = stock_of_one_arrow()
    leaning = [np.abs(draw_batch(stock, (2,), 30, 32, trouble)[2][:, -2]).max() for trouble in (0.0, 0.5, 1.0)]
    assert leaning[0] == 0 < leaning[1] < leaning[2]


def test_no_signer_is_drawn_to_train_on_and_held_out_or_in_the_sample(tmp_path, monkeypatch):
    from SCRIPTS.hands import pretrain_training

    met = []

    def noted(*args, **options):
        met.append(random_signer(*args, **options).accent_seed)
        return random_signer(np.random.default_rng(0))

    blank = drawing.Cutout(np.zeros((CANVAS, CANVAS, 3)), np.zeros((CANVAS, CANVAS, 1)), np.zeros(4))
    monkeypatch.setattr(pretrain_images, "random_signer", noted)
    monkeypatch.setattr(pretrain_images, "draw_hand", lambda *args, **options: blank)
    shelves = [
        where(pretrain_training.Plan(), tmp_path) for where in (pretrain_training._drawn, pretrain_training._held_out)
    ]
    drawn, held_out = ([int(path.stem.split("-")[1]) for path in shelf.shards] for shelf in shelves)
    assert not set(drawn) & set(held_out)
    for number in (drawn[0], drawn[-1], held_out[0], held_out[-1]):
        pretrain_images._draw_shard(number, 30, tmp_path / f"{number}.npz")
    assert len(met) == 120
    in_the_sample = [make_sample.signer_named(name).accent_seed for name in make_sample.CAST]
    assert len({*met, *in_the_sample}) == 120 + len(make_sample.CAST)


# --- what cameras make of it ----------------------------------------------------------------------------------------


def test_no_trouble_changes_no_pixel():
    rng = np.random.default_rng(1)
    pixels, cover = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8), np.ones((24, 24, 1))
    assert (pretrain_camera.developed(pixels / 255, cover, rng, 0.0) == pixels).all()
    assert (pretrain_camera.white_balanced(pixels / 255, rng, 0.0) == pixels / 255).all()


@pytest.mark.parametrize("shift", [(4, 0), (0, -4), (4, 4)])
def test_a_movement_spreads_a_point_evenly_along_its_way_and_moves_nothing_on_the_whole(shift):
    point = np.zeros((15, 15, 1))
    point[7, 7] = 1.0
    smeared = pretrain_camera.smeared(point, shift)
    by_hand = np.zeros((15, 15, 1))
    for k in range(-2, 3):
        by_hand[7 + k * np.sign(shift[1]), 7 + k * np.sign(shift[0])] = 0.2
    assert smeared == pytest.approx(by_hand)


def test_plain_places_have_nothing_in_them_and_many_are_black_or_white():
    rng = np.random.default_rng(2)
    places = np.array([pretrain_camera.plain_place(rng, 16) for _ in range(300)])
    # What a plane leaves of a picture whose light falls off evenly is nothing.
    rows, columns = np.mgrid[:16, :16] - 7.5
    plane = np.stack([np.ones(256), rows.ravel(), columns.ravel()], axis=1)
    inside = places[(places.max((1, 2, 3)) < 1)].transpose(1, 2, 0, 3).reshape(256, -1)
    assert np.abs(inside - plane @ np.linalg.lstsq(plane, inside, rcond=None)[0]).max() < 1e-3
    light = places.mean((1, 2, 3))
    assert 0.2 < (light < 0.1).mean() < 0.45 and 0.08 < (light > 0.85).mean() < 0.35


def test_a_white_balance_colours_what_is_grey_in_half_of_the_pictures():
    rng = np.random.default_rng(3)
    changed = [np.ptp(pretrain_camera.white_balanced(np.full((2, 2, 3), 0.5), rng, 1.0)[0, 0]) for _ in range(200)]
    assert 0.4 < np.mean(np.array(changed) > 0.01) < 0.6 and max(changed) < 0.6


def test_grain_is_twice_as_strong_where_it_is_dark():
    rng, pixels = np.random.default_rng(4), np.zeros((64, 64, 3))
    pixels[32:] = 255.0
    noise = [pretrain_camera._grain(rng, pixels) for _ in range(20)]
    for one in noise:  # 1.35 against 0.65
        assert one[:32].std() / one[32:].std() == pytest.approx(1.35 / 0.65, rel=0.15)
    assert {(np.diff(one, axis=0)[::2] == 0).all() for one in noise} == {False, True}  # of one pixel, and of two


def test_round_a_hand_that_was_cut_out_there_is_one_grey_exactly():
    pixels = np.random.default_rng(5).integers(1, 255, (20, 20, 3)).astype(np.uint8)
    cover = np.zeros((20, 20, 1))
    cover[8:12, 8:12] = 1.0
    grounds, kept = set(), set()
    for seed in range(60):
        cut = pretrain_camera.cut_out(pixels, cover, np.random.default_rng(seed))
        assert (cut[8:12, 8:12] == pixels[8:12, 8:12]).all()
        outside = {tuple(cut[y, x]) for y, x in np.ndindex(20, 20) if not (7 <= y <= 12 and 7 <= x <= 12)}
        assert len(outside) == 1 and len({*outside.pop(), int(cut[0, 0, 0])}) == 1
        grounds.add(int(cut[0, 0, 0]))
        kept.add(int((cut == pixels).all(axis=-1).sum()))
    assert {0, 255} < grounds and kept == {16, 36}


def test_hands_lean_come_in_several_sizes_and_never_lie_down():
    turns, sizes = [], []
    for seed in range(400):
        hand, turn, _ = placed(arrow((0.0, 1.0)), seed, 32)
        turns.append(abs(np.degrees(turn)))
        sizes.append(hand[..., 3].mean())
    assert max(turns) < 29 and np.mean(np.array(turns) > 15) > 0.1
    assert np.quantile(sizes, 0.97) / np.quantile(sizes, 0.03) > 3


def test_an_arm_goes_on_beyond_its_pictures_edge():
    arm = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    arm[CANVAS // 2 :, CANVAS // 2 - 14 : CANVAS // 2 + 14] = 255
    for seed in range(150):
        hand, _, _ = placed(arm, seed, 32, np.array([40, 40, 104, 104.0]))
        assert hand[-1, :, 3].max() > 0.9


def test_other_ways_to_form_a_letter_are_named_so_and_are_ways_that_joints_bend():
    rng, seen = np.random.default_rng(6), {}
    names = list(LETTERS)
    for letter, shape in (pretrain_images._shape(rng) for _ in range(3000)):
        if letter >= 0:
            ways = [LETTERS[names[letter]], *VARIANTS.get(names[letter], ())]
            seen.setdefault(names[letter], []).append(ways.index(shape))
    assert seen.keys() == set(names)
    for name, found in seen.items():
        assert set(found) == set(range(1 + len(VARIANTS.get(name, ()))))
    for shape in (way for ways in VARIANTS.values() for way in ways):
        assert (angles_of(shape) >= LIMITS[:, 0]).all() and (angles_of(shape) <= LIMITS[:, 1]).all()
    # The fingertips of an E bend down to the thumb, near or far; those of M and N end in front of theirs.
    for way in VARIANTS["E"]:
        joints = skeleton(way)[0]
        assert (joints[1:, 3, 1] < joints[1:, 1, 1]).all() and joints[0, 3, 0] < joints[3, 3, 0] + 0.1
    for letter, over in (("M", 3), ("N", 2)):
        joints = skeleton(VARIANTS[letter][0])[0]
        assert (joints[1 : 1 + over, 3, 2] > joints[0, 3, 2]).all()


# --- the training ---------------------------------------------------------------------------------------------------


def test_a_plans_steps_are_those_computed_by_hand():
    from SCRIPTS.hands import pretrain_training

    plan = pretrain_training.Plan(stages=((32, 2), (48, 3)), peak_rate=0.4, warm_up=2, tidy=4)
    assert plan.steps == 5
    assert [plan.side(step) for step in range(5)] == [32, 32, 48, 48, 48]
    assert [plan.rate(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.4, 0.8 / 3, 0.4 / 3])
    assert [pretrain_training._trouble(plan, step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert pretrain_training._trouble(plan, 50) == 1.0


@pytest.fixture(scope="module")
def norms():
    """The fused layer and Keras' own, after the same three training steps, and what each gave for the last."""
    from casestudy.models import keras
    from SCRIPTS.hands.pretrain_network import FusedBatchNormalization

    x = np.random.default_rng(4).normal(3, 2, (4, 3, 3, 2)).astype("float32")
    layers = [
        kind(epsilon=1.001e-5, momentum=0.9) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.build(x.shape)
        layer.gamma.assign([1.5, -0.7])
        layer.beta.assign([0.2, 3.0])
    outputs = [[np.asarray(layer(x, training=True)) for _ in range(3)][-1] for layer in layers]
    return x, layers, outputs


def test_the_fused_normalisation_is_keras_own_while_training(norms):
    x, (fused, keras_own), (ours, theirs) = norms
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    by_hand = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1.001e-5) * (1.5, -0.7) + (0.2, 3.0)
    np.testing.assert_allclose(ours, by_hand, atol=1e-5)
    np.testing.assert_allclose(fused.moving_mean, keras_own.moving_mean, rtol=1e-6)


def test_the_fused_normalisation_keeps_the_variance_of_the_population_not_of_the_batch(norms):
    x, (fused, keras_own), _ = norms
    kept = 0.9**3
    for layer, degrees_of_freedom in ((fused, 35), (keras_own, 36)):  # of 4 × 3 × 3 values a channel
        variance = ((x - x.mean((0, 1, 2))) ** 2).sum((0, 1, 2)) / degrees_of_freedom
        np.testing.assert_allclose(layer.moving_variance, kept + (1 - kept) * variance, rtol=1e-5)


def test_the_fused_normalisation_is_keras_own_when_it_predicts(norms):
    x, (fused, keras_own), _ = norms
    assert np.abs(np.asarray(fused(x)) - keras_own(x)).max() > 1e-4  # by their variances alone
    fused.moving_variance.assign(keras_own.moving_variance)
    np.testing.assert_allclose(fused(x), keras_own(x), atol=1e-5)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A folder in which the whole command has run once, briefly."""
    folder = tmp_path_factory.mktemp("smoke")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "SCRIPTS/hands/pretrain_signs.py", "--smoke", "--out", folder, "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def finished(smoke):
    """Time and bytes of the finished training's files, and what asking for it once more returns."""
    from SCRIPTS.hands import pretrain_training

    before = {name: ((smoke / name).stat().st_mtime_ns, (smoke / name).read_bytes())
              for name in ("checkpoint.arrays", "history.csv")}  # fmt: skip
    model, progress = pretrain_training.train(pretrain_training.SMOKE, smoke, workers=1)
    return before, model, progress


def test_in_a_smoke_run_the_loss_falls_and_all_is_kept(smoke):
    history = pd.read_csv(smoke / "history.csv")
    loss = history[history["metric"] == "loss"]
    assert len(loss) >= 2 and loss["epoch"].is_monotonic_increasing
    assert loss["value"].iloc[-1] < loss["value"].iloc[0]
    held_out = history[history["metric"] == "held_out_pose_loss"]["value"]
    assert np.isfinite(held_out).all() and len(held_out) == len(loss)
    assert {path.name for path in smoke.iterdir()} == {
        "stock-40-10", "checkpoint.arrays", "history.csv", "resnet50v2_signs.npz", "pretraining.json",
        "learning_curve.png",
    }  # fmt: skip


def test_a_finished_training_is_not_trained_again(smoke, finished):
    from SCRIPTS.hands import pretrain_training

    before, _, progress = finished
    assert progress.phase == pretrain_training.SMOKE.steps == 16
    for name, (time, data) in before.items():
        assert (smoke / name).stat().st_mtime_ns == time and (smoke / name).read_bytes() == data


def test_the_weights_file_gives_keras_resnet_the_features_that_were_trained(smoke, finished):
    from casestudy.models import keras
    from casestudy.models.quantised import load_quantised
    from SCRIPTS.hands.pretrain_network import base_of

    plain = keras.applications.ResNet50V2(include_top=False, weights=None, pooling="avg")
    load_quantised(plain, smoke / "resnet50v2_signs.npz")
    x = np.random.default_rng(5).uniform(-1, 1, (2, 48, 48, 3)).astype("float32")
    theirs, trained = np.asarray(plain(x)), np.asarray(base_of(finished[1])(x))
    assert trained.std() > 0.01
    assert np.abs(theirs - trained).max() < 0.1 * trained.std()


def test_the_weights_file_is_written_again_byte_for_byte(smoke):
    digest = hashlib.sha256((smoke / "resnet50v2_signs.npz").read_bytes()).hexdigest()
    report = (smoke / "pretraining.json").read_bytes()
    assert digest in report.decode()
    (smoke / "resnet50v2_signs.npz").unlink()
    assert pretrain_signs.main(["--smoke", "--out", str(smoke), "--export"]) == 0
    assert hashlib.sha256((smoke / "resnet50v2_signs.npz").read_bytes()).hexdigest() == digest
    assert (smoke / "pretraining.json").read_bytes() == report


def test_publishing_takes_the_files_the_table_and_the_pin_of_a_whole_training(smoke, tmp_path, monkeypatch):
    card, pins, articles = tmp_path / "weights/README.md", tmp_path / "weights.py", tmp_path
    card.parent.mkdir()
    card.write_text(f"# Ours\n{pretrain_signs.BEGIN}\nold\n{pretrain_signs.END}\n", encoding="utf-8")
    before = pretrain_signs.PINS.read_text(encoding="utf-8")
    pins.write_text(before, encoding="utf-8")
    for name, value in (("CARD", card), ("PINS", pins), ("ARTICLES", articles)):
        monkeypatch.setattr(pretrain_signs, name, value)
    with pytest.raises(SystemExit, match="come from a whole training"):
        pretrain_signs.publish(smoke)
    whole = tmp_path / "whole"
    shutil.copytree(smoke, whole)
    report = json.loads((whole / "pretraining.json").read_text(encoding="utf-8"))
    (whole / "pretraining.json").write_text(json.dumps({**report, "steps": 2600}), encoding="utf-8")
    pretrain_signs.publish(whole)
    assert {path.name for path in card.parent.iterdir()} == {"README.md", "resnet50v2_signs.npz", "pretraining.json"}
    assert (articles / "pretrain_signs.png").read_bytes() == (smoke / "learning_curve.png").read_bytes()
    digest = hashlib.sha256((card.parent / "resnet50v2_signs.npz").read_bytes()).hexdigest()
    assert digest in card.read_text(encoding="utf-8") and "old" not in card.read_text(encoding="utf-8")
    after = pins.read_text(encoding="utf-8")
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert [line.split('"')[:2] for line in changed] == [["SIGNS_SHA256 = ", digest]]


def test_there_is_nothing_to_export_before_a_training(tmp_path):
    with pytest.raises(SystemExit, match="Train first"):
        pretrain_signs.main(["--smoke", "--out", str(tmp_path), "--export"])
