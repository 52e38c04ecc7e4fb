"""The ways that benchmark.py compares: each runs in a fresh process of its own and prints one line of JSON.

    python SCRIPTS/benchmark_ways.py WAY '{"argument": "value"}'

"ours" is what the project does; the others are what someone without it would write, short and plain. Nothing but the
standard library is imported above the functions: a way must not pay for, or profit from, what another one needs.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "DATA" / "sample" / "asl_sample.rar"
SEED = 7
BATCH = 32
AUGMENTATION = {"rotation": 0.06, "zoom": 0.2, "shift": 0.12, "brightness": 0.25, "contrast": 0.3}  # as studies.ASL


class LeftOut(Exception):
    """This machine lacks what the way needs; the message says what, and how to get it."""


class _Clock:
    """Wall-clock seconds, and both kinds of seconds of each epoch that is marked.

    Processor seconds (of all threads) hardly change when others use the machine too; wall-clock seconds do.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._marks: list[tuple[float, float]] = []

    def mark(self) -> None:
        """Notes the end of an epoch."""
        self._marks.append((time.perf_counter(), time.process_time()))

    def stop(self) -> dict[str, float | list[float] | None]:
        """Returns the seconds since the start, of the epochs after the first (which also compiles), and the memory."""
        seconds = time.perf_counter() - self._start
        walls, cpus = ([b[k] - a[k] for a, b in itertools.pairwise(self._marks)] for k in (0, 1))
        return {"seconds": seconds, "epoch_seconds": walls, "epoch_cpu_seconds": cpus, "peak_mb": peak_memory()}


