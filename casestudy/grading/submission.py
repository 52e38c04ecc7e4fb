"""A submission: who handed it in, by the name that a platform gave it, and what can be read of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path

from casestudy.grading.containers import (
    MANIFEST,
    MOST_PACKED,
    Packed,
    choose,
    class_members,
    folder_members,
    has_run,
    is_submission,
    readable,
    some,
    zip_members,
)
from casestudy.grading.gradescope import FOLDER, METADATA, submitters

NAMING = ("canvas", "moodle", "brightspace")  # platforms that write names into what they let download


@dataclass(frozen=True)
class Student:
    """Who handed something in, as far as the name of the file tells."""

    name: str
    id: str = ""
    platform: str = ""  # whose id it is: "canvas", "moodle", "brightspace", "blackboard" or "gradescope"
    late: bool = False  # as far as the platform writes it into the name
    handed_in: str = ""  # when, as the platform or the file itself says; later ones sort behind earlier ones


@dataclass(frozen=True)
class Submission:
    """What was read of a handed-in file."""

    source: str  # its name
    student: Student
    files: dict[str, bytes]  # every file that grading reads, by its name in the zip
    digest: str = ""  # SHA-256 of the whole; "" where it was not read
    problems: tuple[str, ...] = ()  # why something in it was not read, a sentence each, for the student too
    remarks: tuple[str, ...] = ()  # what is odd about it, for the instructor alone
    partners: tuple[Student, ...] = ()  # who else handed it in, as far as the platform says

    @property
    def manifest(self) -> dict:
        """What manifest.json says; {} where it says nothing that can be read."""
        try:
            found = json.loads(self.files.get(MANIFEST, b"{}"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def find_submissions(paths: list[Path], *, skip: tuple[Path, ...] = ()) -> dict[str, Path | Packed]:
    """Returns the submissions named, and every one in the folders named, by names that tell them apart.

    A submission is a file, or a folder with a run in it, as Gradescope and GitHub Classroom give them; a whole class
    may be in one zip. Hidden files and links in a folder are left out, and so is what `skip` names or holds. A
    file that is no submission.zip is one all the same, without evidence: nobody who handed something in gets lost.
    """
    others = {path.resolve() for path in skip}
    found: list[Path | Packed] = []
    for path in paths:
        if path.is_dir() and not is_submission(path):
            whole = _folders(path)
            found += [one for one in whole if not others & {one.resolve(), *one.resolve().parents}]
            for file in sorted(path.rglob("*")):
                if file.is_file() and not _passed(file, path) and not any(one in file.parents for one in whole):
                    found.append(file)
        else:
            found.append(path)
    alone = len(found) == 1 or None  # what is named, or lies alone in what is named, may be a whole class in one zip
    for path in [one for one in found if isinstance(one, Path) and (alone or one in paths)]:
        if not student_of(path).platform and (packed := class_members(path, _platform, METADATA)):
            found[found.index(path) : found.index(path) + 1] = packed
    places = {file: file.absolute() if isinstance(file, Path) else file.place for file in found}
    files = {file: at for file, at in places.items() if not others & {at.resolve(), *at.resolve().parents}}
    shared = Path(os.path.commonpath([at.parent for at in files.values()])) if files else Path()
    named: dict[str, Path | Packed] = {}
    for one, at in files.items():
        place = at.relative_to(shared).as_posix()
        if (name := readable(place)) != place:  # everything that is written names it so, and several may be one then
            name = f"{readable(place, 180)} ({hashlib.sha256(os.fsencode(place)).hexdigest()[:8]})"
        named[name] = one
    return named


def _passed(path: Path, home: Path) -> bool:
    """Returns whether a file of a download is a link, hidden, or what a Mac or the platform adds."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.relative_to(home).parts)
    return hidden or path.is_symlink() or path.name == METADATA


def _folders(home: Path) -> list[Path]:
    """Returns the folders with a run in them; where there is one, and a platform named those in it, these."""
    whole = [one for one in sorted(home.iterdir()) if one.is_dir() and not _passed(one, home) and has_run(one)]
    if len(whole) == 1 and not _platform(whole[0]) and any(map(_platform, inner := _folders(whole[0]))):
        return inner
    return whole


def _platform(path: Path) -> str:
    return student_of(path).platform


MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_")
CANVAS = re.compile(r"(?P<name>.+?)(?P<late>_LATE)?_(?P<id>\d+)_(?P<when>\d+)_")
BLACKBOARD = re.compile(r".+?_(?P<id>[^_]+)_attempt_(?P<when>\d{4}(-\d\d){5})")
BRIGHTSPACE = re.compile(r"(?P<id>\d+)-\d+ ?- ?(?P<name>.+?) ?- ?(?P<when>[^-]*\d{4} \d{3,4}( [AP]M)?)( ?-|$)")
PLATFORMS = {"moodle": MOODLE, "brightspace": BRIGHTSPACE, "blackboard": BLACKBOARD, "canvas": CANVAS}


