"""A study that cannot be run cannot be made: every fault is one line with the rule, what was received, and a remedy."""

import dataclasses
import inspect
import json
import math
import string
from typing import get_args

import numpy as np
import pytest

from casestudy.choices import ARCHITECTURES, RESERVED, Augmentation, Distortion, Optimizer, Protocol
from casestudy.errors import DataError
from casestudy.records import Between, Matching, Record, did_you_mean
from casestudy.runs import Wishes
from casestudy.studies import STUDIES
from casestudy.study import DataSpec, Download, ModelSpec, Phase, Search, SplitSpec, Study, Variant

PHASE = Phase("head", "head", epochs=1, learning_rate=0.1)
MODEL = ModelSpec("compact_cnn")
STUDY = Study("mine", "Mine", "the tests", MODEL, (PHASE,), SplitSpec())
VALID: dict[type[Record], Record] = {
    Phase: PHASE,
    ModelSpec: MODEL,
    SplitSpec: SplitSpec(),
    DataSpec: DataSpec(),
    Download: Download("a.zip", "https://example.org/a.zip", "0" * 64),
    Variant: Variant("other", MODEL, (PHASE,)),
    Search: Search({"dropout": [0.1, 0.2]}),
    Study: STUDY,
    Wishes: Wishes(STUDY, seed=1),
}
DISTORTION = {"rotation": 0.1, "shift": 0.1, "zoom": 0.1, "seed": 1}


def made(kind, /, **changes):
    return dataclasses.replace(VALID[kind], **changes)


