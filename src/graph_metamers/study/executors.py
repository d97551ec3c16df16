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
from collections import Counter, deque
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
"""How often a run is tried again of which a worker has died while it was alone."""


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

    A worker that dies takes its pool with it; the pool is made anew, and what was under way is tried again,
    one task after the other: so a task that kills every worker is found out and ends alone.

    Parameters
    ----------
    workers
        How many processes; default: one a core.
    """

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        self.capacity = check_integer("workers", workers or os.cpu_count() or 1, low=1)
        self._pool = self._new_pool()
        self._running: dict[Future[Completion], Task] = {}
        self._suspects: deque[Task] = deque()  # under way when a worker died
        self._is_trial = False  # whether what runs is one of them
        self._waiting: deque[Task] = deque()
        self._deaths: Counter[str] = Counter()  # run_id -> workers that died of it, as it was alone

    def submit(self, task: Task) -> None:
        """See `Executor`."""
        self._waiting.append(task)
        self._start()

    def completed(self, timeout: float) -> list[Completion]:
        """See `Executor`."""
        done, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        completions, lost = [], []
        for future in done:
            task = self._running.pop(future)
            try:
                completions.append(future.result())
            except BrokenProcessPool:
                lost.append(task)
        if lost:
            completions += self._suspected([*lost, *self._running.values()])
        self._start()
        return completions

    def _suspected(self, lost: list[Task]) -> list[Completion]:
        """Keep tasks that a broken pool has lost for another try; or give up the one that was alone."""
        for future in self._running:
            future.cancel()
        self._running.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new_pool()
        self._suspects.extend(lost)
        if len(lost) > 1:
            return []
        run_id = lost[0].run.run_id
        self._deaths[run_id] += 1
        if self._deaths[run_id] <= RETRIES:
            return []
        self._suspects.pop()
        times = self._deaths.pop(run_id)
        return [Completion(run_id, None, f"its worker died {times} times; is there enough memory?")]

    def close(self) -> None:
        """See `Executor`."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._running:
            for process in processes:  # at work for nobody
                process.terminate()

    def _start(self) -> None:
        """Start what waits: a suspect alone, others all together."""
        if self._is_trial and self._running:
            return
        self._is_trial = bool(self._suspects)
        queue = self._suspects if self._is_trial else self._waiting
        while queue:
            try:
                future = self._pool.submit(completion_of, queue[0])
            except BrokenProcessPool:  # a worker died since the last look
                if self._running:
                    return  # `completed` sees what was under way
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = self._new_pool()
                continue
            self._running[future] = queue.popleft()
            if self._is_trial:
                return

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
