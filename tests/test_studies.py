"""Each study is configuration: it survives JSON, reads what it says it reads, and runs through the one pipeline."""

import ast
import dataclasses
import io
import json
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casestudy.cli.commands import build_parser
from casestudy.data.drawn import TEST, TRAIN, stand_in
from casestudy.data.splits import split_images
from casestudy.errors import DataError
from casestudy.report import write_report
from casestudy.runs import Options, RunFolder, Wishes, run_study, verify_run
from casestudy.runs.options import options_of
from casestudy.runs.record import Resolved, RunRecord, Source
from casestudy.runs.steps import clean_run, prepare_run
from casestudy.studies import STUDIES
from casestudy.study import DataSpec, ModelSpec, Phase, SplitSpec, Study, Variant
from casestudy.training import Machine

PACKAGE = Path(__file__).resolve().parents[1] / "casestudy"
WITH_DATA = [study for study in STUDIES.values() if study.data != DataSpec()]


def by_name(studies):
    return pytest.mark.parametrize("study", studies, ids=lambda study: study.name)


@by_name(STUDIES.values())
def test_a_study_survives_json(study):
    again = Study.from_json(json.loads(json.dumps(study.to_json())))
    assert again == study


@by_name(STUDIES.values())
def test_a_study_says_where_it_comes_from(study):
    assert study.source
    assert study.title
    names = [variant.name for variant in study.variants]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)
    assert study.data == DataSpec() or study.data.home.startswith("https://")


def test_no_module_asks_for_a_study_by_name():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                texts = {part.value for part in [node.left, *node.comparators] if isinstance(part, ast.Constant)}
                assert not texts & set(STUDIES), (path.stem, node.lineno)


def at_28_pixels(study):
    return dataclasses.replace(study, model=dataclasses.replace(study.model, image_size=(28, 28)))


