"""run_study(): every run of a study that has no result yet, computed once, whoever else is at it."""

from __future__ import annotations

import platform
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from graph_metamers.parameters import check_choice, check_real
from graph_metamers.study.journal import Journal
from graph_metamers.study.keeping import keep_best
from graph_metamers.study.leasing import HeldLeases
from graph_metamers.study.run_store import RunRecord
from graph_metamers.study.tasks import WEIGHTS, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.study.executors import Completion, Executor
    from graph_metamers.study.folder_store import FolderStore
    from graph_metamers.study.planning import Plan
    from graph_metamers.study.runs import Run

LEASE_SECONDS = 60.0
POLL_SECONDS = 0.5
"""How often a driver looks for what others have finished or let expire."""

Keep = Literal["none", "best", "all"]


@dataclass
class Tally:
    """How the runs of a study came to be, as one driver saw it.

    Attributes
    ----------
    total
        Number of runs.
    found
        Had a result before, or got one from another driver.
    computed
        Computed by this driver.
    failed
        Ids of those, found or computed, whose result is a failure.
    lost
        Run id -> why it could not be computed; there is no result, and the next driver tries again.
    blocked
        Ids of searches whose model failed or was lost.
    """

    total: int
    found: int = 0
    computed: int = 0
    failed: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every run has a result that is no failure."""
        return not (self.failed or self.lost or self.blocked)

    @property
    def num_done(self) -> int:
        """Runs about which nothing more will happen."""
        return self.found + self.computed + len(self.lost) + len(self.blocked)


def run_plan(
    plan: Plan,
    store: FolderStore,
    executor: Executor,
    *,
    keep: Keep = "none",
    lease_seconds: float = LEASE_SECONDS,
    on_change: Callable[[Tally, str], None] | None = None,
) -> Tally:
    """Compute what has no result yet, and wait for what other drivers compute.

    Parameters
    ----------
    plan
        From `plan`.
    store
        Where results are and go.
    executor
        Who computes. It is not closed.
    keep
        Which graphs of searches are kept: none; of the searches that differ in their seed alone the best one
        (a metamer, then the largest share of nodes that pass all gates); or all.
    lease_seconds
        After so long without a sign of life, a driver counts as dead, and its runs as free.
    on_change
        Called with the tally and a few words after every event.

    Returns
    -------
    Tally

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    """
    check_choice("keep", keep, ("none", "best", "all"))
    check_real("lease_seconds", lease_seconds, low=0.1)
    owner = f"{platform.system().lower()}-{secrets.token_hex(8)}"  # no name of a machine or a user
    store.clean()
    with HeldLeases(store, owner, lease_seconds) as leases:
        driver = _Driver(plan, store, executor, leases, Journal(store.path / "journal", owner), keep)
        driver.tell = on_change or (lambda *_: None)
        driver.drive()
        return driver.tally


class _Driver:
    """One pass through a study."""

    def __init__(
        self,
        plan: Plan,
        store: FolderStore,
        executor: Executor,
        leases: HeldLeases,
        journal: Journal,
        keep: Keep,
    ) -> None:
        self.store, self.executor, self.leases, self.journal = store, executor, leases, journal
        self.keep, self.threads = keep, plan.study.threads
        self.tally = Tally(len(plan.runs))
        self.tell: Callable[[Tally, str], None]
        self.ready: deque[Run] = deque(plan.models)
        self.elsewhere: list[Run] = []
        self.running: dict[str, Run] = {}
        self.children: dict[str, list[Run]] = {run.run_id: [] for run in plan.models}
        for run in plan.metamers:
            assert run.parent is not None  # noqa: S101 (it is a search)
            self.children[run.parent.run_id].append(run)

    def drive(self) -> None:
        looked = time.monotonic()
        while self.ready or self.elsewhere or self.running:
            self._fill()
            if self.running:
                for completion in self.executor.completed(POLL_SECONDS):
                    self._finish(completion)
            elif self.elsewhere and not self.ready:
                time.sleep(POLL_SECONDS)
            if self.elsewhere and time.monotonic() - looked >= POLL_SECONDS:
                self.ready.extend(self.elsewhere)
                self.elsewhere.clear()
                looked = time.monotonic()

    def _fill(self) -> None:
        """Start runs while there is room for them."""
        while self.ready and len(self.running) < self.executor.capacity:
            run = self.ready.popleft()
            if self.store.is_finished(run.run_id):
                self.tally.found += 1
                self._settled(run, f"found {run.title}")
                continue
            lease = self.leases.acquire(run.run_id)
            if lease is None:
                # Someone else has it, or has just finished it: look again later.
                self.elsewhere.append(run)
                continue
            self.journal.add("started", run.run_id, generation=lease.generation)
            self.running[run.run_id] = run
            self.executor.submit(self._task(run))
            self.tell(self.tally, f"started {run.title}")

    def _task(self, run: Run) -> Task:
        weights = None if run.parent is None else self.store.read_file(run.parent.run_id, WEIGHTS)
        return Task(run, weights, self.threads, keep_graph=self.keep != "none")

    def _finish(self, completion: Completion) -> None:
        run = self.running.pop(completion.run_id)
        lease = self.leases.pop(run.run_id)
        outcome = completion.outcome
        if outcome is None:
            self.store.release(lease)
            self.journal.add("lost", run.run_id)
            self.tally.lost[run.run_id] = f"{run.title}: {completion.problem}"
            self._block(run)
            self.tell(self.tally, f"lost {run.title}")
            return
        manifest = {
            **outcome.manifest,
            "executor": self.executor.name,
            "lease_generation": lease.generation,
            "keep": self.keep,
        }
        record = RunRecord(run.run_id, run.identity, outcome.values, outcome.error, manifest)
        if not self.store.finish(lease, record, outcome.files):
            # This driver was taken for dead, and another one has the run: what it says counts.
            self.journal.add("refused", run.run_id)
            self.elsewhere.append(run)
            return
        self.journal.add("finished", run.run_id, generation=lease.generation)
        self.tally.computed += 1
        self._settled(run, f"computed {run.title}")

    def _settled(self, run: Run, words: str) -> None:
        """A run has a result: go on with what waited for it."""
        record = self.store.read(run.run_id)
        if record.is_failed:
            self.tally.failed.append(run.run_id)
            self._block(run)
        elif run.parent is None:
            self.ready.extend(self.children[run.run_id])
        elif self.keep == "best":
            siblings = [other for other in self.children[run.parent.run_id] if _differ_in_seed(run, other)]
            keep_best(self.store, [other.run_id for other in siblings])
        self.tell(self.tally, words)

    def _block(self, run: Run) -> None:
        if run.parent is None:
            self.tally.blocked += [child.run_id for child in self.children[run.run_id]]


def _differ_in_seed(one: Run, other: Run) -> bool:
    return dict(one.config) == dict(other.config)
