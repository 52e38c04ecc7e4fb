"""Where no box says where the hand is, it is looked for: by a network that NumPy runs, and what it found is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

import casestudy
from casestudy.cleaning import loose_photographs
from casestudy.data import letters, load_images, localiser, seeing
from casestudy.data.localiser import SIDE, Found, Localiser, boxes_of, find_hands
from casestudy.errors import DataError, RunError
from casestudy.runs import RunFolder, Wishes, run_study
from casestudy.runs.verify import verify_run
from SCRIPTS.articles.writing import replaced
from SCRIPTS.hands import localiser_images, people, pretrain_localiser, rooms
from SCRIPTS.hands.pretrain_images import CANVAS, Shelf, Stock
from SCRIPTS.release.environment import ROOT

BOX = (8.0, 6.0, 24.0, 28.0)  # what the network of these tests finds in photographs of 32 px


class Sees(Localiser):
    """Finds BOX, as surely as it is told to."""

    def __init__(self, confidence=lambda picture: 0.9):
        self.asked, self.confidence = 0, confidence

    def find(self, picture):
        self.asked += 1
        return Found(BOX, self.confidence(picture))


@pytest.fixture
def sees(monkeypatch):
    """Puts a network in the place of the published one."""

    def put(network):
        for module in (localiser, seeing):
            monkeypatch.setattr(module, "load_localiser", lambda: network)
        monkeypatch.setattr(letters, "SHA256", "5" * 64)
        return network

    return put


@pytest.fixture
def bare_zip(letters_zip, tmp_path):
    """The same photographs, and no boxes.csv."""
    path = tmp_path / "bare" / "letters.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(letters_zip) as full, zipfile.ZipFile(path, "w") as bare:
        for info in full.infolist():
            if info.filename != "boxes.csv":
                bare.writestr(info, full.read(info.filename))
    return path


# --- the network ----------------------------------------------------------------------------------------------------


def test_numpy_computes_what_keras_does(monkeypatch):
    model = pretrain_localiser.build()
    chance = np.random.default_rng(0)
    for layer in model.layers:  # statistics and scales as a training leaves them, and no zeros that hide a mistake
        if layer.name.endswith(".norm"):
            count = layer.gamma.shape
            layer.set_weights([chance.uniform(0.5, 1.5, count), chance.normal(0, 0.2, count),
                               chance.normal(0, 0.3, count), chance.uniform(0.5, 2, count)])  # fmt: skip
    arrays = pretrain_localiser.arrays_of(model)
    assert sum(array.size for array in arrays.values()) < 800_000
    pixels = chance.integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    expected = model.predict_on_batch(pixels.astype("float32"))
    found = np.stack([Localiser(arrays).cells(one) for one in pixels])
    assert found.shape == (3, 12, 12, 5) and np.abs(expected).max() > 0.5
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()  # the file holds float16
    with monkeypatch.context() as other:
        other.setattr(localiser, "STAGES", ((), (2,), (1, 2, 4, 1)))
        wrong = Localiser(arrays).cells(pixels[0])
    assert np.abs(wrong - expected[0]).max() > 0.02 * np.abs(expected).max()


def cells_with(peak, size, score=9.0):
    """Returns cells that are sure of one box: its middle in cells (x, y), and its size as shares of the picture."""
    cells = np.zeros((12, 12, 5))
    cells[..., 0] = -9.0
    x, y = (int(value) for value in peak)
    cells[y, x] = (score, peak[0] - x - 0.5, peak[1] - y - 0.5, *np.log(size))
    return cells


def test_a_box_is_read_from_its_cell():
    left, top, right, bottom = boxes_of(cells_with((3.25, 7.9), (0.2, 0.4)))[7, 3]
    assert (left + right) / 2 == pytest.approx(3.25 / 12) and (top + bottom) / 2 == pytest.approx(7.9 / 12)
    assert right - left == pytest.approx(0.2) and bottom - top == pytest.approx(0.4)


def test_a_look_at_a_part_of_a_picture_answers_in_pixels_of_the_whole():
    network = Localiser({})
    network.cells = lambda pixels: cells_with((6.0, 3.0), (0.5, 0.25))
    found = network.look(Image.new("RGB", (400, 200)), (100, 40, 340, 160))
    assert found.box == pytest.approx((220 - 60, 70 - 15, 220 + 60, 70 + 15))
    assert found.confidence == pytest.approx(1, abs=1e-3)


def test_confidence_is_the_share_of_the_cells_near_the_best_one():
    cells = cells_with((6.0, 3.0), (0.5, 0.25), score=0.0)  # as likely as that there is no hand
    cells[9, 9, 0] = 0.0  # or as one elsewhere
    network = Localiser({})
    network.cells = lambda pixels: cells
    assert network.look(Image.new("RGB", (96, 96)), (0, 0, 96, 96)).confidence == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("again", [0.49, 0.5])
def test_what_was_seen_is_looked_at_closer_and_believed_if_it_is_still_seen(again):
    network, asked = Localiser({}), []

    def look(picture, region):
        asked.append(region)
        whole = region == (0, 0, 300, 200)
        return Found((100, 50, 140, 110), 0.8) if whole else Found((102, 55, 138, 108), again)

    network.look = look
    box = (102, 55, 138, 108) if again >= 0.5 else (100, 50, 140, 110)
    assert network.find(Image.new("RGB", (300, 200))) == Found(box, 0.8)
    assert asked[1] == pytest.approx((120 - 66, 80 - 66, 120 + 66, 80 + 66))  # 60 px and 1.2 times as much, a square


def test_a_file_that_is_not_the_published_one_finds_nothing(tmp_path, monkeypatch, caplog):
    (tmp_path / "hand_localiser.npz").write_bytes(b"something else")
    monkeypatch.setattr(localiser, "find_in_checkout", lambda name: tmp_path / "hand_localiser.npz")
    localiser.load_localiser.cache_clear()
    try:
        assert localiser.load_localiser() is None
    finally:
        localiser.load_localiser.cache_clear()
    assert "is not the published file, and finds no hands. Restore it: git checkout -- " in caplog.text


# --- a set of photographs -------------------------------------------------------------------------------------------


def every(files):
    """Does something with each of the files, as `letters` does with the photographs of a zip."""
    return lambda do: [do(name, data) for name, data in files.items()]


def test_hands_are_looked_for_once_and_only_in_the_same_photographs(sees, encode, draw, tmp_path):
    network, kept = sees(Sees()), tmp_path / "new" / "hands.csv"
    files = {f'{k}, "x".png': encode(draw("A", k, 0)) for k in range(4)}
    first = find_hands(list(files), every(files), kept)
    assert first == dict.fromkeys(files, Found(BOX, 0.9)) and network.asked == 4
    assert find_hands(list(files), every(files), kept) == first and network.asked == 4
    others = dict(zip("abcd", files.values(), strict=True))  # as many, by other names
    assert list(find_hands(list(others), every(others), kept)) == list("abcd") and network.asked == 8
    assert len(find_hands(list(files)[:3], every(dict(list(files.items())[:3])), kept)) == 3 and network.asked == 11
    kept.write_text("0.png,1,2,3\n")
    assert len(find_hands(list(files), every(files), kept)) == 4 and network.asked == 15


@pytest.mark.parametrize(("sure", "found"), [(1, 0), (2, 4)])
def test_photographs_of_which_most_show_no_hand_are_all_taken_whole(sure, found, sees, encode, draw, tmp_path):
    answers = iter([0.5] * sure + [0.49] * (4 - sure))
    sees(Sees(lambda picture: next(answers)))
    files = {f"{k}.png": encode(draw("A", k, 0)) for k in range(4)}
    assert len(find_hands(list(files), every(files), tmp_path / "hands.csv")) == found


def by_hand(data, box, margin, size):
    """Returns the square round a box, resized, with nothing but Pillow."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * (1 + margin)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side)))


