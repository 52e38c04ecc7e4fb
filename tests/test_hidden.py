"""A hidden test gives away nothing, and a model's reading of it comes back under the names that the key knows."""

import csv
import hashlib
import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.stats import binom

from casestudy.cleaning import clean_archive, write_unlabelled
from casestudy.cleaning.bare import bare_jpeg, bare_png
from casestudy.cli import main
from casestudy.data.images import load_images
from casestudy.errors import DataError
from casestudy.grading import predict_hidden
from casestudy.grading.key import load_key
from casestudy.grading.strangers import too_low

BOXES = "image,top_left_x,top_left_y,bottom_right_x,bottom_right_y\n"


@pytest.fixture
def archive(tmp_path, draw, encode):
    """Photographs of three people nobody has seen, with a box file and a damaged one."""
    path = tmp_path / "unseen.zip"
    with zipfile.ZipFile(path, "w") as target:
        for user in (11, 12, 13):
            boxes = BOXES
            for label in "ABC":
                for take in range(3):
                    target.writestr(f"user_{user}/{label}{take}.png", encode(draw(label, user, take)))
                    boxes += f"user_{user}/{label}{take}.png,{take},2,30,{28 + take}\n"
            target.writestr(f"user_{user}/user_{user}_loc.csv", boxes)
        target.writestr("user_11/B7.png", b"\x89PNG damaged")
    return path


def test_every_photograph_keeps_its_pixels_its_box_and_nothing_else(archive, tmp_path):
    truth = write_unlabelled(archive, tmp_path / "hidden.zip")
    labels = {name: label for name, (label, _) in truth.items()}
    assert sorted(labels.values()) == sorted("ABC" * 9)
    assert {signer for _, signer in truth.values()} == {"user_11", "user_12", "user_13"}
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(tmp_path / "hidden.zip") as hidden:
        pixels = {pixels_of(source.read(name)): name for name in source.namelist() if name.endswith(".png")
                  and "B7" not in name}  # fmt: skip
        assert len(pixels) == 27
        text = hidden.read("ledger.csv").decode()
        assert "user_" not in text + hidden.read("boxes.csv").decode()
        boxes = hidden.read("boxes.csv").decode().splitlines()
        assert len(boxes) == 1 + len(labels)
        places = {line.split(",")[0]: float(line.split(",")[1]) for line in boxes[1:]}
        for name, label in labels.items():
            entry = pixels[pixels_of(hidden.read(name))]
            assert entry.split("/")[1][0] == label
            assert places[name] == int(entry.split(".")[0][-1])
    with pytest.raises(DataError, match="never overwritten"):
        write_unlabelled(archive, tmp_path / "hidden.zip")


