"""The same seed gives the same run, killed or not, cached or not; and BatchNormalization stays where it was."""

import dataclasses
import math
import warnings

import numpy as np
import pytest

from casestudy.choices import Plateau
from casestudy.data.splits import split_images
from casestudy.errors import DataError, RunError
from casestudy.study import ModelSpec, Phase, SplitSpec

SPEC = ModelSpec("small_cnn", dropout=0.3, augmentation={"shift": 0.1, "brightness": 0.1})
PHASES = (
    Phase("head", "head", epochs=2, learning_rate=1e-2, batch_size=8, views=2),
    Phase("tune", "all", epochs=2, learning_rate=1e-3, batch_size=8, schedule="cosine"),
)


@pytest.fixture(scope="module")
def splits(make_images):
    return split_images(make_images(signers=4, takes=3), SplitSpec("signer"), seed=1)


def run(splits, spec=SPEC, phases=PHASES, seed=7, **options):
    """Returns the model and its history: built from random numbers, and trained in the phases one by one."""
    from casestudy.models import build_model
    from casestudy.training import train

    model = build_model(spec, splits.images, seed=seed, weights=None)
    for phase in phases:
        history = train(model, splits, phase, seed=seed, **options)
    return model, history


@pytest.fixture(scope="module")
def trained(splits):
    """A run that nothing interrupted, with augmentation and dropout."""
    return run(splits)


@pytest.fixture
def initial(splits):
    """The model that `trained` began with."""
    return begun(splits, SPEC)


def begun(splits, spec):
    """Returns the model that `run` begins with: BatchNormalization knows the training images already."""
    from casestudy.models import build_model
    from casestudy.training.stages import estimate_batch_norms

    model = build_model(spec, splits.images, seed=7, weights=None)
    estimate_batch_norms(model, splits, seed=7)
    return model


def values(model):
    """Returns the model's variables, but for the states of random layers."""
    return [v.numpy().copy() for v in model.variables if v.name != "seed_generator_state"]


def assert_same_run(one, two):
    assert one[1].history.to_dict("records") == two[1].history.to_dict("records")
    assert one[1].largest_change == two[1].largest_change
    for mine, theirs in zip(values(one[0]), values(two[0]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_history_is_tidy_and_finite(trained, splits):
    _, found = trained
    history = found.history
    assert list(history.columns) == ["phase", "epoch", "metric", "value"]
    assert history.groupby(["phase", "metric"], sort=False)["epoch"].apply(list).to_dict() == {
        (phase, metric): [1, 2]
        for phase in ("head", "tune")
        for metric in ("accuracy", "loss", "val_accuracy", "val_loss", "learning_rate")
    }
    assert np.isfinite(history["value"]).all()
    rates = history[history["metric"] == "learning_rate"]["value"].tolist()
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 5e-4])
    assert set(found.seconds) == set(found.images_per_second) == {"head", "tune"}
    for phase, seconds in found.seconds.items():
        assert found.images_per_second[phase] == pytest.approx(2 * len(splits.train) / seconds)