def test_hands_are_cut_out_where_they_were_found(sees, bare_zip, tmp_path):
    sees(Sees())
    images = load_images(bare_zip, image_size=(16, 16), cache_dir=tmp_path / "c", crop="auto", margin=0.1)
    assert images.cropped and set(images.hands) == {Found(BOX, 0.9)} and images.localiser == "5" * 64
    with zipfile.ZipFile(bare_zip) as archive:
        for name, pixels in list(zip(images.names, images.images, strict=True))[:3]:
            assert (pixels == by_hand(archive.read(name), BOX, 0.1, 16)).all()
    whole = load_images(bare_zip, image_size=(16, 16), cache_dir=tmp_path / "c", crop="none")
    assert not whole.cropped and whole.hands is None and whole.localiser is None and whole.digest != images.digest
    assert (whole.images != images.images).any()


def test_boxes_come_first_unless_hands_are_asked_for(sees, letters_zip, tmp_path):
    network = sees(Sees())
    options = {"image_size": (16, 16), "cache_dir": tmp_path / "c"}
    boxes = load_images(letters_zip, crop="auto", **options)
    assert boxes.cropped and boxes.hands is None and network.asked == 0
    hands = load_images(letters_zip, crop="hand", **options)
    assert network.asked == len(hands) and hands.digest != boxes.digest


