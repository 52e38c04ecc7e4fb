"""Many tasks in, their results out in the same order: done here one by one, by processes, or by workers of Dask.

A task reads files of a folder that all workers see, and what it writes there appears whole or not at all: a task of a
worker that was lost is done again by another, and one that was done twice has done no harm. Dask is needed, and
imported, only where a cluster is named.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import platform
import re
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from casestudy.cleaning import CommandParser
from casestudy.errors import ClusterError
from casestudy.jobs import LostError, Processes
from casestudy.words import counted, duration

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
EachDone = Callable[[Callable[[T], R], Sequence[T]], Iterator[tuple[int, R]]]

HERE = "jobs:"  # before the number of processes
PATIENCE = 10  # seconds for a scheduler to answer
JOBS = 10  # asked of a queue at once, at the most, where the file does not say how many
QUEUES = {name.lower(): f"{name}Cluster" for name in ("SLURM", "PBS", "LSF", "SGE", "OAR", "Moab", "HTCondor")}
THREADS = "TF_NUM_INTRAOP_THREADS"
# What decides the bits of a result; workers must have the same.
PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "pillow", "simplejpeg", "rarfile")
_ONE_AT_A_TIME = threading.Lock()  # in a process: networks that are built side by side would share their chance


def add_worker_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> argparse._MutuallyExclusiveGroup:
    """Adds `--jobs` and `--cluster` to a command, and returns the group of which one may be given: `cluster` then."""
    ways, about = parser.add_mutually_exclusive_group(), "so many processes of this machine do it (default: this one)"
    number = CommandParser.at_least_one
    ways.add_argument("--jobs", type=lambda n: f"{HERE}{number(n)}", dest="cluster", metavar="N", help=about)
    about = "workers of Dask do it: local:2, an address, or a YAML file of a queue"
    ways.add_argument("--cluster", metavar="WHERE", help=about)
    return ways


@cache
def versions() -> dict[str, str]:
    """Returns the versions of the packages that a result depends on."""
    found = dict.fromkeys(PACKAGES, "not installed")
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def run_tasks(
    function: Callable[[T], R],
    tasks: Sequence[T],
    cluster: str | None,
    folder: Path,
    *,
    noun: str = "task",
    apart: Sequence[T] = (),
) -> list[R]:
    """Returns what the function gives for each task, in the order of the tasks, whoever did them and when.

    Args:
        function: Of a module, for it is known to workers by its name; what it gives can be pickled, as its task.
        tasks: May be none.
        cluster: "jobs:2" for so many processes, or what `--cluster` takes; None does all here, one after the other.
        folder: That the tasks read and write; all workers must see it under this path.
        noun: What a task is called while they are done.
        apart: Tasks unlike the others: they do not tell how long those take.

    Raises:
        ClusterError: There is no such cluster, or its workers are not as this process; also what a task raises.
    """
    if not tasks:
        return []
    with workers(cluster, folder, len(tasks)) as do:
        return do(function, tasks, noun, apart)


@contextmanager
def workers(cluster: str | None, folder: Path, most: int) -> Iterator[Callable[..., Any]]:
    """Yields what `run_tasks` does with function, tasks, noun and `apart`, time and again, for at `most` so many."""
    if cluster is None:
        yield lambda function, tasks, noun, apart: [function(task) for task in tasks]
        return
    with _engine(cluster, most) as each_done, _mark(folder) as mark:
        yield partial(_ask, each_done, mark)


def _ask(
    each_done: EachDone, mark: tuple[str, str], function: Callable[[T], R], tasks: Sequence[T], noun: str, apart: Any
) -> list[R]:
    found, began = {}, time.perf_counter()
    alike = {k for k, task in enumerate(tasks) if task not in apart}
    try:
        for task, result in each_done(partial(_do, function, mark, _here(), _threads()), tasks):
            found[task] = result
            done, rest = len(alike & found.keys()), len(alike - found.keys())
            left = f"; about {duration((time.perf_counter() - began) / done * rest)} left" if done and rest else ""
            log.info("%d of %s done%s", len(found), counted(len(tasks), noun), left)
    except LostError as error:
        raise ClusterError(
            f"A worker that is lost is replaced, three times for one {noun}; this one lost a fourth ({error}). "
            f"Look whether it has too little memory, and call again."
        ) from None
    return [found[task] for task in range(len(tasks))]


@contextmanager
def _engine(cluster: str, most: int) -> Iterator[EachDone]:
    """Yields what gives (number of the task, result) as they come, for a call and its tasks."""
    if cluster.startswith(HERE):
        with Processes(min(int(cluster.removeprefix(HERE)), most)) as processes:
            yield processes.each_done
        return
    with _client(cluster, most) as client:
        yield partial(_dask_done, client)


def _dask_done(client: Any, call: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
    from distributed import KilledWorker, as_completed

    futures = client.map(call, tasks, pure=False)
    places = {future.key: task for task, future in enumerate(futures)}
    try:
        for future, result in as_completed(futures, with_results=True):
            yield places[future.key], result
    except KilledWorker as error:
        raise LostError(str(error.last_worker.address)) from None
    except Exception as error:  # its own, or that of a worker which cannot read what it is sent
        if "deserializ" in str(error) or "casestudy" in str(getattr(error, "name", "")):
            raise ClusterError(
                f"Scheduler and workers have this casestudy installed; those at {client.scheduler.address} do not "
                f"({error.__cause__ or error}). Install it there, and start them again."
            ) from None
        raise
    finally:
        client.cancel(futures)


def check_cluster(cluster: str | None) -> None:
    """Raises a ClusterError, before any work, where a cluster is none, does not answer, or Dask is not here."""
    if cluster is None or re.fullmatch(rf"{HERE}[1-9]\d*", cluster):
        return
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ClusterError("--cluster needs Dask. Get it: pip install distributed; or say --jobs 2") from None
    if re.fullmatch(r"local:[1-9]\d*", cluster):
        return
    if cluster.endswith((".yaml", ".yml")):
        _queue(Path(cluster))
        return
    found = re.fullmatch(r"(?:tcp|tls)://\[?([^/\]]+)\]?:(\d{1,5})", cluster)
    if not found:
        raise ClusterError(
            f"--cluster takes local:N, an address such as tcp://host:8786, or a YAML file; received {cluster!r}. "
            f"Start with local:2."
        )
    try:
        socket.create_connection((found[1], int(found[2])), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"--cluster names a Dask scheduler that answers; {cluster} does not ({error}). Start one there: "
            f"dask scheduler --host ADDRESS"
        ) from None


@contextmanager
def _client(cluster: str, tasks: int) -> Iterator[Any]:
    """Yields a Dask client of the cluster, which is started where it is not there yet, and ended then."""
    check_cluster(cluster)
    import dask
    import distributed

    logging.getLogger("distributed").setLevel(logging.ERROR)  # a worker that is lost and replaced is nobody's worry
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)  # `_do` says it in one line
        engine: Any = cluster
        if cluster.startswith("local:"):
            workers = min(int(cluster.partition(":")[2]), tasks)
            # What Dask sets for many small arrays, and its profiler, cost a training a fifth of its speed.
            plain = {"nanny.pre-spawn-environ": {}, "worker.profile.enabled": False}
            stack.enter_context(dask.config.set({f"distributed.{name}": value for name, value in plain.items()}))
            stack.callback(_restore, dict(os.environ))  # into which Dask writes them for the workers to find
            # Only this machine reaches it; and a worker may take as much memory as this process would.
            where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
            engine = stack.enter_context(
                distributed.LocalCluster(n_workers=workers, threads_per_worker=1, silence_logs=logging.ERROR, **where)
            )
        elif not cluster.startswith(("tcp://", "tls://")):
            kind, settings, jobs = _queue(Path(cluster))
            import dask_jobqueue

            stack.enter_context(dask.config.set({f"jobqueue.{kind}.{name}": one for name, one in settings.items()}))
            engine = stack.enter_context(getattr(dask_jobqueue, QUEUES[kind])())
            engine.scale(jobs=min(jobs, tasks))
        client = stack.enter_context(distributed.Client(engine, timeout=PATIENCE))
        log.info("what the workers do is shown at %s", client.dashboard_link)
        if not client.scheduler_info()["workers"] and engine is cluster:
            log.warning("no worker is there yet; start some: dask worker %s --nthreads 1", cluster)
        yield client


def _restore(environment: dict[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


def _queue(path: Path) -> tuple[str, dict[str, Any], int]:
    """Returns the kind of queue that a file names, its settings for dask-jobqueue, and how many jobs it may have."""
    import yaml  # Dask brings it

    try:
        import dask_jobqueue  # noqa: F401
    except ImportError:
        raise ClusterError("A queue needs dask-jobqueue. Get it: pip install dask-jobqueue") from None
    form = f"A file for --cluster says jobqueue: one of {', '.join(QUEUES)}: its settings"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        ((kind, settings),) = values["jobqueue"].items()
        jobs = int(values.get("jobs", JOBS))
        if kind not in QUEUES or not isinstance(settings, dict) or jobs < 1:
            raise ValueError(f"it has {kind}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ClusterError(f"{form}; {path} does not ({' '.join(str(error).split())[:120]}). Change it.") from None
    options = {"dashboard_address": "127.0.0.1:0", **(settings.get("scheduler-options") or {})}
    if not {"host", "interface"} & {*options} and "interface" not in settings:
        raise ClusterError(
            f"Jobs of a queue reach this machine over a network, and {path} does not say which. Add interface: NAME, "
            f"as `ip addr` calls it, to the settings of {kind}."
        )
    return kind, {**settings, "scheduler-options": options}, jobs


def _here() -> dict[str, str]:
    """Returns what a worker must have as this process has it."""
    import casestudy

    return {"python": platform.python_version().rpartition(".")[0], "casestudy": casestudy.__version__, **versions()}


@contextmanager
def _mark(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields the path of a file in the folder, and what it holds: who reads it sees the same folder."""
    word = secrets.token_hex(8)
    path = folder.resolve() / f".seen-{word}"
    path.write_text(word, encoding="utf-8")
    try:
        yield str(path), word
    finally:
        path.unlink(missing_ok=True)


def _threads() -> str:
    """Returns among how many threads TensorFlow shares a sum in this process, which decides how it is rounded."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return os.environ.get(THREADS) or str(cores or 1)


def _do(function: Callable[[T], R], mark: tuple[str, str], wanted: dict[str, str], threads: str, task: T) -> R:
    """Returns what the function gives for a task, on a worker that is as the process that asks for it."""
    os.environ.setdefault(THREADS, threads)  # read when TensorFlow is first imported
    here, (path, word) = _here(), mark
    if other := [f"{name} {here.get(name)}, not {wanted[name]}" for name in wanted if here.get(name) != wanted[name]]:
        raise ClusterError(
            f"Workers have the same versions as the process that calls them; that on {platform.node()} has "
            f"{', '.join(other)}. Install the same there."
        )
    seen = ""
    with suppress(OSError):
        seen = Path(path).read_text(encoding="utf-8")
    if seen != word:
        raise ClusterError(
            f"Workers see the folder that they work in; that on {platform.node()} does not see {Path(path).parent}. "
            f"Put it where all machines find it under this path."
        )
    with _ONE_AT_A_TIME:
        try:
            return function(task)
        except FileNotFoundError:  # a worker that was given up did the same at the same time, and has tidied up
            return function(task)
