"""Who takes part, and which seed each of them was given: what binds a run to a student."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.grading.tables import bare, csv_text, read_rows

SEEDS = range(100_000, 1_000_000)  # six digits are typed without a mistake
# What platforms and offices call these columns.
NAMES = ("name", "full name", "student", "student name", "display name")
FIRST, LAST = ("first name", "given name", "vorname"), ("last name", "surname", "family name", "nachname")
IDS = ("id", "student id", "id number", "sis user id", "sis login id", "sid", "username", "login", "orgdefinedid")
MAILS = ("email", "email address", "e-mail", "mail")


@dataclass(frozen=True)
class Seat:
    """A student of the roster."""

    name: str
    id: str  # "" where the roster has none
    email: str
    seed: int


def give_seeds(path: Path) -> tuple[tuple[Seat, ...], str]:
    """Returns the students of a roster, each with a fresh seed of its own, and a line for each as CSV for a mail merge.

    The roster is a CSV file with a column for names, or for first and last names, and where there are any for ids and
    email addresses, called as Canvas, Moodle, Gradescope or a person would call them.

    Raises:
        GradingError: It cannot be read, has no names, or has one person twice.
    """
    rows = read_rows(path, (), "Rosters")
    seats: list[Seat] = []
    seen: dict[tuple[str, str], str] = {}
    seeds: set[int] = set()
    for place, row in rows:
        whole = _cell(row, NAMES) or " ".join(filter(None, (_cell(row, FIRST), _cell(row, LAST))))
        if not whole:
            raise GradingError(f"{place}: a roster names every student in a column Name; here is no name. Fill it in.")
        one = (_words(whole), _cell(row, IDS))
        if one in seen:
            raise GradingError(f"{place}: {whole} is there already, at {seen[one]}. Keep one row, or give both an ID.")
        seen[one] = place
        while (seed := SEEDS[secrets.randbelow(len(SEEDS))]) in seeds:
            pass
        seeds.add(seed)
        seats.append(Seat(whole, one[1], _cell(row, MAILS), seed))
    if not seats:
        raise GradingError(f"A roster names every student in a row; {path} has no row. Fill it in.")
    said = "Write SEED = {} in notebook 02, or --seed {} after casestudy run. It is yours alone."
    lines = [(seat.name, seat.id, seat.email, seat.seed, said.format(seat.seed, seat.seed)) for seat in seats]
    return tuple(seats), csv_text(("name", "id", "email", "seed", "line"), lines)


def _cell(row: dict[str, str], names: tuple[str, ...]) -> str:
    return next((" ".join(bare(row[name]).split()) for name in names if row.get(name, "").strip()), "")


def seat_of(seats: Iterable[Seat], id: str, *names: str) -> Seat | None:
    """Returns the one student who has this id, or else the first of these names; None where nobody or more than one."""
    seats = tuple(seats)
    found = [seat for seat in seats if id and seat.id == id]
    for name in filter(None, names):
        for alike in (_words, letters):  # the same words first: names of the same letters are two people
            if not found:
                found = [seat for seat in seats if alike(name) in (alike(seat.name), alike(seat.id))]
    return found[0] if len(found) == 1 else None


def _words(name: str) -> str:
    return " ".join(sorted(re.findall(r"\w+", name.casefold())))


def letters(name: str) -> str:
    """Returns the letters of a name, sorted: platforms turn names round and spell ü as u or ue.

    >>> letters("Müller, Anna") == letters("annamueller"), letters("Ben") == letters("Anna")
    (True, False)
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(sorted(re.sub(r"([aou])e", r"\1", re.sub(r"[\W_]", "", plain))))