@by_name(WITH_DATA)
def test_a_stand_in_has_the_format_of_the_data(study, tmp_path):
    where = stand_in(study, tmp_path / "drawn")
    run = RunFolder.begin(tmp_path / "run", Wishes(study, 1), where)
    if study.data.kind == "archive":
        clean_run(run)
    images = run.study_images(at_28_pixels(study))
    names = study.data.class_names
    assert images.class_names == names
    assert images.images.shape == (
        (TRAIN + TEST) * len(names),
        28,
        28,
        1 if study.data.kind == "idx" else study.data.channels,
    )
    assert images.images.max() > 200
    assert np.bincount(images.labels[images.parts == "test"]).tolist() == [TEST] * len(names)
    first = where.read_bytes() if where.is_file() else (where / next(where.iterdir()).name).read_bytes()
    again = stand_in(study, tmp_path / "once more")
    assert first == (again.read_bytes() if again.is_file() else (again / next(where.iterdir()).name).read_bytes())


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A study of five drawn characters with two variants, a distorted test set, and copies of it in training."""
    folder = tmp_path_factory.mktemp("compared")
    small = ModelSpec("small_cnn", image_size=(28, 28), weights=None, dropout=0.1)
    phase = Phase("train", "everything", epochs=2, learning_rate=1e-2)
    study = Study(
        name="characters",
        title="Five characters",
        source="the tests",
        model=small,
        phases=(phase,),
        split=SplitSpec("published", validation=0.2),
        data=DataSpec(kind="idx", class_names=tuple("LOTXZ"), transposed=True),
        variants=(
            Variant("dense", ModelSpec("dense", weights=None, options={"size": [28, 28], "units": [8]}), (phase,), 0.5),
            Variant("dropout", dataclasses.replace(small, dropout=0.5), (phase,), note="more of it"),
        ),
        distortion={"rotation": 0.05, "shift": 0.1, "zoom": 0.2, "seed": 3},
        ladder=True,
    )
    data = stand_in(study, folder / "data")
    # Two images of the training part come back in the test part.
    train, test = (data / f"{part}-images-idx3-ubyte.gz" for part in ("train", "test"))
    import gzip

    taken, given = gzip.decompress(train.read_bytes()), bytearray(gzip.decompress(test.read_bytes()))
    given[16 : 16 + 2 * 784] = taken[16 : 16 + 2 * 784]
    test.write_bytes(gzip.compress(bytes(given), mtime=0))
    run = run_study(Wishes(study, 2), data, folder / "run")
    write_report(run)
    return run, study, data


def test_every_model_is_tested_on_the_published_part(compared):
    run, _, _ = compared
    assert run.finished
    assert not run.has("ledger.csv")
    splits = run.read_table("splits.csv")
    tested = set(splits[splits["part"] == "test"]["name"])
    assert len(tested) == 5 * TEST
    for name in ("predictions.csv", "predictions_dense.csv", "predictions_dropout_distorted.csv"):
        assert set(run.read_table(name)["name"]) == tested
    names = run.read_table("scores.csv")["name"].tolist()
    plain = ["headline", "dense", "dropout"]
    assert names == [*plain, *(f"{name}-distorted" for name in plain), *(f"{name}-unique" for name in names[:6])]


def test_copies_in_training_are_named_and_left_out_of_a_second_score(compared):
    copies = compared[0].read_table("copies.csv")
    assert copies["name"].tolist() == ["test/00000", "test/00001"]
    assert copies["copy"].tolist() == ["train/00000", "train/00001"]
    assert len(compared[0].read_table("predictions_unique.csv")) == 5 * TEST - 2
    page = (compared[0].path / "report.html").read_text(encoding="utf-8")
    assert all(f'<p>{row.name}<span class="soft"> – {row.copy}</span></p>' in page for row in copies.itertuples(False))


def test_the_models_are_compared(compared):
    run, _, _ = compared
    table = run.read_table("comparison.csv")
    assert table["name"].tolist() == ["dense", "dropout", "ours"]
    assert (table["images"] == 5 * TEST).all()
    for name, parameters in zip(table["name"], table["parameters"], strict=True):
        home = "" if name == "ours" else f"variants/{name}/"
        assert run.read_json(f"{home}training.json")["parameters"] == parameters
    own = run.read_table("predictions.csv")
    assert table["accuracy"].iloc[-1] == (own["label"] == own["predicted"]).mean()
    histories = run.histories()
    assert list(histories) == ["dense", "dropout", "ours"]
    assert histories["dense"].equals(run.read_table("variants/dense/history.csv"))
    assert run.has("paired_tests.csv")
    assert run.has("ladder.csv")
    grouped = run.read_table("distorted.csv")
    assert grouped["model"].tolist() == ["dense"] * 2 + ["small_cnn"] * 4
    assert grouped["tested"].tolist() == ["clean", "distorted"] * 3
    assert (
        grouped["accuracy"].tolist()[-1]
        == run.read_table("scores.csv").set_index("name")["accuracy"]["headline-distorted"]
    )
    for plot in ("models", "pareto", "ladder", "distorted"):
        assert run.has(f"plots/{plot}.png")
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Models compared" in page
    assert "more of it" in page
    assert "50.0 %" in page  # what the source published
    assert "2 test images have a copy in training" in page
    assert "did not stay frozen" not in page  # nobody froze it: the network began with random numbers


def test_it_verifies_and_a_forged_comparison_does_not(compared, tmp_path):
    import shutil

    run = compared[0]
    assert [what for what, holds, _ in verify_run(run) if holds is False] == []
    forged = RunFolder(Path(shutil.copytree(run.path, tmp_path / "forged")))
    table = forged.read_table("comparison.csv")
    forged.write_table("comparison.csv", table.assign(accuracy=0.99))
    assert any("comparison.csv follows" in what for what, holds, _ in verify_run(forged) if not holds)


def test_a_second_run_agrees_bit_for_bit(compared, tmp_path):
    run, study, data = compared
    again = run_study(Wishes(study, 2), data, tmp_path / "again")
    for name in ("predictions.csv", "predictions_dense.csv", "variants/dropout/history.csv", "copies.csv"):
        assert (again.path / name).read_bytes() == (run.path / name).read_bytes(), name
    assert again.facts.distorted_sha256 == run.facts.distorted_sha256
    assert run.facts.distorted_sha256


def asked(*words):
    """Returns what this call of `casestudy` asks for."""
    return Options.parse(vars(build_parser().parse_args(["run", *words]))).wishes()


def test_variants_can_be_chosen():
    study = STUDIES["fashion-mnist"]
    chosen = asked("fashion-mnist", "--variants", "model-3,model-1").study.variants
    assert [variant.name for variant in chosen] == ["model-1", "model-3"]
    assert asked("fashion-mnist", "--variants", "none").study.variants == ()
    assert asked("fashion-mnist").study.variants == study.variants
    with pytest.raises(DataError, match=r"names of asl's \(it has none\); received 'x'"):
        asked("asl", "--variants", "x")


def test_quick_makes_every_training_short():
    quick = STUDIES["emnist"].quick()
    assert quick.model.image_size == (28, 28)
    assert [phase.epochs for phase in quick.phases] == [2]
    assert {phase.epochs for variant in quick.variants for phase in variant.phases} == {1}


def test_data_that_a_study_lacks_are_asked_for(capsys):
    from casestudy.cli import main

    assert main(["run", "licence-plates", "--out", "/nowhere/at/all"]) == 2
    line = capsys.readouterr().err
    assert "licence-plates needs its own data" in line
    assert "--quick" in line


def test_the_published_split_of_a_study_holds_its_shares(tmp_path):
    study = STUDIES["fashion-mnist"]
    where = stand_in(study, tmp_path)
    run = RunFolder.begin(tmp_path / "run", Wishes(study, 1), where)
    split = split_images(run.study_images(at_28_pixels(study)), study.split, seed=1)
    assert len(split.validation) == round(0.1 * TRAIN * 10)


@pytest.mark.realdata
def test_copies_of_the_licence_plates_are_found(realdata, tmp_path):
    """The data's README says that 44 of its 216 validation images are byte-exact copies of training images."""
    from casestudy.data.copies import copies_across_parts

    study = STUDIES["licence-plates"]
    run = RunFolder.begin(tmp_path / "run", Wishes(study, 1), realdata / "licence-plates.zip")
    clean_run(run)
    images = run.study_images(at_28_pixels(study))
    assert images.images.shape == (1080, 28, 28, 1)
    copies = copies_across_parts(split_images(images, study.split, seed=1))
    assert (copies["kind"] == "exact").sum() == 44


