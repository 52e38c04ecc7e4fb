"""Measures two things that articles 2 and 6 are about, on photographs of real people, into ARTICLES/articles.json.

    python -m SCRIPTS.articles.measurements --data asl-signers.rar --mobilenet mobilenet_v2_0.35_224_no_top.weights.h5

Both take MobileNetV2-0.35 with ImageNet's weights at 96 pixels, hands cut out by their boxes. No base is trained:
*statistics* moves nothing but what BatchNormalization remembers, *seeds* trains heads on cached features.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from casestudy.cleaning import CommandParser
from casestudy.cleaning.regroup import clean_archive
from casestudy.data.images import ImageSet, load_images
from casestudy.data.splits import leave_one_signer_out, split_images
from casestudy.runs.record import environment
from casestudy.study import Study
from SCRIPTS.articles.values import note
from SCRIPTS.hands.measure_weights import probe, study_of

SEED = 7
BATCH = 32
MOMENTUM = 0.99  # ResNet50V2's, and Keras' default
LOOKS = (0, 5, 10, 20, 45, 90, 225)  # batches after which to look; 45 are one epoch of six signers, 225 phase 2's five
SEEDS = range(10)


def main() -> None:
    """Measures and writes; what other scripts put into the file stays."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="archive of photographs by signer, with hand boxes")
    parser.add_argument("--mobilenet", type=Path, required=True, help="ImageNet weights of MobileNetV2-0.35, no top")
    parser.add_argument("--only", choices=("statistics", "seeds"), help="one of the two")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    study = study_of("mobilenet_v2_0.35", str(options.mobilenet.resolve()), 96)
    with tempfile.TemporaryDirectory(prefix="articles-") as work:
        letters = Path(work) / "letters.zip"
        clean_archive(options.data, letters)
        images = load_images(letters, image_size=(96, 96), cache_dir=work, crop=study.crop, margin=study.crop_margin)
        for name, measure in (("statistics", statistics), ("seeds", seeds)):
            if options.only in (None, name):
                facts = {"data": options.data.name, "model": study.model.name, **measure(study, images, Path(work))}
                note(name, {**facts, "environment": environment()})


def statistics(study: Study, images: ImageSet, work: Path) -> dict:
    """Returns the accuracy on unseen signers while BatchNormalization's statistics follow the training photographs.

    No weight changes: kernels, gamma, beta and the linear head are those that the walk begins with. At its end a new
    head is trained on the new features, to tell whether they are worse or only others.
    """
    from casestudy.models import build_model, keras, tf
    from casestudy.training.stages import batch_norms

    rows = []
    for split in leave_one_signer_out(images):
        base = build_model(study.model, images, seed=SEED).get_layer("base")
        pool = keras.layers.GlobalAveragePooling2D()

        def features(indices: np.ndarray, base=base, pool=pool) -> np.ndarray:
            run = tf.function(lambda pixels: pool(base(pixels, training=False)))
            return np.concatenate([run(_scaled(tf, images, part)) for part in _batches(indices)])

        before = features(np.arange(len(images)))
        _, strength = probe(before, split) if not rows else (None, rows[0]["alpha"])
        head = _head(before, images, split.train, strength)
        truth = images.labels[split.test]
        for layer in batch_norms(base):
            layer.trainable, layer.momentum = True, MOMENTUM
        learn = tf.function(lambda pixels, base=base: base(pixels, training=True))
        generator, order, scores = np.random.default_rng(SEED), np.empty(0, dtype=np.int64), []
        for step in range(LOOKS[-1] + 1):
            if step in LOOKS:
                after = before[split.test] if not step else features(split.test)
                scores.append(float((head.predict(after) == truth).mean()))
            if len(order) < BATCH:
                order = np.concatenate([order, generator.permutation(split.train)])
            part, order = order[:BATCH], order[BATCH:]
            if step < LOOKS[-1]:
                learn(_scaled(tf, images, part))
        walked = features(np.arange(len(images)))
        new_head = float((_head(walked, images, split.train, strength).predict(walked[split.test]) == truth).mean())
        rows.append({"signer": split.fold, "accuracy": scores, "new_head": new_head, "alpha": strength})
        logging.info("%s %s, with a new head %.3f", split.fold, np.round(scores, 3), new_head)
    return {
        "batch_size": BATCH,
        "momentum": MOMENTUM,
        "batches": list(LOOKS),
        "accuracy": [float(np.mean([row["accuracy"][k] for row in rows])) for k in range(len(LOOKS))],
        "new_head": float(np.mean([row["new_head"] for row in rows])),
        "per_signer": rows,
    }


def _scaled(tf, images: ImageSet, indices: np.ndarray):
    return tf.constant(images.images[indices], tf.float32) / 127.5 - 1.0  # as the model's own first layer does


def _batches(indices: np.ndarray) -> list[np.ndarray]:
    return np.split(indices, range(64, len(indices), 64))


def _head(features: np.ndarray, images: ImageSet, train: np.ndarray, strength: float):
    ridge = make_pipeline(StandardScaler(), RidgeClassifier(alpha=strength))
    return ridge.fit(features[train], images.labels[train])


def seeds(study: Study, images: ImageSet, work: Path) -> dict:
    """Returns the accuracies of phase 1's head when a seed changes: that of the training, or that of the split.

    "training": one split by signer, other initial weights, order and dropout. "signers": other people in the test
    part. "random": other photographs in a random split's. "again": the first of "training" once more.
    """
    from casestudy.training import frozen_features, train_head

    by_signer = dataclasses.replace(study.split, protocol="signer")
    at_random = dataclasses.replace(study.split, protocol="random")
    fixed = split_images(images, by_signer, seed=SEED)
    features = np.array(frozen_features(study.model, fixed, seed=SEED, target=work / "features.npy"))

    def score(split, seed: int) -> tuple[float, np.ndarray]:
        found = train_head(features, split, study.phases[0], dropout=study.model.dropout, seed=seed)
        accuracy = float((found.argmax(axis=1) == images.labels[split.test]).mean())
        logging.info("%s, seed %d: %.3f", split.protocol, seed, accuracy)
        return accuracy, found

    first = score(fixed, 0)
    return {
        "epochs": study.phases[0].epochs,
        "training": [first[0], *(score(fixed, seed)[0] for seed in SEEDS[1:])],
        "signers": [score(split_images(images, by_signer, seed=seed), SEED)[0] for seed in SEEDS],
        "random": [score(split_images(images, at_random, seed=seed), SEED)[0] for seed in SEEDS],
        "test_signers": sorted(set(images.signers[fixed.test].tolist())),
        "again_differs_by": float(np.abs(score(fixed, 0)[1] - first[1]).max()),
    }


if __name__ == "__main__":
    main()
