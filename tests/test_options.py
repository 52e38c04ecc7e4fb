"""Options of `casestudy run` come back from the command line as they went in, and a run knows the command for it."""

import dataclasses
import random
import shlex
import shutil
from pathlib import Path

import pytest

from casestudy import runs
from casestudy.cli import main
from casestudy.cli.commands import build_parser
from casestudy.files import file_digest
from casestudy.report import write_report
from casestudy.runs import Options, RunFolder, Wishes, run_study, verify_run
from casestudy.runs.options import options_of
from casestudy.runs.record import Resolved, RunRecord, Source
from casestudy.studies import STUDIES
from casestudy.study import ModelSpec, Variant
from casestudy.training import Machine

DRAWS = 300
PATTERNS = (
    r"(?P<signer>hand\d+)_(?P<label>[a-z0-9])_",
    r"""it's "one" of\s{2} (?P<label>\w)$HOME `ls` ;|&*?<>!#%~ \\""",
    r"-(?P<label>.)--=",
    "(?P<label>[é\u00df\u20ac])\ttab\nline",
)
SPLITS = ("signer", "random", "leave-one-signer-out", "published")
# What each option is to be found as among the wishes: nothing here asks `Options` itself.
FOUND = {
    "seed": lambda wishes: wishes.seed,
    "seeds": lambda wishes: 1 + len(wishes.other_seeds),
    "budget": lambda wishes: wishes.budget,
    "epochs": lambda wishes: tuple(phase.epochs for phase in wishes.study.phases),
    "fraction": lambda wishes: wishes.study.split.fraction,
    "precision": lambda wishes: wishes.precision,
    "learning_rate": lambda wishes: tuple(phase.learning_rate for phase in wishes.study.phases),
    "image_size": lambda wishes: wishes.study.model.image_size,
    "model": lambda wishes: wishes.study.model.name,
    "weights": lambda wishes: wishes.study.model.weights or "none",
    "fine_tune": lambda wishes: wishes.study.phases[-1].trainable,
    "split": lambda wishes: wishes.study.split.protocol,
    "compare_splits": lambda wishes: wishes.compare_splits,
    "crop": lambda wishes: wishes.study.crop,
    "mirror": lambda wishes: wishes.study.model.augmentation["mirror"],
    "pattern": lambda wishes: wishes.study.data.pattern,
    "layout": lambda wishes: wishes.study.data.layout,
    "as_published": lambda wishes: (wishes.study.data.transposed, wishes.study.data.scaled_apart) == (False, True),
}


def parsed(words):
    """Returns the options that the real parser reads from the words of a command."""
    program, command, *_ = words
    assert (program, command) == ("casestudy", "run")
    return Options.parse(vars(build_parser().parse_args(words[1:])))


def drawn(study, chance, weights_file):
    """Returns some options of a study, each in a third of the draws."""

    def rate():
        return 10 ** chance.uniform(-9, 1.9)

    count = len(study.phases)
    own = tuple(phase.epochs for phase in study.phases)
    model = chance.choice(("resnet50v2", "mobilenet_v2", "small_cnn", "compact_cnn"))
    signs = ("signs",) if model == "resnet50v2" else ()
    names = [variant.name for variant in study.variants]
    some = chance.sample(names, chance.randint(0, len(names)))
    values = {
        "data": chance.choice(("my photos.rar", "/data/it's ü.zip", "-x.zip", "https://example.org/a%20b.zip?raw=1")),
        "seed": chance.choice((0, 2**32 - 1, chance.randrange(2**32))),
        "seeds": chance.choice((1, 2, 100)),
        "quick": True,
        "budget": chance.choice((0.5, 10.0, chance.uniform(1e-3, 1e4))),
        "epochs": chance.choice((own, tuple(chance.randint(1, 40) for _ in range(count)))),
        "fraction": chance.choice((1.0, 0.1, chance.uniform(1e-6, 1))),
        "precision": chance.choice(("float32", "mixed_float16", "mixed_bfloat16")),
        "learning_rate": tuple(chance.choice((0.00012345678, 1e-3, 1 / 3, 100.0, rate())) for _ in range(count)),
        "image_size": chance.choice(((8, 1024), (96, 96), (chance.randint(8, 1024), chance.randint(8, 1024)))),
        "model": model,
        "weights": chance.choice(("auto", "imagenet", "none", str(weights_file), *signs)),
        "fine_tune": chance.choice(("head", "all", "everything", f"top:{chance.randint(1, 190)}")),
        "split": chance.choice(SPLITS),
        "variants": chance.choice(("none", ",".join(sorted(some, key=names.index)) or "none")),
        "compare_splits": True,
        "crop": chance.choice(("auto", "boxes", "none")),
        "mirror": True,
        "pattern": chance.choice(PATTERNS),
        "layout": chance.choice(("signer/label", "part/signer/label", "any_label")),
        **({"as_published": True} if study.name == "emnist" else {}),
    }
    chosen = {name: value for name, value in values.items() if chance.random() < 1 / 3}
    if chosen.get("weights") == "signs":
        chosen["model"] = model
    if "budget" in chosen:  # which is for a study's own model
        chosen["variants"] = "none"
    return Options(study.name, **chosen), chosen


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "it's my own.weights.h5"
    path.touch()
    return path