def refusal(make, *arguments, **options) -> str:
    """Returns the message of the DataError, which is one line."""
    with pytest.raises(DataError) as caught:
        make(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


NETWORKS = (
    "resnet50v2, mobilenet_v2, mobilenet_v2_0.35, small_cnn, dense, plain_cnn, clothes_cnn, emnist_cnn, fashion_cnn, "
    "plates_cnn, compact_cnn"
)
OPTIMIZERS = "adam, adamw, sgd, rmsprop, adadelta, adagrad, adamax, nadam, lion"
PROTOCOLS = "signer, random, leave-one-signer-out, published"
PRECISIONS = "float32, mixed_float16, mixed_bfloat16"
CHANGED = "rotation, zoom, shift, brightness, contrast, mirror"
TRAINED = "head, all, everything or top:N, N a number of layers"


@pytest.mark.parametrize(
    ("kind", "field", "value", "rule", "remedy"),
    [
        (DataSpec, "kind", "archiv", "one of archive, idx, table", "Did you mean 'archive'?"),
        (DataSpec, "kind", "mnist", "one of archive, idx, table", "Use one of them."),
        (DataSpec, "channels", 2, "one of 1, 3", "Use one of them."),
        (Phase, "schedule", "cosin", "one of constant, cosine, plateau, one-cycle", "Did you mean 'cosine'?"),
        (Phase, "schedule", "one cycle", "one of constant, cosine, plateau, one-cycle", "Did you mean 'one-cycle'?"),
        (Phase, "optimizer", "adm", f"one of {OPTIMIZERS}", "Did you mean 'adam'?"),
        (Phase, "optimizer", "zzz", f"one of {OPTIMIZERS}", "Use one of them."),
        (Phase, "trainable", "heads", TRAINED, "Change it."),
        (Phase, "trainable", "top:0", TRAINED, "Change it."),
        (Phase, "trainable", "top:", TRAINED, "Change it."),
        (Phase, "trainable", "top:3x", TRAINED, "Change it."),
        (ModelSpec, "name", "resnet50", f"one of {NETWORKS}", "Did you mean 'resnet50v2'?"),
        (ModelSpec, "scaling", "0 to 2", "one of -1 to 1, 0 to 1", "Did you mean '0 to 1'?"),
        (SplitSpec, "protocol", "signers", f"one of {PROTOCOLS}", "Did you mean 'signer'?"),
        (Study, "crop", "box", "one of auto, boxes, hand, none", "Did you mean 'boxes'?"),
        (Wishes, "precision", "mixed_float", f"one of {PRECISIONS}", "Did you mean 'mixed_float16'?"),
        (Study, "name", "My study", "a name of small letters, digits and hyphens", "Change it."),
        (Variant, "name", "Other", "a name of small letters, digits and hyphens", "Change it."),
        (Phase, "name", "a,b", "a word of at most 40 letters, digits, hyphens and blanks", "Change it."),
        (Download, "url", "ftp://example.org/a", "an http or https address", "Change it."),
        (Download, "sha256", "0" * 63, "a SHA-256 of 64 hexadecimal digits", "Change it."),
        (Download, "sha256", "g" * 64, "a SHA-256 of 64 hexadecimal digits", "Change it."),
    ],
)
def test_a_mistyped_word_is_named_with_those_there_are(kind, field, value, rule, remedy):
    expected = f"{field} of a {kind.__name__} is {rule}; received {value!r}. {remedy}"
    assert refusal(made, kind, **{field: value}) == expected


@pytest.mark.parametrize(
    ("kind", "field", "given", "expected"),
    [
        (ModelSpec, "augmentation", {"rotaton": 0.1}, f"{CHANGED}; received 'rotaton'. Did you mean 'rotation'?"),
        (ModelSpec, "augmentation", {"zoom": 0.1, "x": 1}, f"{CHANGED}; received 'x'. Use one of them."),
        (Study, "distortion", {"shfit": 0.1}, "rotation, shift, zoom, seed; received 'shfit'. Did you mean 'shift'?"),
    ],
)
def test_a_mistyped_key_is_named_with_those_there_are(kind, field, given, expected):
    assert refusal(made, kind, **{field: given}) == f"{field} of a {kind.__name__} is a dictionary of {expected}"


@pytest.mark.parametrize(
    ("model", "option", "expected"),
    [
        ("dense", "unit", "an option of dense is one of size, units, l2; received 'unit'. Did you mean 'units'?"),
        ("clothes_cnn", "xyz", "an option of clothes_cnn is one of regularised; received 'xyz'. Use one of them."),
        (
            "mobilenet_v2_0.35",  # its alpha is in its name
            "alpha",
            "an option of mobilenet_v2_0.35 is one of upsample, enlarge, momentum; received 'alpha'. Use one of them.",
        ),
        ("small_cnn", "filters", "small_cnn has no options; received 'filters'. Leave it out."),
    ],
)
def test_a_mistyped_option_is_named_with_those_there_are(model, option, expected):
    assert refusal(ModelSpec, model, options={option: 1}) == expected


NO_NUMBERS = (math.nan, math.inf, -math.inf, "1", None, True, [1], np.bool_(True))


@pytest.mark.parametrize(
    ("kind", "field", "inside", "outside"),
    [
        (Phase, "epochs", [1, 100_000], [0, -1, 100_001, 1.0, 1.5, *NO_NUMBERS]),
        (Phase, "learning_rate", [1e-30, 1, 100], [0, 0.0, -1e-30, 100.0001, 10**400, *NO_NUMBERS]),
        (Phase, "batch_size", [1, 65_536], [0, 65_537, 32.0, *NO_NUMBERS]),
        (Phase, "views", [1, 1000], [0, 1001, *NO_NUMBERS]),
        (Phase, "label_smoothing", [0, 0.999], [-0.001, 1, *NO_NUMBERS]),
        (Phase, "patience", [None, 1, 10**9], [0, -1, 0.5, math.inf, "1", False]),
        (Phase, "weight_decay", [None, 0, 1e-5, 10.0], [-1e-9, math.nan, math.inf, "0"]),
        (ModelSpec, "dropout", [0, 0.999], [-0.001, 1, *NO_NUMBERS]),
        (SplitSpec, "validation", [0, 0.749], [-0.001, 1, *NO_NUMBERS]),
        (SplitSpec, "test", [0.001, 0.849], [0, 1, -0.1, *NO_NUMBERS]),
        (SplitSpec, "fraction", [1e-9, 1], [0, 1.01, -0.5, *NO_NUMBERS]),
        (Search, "epochs", [1, 100_000], [0, 100_001, *NO_NUMBERS]),
        (Search, "fraction", [0.001, 1], [0, 1.01, *NO_NUMBERS]),
        (Search, "most_parameters", [1, 10**12], [0, *NO_NUMBERS]),
        (Study, "seed", [0, 2**32 - 1], [-1, 2**32, 7.0, *NO_NUMBERS]),
        (Wishes, "seed", [0, 2**32 - 1], [-1, 2**32, 7.0, *NO_NUMBERS]),
        (Study, "crop_margin", [0, 10], [-0.001, 10.001, *NO_NUMBERS]),
        (Variant, "published", [None, 0, 1], [-0.001, 1.001, math.nan, "1"]),
        (Variant, "published_distorted", [None, 0, 1], [-0.001, 1.001, math.nan, "1"]),
    ],
)
def test_numbers_have_ranges_whose_ends_are_kept(kind, field, inside, outside):
    for value in inside:
        assert getattr(made(kind, **{field: value}), field) == value
    for value in outside:
        said = refusal(made, kind, **{field: value})
        assert said.startswith(f"{field} of a {kind.__name__} is ")
        shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:79]}…"
        assert said.endswith(f"; received {shown}. Change it.")


