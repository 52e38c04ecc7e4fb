"""The time that is said to be left, on a clock that the tests turn: of features, of a phase, and of a whole run."""

import dataclasses
import logging
from types import SimpleNamespace

import pytest

from casestudy.study import ModelSpec, Phase, SplitSpec

PLAIN = ModelSpec("plain_cnn", weights=None)
HEAD = Phase("head", "head", epochs=20, learning_rate=0.1, patience=4, views=3)
TUNE = Phase("fine-tune", "all", epochs=5, learning_rate=0.01)


def parts(train, validation=10):
    """Stands for splits of which only the sizes matter."""
    return SimpleNamespace(train=range(train), validation=range(validation), fold="")


@pytest.fixture
def now(monkeypatch):
    """The hands of the clock, in seconds: a list of one number."""
    from casestudy.training import clock

    hands = [1000.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: hands[0])
    return hands


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="casestudy")
    return lambda: caplog.messages


@pytest.fixture
def clock():
    from casestudy.training import Clock

    return Clock()


def measured(clock, phase, splits, seconds, start=0.0, spec=PLAIN):
    """Returns the task that begins, of whose kind an epoch took so long, and the first `start` longer."""
    task = clock.begin(spec, phase, splits)
    clock.measure(task.kind, seconds + start, task.images, start)
    return task


def test_a_phase_alone_is_told_alone_and_what_may_stop_early_at_most(clock):
    assert clock.left(measured(clock, HEAD, parts(100), 1.0), 12) == "; at most 12 s left"
    assert clock.left(measured(clock, TUNE, parts(100), 50.0), 4) == "; about 3 min 20 s left"
    assert clock.left(clock.begin(PLAIN, TUNE, parts(100)), 0) == ""
    never_stops = measured(clock, HEAD, parts(100, validation=0), 1.0)
    assert clock.left(never_stops, 12) == "; about 12 s left"


def test_the_pace_is_the_mean_of_all_epochs_and_leaves_out_what_compiling_took(clock):
    task = measured(clock, TUNE, parts(100), 2.0, start=30.0)
    assert clock.left(task, 4) == "; about 8 s left"
    clock.measure(task.kind, 4.0, 100)
    assert clock.left(task, 3) == "; about 9 s left"
    clock.expect(PLAIN, TUNE, parts(200), name="fine-tune")  # compiles anew, and has twice the images: 30 + 5 x 6
    assert clock.left(task, 3) == "; about 9 s left in this phase, about 1 min 9 s in all"
    assert clock.left(task, 0) == "; about 1 min 0 s left"


def test_all_that_lies_ahead_is_one_total_and_what_was_never_measured_is_said_to_be_so(clock):
    moved = dataclasses.replace(PLAIN, augmentation={"shift": 0.1})
    one, two = parts(100), parts(200)
    for splits in (one, two):
        for phase in (HEAD, TUNE):
            clock.expect(moved, phase, splits, name=phase.name)
    head = measured(clock, HEAD, one, 1.0, spec=moved)
    assert clock.left(head, 12) == "; at most 12 s left in this phase, then 2 phases, not measured yet"
    clock.measure(head.base, 11.0, 110)
    # Ahead: 20 epochs of 2 s, and features of 3 views of 200 images and of 10 to validate, 0.1 s each.
    rest = "without fine-tune, not measured yet"
    assert clock.left(head, 12) == f"; at most 12 s left in this phase, at most 1 min 53 s in all, {rest}"
    assert clock.left(head, 0) == f"; at most 1 min 41 s left, {rest}"
    tune = measured(clock, TUNE, one, 10.0, spec=moved)
    # And 5 epochs of 20 s: what remains of this phase cannot stop early, but the head can.
    assert clock.left(tune, 4) == "; about 40 s left in this phase, at most 4 min 1 s in all"
    clock.begin(moved, HEAD, two)
    assert clock.left(tune, 4) == "; about 40 s left in this phase, about 2 min 20 s in all"
    clock.begin(moved, TUNE, two)
    assert clock.left(tune, 4) == "; about 40 s left"


