"""Runs in, or one and its models, and a page out: what they were asked for, what they score, and what flipped."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from casestudy.errors import UNREADABLE, CaseStudyError, RunError
from casestudy.evaluation import PREFIX, Contender, compare_models, how_sure
from casestudy.files import write_text
from casestudy.report import PROTOCOLS, decimals, interval, page, source
from casestudy.runs import RunFolder
from casestudy.words import MANY_LABELS, banner, counted, percent

if TYPE_CHECKING:
    from casestudy.evaluation import Evaluation

MOST = 8  # side by side on a page
MOST_FLIPS = 24  # photographs shown of each kind and run
MOST_NAMED = 8  # settings that the terminal names
PHOTOGRAPH = ["name", "label", "signer", "content"]  # what has to be the same for two runs to share a photograph
OTHER_SEED = "Another seed draws another test part; `casestudy run --seeds 2` trains from two seeds on the same."
WHERE = ("environment.", "machine.", "casestudy")  # settings of the machine, not of who asked


@dataclass(frozen=True)
class Part:
    """The shared photographs of one label or one person."""

    name: str
    support: int
    accuracies: tuple[float, ...]  # of each run, in [0, 1]

    @property
    def spread(self) -> float:
        return max(self.accuracies) - min(self.accuracies)


@dataclass(frozen=True)
class Against:
    """A run held against the first, on the photographs that all of them share."""

    name: str
    sentence: str  # which is ahead, by how much, and how sure that is
    lost: pd.DataFrame  # read rightly by the first alone: rows of this run's predictions, its costliest mistake first
    won: pd.DataFrame  # read rightly by this one alone: rows of the first run's predictions, ordered so


@dataclass(frozen=True)
class Comparison:
    """Several runs beside one another, or the models of one; the others are held against the first."""

    kind: Literal["run", "model"]
    runs: tuple[RunFolder, ...]  # the same one for each model
    names: tuple[str, ...]  # of models, or as much of the end of each path as tells it from the others
    found: tuple[Evaluation, ...]  # on all of its own test photographs
    settings: dict[str, list[Any]]  # what differs, by its name: a value for each run, None where it has no such setting
    shared: int  # test photographs that all have
    against: tuple[Against, ...]  # of each run but the first; () where no photograph is shared
    tests: pd.DataFrame  # of each pair, the later one first; as `evaluation.compare_models` has them
    labels: list[Part]  # those of which runs read another share, the most different first
    people: list[Part]  # all that are known

    def about_shared(self) -> str:
        """Returns how many photographs the runs are compared on, and what to do where that is none."""
        own = " and ".join(dict.fromkeys(f"{len(one.predictions):,}" for one in self.found))
        if self.shared:
            other = "" if "seed" not in self.settings or own == f"{self.shared:,}" else f" {OTHER_SEED}"
            return f"Compared on the {counted(self.shared, 'test photograph')} that all have, of {own}.{other}"
        remedy = (
            "Runs on the same data with the same split and seed share theirs, as do those that leave each signer out."
        )
        return f"The {self.kind}s share no test photograph, of {own}: nothing tells which one is ahead. {remedy}"

    def banners(self) -> Iterator[str]:
        """Yields what has to be known of each run before its numbers are read, and what makes them unlike."""
        said = [banner(run.facts.drawn, run.record.wishes.quick) for run in self.runs]
        for one in dict.fromkeys(filter(None, said)):
            whose = [name for name, own in zip(self.names, said, strict=True) if own == one]
            yield one if len(whose) == len(said) else f"{', '.join(whose)}: {one}"
        if len({run.facts.protocol for run in self.runs}) > 1:
            yield "The runs are split in different ways: one may have been trained on people whom another never saw."

    def lines(self) -> list[str]:
        """Returns what the terminal shows."""
        wide = max(map(len, (self.kind, *self.names)))
        lines = [*self.banners(), f"{self.kind:{wide}}  accuracy     loss  95 % interval        tested on"]
        for run, name, one in zip(self.runs, self.names, self.found, strict=True):
            numbers = f"{percent(one.accuracy):>8}  {decimals(one.loss):>7}  {interval(one.interval, ' to '):19}"
            lines.append(f"{name:{wide}}  {numbers}  {PROTOCOLS[run.facts.protocol]}")
        lines += ["", self.about_shared()]
        for other in self.against:
            lost, won = len(other.lost), len(other.won)
            lines.append(f"{other.sentence} {won} turned from wrong to right, {lost} from right to wrong.")
        named = [name for name in self.settings if not name.startswith(WHERE)]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        return [*lines, "", f"Settings that differ: {', '.join(named[:MOST_NAMED]) or 'none'}{more}."]


def compare_runs(runs: Sequence[RunFolder]) -> Comparison:
    """Returns runs held against one another, from their predictions and records; they may be anybody's.

    Of a single run its models are, in the order of its ladder: the study's own is the last.

    Raises:
        RunError: There are too few or too many runs or models, a run twice, or one without predictions.
        DataError: One has several predictions of a photograph.
    """
    kind: Literal["run", "model"] = "model" if len(runs) == 1 else "run"
    sides = [(run, run.models()[0]) for run in runs]
    if kind == "model":
        models = (model for model in runs[0].compared() if model.role == "own" or runs[0].has(model.predictions()))
        sides = [(runs[0], model) for model in models]
    if not 2 <= len(sides) <= MOST:
        rule = f"Two to {MOST} runs are compared, or as many models of one"
        raise RunError(f"{rule}; received {counted(len(sides), kind)}. Name another number of runs.")
    names = tuple(model.name for _, model in sides) if kind == "model" else _names(runs)
    runs = [run for run, _ in sides]
    found = tuple(run.evaluation(model.predictions()) for run, model in sides)
    settings = _differ([run.record.settings(model.name if kind == "model" else None) for run, model in sides])
    tables = _shared(runs, found)
    against: tuple[Against, ...] = ()
    tests, labels, people = pd.DataFrame(), [], []
    if len(tables[0]):
        contenders = [Contender(name, table) for name, table in zip(names, tables, strict=True)]
        tests = compare_models(contenders[::-1])["paired_tests.csv"][::-1]
        clear = tests.set_index(["first", "second"])["beyond_noise"]
        pairs = zip(names[1:], tables[1:], strict=True)
        against = tuple(_against(names[0], tables[0], *pair, clear[pair[0], names[0]]) for pair in pairs)
        labels = sorted((one for one in _parts(tables, "label") if one.spread), key=lambda one: (-one.spread, one.name))
        people = _parts(tables, "signer") if all(tables[0]["signer"]) else []
    return Comparison(kind, tuple(runs), names, found, settings, len(tables[0]), against, tests, labels, people)


def write_comparison(comparison: Comparison, target: Path) -> Path:
    """Returns the page's path, which must be new: self-contained, without a script, every value from a file escaped."""
    if target.exists():
        raise RunError(f"A page is never overwritten; {target} is there already. Name another with --out.")
    shown = [(one.lost.head(MOST_FLIPS), one.won.head(MOST_FLIPS)) for one in comparison.against]
    wanted = list(dict.fromkeys(name for pair in shown for rows in pair for name in rows["name"]))
    pictures: dict[str, str] = {}
    for run in comparison.runs:
        with (
            suppress(*UNREADABLE, CaseStudyError),
            run.photographs() as photographs,
        ):  # a stranger's zip may be anything
            pictures |= photographs.thumbnails(name for name in wanted if name not in pictures)
    settings = [(name, list(map(_said, values))) for name, values in comparison.settings.items()]
    text = page(
        "compare.html",
        comparison=comparison,
        rows=list(zip(comparison.runs, comparison.names, comparison.found, strict=True)),
        protocols=PROTOCOLS,
        against=list(zip(comparison.against, shown, strict=True)),
        pictures=pictures,
        labels=comparison.labels[:MANY_LABELS],
        asked=[row for row in settings if not row[0].startswith(WHERE)],
        where=[row for row in settings if row[0].startswith(WHERE)],
        style=source("report.css"),
    )
    write_text(target, text)
    return target


