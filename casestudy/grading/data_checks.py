"""Checks of what was made of the archive: nothing lost, damage found, an honest split."""

from __future__ import annotations

from collections import Counter

from casestudy.grading.evidence import Evidence
from casestudy.grading.findings import EARNED, NOT_EARNED, PARTIAL, Finding
from casestudy.grading.submission import readable


def nothing_lost(found: Evidence) -> Finding:
    """Ledger: a row for every entry of the archive, each with the SHA-256 of the original."""
    table = found.table("run/ledger.csv", ("entry", "sha256"))
    ours = Counter((row["entry"], row["sha256"]) for row in found.key.ledger)
    theirs = Counter(zip(table["entry"], table["sha256"], strict=True))
    lost, extra = (ours - theirs).total(), (theirs - ours).total()
    total = ours.total()
    evidence = (
        f"run/ledger.csv: {len(table):,} rows for {total:,} entries, {total - lost:,} of them with their own bytes"
    )
    if not lost and not extra:
        return Finding(EARNED, evidence, "Every entry of the archive has its row, with its bytes unchanged.")
    if lost > total / 2:
        hint = "Compare the SHA-256 of your archive with that of the one you were given."
        return Finding(NOT_EARNED, evidence, "This ledger is that of another archive.", hint)
    hint = "Count the entries of the archive, and look for names that two users' folders share."
    if lost + extra <= total / 100:
        return Finding(
            PARTIAL, evidence, f"Nearly all is accounted for; {lost + extra} of the rows do not match.", hint
        )
    return Finding(NOT_EARNED, evidence, f"{lost} entries are lost or changed, {extra} rows belong to none.", hint)


def corrupt_found(found: Evidence) -> Finding:
    """Ledger: the damaged files are the ones in quarantine, and no sound one is."""
    table = found.table("run/ledger.csv", ("entry", "status"))
    damaged = {row["entry"] for row in found.key.ledger if row["status"] == "corrupt"}
    aside = set(table["entry"][table["status"] == "corrupt"])
    hits, wrong = len(damaged & aside), len(aside - damaged)
    evidence = f"run/ledger.csv: {len(aside)} corrupt"
    if aside == damaged:
        return Finding(EARNED, evidence, "All damaged files are set aside, and no sound one.")
    hint = "Decode every file to its last byte: some damaged files still show most of a picture."
    if not hits:
        return Finding(NOT_EARNED, evidence, "None of the damaged files is set aside.", hint)
    sentence = f"{hits} of {len(damaged)} damaged files are set aside"
    return Finding(PARTIAL, evidence, f"{sentence}, and {wrong} sound ones." if wrong else f"{sentence}.", hint)


def honest_split(found: Evidence) -> Finding:
    """Split: no signer and no duplicate in two parts; who is in a photograph is what the key says."""
    table, photographs = found.splits, found.key.photographs
    protocol = readable(found.settings.get("protocol", "nothing"), 40)
    hint = "Look at a table of signers against parts: every row should have one number only."
    if table["name"].duplicated().any():
        again = readable(table["name"][table["name"].duplicated()].iloc[0], 60)
        return Finding(NOT_EARNED, f"run/splits.csv: {again}", "A photograph has more than one row.", hint)
    known = table[table["name"].isin(photographs)]
    if len(known) < len(table) or len(known) < len(photographs):
        evidence = (
            f"run/splits.csv: {len(known):,} of {len(photographs):,} photographs, {len(table) - len(known)} others"
        )
        return Finding(NOT_EARNED, evidence, "The parts are not those of the archive's photographs.", hint)
    facts = [photographs[name] for name in known["name"]]
    frame = known.assign(signer=[fact.signer for fact in facts], group=[fact.group for fact in facts])
    shared, twins = set(), 0
    for column in found.part_columns:
        used = frame[frame[column].isin(["train", "validation", "test"])]
        if not {"train", "test"} <= set(used[column]):
            return Finding(NOT_EARNED, f"run/splits.csv: {column}", "There is no training part, or no test part.", hint)
        tested = set(used["signer"][used[column] == "test"])
        if protocol != "random" and (
            unwanted := int((frame["signer"].isin(tested) & (frame[column] == "left out")).sum())
        ):
            evidence = f"run/splits.csv: {unwanted} photographs of tested signers are left out"
            return Finding(NOT_EARNED, evidence, "The test part is not whole.", hint)
        parts = used.groupby("signer")[column].nunique()
        shared |= set(parts[parts > 1].index)
        twins += int((used.groupby("group")[column].nunique() > 1).sum())
    evidence = (
        f"run/splits.csv: {len(shared)} signers and {twins} duplicates in two parts; run.json calls it {protocol}"
    )
    if shared and protocol != "random":
        return Finding(NOT_EARNED, evidence, "The split is said to keep signers apart, and does not.", hint)
    if twins:
        return Finding(NOT_EARNED, evidence, "Copies of one photograph are in two parts.", hint)
    if shared:
        return Finding(PARTIAL, evidence, "Nothing is in two parts, but the same people are.", hint)
    return Finding(EARNED, evidence, "Nobody is in two parts, and no duplicate is.")