@pytest.mark.parametrize(
    ("kind", "field", "value", "rule"),
    [
        (Phase, "epochs", 0, "from 1 to 100,000"),
        (Phase, "epochs", 2.0, "a whole number"),
        (Phase, "learning_rate", 0, "above 0 to 100"),
        (Phase, "learning_rate", math.nan, "a finite number"),
        (Phase, "learning_rate", "0.1", "a number"),
        (Phase, "patience", 0, "from 1 up"),
        (SplitSpec, "test", 0, "above 0 to below 1"),
        (SplitSpec, "validation", -1, "from 0 to below 1"),
        (Study, "seed", 2**32, "from 0 to 4,294,967,295"),
        (ModelSpec, "mirror_average", 1, "True or False"),
        (ModelSpec, "weights", 3, "a text"),
        (Study, "split", "signer", "a SplitSpec"),
    ],
)
def test_the_rule_of_a_number_is_said_in_words(kind, field, value, rule):
    assert refusal(made, kind, **{field: value}) == (
        f"{field} of a {kind.__name__} is {rule}; received {value!r}. Change it."
    )


def test_images_have_two_sides_of_8_to_1024_pixels():
    for size in (None, (8, 1024), (1024, 8), (np.int64(96), 64)):
        assert ModelSpec("compact_cnn", image_size=size).image_size == size
    for size, received in (
        ((7, 96), 7),
        ((96, 1025), 1025),
        ((96, 96.0), 96.0),
        ((True, 96), True),
        (96, 96),
        ("96", "96"),
        ([96, 96], [96, 96]),
        ((96,), (96,)),
        ((96, 96, 3), (96, 96, 3)),
    ):
        assert f"; received {received!r}. " in refusal(ModelSpec, "compact_cnn", image_size=size)


@pytest.mark.parametrize("name", ["rotation", "zoom", "shift", "brightness", "contrast"])
def test_augmentation_has_ranges_too(name):
    for value in (0, 0.5, 0.999):
        assert ModelSpec("compact_cnn", augmentation={name: value}).augmentation == {name: value}
    for value in (-0.001, 1.001, math.nan, True, "0.1"):
        assert f"whose {name} is " in refusal(ModelSpec, "compact_cnn", augmentation={name: value})
    at_the_end = {"augmentation": {name: 1}}
    assert (name == "zoom") == (_fails(ModelSpec, "compact_cnn", **at_the_end))  # nothing would be left of an image


def _fails(make, *arguments, **options) -> bool:
    try:
        make(*arguments, **options)
    except DataError:
        return True
    return False


