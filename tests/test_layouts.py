"""Labels, people and parts are judged over a whole archive: what fits is read; where two readings do, it is asked."""

import io
import random
import re
import shlex
import string
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casestudy.cleaning.named_layouts import LAYOUTS, layout_pattern
from casestudy.cleaning.naming import find_layout
from casestudy.cleaning.people import look_alikes, one_spelling
from casestudy.cleaning.regroup import clean_archive
from casestudy.data import load_images, split_images
from casestudy.errors import CaseStudyError
from casestudy.study import DataSpec, SplitSpec

LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXY"  # 24, without J and Z
SPANISH = ("A", "Ñ", "LL", "CH", "RR")
FOUR = ("User1", "User2", "User3", "User4")
STRAYS = ("A/9.png", "B/9.png")
KINDS = ("vowels/A", "vowels/E", "others/B", "others/C", "others/D")
VEHICLES = ("bus", "car", "train")
ZOES = ("user_Zoe\u0308", "user_Zo\u00eb", "User zo\u00eb")
SIDES = ("left", "right")
NAMES = ("anna", "ben")
WORDS = ("hello", "long sleeve", "Привет", "t-shirt", "você")
PEOPLE = ("user_1", "user_2", "user_11")


def spread(form, takes=3, **values):
    """Every name that `form` gives for all the values; `k` counts the takes."""
    names = [form]
    for key, options in {**values, "k": range(takes)}.items():
        names = [name.replace("{" + key + "}", str(one)) for name in names for one in options]
    return list(dict.fromkeys(names))


def read(names, **options):
    """The labels, people, and parts that are read, and how many images have no label."""
    layout = find_layout(names, **options)
    places = [layout.place(name) for name in names if not name.endswith((".txt", ".csv", ".py"))]
    told = [place for place in places if place.label]
    found = [{getattr(place, field) for place in told} - {""} for field in ("label", "signer", "part")]
    return (*found, len(places) - len(told))