def test_batch_norm_is_bit_identical_and_convolutions_learn(trained, initial):
    from casestudy.training.stages import batch_norms

    model, found = trained
    assert found.batch_norm_change == 0.0
    before, after = batch_norms(initial), batch_norms(model)
    assert len(before) == len(after) == 4
    for old, new in zip(before, after, strict=True):
        for a, b in zip(old.variables, new.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    for old, new in zip(initial.get_layer("base").layers, model.get_layer("base").layers, strict=True):
        if hasattr(old, "kernel"):
            assert np.abs(np.asarray(old.kernel) - np.asarray(new.kernel)).max() > 0


def test_a_training_warns_of_nothing(splits, tmp_path):
    """In a notebook a warning of Keras is red, and would look like a fault of the student's."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(splits, phases=tuple(dataclasses.replace(phase, epochs=1) for phase in PHASES), checkpoints=tmp_path)


def test_a_naive_unfreezing_would_be_noticed(splits, monkeypatch):
    from casestudy.training import phases as training

    def naive(model, trainable):
        model.get_layer("base").trainable = False
        model.get_layer("base").trainable = trainable != "head"

    monkeypatch.setattr(training, "set_trainable", naive)
    phases = (Phase("tune", "all", epochs=1, learning_rate=1e-3, batch_size=16),)
    assert run(splits, ModelSpec("small_cnn"), phases)[1].batch_norm_change > 1e-6


def test_a_call_is_one_phase(splits, trained):
    from casestudy.models import build_model
    from casestudy.training import train

    model, (head, tune) = build_model(SPEC, splits.images, seed=7, weights=None), PHASES
    begun_with = [np.asarray(layer.kernel) for layer in model.get_layer("base").layers if hasattr(layer, "kernel")]
    first = train(model, splits, head, seed=7)
    assert list(first.seconds) == list(first.images_per_second) == list(first.largest_change) == ["head"]
    assert set(first.history["phase"]) == {"head"}
    after = [np.asarray(layer.kernel) for layer in model.get_layer("base").layers if hasattr(layer, "kernel")]
    for old, new in zip(begun_with, after, strict=True):
        np.testing.assert_array_equal(old, new)
    both = train(model, splits, tune, seed=7)
    assert list(both.seconds) == ["head", "tune"]
    assert both.seconds["head"] == first.seconds["head"]
    assert list(both.history["phase"].unique()) == ["head", "tune"]
    assert first.history.equals(both.history.head(len(first.history)))
    assert_same_run((model, both), trained)


def test_what_build_model_did_not_make_is_not_trained(splits, trained, tmp_path):
    from casestudy.models import inference_model, keras, load_model
    from casestudy.training import train

    model, _ = trained
    model.save(tmp_path / "model.keras")
    pixels = keras.Input((32, 32, 3))
    plain = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(pixels)))
    for other in (plain, inference_model(model), load_model(tmp_path / "model.keras")):
        with pytest.raises(DataError, match=r"that build_model made; received another, '.*'\. Build") as caught:
            train(other, splits, PHASES[0], seed=7)
        assert "\n" not in str(caught.value)


def test_a_phase_is_trained_once(splits, scripted):
    from casestudy.models import build_model
    from casestudy.training import train

    rates = scripted([0.5, 0.4, 0.3, 0.2, 0.1])
    model = build_model(ModelSpec("plain_cnn"), splits.images, seed=7, weights=None)
    train(model, splits, PHASES[0], seed=7)
    for again in (PHASES[0], dataclasses.replace(PHASES[1], name="head")):
        with pytest.raises(DataError, match=r"names of their own; 'head' is done\. Build a new model\."):
            train(model, splits, again, seed=7)
    assert len(rates) == 2
    train(model, splits, dataclasses.replace(PHASES[0], name="head again"), seed=7)
    assert len(rates) == 4


@pytest.mark.parametrize("kept", [True, False])
def test_a_model_whose_training_broke_off_is_not_trained_on(kept, splits, tmp_path, monkeypatch):
    """As where a notebook is interrupted and the cell run again: half a phase would count as a whole one."""
    from casestudy.models import build_model
    from casestudy.training import phases as training, train

    model = build_model(ModelSpec("plain_cnn"), splits.images, seed=7, weights=None)
    options = {"checkpoints": tmp_path if kept else None, "seed": 7}

    def killed(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train(model, splits, PHASES[0], **options)
    for phase in PHASES:
        with pytest.raises(DataError, match=r"needs a new model; 'head' did\. Build it again\."):
            train(model, splits, phase, **options)
    train(build_model(ModelSpec("plain_cnn"), splits.images, seed=7, weights=None), splits, PHASES[0], **options)


def test_checkpoints_are_of_one_order_of_phases(splits, tmp_path, scripted):
    scripted([0.5, 0.4] * 9)
    run(splits, ModelSpec("plain_cnn"), PHASES, checkpoints=tmp_path)
    longer = dataclasses.replace(PHASES[1], epochs=3)
    for phases in (PHASES[::-1], PHASES[1:], (PHASES[0], longer)):
        with pytest.raises(RunError, match="began with others"):
            run(splits, ModelSpec("plain_cnn"), phases, checkpoints=tmp_path)
    run(splits, ModelSpec("plain_cnn"), (*PHASES, dataclasses.replace(longer, name="more")), checkpoints=tmp_path)


def test_numbers_of_numpy_are_numbers(splits, tmp_path):
    spec = ModelSpec("plain_cnn", dropout=np.float32(0.25))
    phase = Phase("head", "head", epochs=np.int64(1), learning_rate=np.float32(0.5), batch_size=np.int32(8))
    plain = Phase("head", "head", epochs=1, learning_rate=0.5, batch_size=8)
    one = run(splits, spec, (phase,), checkpoints=tmp_path)
    assert_same_run(one, run(splits, ModelSpec("plain_cnn", dropout=0.25), (plain,), checkpoints=tmp_path))


def test_another_seed_is_another_run(trained, splits):
    phases = (Phase("head", "head", epochs=1, learning_rate=1e-2, batch_size=8, views=1),)
    (_, other), (_, first) = run(splits, phases=phases, seed=8), trained
    assert other.history["value"][0] != first.history["value"][0]


class Killed(BaseException):
    """Stands for the end of the process."""


def test_killed_anywhere_it_ends_as_if_nothing_had_happened(trained, splits, tmp_path, monkeypatch):
    """One training, stopped while it saves, then after every epoch with that epoch's work lost."""
    from casestudy.training import checkpoints, phases as training

    real_epoch, real_save = training.fit_epoch, checkpoints.save

    def while_saving(path, variables, progress=None):
        if progress is not None:
            raise Killed
        real_save(path, variables, progress)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", while_saving)
        with pytest.raises(Killed):
            run(splits, checkpoints=tmp_path)
    for done in range(4):
        calls = []

        def one_epoch_more(*args, entropy, calls=calls, **options):
            logs = real_epoch(*args, entropy=entropy, **options)
            calls.append(entropy)
            if len(calls) == 2:
                raise Killed
            return logs

        with monkeypatch.context() as patch:
            patch.setattr(training, "fit_epoch", one_epoch_more)
            if done < 3:
                with pytest.raises(Killed):
                    run(splits, checkpoints=tmp_path)
            else:
                last = run(splits, checkpoints=tmp_path)
        assert calls == [(7, e // 2, e % 2) for e in range(done, min(done + 2, 4))]
    assert_same_run(last, trained)
    monkeypatch.setattr(training, "fit_epoch", lambda *args, **options: pytest.fail("trained again"))
    assert_same_run(
        run(splits, checkpoints=tmp_path), trained
    )  # killed after training, before its results were written
    with pytest.raises(RunError, match="another folder"):
        run(splits, checkpoints=tmp_path, seed=8)
    features = tmp_path / "checkpoints" / "features-left-by-a-kill"
    features.mkdir()
    (features / "view-0.npy").write_bytes(b"x")
    training.remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_cached_way_takes_the_same_steps_as_the_plain_way(splits, residual):
    """Phase 1 on pooled features, then the last block on activations from inside a residual network."""
    phases = (
        Phase("head", "head", epochs=2, learning_rate=1e-2, batch_size=8),
        Phase("tune", "top:3", epochs=2, learning_rate=1e-2, batch_size=8),
    )
    spec = ModelSpec(residual, dropout=0.3)
    for count in (1, 2):
        (model, cached), (other, plain) = (run(splits, spec, phases[:count], cache=cache) for cache in (True, False))
        for mine, theirs in zip(values(model), values(other), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
        np.testing.assert_allclose(cached.history["value"], plain.history["value"], atol=1e-5)
    base, start = model.get_layer("base"), begun(splits, spec).get_layer("base")
    moved = [
        layer.name
        for layer, old in zip(base.layers, start.layers, strict=True)
        if any((a.numpy() != b.numpy()).any() for a, b in zip(layer.variables, old.variables, strict=True))
    ]
    assert moved == ["conv2"]


@pytest.fixture
def scripted(monkeypatch):
    """Replaces epochs by a script of validation losses; the head's bias says which epoch the weights are of."""
    from casestudy.training import phases as training

    def play(losses):
        rates, script = [], iter(enumerate(losses, start=1))

        def epoch(model, stage, splits, phase, rate, *, entropy):
            number, loss = next(script)
            rates.append(rate)
            bias = model.get_layer("probabilities").bias
            bias.assign(np.full(bias.shape, number, dtype="float32"))
            return {"loss": 1.0, "accuracy": 0.5} | ({} if loss is None else {"val_loss": loss})

        monkeypatch.setattr(training, "fit_epoch", epoch)
        return rates

    return play


def kept_epoch(model):
    return int(model.get_layer("probabilities").bias.numpy()[0])


@pytest.mark.parametrize(
    ("losses", "patience", "epochs_run", "kept"),
    [
        ([0.9, 0.5, 0.6, 0.7, 0.1], 2, 4, 2),  # two epochs in vain: the third chance is never taken
        ([0.9, 0.5, 0.6, 0.4, 0.5], 2, 5, 4),  # 0.4 starts the patience anew
        ([0.9, 0.5, 0.5, 0.5, 0.1], 2, 4, 2),  # as good is not better
        ([0.9, 0.5, 0.6, 0.7, 0.8], None, 5, 2),  # never stops early, keeps the best all the same
        ([0.5, 0.6, 0.7, 0.8, 0.9], 1, 2, 1),
        ([None] * 5, 2, 5, 5),  # nothing to choose by: the last
    ],
)
def test_a_phase_stops_and_keeps_its_best(losses, patience, epochs_run, kept, splits, scripted):
    rates = scripted(losses)
    phase = Phase("head", "head", epochs=5, learning_rate=0.1, patience=patience)
    model, result = run(splits, ModelSpec("small_cnn"), (phase,))
    assert len(rates) == epochs_run == result.history["epoch"].max()
    assert kept_epoch(model) == kept


def test_the_next_phase_starts_from_the_best_of_the_one_before(splits, monkeypatch, scripted):
    scripted([0.5, 0.9, 0.8])
    phases = (
        Phase("head", "head", epochs=2, learning_rate=0.1),
        Phase("tune", "all", epochs=1, learning_rate=0.1),
    )
    from casestudy.training import phases as training

    found, fake = [], training.fit_epoch

    def look(model, *args, entropy):
        found.append(kept_epoch(model))
        return fake(model, *args, entropy=entropy)

    monkeypatch.setattr(training, "fit_epoch", look)
    run(splits, ModelSpec("small_cnn"), phases)
    assert found == [0, 1, 1]


@pytest.mark.parametrize(
    ("schedule", "losses", "expected"),
    [
        ("constant", [1, 2, 3, 4, 5, 6], [0.1] * 6),
        ("cosine", [1] * 6, [0.05 * (1 + math.cos(math.pi * k / 6)) for k in range(6)]),
        # two epochs in vain halve the rate for the one after, and the waiting starts anew
        ("plateau", [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]),
        ("plateau", [1.0, 1.1, 0.9, 1.0, 1.0, 0.8], [0.1, 0.1, 0.1, 0.1, 0.1, 0.05]),
    ],
)
def test_learning_rate_by_hand(schedule, losses, expected, splits, scripted):
    rates = scripted(losses)
    _, result = run(splits, ModelSpec("small_cnn"), (Phase("head", "head", 6, learning_rate=0.1, schedule=schedule),))
    assert rates == pytest.approx(expected)
    history = result.history
    assert history[history["metric"] == "learning_rate"]["value"].tolist() == pytest.approx(expected)


BUMPY = [1.0, 0.8, 0.7, 0.69995, 0.71, 0.6999, 0.69, 0.6899, 0.6898, 0.6897, 0.7, 0.7, 0.7, 0.5, 0.6, 0.6, 0.6, 0.6]


@pytest.mark.parametrize("losses", [BUMPY, [1.0] * 18, list(np.random.default_rng(3).uniform(0.5, 1, 18).round(3))])
@pytest.mark.parametrize(
    "plateau",
    [Plateau(0.5, 3, 1e-6, 1e-4), Plateau(0.3, 5, 1e-5, 1e-4), Plateau(0.1, 2, 5e-4, 0.0), Plateau(0.5, 1, 0.0, 0.01)],
)
def test_a_plateau_falls_when_that_of_keras_does(plateau, losses):
    import keras

    from casestudy.training.schedules import learning_rate

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    judge = keras.callbacks.ReduceLROnPlateau(
        factor=plateau.factor, patience=plateau.patience, min_lr=plateau.lowest, min_delta=plateau.least_gain
    )
    judge.set_model(model)
    judge.on_train_begin()
    expected = []
    for epoch, loss in enumerate(losses):
        expected.append(float(model.optimizer.learning_rate))
        judge.on_epoch_end(epoch, {"val_loss": loss})
    phase = Phase("train", "everything", 18, 1e-3, schedule="plateau", plateau=plateau)
    assert [learning_rate(phase, k, losses[:k]) for k in range(18)] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("losses", [BUMPY, [1.0] * 18, [1 / k for k in range(1, 19)]])
@pytest.mark.parametrize(("patience", "least"), [(2, 0.0), (3, 1e-3), (8, 0.0), (4, 0.05)])
def test_a_phase_stops_when_that_of_keras_does(patience, least, losses):
    import keras

    from casestudy.training.schedules import is_over

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.stop_training = False
    model.compile("sgd", "mse")
    judge = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, min_delta=least)
    judge.set_model(model)
    judge.on_train_begin()
    phase = Phase("train", "everything", 99, 1e-3, patience=patience, least_gain=least)
    for epoch, loss in enumerate(losses):
        judge.on_epoch_end(epoch, {"val_loss": loss})
        assert is_over(phase, losses[: epoch + 1], epoch + 1) == bool(model.stop_training)
        if model.stop_training:
            break


def test_the_rate_reaches_the_optimizer(splits):
    """With a rate of (almost) zero nothing moves; with SGD one step is rate times gradient."""
    spec = ModelSpec("small_cnn", dropout=0.0)
    steps = []
    for rate in (1e-30, 0.1, 0.2):
        phase = Phase("head", "head", 1, learning_rate=rate, optimizer="sgd", batch_size=1000)
        start = begun(splits, spec).get_layer("probabilities").kernel.numpy()
        end = run(splits, spec, (phase,))[0].get_layer("probabilities").kernel.numpy()
        steps.append(end - start)
    assert np.abs(steps[0]).max() == 0
    np.testing.assert_allclose(steps[2], 2 * steps[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("logs", [{"loss": math.nan}, {"loss": 1.0, "val_loss": math.nan}, {"loss": math.inf}])
def test_a_loss_that_is_no_number_stops_the_run(logs, splits, monkeypatch, tmp_path):
    from casestudy.training import phases as training

    monkeypatch.setattr(training, "fit_epoch", lambda *args, **options: logs)
    with pytest.raises(DataError, match=r"epoch 1 of phase head .*learning rate below 0\.01") as caught:
        run(splits, checkpoints=tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.arrays"))


def test_a_real_divergence_is_noticed(splits):
    phase = Phase("train", "everything", 5, learning_rate=100, optimizer="sgd", batch_size=8)
    with pytest.raises(DataError, match=r"The loss must stay a number.* below 100\."):
        run(splits, ModelSpec("plain_cnn"), (phase,))


def test_training_never_sees_the_test_part(splits, monkeypatch):
    """Black photographs in the test part change nothing: not the weights, not the BatchNormalization statistics."""
    phases = (Phase("head", "head", 1, learning_rate=1e-2, batch_size=8),)
    pixels = splits.images.images.copy()
    pixels[splits.test] = 0
    blinded = dataclasses.replace(splits, images=dataclasses.replace(splits.images, images=pixels))
    assert_same_run(run(splits, ModelSpec("small_cnn"), phases), run(blinded, ModelSpec("small_cnn"), phases))


def test_the_head_alone_learns_from_features(make_images):
    from casestudy.training import train_head

    images = make_images(signers=5, takes=4)
    splits = split_images(images, SplitSpec("signer"), seed=0)
    features = np.random.default_rng(0).normal(size=(len(images), 6)).astype("float32")
    features[np.arange(len(images)), images.labels] += 6
    phase = Phase("head", "head", epochs=4, learning_rate=0.1, batch_size=8)
    one, two = (train_head(features, splits, phase, dropout=0.1, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one.sum(axis=1), 1, rtol=1e-5)
    assert (one.argmax(axis=1) == images.labels[splits.test]).mean() > 0.9
    assert (train_head(features, splits, phase, dropout=0.1, seed=4) != one).any()


def test_every_phase_of_every_study_is_named_once():
    from casestudy.studies import STUDIES

    for study in STUDIES.values():
        names = [phase.name for phase in study.phases]
        assert len(set(names)) == len(names)


ONE_CYCLE = Phase(
    "train", "everything", epochs=2, learning_rate=0.05, optimizer="adamw", schedule="one-cycle", batch_size=8,
    weight_decay=0.1, label_smoothing=0.2,
)  # fmt: skip


def test_one_cycle_sets_the_rate_of_every_step(splits, monkeypatch):
    from casestudy.models.backend import keras
    from casestudy.training.schedules import one_cycle

    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    fit = keras.Model.fit
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, *args, callbacks, **k: fit(self, *args, callbacks=[*callbacks, Watch()], **k)
    )
    _, trained = run(splits, phases=(ONE_CYCLE,))
    steps = 2 * math.ceil(len(splits.train) / 8)
    assert seen == pytest.approx([one_cycle(0.05, k / steps) for k in range(steps)], abs=1e-7)
    assert max(seen) > 0.04
    rates = trained.history[trained.history["metric"] == "learning_rate"]["value"].tolist()
    assert rates == pytest.approx([one_cycle(0.05, 0.5), 0.0], abs=1e-9)


def test_label_smoothing_by_hand():
    from casestudy.models.backend import tf
    from casestudy.training.epochs import _smoothed

    probabilities = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    truth = np.array([[1, 0, 0], [0, 0, 1]]) * 0.8 + 0.2 / 3
    expected = -(truth * np.log(probabilities)).sum(axis=1)
    found = _smoothed(0.2)(tf.constant([[0], [2]], tf.int64), tf.constant(probabilities, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weight_decay_spares_biases_and_batch_norm(initial):
    from casestudy.training.epochs import compile_for
    from casestudy.training.stages import set_trainable

    set_trainable(initial, "everything")
    compile_for(initial, ONE_CYCLE)
    decayed = {v.name for v in initial.trainable_variables if initial.optimizer._use_weight_decay(v)}
    assert decayed == {"kernel"}
    assert initial.optimizer.weight_decay == 0.1


def test_a_killed_one_cycle_ends_as_if_nothing_had_happened(splits, tmp_path, monkeypatch):
    from casestudy.training import phases as training

    whole = run(splits, phases=(ONE_CYCLE,))
    fit_epoch, done = training.fit_epoch, []

    def killed(*args, **options):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return fit_epoch(*args, **options)

    monkeypatch.setattr(training, "fit_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        run(splits, phases=(ONE_CYCLE,), checkpoints=tmp_path)
    monkeypatch.setattr(training, "fit_epoch", fit_epoch)
    assert_same_run(run(splits, phases=(ONE_CYCLE,), checkpoints=tmp_path), whole)


def test_the_largest_change_may_be_one_down():
    """By hand: -3 is larger than +1, and what stood still is 0."""
    from casestudy.training.phases import TrainingRun, _largest_changes

    before = [("Dense", np.array([5.0, 1.0])), ("Dense", np.array([0.0])), ("BatchNormalization", np.array([1.0]))]
    after = [("Dense", np.array([2.0, 2.0])), ("Dense", np.array([1.0])), ("BatchNormalization", np.array([1.0]))]
    assert _largest_changes(before, after) == {"Dense": 3.0, "BatchNormalization": 0.0}
    moved = {"head": {"BatchNormalization": 0.0, "Dense": 9.0}, "tune": {"BatchNormalization": 0.25}, "more": {}}
    assert TrainingRun(None, {}, {}, moved).batch_norm_change == 0.25
    assert TrainingRun(None, {}, {}, {"head": {"Dense": 9.0}}).batch_norm_change is None


def test_a_training_goes_on_with_what_it_began_with_alone(splits, residual, tmp_path, scripted, monkeypatch):
    """Other weights that "auto" came to, another precision, another seed of the model or the training, other data."""
    from casestudy.models import build_model, network
    from casestudy.models.quantised import write_quantised
    from casestudy.models.weights import StartingWeights
    from casestudy.training import train

    scripted([0.5, 0.4] * 9)
    file = str(write_quantised(network.MODELS[residual](input_shape=(32, 32, 3), weights=None), tmp_path / "own.npz"))

    def begun(weights=file, seed=7, precision="float32"):
        monkeypatch.setattr(network, "resolve_weights", lambda spec, size: StartingWeights(weights, "as asked"))
        return build_model(ModelSpec(residual), splits.images, seed=seed, precision=precision)

    fewer = dataclasses.replace(splits, validation=splits.validation[1:])
    renamed = dataclasses.replace(splits, images=dataclasses.replace(splits.images, digest="other"))
    train(begun(), splits, PHASES[0], seed=7, checkpoints=tmp_path)
    for model, data, seed in (
        (begun(None), splits, 7),
        (begun(precision="mixed_bfloat16"), splits, 7),
        (begun(seed=8), splits, 7),
        (begun(), splits, 8),
        (begun(), fewer, 7),
        (begun(), renamed, 7),
    ):
        with pytest.raises(RunError, match="began with others"):
            train(model, data, PHASES[0], seed=seed, checkpoints=tmp_path)
    train(begun(), splits, PHASES[0], seed=7, checkpoints=tmp_path)


def test_the_seconds_before_a_kill_count(splits, tmp_path, monkeypatch):
    """A clock that goes on by one second in every epoch."""
    from casestudy.models import build_model
    from casestudy.training import phases as training, train

    now, done = [0.0], []
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])

    def epoch(*args, **options):
        now[0] += 1
        if len(done) == 1:
            done.append(0)
            raise KeyboardInterrupt
        done.append(1)
        return {"loss": 1.0, "val_loss": 1.0 / len(done)}

    monkeypatch.setattr(training, "fit_epoch", epoch)
    phase = Phase("head", "head", epochs=3, learning_rate=0.1)

    def trained():
        model = build_model(ModelSpec("plain_cnn"), splits.images, seed=7, weights=None)
        return train(model, splits, phase, seed=7, checkpoints=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        trained()
    assert trained().seconds == {"head": 3.0}  # one, and two more after the kill


def test_statistics_of_weights_that_were_learnt_are_left_alone(splits, residual, tmp_path):
    from casestudy.models import build_model, network
    from casestudy.models.quantised import write_quantised
    from casestudy.training import train
    from casestudy.training.stages import batch_norms

    file = str(write_quantised(network.MODELS[residual](input_shape=(32, 32, 3), weights=None), tmp_path / "own.npz"))
    model = build_model(ModelSpec(residual), splits.images, seed=7, weights=file)
    train(model, splits, Phase("head", "head", epochs=1, learning_rate=0.1), seed=7)
    for layer in batch_norms(model):  # as a new layer has them
        assert not np.asarray(layer.moving_mean).any()
        assert (np.asarray(layer.moving_variance) == 1).all()


@pytest.mark.parametrize(
    ("losses", "patience", "epochs_run", "kept"),
    [
        ([0.9, 0.5, 0.6, 0.7], None, 4, 2),
        ([0.9, 0.5, 0.5, 0.7], None, 4, 2),  # as good is not better
        ([0.9, 0.5, 0.6, 0.7], 1, 3, 2),
        ([None] * 4, None, 4, 4),
    ],
)
def test_the_head_alone_keeps_its_best_epoch(losses, patience, epochs_run, kept, splits, monkeypatch):
    """Its bias says which epoch the weights are of."""
    from casestudy.training import heads

    calls = []

    def epoch(head, stage, splits, phase, rate, *, entropy):
        calls.append((rate, entropy))
        kernel = head.get_weights()[0]
        head.set_weights([np.zeros_like(kernel), np.array([len(calls), 0, 0], "float32")])
        loss = losses[len(calls) - 1]
        return {"loss": 1.0} | ({} if loss is None else {"val_loss": loss})

    monkeypatch.setattr(heads, "fit_epoch", epoch)
    phase = Phase("head", "head", epochs=4, learning_rate=0.1, patience=patience, schedule="cosine")
    features = np.zeros((len(splits.images), 2), "float32")
    found = heads.train_head(features, splits, phase, dropout=0.0, seed=5)
    assert [entropy for _, entropy in calls] == [(5, 0, k) for k in range(epochs_run)]
    rates = [0.05 * (1 + math.cos(math.pi * k / 4)) for k in range(epochs_run)]
    assert [rate for rate, _ in calls] == pytest.approx(rates)
    assert found.shape == (len(splits.test), 3)
    np.testing.assert_allclose(found[0], np.exp([kept, 0, 0]) / (math.exp(kept) + 2), rtol=1e-5)


def test_the_head_alone_is_made_as_asked(splits, monkeypatch):
    """What trains and what chooses are features of those parts; dropout and first weights are those asked for."""
    from casestudy.models.backend import keras
    from casestudy.training import heads

    features = np.arange(2 * len(splits.images), dtype="float32").reshape(-1, 2)
    seen = []

    def epoch(head, stage, *args, **options):
        seen.append((head.get_weights()[0], next(x.rate for x in head.layers if isinstance(x, keras.layers.Dropout))))
        np.testing.assert_array_equal(stage.train[0][:], features[splits.train])
        np.testing.assert_array_equal(stage.validation[:], features[splits.validation])
        return {"loss": 1.0, "val_loss": 1.0}

    monkeypatch.setattr(heads, "fit_epoch", epoch)
    phase = Phase("head", "head", epochs=1, learning_rate=0.1)
    for seed in (1, 1, 2):
        heads.train_head(features, splits, phase, dropout=0.25, seed=seed)
    (one, rate), (again, _), (other, _) = seen
    assert rate == 0.25
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.fixture
def epochs(splits, monkeypatch):
    """Runs epochs of two views, or of pixels, without a network; returns what was fed, in which order, and reseeded."""
    from types import SimpleNamespace

    from casestudy.training import epochs as training
    from casestudy.training.stages import Stage

    def run_epochs(count, phase, views=None):
        fed, seeds = [], []

        def dataset(source, indices, labels, batch_size):
            fed.append((source, np.asarray(indices).tolist(), np.asarray(labels).tolist(), batch_size))
            return range(math.ceil(len(indices) / batch_size))

        rate = SimpleNamespace(assign=lambda value: None)
        fitted = SimpleNamespace(history={"loss": [1.0]})
        stage_model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=rate), fit=lambda *a, **k: fitted)
        monkeypatch.setattr(training, "_dataset", dataset)
        monkeypatch.setattr(training, "reseed", lambda model, *entropy: seeds.append(entropy))
        stage = Stage(stage_model, views, None if views is None else np.zeros((len(splits.validation), 2)))
        for epoch in range(count):
            training.fit_epoch(None, stage, splits, phase, 0.1, entropy=(5, 1, epoch))
        return fed[::2], fed[1::2], seeds

    return run_epochs


def test_views_take_turns_and_labels_go_with_their_features(splits, epochs):
    count, labels = len(splits.train), splits.images.labels
    views = [np.zeros((count, 2)), np.ones((count, 2))]
    trained, validated, seeds = epochs(4, Phase("head", "head", epochs=4, learning_rate=0.1, batch_size=7), views)
    assert [source[0, 0] for source, *_ in trained] == [0, 1, 0, 1]
    assert seeds == [(5, 1, 0), (5, 1, 1), (5, 1, 2), (5, 1, 3)]  # dropout is another in every epoch
    orders = [order for _, order, _, _ in trained]
    assert len({tuple(order) for order in orders}) == 4
    for _, order, given, batch_size in trained:
        assert sorted(order) == list(range(count))
        assert given == labels[splits.train[order]].tolist()
        assert batch_size == 7
    for _, order, given, _ in validated:
        assert order == list(range(len(splits.validation)))
        assert given == labels[splits.validation].tolist()


def test_pixels_are_fed_by_their_place_in_the_set(splits, epochs):
    labels = splits.images.labels
    trained, validated, _ = epochs(2, Phase("tune", "all", epochs=2, learning_rate=0.1, batch_size=7))
    for source, order, given, batch_size in trained:
        assert source is splits.images.images
        assert sorted(order) == splits.train.tolist()
        assert (given, batch_size) == (labels[order].tolist(), 7)
    for source, order, given, _ in validated:
        assert source is splits.images.images
        assert (order, given) == (splits.validation.tolist(), labels[splits.validation].tolist())


def test_smoothing_and_decay_that_are_asked_for_reach_the_model(initial):
    from casestudy.training.epochs import compile_for

    probabilities = np.array([[0.7, 0.2, 0.1]], "float32")
    for share, truth in ((0.0, [1, 0, 0]), (0.3, [0.8, 0.1, 0.1])):
        compile_for(initial, dataclasses.replace(ONE_CYCLE, label_smoothing=share))
        loss = initial.compute_loss(y=np.array([0]), y_pred=probabilities)
        assert float(loss) == pytest.approx(-np.dot(truth, np.log(probabilities[0])), rel=1e-4)


@pytest.mark.parametrize(
    ("capability", "size", "precision"),
    [
        (None, (96, 96), "float32"),
        ((6, 1), (224, 224), "float32"),
        ((7, 0), (224, 224), "mixed_float16"),
        ((9, 0), (224, 224), "mixed_float16"),
    ],
)
def test_a_machine_is_taken_for_what_it_is(capability, size, precision, monkeypatch):
    from casestudy.models import tf
    from casestudy.training import Machine

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"] if capability else [])
    details = {"device_name": "a card", "compute_capability": capability}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)
    found = Machine.here()
    assert (found.device, found.image_size, found.precision) == ("a card" if capability else "CPU", size, precision)


def test_a_checkpoint_is_replaced_whole(tmp_path, monkeypatch):
    """Killed between two of its arrays, the one before is still there."""
    from casestudy.training import checkpoints

    path = tmp_path / "checkpoint.arrays"
    checkpoints.save(path, [np.zeros(3), np.ones(2)])
    before, save, written = path.read_bytes(), np.save, []

    def killed(*args, **options):
        written.append(1)
        if len(written) == 3:
            raise Killed
        save(*args, **options)

    monkeypatch.setattr(checkpoints.np, "save", killed)
    with pytest.raises(Killed):
        checkpoints.save(path, [np.full(3, 7.0), np.full(2, 8.0)])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.arrays"]


@pytest.mark.parametrize(
    ("keep", "chosen"), [("best loss", "val_loss"), ("best accuracy", "val_accuracy"), ("last", "")]
)
def test_a_phase_ends_with_the_weights_that_it_is_to_keep(keep, chosen, make_images, monkeypatch):
    """What the epochs come to is made up, so that each rule has another; the bias of the head counts the epochs."""
    from casestudy.models import build_model
    from casestudy.training import phases as training, train

    told = {"loss": [3, 2, 1, 0.5], "val_loss": [0.5, 0.3, 0.4, 0.6], "val_accuracy": [0.1, 0.2, 0.9, 0.3]}
    splits = split_images(make_images(signers=4, takes=2), SplitSpec("signer"), seed=1)
    model = build_model(ModelSpec("plain_cnn", options={"filters": [4]}), splits.images, seed=7, weights=None)
    bias = model.get_layer("probabilities").bias

    def made_up(*_, entropy, **__):
        bias.assign(np.full(bias.shape, entropy[-1], "float32"))
        return {name: float(values[entropy[-1]]) for name, values in told.items()}

    monkeypatch.setattr(training, "fit_epoch", made_up)
    train(model, splits, Phase("train", "everything", epochs=4, learning_rate=1e-3, keep=keep), seed=7)
    best = {"val_loss": 1, "val_accuracy": 2, "": 3}[chosen]
    assert set(np.asarray(bias).tolist()) == {best}


def test_a_hidden_layer_of_the_head_trains_with_its_normalisation_while_the_base_stays_frozen(make_images):
    from casestudy.models import build_model, grad_cam
    from casestudy.study import Hidden
    from casestudy.training import train

    splits = split_images(make_images(signers=4, takes=2), SplitSpec("signer"), seed=1)
    spec = ModelSpec("small_cnn", hidden=Hidden(6, l2=0.5), dropout=0.0)
    model = build_model(spec, splits.images, seed=7, weights=None)
    kernel = np.asarray(model.get_layer("hidden").kernel)
    assert float(sum(model.losses)) == pytest.approx(0.5 * (kernel**2).sum(), rel=1e-5)
    train(model, splits, Phase("head", "head", epochs=1, learning_rate=1e-2), seed=7)
    run = train(model, splits, Phase("all", "all", epochs=1, learning_rate=1e-2), seed=7)
    assert run.batch_norm_change == 0.0  # of the base
    for phase in ("head", "all"):
        assert run.largest_change[phase]["BatchNormalization of the head"] > 0
    assert run.largest_change["head"].get("Conv2D") == 0.0
    assert run.largest_change["all"]["Conv2D"] > 0
    some = splits.test[:2]
    heat = grad_cam(model, splits.images.images[some], splits.images.labels[some])
    assert heat.shape[0] == 2 and np.isfinite(heat).all()