def pixels_of(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


def test_two_calls_give_two_orders_and_the_content_decides_in_each(archive, tmp_path):
    first, second = (write_unlabelled(archive, tmp_path / f"{k}.zip") for k in range(2))
    assert not set(first) & set(second)
    for k in range(2):
        with zipfile.ZipFile(tmp_path / f"{k}.zip") as hidden:
            names = [name for name in hidden.namelist() if name.startswith("unlabelled/")]
            assert names == sorted(names)
            rows = list(csv.DictReader(io.StringIO(hidden.read("ledger.csv").decode())))
            assert [row["stored_as"] for row in rows] == names
            for row in rows:
                name, data = row["stored_as"], hidden.read(row["stored_as"])
                told = {"entry": name, "stored_as": name, "status": "kept", "label": "unlabelled"}
                told |= {"bytes": str(len(data)), "sha256": hashlib.sha256(data).hexdigest()}
                assert {column: cell for column, cell in row.items() if cell} == told


# --- the adversary -------------------------------------------------------------------------------------------------


def guesses(path):
    """Yields (attack, a guessed label for each photograph by name) from the handed-out file alone."""
    with zipfile.ZipFile(path) as hidden:
        infos = [info for info in hidden.infolist() if info.filename.startswith("unlabelled/")]
        data = {info.filename: hidden.read(info) for info in infos}
        rows = list(csv.DictReader(io.StringIO(hidden.read("ledger.csv").decode())))
        boxes = [line.split(",")[0] for line in hidden.read("boxes.csv").decode().splitlines()[1:]]
    names = [info.filename for info in infos]
    orders = {
        "order in the zip": names,
        "names": sorted(names),
        "ledger": [row["stored_as"] for row in rows],
        "boxes": [name for name in boxes if name in data],
        "place in the file": [info.filename for info in sorted(infos, key=lambda info: info.header_offset)],
        "timestamps": [info.filename for info in sorted(infos, key=lambda info: info.date_time)],
        "sizes": sorted(names, key=lambda name: len(data[name])),
        "checksums": [info.filename for info in sorted(infos, key=lambda info: info.CRC)],
        "last bytes": sorted(names, key=lambda name: data[name][-64:]),
    }
    each = len(names) // 3
    for attack, order in orders.items():
        for sorted_labels in ("ABC", "CBA"):
            yield f"{attack}: blocks", {name: sorted_labels[min(k // each, 2)] for k, name in enumerate(order)}
            yield f"{attack}: in turn", {name: sorted_labels[k % 3] for k, name in enumerate(order)}
        people = [label for _ in range(3) for label in "ABC" for _ in range(each // 3)]
        yield f"{attack}: by person", dict(zip(order, people, strict=False))
        for seed in (7, *range(40)):
            place = np.random.default_rng(seed).permutation(len(order))
            yield f"{attack}: shuffled by seed {seed}", {order[k]: people[j] for k, j in enumerate(place)}
    for label in "ABC":
        yield (
            f"letters within: {label}",
            {name: label if f"letter {label}".encode() in content else "B" for name, content in data.items()},
        )
    kinds = sorted({name.rsplit(".", 1)[1] for name in names})
    yield "kind of file", {name: "ABC"[kinds.index(name.rsplit(".", 1)[1]) % 3] for name in names}
    stamps = {name: re.findall(rb"2026:\d\d:\d\d \d\d:\d\d:\d\d", content) for name, content in data.items()}
    by_time = sorted(names, key=lambda name: stamps[name])
    yield "time of the camera", {name: "ABC"[min(k // each, 2)] for k, name in enumerate(by_time)}


def best_guess(path, labels):
    scores = {attack: np.mean([guess.get(name) == label for name, label in labels.items()])
              for attack, guess in guesses(path)}  # fmt: skip
    return max(scores.items(), key=lambda item: item[1]), len(scores)


@pytest.fixture
def telling(tmp_path, draw):
    """90 photographs whose files tell all that files can: size, time, comment, and what follows their end."""
    path = tmp_path / "telling.zip"
    with zipfile.ZipFile(path, "w") as target:
        for user in (11, 12, 13):
            boxes = BOXES
            for k, label in enumerate("ABC"):
                for take in range(10):
                    data = io.BytesIO()
                    exif = Image.Exif()
                    exif[306] = f"2026:01:0{1 + k} 10:{user}:{take:02}"
                    image = Image.fromarray(draw(label, user, take))
                    image.save(data, "JPEG", quality=80 + user, exif=exif, comment=f"letter {label}".encode())
                    tail = bytes(200 * k)
                    target.writestr(f"user_{user}/{label}{take}.jpg", data.getvalue() + tail)
                    boxes += f"user_{user}/{label}{take}.jpg,1,2,30,31.{'0' * k}\n"
            target.writestr(f"user_{user}/user_{user}_loc.csv", boxes)
    return path


def test_from_the_file_alone_every_attack_scores_at_chance(telling, tmp_path):
    labels = {name: label for name, (label, _) in write_unlabelled(telling, tmp_path / "hidden.zip").items()}
    assert len(labels) == 90
    (attack, score), tries = best_guess(tmp_path / "hidden.zip", labels)
    # Of so many attacks at chance, the best one is better than this less than once in a million such tests.
    assert score <= binom.isf(1e-6 / tries, 90, 1 / 3) / 90, attack
    with zipfile.ZipFile(tmp_path / "hidden.zip") as hidden:
        boxes = hidden.read("boxes.csv").decode()
        assert "31.0" not in boxes  # who drew a box and how tells nothing
        for info in hidden.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert b"letter" not in hidden.read(info)
            if info.filename != "ledger.csv":
                assert b"2026" not in hidden.read(info)
        rows = csv.DictReader(io.StringIO(hidden.read("ledger.csv").decode()))
        assert not [row for row in rows if "2026" in "".join(row[name] for name in row if name != "sha256")]


def test_the_attacks_succeed_on_a_careless_hand_out(telling, tmp_path):
    """What was handed out before: the order of seed 7, and the files as they were."""
    with zipfile.ZipFile(telling) as source, zipfile.ZipFile(tmp_path / "careless.zip", "w") as hidden:
        photographs = [name for name in source.namelist() if name.endswith(".jpg")]
        place = np.random.default_rng(7).permutation(len(photographs))
        chosen = {f"unlabelled/{k:05d}.jpg": photographs[j] for k, j in enumerate(place)}
        for name, entry in chosen.items():
            hidden.writestr(zipfile.ZipInfo(name), source.read(entry))
        hidden.writestr("ledger.csv", "stored_as\n" + "\n".join(chosen))
        hidden.writestr("boxes.csv", "image\n" + "\n".join(chosen))
    labels = {name: entry.split("/")[1][0] for name, entry in chosen.items()}
    by_attack = {attack: np.mean([guess.get(name) == label for name, label in labels.items()])
                 for attack, guess in guesses(tmp_path / "careless.zip")}  # fmt: skip
    assert by_attack["names: shuffled by seed 7"] == by_attack["time of the camera"] == 1
    assert max(score for attack, score in by_attack.items() if attack.startswith("letters within")) > 0.6


# --- what students have --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["the same bytes", "encoded again", "larger", "mirrored"])
def test_a_photograph_that_students_have_is_refused(how, archive, tmp_path, draw, encode):
    picture = Image.fromarray(draw("A", 11, 0))
    if how == "larger":
        picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.LANCZOS)
    elif how == "mirrored":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    data = encode(picture)
    if how == "encoded again":
        again = io.BytesIO()
        picture.save(again, "JPEG", quality=100, subsampling=0)
        data = again.getvalue()
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as target:
        target.writestr("user_3/C5.png", data)
        target.writestr("user_3/B1.png", encode(draw("B", 77, 1)))
    clean_archive(tmp_path / "theirs.zip", tmp_path / "letters.zip", progress=False)
    with pytest.raises(DataError, match=r"students have 1 of these 27 photographs, such as user_11/A0.png") as caught:
        write_unlabelled(archive, tmp_path / "hidden.zip", known=tmp_path / "letters.zip")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hidden.zip").exists()


def test_other_peoples_photographs_are_not_refused_and_copies_go_out_once(archive, tmp_path, draw, encode):
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w") as target:
        target.writestr("user_3/A0.png", encode(draw("A", 77, 1)))
    clean_archive(tmp_path / "theirs.zip", tmp_path / "letters.zip", progress=False)
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("user_12/A8.png", more.read("user_11/A0.png"))  # the same letter once more
        more.writestr("user_12/C8.png", more.read("user_11/B0.png"))  # and one that two letters claim
    truth = write_unlabelled(archive, tmp_path / "hidden.zip", known=tmp_path / "letters.zip")
    assert sorted(label for label, _ in truth.values()) == sorted("A" * 9 + "B" * 8 + "C" * 9)


def test_metadata_go_and_pixels_stay(draw):
    exif = Image.Exif()
    exif[306], exif[274] = "2026:01:01 10:00:00", 6  # when, and to be turned
    plain, turned = io.BytesIO(), io.BytesIO()
    picture = Image.fromarray(draw("A", 1, 1))
    picture.save(plain, "JPEG", progressive=True, comment=b"letter A", icc_profile=b"x" * 70_000)
    picture.save(turned, "JPEG", exif=exif)
    bare = bare_jpeg(plain.getvalue() + b"behind the end")
    assert pixels_of(bare) == pixels_of(plain.getvalue())
    assert bare.endswith(b"\xff\xd9") and b"letter" not in bare and b"xxxx" not in bare
    assert bare_jpeg(turned.getvalue()) is None
    with Image.open(io.BytesIO(bare_png(turned.getvalue()))) as image:
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(turned.getvalue())))
        assert image.size == upright.size and image.tobytes() == upright.tobytes()
        assert not image.info and not image.getexif()
    for damaged in (b"", b"\xff\xd8\xff", plain.getvalue()[:200], b"\x89PNG"):
        assert bare_jpeg(damaged) is None


def test_what_is_transparent_is_white_as_everywhere_else():
    palette = Image.new("P", (8, 8))
    palette.putpalette([0, 0, 0, 200, 30, 30])
    palette.paste(1, (2, 2, 6, 6))
    key = Image.new("RGB", (8, 8), (10, 20, 30))
    for image, transparent in ((palette, 0), (key, (10, 20, 30))):
        stored = io.BytesIO()
        image.save(stored, "PNG", transparency=transparent)
        with Image.open(io.BytesIO(bare_png(stored.getvalue()))) as shown:
            assert (shown.mode, shown.getpixel((0, 0))) == ("RGB", (255, 255, 255))
            assert shown.getpixel((3, 3)) == ((200, 30, 30) if image is palette else (255, 255, 255))


# --- the verdict ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("claimed", "hidden"), [(2, 1), (2, 2), (2, 3), (3, 3), (7, 3)])
def test_of_a_hundred_honest_students_at_most_one_loses_by_luck(claimed, hidden):
    """Simulated: people's accuracies spread on the logit scale as much as was measured, and twice as much."""
    chance = np.random.default_rng(5)
    for accuracy, spread in ((0.55, 0.35), (0.8, 0.35), (0.8, 0.7), (0.93, 0.7)):
        lost, repeats = 0, 1500
        for _ in range(repeats):
            centre = np.log(accuracy / (1 - accuracy))
            skill = 1 / (1 + np.exp(-(centre + spread * chance.standard_normal(claimed + hidden))))
            read = [
                (n, int(chance.binomial(n, p))) for n, p in zip([240] * claimed + [60] * hidden, skill, strict=True)
            ]
            lost += too_low(tuple(read[:claimed]), tuple(read[claimed:])).too_low
        assert lost <= binom.isf(1e-4, repeats, 0.01), (accuracy, spread, lost)


def test_an_invented_claim_is_told_from_strangers_that_are_read_worse():
    assert too_low(((240, 235), (240, 236)), ((60, 3), (60, 2))).too_low  # guessed
    assert too_low(((240, 237), (240, 238)), ((60, 36), (60, 33), (60, 38))).too_low
    assert not too_low(((240, 200), (240, 205)), ((60, 45), (60, 38), (60, 47))).too_low
    one = too_low(((240, 200), (240, 205)), ((60, 38),))
    many = too_low(((240, 200), (240, 205)), ((60, 38),) * 5)
    assert one.allowed > many.allowed  # one person says less than five


def test_an_archive_without_labels_is_no_hidden_test(tmp_path, encode):
    path = tmp_path / "nothing.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("holiday/beach.png", encode(Image.new("RGB", (32, 32), "blue")))
    with pytest.raises(DataError, match="whose label can be told"):
        write_unlabelled(path, tmp_path / "hidden.zip")
    assert not (tmp_path / "hidden.zip").exists()


def test_through_the_command_line(archive, run_copy, tmp_path, capsys):
    run = run_copy
    key, hidden = tmp_path / "key.json", tmp_path / "hidden.zip"
    assert main(["key", str(run.path), "--out", str(key), "--hidden", str(archive), "--hand-out", str(hidden)]) == 0
    assert "27 photographs without labels" in capsys.readouterr().out
    labels = load_key(key).hidden
    assert main(["predict", str(run.path), str(hidden)]) == 0
    table = run.read_table("hidden_predictions.csv")
    assert set(table["name"]) == set(labels)
    names = run.facts.class_names
    probabilities = table[[f"p_{name}" for name in names]].to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)

    from casestudy.models.network import load_model

    images = load_images(hidden, image_size=(32, 32), cache_dir=tmp_path / "pixels", crop="none")
    expected = load_model(run.path / "model.keras").predict(images.images.astype("float32"), verbose=0)
    order = [list(images.names).index(name) for name in table["name"]]
    np.testing.assert_allclose(probabilities, expected[order], atol=1e-5)
    with pytest.raises(DataError, match="never overwritten"):
        predict_hidden(run, hidden)