@pytest.mark.parametrize("words", ["", "--fraction 0.1 --epochs 3,2", "--learning-rate 1e-2,1e-3 --variants none"])
@by_name(STUDIES.values())
def test_the_command_of_a_report_makes_the_same_study(study, words, tmp_path):
    words = words if len(study.phases) == 2 else words.replace(",2", "").replace(",1e-3", "")
    wishes = asked(study.name, *words.split())
    study = wishes.study
    machine = Machine("CPU", study.model.image_size or (64, 64), "float32")
    resolved = Resolved("random initialisation", None, machine, environment={})
    run = RunFolder(tmp_path)
    run.write_record(RunRecord(wishes, Source("data.zip", ""), "2026-01-01T00:00:00+00:00", resolved))
    program, command, *words = shlex.split(Options.again(run))
    assert (program, command) == ("casestudy", "run")
    again = asked(*words).study
    for name in ("phases", "split", "variants", "data", "crop", "distortion"):
        assert getattr(again, name) == getattr(study, name), name
    assert again.model.options == study.model.options


def test_studies_are_as_their_sources_say():
    """By hand, from the document and from the pages of the data."""
    asl, plates = STUDIES["asl"], STUDIES["licence-plates"]
    phases = [(phase.trainable, phase.learning_rate) for phase in asl.phases]
    assert phases == [("head", 1e-3), ("all", 5e-4)]
    assert (asl.model.name, asl.split.protocol, asl.model.augmentation.get("mirror")) == ("resnet50v2", "signer", None)
    assert {STUDIES[name].split.protocol for name in ("emnist", "fashion-mnist", "licence-plates")} == {"published"}
    assert (plates.data.pattern, plates.data.channels) == (None, 1)
    assert (STUDIES["emnist"].data.subset, STUDIES["emnist"].data.transposed) == ("emnist-balanced", True)


@pytest.mark.parametrize(("asked", "enlarged"), [((64, 64), [96, 96]), ((75, 150), [112, 224]), (None, [224, 224])])
def test_smaller_images_are_enlarged_in_proportion(asked, enlarged):
    options = Options("asl-original", image_size=asked)
    wishes = options.wishes()
    assert wishes.study.model.options == {"enlarge": enlarged}
    assert options_of(wishes, None) == dataclasses.replace(options, seed=42)
    assert Options("asl-original", quick=True).wishes().study.model.options == {"enlarge": [72, 72]}


def parts_of_clothes(tmp_path):
    """Drawn photographs in the three parts that the clothes come in; each part has another mixture."""
    counts = {"train": {"hat": 6, "shoes": 2}, "validation": {"hat": 2, "shoes": 1}, "test": {"hat": 1, "shoes": 4}}
    chance = np.random.default_rng(4)
    with zipfile.ZipFile(tmp_path / "clothing.zip", "w") as archive:
        archive.writestr("clothing-119/README.md", "ten kinds of clothes")
        for part, labels in counts.items():
            for label, k in ((label, k) for label, count in labels.items() for k in range(count)):
                buffer = io.BytesIO()
                Image.fromarray(chance.integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(buffer, "JPEG")
                archive.writestr(f"clothing-119/{part}/{label}/{part}-{k}.jpg", buffer.getvalue())
    return tmp_path / "clothing.zip", counts


def test_the_clothes_keep_their_three_parts(tmp_path):
    source, counts = parts_of_clothes(tmp_path)
    run = RunFolder.begin(tmp_path / "run", Wishes(STUDIES["clothes"].quick(), 111), source)
    _, images, (split,) = prepare_run(run)
    assert images.signers is None
    for part, labels in counts.items():
        names = images.names[getattr(split, part)]
        assert all(part in name for name in names), names
        found = np.bincount(images.labels[getattr(split, part)], minlength=2).tolist()
        assert dict(zip(images.class_names, found, strict=True)) == labels
    assert not len(split.left_out)
