"""Files appear whole or not at all, and are told by their digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from casestudy.cleaning.members import MAX_MEMBER_BYTES


def _machine() -> str:
    """Returns what tells those machines and containers apart that number their processes each for themselves."""
    name = platform.node()
    with contextlib.suppress(OSError):
        name += str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]


_HOST = _machine()
MOST_TABLE = 1 << 28  # bytes of a table in a letters.zip, unpacked: for a million entries
_FORGOTTEN = 86_400.0  # seconds without a byte written, after which a process of another machine is taken for dead


def partial_path(target: Path) -> Path:
    """Returns the path, beside the target, of what this process makes of it: it tells machine and process."""
    # The ending stays the target's, all of ".weights.h5": some writers choose their format by it.
    stem, dot, ending = target.name.partition(".")
    return target.with_name(f".{stem}.{_HOST}-{os.getpid()}.tmp{dot}{ending}")


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`, renamed to it when the block ends and removed when it fails.

    What a killed process left beside the same target is removed first.
    """
    partial = partial_path(target)
    remove_left_behind(target.parent, target.name)
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a new folder beside `target`, renamed to it when the block ends and removed when it fails.

    `target` may be there already if it is empty. What a killed process left beside it is removed first.
    """
    partial = target.with_name(f".{target.name}.{_HOST}-{os.getpid()}.tmp")
    remove_left_behind(target.parent, target.name, folders=True)
    shutil.rmtree(partial, ignore_errors=True)  # of a dead process that had the number of this one
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.exists():
            target.rmdir()
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_left_behind(folder: Path, name: str, *, folders: bool = False, forgotten: float = _FORGOTTEN) -> list[Path]:
    """Removes what processes that are no more were writing to files, or folders, of a name; "*" in it is any text.

    Returns what others, and this one, are still writing. One of another machine is no more if it has not written a byte
    for `forgotten` seconds.
    """
    left = []
    stem, dot, ending = (name, "", "") if folders else name.partition(".")
    form = re.escape(f".{stem}.").replace(r"\*", ".*") + r"(\w{6})-(\d{1,9})" + re.escape(f".tmp{dot}{ending}")
    with contextlib.suppress(OSError):  # a folder that does not say what it holds may take a file all the same
        for path in list(folder.iterdir()):
            found = re.fullmatch(form, path.name)
            if found and _is_at_work(path, found[1], int(found[2]), forgotten):
                left.append(path)
            if not found or path in left:
                continue
            with contextlib.suppress(OSError):
                if folders:
                    shutil.rmtree(path)
                else:
                    path.unlink()
    return left


def _is_at_work(path: Path, host: str, process: int, forgotten: float) -> bool:
    """Returns whether the process that began a partial file may still be writing it."""
    silent = time.time() - path.lstat().st_mtime
    if host != _HOST:
        return silent < forgotten
    if process == os.getpid() or os.name == "nt":
        return process == os.getpid()  # Windows removes no file that is being written
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's
    try:  # another one may have got its number since, or its parent has not asked how it ended
        facts = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        up = float(Path("/proc/uptime").read_text().split()[0])
        runs = up - int(facts[19]) / os.sysconf("SC_CLK_TCK")  # seconds since it was started
    except (OSError, ValueError, IndexError):
        return True  # no Linux
    return facts[0] not in "ZX" and (runs < 0 or silent < runs + 2)


def reserve(path: Path, size: int) -> None:
    """Has the disk keep room for `size` bytes of a file, which is made if need be; an OSError says that there is none.

    Where a file system cannot promise room, what is free is compared. Needed before a file is mapped: writing to a
    mapped one on a full disk ends the program without a word.
    """
    with path.open("ab") as file:
        if size and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
                return
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise
    if size > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_member(archive: zipfile.ZipFile, name: str, most: int = MAX_MEMBER_BYTES) -> bytes:
    """Returns the bytes of one file of a zip; a ValueError says that it would have too many to be what it should be."""
    with open_member(archive, name, most) as file:
        return file.read()


def open_member(archive: zipfile.ZipFile, name: str, most: int) -> IO[bytes]:
    """Opens one file of a zip, with the same ValueError."""
    if (size := archive.getinfo(name).file_size) > most:
        raise ValueError(f"{name} has {size:,} bytes, allowed are {most:,}")
    return archive.open(name)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Returns the digest of a file in hexadecimal, read in pieces; of any algorithm that hashlib knows."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def code_digest(home: Path) -> str:
    """Returns the digest of all code in a folder and below: what was computed by other code is computed again."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(home.rglob("*.py")))).hexdigest()