def test_without_the_network_photographs_are_taken_whole(sees, bare_zip, tmp_path):
    sees(None)
    options = {"image_size": (16, 16), "cache_dir": tmp_path / "c"}
    assert not load_images(bare_zip, crop="auto", **options).cropped
    with pytest.raises(DataError, match=r"Looking for hands needs DATA.weights.hand_localiser\.npz"):
        load_images(bare_zip, crop="hand", **options)


# --- a run, and a photograph of one's own ---------------------------------------------------------------------------


@pytest.fixture
def found_run(sees, bare_zip, small_study, tmp_path):
    sees(Sees(lambda picture: 0.9 if np.asarray(picture)[0, 0, 0] % 8 else 0.3))
    study = dataclasses.replace(small_study, crop="auto")
    return run_study(Wishes(study, seed=3), bare_zip, tmp_path / "run")


def test_a_run_keeps_where_hands_were_found_and_verifies_it(found_run, bare_zip):
    table = found_run.read_table("crops.csv")
    assert list(table) == ["name", "left", "top", "right", "bottom", "confidence", "cut"]
    assert len(table) == 45 and 22 < table["cut"].sum() < 45
    assert (table["cut"] == (table["confidence"] == 0.9)).all()
    assert (found_run.path / "plots" / "crops.png").is_file()
    name = table.loc[table["cut"], "name"].iloc[0]
    with found_run.photographs() as photographs:
        assert photographs.picture(name, 64).size == (24, 24)  # 22 px and a tenth
    checks = verify_run(RunFolder.open(found_run.path), source=bare_zip)
    assert checks.hold and ("crops.csv follows from the data", True, "") in checks
    altered = table.assign(left=table["left"] - 1)
    found_run.write_table("crops.csv", altered)
    found_run.seal()
    wrong = [what for what, holds, _ in verify_run(RunFolder.open(found_run.path), source=bare_zip) if holds is False]
    assert wrong == ["crops.csv follows from the data"]


def test_a_run_stays_with_its_way_to_cut(found_run, bare_zip, monkeypatch):
    assert found_run.record.resolved_wishes().study.crop == "hand"
    monkeypatch.setattr(letters, "SHA256", "6" * 64)
    run = RunFolder.open(found_run.path, data=bare_zip)
    with pytest.raises(RunError, match="found by the network that found them first; here is another"):
        run.load_images()


def test_ones_own_photograph_is_read_where_its_hand_is_found(found_run, bare_zip, sees):
    table = found_run.read_table("predictions.csv").set_index("name")
    mine = casestudy.read_photographs(found_run, [bare_zip / name for name in table.index])
    cut = found_run.read_table("crops.csv").set_index("name")["cut"]
    for row in mine.to_dict("records"):
        name = row["name"].removeprefix(f"{bare_zip.as_posix()}/")
        assert row["cut"] == ("hand found" if cut[name] else "whole picture")
        assert row["probability"] == pytest.approx(table.loc[name, "confidence"], abs=1e-6)
    assert set(mine["cut"]) == {"hand found", "whole picture"}


# --- what it learns from --------------------------------------------------------------------------------------------


GREEN = np.full((2, 128, 128, 3), (90, 160, 90), np.uint8)  # two places


def one_hand() -> Stock:
    """A stock of one hand, which is a rectangle: an upright box holds it exactly."""
    hand = np.zeros((1, CANVAS, CANVAS, 4), np.uint8)
    hand[0, 40:100, 50:90] = (255, 0, 255, 255)
    fields = {"boxes": np.array([[50.0, 40.0, 90.0, 100.0]]), "poses": np.zeros((1, 31), np.float32), "places": GREEN}
    return Stock(hand, np.zeros(1, np.int64), **fields)


