"""The leases that a driver holds, renewed in the background while runs are computed."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from graph_metamers.errors import OutputError

if TYPE_CHECKING:
    from types import TracebackType

    from graph_metamers.study.run_store import Lease, RunStore

RENEWALS = 4
"""How often a lease is renewed in its length: a driver may miss some of them."""


class HeldLeases:
    """Leases of one driver; on leaving, those that are left are given back.

    Parameters
    ----------
    store
        Whose leases.
    owner
        The driver.
    seconds
        How long a lease lasts.
    """

    def __init__(self, store: RunStore, owner: str, seconds: float) -> None:
        self._store, self._owner, self._seconds = store, owner, seconds
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_the_end, daemon=True)

    def __enter__(self) -> HeldLeases:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for lease in self._held.values():
            self._store.release(lease)

    def acquire(self, run_id: str) -> Lease | None:
        """Take a lease and keep it alive; `None` if it is not to be had."""
        lease = self._store.acquire(run_id, self._owner, self._seconds)
        if lease is not None:
            with self._lock:
                self._held[run_id] = lease
        return lease

    def pop(self, run_id: str) -> Lease:
        """Stop renewing a lease, and hand it out."""
        with self._lock:
            return self._held.pop(run_id)

    def _renew_until_the_end(self) -> None:
        while not self._ended.wait(self._seconds / RENEWALS):
            with self._lock:
                for run_id, lease in list(self._held.items()):
                    # A lost one stays: `finish` refuses what its run brings. So does one that could not be
                    # written (a full disk): it is tried again, until it expires for others.
                    with suppress(OSError, OutputError):
                        self._held[run_id] = self._store.renew(lease) or lease
