"""Where runs are computed: in this process, or in processes of this machine; `ray_executor` has the cluster.

An executor gets tasks, which are plain values and bytes, and gives back what came of them. It knows nothing
of stores, leases or studies. All of them call `compute` with the same number of threads, so that all of
them give the same results.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_ends
from typing import TYPE_CHECKING, Protocol

from graph_metamers.errors import GraphMetamersError
from graph_metamers.parameters import check_integer
from graph_metamers.study.computing import compute

if TYPE_CHECKING:
    from graph_metamers.datasets import Dataset
    from graph_metamers.study.tasks import Outcome, Task

RETRIES = 3
"""How often a run is tried again whose worker has died."""


@dataclass(frozen=True, eq=False)
class Completion:
    """The end of a task.

    Attributes
    ----------
    run_id
        Of which run.
    outcome
        What came of it; `None` if it could not be computed for a reason that says nothing of the run.
    problem
        That reason.
    """

    run_id: str
    outcome: Outcome | None
    problem: str = ""


class Executor(Protocol):
    """Computes tasks.

    Attributes
    ----------
    name
        As in `--executor`.
    capacity
        How many tasks it computes at once.
    """

    name: str
    capacity: int

    def submit(self, task: Task) -> None:
        """Take a task; returns at once."""

    def completed(self, timeout: float) -> list[Completion]:
        """Wait until a task has ended, for `timeout` seconds at the most where it is computed elsewhere."""

    def close(self) -> None:
        """Give back processes and connections; what is not completed is lost."""


class InProcess:
    """Computes one task after the other, in this process, when it is waited for."""

    name = "in-process"
    capacity = 1

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """See `Executor`."""
        self._tasks.append(task)

    def completed(self, timeout: float) -> list[Completion]:  # noqa: ARG002 (nothing is computed elsewhere)
        """See `Executor`."""
        if not self._tasks:
            return []
        return [completion_of(self._tasks.popleft())]

    def close(self) -> None:
        """See `Executor`."""
        self._tasks.clear()


class LocalProcesses:
    """Computes in processes of this machine, each with its own interpreter.

    A worker that dies takes its pool with it; the pool is made anew, and what was under way is tried again.

    Parameters
    ----------
    workers
        How many processes; default: one a core.
    """

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        self.capacity = check_integer("workers", workers or os.cpu_count() or 1, low=1)
        self._pool = self._new_pool()
        self._running: dict[Future[Completion], tuple[Task, int]] = {}

    def submit(self, task: Task) -> None:
        """See `Executor`."""
        self._start(task, 1)

    def completed(self, timeout: float) -> list[Completion]:
        """See `Executor`."""
        done, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        completions, again = [], []
        for future in done:
            task, attempt = self._running.pop(future)
            try:
                completions.append(future.result())
            except BrokenProcessPool:
                again.append((task, attempt))
        if again:
            again += self._running.values()  # a broken pool has lost all of them
            for future in self._running:
                future.cancel()
            self._running.clear()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()
        for task, attempt in again:
            if attempt > RETRIES:
                problem = f"its worker died {attempt} times; is there enough memory?"
                completions.append(Completion(task.run.run_id, None, problem))
            else:
                self._start(task, attempt + 1)
        return completions

    def close(self) -> None:
        """See `Executor`."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._running:
            for process in processes:  # at work for nobody
                process.terminate()

    def _start(self, task: Task, attempt: int) -> None:
        try:
            future = self._pool.submit(completion_of, task)
        except BrokenProcessPool:  # a worker died since the last look; `completed` sees what was under way
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()
            future = self._pool.submit(completion_of, task)
        self._running[future] = task, attempt

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not fork: torch and numba have threads.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.capacity, mp_context=context, initializer=_enter_worker)


def completion_of(task: Task, dataset: Dataset | None = None) -> Completion:
    """Compute a task, whatever happens; `dataset` as for `compute`."""
    try:
        return Completion(task.run.run_id, compute(task, dataset))
    except GraphMetamersError as error:  # of the place where it is computed: its message says what to mend
        return Completion(task.run.run_id, None, f"{type(error).__name__}: {error}")
    except Exception:  # a defect in one run must not end the others
        return Completion(task.run.run_id, None, traceback.format_exc())


def _enter_worker() -> None:
    """Leave Ctrl-C to the driver, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 (a worker has one)
    wait_for_ends([parent.sentinel])
    os._exit(1)