KAGGLE = [*string.ascii_uppercase, "del", "nothing", "space"]
BOTH = ("train", "test")
THREE = ("train", "validation", "test")
ROBOFLOW = "{p}/{l}/{l}{k}_jpg.rf.3c3e0f9a8b7c.jpg"
TABLE = {  # names → labels, people, parts; none needs a flag
    "letter in the name": (spread("{p}/{l}{k}.jpg", p=PEOPLE, l=LETTERS), LETTERS, PEOPLE, ()),
    "class folders": (spread("{l}/{k}.jpg", l=LETTERS), LETTERS, (), ()),
    "class folders of small letters": (spread("{l}/{k}.jpg", l=LETTERS.lower()), LETTERS, (), ()),
    "class folders called class_A": (spread("set/class_{l}/{k}.png", l="AB7"), "AB7", (), ()),
    "digits": (spread("{l}/{k}.png", l=range(10)), "0123456789", (), ()),
    "numbers": (spread("{l}/{k}.png", l=range(12)), [str(k) for k in range(12)], (), ()),
    "words": (spread("{l}/{k}.jpg", l=WORDS), WORDS, (), ()),
    "words with a letter that never changes": (spread("{l}/p{k}.jpg", l=WORDS), WORDS, (), ()),
    "words with their initial": (spread("{l}/{l}{k}.jpg", l=("h", "bye")), ("H", "bye"), (), ()),
    "Spanish letters": (spread("{p}/{l}/{k}.jpg", p=PEOPLE, l=SPANISH), SPANISH, PEOPLE, ()),
    "Cyrillic letters": (spread("{l}/{k}.jpg", l="АБВГД"), "АБВГД", (), ()),
    "label above person": (spread("{l}/{p}/{k}.jpg", l=LETTERS, p=PEOPLE), LETTERS, PEOPLE, ()),
    "person above label": (spread("{p}/{l}/{k}.jpg", l=LETTERS, p=PEOPLE), LETTERS, PEOPLE, ()),
    "person above words": (spread("{p}/{l}/{k}.jpg", l=WORDS, p=PEOPLE), WORDS, PEOPLE, ()),
    "words above person": (spread("{l}/{p}/{k}.jpg", l=WORDS, p=PEOPLE), WORDS, PEOPLE, ()),
    "people by first names": (spread("{p}/{l}{k}.jpg", p=NAMES, l=LETTERS), LETTERS, NAMES, ()),
    "first names above letters": (spread("{p}/{l}/{k}.jpg", p=NAMES, l="ABC"), "ABC", NAMES, ()),
    "sessions of frames": (spread("{l}/session{s}/f{k}.jpg", l="ABCDE", s=(1, 2)), "ABCDE", (), ()),
    "sessions above": (spread("session{s}/{l}/f{k}.jpg", l="ABCDE", s=(1, 2)), "ABCDE", (), ()),
    "hands left and right": (spread("{p}/{l}/{s}/{k}.jpg", p=PEOPLE, l="ABC", s=("left", "right")), "ABC", PEOPLE, ()),
    "left and right as signs": (spread("{p}/{l}/{k}.jpg", p=PEOPLE, l=SIDES), SIDES, PEOPLE, ()),
    "ASLYset": (
        spread("ASLYset/images/{p}/{l}/{p}_{l}_{k}.png", p=FOUR, l=[*LETTERS, "SP", "FN"]),
        [*LETTERS, "SP", "FN"],
        FOUR,
        (),
    ),
    "Kaggle ASL Alphabet": (
        spread("asl_alphabet_train/asl_alphabet_train/{l}/{l}{k}.jpg", l=KAGGLE)
        + spread("asl_alphabet_test/asl_alphabet_test/{l}_test.jpg", l=[one for one in KAGGLE if one != "del"]),
        KAGGLE,
        (),
        BOTH,
    ),
    "Roboflow's folders": (
        [*spread(ROBOFLOW, p=("train", "valid", "test"), l=LETTERS), "README.roboflow.txt"],
        LETTERS,
        (),
        THREE,
    ),
    "Massey": (
        spread("hand{p}_{l}_bot_seg_{k}_cropped.jpeg", p=(1, 2, 3), l="abcdefghij0123456789"),
        "ABCDEFGHIJ0123456789",
        ("hand1", "hand2", "hand3"),
        (),
    ),
    "Massey in class folders": (
        spread("asl_dataset/{l}/hand{p}_{l}_bot_seg_{k}_cropped.jpeg", p=(1, 2), l="abc012"),
        "ABC012",
        ("hand1", "hand2"),
        (),
    ),
    "Pugeault": (
        spread("dataset5/{p}/{l}/color_0_000{k}.png", p="ABCDE", l=LETTERS.lower()),
        LETTERS,
        "ABCDE",
        (),
    ),
    "published parts of words": (spread("clothes/{p}/{l}/{p}-{k}.jpg", p=THREE, l=WORDS), WORDS, (), THREE),
    "parts above people": (spread("{s}/{p}/{l}{k}.jpg", s=BOTH, p=PEOPLE, l=LETTERS), LETTERS, PEOPLE, BOTH),
    "parts above names": (spread("{s}/{l}{k}.jpg", s=BOTH, l=LETTERS), LETTERS, (), BOTH),
    "licence plates": (
        spread("data/{s}/class_{l}/class_{l}_{k}.jpg", s=("train", "val"), l="019AZ"),
        "019AZ",
        (),
        ("train", "validation"),
    ),
    "vehicles, one of them a train": (spread("{l}/{k}.jpg", l=VEHICLES), VEHICLES, (), ()),
    "copies by Windows and macOS": (
        spread("{f}.jpg", f=("user_1/{l}1 (1)", "user_1/{l} copy", "user_2/{l}_1699999910"), l=LETTERS),
        LETTERS,
        ("user_1", "user_2"),
        (),
    ),
    "an archive a person": (
        spread("outer/user_1.rar/{l}{k}.jpg", l="AB") + spread("outer/user_2.zip/{l}/{k}.jpg", l="AB"),
        "AB",
        ("user_1", "user_2"),
        (),
    ),
    "an archive a first name": (spread("{p}.zip/{l}{k}.jpg", p=NAMES, l=LETTERS), LETTERS, NAMES, ()),
    "people written in two ways": (spread("{p}/{l}{k}.jpg", p=ZOES, l="AB"), "AB", ("user_Zo\u00eb",), ()),
    "code beside photographs": (
        [*spread("{p}/{l}{k}.jpg", p=NAMES, l="AB"), "code/a1.py", "code/b1.py", "notes/c.txt"],
        "AB",
        NAMES,
        (),
    ),
    "two people by a number": (spread("{p}/{l}/x{k}.jpg", p=(1, 2, 3), l=LETTERS), LETTERS, "123", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_what_fits_is_read_without_a_flag(case):
    names, labels, people, parts = TABLE[case]
    assert read(names) == (set(labels), set(people), set(parts), 0)
    shuffled = random.Random(0).sample(names, len(names))
    assert read(shuffled)[0] == set(labels)


ASKED = {  # names in which two readings fit → one that is meant: labels and people
    "people called J and K": (spread("photos/{p}/{l}{k}.jpg", p="JK", l="ABCDEFGH"), "ABCDEFGH", "JK"),
    "people called 3 and 4": (spread("{p}/{l}{k}.jpg", p=(3, 4), l=LETTERS), LETTERS, "34"),
    "takes a, b, c of letters": (spread("{l}/{t}{k}.jpg", l=LETTERS, t="abc"), LETTERS, ()),
    "first names above words": (spread("{p}/{l}/{k}.jpg", p=NAMES, l=WORDS), WORDS, NAMES),
    "words above first names": (spread("{l}/{p}/{k}.jpg", p=NAMES, l=WORDS), WORDS, NAMES),
    "letters above first names": (spread("{l}/{p}/{k}.jpg", p=NAMES, l=LETTERS), LETTERS, NAMES),
    "initials above words": (spread("{p}/{l}/{k}.jpg", p="JK", l=WORDS), WORDS, "JK"),
    "words above initials": (spread("{l}/{p}/{k}.jpg", p="JK", l=WORDS), WORDS, "JK"),
    "words above numbers": (spread("{l}/{p}/{k}.jpg", p=(0, 1, 2), l=WORDS), WORDS, "012"),
    "letters of two kinds": (spread("{f}/{k}.jpg", f=KINDS), "ABCDE", ()),
    "digits above initials, both in the name": (
        spread("{l}/{p}/{p}_{l}_{k}.jpg", l=range(10), p="JKM"),
        "0123456789",
        "JKM",
    ),
    "kinds of things": (spread("{l}.jpg", l=("pets/cat/1", "pets/dog/1", "plants/oak/1")), ("cat", "dog", "oak"), ()),
    "as many people as letters": (spread("{p}/{l}/{k}.jpg", p="VWXYZ", l="abcde"), "ABCDE", "VWXYZ"),
    "first names in file names": (spread("{p}_{l}_{k}.jpg", p=NAMES, l=LETTERS), LETTERS, NAMES),
    "hands counted in file names": (spread("{l}/hand{k}_x.jpg", takes=30, l=LETTERS), LETTERS, ()),
    "letters that contradict": (spread("{f}{k}.jpg", f=("A/G", "B/H", "C/I")), "ABC", ()),
    "words with a capital that never changes": (spread("{l}/A{k}.jpg", l=NAMES), "A", NAMES),
}  # fmt: skip


def advice(message):
    """What a question says can be answered: options of `find_layout`."""
    pattern = shlex.split(re.search(r"--pattern ('[^']*')", message)[1])[0]
    return [{"layout": one} for one in re.findall(r"--layout ([\w/]+)", message)] + [{"pattern": re.compile(pattern)}]


@pytest.mark.parametrize("case", ASKED)
def test_where_two_readings_fit_it_is_asked_and_the_answers_work(case):
    names, labels, people = ASKED[case]
    with pytest.raises(CaseStudyError, match=r"tried here: \d+ of \d+ images") as caught:
        read(names)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1200
    answers = [read(names, **options) for options in advice(message)]
    assert all(answer[0] and answer[3] == 0 for answer in answers)
    assert (set(labels), set(people), set(), 0) in answers
    assert answers[-1] in answers[:-1]  # the pattern is that of a reading which is shown
    count = len(answers[-1][0])
    assert f" {count} label{'s' * (count > 1)} (" in message[message.index("tried here:") :]


def test_the_pattern_that_is_proposed_is_that_of_the_likelier_reading():
    for case in ("people called J and K", "people called 3 and 4", "as many people as letters"):
        names, labels, people = ASKED[case]
        with pytest.raises(CaseStudyError) as caught:
            read(names)
        assert read(names, **advice(str(caught.value))[-1])[:2] == (set(labels), set(people))


def test_small_and_capital_letters_side_by_side_are_asked_about():
    names = spread("set/{l}/{k}.jpg", l="aAbB")
    with pytest.raises(CaseStudyError, match="side by side in set") as caught:
        read(names)
    merged, alone = (read(names, **options) for options in advice(str(caught.value)))
    assert merged[0] == {"A", "B"} and merged[3] == 0
    assert len(alone[0]) == 1 and alone[3] == 9
    assert read(spread("user_1/{l}/{k}.jpg", l="AB") + spread("user_2/{l}/{k}.jpg", l="ab"))[0] == {"A", "B"}


def test_a_few_strays_are_no_contradiction():
    names = spread("{p}/{l}{k}.jpg", p=PEOPLE, l=LETTERS)
    for stray in ("user_1/party/1.jpg", "user_1/K/B.jpg", "holiday.jpg", "user_2/IMG_1234.jpg"):
        labels, people, _, without = read([*names, stray])
        assert (labels, people, without) == (set(LETTERS), set(PEOPLE), 1)


def test_strays_of_a_small_set_are_left_out_and_one_folder_of_words_is_no_class():
    names = spread("{p}/{l}{k}.jpg", p=("user_1", "user_2"), l="AB")
    assert read([*names, "user_1/K/B0.jpg", "user_2/K/A0.jpg"]) == ({"A", "B"}, {"user_1", "user_2"}, set(), 2)
    with pytest.raises(CaseStudyError, match=r"--layout \S+"):
        read([*names, *spread("user_1/K/{l}{k}.jpg", l="AB")])
    assert read([*names, *spread("user_1/party/{k}.jpg", takes=9)]) == ({"A", "B"}, {"user_1", "user_2"}, set(), 9)


def test_a_set_of_one_letter_and_a_frame_s_f_is_no_label():
    assert read(spread("user_1/f{k}.jpg", takes=20))[0] == set()
    assert read(["user_3/A0.jpg"])[0] == {"A"}


@pytest.mark.parametrize("seed", range(60))
def test_random_names_are_read_as_they_were_meant_or_asked_about(seed):
    """Two dozen layouts with random labels and people: never another reading, whatever they are called."""
    chance = random.Random(seed)
    syllables = ("ka", "lo", "mi", "ren", "sto", "va", "bel", "dun")

    def words(count):
        made = {"".join(chance.choices(syllables, k=chance.randint(2, 3))) for _ in range(count)}
        return sorted(made) if len(made) > 1 else ["kalo", "miren"]

    labels = chance.choice([list(LETTERS), words(8), list("ABC"), [*LETTERS, "del", "space"], list("0123456789")])
    people = chance.choice(
        [[f"user_{k}" for k in (1, 2, 11)], words(3), list("JKM"), [f"P{k:02}" for k in range(1, 5)]]
    )
    if set(labels) & set(people):
        return
    known_by_name = all(len(label) == 1 and label.isalpha() for label in labels)
    forms = ["{p}/{l}/{k}.jpg", "{l}/{p}/{k}.jpg", "set/{p}/{l}/img_{k}.png", "train/{p}/{l}/{k}.jpg"]
    forms += ["{p}/{l}{k}.jpg", "all/{p}/{l}_{k}.jpg"] if known_by_name else []
    form = chance.choice(forms)
    names = spread(form, takes=4, p=people, l=labels)
    try:
        found = read(names)
    except CaseStudyError as error:
        assert any(
            answer[:2] == (set(labels), set(people)) for answer in (read(names, **o) for o in advice(str(error)))
        )
    else:
        assert found[:2] == (set(labels), set(people)), form


@pytest.mark.parametrize("seed", range(30))
def test_random_class_folders_are_classes(seed):
    chance = random.Random(seed)
    labels = {"".join(chance.choices("abcdefgh ñéж-", k=chance.randint(2, 9))).strip(" -.") for _ in range(12)} - {""}
    labels = {label for label in labels if len(label) > 1}
    stem = chance.choice(["{k}", "IMG_{k}", "f{k}", "frame_{k}", "{l}{k}", "x ({k})"])
    assert read(spread("pictures/{l}/" + stem + ".jpg", takes=5, l=sorted(labels)))[:2] == (labels, set())


def test_words_for_a_layout():
    names = ["set/anna/A/1.jpg", "set/ben/B/1.jpg"]
    assert read(names, layout="signer/label")[:2] == ({"A", "B"}, {"anna", "ben"})
    assert read(names, layout="label/any")[:2] == ({"anna", "ben"}, set())
    assert read(["x/A/1.jpg", "y/B/1.jpg"], layout="part/label")[2] == {"x", "y"}
    assert read(["x/A/1.jpg", "valid/B/1.jpg"], layout="part/label")[2] == {"x", "validation"}
    for wrong in ("signer/lable", "signer", "label/label", "", "name/label", "label/part/part"):
        with pytest.raises(CaseStudyError, match="--layout takes words") as caught:
            find_layout(names, layout=wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(CaseStudyError, match="Did you mean 'signer/label'"):
        find_layout(names, layout="signer/lable")
    with pytest.raises(CaseStudyError, match="not both"):
        find_layout(names, re.compile("(?P<label>A)"), "label")
    assert all("(?P<label>" in layout_pattern(one) for one in LAYOUTS)


def test_one_person_is_one_signer_and_look_alikes_stay_apart():
    people = ("user_Ben", "User ben", "USER-BEN", "user_1", "user_11", "user1", "user_01")
    layout = find_layout(names := [*spread("{p}/{l}{k}.jpg", p=people, l="AB"), "user_Ben/A9.jpg"])
    found = {layout.place(name).signer for name in names}
    assert found == {"user_Ben", "user_1", "user_11", "user1", "user_01"}
    assert layout.place("User ben/A0.jpg").remark == "signer written User ben"
    assert look_alikes(found) == [("user1", "user_01", "user_1")]
    assert one_spelling([("x y", 1), ("X_Y", 1)]) == {"x_y": "x y"}  # as often: the first


def test_namesakes_in_two_folders_are_one_signer_and_it_is_said():
    names = spread("{s}/{p}/{l}{k}.jpg", s=("north", "south"), p=("user_1", "user_2"), l="AB") + spread(
        "north/user_3/A{k}.jpg"
    )
    layout = find_layout(names)
    assert layout.place("south/user_1/A0.jpg").remark == "signer found in north and south"
    assert layout.place("north/user_3/A0.jpg").remark == ""
    parts = find_layout(named := spread("{s}/{p}/{l}/{k}.jpg", s=BOTH, p=PEOPLE, l="AB"))
    assert {parts.place(name).remark for name in named} == {""}  # parts are no homes
    above = find_layout(named := spread("{l}/{p}/{k}.jpg", p=PEOPLE, l="AB"))
    assert {above.place(name).remark for name in named} == {""}  # nor are labels


def test_any_name_at_all_is_read_or_asked_about():
    chance = random.Random(0)
    bits = (*"Aa7_ß-ſİ. ", "\u0308", "\udc80", "user_1", "..", "", "x" * 300, "train", "Con", "é.zip", "(1)")
    for _ in range(3000):
        names = ["/".join(chance.choices(bits, k=chance.randint(1, 5))) + chance.choice((".jpg", "")) for _ in range(9)]
        try:
            layout = find_layout(names)
        except CaseStudyError as error:
            assert "\n" not in str(error)
            continue
        for place in map(layout.place, names):
            assert not place.label.startswith(("_", ".")) and "/" not in place.label


def picture(number):
    image = Image.fromarray(np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8))
    image.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def pack(path, names, **more):
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, picture(number))
        for name, text in more.items():
            archive.writestr(name, text)
    return path


def test_the_ledger_has_parts_and_the_summary_says_what_was_made_one(tmp_path):
    names = spread("{s}/{p}/{l}{k}.png", takes=1, s=BOTH, p=("user_1", "User 1", "user1"), l="AB")
    ledger = clean_archive(pack(tmp_path / "in.zip", names), tmp_path / "letters.zip")
    assert {(row.part, row.signer) for row in ledger.rows} == {(p, s) for p in BOTH for s in ("user_1", "user1")}
    assert {row.note for row in ledger.rows} == {"", "signer written User 1"}
    told = ledger.summary()
    for line in (
        "published in parts: train 6, test 6",
        "user_1 is also written User 1: taken for one signer",
        "user1 and user_1 look alike, and stay apart: one signer each",
    ):
        assert f"    {line}\n" in told


def test_roboflow_s_tables_name_the_labels_of_flat_files(tmp_path):
    flat = [f"{part}/IMG_{k}_jpg.rf.{k}ab.jpg" for part in ("train", "test") for k in range(4)]
    one_hot = "filename, A, del\n" + "".join(f"IMG_{k}_jpg.rf.{k}ab.jpg, {k % 2}, {1 - k % 2}\n" for k in range(4))
    boxes = "filename,width,height,class,xmin,ymin,xmax,ymax\nIMG_0_jpg.rf.0ab.jpg,24,24,A,1,1,9,9\n"
    boxes += "IMG_1_jpg.rf.1ab.jpg,24,24,A,1,1,9,9\nIMG_1_jpg.rf.1ab.jpg,24,24,del,1,1,9,9\n"
    tables = {"train/_classes.csv": one_hot, "test/_annotations.csv": boxes}
    ledger = clean_archive(pack(tmp_path / "in.zip", flat, **tables), tmp_path / "letters.zip")
    found = {row.entry: (row.label, row.part) for row in ledger.rows if row.format}
    assert [found[name] for name in flat[:4]] == [("del", "train"), ("A", "train")] * 2
    assert [found[name] for name in flat[4:6]] == [("A", "test"), ("", "test")]  # two labels are none


def test_a_class_list_with_an_endless_cell_says_nothing(tmp_path):
    flat = spread("{s}/{l}{k}.png", takes=1, s=("user_1", "user_2"), l="AB")
    table = "filename,A,B\n" + "x" * 200_000 + ",1,0\n"
    ledger = clean_archive(pack(tmp_path / "in.zip", flat, **{"_classes.csv": table}), tmp_path / "letters.zip")
    assert {row.label for row in ledger.rows if row.format} == {"A", "B"}


@pytest.mark.parametrize("ending", ["tgz", "tzst", "tar.zst", "7z"])
def test_an_archive_named_after_somebody_is_theirs(ending, tmp_path):
    people = ("user_1", "user_2", "user_3")
    names = [*spread("{s}/{l}{k}.png", takes=1, s=people, l="AB"), f"user_1.{ending}/A7.png"]
    ledger = clean_archive(pack(tmp_path / "in.zip", names), tmp_path / "letters.zip")
    assert {row.signer for row in ledger.rows} == set(people)


def test_the_command_asks_in_one_line_and_takes_the_answer(tmp_path):
    pack(tmp_path / "in.zip", spread("photos/{p}/{l}{k}.png", takes=1, p="JK", l="ABCD"))
    script = Path(__file__).parent.parent / "DATA" / "clean_data.py"

    def clean(*words):
        call = [sys.executable, str(script), "in.zip", *words]
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)

    asked = clean()
    assert (asked.returncode, asked.stdout, asked.stderr.count("\n")) == (2, "", 1)
    assert not (tmp_path / "letters.zip").exists()
    for options in advice(asked.stderr):
        words = ["--layout", options["layout"]] if "layout" in options else ["--pattern", options["pattern"].pattern]
        answered = clean(*words, "--out", f"{len(list(tmp_path.iterdir()))}.zip")
        assert (answered.returncode, answered.stderr) == (0, "")
    wrong = clean("--layout", "signer/nam")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "Did you mean 'signer/name'?" in wrong.stderr