def test_a_mirror_is_yes_or_no():
    for value in (True, False):
        ModelSpec("compact_cnn", augmentation={"mirror": value})
    for value in (1, 0, "yes", None):
        assert "mirror is True or False" in refusal(ModelSpec, "compact_cnn", augmentation={"mirror": value})


def test_a_distortion_is_whole_or_none():
    assert made(Study, distortion=DISTORTION).distortion == DISTORTION
    assert made(Study, distortion={}).distortion == {}
    for name in DISTORTION:
        given = {key: value for key, value in DISTORTION.items() if key != name}
        said = refusal(made, Study, distortion=given)
        assert "has rotation, shift, zoom, seed" in said
        assert repr(given) in said
    for name, value in (("seed", -1), ("seed", 2**32), ("rotation", 1.01), ("shift", -0.1), ("zoom", 1)):
        assert f"whose {name} is " in refusal(made, Study, distortion={**DISTORTION, name: value})


def test_validation_and_test_leave_something_to_train_on():
    assert SplitSpec(validation=0.5, test=0.499).test == 0.499
    for validation, test in ((0.5, 0.5), (0.75, 0.26)):
        assert f"received {validation:g} and {test:g}." in refusal(SplitSpec, validation=validation, test=test)


def test_every_phase_has_its_own_name():
    again = dataclasses.replace(PHASE, trainable="all")
    for kind, who in ((Study, "the study mine"), (Variant, "the variant other")):
        for phases, names in (((), []), ((PHASE, again), ["head", "head"])):
            assert refusal(made, kind, phases=phases) == (
                f"{who} has at least one phase, each of its own name; received {names}. Change one."
            )
        assert len(made(kind, phases=(PHASE, dataclasses.replace(again, name="Head"))).phases) == 2


def test_every_variant_has_its_own_name():
    one, two = (Variant(name, MODEL, (PHASE,)) for name in ("one", "two"))
    assert made(Study, variants=(one, two)).variants == (one, two)
    assert refusal(made, Study, variants=(one, two, one)).endswith("'one' is there twice. Change one.")


@pytest.mark.parametrize(
    "name",
    [
        *("ours", "head", "headline", "random", "head-random", "distorted", "unique"),
        *("unique-one", "one-distorted", "one-unique", "one-distorted-unique"),
        *("head_random", "one_distorted", "one_unique", "unique_one"),  # as they are in the names of files
    ],
)
def test_a_variant_takes_no_name_that_a_run_uses(name):
    assert refusal(made, Variant, name=name).endswith(f"; received {name!r}. Choose another.")


def test_names_that_are_nearly_reserved_are_free():
    for name in ("our", "heads", "headline2", "head-one", "randomly", "distorted-one", "uni", "one.two", "one_two"):
        assert made(Variant, name=name).name == name


def test_no_file_of_a_run_is_of_two_models():
    """Every name that a variant may have, put together from the words that file names are made of."""
    from casestudy.runs.trained import TESTS, models_of

    words = ["head", "random", "distorted", "unique", "one"]
    names = {f"{a}{by}{b}" for a in words for b in words for by in "-_."} | {*words, *RESERVED}
    variants = [made(Variant, name=name) for name in sorted(names) if not _fails(made, Variant, name=name)]
    assert len(variants) > 10
    models = models_of(made(Study, variants=tuple(variants)), "signer")
    for what in ("predictions", "score"):
        used = [getattr(model, what)(test) for model in models for test in TESTS]
        assert len(used) == len(set(used))


def test_a_pattern_is_a_regular_expression_with_a_label():
    assert DataSpec(pattern=r"(?P<label>\w)").pattern
    for pattern, what in (
        (r"\w_\d", "has none. Write (?P<label>…)"),
        (r"(?P<signer>\w)", "has none"),
        ("(", "is none"),
    ):
        said = refusal(DataSpec, pattern=pattern)
        assert repr(pattern) in said and what in said


def test_labels_have_different_names():
    assert DataSpec(class_names=("A", "a")).class_names == ("A", "a")
    assert "received ('A', 'B', 'A')" in refusal(DataSpec, class_names=("A", "B", "A"))


