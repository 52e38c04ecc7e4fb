"""What a student hands in, in whatever it comes: in memory, within limits, and by known names.

A zip of `casestudy submit`, one that a Mac packed again with a folder on top, a zip in a zip, or an unpacked folder:
the run is where run.json lies, notebooks are told by their names or by the answers in them. Nothing is unpacked to
disk, and no name in a zip is used as a path. What grading does not read (a photograph, a model) is named, and stays
closed.
"""

from __future__ import annotations

import datetime
import io
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from casestudy.runs import RunFolder

MANIFEST = "manifest.json"
MOST_WRITTEN = 10_000_000  # bytes of a submission.zip of ours
MOST_PACKED = 16_000_000  # bytes of one that is read
MOST_ENTRIES = 2_000
MOST_UNPACKED = {".json": 1_000_000, ".csv": 8_000_000, ".ipynb": 5_000_000}  # bytes of one file; parsed, it is larger
MOST_LOOKS = 20  # notebooks with names of their own that are opened to see what they are
MOST_TOGETHER = 60_000_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes to unpack a few bytes
OF_RUN = re.compile(rf"{RunFolder.HANDED_IN.pattern}|hidden_predictions\.csv")
READ = re.compile(rf"manifest\.json|run/({OF_RUN.pattern})|notebooks/\d\d_\w{{1,80}}\.ipynb")
STEPS = {"01": "read_the_case", "02": "import_data", "03": "clean_data", "04": "train", "05": "results"}
STEM = re.compile("|".join(rf"(?<!\d){step}_{name}(?![a-z])" for step, name in STEPS.items()))
ANSWER = re.compile(rb'"answer-(0[1-5])"')
JUNK = re.compile(r"(.*/)?(__MACOSX/.*|\._[^/]*|\.DS_Store|\.ipynb_checkpoints/.*|\.git/.*|Thumbs\.db|desktop\.ini)")
UNSAFE = re.compile(r"(^|/)\.\.(/|$)|^/|\\|^[A-Za-z]:|\0")


@dataclass(frozen=True)
class Member:
    """A file in a container; `read(most)` gives its bytes, or "" and why not."""

    name: str  # with slashes
    when: tuple[int, ...]  # it was changed last
    read: Callable[[int], tuple[bytes, str]]


def zip_members(archive: zipfile.ZipFile, problems: list[str], *, inner: bool = False, under: str = "") -> list[Member]:
    """Returns the files in a zip, or those of the one zip in it; adds to `problems` what is not even looked at.

    `under` is a folder in it that is one submission; names are those in the folder.
    """
    infos = [info for info in archive.infolist() if info.filename.startswith(under)]
    if not infos:
        problems.append("The zip is empty.")
    if len(infos) > MOST_ENTRIES:
        problems.append(f"A submission has at most {MOST_ENTRIES:,} files; this one has {len(infos):,}: none was read.")
        return []
    counts = Counter(info.filename for info in infos)
    files = [info for info in infos if not info.is_dir() and not JUNK.fullmatch(info.filename)]
    zips = [info for info in files if info.filename.lower().endswith(".zip") and not UNSAFE.search(info.filename)]
    if len(zips) == 1 and not inner and not any(OF_RUN.fullmatch(Path(info.filename).name) for info in files):
        data, why = _unpacked(archive, zips[0], MOST_PACKED)
        if not why:
            return zip_members(zipfile.ZipFile(io.BytesIO(data)), problems, inner=True)  # in memory: nothing to close

    def member(info: zipfile.ZipInfo) -> Member:
        reasons = {
            "is there twice": counts[info.filename] > 1,
            "is a link": stat.S_ISLNK(info.external_attr >> 16),
            "is encrypted": info.flag_bits & 1,
            "is packed in an unusual way": info.compress_type not in METHODS,
        }
        why = next((reason for reason, holds in reasons.items() if holds), "")
        name = info.filename.removeprefix(under)
        return Member(name, info.date_time, lambda most: (b"", why) if why else _unpacked(archive, info, most))

    return [member(info) for info in files]


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> tuple[bytes, str]:
    """Returns the bytes and "", or why not; never more than the limit is unpacked, whatever the zip claims."""
    try:
        with archive.open(info) as file:
            data = file.read(most + 1)
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b"", "is damaged"
    return (data, "") if len(data) <= most else (b"", f"is larger than {most / 1e6:,.0f} MB")


