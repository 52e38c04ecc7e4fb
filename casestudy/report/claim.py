"""What a run lets its student claim, and what it does not: sentences made from its own numbers, free to be copied."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from casestudy.evaluation import Evaluation, how_sure
from casestudy.runs import RunFolder
from casestudy.words import counted, percent

EVERYONE, HEAD = "head-everyone", "head"  # names of scores
NEVER = {
    "sample": "That it reads photographs of people so well: a program drew these hands.",
    "stand-in": "Any number of this run: drawn images stand in for the data of the study.",
    "quick": "That this is how good the model can be: it is a quick look, with small images and few epochs.",
}
WHO = {
    "signer": " whom the training never saw",
    "leave-one-signer-out": ", each left out of the training once",
}


@dataclass(frozen=True)
class Claims:
    """Sentences on a run."""

    may: tuple[str, ...]
    may_not: tuple[str, ...]


def claims(run: RunFolder) -> Claims:
    """Returns what may be claimed of a finished run and what may not, the most important first."""
    known, found, facts = run.provenance(), run.evaluation(), run.facts
    scores = {score.name: score for score in run.scores()}
    others = {name: run.evaluation(scores[name].predictions) for name in (HEAD, EVERYONE) if name in scores}
    images = "photographs" if run.record.wishes.study.data.kind == "archive" else "images"
    may = [_headline(found, known.tested, images, facts.protocol)]
    if EVERYONE in others:
        everyone = others[EVERYONE]
        may.append(
            f"The head alone, trained once without each of {everyone.sure.people} people, reads "
            f"{percent(everyone.accuracy)} of all {images}; {everyone.sure.sentence}."
        )
    if HEAD in others and facts.protocol in WHO:
        may.append(_fine_tuning(found, others[HEAD]))
    may.append(_mistakes(found))
    if _validation_above(run):
        may.append(
            "That validation is above training is no fault: training images were varied and dropout was on, validation "
            "images were left as they are."
        )
    may_not = [sentence for holds, sentence in NEVER.items() if holds in (known.drawn, known.quick and "quick")]
    if facts.protocol == "random":
        may_not.append("That it reads people it never saw: the same people may be in training and test.")
    elif known.tested:
        few = "two people cannot" if known.tested == 2 else "one person cannot" if known.tested == 1 else ""
        if few:
            may_not.append(f"That it reads {percent(found.accuracy)} of what other people show: {few} tell.")
    if known.copies:
        may_not.append(
            f"That all test {images} were new: {counted(known.copies, images[:-1])} have a copy in training."
        )
    least, most = found.per_label["support"].min(), found.per_label["support"].max()
    many = f"{most}" if least == most else f"{least} to {most}"
    may_not.append(
        f"That a label is hard or easy by its accuracy alone: each was tested on {many} {images}, and among "
        f"{len(found.class_names)} labels one is always last."
    )
    return Claims(tuple(may), tuple(may_not))


def _headline(found: Evaluation, tested: int, images: str, protocol: str) -> str:
    count = f"{len(found.predictions):,} {images}"
    whose = f" of {counted(tested, 'person')}{WHO[protocol]}" if protocol in WHO and tested else ""
    how = {"random": " chosen at random", "published": " of the published test part"}.get(protocol, "")
    return f"The model reads {percent(found.accuracy)} of {count}{how}{whose}; {found.sure.sentence}."


def _fine_tuning(found: Evaluation, head: Evaluation) -> str:
    """Returns whether the phases after the first helped, on the same photographs."""
    facts = ["name", "signer", "label", "predicted"]
    both = found.predictions[facts].merge(head.predictions[facts], on=["name", "signer", "label"])
    right = [both["label"] == both[column] for column in ("predicted_x", "predicted_y")]
    change = how_sure(right[0].astype(int) - right[1].astype(int), both["signer"], kind="difference")
    low, high = change.interval
    verdict = "helped" if low > 0 else "hurt" if high < 0 else "changed little that these people can tell"
    if change.people == 2:
        verdict = "raised" if change.estimate > 0 else "lowered" if change.estimate < 0 else "did not change"
        verdict += " the score"
    return (
        f"Fine-tuning {verdict}: from {percent(head.accuracy)} with the head alone to {percent(found.accuracy)} "
        f"({change.sentence})."
    )


def _mistakes(found: Evaluation) -> str:
    """Returns how many mistakes there are, and how many are one person's or one label's."""
    wrong = found.mistakes
    if not len(wrong):
        return "It made no mistake on the test part."
    shares = [f"{_most(wrong['label'])} of the label {wrong['label'].mode()[0]}"]
    if len(found.per_signer) > 1:
        shares.insert(0, f"{_most(wrong['signer'])} of {wrong['signer'].mode()[0]}")
    return f"Of {counted(len(wrong), 'mistake')}, {' and '.join(shares)}."


def _most(values: pd.Series) -> str:
    count = int(values.value_counts().iloc[0])
    return f"{count} {'is' if count == 1 else 'are'}"


def _validation_above(run: RunFolder) -> bool:
    """Returns whether the validation part was read better than the training part when its best weights were kept."""
    history = run.read_table(f"{run.trainings()[0]}history.csv")
    last = history[history["phase"] == history["phase"].iloc[-1]].pivot(index="epoch", columns="metric", values="value")
    kept = last.iloc[run.record.wishes.study.phases[-1].kept_epoch({name: last[name].tolist() for name in last})]
    return bool("val_accuracy" in kept and kept["val_accuracy"] > kept["accuracy"])
