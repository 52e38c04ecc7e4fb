"""submission.zip: what a student hands in, and how a stranger's zip is read: in memory, within limits, by known names.

Nothing is unpacked to disk and no name in the zip is used as a path. Whatever is not one of the files that grading
reads (a photograph, a model, a zip within) is named and left closed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from casestudy.runs import RunFolder

MANIFEST = "manifest.json"
MOST_WRITTEN = 10_000_000  # bytes of a submission.zip of ours
MOST_PACKED = 16_000_000  # bytes of one that is read
MOST_ENTRIES = 2_000
MOST_UNPACKED = {".json": 1_000_000, ".csv": 8_000_000, ".ipynb": 5_000_000}  # bytes of one file; parsed, it is larger
MOST_TOGETHER = 60_000_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes to unpack a few bytes
READ = re.compile(
    r"manifest\.json"
    rf"|run/({RunFolder.HANDED_IN.pattern}|hidden_predictions\.csv)"
    r"|notebooks/\d\d_\w{1,80}\.ipynb"
)


@dataclass(frozen=True)
class Student:
    """Who handed something in, as far as the name of the file tells."""

    name: str
    id: str = ""


@dataclass(frozen=True)
class Submission:
    """What was read of a handed-in file."""

    source: str  # its name
    student: Student
    files: dict[str, bytes]  # every file that grading reads, by its name in the zip
    digest: str = ""  # SHA-256 of the whole; "" where it was not read
    problems: tuple[str, ...] = ()  # why something in it was not read, a sentence each, for the student too
    remarks: tuple[str, ...] = ()  # what is odd about it, for the instructor alone

    @property
    def manifest(self) -> dict:
        """What manifest.json says; {} where it says nothing that can be read."""
        try:
            found = json.loads(self.files.get(MANIFEST, b"{}"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def find_submissions(paths: list[Path], *, skip: tuple[Path, ...] = ()) -> dict[str, Path]:
    """Returns the files named, and every file in the folders named, by names that tell them apart.

    Hidden files and links in a folder are left out, and so is what `skip` names or holds. A file that is no
    submission.zip is one all the same, without evidence: nobody who handed something in gets lost.
    """
    others = {path.resolve() for path in skip}
    found: list[Path] = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else ():
            hidden = any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts)
            if file.is_file() and not file.is_symlink() and not hidden:
                found.append(file)
        if not path.is_dir():
            found.append(path)
    files = [file for file in dict.fromkeys(found) if not others & {file.resolve(), *file.resolve().parents}]
    shared = Path(os.path.commonpath([file.absolute().parent for file in files])) if files else Path()
    return {file.absolute().relative_to(shared).as_posix(): file for file in files}


def student_of(path: Path) -> Student:
    """Returns who handed a file in, by the names that Canvas and Moodle give to what they let instructors download.

    >>> student_of(Path("muelleranna_LATE_1234_98765_submission.zip"))
    Student(name='muelleranna', id='1234')
    >>> student_of(Path("Anna Müller_4711_assignsubmission_file/submission.zip"))
    Student(name='Anna Müller', id='4711')
    >>> student_of(Path("anna.zip"))
    Student(name='anna', id='')
    """
    moodle, canvas = r"(.+?)_(\d+)_assignsubmission_", r"(.+?)(?:_LATE)?_(\d+)_\d+_"
    for pattern, text in ((moodle, path.name), (moodle, path.parent.name), (canvas, path.name)):
        if found := re.match(pattern, text):
            return Student(readable(found[1], 80), found[2])
    return Student(readable(path.stem, 80) or "nameless")


def read_submission(path: Path, source: str = "") -> Submission:
    """Returns what can be read of a file; whatever it holds, this neither fails nor writes anything."""
    problems: list[str] = []
    files: dict[str, bytes] = {}
    digest = ""
    try:
        size = path.stat().st_size
        if size > MOST_PACKED:
            problems.append(f"A submission has at most {MOST_PACKED // 10**6} MB; this file has {size / 1e6:,.0f}.")
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            with zipfile.ZipFile(path) as archive:
                files = _read_members(archive, problems)
    except Exception as error:  # whatever a damaged zip makes of the reader
        why = readable(error) or type(error).__name__
        problems.append(f"A submission is a zip file that `casestudy submit` wrote; this is none ({why}).")
    submission = Submission(readable(source or path.name), student_of(path), files, digest, tuple(problems))
    return dataclasses.replace(submission, remarks=tuple(_altered(submission))) if files else submission


def _read_members(archive: zipfile.ZipFile, problems: list[str]) -> dict[str, bytes]:
    """Returns the bytes of each file that grading reads, and adds to `problems` why others are not read."""
    members = archive.infolist()
    if not members:
        problems.append("The zip is empty.")
    if len(members) > MOST_ENTRIES:
        problems.append(
            f"A submission has at most {MOST_ENTRIES:,} files; this one has {len(members):,}: none was read."
        )
        return {}
    wanted = [member for member in members if READ.fullmatch(member.filename)]
    closed = [m.filename for m in members if not m.is_dir() and not READ.fullmatch(m.filename)]
    if closed:
        problems.append(f"Not looked at, because grading does not need it: {_some(closed)}.")
    counts = Counter(member.filename for member in wanted)
    files: dict[str, bytes] = {}
    for member in wanted:
        reasons = {
            "is there twice": counts[member.filename] > 1,
            "is a link": stat.S_ISLNK(member.external_attr >> 16),
            "is encrypted": member.flag_bits & 1,
            "is packed in an unusual way": member.compress_type not in METHODS,
        }
        data, why = b"", next((reason for reason, holds in reasons.items() if holds), "")
        if not why:
            data, why = _read(archive, member, MOST_TOGETHER - sum(map(len, files.values())))
        if not why:
            files[member.filename] = data
        elif (problem := f"{member.filename} was not read: it {why}.") not in problems:
            problems.append(problem)
    return files


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: int) -> tuple[bytes, str]:
    """Returns the bytes and "", or why not; never more than the limit is unpacked, whatever the zip claims."""
    most = min(MOST_UNPACKED[PurePosixPath(member.filename).suffix], room)
    try:
        with archive.open(member) as file:
            data = file.read(most + 1)
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b"", "is damaged"
    return (data, "") if len(data) <= most else (b"", f"is larger than {most / 1e6:,.0f} MB")


def digests(files: dict[str, bytes]) -> dict[str, str]:
    """Returns the SHA-256 of each file, as the manifest has them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != MANIFEST}


def _altered(submission: Submission) -> list[str]:
    """Returns a problem where files are not those that the manifest names."""
    listed, found = submission.manifest.get("files"), digests(submission.files)
    if not isinstance(listed, dict):
        return ["There is no manifest.json that says what was packed: the zip was not written by `casestudy submit`."]
    other = sorted(name for name in found.keys() | listed.keys() if found.get(name) != listed.get(name))
    return [f"Changed, added or removed after packing: {_some(other)}."] if other else []


def _some(names: list[str]) -> str:
    shown = ", ".join(readable(name, 60) for name in names[:5])
    return shown + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def readable(text: object, most: int = 200) -> str:
    """Returns text for people on one line: no control, invisible or direction-changing characters, and not too long.

    >>> readable("A\u202eB\u200bC\\nD"), readable("long", 3)
    ('ABC D', 'lo…')
    """
    shown = (c for c in str(text)[: 4 * most] if c.isspace() or unicodedata.category(c)[0] != "C")
    kept = " ".join("".join(shown).split())
    return kept if len(kept) <= most else kept[: most - 1] + "…"