def peak_memory() -> float | None:
    """Returns the most memory this process and the largest program it started have held, in MB; None on Windows."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts what the parent held before exec into getrusage's figure, but not into this one
        own = next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    else:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return own + children


# Cleaning and screening


def draw_photographs(folder: str, count: int) -> dict:
    """Writes `count` JPEGs of 320×240 and about 19 KB, varied from the sample's, as user_N/A0.jpg."""
    import numpy as np
    from PIL import Image

    from casestudy.cleaning.archive import iter_members
    from casestudy.cleaning.screening import screen_image

    members = [member.data for member in iter_members(SAMPLE)]
    photos = [Image.open(io.BytesIO(data)).convert("RGB") for data in members if screen_image(data) is None]
    rng = np.random.default_rng(SEED)
    for k in range(count):
        left, top, side = rng.integers(0, 30), rng.integers(0, 30), rng.integers(80, 98)
        photo = photos[k * 7 % len(photos)].resize((320, 240), box=(left, top, left + side, top + side))
        noise = rng.normal(0, 11, (240, 320, 1))  # grain, which is what a real photograph spends its bytes on
        pixels = np.clip(np.asarray(photo, np.float32) + noise, 0, 255).astype(np.uint8)
        target = Path(folder, f"user_{k // 250 + 1}", f"{chr(65 + k % 25)}{k % 250 // 25}.jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target, quality=75)
    return {"bytes": sum(path.stat().st_size for path in Path(folder).rglob("*.jpg"))}


def clean_ours(archive: str, work: str) -> dict:
    """The project's cleaning: one streaming pass, strict screening in threads, ledger, zip, read-back check."""
    clock = _Clock()
    from casestudy import clean_archive

    ledger = clean_archive(archive, Path(work, "letters.zip"), progress=False)
    measured = clock.stop()
    return {**measured, "kept": _digest(row.sha256 for row in ledger.labelled()), "count": len(ledger.labelled())}


def clean_rarfile(archive: str, work: str) -> dict:
    """Member by member with rarfile, `verify` and `load` of Pillow, a folder a letter."""
    clock = _Clock()
    import rarfile

    kept = []
    try:
        with rarfile.RarFile(archive) as opened:
            for entry in opened.infolist():
                if not entry.is_dir():
                    _keep_if_sound(entry.filename, opened.read(entry), work, kept)
    except rarfile.RarCannotExec as error:
        raise LeftOut(f"rarfile needs a program that unpacks RAR ({error}); on Debian: unrar from non-free") from None
    return {**clock.stop(), "kept": _digest(kept), "count": len(kept)}


def clean_unrar(archive: str, work: str, program: str) -> dict:
    """All at once with unrar to a folder, then the same; what someone does who knows of solid archives."""
    import subprocess

    clock = _Clock()
    kept = []
    subprocess.run([program, "x", "-inul", "-o+", archive, f"{work}/tree/"], check=True)
    for path in sorted(Path(work, "tree").rglob("*")):
        if path.is_file():
            _keep_if_sound(path.relative_to(work).as_posix(), path.read_bytes(), work, kept)
    return {**clock.stop(), "kept": _digest(kept), "count": len(kept)}


def _keep_if_sound(name: str, data: bytes, work: str, kept: list[str]) -> None:
    from PIL import Image

    try:
        Image.open(io.BytesIO(data)).verify()
        Image.open(io.BytesIO(data)).load()
    except Exception:
        return
    user, file = name.split("/")[-2:]
    folder = Path(work, "letters", file[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{user}_{file}").write_bytes(data)
    kept.append(hashlib.sha256(data).hexdigest())


def _digest(hashes) -> str:
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def damage(folder: str, every: int) -> dict:
    """Damages every so-many-th JPEG of a folder, by turns in four ways, and returns how many."""
    paths = sorted(Path(folder).rglob("*.jpg"))[::every]
    for k, path in enumerate(paths):
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        if k % 4 == 0:
            del data[middle:]  # cut short
        elif k % 4 == 1:
            data[middle : middle + 64] = b"\xff\x00" * 32  # a block of rubbish
        elif k % 4 == 2:
            data[middle : middle + 512] = bytes(512)  # a zeroed disk sector
        else:
            data[middle:middle] = b"\xff\xd9"  # an end marker too early
        path.write_bytes(data)
    return {"damaged": len(paths)}


def screen_ours(folder: str) -> dict:
    """`casestudy clean FOLDER --dry-run`: strict decoding, SHA-256, exact and near duplicates."""
    clock = _Clock()
    from casestudy import clean_archive

    ledger = clean_archive(folder, None, progress=False)
    return {**clock.stop(), "found": ledger.counts()["corrupt"]}


def screen_pillow(folder: str, method: str) -> dict:
    """`load` or `verify` of Pillow on each file."""
    clock = _Clock()
    from PIL import Image

    found = 0
    for path in sorted(Path(folder).rglob("*.jpg")):
        try:
            with Image.open(path) as image:
                getattr(image, method)()
        except Exception:
            found += 1
    return {**clock.stop(), "found": found}


def screen_cleanvision(folder: str, issues: list[str]) -> dict:
    """cleanvision, with the checks named, or all of its defaults where none is."""
    clock = _Clock()
    try:
        from cleanvision import Imagelab
    except ModuleNotFoundError:
        raise LeftOut(
            "cleanvision is not installed; put it in an environment of its own "
            "(python -m venv cv; cv/bin/pip install cleanvision) and pass --cleanvision-python cv/bin/python"
        ) from None
    lab = Imagelab(data_path=folder, verbose=False)
    lab.find_issues({issue: {} for issue in issues} or None, verbose=False)
    return {**clock.stop(), "found": None}  # it has no check for damage


# Training


def prepare_training(work: str, size: int, images: int) -> dict:
    """Cleans the sample and writes pixels, labels, a random split and the weights that all start from."""
    import numpy as np

    from casestudy import Splits, SplitSpec, clean_archive, load_images, split_images
    from casestudy.training import train

    clean_archive(SAMPLE, Path(work, "letters.zip"), progress=False)
    data = load_images(Path(work, "letters.zip"), image_size=(size, size), cache_dir=work)
    splits = split_images(data, SplitSpec("random", validation=0.15, test=0.25), seed=SEED)
    chosen = np.sort(np.random.default_rng(SEED).permutation(splits.train)[:images])
    held_out = np.sort(np.random.default_rng(SEED).permutation(splits.validation)[: max(images // 4, 8)])
    splits = Splits(data, "random", chosen, held_out, splits.test, splits.left_out)
    for augment in (False, True):
        start = train(_spec(augment), splits, phases=(), weights=None, seed=SEED).model
        np.savez(Path(work, _initial(augment)), *start.get_weights())
    pixels = {"x": data.images[chosen], "vx": data.images[held_out]}
    labels = {"y": data.labels[chosen], "vy": data.labels[held_out]}
    parts = {"train": chosen, "validation": held_out, "classes": len(data.class_names)}
    np.savez(Path(work, "data.npz"), **pixels, **labels, **parts)
    return {"train": len(chosen), "validation": len(held_out)}


def _spec(augment: bool):
    """ResNet50V2 without dropout, so that both ways take the same steps."""
    from casestudy import ModelSpec

    return ModelSpec("resnet50v2", weights=None, dropout=0.0, augmentation=AUGMENTATION if augment else {})


def _initial(augment: bool) -> str:
    return f"initial-{'augmented' if augment else 'plain'}.npz"


def train_ours(
    work: str, trainable: str, epochs: int, rate: float, augment: bool, cache: bool, views: int, out: str
) -> dict:
    """The project's `train`, by its own clock of the phase: features, compiling, checkpoints included."""
    import numpy as np

    from casestudy import Phase, Splits, load_images
    from casestudy.training import train

    with np.load(Path(work, "data.npz")) as data:
        chosen, held_out, size = data["train"], data["validation"], data["x"].shape[1:3]
    images = load_images(Path(work, "letters.zip"), image_size=size, cache_dir=work)
    splits = Splits(images, "random", chosen, held_out, test=chosen[:0], left_out=chosen[:0])
    phase = Phase("phase", trainable, epochs, rate, batch_size=BATCH, views=views)
    clock = _Clock()
    logging.getLogger("casestudy.training.phases").addHandler(_EpochMarks(clock))
    logging.getLogger("casestudy.training.phases").setLevel(logging.INFO)
    # The same seed, images and dropout as in `prepare_training` give the same initial weights.
    run = train(_spec(augment), splits, phases=(phase,), weights=None, seed=SEED, cache=cache)
    measured = {**clock.stop(), "seconds": run.seconds["phase"]}
    np.savez(Path(work, out), *run.model.get_weights())
    of = {name: list(rows["value"]) for name, rows in run.history.groupby("metric")}
    return {**measured, **_outcome(of)}


class _EpochMarks(logging.Handler):
    """Marks an epoch when the library reports one."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        if "epoch" in record.getMessage():
            self._clock.mark()


def train_plain(work: str, trainable: str, epochs: int, rate: float, augment: bool, jit: bool | str, out: str) -> dict:
    """Keras' transfer-learning guide as written: tf.data, `compile`, `fit`, nothing set that the guide does not set.

    What equal results need is added: the same initial weights and order of images, BatchNormalization frozen, no
    dropout, and the weights of the best epoch brought back, all in Keras' own words.
    """
    import numpy as np

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    with np.load(Path(work, "data.npz")) as data:
        x, y, vx, vy = (tf.constant(data[name]) for name in ("x", "y", "vx", "vy"))
        classes = int(data["classes"])
    base = keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=x.shape[1:])
    inputs = keras.Input(x.shape[1:])
    features = base(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs), training=False)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    outputs = keras.layers.Dense(classes, activation="softmax")(pooled)
    model = keras.Model(inputs, outputs)
    with np.load(Path(work, _initial(augment))) as initial:
        model.set_weights([initial[name] for name in initial.files])
    base.trainable = trainable != "head"
    frozen = len(base.layers) - int(trainable.partition(":")[2] or len(base.layers))
    for k, layer in enumerate(base.layers):
        layer.trainable = base.trainable and k >= frozen and not isinstance(layer, keras.layers.BatchNormalization)

    varied = keras.Sequential(_augmentation_layers(keras.layers) if augment else [])
    orders = [np.random.default_rng((SEED, 0, epoch)).permutation(len(y)) for epoch in range(epochs)]

    def one_epoch(order: tf.Tensor) -> tf.data.Dataset:
        one = tf.data.Dataset.from_tensor_slices(order)
        one = one.map(lambda k: (tf.cast(x[k], tf.float32), y[k]), num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
        return one.map(lambda a, b: (varied(a, training=True), b), tf.data.AUTOTUNE) if augment else one

    training = tf.data.Dataset.from_tensor_slices(np.stack(orders)).flat_map(one_epoch).prefetch(tf.data.AUTOTUNE)
    validation = tf.data.Dataset.from_tensor_slices((vx, vy)).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    best = keras.callbacks.EarlyStopping("val_loss", patience=epochs, restore_best_weights=True)
    clock = _Clock()
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: clock.mark())
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], jit_compile=jit)
    history = model.fit(
        training,
        validation_data=validation,
        epochs=epochs,
        steps_per_epoch=-(-len(y) // BATCH),
        callbacks=[best, watch],
        verbose=0,
    ).history
    measured = clock.stop()
    np.savez(Path(work, out), *model.get_weights())
    return {**measured, **_outcome(history)}


def _augmentation_layers(layers) -> list:
    turn, zoom, shift = (AUGMENTATION[name] for name in ("rotation", "zoom", "shift"))
    return [
        layers.RandomRotation(turn, fill_mode="nearest"),
        layers.RandomZoom((-zoom, zoom), fill_mode="nearest"),
        layers.RandomTranslation(shift, shift, fill_mode="nearest"),
        layers.RandomBrightness(AUGMENTATION["brightness"], value_range=(0, 255)),
        layers.RandomContrast(AUGMENTATION["contrast"], value_range=(0, 255)),
    ]


def _outcome(history: dict[str, list[float]]) -> dict:
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    return {
        "loss": history["loss"],
        "val_loss": history["val_loss"],
        "val_accuracy": history["val_accuracy"][best],
    }


def largest_difference(work: str, one: str, other: str, start: str) -> dict:
    """Returns the largest |ΔW| between two sets of weights, and the largest change that training made."""
    import numpy as np

    a, b, c = (list(np.load(Path(work, name)).values()) for name in (one, other, start))

    def largest(these: list, those: list) -> float:
        return max(float(np.abs(p - q).max()) for p, q in zip(these, those, strict=True))

    return {"difference": largest(a, b), "change": largest(a, c)}


WAYS = {
    way.__name__: way
    for way in (
        draw_photographs, damage, clean_ours, clean_rarfile, clean_unrar, screen_ours, screen_pillow,
        screen_cleanvision, prepare_training, train_ours, train_plain, largest_difference,
    )
}  # fmt: skip


if __name__ == "__main__":
    try:
        answer = WAYS[sys.argv[1]](**json.loads(sys.argv[2]))
    except LeftOut as reason:
        answer = {"left_out": str(reason)}
    print("\n" + json.dumps(answer))