def test_a_layout_is_one_of_the_words():
    assert DataSpec(layout="signer/label").layout
    assert "Did you mean 'signer/label'?" in refusal(DataSpec, layout="signer/lable")


def test_random_weights_are_none_and_not_a_word():
    assert ModelSpec("compact_cnn", weights=None).weights is None
    assert refusal(ModelSpec, "compact_cnn", weights="none").endswith("received 'none'. Write None.")


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field.name) for kind in VALID for field in dataclasses.fields(kind)]
)
def test_every_field_is_checked(kind, field):
    """Whatever is none of it, a thing that is no value at all or a table of numbers is never right."""
    for wrong in (object(), np.zeros(3), {1, 2}):
        said = refusal(made, kind, **{field: wrong})
        assert said.startswith(f"{field} of a {kind.__name__} is ")
        assert f"received {wrong!r}. " in said


# What a record says there is, is there


def test_options_are_those_of_the_builders():
    from casestudy.models.architectures import MODELS, _published

    for name, builder in MODELS.items():
        of_all = {"input_shape", "weights"}
        own = inspect.signature(builder.args[0]).parameters
        if builder.func is _published:
            known = {p.name for p in inspect.signature(_published).parameters.values() if p.kind is p.KEYWORD_ONLY}
            expected = known - of_all | ({"alpha"} & own.keys() - builder.keywords.keys())
        else:
            expected = set(list(own)[1:])
        assert set(ARCHITECTURES[name]) == expected, name


def test_augmentation_and_distortion_are_what_does_them():
    from casestudy.data import distort
    from casestudy.models.network import AUGMENTATIONS

    assert set(Augmentation.__annotations__) == set(AUGMENTATIONS)
    assert set(Distortion.__annotations__) == set(list(inspect.signature(distort).parameters)[2:])


def test_optimizers_are_those_that_keras_knows_with_and_without_weight_decay():
    from casestudy.models import keras
    from casestudy.training.epochs import compile_for

    for name in get_args(Optimizer):
        for decay in (None, 0.01):
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            compile_for(model, made(Phase, optimizer=name, learning_rate=1, weight_decay=decay))
            assert type(model.optimizer).__name__.lower() == name


def test_protocols_are_those_that_split(make_images):
    from casestudy.data import split_folds

    images = make_images(signers=4)
    images = dataclasses.replace(images, parts=np.where(np.arange(len(images)) % 4 == 0, "test", "train"))
    for protocol in get_args(Protocol):
        assert {split.protocol for split in split_folds(images, SplitSpec(protocol), seed=1)} == {protocol}


# JSON


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_survives_json(name):
    study = STUDIES[name]
    for one in (study, study.quick(), study.choose("none"), dataclasses.replace(study, seed=2**32 - 1)):
        assert Study.from_json(one.to_json()) == one
        again = Study.from_json(json.loads(json.dumps(one.to_json())))
        assert again == one
        assert json.dumps(again.to_json()) == json.dumps(one.to_json())


