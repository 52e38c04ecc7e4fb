"""The checks of ledger and split: each holds one thing in a submission against the key."""

from __future__ import annotations

from collections import Counter

from casestudy.grading.containers import readable
from casestudy.grading.contents import Contents
from casestudy.grading.outcomes import EARNED, NOT_EARNED, PARTIAL, Outcome
from casestudy.words import STATUSES, counted

PARTS = ("train", "validation", "test", "left out")


def nothing_lost(found: Contents) -> Outcome:
    """Ledger: a row for every entry of the archive, each with the SHA-256 of the original."""
    table = found.table("run/ledger.csv", ("entry", "sha256"))
    ours = Counter((row["entry"], row["sha256"]) for row in found.key.ledger)
    given_up = table.get("status", table["sha256"]) == "lost"  # its bytes are not there, whatever hash it has
    theirs = Counter(zip(table["entry"], table["sha256"].where(~given_up, ""), strict=True))
    lost, extra, total = (ours - theirs).total(), (theirs - ours).total(), ours.total()
    rows, entries = counted(len(table), "row"), counted(total, "entry")
    seen = f"run/ledger.csv: {rows} for {entries}, {total - lost:,} with the same bytes"
    if not lost and not extra:
        but = f", but for {counted(int(given_up.sum()), 'entry')} lost in the key, too" if given_up.any() else ""
        return Outcome(EARNED, seen, f"Every entry of the archive has its row, with its bytes unchanged{but}.")
    if lost > total / 2:
        hint = "Compare the SHA-256 of your archive with that of the one you were given."
        return Outcome(NOT_EARNED, seen, "This ledger is that of another archive.", hint)
    hint = "Count the entries of the archive, and look for names that two users' folders share."
    if given_up.any():
        hint = f"Fetch the archive again: --salvage gave up {counted(int(given_up.sum()), 'entry')} of yours."
    if lost + extra <= total / 100:
        why = f"Nearly all is accounted for; without a match: {counted(lost + extra, 'row')}."
        return Outcome(PARTIAL, seen, why, hint)
    why = f"Lost or changed: {counted(lost, 'entry')}; belonging to none: {counted(extra, 'row')}."
    return Outcome(NOT_EARNED, seen, why, hint)


def corrupt_found(found: Contents) -> Outcome:
    """Ledger: the damaged files are the ones in quarantine, and no sound one is."""
    table = found.table("run/ledger.csv", ("entry", "status"))
    if unknown := sorted(set(table["status"]) - STATUSES.keys()):
        seen = f"run/ledger.csv: {readable(unknown[0], 30)!r}"
        return Outcome(NOT_EARNED, seen, "There is a status that no ledger has.", f"Use {', '.join(STATUSES)}.")
    damaged = {row["entry"] for row in found.key.ledger if row["status"] == "corrupt"}
    aside = set(table["entry"][table["status"] == "corrupt"])
    hits, wrong = len(damaged & aside), len(aside - damaged)
    seen = f"run/ledger.csv: {len(aside)} corrupt"
    if aside == damaged:
        return Outcome(EARNED, seen, "All damaged files are set aside, and no sound one.")
    hint = "Decode every file to its last byte: some damaged files still show most of a picture."
    if not hits:
        return Outcome(NOT_EARNED, seen, "None of the damaged files is set aside.", hint)
    also = f", and {counted(wrong, 'sound one')}" if wrong else ""
    why = f"Set aside: {hits:,} of {counted(len(damaged), 'damaged file')}{also}."
    return Outcome(PARTIAL, seen, why, hint)


def honest_split(found: Contents) -> Outcome:
    """Split: no signer and no duplicate in two parts; who is in a photograph is what the key says."""
    table, photographs = found.splits, found.key.photographs
    protocol = readable(found.settings.get("protocol", "nothing"), 40)
    hint = "Look at a table of signers against parts: every row should have one number only."

    def refused(seen: str, sentence: str) -> Outcome:
        return Outcome(NOT_EARNED, f"run/splits.csv: {seen}", sentence, hint)

    again = table["name"][table["name"].duplicated()]
    if len(again):
        return refused(readable(again.iloc[0], 60), "A photograph has more than one row.")
    known = table[table["name"].isin(photographs)]
    if not len(known) == len(table) == len(photographs):
        of_all, more = counted(len(photographs), "photograph"), counted(len(table) - len(known), "other")
        return refused(f"{len(known):,} of {of_all}, {more}", "The parts are not those of the archive's photographs.")
    facts = [photographs[name] for name in known["name"]]
    frame = known.assign(signer=[fact.signer for fact in facts], group=[fact.group for fact in facts])
    shared, twins = set(), 0
    for column in found.part_columns:
        if unknown := sorted(set(frame[column]) - set(PARTS)):
            return refused(f"{readable(unknown[0], 30)!r} in column {readable(column, 40)}", "There is no such part.")
        used = frame[frame[column].isin(["train", "validation", "test"])]
        if not {"train", "test"} <= set(used[column]):
            return refused(column, "There is no training part, or no test part.")
        tested = frame["signer"].isin(used["signer"][used[column] == "test"])
        unwanted = int((tested & (frame[column] == "left out")).sum())
        if unwanted and protocol != "random":
            seen = f"left out: {counted(unwanted, 'photograph')} of tested signers"
            return refused(seen, "The test part is not whole.")
        if other := found.differs_from_rules(column):
            return refused(other, "The parts are not those that the rules of the case make of this seed.")
        parts = used.groupby("signer")[column].nunique()
        shared |= set(parts.index[parts > 1])
        twins += int((used.groupby("group")[column].nunique() > 1).sum())
    both = f"{counted(len(shared), 'signer')} and {counted(twins, 'duplicate')}"
    seen = f"{both} in two parts; run.json calls it {protocol}"
    if shared and protocol != "random":
        return refused(seen, "The split is said to keep signers apart, and does not.")
    if twins:
        return refused(seen, "Copies of one photograph are in two parts.")
    if shared:
        why = "Nothing is in two parts, but the same people are."
        return Outcome(PARTIAL, f"run/splits.csv: {seen}", why, hint)
    return Outcome(EARNED, f"run/splits.csv: {seen}", "Nobody is in two parts, and no duplicate is.")