@pytest.mark.parametrize("signer", [False, True])
def test_the_box_of_a_scene_is_where_its_hand_is(signer, monkeypatch):
    monkeypatch.setattr(localiser_images, "PEOPLED", 0)  # a person has the hand's colour
    draw = partial(localiser_images.draw_signer, rooms=GREEN) if signer else localiser_images.draw_scene
    seen, sizes = 0, []
    for seed in range(80):
        image, box = draw(one_hand(), 0, np.random.default_rng(seed), 96, 0.0)
        pixels = image.astype(int)
        there = np.argwhere((pixels[..., 0] > pixels[..., 1] + 60) & (pixels[..., 2] > pixels[..., 1] + 60))
        if np.isnan(box).any():
            assert len(there) == 0
            continue
        seen += 1
        (top, left), (bottom, right) = there.min(axis=0) / 96, (there.max(axis=0) + 1) / 96
        middle = (box[:2] + box[2:]) / 2
        inside = box.min() > 0 and box.max() < 1
        if inside:
            assert middle == pytest.approx([(left + right) / 2, (top + bottom) / 2], abs=0.03)
            sizes.append(((right - left) * (bottom - top)) / np.prod(box[2:] - box[:2]))
    assert seen > 55 and len(sizes) > 30
    assert 0.95 < np.median(sizes) < 1.35  # a leaning rectangle has corners outside of the ellipse that it holds


def handed(colour, sleeve):
    """A hand's picture with an arm that leaves it below, and the hand's box."""
    hand = np.zeros((CANVAS, CANVAS, 4), np.uint8)
    hand[40:100, 50:90] = (*colour, 255)
    hand[100:, 60:80] = (*sleeve, 255)
    return hand, np.array([50.0, 40.0, 90.0, 100.0])


def test_an_arm_goes_on_where_it_leaves_the_hands_picture():
    skin, cotton = (200, 150, 120), (30, 60, 160)
    hand, box = handed(skin, cotton)
    wrist = people.wrist_of(hand, box)
    assert wrist.way == pytest.approx([0, 1], abs=0.02) and wrist.colours == pytest.approx(
        np.tile(cotton, (6, 1)) / 255
    )
    assert sorted(wrist.places[[0, -1], 0]) == [60.5, 79.5] and (wrist.places[:, 1] > CANVAS - 3).all()
    assert people.skin_of(hand, box) == pytest.approx(np.array(skin) / 255, abs=0.02)  # with a row of the arm
    assert wrist.sleeved(np.array(skin) / 255) and not people.wrist_of(*handed(skin, skin)).sleeved(
        np.array(skin) / 255
    )
    hand[100:] = 0
    assert people.wrist_of(hand, box) is None


