"""Who takes part, and which seed each of them was given: what binds a run to a student."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from casestudy.errors import GradingError
from casestudy.grading.tables import bare, csv_text, read_rows

SEEDS = range(100_000, 1_000_000)  # six digits are typed without a mistake
# What platforms and offices call these columns.
NAMES = ("name", "full name", "student", "student name", "display name")
FIRST, LAST = ("first name", "given name", "vorname"), ("last name", "surname", "family name", "nachname")
IDS = (
    *("id", "student id", "id number", "sis user id", "sis login id", "sid", "username", "login", "orgdefinedid"),
    "identifier",
)
MAILS = ("email", "email address", "e-mail", "mail")
GROUPS = ("group", "group name", "team", "gruppe")
MOODLE_ID = "Participant "  # before the number that Moodle's grading worksheet knows somebody by


@dataclass(frozen=True)
class Seat:
    """A student of the roster."""

    name: str
    id: str  # "" where the roster has none
    email: str
    seed: int
    group: str = ""  # who hands in together; such people have one seed


def give_seeds(path: Path) -> tuple[tuple[Seat, ...], str]:
    """Returns the students of a roster, each with a fresh seed of its own, and a line for each as CSV for a mail merge.

    The roster is a CSV file with a column for names, or for first and last names, and where there are any for ids and
    email addresses, called as Canvas, Moodle, Gradescope or a person would call them. Who has the same word in a column
    Group hands in together, and gets the same seed.

    Raises:
        GradingError: It cannot be read, has no names, or has one person twice.
    """
    rows = read_rows(path, (), "Rosters")
    seats: list[Seat] = []
    seen: dict[tuple[str, str], str] = {}
    seeds: dict[str, int] = {}  # of groups, or of rows
    for place, row in rows:
        whole = _cell(row, NAMES) or " ".join(filter(None, (_cell(row, FIRST), _cell(row, LAST))))
        if not whole:
            raise GradingError(f"{place}: a roster names every student in a column Name; here is no name. Fill it in.")
        one = (_words(whole), _cell(row, IDS))
        if one in seen:
            raise GradingError(f"{place}: {whole} is there already, at {seen[one]}. Keep one row, or give both an ID.")
        seen[one] = place
        group = _cell(row, GROUPS)
        while (seed := SEEDS[secrets.randbelow(len(SEEDS))]) in seeds.values():
            pass
        seed = seeds.setdefault(f"group {group.casefold()}" if group else place, seed)
        seats.append(Seat(whole, one[1], _cell(row, MAILS), seed, group.casefold()))
    if not seats:
        raise GradingError(f"A roster names every student in a row; {path} has no row. Fill it in.")
    said = "Write SEED = {} in notebook 02, or --seed {} after casestudy run. It is yours alone."
    lines = [(seat.name, seat.id, seat.email, seat.seed, said.format(seat.seed, seat.seed)) for seat in seats]
    return tuple(seats), csv_text(("name", "id", "email", "seed", "line"), lines)


def _cell(row: dict[str, str], names: tuple[str, ...]) -> str:
    return next((" ".join(bare(row[name]).split()) for name in names if row.get(name, "").strip()), "")


def seat_of(seats: Iterable[Seat], id: str, *names: str) -> Seat | None:
    """Returns the one student who has this id, or else the first of these names; None where nobody or more than one.

    A group's own name, alone or before a member's as Moodle writes it, stands for a member.
    """
    seats = tuple(seats)
    found = [seat for seat in seats if id and seat.id in (id, MOODLE_ID + id)]
    for name in filter(None, names):
        for alike in (_words, letters):  # the same words first: names of the same letters are two people
            if not found:
                found = [seat for seat in seats if alike(name) in (alike(seat.name), alike(seat.id))]
        for both in (True, False):
            if not found:
                called = {seat: f"{seat.group} {seat.name}" if both else seat.group for seat in seats if seat.group}
                found = [seat for seat, call in called.items() if letters(call) == letters(name)][: 1 + both]
    return found[0] if len(found) == 1 else None


def together(seats: Iterable[Seat], seat: Seat) -> list[Seat]:
    """Returns everybody who hands in with this student, whoever hands in first."""
    return [one for one in seats if one == seat or (seat.group and one.group == seat.group)]


@lru_cache(maxsize=100_000)
def _words(name: str) -> str:
    return " ".join(sorted(re.findall(r"\w+", name.casefold())))


@lru_cache(maxsize=100_000)
def letters(name: str) -> str:
    """Returns the letters of a name, sorted: platforms turn names round and spell ü as u or ue.

    >>> letters("Müller, Anna") == letters("annamueller"), letters("Ben") == letters("Anna")
    (True, False)
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(sorted(re.sub(r"([aou])e", r"\1", re.sub(r"[\W_]", "", plain))))
