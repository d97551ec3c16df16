"""Leases as files that are created exclusively: one live lease a run, taken over exactly once.

The leases of a run are numbered: `<run id>.1`, `<run id>.2`, ... Taking one is creating the next number with
O_EXCL, which one of any number of processes does. A lease is never deleted to be taken over, since whoever
deletes after a look may delete what came after it; only once its run has a result are its files removed.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from graph_metamers.storage.atomic import atomic_file
from graph_metamers.study.run_store import Lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNREADABLE_SECONDS = 2.0
"""How long an empty lease counts as live: its process was killed, or has not come to write it yet."""


class LeaseFiles:
    """The leases in a folder.

    Parameters
    ----------
    folder
        Where the files are; made when the first lease is taken.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def acquire(self, run_id: str, owner: str, seconds: float) -> Lease | None:
        """Take the next lease of a run if the last one is over; `None` if it is live."""
        self._folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        for generation in itertools.count(1):
            path = self._path(run_id, generation)
            if path.exists():
                found = self._read(path)
                # The files may have been removed meanwhile: their run is finished, and the caller looks.
                if found is not None and found.expires > now and not self._is_followed(found):
                    return None
                continue
            lease = Lease(run_id, owner, generation, now + seconds, seconds)
            return lease if _created(path, lease) else None
        raise AssertionError  # `count` does not end

    def renew(self, lease: Lease) -> Lease | None:
        """Write a later end into a lease; `None` if another followed it, or its run was finished."""
        if self._is_followed(lease) or not self._path(lease.run_id, lease.generation).exists():
            return None
        renewed = replace(lease, expires=time.time() + lease.seconds)
        self._write(renewed)
        return renewed

    def release(self, lease: Lease) -> None:
        """Let a lease end now. Its file stays, so that its number is not given twice."""
        if self.is_held(lease):
            self._write(replace(lease, expires=0.0))

    def is_held(self, lease: Lease) -> bool:
        """Whether no other lease followed this one."""
        return self._path(lease.run_id, lease.generation).exists() and not self._is_followed(lease)

    def discard(self, lease: Lease) -> None:
        """Remove a lease that was taken of a run that turned out to be finished."""
        self._path(lease.run_id, lease.generation).unlink(missing_ok=True)

    def remove(self, run_id: str) -> None:
        """Remove the files of a run that has a result, the last first: none is missing in between."""
        known = itertools.takewhile(
            lambda path: path.exists(), (self._path(run_id, number) for number in itertools.count(1))
        )
        for path in reversed(list(known)):
            path.unlink(missing_ok=True)

    def live(self) -> Iterator[Lease]:
        """All leases that are live now."""
        now = time.time()
        paths = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        for path in paths:
            found = None if path.name.startswith(".") else self._read(path)
            if found is not None and found.expires > now and not self._is_followed(found):
                yield found

    def _is_followed(self, lease: Lease) -> bool:
        return self._path(lease.run_id, lease.generation + 1).exists()

    def _path(self, run_id: str, generation: int) -> Path:
        return self._folder / f"{run_id}.{generation}"

    def _write(self, lease: Lease) -> None:
        with atomic_file(self._path(lease.run_id, lease.generation)) as temporary:
            temporary.write_bytes(_content(lease))

    def _read(self, path: Path) -> Lease | None:
        """The lease in a file; `None` if the file is gone."""
        run_id, _, number = path.name.rpartition(".")
        try:
            written = path.stat().st_mtime
            raw = json.loads(path.read_bytes())
            return Lease(run_id, raw["owner"], int(number), float(raw["expires"]), float(raw["seconds"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return Lease(run_id, "", int(number), written + UNREADABLE_SECONDS, UNREADABLE_SECONDS)


def _created(path: Path, lease: Lease) -> bool:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        os.write(file, _content(lease))
    finally:
        os.close(file)
    return True


def _content(lease: Lease) -> bytes:
    return json.dumps({"owner": lease.owner, "expires": lease.expires, "seconds": lease.seconds}).encode()
