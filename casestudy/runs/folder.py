"""The run folder: the contract between training and everything that reads its results.

    run.json          the study, the data and its hash, seed, weights, machine, SHA-256 of every file, and the seal
    .local.json       where data and weights lie on this machine, not handed on; .owner…, who works here
    letters.zip       the cleaned data set (absent when the run was given one)
    ledger.csv        one row for every entry of the archive
    splits.csv        name, signer, label, part (in leave-one-signer-out one column a fold)
    crops.csv         where each hand was found, if it was looked for; near.csv, heat.csv, map.csv: see explained.py
    history.csv       phase, epoch, metric, value
    training.json     seconds and images per second a phase, largest change of a frozen BatchNormalization variable
    model.keras       the whole network, from pixels to probabilities, and what reading a photograph needs
    predictions*.csv  one row a test photograph, a probability a label; every figure comes from here
    metrics.json      the scores, in scores.csv too; per_label.csv, confusion*.csv, timing.csv, …: their tables
    plots/*.png, report.html
    folds/01-SIGNER/  history.csv, training.json and model.keras of each fold of leave-one-signer-out
    variants/NAME/    the same of each other model of the study; comparison.csv and paired_tests.csv compare them
    seeds/N/          the same of the study's own, trained from another seed
    copies.csv        test images with a copy in training; distorted.csv: what is read of the distorted test images
CSV, JSON, PNG and .keras only: reading a run folder never runs code from it.
"""

from __future__ import annotations

import datetime
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from casestudy.choices import OWN
from casestudy.data import ImageSet, Splits, load_images, open_photographs
from casestudy.errors import DataError, RunError
from casestudy.evaluation import Evaluation, evaluate_predictions
from casestudy.files import file_digest
from casestudy.runs.crops import boxes_of, same_hands
from casestudy.runs.files import SCHEMA_VERSION, RunFiles, hidden, json_text, seal_of
from casestudy.runs.local import LOCAL, Local, name_of
from casestudy.runs.owner import refuse_others
from casestudy.runs.provenance import Provenance, provenance_of
from casestudy.runs.record import ImageFacts, Metrics, Resolved, RunRecord, Score, Source, TrainingRecord, Wishes
from casestudy.runs.save import save_evaluation, save_ledger, save_own_splits, save_whole_training
from casestudy.runs.trained import PREDICTIONS, TrainedModel, models_of

if TYPE_CHECKING:
    import keras

    from casestudy.data.photographs import Photographs
    from casestudy.study import Study
    from casestudy.training import TrainingRun

CLEANED = {"letters.zip", "ledger.csv"}  # what a run holds before its images are split


