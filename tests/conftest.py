"""What the tests share: a small drawn data set, a letters.zip written by hand, and one finished run."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LABELS = ("A", "B", "C")
LEDGER_COLUMNS = (
    *("entry", "status", "stored_as", "signer", "label", "part", "format", "width", "height", "bytes", "sha256"),
    *("mended_as", "mended_sha256", "reason", "duplicate_of", "near_duplicate_of", "note"),
)
BOX_COLUMNS = ("image", "top_left_x", "top_left_y", "bottom_right_x", "bottom_right_y")
# Files that train networks, execute notebooks or start a browser, the longest first: most of the time of all tests.
SLOW = (
    *("test_notebooks", "test_pretrain", "test_options", "test_training", "test_verification", "test_studies"),
    *(
        "test_pipeline",
        "test_cli",
        "test_architectures",
        "test_models",
        "test_runs",
        "test_tuning",
        "test_scaffold",
        "test_budget",
    ),
    *("test_reading", "test_report_browser", "test_demo", "test_marking_browser", "test_site"),
    *("test_cluster", "test_cluster_runs", "test_cluster_work", "test_seeds", "test_devices"),
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of slow files, begins with them, and keeps those of a file, which share fixtures, together."""
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: (*SLOW, item.path.stem).index(item.path.stem))


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder with real archives; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("CASESTUDY_REALDATA")
    if not folder:
        pytest.skip("CASESTUDY_REALDATA names no folder")
    return Path(folder)


