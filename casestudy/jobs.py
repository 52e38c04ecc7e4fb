"""Tasks in, results out as they come: done by processes of this machine, any of which may die. No package is needed."""

from __future__ import annotations

import multiprocessing
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

MOST_LOST = 3  # processes that one task may lose, as in Dask


class LostError(Exception):
    """A task has lost too many workers; says which was the last."""


class Processes:
    """So many processes, begun when they are needed and ended with the context; each does one task at a time."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._idle: list[Connection] = []
        self._processes: dict[Connection, BaseProcess] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.join()

    def each_done(self, call: Callable[[T], R], tasks: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yields (number of the task, what it gave) as they come; the task of a process that dies is another's then.

        Raises:
            LostError: One task has lost four processes.
            Exception: What a task raises, with where it came from as a note.
        """
        waiting, lost = deque(range(len(tasks))), Counter[int]()
        at_work: dict[Connection, int] = {}
        while waiting or at_work:
            while waiting and len(at_work) < self._number:
                pipe = self._idle.pop() if self._idle else self._begin()
                at_work[pipe] = waiting.popleft()
                with suppress(BrokenPipeError):  # it died while it had nothing to do, which is seen below
                    pipe.send((call, tasks[at_work[pipe]]))
            for pipe in cast("list[Connection]", wait(list(at_work))):
                task = at_work.pop(pipe)
                try:
                    found, error = pipe.recv()
                except (EOFError, OSError):
                    process = self._processes.pop(pipe)
                    process.join()
                    lost[task] += 1
                    if lost[task] > MOST_LOST:
                        raise LostError(f"process {process.pid}, ended by {process.exitcode}") from None
                    waiting.appendleft(task)
                    continue
                self._idle.append(pipe)
                if error is not None:
                    raise error
                yield task, found

    def _begin(self) -> Connection:
        # A fresh Python: a copy of this one would have its threads' locks, and what TensorFlow has begun.
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there,))
        process.start()
        there.close()  # so that its end is seen here when the process dies
        self._processes[here] = process
        return here


def _serve(pipe: Connection) -> None:
    """Does tasks until nobody asks any more: the process that did has ended, or ends this one."""
    try:
        while True:
            answer: tuple[Any, Exception | None]
            try:
                call, task = pipe.recv()
                answer = call(task), None
            except EOFError:
                return
            except Exception as error:
                error.add_note(traceback.format_exc())
                answer = None, error
            try:
                pipe.send(answer)
            except (TypeError, AttributeError, ValueError) as error:  # it cannot be sent, and says of itself why
                pipe.send((None, TypeError(f"{answer!r:.200}: {error}")))
    except (KeyboardInterrupt, BrokenPipeError):
        return  # who asked has ended, and says so