@dataclass(frozen=True)
class RunFolder(RunFiles):
    """A folder of results, written step by step, and what it knows about itself."""

    local: Local = field(default_factory=Local, compare=False)  # places outside, as whoever opened it has named them

    @classmethod
    def resume(cls, path: str | Path, *, needs: str = "run.json") -> RunFolder:
        """Returns one's own run folder as `open` does, with data and weights where they lay when it was begun."""
        run = cls.open(path, needs=needs)
        return replace(run, local=run.read(Local, LOCAL)) if run.has(LOCAL) else run

    @classmethod
    def open(cls, path: str | Path, *, needs: str = "run.json", data: Path | None = None) -> RunFolder:
        """Returns the run folder at `path`, in which a step before must have left the file `needs`.

        It may be anybody's: of this machine only the run's `data` are read, if the caller names them. A RunError says
        that there is none, that it lacks this file, holds a link, or that a newer version wrote it.
        """
        run = cls(Path(path), Local(str(data.resolve()) if data else ""))
        if not run.has("run.json"):
            raise run._lacks("run.json", f"A run folder holds a run.json; {path} has none.")
        run.refuse_links()
        version = run.read_json("run.json").get("schema_version")
        if version != SCHEMA_VERSION:
            read = f"This version reads run folders of schema {SCHEMA_VERSION}; {path} has {version!r}."
            raise RunError(f"{read} Install the version that wrote it.")
        run.require(needs)
        run.local.hold_against(run.record)  # here and not in the middle of a step it is said what cannot be read
        return run

    @classmethod
    def begin(cls, path: str | Path, wishes: Wishes, source: str | Path) -> RunFolder:
        """Returns the run folder at `path`, which knows what to do and with what, and has done nothing yet.

        It is made where missing, and opened where the same run was begun before; arguments and errors are those of
        `run_study`.
        """
        source = Path(source)
        run = cls(Path(path), Local.of(wishes, source))
        if run.path.is_file():
            raise RunError(f"A run is a folder; {run.path} is a file. Name another place with --out.")
        refuse_others(run.path)
        made = {path.name for path in run.path.iterdir()} - {"run.json", LOCAL} if run.path.is_dir() else set()
        digest = file_digest(source) if source.is_file() else ""
        data = Source(source.resolve().name, digest)
        if run.has("run.json"):
            before, record = cls.resume(run.path).local, run.record
            other = record.wishes.differences(wishes)
            moved = before.data != run.local.data if before.data else data.name != record.data.name
            if (digest and digest != record.data.sha256) or (source.is_dir() and moved):
                other.append("data")
            if not other:
                if before != run.local and not record.files:
                    run.write_json(LOCAL, run.local.to_json())
                return run
            if made <= CLEANED and not any("data" in name.split(".") for name in other):
                made.clear()  # another split or training starts from the same clean photographs
            if made:  # before that, another start does no harm
                other_run = f"{run.path} holds one that differs in {', '.join(other)}. Name another folder with --out."
                raise RunError(f"A run is never overwritten; {other_run}")
        if made:
            rule = "A run starts in a new or empty folder"
            raise RunError(f"{rule}; {run.path} holds other files. Name another with --out.")
        if not source.exists():
            raise DataError(f"--data names an archive, a folder or a letters.zip; there is nothing at {source}.")
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        try:
            run.write_record(RunRecord(wishes, data, started))
            run.write_json(LOCAL, run.local.to_json())
        except OSError as error:
            raise RunError(
                f"A run needs a folder that can be written; {run.path} cannot ({error.strerror}). Name another place."
            ) from error
        return run

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def record(self) -> RunRecord:
        """What run.json holds, with files of weights where they lie on this machine as far as `local` tells."""
        record = RunRecord.from_json(self.read_json("run.json"), source=str(self.path / "run.json"))
        return record.with_weights(self.local.place_of)

    def write_record(self, record: RunRecord) -> None:
        """Writes run.json, in which files have their names alone: it is handed on, and places tell of their owner."""
        self.write_json("run.json", record.with_weights(name_of).to_json())

    @property
    def resolved(self) -> Resolved:
        """What was resolved when the training began; a RunError before that."""
        self.require("splits.csv")
        if (resolved := self.record.resolved) is None:
            raise self._lacks("splits.csv")
        return resolved

    @property
    def facts(self) -> ImageFacts:
        """What the images turned out to be; a RunError before they are split."""
        self.require("splits.csv")
        if (images := self.record.images) is None:
            raise self._lacks("splits.csv")
        return images

    @property
    def finished(self) -> bool:
        """Whether every step has been done."""
        return self.has("run.json") and bool(self.record.files)

    @property
    def letters(self) -> Path:
        """The clean photographs: the run's own letters.zip, or the data that it was given."""
        return self.path / "letters.zip" if self.has("letters.zip") else self.source

    @property
    def source(self) -> Path:
        """The data that the run was given; a DataError where whoever opened it did not say where they are."""
        if not self.local.data:
            raise DataError(f"The data of {self.path} lie elsewhere. Name them: --data {self.record.data.name}")
        return Path(self.local.data)

    @property
    def cache(self) -> Path:
        """Where decoded pixels are kept, for all runs beside this one unless it has a folder of its own for them."""
        own = self.path / ".cache"
        return own if own.is_dir() else self.path.parent / ".cache"

    def ledger(self) -> pd.DataFrame | None:
        """Returns the ledger; None for data that were no archive."""
        return self.read_table("ledger.csv") if self.has("ledger.csv") else None

    def seal(self) -> None:
        """Writes the SHA-256 of every result into run.json, and its seal: the run is finished.

        The report is no result: it only shows the others, and may be written again.
        """
        files = {
            path.relative_to(self.path).as_posix(): file_digest(path)
            for path in sorted(self.path.rglob("*"))
            if path.is_file() and path.name not in ("run.json", "report.html") and not hidden(path, self.path)
        }
        values = {**replace(self.record, files=files).with_weights(name_of).to_json(), "seal": ""}
        self.write_json("run.json", {**values, "seal": seal_of(json_text(values).encode())})

    def provenance(self) -> Provenance:
        """Returns what the run is; see there."""
        return provenance_of(self)

    def models(self) -> list[TrainedModel]:
        """Returns every model that this run may have, its own first."""
        return models_of(self.record.wishes.study, self.facts.protocol, self.record.wishes.other_seeds)

    def compared(self) -> list[TrainedModel]:
        """Returns the models that are compared with one another: the variants, then the study's own."""
        own, *others = self.models()
        return [*(model for model in others if model.role == "variant"), own]

    def scores(self) -> tuple[Score, ...]:
        """Returns the scores of metrics.json, the headline first."""
        return self.read(Metrics, "metrics.json").scores

    def evaluation(self, predictions: str = PREDICTIONS) -> Evaluation:
        """Returns what predictions amount to, computed from their table again."""
        table, names = self.read_table(predictions), self.facts.class_names
        try:
            return evaluate_predictions(table, names)
        except (LookupError, ValueError, TypeError) as error:  # a column or a label that it needs
            raise RunError(f"{predictions} must fit the labels of run.json; {error}. Restore both files.") from error

    def training(self, home: str = "") -> TrainingRecord:
        """Returns training.json of the training that lies at `home`."""
        return self.read(TrainingRecord, f"{home}training.json")

    def histories(self) -> dict[str, pd.DataFrame]:
        """Returns the history of each model's training, by its name in a comparison; the own (or first fold's) last."""
        homes = {model.name: self.trainings(model.home)[0] for model in self.compared()} | {OWN: self.trainings()[0]}
        return {name: self.read_table(f"{home}history.csv") for name, home in homes.items()}

    def load_images(self, *, letters: Path | None = None, cache: Path | None = None) -> ImageSet:
        """Returns the images of all parts as the model sees them, or those of another letters.zip; needs the split."""
        self.require("splits.csv")
        return same_hands(self, self.study_images(self.record.resolved_wishes().study, letters=letters, cache=cache))

    def study_images(self, study: Study, *, letters: Path | None = None, cache: Path | None = None) -> ImageSet:
        """Returns the images as a resolved study has them; their pixels are kept in the `cache`, or in the run's."""
        assert study.model.image_size is not None  # resolved
        return load_images(
            letters or self.letters,
            image_size=study.model.image_size,
            cache_dir=cache or self.cache,
            crop=study.crop,
            margin=study.crop_margin,
            data=study.data,
        )

    def photographs(self) -> AbstractContextManager[Photographs]:
        """Opens the photographs, from the run's own letters.zip or from the clean zip that it was given."""
        study, facts = self.record.wishes.study, self.record.images
        known = bool(self.local.data) or self.has("letters.zip")  # a report of somebody else's run has no pictures
        published = known and study.data.kind != "archive" and self.letters.exists()
        source = self.load_images() if published else self.letters if known else self.path
        return open_photographs(source, study.crop_margin if facts and facts.cropped else None, boxes_of(self))

    def resolve(self) -> Study:
        """Returns the run's study with nothing left open: image size and starting weights are those of this machine.

        What was resolved once stands in run.json, and stays; a RunError refuses to go on on another machine.
        """
        from casestudy.training import Machine  # TensorFlow is needed from here on, and loaded only now

        record, here = self.record, Machine.here()
        if record.resolved is None:
            record = replace(record, resolved=Resolved.on(here, record.wishes))
            self.write_record(record)
        assert record.resolved is not None
        device = record.resolved.machine.device
        if device != here.device:
            raise RunError(
                f"A run ends on the machine it began on ({device}); this is {here.device}. Start a new one with --out, "
                f"or go on where it began."
            )
        return record.resolved_wishes().study

    def save(
        self,
        *,
        splits: Splits | None = None,
        training: TrainingRun | None = None,
        model: keras.Model | None = None,
        evaluation: Evaluation | None = None,
    ) -> None:
        """Writes what the verbs returned: `clean_archive`, `split_images`, `train` and `evaluate`.

        Without an argument it is the ledger of the letters.zip that lies in the folder, or that the run was given.
        A RunError says what is not as the run asks for it: other parts, a phase missing, another test part.
        """
        if splits is not None:
            save_own_splits(self, splits)
        if training is not None or model is not None:
            save_whole_training(self, training, model)
        if evaluation is not None:
            save_evaluation(self, self.models()[0], evaluation)
        if splits is None and training is None and evaluation is None:
            save_ledger(self, self.letters)