def folder_members(home: Path) -> list[Member]:
    """Returns the files in a folder, links and hidden ones left out."""

    def member(path: Path) -> Member:
        when = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).timetuple()[:6]

        def read(most: int) -> tuple[bytes, str]:
            data = path.read_bytes() if path.stat().st_size <= most else b""
            return (data, "") if path.stat().st_size <= most else (b"", f"is larger than {most / 1e6:,.0f} MB")

        return Member(path.relative_to(home).as_posix(), when, read)

    inside = (path for path in sorted(home.rglob("*")) if path.is_file() and not path.is_symlink())
    names = ((path, path.relative_to(home)) for path in inside)
    return [member(path) for path, name in names if not any(part.startswith((".", "__MACOSX")) for part in name.parts)]


@dataclass(frozen=True)
class Packed:
    """One student's file in the zip of a whole class, or the folder of it."""

    whole: zipfile.ZipFile
    place: Path  # where it would lie if the zip were a folder
    inner: str  # its name in the zip; a folder's ends with a slash

    @property
    def file(self) -> Path:
        """The zip of the whole class."""
        return Path(str(self.whole.filename))

    def __reduce__(self) -> tuple[Callable[..., Packed], tuple[Path, Path, str]]:
        return _packed, (self.file, self.place, self.inner)  # a worker of a cluster opens the zip for itself

    def read(self, problems: list[str]) -> tuple[list[Member], bytes, tuple[int, ...]]:
        """Returns the files in it, its bytes if it is a file, and when it was changed; a ValueError says why not."""
        if self.inner.endswith("/"):
            members = zip_members(self.whole, problems, under=self.inner)
            return members, b"", max((one.when for one in members), default=())
        info = self.whole.getinfo(self.inner)
        data, why = (
            _unpacked(self.whole, info, MOST_PACKED) if info.compress_type in METHODS else (b"", "is packed oddly")
        )
        if why:
            raise ValueError(f"it {why}")
        return zip_members(zipfile.ZipFile(io.BytesIO(data)), problems), data, info.date_time