def _draw(label: str, signer: int, number: int, size: int = 32) -> np.ndarray:
    """Returns uint8 (size, size, 3): a bar whose place is the label's and whose colours are the signer's."""
    chance = np.random.default_rng([ord(label[0]), signer, number])
    background, ink = (np.random.default_rng(signer).integers(0, 256, (2, 3))).astype(float)
    if np.abs(background - ink).sum() < 200:
        ink = 255 - background
    picture = np.full((size, size, 3), background)
    bar = slice(size // 3 + chance.integers(-2, 3), 2 * size // 3)
    if label == "A":
        picture[bar] = ink
    elif label == "B":
        picture[:, bar] = ink
    else:
        picture[bar, bar] = ink
    return (picture + chance.normal(0, 8, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw() -> Callable[..., np.ndarray]:
    """Draws the photograph of (label, signer number, take)."""
    return _draw


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Encodes an array or picture; PNG, so that pixels come back as they were, unless asked otherwise."""

    def encoded(picture: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encoded


@pytest.fixture(scope="session")
def make_images() -> Callable[..., object]:
    """Makes an `ImageSet` in memory: `takes` photographs of each label by each signer, no duplicates."""
    from casestudy.data import ImageSet

    def made(signers: int = 4, takes: int = 4, labels: tuple[str, ...] = LABELS, size: int = 32) -> ImageSet:
        facts = [(label, s, k) for s in range(1, signers + 1) for label in labels for k in range(takes)]
        return ImageSet(
            images=np.stack([_draw(*fact, size=size) for fact in facts]),
            labels=np.array([labels.index(label) for label, _, _ in facts], dtype=np.int64),
            class_names=labels,
            signers=np.array([f"user_{s}" for _, s, _ in facts]),
            names=np.array([f"{label}/user_{s}__{label}{k}.png" for label, s, k in facts]),
            groups=np.arange(len(facts), dtype=np.int64),
            cropped=False,
            digest="drawn",
        )

    return made


@pytest.fixture(scope="session")
def write_letters() -> Callable[..., Path]:
    """Writes a letters.zip by hand, in the columns that the cleaning step promises."""

    def written(path: Path, photos: list[dict], boxes: dict[str, tuple] | None = None) -> Path:
        """Each photo needs `entry`, `stored_as`, `data`; the other columns have the values of a kept photograph."""
        rows = []
        with zipfile.ZipFile(path, "w") as archive:
            for photo in photos:
                data = photo["data"]
                archive.writestr(photo["stored_as"], data)
                facts = {"status": "kept", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                rows.append({**facts, **{key: value for key, value in photo.items() if key != "data"}})
            archive.writestr("ledger.csv", _table(LEDGER_COLUMNS, rows))
            if boxes is not None:
                named = [dict(zip(BOX_COLUMNS, (image, *box), strict=True)) for image, box in boxes.items()]
                archive.writestr("boxes.csv", _table(BOX_COLUMNS, named))
        return path

    return written


def _table(columns: tuple[str, ...] | list[str], rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture(scope="session")
def letters_zip(tmp_path_factory, encode, write_letters) -> Path:
    """45 photographs of 3 labels by 5 signers; three of them copies of one, and a row of every other status.

    user_2/B0.png has the bytes of user_1/B0.png, and user_3/B0.png is a near duplicate of that copy: a chain through
    three signers.
    """
    photos = []
    for signer in range(1, 6):
        for label in LABELS:
            for take in range(3):
                name = f"user_{signer}/{label}{take}.png"
                copied = label == "B" and take == 0 and signer in (2, 3)
                picture = _draw("B", 1, 0) if copied else _draw(label, signer, take)
                if copied and signer == 3:
                    picture[0, 0] ^= 1
                photos.append(
                    {
                        "entry": name,
                        "stored_as": f"{label}/user_{signer}__{label}{take}.png",
                        "signer": f"user_{signer}",
                        "label": label,
                        "status": "duplicate" if copied and signer == 2 else "kept",
                        "duplicate_of": "user_1/B0.png" if copied and signer == 2 else "",
                        "near_duplicate_of": "user_2/B0.png" if copied and signer == 3 else "",
                        "data": encode(picture),
                    }
                )
    for status, folder, facts in (
        ("corrupt", "_quarantine", {"signer": "user_4", "label": "A", "reason": "truncated: ends in the first scan"}),
        ("sidecar", "_sidecar", {"note": "nothing to see"}),
        ("unrecognised", "_unrecognised", {"signer": "user_5"}),
    ):
        name = f"user_9/{status}.png"
        photos.append({"entry": name, "stored_as": f"{folder}/{name}", "status": status, "data": b"?" * 9, **facts})
    boxes = {photo["stored_as"]: (4, 4, 28, 28) for photo in photos if photo["status"] in ("kept", "duplicate")}
    return write_letters(tmp_path_factory.mktemp("data") / "letters.zip", photos, boxes)


@pytest.fixture(scope="session")
def small_study():
    """Two phases of a small network on 32 px, from random weights: what the pipeline's tests run."""
    from casestudy.study import ModelSpec, Phase, SplitSpec, Study

    return Study(
        name="small",
        title="Small <case> study",
        source="the tests",
        model=ModelSpec("small_cnn", image_size=(32, 32), weights=None, dropout=0.2),
        phases=(
            Phase("head", "head", epochs=2, learning_rate=1e-2),
            Phase("fine-tune", "all", epochs=1, learning_rate=1e-3),
        ),
        split=SplitSpec("signer", validation=0.2, test=0.4),
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, letters_zip, small_study):
    """One finished run; to change something in it, take `run_copy`."""
    from casestudy.report import write_report
    from casestudy.runs import Wishes, run_study

    run = run_study(Wishes(small_study, seed=3), letters_zip, tmp_path_factory.mktemp("runs") / "first")
    write_report(run)
    return run


@pytest.fixture(scope="session")
def fabricate_run(small_study) -> Callable[..., object]:
    """Writes a sealed run folder whose predictions are drawn by chance: no training, no TensorFlow."""
    import pandas as pd

    from casestudy.evaluation import prediction_table
    from casestudy.files import file_digest
    from casestudy.report import write_report
    from casestudy.runs import RunFolder, Wishes
    from casestudy.runs.local import Local
    from casestudy.runs.record import ImageFacts, Resolved, RunRecord, Source, TrainingRecord
    from casestudy.runs.results import write_results
    from casestudy.training import Machine

    def made(path: Path, letters: Path, *, seed: int = 3, test: tuple[str, ...] = ("user_4", "user_5")) -> RunFolder:
        run, chance = RunFolder(path, Local(str(letters))), np.random.default_rng(seed)
        with zipfile.ZipFile(letters) as archive:
            rows = list(csv.DictReader(io.StringIO(archive.read("ledger.csv").decode())))
        run.path.mkdir(parents=True)
        (path / "ledger.csv").write_text(_table(list(rows[0]), rows), encoding="utf-8", newline="")
        used = pd.DataFrame([row for row in rows if row["status"] in ("kept", "duplicate")])
        used["name"] = used["stored_as"]
        used["part"] = np.where(used["signer"].isin(test), "test", "train")
        run.write_table("splits.csv", used[["name", "signer", "label", "part"]])
        epochs = [("head", 1, 0.4), ("head", 2, 0.5), ("fine-tune", 1, 0.6)]
        metrics = ("accuracy", "val_accuracy", "loss", "val_loss")
        history = [(phase, epoch, metric, value) for phase, epoch, value in epochs for metric in metrics]
        run.write_table("history.csv", pd.DataFrame(history, columns=["phase", "epoch", "metric", "value"]))
        pace = {"head": 41.0, "fine-tune": 12.0}
        run.write_json("training.json", TrainingRecord(pace, pace, batch_norm_change=0.0, parameters=1234).to_json())
        (path / "model.keras").write_bytes(b"no network")
        names = tuple(sorted(set(used["label"])))
        record = RunRecord(
            Wishes(small_study, seed),
            Source(letters.name, file_digest(letters)),
            started="2026-01-01T00:00:00+00:00",
            resolved=Resolved(
                "random initialisation", None, Machine("CPU", (32, 32), "float32"), environment={"python": "3"}
            ),
            images=ImageFacts("signer", cropped=False, class_names=names),
        )
        run.write_record(record)
        tested = used[used["part"] == "test"]
        images = types.SimpleNamespace(  # what `prediction_table` reads of an ImageSet
            class_names=names,
            truth=lambda tested=tested: {name: tested[name].to_numpy() for name in ("name", "signer", "label")},
            labels=np.array([names.index(label) for label in tested["label"]]),
        )
        for file, skill in (
            ("predictions.csv", 1.5),
            ("predictions_head.csv", 1.0),
            ("predictions_head_random.csv", 3.0),
        ):
            logits = chance.normal(0, 1, (len(tested), len(names)))
            logits[np.arange(len(tested)), images.labels] += skill
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            run.write_table(file, prediction_table(images, np.arange(len(tested)), shares.astype("float32")))
        write_results(run)
        write_report(run)
        run.seal()
        return run

    return made


@pytest.fixture
def run_copy(finished_run, tmp_path):
    """A copy of the finished run that a test may alter."""
    from casestudy.runs import RunFolder

    return RunFolder(Path(shutil.copytree(finished_run.path, tmp_path / "copy")), finished_run.local)


def _residual_base(*, input_shape, weights):
    """Returns a base of three residual blocks, small enough to be trained in every way."""
    from casestudy.models.backend import keras

    layers = keras.layers
    inputs = keras.Input(input_shape)
    x = layers.ZeroPadding2D(1, name="pad")(inputs)
    x = layers.Conv2D(8, 3, strides=2, name="stem")(x)
    for block in range(3):
        y = layers.BatchNormalization(name=f"norm{block}")(x)
        y = layers.ReLU(name=f"relu{block}")(y)
        y = layers.Conv2D(8, 3, padding="same", name=f"conv{block}")(y)
        x = layers.Add(name=f"add{block}")([x, y])
    return keras.Model(inputs, layers.ReLU(name="last")(x), name="base")


@pytest.fixture(scope="module")
def residual():
    """The name of a small residual network that the registry of models knows while a module of tests runs."""
    from casestudy.choices import ARCHITECTURES
    from casestudy.models.architectures import MODELS

    ARCHITECTURES["residual"], MODELS["residual"] = (), _residual_base
    yield "residual"
    del ARCHITECTURES["residual"], MODELS["residual"]