@pytest.fixture(scope="module")
def draws(weights_file):
    chance = random.Random(20)
    studies = list(STUDIES.values())
    return [drawn(studies[k % len(studies)], chance, weights_file) for k in range(DRAWS)]


def test_every_option_is_drawn_and_found(draws):
    declared = set(Options.table())
    assert {name for _, chosen in draws for name in chosen} == declared
    assert set(FOUND) == declared - {"data", "quick", "variants"}
    assert {options.study for options, _ in draws} == set(STUDIES)


def test_options_come_back_from_the_command_line(draws):
    for options, chosen in draws:
        line = shlex.join(["casestudy", "run", *options.arguments()])
        again = parsed(shlex.split(line))
        assert again == options, line
        wishes = again.wishes()
        assert wishes == options.wishes(), line
        for name, value in chosen.items():
            if name in FOUND:
                assert FOUND[name](wishes) == value, (line, name)
        variants = [variant.name for variant in wishes.study.variants]
        asked = {"all": [v.name for v in STUDIES[options.study].variants], "none": []}
        assert variants == asked.get(options.variants, options.variants.split(",")), line


def test_every_option_is_left_as_it_is_where_it_is_not_given():
    for study in STUDIES.values():
        assert Options(study.name).arguments() == [study.name]
        assert Options(study.name).wishes() == Wishes(study, study.seed)
        assert Options(study.name, quick=True).wishes() == Wishes(study.quick(), study.seed, quick=True)


def test_wishes_have_options_that_ask_for_the_same(draws):
    for options, _ in draws:
        wishes = options.wishes()
        found = options_of(wishes, options.data)
        assert found is not None, options
        assert found.wishes() == wishes
        assert found.data == options.data
        words = shlex.split(shlex.join(["casestudy", "run", *found.arguments()]))
        assert parsed(words).wishes() == wishes


@pytest.mark.parametrize(
    "change",
    [
        lambda study: dataclasses.replace(study, name="mine"),
        lambda study: dataclasses.replace(study, crop_margin=0.3),
        lambda study: dataclasses.replace(study, phases=study.phases[:1]),
        lambda study: dataclasses.replace(study, model=dataclasses.replace(study.model, dropout=0.4)),
        lambda study: dataclasses.replace(study, variants=(Variant("mine", ModelSpec("dense"), study.phases),)),
    ],
    ids=["its name", "its margin", "its phases", "its dropout", "its variants"],
)
def test_what_no_option_can_ask_for_has_none(change):
    assert options_of(Wishes(change(STUDIES["asl"]), 7), None) is None


@pytest.mark.parametrize("rate", ["0.00012345678", "1e-05", "1.0000000000000002e-05", "0.30000000000000004", "99"])
def test_every_digit_of_a_rate_survives(rate, tmp_path):
    wishes = parsed(["casestudy", "run", f"--learning-rate={rate},1e-4"]).wishes()
    assert wishes.study.phases[0].learning_rate == float(rate)
    again = parsed(shlex.split(command_of(wishes, tmp_path))).wishes()
    assert [phase.learning_rate for phase in again.study.phases] == [float(rate), 1e-4]


def command_of(wishes, folder, data="/my data/it's.zip", **facts):
    """Returns the command of a run whose training began on another machine, from random numbers at 80x64 pixels."""
    machine = Machine("GPU", wishes.study.model.image_size or (80, 64), wishes.precision or "mixed_float16")
    resolved = Resolved("random initialisation", None, machine, environment={}, **facts)
    run, digest = RunFolder(folder), file_digest(Path(data)) if Path(data).is_file() else ""
    run.write_record(RunRecord(wishes, Source(Path(data).name, digest), "2026-01-01T00:00:00+00:00", resolved))
    return Options.again(run)


