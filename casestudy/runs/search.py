"""Searches for a study's settings with Keras Tuner: what was tried, and what won on the validation part."""

from __future__ import annotations

import json
import logging
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from casestudy.data import split_images
from casestudy.errors import DataError
from casestudy.files import atomic_path
from casestudy.runs.folder import RunFolder
from casestudy.runs.record import Wishes, environment
from casestudy.runs.steps import prepare_run
from casestudy.study import ModelSpec, Phase, Study

log = logging.getLogger(__name__)


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


def tune(study: Study, source: Path, out: Path, *, seed: int, trials: int) -> Path:
    """Returns the path of search.json in the folder `out`: the space, every trial, and the best values.

    Each trial trains the study's model with other values for a few epochs on a part of the training images, and is
    scored on the validation part; the test part is not looked at. A search that was stopped goes on where it was.

    Args:
        study: With a space to search, in `study.search`.
        source: Its data.
        out: A new folder, or that of an earlier search of the same study, which goes on.
        seed: Of the search, the split and every training.
        trials: So many in all.

    Raises:
        DataError: The study has no space to search, or Keras Tuner is not installed.
    """
    wanted = study.search
    if wanted is None:
        raise DataError(f"A search needs a space; {study.name} has none. Give its block in studies.py a Search(…).")
    from casestudy import training
    from casestudy.models import build_model  # first: it keeps TensorFlow's start-up quiet

    try:
        import keras_tuner
    except ImportError as error:
        raise DataError(
            'A search needs Keras Tuner, which is not here. Get it: pip install "casestudy[tune]"'
        ) from error
    run = RunFolder.begin(out, Wishes(study, seed), source)
    fewer = replace(study.split, fraction=wanted.fraction)
    _, images, _ = prepare_run(run)
    whole, some = (split_images(images, spec, seed=seed) for spec in (study.split, fewer))
    splits = replace(some, validation=whole.validation)  # close settings are told apart by many images
    space, epochs, most = wanted.space, wanted.epochs, wanted.most_parameters

    class Search(keras_tuner.BayesianOptimization):
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> float:
            values = {name: choices[trial.hyperparameters.get(name)] for name, choices in space.items()}
            changed = with_values(study, {**values, "epochs": epochs})
            model = build_model(changed.model, images, seed=seed, weights=None)
            parameters = model.count_params()
            if parameters > most:  # too large to win; not trained
                score = 0.0
            else:
                for phase in changed.phases:
                    history = training.train(model, splits, phase, seed=seed).history
                score = float(history[history["metric"] == "val_accuracy"]["value"].max())
            log.info("trial %s: %s, %d parameters: %.4f", trial.trial_id, values, parameters, score)
            with atomic_path(out / "trials" / f"{trial.trial_id}.json") as partial:
                partial.write_text(json.dumps({"values": values, "parameters": parameters, "val_accuracy": score}))
            return score

    (out / "trials").mkdir(exist_ok=True)
    hyperparameters = keras_tuner.HyperParameters()
    for name, choices in space.items():
        hyperparameters.Int(name, 0, len(choices) - 1)
    search = Search(
        objective=keras_tuner.Objective("val_accuracy", "max"),
        max_trials=trials,
        seed=seed,
        hyperparameters=hyperparameters,
        directory=str(out),
        project_name="keras_tuner",
    )
    search.search(verbose=0)
    done = [json.loads(path.read_text()) for path in sorted((out / "trials").glob("*.json"))]
    result = {
        "study": study.name,
        "seed": seed,
        "space": {name: list(choices) for name, choices in space.items()},
        "epochs": epochs,
        "images": len(splits.train),
        "most_parameters": most,
        "trials": done,
        "best": max(done, key=lambda trial: trial["val_accuracy"]),
        "environment": environment(),
    }
    run.write_json("search.json", result)
    return out / "search.json"