def test_an_arm_is_drawn_in_one_piece_from_wrist_to_shoulder():
    hand, box = handed((200, 150, 120), (200, 150, 120))
    wrist, size = people.wrist_of(hand, box), 128
    for seed in range(12):
        pen = people.Pen(Image.new("RGBA", (size * people.DETAIL,) * 2), np.array([0.5, 0.2]), np.array([0.15, 0.15]))
        places = np.stack([np.linspace(0.15, -0.15, people.STRIPS + 1), np.zeros(people.STRIPS + 1)], axis=1)
        rng = np.random.default_rng(seed)
        body = people.draw_arm(pen, rng, places, np.array([0.0, 0.01]), wrist, np.ones(3), np.array([1.0, 0, 0]))
        drawn = pen.picture(np.ones((size, size, 3), np.float32))[..., 3] > 0.5
        row = round(0.2 * size)
        assert drawn[row + 1 : row + 9, size // 2].all() and np.hypot(*body) > 0.3  # half a hand on, at the least
        assert (drawn.sum() > 0.5 * 0.3 * 0.15**2 * size**2) and drawn[: row // 4].sum() < drawn.sum()


def test_clothes_have_patterns_and_only_they():
    pen = people.Pen(Image.new("RGBA", (64, 64), (90, 90, 90, 255)), np.array([0.5, 0.5]), np.array([0.2, 0.2]))
    pen.polygon([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.full(3, 0.4), worn=True)
    pen.ellipse(0, 0, 0.6, 0.6, np.full(3, 0.6))  # skin, over it
    seen = pen.picture(np.full((32, 32, 3), 0.5, np.float32))
    assert seen[16, 16, :3] == pytest.approx(0.6, abs=0.01) and seen[12, 12, :3] == pytest.approx(0.2, abs=0.01)
    assert seen[2, 2, :3] == pytest.approx(90 / 255, abs=0.01)
    cloths = [people.cloth(np.random.default_rng(seed), 48, 0.3) for seed in range(40)]
    assert all((one > 0).all() and one.shape == (48, 48, 3) for one in cloths)
    assert 12 < sum(one.std() > 0.2 for one in cloths) < 36  # a good part of them, not all


def test_rooms_follow_from_their_numbers_and_are_drawn_once(tmp_path):
    shelf = Shelf(tmp_path, 3, 1, 6)
    rooms.draw_rooms(shelf, 1)
    drawn = rooms.load_rooms(shelf)
    assert (drawn[4] == rooms.draw_room((3, 4))).all() and len({one.tobytes() for one in drawn}) == 6
    rooms.file_of(shelf).write_bytes(b"kept")
    rooms.draw_rooms(shelf, 1)
    assert rooms.file_of(shelf).read_bytes() == b"kept"


def test_scenes_are_of_both_kinds_and_those_of_the_first_are_the_sample_kind(tmp_path):
    shelf = Shelf(tmp_path, 3, 1, 2)
    np.save(rooms.file_of(shelf), GREEN)
    draw = partial(localiser_images.draw_scenes, one_hand(), (1, 2), 8, 48, shelf=shelf)
    rng = np.random.default_rng((1, 2))
    alone = [localiser_images.draw_scene(one_hand(), k, rng, 48, 1.0)[0] for k in rng.integers(0, 1, 8)]
    assert (draw(alone=1.0)[0] == alone).all() and (draw()[0] == draw()[0]).all()
    assert (draw()[0][:2] == alone[:2]).all() and (draw()[0][3:] != np.array(alone)[3:]).any(axis=(1, 2, 3)).all()


def test_targets_say_which_cell_holds_the_hand():
    boxes = np.array([[0.5, 0.25, 0.75, 0.5], [np.nan] * 4], np.float32)
    shares, known = pretrain_localiser.targets(boxes)
    assert shares.sum(axis=1) == pytest.approx(1) and shares[1, -1] == 1 and shares[0, -1] == 0
    y, x = np.unravel_index(shares[0, :-1].argmax(), (12, 12))
    assert (x, y) == (7, 4) and (known[1] == 0).all()  # 0.625 * 12 = 7.5 and 0.375 * 12 = 4.5


def test_overlap_is_intersection_over_union():
    a = np.array([[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 2, 2]], float)
    b = np.array([[1, 0, 3, 2], [2, 2, 3, 3], [0, 0, 2, 2]], float)
    assert pretrain_localiser.overlap(a, b).tolist() == pytest.approx([1 / 3, 0, 1])


def test_a_smoke_training_writes_a_file_that_is_read(capsys):
    assert pretrain_localiser.main(["--smoke", "--workers", "1"]) == 0
    assert "'scenes': 16" in capsys.readouterr().out


def test_the_card_shows_the_committed_report():
    report = json.loads((ROOT / localiser.FILE.parent / pretrain_localiser.REPORT).read_text(encoding="utf-8"))
    card = pretrain_localiser.CARD.read_text(encoding="utf-8")
    assert replaced(card, pretrain_localiser.table(report), pretrain_localiser.BEGIN, pretrain_localiser.END) == card
    file = ROOT / localiser.FILE
    assert report["file"]["sha256"] == localiser.SHA256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_published_network_finds_a_drawn_hand():
    """On the sample's own photographs, whose boxes are known: signers that it never saw."""
    network, shares = localiser.load_localiser(), []
    for name, data, box in loose_photographs(ROOT / "DATA" / "sample" / "asl_sample.rar"):
        if box and name.endswith("2.jpg"):
            found = np.array(network.find_in(data).box)
            shares.append(pretrain_localiser.overlap(found[None], np.array(box)[None])[0])
    assert len(shares) > 200 and np.mean(np.array(shares) > 0.5) > 0.9