@pytest.mark.parametrize("name", STUDIES)
def test_a_command_pins_what_was_left_open(name, tmp_path):
    study = STUDIES[name]
    known = {variant.name: ("imagenet", "ImageNet") for variant in study.variants}
    words = shlex.split(command_of(Wishes(study, 11), tmp_path / "my run", variant_weights=known))
    assert words[-1] == "--out=my run-again"
    options = parsed(words)
    assert options.data == "it's.zip"  # where it lies is nobody else's business
    wishes = options.wishes()
    model = dataclasses.replace(study.model, weights=None, image_size=study.model.image_size or (80, 64))
    assert wishes == Wishes(dataclasses.replace(study, model=model), 11, precision="mixed_float16")


@pytest.fixture(scope="module")
def asked(letters_zip, tmp_path_factory):
    """A finished run of asl on a small network, in a folder with a blank and an umlaut, with much left open."""
    folder = tmp_path_factory.mktemp("asked")
    data = Path(shutil.copy(letters_zip, folder / "it's mine.zip"))
    options = Options(
        data=str(data),
        model="small_cnn",
        epochs=(1, 1),
        learning_rate=(0.00012345678, 1e-3),
        image_size=(32, 24),
        seed=5,
        crop="boxes",
        pattern=r"""(?P<label>\w)' "x" $y""",
    )
    return run_study(options.wishes(), data, folder / "my rün"), options


def test_the_command_of_a_finished_run_asks_for_what_was_resolved(asked):
    run, options = asked
    words = shlex.split(Options.again(run))
    again = parsed(words)
    assert again.wishes() == run.record.resolved_wishes()
    assert again.data == Path(options.data).name
    assert (again.weights, again.precision) == ("none", run.resolved.machine.precision)
    assert again.learning_rate == (0.00012345678, 1e-3)
    assert again.pattern == options.pattern
    assert words[-1] == "--out=my rün-again"


def test_the_command_of_a_report_is_that_of_the_run(asked):
    import html

    run, _ = asked
    page = html.unescape(write_report(run).read_text(encoding="utf-8"))
    assert Options.again(run) in page


def test_the_command_makes_the_same_run(asked, monkeypatch, capsys):
    run, _ = asked
    monkeypatch.chdir(run.path.parent)
    assert main(shlex.split(Options.again(run))[1:]) == 0
    again = RunFolder.open("my rün-again")
    for name in ("splits.csv", "history.csv", "predictions.csv", "predictions_head_random.csv"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name
    assert Options.again(again).rpartition(" ")[0] == Options.again(run).rpartition(" ")[0]


def test_a_study_of_ones_own_is_trained_again_by_verify(finished_run, tmp_path, monkeypatch):
    run = RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "it's ü")))
    words = shlex.split(Options.again(run))
    assert words[0] == "casestudy"
    args = build_parser().parse_args(words[1:])
    assert words[1] == "verify"
    assert (args.run, args.retrain) == (Path(run.path.name), Path("it's ü-again"))


def test_a_run_that_has_not_begun_to_train_names_verify(letters_zip, tmp_path):
    run = RunFolder.begin(tmp_path / "run", Options().wishes(), letters_zip)
    assert shlex.split(Options.again(run))[1] == "verify"


