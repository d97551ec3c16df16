"""How far a study, or all of a store, has come."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graph_metamers.study.folder_store import FolderStore
    from graph_metamers.study.planning import Plan


@dataclass(frozen=True)
class StudyStatus:
    """How many runs are in which state.

    Attributes
    ----------
    total
        Runs of the study; `None` for a store as a whole, which knows only of finished ones.
    done, failed
        Runs with values, and with an error in their place.
    running
        Runs of which a driver holds the lease now.
    drivers
        How many drivers these are.
    errors
        The errors of failed runs, and how often each occurred.
    seconds
        Computing time of all finished runs.
    disk_bytes
        What they take on disk.
    """

    total: int | None
    done: int
    failed: int
    running: int
    drivers: int
    errors: dict[str, int]
    seconds: float
    disk_bytes: int

    @property
    def waiting(self) -> int | None:
        """Runs that nobody has begun."""
        return None if self.total is None else self.total - self.done - self.failed - self.running


def study_status(store: FolderStore, plan: Plan | None = None) -> StudyStatus:
    """Count the runs of a study, or all of a store; nothing is changed."""
    wanted = None if plan is None else {run.run_id for run in plan.runs}
    finished = [run_id for run_id in store.finished() if wanted is None or run_id in wanted]
    errors: Counter[str] = Counter()
    seconds, size = 0.0, 0
    for run_id in finished:
        record = store.read(run_id)
        if record.error is not None:
            errors[record.error] += 1
        took: Any = record.manifest.get("seconds", 0.0)
        seconds += float(took)
        size += store.size(run_id)
    leases = [lease for lease in store.live_leases() if wanted is None or lease.run_id in wanted]
    failed = sum(errors.values())
    return StudyStatus(
        total=None if plan is None else len(plan.runs),
        done=len(finished) - failed,
        failed=failed,
        running=len(leases),
        drivers=len({lease.owner for lease in leases}),
        errors=dict(errors.most_common()),
        seconds=seconds,
        disk_bytes=size,
    )
