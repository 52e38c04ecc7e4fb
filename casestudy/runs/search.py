"""Searches for a study's settings with Keras Tuner: what was tried, and what won on the validation part."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from casestudy.cluster import workers
from casestudy.data import ImageSet, Splits, split_images
from casestudy.errors import DataError
from casestudy.files import file_digest, write_text
from casestudy.runs.folder import RunFolder
from casestudy.runs.owner import owned
from casestudy.runs.record import Wishes, environment
from casestudy.runs.steps import prepare_run
from casestudy.study import ModelSpec, Phase, Search, Study

log = logging.getLogger(__name__)

ROUND = 8  # trials that are chosen together, and may be done side by side: later ones know the scores of earlier rounds


def with_values(study: Study, values: dict[str, Any]) -> Study:
    """Returns the study with these values in its last phase, its model, or the options of its architecture.

    Each goes where a field of that name is; what is no field of a phase or a model is an option.
    """
    phase_fields, model_fields = ({field.name for field in fields(kind)} for kind in (Phase, ModelSpec))
    phase = {name: value for name, value in values.items() if name in phase_fields}
    model = {name: value for name, value in values.items() if name in model_fields - phase_fields}
    options = {name: value for name, value in values.items() if name not in phase_fields | model_fields}
    return replace(
        study,
        model=replace(study.model, **model, options={**study.model.options, **options}),
        phases=(*study.phases[:-1], replace(study.phases[-1], **phase)),
    )


def tune(study: Study, source: Path, out: Path, *, seed: int, trials: int, cluster: str | None = None) -> Path:
    """Returns the path of search.json in the folder `out`: the space, every trial, and the best values.

    Each trial trains the study's model with other values for a few epochs on a part of the training images, and is
    scored on the validation part; the test part is not looked at. What is tried follows from the seed and the scores of
    the rounds before, however many workers there are. A search that was stopped, or that is to have more trials, goes
    on: its trials are read from their files.

    Args:
        study: With a space to search, in `study.search`.
        source: Its data.
        out: A new folder, or that of an earlier search of the same study, which goes on.
        seed: Of the search, the split and every training.
        trials: So many in all.
        cluster: Whose workers do the trials; see `cluster.run_tasks`.

    Raises:
        DataError: The study has no space to search, or Keras Tuner is not installed.
    """
    wanted = study.search
    if wanted is None:
        raise DataError(f"A search needs a space; {study.name} has none. Give the study a search=Search(…).")
    from casestudy.models import tf  # noqa: F401  # first: it keeps the start-up of TensorFlow quiet

    try:
        from keras_tuner import HyperParameters, Objective
        from keras_tuner.oracles import BayesianOptimizationOracle
    except ImportError as error:
        raise DataError("A search needs Keras Tuner, which is not here. Get it: pip install keras-tuner") from error
    run = RunFolder.begin(out, Wishes(study, seed), source)
    hyperparameters = HyperParameters()
    for name, choices in wanted.space.items():
        hyperparameters.Int(name, 0, len(choices) - 1)
    oracle = BayesianOptimizationOracle(
        objective=Objective("val_accuracy", "max"),
        max_trials=trials,
        seed=seed or 2**31,  # which would else be one by chance
        hyperparameters=hyperparameters,
    )
    done: list[dict[str, Any]] = []
    with owned(run.path), TemporaryDirectory() as notes, workers(cluster, run.path, min(trials, ROUND)) as do:
        oracle._set_project_dir(notes, "")
        oracle.verbose = 0
        _, images, _ = prepare_run(run)
        search = _Trials.of(run, study, images)
        place = str(run.path.resolve()), file_digest(run.path / "run.json")
        function = search.tried if cluster is None else partial(_tried, *place)
        while asked := [one for k in range(ROUND) if (one := oracle.create_trial(str(k))).status == "RUNNING"]:
            tasks = []
            for k, trial in enumerate(asked, len(done)):
                values = {name: choices[trial.hyperparameters.get(name)] for name, choices in wanted.space.items()}
                tasks.append((f"{k:03}", values))
            found = do(function, tasks, "trial", ())
            for trial, one in zip(asked, found, strict=True):
                oracle.update_trial(trial.trial_id, {"val_accuracy": one["val_accuracy"]})
                trial.status = "COMPLETED"
                oracle.end_trial(trial)
            done += found
        result = {
            "study": study.name,
            "seed": seed,
            "space": {name: list(choices) for name, choices in wanted.space.items()},
            "epochs": wanted.epochs,
            "images": len(search.splits.train),
            "most_parameters": wanted.most_parameters,
            "trials": done,
            "best": max(done, key=lambda trial: trial["val_accuracy"]),
            "environment": environment(),
        }
        run.write_json("search.json", result)
    return out / "search.json"


@dataclass(frozen=True)
class _Trials:
    """What every trial of a search needs."""

    run: RunFolder
    study: Study
    wanted: Search
    splits: Splits

    @classmethod
    def of(cls, run: RunFolder, study: Study, images: ImageSet) -> _Trials:
        seed, wanted = run.record.wishes.seed, study.search
        assert wanted is not None  # `tune` has refused it
        fewer = replace(study.split, fraction=wanted.fraction)
        whole, some = (split_images(images, spec, seed=seed) for spec in (study.split, fewer))
        # Close settings are told apart by many images.
        return cls(run, study, wanted, replace(some, validation=whole.validation))

    def tried(self, trial: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """Returns values, parameters and score of a trial, from its file where it has been done."""
        from casestudy import training
        from casestudy.models import build_model

        name, values = trial
        file = f"trials/{name}.json"
        if self.run.has(file) and (before := self.run.read_json(file)).get("values") == values:
            return before
        seed, wanted = self.run.record.wishes.seed, self.wanted
        changed = with_values(self.study, {**values, "epochs": wanted.epochs})
        model = build_model(changed.model, self.splits.images, seed=seed, weights=None)
        parameters, score = model.count_params(), 0.0
        if parameters <= wanted.most_parameters:  # a larger one is too large to win; not trained
            for phase in changed.phases:
                history = training.train(model, self.splits, phase, seed=seed).history
            score = float(history[history["metric"] == "val_accuracy"]["value"].max())
        log.info("trial %s: %s, %d parameters: %.4f", name, values, parameters, score)
        found = {"values": values, "parameters": parameters, "val_accuracy": score}
        write_text(self.run.place(file), json.dumps(found))
        return found


def _tried(path: str, digest: str, trial: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return _search_in(path, digest).tried(trial)


@lru_cache(maxsize=1)
def _search_in(path: str, digest: str) -> _Trials:
    """Returns the search in a folder with a run.json of that digest, as whoever began it has it."""
    run = RunFolder.resume(path)
    study = run.resolve()
    return _Trials.of(run, run.record.wishes.study, run.study_images(study))
