"""What a store of runs must do: the contract that `tests/contract/test_run_stores.py` puts to every store.

1. *Whole or not at all.* A finished run is read whole, or is not there. A process that is killed at any
   point leaves nothing that is read as a result, and takes nothing from what was finished.
2. *Once.* The first result of a run stays. A second one is refused and changes nothing, whoever brings it.
3. *One live lease a run.* `acquire` gives a lease to one of any number of callers at a time, and to nobody
   while it is live. A lease is live until it expires, is released, or its run is finished.
4. *Taken over once.* Of any number of callers that find an expired lease, one gets the next. From then on the
   old lease is lost: `renew` says so, and `finish` refuses what its holder brings.
5. *Results do not expire.* `acquire` gives no lease for a run that is finished.
6. *Names are data.* A run id or a file name that is no plain name is refused, not followed.

Clocks of machines that share a store may differ by less than the length of a lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graph_metamers.types import Json


@dataclass(frozen=True)
class Lease:
    """The right to compute a run until it expires.

    Attributes
    ----------
    run_id
        Of which run.
    owner
        Who has it.
    generation
        1 for the first lease of the run, one more at each that followed.
    expires
        Seconds since 1970.
    seconds
        How long it lasts from each renewal.
    """

    run_id: str
    owner: str
    generation: int
    expires: float
    seconds: float


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run.

    Attributes
    ----------
    identity
        What its id is the fingerprint of; see `Run.identity`.
    values
        What was found: equal for two computations of the run with one number of threads. Empty if it failed.
    error
        Why it could not be computed; `None` if it was.
    manifest
        How it was computed: versions, times, fingerprints, executor.
    """

    run_id: str
    identity: Mapping[str, Json]
    values: Mapping[str, Json]
    error: str | None
    manifest: Mapping[str, Json]

    @property
    def is_failed(self) -> bool:
        """Whether the run ended without values."""
        return self.error is not None


class RunStore(Protocol):
    """Keeps runs; see the head of this module for what every store must hold to."""

    def acquire(self, run_id: str, owner: str, seconds: float) -> Lease | None:
        """Take the lease of a run; `None` while someone else has it, or if the run is finished."""

    def renew(self, lease: Lease) -> Lease | None:
        """Make a lease last `lease.seconds` from now; `None` if it is lost."""

    def release(self, lease: Lease) -> None:
        """Give a lease back without a result; nothing happens if it is lost."""

    def finish(self, lease: Lease, record: RunRecord, files: Mapping[str, bytes]) -> bool:
        """Store the result of a leased run and files that belong to it (weights, a graph); end the lease.

        `False` if it is refused: the lease is lost, or there is a result already.
        """

    def is_finished(self, run_id: str) -> bool:
        """Whether there is a result."""

    def read(self, run_id: str) -> RunRecord:
        """The result of a finished run."""

    def read_file(self, run_id: str, name: str) -> bytes:
        """A file of a finished run."""

    def file_names(self, run_id: str) -> list[str]:
        """The names of the files of a finished run, sorted."""

    def drop_file(self, run_id: str, name: str) -> None:
        """Delete a file of a finished run; nothing happens if there is none."""

    def finished(self) -> Iterator[str]:
        """The ids of all finished runs, sorted."""

    def live_leases(self) -> Iterator[Lease]:
        """The leases that are live now."""