def test_a_base_is_frozen_for_a_head_and_for_the_top_and_augmented_where_the_model_asks(clock):
    moved = dataclasses.replace(PLAIN, augmentation={"shift": 0.1})
    for spec, trainable in ((PLAIN, "head"), (moved, "head"), (moved, "top:3"), (moved, "all"), (moved, "everything")):
        clock.expect(spec, dataclasses.replace(HEAD, trainable=trainable), parts(100), name="one")
    clock.expect(PLAIN, HEAD, parts(100), name="alone", features=7)
    assert [task.features for task in clock.ahead] == [110, 310, 310, 0, 0, 7]


def test_compiling_is_what_the_first_steps_took_longer():
    from casestudy.training.clock import compiling

    assert compiling(10.0, [15.0, 16.0, 17.0, 20.0, 20.5, 21.0], steps=3) == pytest.approx(4.0 + 2.5)
    assert compiling(10.0, [15.0, 16.0, 17.0], steps=3) == pytest.approx(4.0)  # no validation
    assert compiling(10.0, [10.5, 12.0], steps=2) == 0.0  # the first was the faster
    assert compiling(10.0, [15.0], steps=1) == compiling(10.0, [], steps=1) == 0.0  # nothing to compare with


def test_features_are_told_before_they_are_computed_and_again_when_their_pace_shows(clock, now, said):
    done = clock.watch(PLAIN, "head", 1000)
    assert said() == ["a frozen base sees 1,000 images first, once: how long is not measured yet"]
    for _ in range(10):
        now[0] += 20.0 if len(said()) == 1 and now[0] == 1000 else 2.0  # the first batch compiles for 18 s
        done(100)
    # 6 s after the first batch, three of nine others are done.
    assert said()[1:] == ["a frozen base has seen 400 of 1,000 images; about 12 s left"]
    done = clock.watch(PLAIN, "head", 500)
    assert said()[2:] == ["a frozen base sees 500 images first, once: about 28 s"]  # 18 s, and 0.02 s an image
    for _ in range(5):
        now[0] += 9.0
        done(100)
    assert len(said()) == 3  # it was said before
    clock.watch(PLAIN, "top:3", 1)
    assert said()[3:] == ["a frozen base sees 1 image first, once: how long is not measured yet"]  # a longer way


def test_what_is_short_is_told_once_and_one_batch_tells_nothing_of_compiling(clock, now, said):
    done = clock.watch(PLAIN, "head", 50)
    now[0] += 10.0
    done(50)
    clock.watch(PLAIN, "head", 100)
    assert said()[1:] == ["a frozen base sees 100 images first, once: about 20 s"]


def test_a_clock_is_a_runs_while_it_is_open(clock):
    from casestudy.training import Clock

    with clock:
        assert Clock.current() is clock
    assert Clock.current() is not clock
    with pytest.raises(KeyboardInterrupt), clock:
        raise KeyboardInterrupt
    assert Clock.current().ahead == []


def test_a_run_expects_what_it_has_not_done(monkeypatch):
    """Folds, variants and a random split, and the head alone: a learnt base gives everyone the same features."""
    from casestudy.runs.ahead import expected
    from casestudy.runs.trained import TrainedModel

    def run(weights, *tables):
        variant = SimpleNamespace(name="dense", model=PLAIN, phases=(TUNE,))
        spec = dataclasses.replace(PLAIN, weights=weights)
        study = SimpleNamespace(model=spec, phases=(HEAD, TUNE), variants=(variant,))
        record = SimpleNamespace(resolved_wishes=lambda: SimpleNamespace(study=study))
        return SimpleNamespace(record=record, has=tables.__contains__)

    def split(train, fold=""):
        return SimpleNamespace(train=range(train), validation=range(10), images=range(300), fold=fold)

    own, other = TrainedModel("headline", "own", "signer", ""), TrainedModel("dense", "variant", "signer", "")
    alone, random = TrainedModel("head", "head", "signer", ""), TrainedModel("head-random", "head", "random", "")
    folds = [split(100, "a"), split(101, "b")]
    trainings, heads = [(own, folds), (other, [split(200)])], [(alone, folds), (random, [split(200)])]

    def ahead(run):
        return [(task.name, task.images, task.features) for task in expected(run, trainings, heads).ahead]

    everything = [
        ("head", 100, 110),
        ("fine-tune", 100, 0),
        ("head", 101, 111),
        ("fine-tune", 101, 0),
        ("fine-tune of dense", 200, 0),
    ]
    assert ahead(run("signs")) == [
        *everything,
        ("head alone", 100, 300),
        ("head alone", 101, 0),
        ("head alone", 200, 0),
    ]
    assert ahead(run(None))[5:] == [("head alone", images, 300) for images in (100, 101, 200)]
    done = ("folds/01-a/predictions.csv", "predictions_dense.csv", "predictions_head.csv")
    assert ahead(run("signs", *done)) == [*everything[2:4], ("head alone", 200, 300)]


