"""What all ways share: the sample, the seed, a clock that reads the memory too, and why a way is left out.

Nothing but the standard library is imported here, or above the functions of a way: it must not pay for, or profit from,
what another one needs.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "DATA" / "sample" / "asl_sample.rar"
SEED = 7


class LeftOut(Exception):
    """This machine lacks what the way needs; the message says what, and how to get it."""


class Clock:
    """Wall-clock seconds, and both kinds of seconds of each epoch that is marked.

    Processor seconds (of all threads) hardly change when others use the machine too; wall-clock seconds do.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._marks: list[tuple[float, float]] = []

    def mark(self) -> None:
        """Notes the end of an epoch."""
        self._marks.append((time.perf_counter(), time.process_time()))

    def stop(self) -> dict[str, float | list[float] | None]:
        """Returns the seconds since the start, of the epochs after the first (which also compiles), and the memory."""
        seconds = time.perf_counter() - self._start
        walls, cpus = ([b[k] - a[k] for a, b in itertools.pairwise(self._marks)] for k in (0, 1))
        return {"seconds": seconds, "epoch_seconds": walls, "epoch_cpu_seconds": cpus, "peak_mb": peak_memory()}


def peak_memory() -> float | None:
    """Returns the most memory that this process or a program it started has held, in MB; None on Windows.

    Not their sum: what a program held begins with what this process held when it started it.
    """
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts what the parent held before exec into getrusage's figure, but not into this one
        own = next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    else:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return max(own, children)