def _names(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    paths = [run.path.resolve().parts for run in runs]
    if len(set(paths)) < len(paths):
        raise RunError(f"Each run is compared once; {runs[0].path} or another is named twice. Name different folders.")
    names = (tuple("/".join(parts[-k:]) for parts in paths) for k in range(1, max(map(len, paths)) + 1))
    return next(tails for tails in names if len(set(tails)) == len(tails))


def _differ(each: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    rows = {name: [one.get(name) for one in each] for name in dict.fromkeys(name for one in each for name in one)}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _shared(runs: Sequence[RunFolder], found: Sequence[Evaluation]) -> list[pd.DataFrame]:
    """Returns each run's predictions of the photographs that all were tested on, in one order.

    The same name in other data is another photograph: its bytes tell, where a ledger has their SHA-256.
    """
    tables = []
    for run, one in zip(runs, found, strict=True):
        data, ledger = run.record.data, run.ledger()
        digests: dict[str, str] = {}
        if ledger is not None and {"stored_as", "sha256"} <= set(ledger):
            digests = dict(zip(ledger["stored_as"], ledger["sha256"], strict=True))
        content = [digests.get(name) or data.sha256 or data.name for name in one.predictions["name"]]
        table = one.predictions.assign(signer=one.predictions["signer"].fillna(""), content=content)
        tables.append(table.set_index(PHOTOGRAPH))
    common = functools.reduce(pd.Index.intersection, (table.index for table in tables)).sort_values()
    return [table.loc[common].reset_index() for table in tables]


def _against(first: str, before: pd.DataFrame, name: str, after: pd.DataFrame, clear: bool) -> Against:
    was, is_now = (table["label"] == table["predicted"] for table in (before, after))
    sure = how_sure(is_now.astype(int) - was.astype(int), before["signer"], kind="difference")
    said = f"{name} reads {percent(is_now.mean())} of them, {first} {percent(was.mean())}; {sure.sentence}"
    verdict = "" if sure.people == 2 else ": beyond noise" if clear else ": within noise"
    if (before["predicted"] == after["predicted"]).all():
        columns = [column for column in before if column.startswith(PREFIX)]
        same = before[columns].equals(after.get(columns)) if set(columns) <= set(after) else False
        said = f"{name} reads each of them as {first} does"
        verdict = ", with the very same probabilities" if same else ", with other probabilities"

    def worst(table: pd.DataFrame, which: pd.Series) -> pd.DataFrame:
        return table[which].sort_values(["loss", "name"], ascending=[False, True])

    return Against(name, f"{said}{verdict}.", worst(after, was & ~is_now), worst(before, ~was & is_now))


def _parts(tables: Sequence[pd.DataFrame], column: str) -> list[Part]:
    right = pd.concat([table["label"] == table["predicted"] for table in tables], axis=1)
    return [Part(str(name), len(rows), tuple(rows.mean())) for name, rows in right.groupby(tables[0][column])]


def _said(value: Any) -> str:
    """Returns a setting as people read it; a SHA-256 by its first letters.

    >>> _said((64, 64)), _said(None), _said(True), _said("3f" * 32)
    ('64, 64', '–', 'yes', '3f3f3f3f3f3f…')
    """
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_said, value))
    text = "–" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return f"{text[:12]}…" if re.fullmatch("[0-9a-f]{64}", text) else text