def changed(place, value):
    """Returns the JSON of a study in which the value at a place, such as "phases.0.epochs", is another one."""
    values = json.loads(json.dumps(made(Study, variants=(VALID[Variant],), search=VALID[Search]).to_json()))
    *path, last = [int(word) if word.isdecimal() else word for word in place.split(".")]
    inner = values
    for step in path:
        inner = inner[step]
    if value is Ellipsis:
        del inner[last]
    else:
        inner[last] = value
    return values


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("verion", "verion"),
        ("model.dropuot", "model.dropuot"),
        ("phases.0.epoch", "phases[0].epoch"),
        ("variants.0.model.size", "variants[0].model.size"),
        ("variants.0.phases.0.epoch", "variants[0].phases[0].epoch"),
        ("search.trials", "search.trials"),
    ],
)
def test_an_unknown_field_is_named_with_its_place_and_source(place, shown):
    said = refusal(Study.from_json, changed(place, 1), source="runs/a/run.json")
    assert said == f"runs/a/run.json has the field {shown}, which this version does not know."


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("model", "model"),
        ("model.name", "model.name"),
        ("phases.0.learning_rate", "phases[0].learning_rate"),
        ("variants.0.phases.0.epochs", "variants[0].phases[0].epochs"),
        ("search.space", "search.space"),
    ],
)
def test_a_missing_field_is_named_with_its_place_and_source(place, shown):
    said = refusal(Study.from_json, changed(place, ...), source="runs/a/run.json")
    assert said == f"runs/a/run.json lacks the field {shown}, which this version needs."


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("model", [1], "must hold an object at model; it holds [1]."),
        ("phases.0", 3, "must hold an object at phases[0]; it holds 3."),
        ("phases.0.epochs", 0, "epochs of a Phase is from 1 to 100,000; received 0. Change it."),
        ("phases", "head", "phases of a Study is a tuple; received 'head'. Change it."),
        ("phases", {}, "phases of a Study is a tuple; received {}. Change it."),
        (
            "model.image_size",
            [96, 96, 3],
            "image_size of a ModelSpec is a tuple of 2; received (96, 96, 3). Change it.",
        ),
        ("model.image_size", [96], "image_size of a ModelSpec is a tuple of 2; received (96,). Change it."),
        ("title", None, "title of a Study is a text; received None. Change it."),
        (
            "search.space",
            {"dropout": 1},
            "space of a Search is a dictionary whose dropout is a list; received 1. Change it.",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_source(place, value, expected):
    assert refusal(Study.from_json, changed(place, value), source="my.json") in (
        f"my.json: {expected}",
        f"my.json {expected}",
    )


def test_what_is_no_object_is_no_record():
    for values in (None, [], "study", 3):
        assert refusal(Study.from_json, values, source="my.json") == (
            f"my.json must hold an object at its top; it holds {values!r}."
        )


def test_what_is_left_out_has_its_default():
    values = changed("model", {"name": "dense"})
    del values["seed"], values["data"]
    assert Study.from_json(values).model == ModelSpec("dense")
    assert Study.from_json(values).data == DataSpec()


# Numbers of NumPy


def test_numbers_of_numpy_are_numbers_and_become_pythons_own():
    given = {
        "epochs": np.int64(3),
        "learning_rate": np.float32(0.5),
        "batch_size": np.uint8(8),
        "patience": np.int32(2),
    }
    phase = Phase("head", "head", **given)
    assert phase == Phase("head", "head", epochs=3, learning_rate=0.5, batch_size=8, patience=2)
    spec = ModelSpec("dense", image_size=(np.int64(96), np.int16(64)), augmentation={"zoom": np.float64(0.25)})
    spec = dataclasses.replace(spec, options={"units": [np.int64(8), 4], "l2": np.float32(0.5)})
    study = made(Study, model=spec, phases=(phase,), seed=np.uint32(5))
    assert Study.from_json(json.loads(json.dumps(study.to_json()))) == study
    assert {type(value) for value in (phase.epochs, *spec.image_size, *spec.options["units"], study.seed)} == {int}
    assert {type(value) for value in (phase.learning_rate, spec.augmentation["zoom"], spec.options["l2"])} == {float}
    for wrong in (np.int64(0), np.float64(1), np.array([1, 2]), np.bool_(True)):
        assert f"received {wrong!r}" in refusal(made, Phase, epochs=wrong)
    for wrong in (np.float32("nan"), np.float64("inf")):
        assert "a finite number" in refusal(made, Phase, learning_rate=wrong)


def test_a_record_keeps_what_it_was_given():
    augmentation, options = {"zoom": 0.1}, {"units": [8]}
    spec = ModelSpec("dense", augmentation=augmentation, options=options)
    augmentation["zoom"], options["unit"] = 7, 1
    options["units"].append(9)
    assert spec == ModelSpec("dense", augmentation={"zoom": 0.1}, options={"units": [8]})
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.dropout = 0.5


# The rules themselves


@pytest.mark.parametrize(
    ("between", "words", "inside", "outside"),
    [
        (Between(1, 3), "from 1 to 3", [1, 2, 3], [0.999, 3.001]),
        (Between(1, 3, open="(]"), "above 1 to 3", [1.001, 3], [1, 3.001]),
        (Between(1, 3, open="[)"), "from 1 to below 3", [1, 2.999], [0.999, 3]),
        (Between(1, 3, open="()"), "above 1 to below 3", [1.001, 2.999], [1, 3]),
        (Between(1), "from 1 up", [1, 10**400], [0.999]),
    ],
)
def test_between_keeps_its_ends(between, words, inside, outside):
    assert str(between) == words
    assert all(value in between for value in inside)
    assert not any(value in between for value in [*outside, math.nan])


def test_matching_is_of_the_whole_text():
    rule = Matching("[a-z]+", "small letters")
    assert "abc" in rule and str(rule) == "small letters"
    assert not any(text in rule for text in ("", "abc ", "abc\n", "1abc", "Abc"))


def test_what_is_near_is_meant():
    assert did_you_mean("signr", ["signer", "random"]) == "Did you mean 'signer'?"
    assert did_you_mean("xyz", ["signer", "random"]) == did_you_mean(3, []) == ""


@pytest.mark.parametrize("length", [1, 40, 41])
def test_a_phase_has_a_name_of_at_most_40_characters(length):
    name = (string.ascii_letters * 2)[:length]
    assert _fails(made, Phase, name=name) == (length > 40)
    assert not _fails(made, Phase, name="fine-tune 2_é")
    for wrong in ("", " head", "-head", "head/tune", "head\n", "..", "a.b"):
        assert repr(wrong) in refusal(made, Phase, name=wrong)


def test_a_long_value_is_shown_on_one_line_and_not_whole():
    said = refusal(made, Phase, epochs=np.ones((30, 30)))
    assert "\n" not in said and len(said) < 160 and said.endswith("…. Change it.")


def test_a_wrong_item_is_named_as_one_of_many():
    assert "image_size of a ModelSpec is a tuple, each from 8 to 1,024; received 7." in refusal(
        ModelSpec, "dense", image_size=(64, 7)
    )


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_options_are_plain_json_values(value):
    assert "options of a ModelSpec are plain JSON values" in refusal(ModelSpec, "dense", options={"units": value})


def test_a_search_varies_what_there_is():
    from casestudy.study import Search

    assert "received 'lerning_rate'. Did you mean 'learning_rate'?" in refusal(
        made, Study, search=Search({"lerning_rate": [0.1, 0.2]})
    )


def test_a_quick_study_is_small_in_everything():
    """By hand: no side grows, no training is longer than it was, and one view of each image is enough."""
    phases = (Phase("head", "head", epochs=1, learning_rate=0.1), Phase("tune", "all", epochs=9, learning_rate=0.1))
    variant = Variant("other", ModelSpec("small_cnn"), phases)
    study = dataclasses.replace(STUDIES["asl"], phases=phases, variants=(variant,))
    for size, smaller in ((None, (48, 48)), ((96, 28), (48, 28)), ((28, 96), (28, 48)), ((48, 49), (48, 48))):
        quick = dataclasses.replace(study, model=dataclasses.replace(study.model, image_size=size)).quick()
        assert quick.model.image_size == smaller
    assert [(phase.epochs, phase.views) for phase in quick.phases] == [(1, 1), (2, 1)]
    assert [(phase.epochs, phase.views) for phase in quick.variants[0].phases] == [(1, 1), (1, 1)]


def test_parts_that_stood_in_the_signers_place_are_parts():
    """As the licence plates of the version before had them; a set without parts lost nothing but the field."""
    before = {**DataSpec(pattern="(?P<signer>train|val)/(?P<label>.)/").to_json(), "test_folder": "val"}
    del before["layout"]
    assert DataSpec.from_json(before) == DataSpec(pattern="(?P<part>train|val)/(?P<label>.)/")
    assert DataSpec.from_json({**before, "test_folder": ""}).pattern == "(?P<signer>train|val)/(?P<label>.)/"
