"""Files appear whole or not at all, and are told by their digests."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

# A process is told by its number on its machine: folders are shared between machines, and numbers are not.
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside `target`, renamed to it when the block ends and removed when it fails.

    What a killed process left beside the same target is removed first.
    """
    # The ending stays the target's, all of ".weights.h5": some writers choose their format by it.
    stem, dot, ending = target.name.partition(".")
    partial = target.with_name(f".{stem}.{_HOST}-{os.getpid()}.tmp{dot}{ending}")
    for left in _left_by_the_dead(target.parent, f".{stem}.", f".tmp{dot}{ending}"):
        with contextlib.suppress(OSError):
            left.unlink()
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
    for left in _left_by_the_dead(target.parent, f".{target.name}.", ".tmp"):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.exists():
            target.rmdir()
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _left_by_the_dead(folder: Path, start: str, end: str) -> list[Path]:
    """Returns what processes of this machine that are no more were writing, by the names of `atomic_path`."""
    form = re.compile(rf"{re.escape(start)}{_HOST}-(\d{{1,9}}){re.escape(end)}")
    named = [(path, form.fullmatch(path.name)) for path in folder.iterdir()] if folder.is_dir() else []
    return [path for path, found in named if found and not _is_alive(int(found[1]))]


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        return process == os.getpid()  # a file that is being written cannot be removed there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def reserve(path: Path, size: int) -> None:
    """Has the disk keep room for `size` bytes of a file, which is made if need be; an OSError says that there is none.

    Where a file system cannot promise room, what is free is compared.
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


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Returns the digest of a file in hexadecimal, read in pieces; of any algorithm that hashlib knows."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