def file_in(whole: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Returns a file of a zip; nothing where there is none, or not a sound one of so many bytes."""
    info = next((one for one in whole.infolist() if one.filename == name), None)
    return _unpacked(whole, info, most)[0] if info and info.compress_type in METHODS else b""


def _packed(file: Path, place: Path, inner: str) -> Packed:
    return Packed(_opened(file), place, inner)


@lru_cache(maxsize=1)
def _opened(file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(file)


def class_members(path: Path, known: Callable[[Path], object], besides: str) -> list[Packed]:
    """Returns what each student handed in, where a zip is a whole class's; [] where it is not.

    It is, if a platform named what is in it, which `known` tells, or if there are several zips and no run outside them.
    A file called `besides` is the platform's own.
    """
    try:
        whole = zipfile.ZipFile(path.absolute())  # it stays open as long as something in it is to be read
    except (OSError, ValueError, zipfile.BadZipFile):
        return []
    names = [info.filename for info in whole.infolist() if not info.is_dir()]
    names = [name for name in names if not JUNK.fullmatch(name) and not UNSAFE.search(name)]
    runs = [PurePosixPath(name) for name in names if PurePosixPath(name).name == "run.json"]
    homes = tuple({f"{folder}/" for run in runs for folder in run.parents if known(Path(folder, "run.json"))})
    files = [name for name in names if not name.startswith(homes) and PurePosixPath(name).name != besides]
    zips = [name for name in files if name.lower().endswith(".zip")]
    if homes or any(known(Path(name)) for name in zips) or (len(zips) > 1 and not runs):
        return [Packed(whole, path.absolute() / name, name) for name in sorted({*homes, *files})]
    return []


def has_run(folder: Path) -> bool:
    """Returns whether a run lies anywhere in a folder."""
    return any(path.is_file() and not path.is_symlink() for path in folder.rglob("run.json"))


def is_submission(folder: Path) -> bool:
    """Returns whether a folder is itself what one student hands in."""
    return (folder / "run" / "run.json").is_file() or (folder / "run.json").is_file()


def choose(members: Iterable[Member], problems: list[str]) -> dict[str, bytes]:
    """Returns the bytes of each file that grading reads, by its name in a submission; `problems` tells of the others.

    Of several copies of a notebook the one changed last counts, and which it was is said.
    """
    members = list(members)
    safe = [one for one in members if not UNSAFE.search(one.name)]
    wanted = dict(_places(safe, problems))
    chosen = {id(member) for several in wanted.values() for member in several}
    if closed := [one.name for one in members if id(one) not in chosen]:
        problems.append(f"Not looked at, because grading does not need it: {some(closed)}.")
    files: dict[str, bytes] = {}
    for place, several in wanted.items():
        copies = sorted(several, key=lambda one: (one.when, one.name))
        if len(copies) > 1 and len({one.name for one in copies}) > 1:
            problems.append(f"{place[10:12]} is there {len(copies)} times; {readable(copies[-1].name, 60)} is newest.")
        member = copies[-1]
        most = min(MOST_UNPACKED[PurePosixPath(place).suffix], MOST_TOGETHER - sum(map(len, files.values())))
        data, why = member.read(most)
        if not why:
            files[place] = data
        elif (problem := f"{place} was not read: it {why}.") not in problems:
            problems.append(problem)
    return files


def _places(members: list[Member], problems: list[str]) -> Iterator[tuple[str, list[Member]]]:
    """Yields the name of a file in a submission, and the members that can be it."""
    manifests = [one for one in members if PurePosixPath(one.name).name == MANIFEST]
    if manifests:
        yield MANIFEST, [min(manifests, key=lambda one: one.name.count("/"))]
    home, others = _home([one.name for one in members])
    if others:
        problems.append(f"There is more than one run: {readable(home, 60) or 'the one on top'} was read.")
    found: dict[str, list[Member]] = {}
    looks = MOST_LOOKS
    for one in members:
        inside = one.name.removeprefix(home) if one.name.startswith(home) else ""
        if inside and OF_RUN.fullmatch(inside) and home is not None:
            found.setdefault(f"run/{inside}", []).append(one)
        elif one.name.lower().endswith(".ipynb"):
            looks -= not STEM.search(one.name)
            if place := notebook_place(one, look=looks >= 0):
                found.setdefault(place, []).append(one)
    yield from found.items()


def _home(names: list[str]) -> tuple[str, bool]:
    """Returns the folder of the run, with a slash behind it, and whether there are others."""
    counts: Counter[str] = Counter()
    for name in names:
        folder, _, last = name.rpartition("/")
        if OF_RUN.fullmatch(last) and not re.search(r"(^|/)(folds|variants)/[^/]+$", folder):
            counts[f"{folder}/" if folder else ""] += 1000 if last == "run.json" else 1
    ranked = sorted(counts, key=lambda home: (counts[home] < 1000, home.count("/"), -counts[home], home))
    whole = [home for home in ranked if counts[home] >= 1000]
    return (ranked[0] if ranked else "run/"), len(whole) > 1


def notebook_place(member: Member, *, look: bool = True) -> str:
    """Returns the name in a submission of a notebook of the case, whatever its copy is called; "" for another one.

    It is told by the name within its name ("Kopie von 05_results (2).ipynb"), or else, with `look`, by the answer cell
    that it has.
    """
    stem = PurePosixPath(member.name).stem
    if found := STEM.search(stem):
        return f"notebooks/{found[0]}.ipynb"
    if READ.fullmatch(f"notebooks/{stem}.ipynb") and "/" not in member.name.removeprefix("notebooks/"):
        return f"notebooks/{stem}.ipynb"
    data, _ = member.read(MOST_UNPACKED[".ipynb"]) if look else (b"", "")
    steps = {step.decode() for step in ANSWER.findall(data)}
    return f"notebooks/{(step := steps.pop())}_{STEPS[step]}.ipynb" if len(steps) == 1 else ""


def some(names: list[str]) -> str:
    """Returns the first names, and how many more there are."""
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