def student_of(path: Path) -> Student:
    """Returns who handed a file in, by the names that platforms give to what they let instructors download.

    >>> student_of(Path("muelleranna_LATE_1234_98765_submission.zip"))
    Student(name='muelleranna', id='1234', platform='canvas', late=True, handed_in='98765')
    >>> student_of(Path("Anna Müller_4711_assignsubmission_file/submission.zip")).id
    '4711'
    >>> student_of(Path("123-456 - Anna Müller - 26 November, 2026 1305 - submission.zip")).name
    'Anna Müller'
    >>> student_of(Path("Case_amueller_attempt_2026-11-26-13-05-17_submission.zip")).id
    'amueller'
    >>> student_of(Path("submission_777/submission.zip")).platform, student_of(Path("anna.zip")).name
    ('gradescope', 'anna')
    """
    for above, text in enumerate((path.name, path.parent.name)):
        for platform, pattern in PLATFORMS.items():
            if (found := pattern.match(text)) and not (platform == "canvas" and above):
                said = found.groupdict()
                name = readable(said.get("name") or said["id"], 80)
                return Student(name, said["id"], platform, bool(said.get("late")), _moment(said.get("when") or ""))
    known = "gradescope" if FOLDER.fullmatch(path.name) or FOLDER.fullmatch(path.parent.name) else ""
    return Student(readable(path.stem, 80) or "nameless", platform=known)  # whose it is, another file tells


def _moment(said: str) -> str:
    """Returns when, so that later texts sort behind: Brightspace names months and counts hours to twelve.

    >>> _moment("Dec 2, 2026 900 AM"), _moment("26 November, 2026 1305"), _moment("98765")
    ('2026-12-02 09:00:00', '2026-11-26 13:05:00', '98765')
    """
    text = re.sub(r" (\d{3})(?= [AP]M|$)", r" 0\1", said.replace(",", "").strip())
    for day, hour in product(("%d %B", "%d %b", "%B %d", "%b %d"), ("%H%M", "%I%M %p")):
        with suppress(ValueError):
            return datetime.strptime(text, f"{day} %Y {hour}").isoformat(" ")
    return said


def read_submission(path: Path | Packed, source: str = "") -> Submission:
    """Returns what can be read of a zip file or a folder; whatever it holds, this neither fails nor writes anything."""
    problems: list[str] = []
    files: dict[str, bytes] = {}
    digest = ""
    when: tuple[int, ...] = ()
    place = path.place if isinstance(path, Packed) else path
    try:
        if isinstance(path, Packed):
            members, data, when = path.read(problems)
            files = choose(members, problems)
            digest = hashlib.sha256(data or json.dumps(sorted(digests(files).items())).encode()).hexdigest()
        elif path.is_dir():
            members = folder_members(path)
            when = max((one.when for one in members), default=())
            files = choose(members, problems)
            digest = hashlib.sha256(json.dumps(sorted(digests(files).items())).encode()).hexdigest()
        elif (size := path.stat().st_size) > MOST_PACKED:
            problems.append(f"A submission has at most {MOST_PACKED // 10**6} MB; this file has {size / 1e6:,.0f}.")
        else:
            when = time.localtime(path.stat().st_mtime)[:6]
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            with zipfile.ZipFile(path) as archive:
                files = choose(zip_members(archive, problems), problems)
    except Exception as error:  # whatever a damaged zip makes of the reader
        why = readable(error) or type(error).__name__
        problems.append(f"A submission is a zip file that `casestudy submit` wrote; this is none ({why}).")
    student, people = student_of(place), submitters(path)
    if not student.handed_in and when and when[0] > 1980:  # a zip without times says 1980
        student = dataclasses.replace(student, handed_in="{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*when))
    student, *partners = [dataclasses.replace(student, name=name, id=id) for name, id in people] or [student]
    submission = Submission(
        readable(source or place.name), student, files, digest, tuple(problems), partners=tuple(partners)
    )
    if not files:
        return submission
    inside = readable(submission.manifest.get("student") or "", 80)
    if inside and not people and submission.student.platform not in NAMING:  # nobody else says who it is
        student = dataclasses.replace(submission.student, name=inside)
        submission = dataclasses.replace(submission, student=student)
    late = ["The platform calls it late."] if submission.student.late else []
    return dataclasses.replace(submission, remarks=(*late, *_altered(submission)))


def digests(files: dict[str, bytes]) -> dict[str, str]:
    """Returns the SHA-256 of each file, as the manifest has them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != MANIFEST}


def _altered(submission: Submission) -> list[str]:
    """Returns a problem where files are not those that the manifest names."""
    listed, found = submission.manifest.get("files"), digests(submission.files)
    if not isinstance(listed, dict):
        return ["There is no manifest.json that says what was packed: the zip was not written by `casestudy submit`."]
    other = sorted(name for name in found.keys() | listed.keys() if found.get(name) != listed.get(name))
    return [f"Changed, added or removed after packing: {some(other)}."] if other else []