@pytest.mark.parametrize(
    ("name", "more"),
    [*((name, []) for name, study in STUDIES.items() if study.data.class_names), ("emnist", ["--as-published"])],
)
def test_quick_draws_a_stand_in(name, more, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", name, "--quick", "--variants", "none", "--out", "run", "--seed", "4", *more]) == 0
    run = RunFolder.resume("run")
    assert run.source.is_relative_to(tmp_path / "runs" / ".cache" / f"stand-in-{name}")
    assert run.facts.class_names == STUDIES[name].data.class_names
    again = parsed(shlex.split(Options.again(run)))
    assert again.quick and again.as_published == bool(more)
    assert again.data is None  # which draws it once more
    wishes, data = again.wishes_and_data()
    assert data.resolve() == run.source
    assert wishes == run.record.resolved_wishes()
    assert [what for what, holds, _ in verify_run(run) if holds is False] == []


def test_the_sample_needs_no_name(tmp_path):
    from casestudy.data.sources import find_sample

    for given in ({}, {"quick": True}, {"pattern": "(?P<label>.)"}, {"quick": True, "pattern": "(?P<label>.)"}):
        options = Options(**given)
        wishes, data = options.wishes_and_data()
        assert data == find_sample()
        assert wishes == options.wishes()
    words = shlex.split(command_of(Options().wishes(), tmp_path, data=str(find_sample().resolve())))
    assert parsed(words).data is None


# Every option that takes a value, what is mistyped in it, and what the line says to do.
MISTYPED = [
    ("budget", "ten", "'ten'"),
    ("study", "als", "Did you mean 'asl'?"),
    ("study", "xyz", "Use one of them."),
    ("data", "nowhere.rar", "Check its spelling, or name another with --data."),
    ("seed", "seven", "Change it."),
    ("seed", "1.5", "Change it."),
    ("seed", "-1", "Change it."),
    ("seed", "4294967296", "Change it."),
    ("seeds", "0", "Change it."),
    ("seeds", "101", "Change it."),
    ("epochs", "20;5", "Change it."),
    ("epochs", "20,0", "Change it."),
    ("epochs", "2.5,1", "Change it."),
    ("epochs", "1,2,3", "The phases: head, fine-tune."),
    ("fraction", "half", "Change it."),
    ("fraction", "10%", "Change it."),
    ("fraction", "0", "Change it."),
    ("fraction", "1.01", "Change it."),
    ("fraction", "nan", "Change it."),
    ("precision", "mixed_flat16", "Did you mean 'mixed_float16'?"),
    ("precision", "half", "Use one of them."),
    ("learning_rate", "1e-3;1e-4", "Change it."),
    ("learning_rate", "1e-3,-1e-4", "Change it."),
    ("learning_rate", "1e-3,inf", "Change it."),
    ("learning_rate", "1e-3", "The phases: head, fine-tune."),
    ("image_size", "96x", "Change it."),
    ("image_size", "96X128", "Change it."),
    ("image_size", "96x128x3", "Change it."),
    ("image_size", "7", "Change it."),
    ("image_size", "64x1025", "Change it."),
    ("model", "resnet50", "Did you mean 'resnet50v2'?"),
    ("model", "gpt", "Use one of them."),
    ("weights", "imagenett", "Did you mean 'imagenet'?"),
    ("weights", "mine.weights.h5", "Check the path."),
    ("fine_tune", "top", "Change it."),
    ("fine_tune", "top:0", "Change it."),
    ("fine_tune", "bottom", "Change it."),
    ("split", "singer", "Did you mean 'signer'?"),
    ("split", "published", "Use --split signer."),
    ("variants", "dense", "it has none"),
    ("crop", "box", "Did you mean 'boxes'?"),
    ("crop", "always", "Use one of them."),
    ("pattern", "(?P<label>", "Mend it."),
    ("layout", "signer/lable", "Did you mean 'signer/label'?"),
    ("layout", "person", "casestudy clean --help."),
    ("pattern", "(label)", "Write (?P<label>…) around the letter."),
]


@pytest.mark.parametrize(("name", "value", "remedy"), MISTYPED, ids=[f"{name} {value}" for name, value, _ in MISTYPED])
def test_a_mistyped_value_is_one_line_that_says_what_to_do(name, value, remedy, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "run_study", lambda *args, **options: pytest.fail("it runs"))
    assert main(["run", value] if name == "study" else ["run", f"{Options.called(name)}={value}"]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert line.startswith("casestudy: ")
    assert remedy in line
    assert repr(value)[1:-1] in line or str(value.split(",")[-1]) in line or "received" in line
    assert name in line or name.replace("_", "-") in line or name.replace("_", " ") in line
    assert list(tmp_path.iterdir()) == []


def test_every_option_has_been_mistyped():
    flags = {name for name in Options.table() if isinstance(getattr(Options, name), bool)}
    assert {name for name, _, _ in MISTYPED} == {"study", *Options.table()} - flags


@pytest.mark.parametrize("word", ["--quick=yes", "--mirror=1", "--compare-splits=no", "--epocks=3,2"])
def test_a_mistyped_flag_or_name_is_one_line_too(word, capsys):
    with pytest.raises(SystemExit) as done:
        main(["run", word])
    assert done.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert word.partition("=")[0] in line
    assert "casestudy run --help" in line or "Did you mean '--epochs'?" in line


def test_options_change_what_they_name():
    """A seed of 0 is a seed; another network has none of this one's options; the last phase is the one to tune."""
    study = STUDIES["emnist"]
    assert study.seed
    assert Options("emnist", seed=0).wishes().seed == 0
    assert Options("emnist").wishes().seed == study.seed
    fashion = STUDIES["fashion-mnist"].model
    assert fashion.options
    assert Options("fashion-mnist", model="small_cnn").wishes().study.model.options == {}
    assert Options("fashion-mnist", model=fashion.name).wishes().study.model.options == fashion.options
    asl = Options("asl", fine_tune="top:7").wishes().study
    assert [phase.trainable for phase in asl.phases] == ["head", "top:7"]
    assert Options.parse({"study": "asl", "image_size": "96x128"}).image_size == (96, 128)
    assert Options.parse({"study": "asl", "image_size": "96"}).image_size == (96, 96)