def test_folders_are_loaded_by_the_same_rules(tmp_path):
    names = spread("{s}/{l}/{p}/{k}.png", takes=1, s=THREE, l=("A", "long sleeve"), p=("user_1", "User 1", "user_2"))
    path = pack(tmp_path / "in.zip", [*names, "train/A/.hidden.png"], **{"_strays/x.png": b"no picture"})
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    for source in (path, tmp_path / "folder"):
        images = load_images(source, image_size=(24, 24), cache_dir=tmp_path / "cache")
        assert images.class_names == ("A", "long sleeve")
        assert set(images.signers) == {"user_1", "user_2"} or set(images.signers) == {"User 1", "user_2"}
        assert [name.split("/")[0] for name in images.names] == images.parts.tolist()
        assert [name.split("/")[1] for name in images.names] == [images.class_names[k] for k in images.labels]
        split = split_images(images, SplitSpec("published"), seed=1)
        for part in THREE:
            assert set(images.parts[getattr(split, part)]) == {part}
        assert sum(len(getattr(split, part)) for part in THREE) == len(images) == 18
    by_name = load_images(path, image_size=(24, 24), cache_dir=tmp_path, data=DataSpec(layout="label/any/any"))
    assert by_name.class_names == ("test", "train", "validation")
    (tmp_path / "other" / "A").mkdir(parents=True)
    digests = set()
    for name in ("1.png", "2.png"):
        (tmp_path / "other" / "A" / name).write_bytes(picture(0))
        digests.add(load_images(tmp_path / "other", image_size=(24, 24), cache_dir=tmp_path / "cache").digest)
        (tmp_path / "other" / "A" / name).unlink()
    assert len(digests) == 2  # other names, though the same picture
    with pytest.raises(CaseStudyError, match="--layout signer/label"):
        grid = pack(tmp_path / "grid.zip", spread("{p}/{l}/{k}.png", p=NAMES, l=WORDS))
        load_images(grid, image_size=(24, 24), cache_dir=tmp_path)


def test_where_nothing_is_called_test_the_other_part_is(tmp_path):
    path = pack(tmp_path / "in.zip", [*spread("{s}/{l}/{k}.png", s=("train", "val"), l="AB"), *STRAYS])
    images = load_images(path, image_size=(24, 24), cache_dir=tmp_path)
    split = split_images(images, SplitSpec("published", validation=0.0), seed=1)
    assert {name.split("/")[0] for name in images.names[split.test]} == {"val"}
    assert images.names[split.left_out].tolist() == [*STRAYS]
    alone = load_images(pack(tmp_path / "one.zip", ["train/A/1.png"]), image_size=(24, 24), cache_dir=tmp_path)
    assert alone.parts is None
