"""One archive, looked at by one worker: a shard holds the bytes of its entries and what was found of each.

A shard is a zip of the entries by their numbers, uncompressed, and `INDEX`. Its name tells the archive's files, their
sizes and times, and this code: a shard that is there already is of the same archive, and need not be made again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from casestudy.cleaning.archive import open_archive
from casestudy.cleaning.errors import ConservationError
from casestudy.cleaning.files import atomic_path, code_digest
from casestudy.cleaning.members import Member, Reader
from casestudy.cleaning.pixels import quiet
from casestudy.cleaning.screening import Screening, is_meant_as_image, screen
from casestudy.cleaning.several import as_one
from casestudy.cleaning.storing import store

INDEX = "found.json"
_WINDOW_BYTES = 64 << 20  # read ahead of the screening workers; the memory that a cleaning needs beside the ledger
Task = tuple[Path, Path]  # an archive, and its shard
Each = Callable[[Callable[[Task], None], Sequence[Task]], object]  # does a function's tasks, somewhere


@dataclass(frozen=True, slots=True)
class Screened(Member):
    """A file of an archive, and what was found of it."""

    screening: Screening | None = None  # None for no image
    digest: str = ""

    @property
    def sha256(self) -> str:
        return self.digest


class Shards:
    """Those of some archives, in a folder of their own."""

    def __init__(
        self, archives: Sequence[Path], beside: tuple[Each, Path], *, password: str | None, salvage: bool
    ) -> None:
        self._archives = [archive.absolute() for archive in archives]
        self._each, self._folder = beside[0], beside[1].absolute()
        self._how: dict[str, Any] = {"password": password, "salvage": salvage}

    def made(self) -> Reader:
        """Returns the reader of all shards; those that are not there are made."""
        self._folder.mkdir(exist_ok=True)
        tasks = list(zip(self._archives, self._places(), strict=True))
        self._each(partial(write_shard, **self._how), tasks)
        return as_one([ShardReader(open_archive(archive, **self._how), shard) for archive, shard in tasks])

    def remove(self) -> None:
        """Removes them, with those of earlier calls, and their folder where nothing else is in it."""
        for path in self._folder.iterdir():
            if re.fullmatch(r"[0-9a-f]{32}\.zip", path.name):
                path.unlink()
        with suppress(OSError):
            self._folder.rmdir()

    def _places(self) -> Iterator[Path]:
        packages = [version(package) for package in ("pillow", "simplejpeg")]
        by = [code_digest(Path(__file__).parent), packages, *self._how.values()]
        beside: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)  # an archive may go on in other files
        for parent in {archive.parent for archive in self._archives}:
            for path in parent.iterdir():
                beside[parent, _stem(path)].append(path)
        for archive in self._archives:
            files = archive.rglob("*") if archive.is_dir() else beside[archive.parent, _stem(archive)]
            facts = sorted((os.fsencode(path).hex(), path.lstat()) for path in files)
            told = [*by, os.fsencode(archive).hex(), [(name, fact.st_size, fact.st_mtime_ns) for name, fact in facts]]
            yield self._folder / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}.zip"


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def write_shard(task: Task, *, password: str | None, salvage: bool) -> None:
    """Writes the shard of an archive, unless it is there."""
    archive, shard = task
    if shard.exists():
        return
    reader = open_archive(archive, password=password, salvage=salvage)
    rows: list[dict[str, Any]] = []
    with (
        quiet(),
        atomic_path(shard) as partial,
        zipfile.ZipFile(partial, "w") as target,
        closing(screened(reader.members(), 1)) as found,
    ):
        for k, (member, screening) in enumerate(found):
            store(target, str(k), [member.data])
            row = {field.name: getattr(member, field.name) for field in dataclasses.fields(Member)}
            del row["data"]
            if screening is not None:
                row["screening"] = dataclasses.asdict(screening) | {"thumbnail": screening.thumbnail.hex()}
                if row["screening"].pop("mended"):
                    store(target, f"{k}, mended", [screening.mended])
            rows.append(row | {"digest": member.sha256})
        index = {"rows": rows, "remarks": reader.remarks, "incomplete": reader.incomplete}
        store(target, INDEX, [json.dumps(index).encode()])


class ShardReader(Reader):
    """An archive whose entries are read from its shard, so that nothing is unpacked or decoded twice."""

    def __init__(self, archive: Reader, shard: Path) -> None:
        super().__init__(archive.path, archive.password, salvage=archive.salvage)
        self._archive, self._shard = archive, shard

    def names(self) -> list[str]:
        return self._archive.names()

    def members(self) -> Iterator[Member]:
        with zipfile.ZipFile(self._shard) as source:
            index = json.loads(source.read(INDEX))
            for k, (name, row) in enumerate(zip_longest(self.names(), index["rows"])):
                if row is None or row["name"] != name:
                    named = name or row["name"]
                    raise ConservationError(
                        f"{named} was another file when it was screened: nobody may change the archives."
                    )
                if found := row.pop("screening", None):
                    found["thumbnail"] = bytes.fromhex(found["thumbnail"])
                    mended = source.read(f"{k}, mended") if found["status"] == "repairable" else b""
                    row["screening"] = Screening(**found | {"shown": tuple(found["shown"])}, mended=mended)
                yield Screened(data=source.read(str(k)), **row)
        self.remarks, self.incomplete = index["remarks"], index["incomplete"]


def screened(members: Iterator[Member], workers: int) -> Generator[tuple[Member, Screening | None], None, None]:
    """Yields members in their order with what screening found (None for no image), few of them in memory at a time."""
    waiting: deque[tuple[Member, Future[Screening | None]]] = deque()
    ahead = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="screening")
    try:
        for member in members:
            waiting.append((member, pool.submit(_screen, member)))
            ahead += member.size
            while waiting and (len(waiting) > 8 * workers or ahead > _WINDOW_BYTES):
                done, future = waiting.popleft()
                ahead -= done.size
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _screen(member: Member) -> Screening | None:
    if isinstance(member, Screened):
        return member.screening
    return screen(member.data) if is_meant_as_image(member.name, member.data) else None