def test_the_features_are_not_multiplied_by_the_epochs_left(make_images, monkeypatch, now, said):
    """Features of 10 s, epochs of 0.6 s: it was 3 min 21 s after the first, where 11 s were needed."""
    from casestudy.data import split_images
    from casestudy.models import build_model
    from casestudy.training import Clock, phases as training, train

    stage_for, losses = training.stage_for, iter([1.0, 0.5, 0.6, 0.7, 0.8, 0.9])

    def slow_stage(*args, **options):
        now[0] += 10.0
        return stage_for(*args, **options)

    def epoch(*args, **options):
        now[0] += 0.6
        return {"loss": 1.0, "val_loss": next(losses)}

    monkeypatch.setattr(training, "stage_for", slow_stage)
    monkeypatch.setattr(training, "fit_epoch", epoch)
    splits = split_images(make_images(signers=4, takes=3), SplitSpec("signer"), seed=1)
    model = build_model(PLAIN, splits.images, seed=7)
    with Clock() as clock:
        clock.expect(PLAIN, HEAD, splits, name="head")
        clock.expect(PLAIN, TUNE, splits, name="fine-tune")
        found = train(model, splits, HEAD, seed=7)
    assert found.seconds == {"head": pytest.approx(10 + 6 * 0.6)}  # as it always was: features and all
    assert [line.partition("; ")[2] for line in said() if line.startswith("head ")] == [
        "at most 11 s left in this phase, then fine-tune, not measured yet",
        "at most 11 s left in this phase, then fine-tune, not measured yet",
        "at most 10 s left in this phase, then fine-tune, not measured yet",
        "at most 10 s left in this phase, then fine-tune, not measured yet",
        "at most 9 s left in this phase, then fine-tune, not measured yet",
        "then fine-tune, not measured yet",  # four epochs in vain: the phase is over
    ]


def test_the_first_epochs_compiling_is_not_multiplied_either(make_images, monkeypatch, now, said):
    """A clock that stands still but for the ends of steps: 21 s for the first of both kinds, 1 s for the others."""
    from casestudy.data import split_images
    from casestudy.models import build_model
    from casestudy.training import epochs, phases as training, train

    splits = split_images(make_images(signers=4, takes=3), SplitSpec("signer"), seed=1)
    phase = dataclasses.replace(TUNE, epochs=2, batch_size=4)
    steps, ended = -(-len(splits.train) // 4), []

    def look():
        return now[0]

    def step_ended():
        first = len(ended) in (0, steps)
        ended.append(1)
        now[0] += 21.0 if first else 1.0
        return now[0]

    monkeypatch.setattr(epochs, "PREDICT_BATCH", 4)
    monkeypatch.setattr(epochs, "time", SimpleNamespace(perf_counter=step_ended))
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=look))
    train(build_model(PLAIN, splits.images, seed=7), splits, phase, seed=7)
    a_pass = steps + -(-len(splits.validation) // 4)
    assert len(ended) == 2 * a_pass
    lines = [line.partition("; ")[2] for line in said() if line.startswith("fine-tune ")]
    assert lines == [f"about {a_pass} s left", ""]
