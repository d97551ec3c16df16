"""Runs in a folder: one folder a run, which appears whole; `result.json` is the truth.

    runs/<first two digits>/<run id>/result.json     what was found
                                     manifest.json   how
                                     ...             weights, a graph
    leases/<run id>.<number>                         who computes it
    journal/<driver>.jsonl                           what each driver did, in its order
    runs.parquet                                     derived from the results, replaced as a whole

A run is written beside its place, `result.json` last, and renamed. A rename to a folder that is there fails,
so the first result stays. It guards against killed processes, not against a loss of power (no `fsync`).
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import FileFormatError, OutputError, ParameterError
from graph_metamers.storage import ensure_writable, read_json, write_json
from graph_metamers.study.lease_files import LeaseFiles
from graph_metamers.study.run_store import Lease, RunRecord

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

MARKER = "study-store.json"
FORMAT_VERSION = 1
RESULT, MANIFEST = "result.json", "manifest.json"
ABANDONED_SECONDS = 24 * 3600.0
"""Half-written folders older than this are removed: nobody is writing them any more."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class FolderStore:
    """A store of runs in a folder; holds to the contract in `run_store`.

    Parameters
    ----------
    path
        The folder; made if it is not there.

    Raises
    ------
    OutputError
        If it cannot be made, or is a folder of something else.
    FileFormatError
        If a later version has written it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._runs = self.path / "runs"
        self._leases = LeaseFiles(self.path / "leases")
        _prepare(self.path)

    def acquire(self, run_id: str, owner: str, seconds: float) -> Lease | None:
        """See `RunStore`."""
        _require_plain("run_id", run_id)
        if self.is_finished(run_id):
            return None
        lease = self._leases.acquire(run_id, owner, seconds)
        # Between the two looks the run may have been finished, and its leases removed.
        if lease is not None and self.is_finished(run_id):
            self._leases.discard(lease)
            return None
        return lease

    def renew(self, lease: Lease) -> Lease | None:
        """See `RunStore`."""
        return self._leases.renew(lease)

    def release(self, lease: Lease) -> None:
        """See `RunStore`."""
        self._leases.release(lease)

    def finish(self, lease: Lease, record: RunRecord, files: Mapping[str, bytes]) -> bool:
        """See `RunStore`."""
        target = self._folder(lease.run_id)
        if record.run_id != lease.run_id:
            raise ParameterError("record", f"of run {lease.run_id}", record.run_id)
        if not self._leases.is_held(lease) or self.is_finished(lease.run_id):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{secrets.token_hex(6)}.{target.name}")
        temporary.mkdir()
        try:
            _write_run(temporary, record, files)
            stored = self._leases.is_held(lease) and _renamed(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        if stored:
            self._leases.remove(lease.run_id)
        return stored

    def is_finished(self, run_id: str) -> bool:
        """See `RunStore`."""
        return (self._folder(run_id) / RESULT).is_file()

    def read(self, run_id: str) -> RunRecord:
        """See `RunStore`.

        Raises
        ------
        FileFormatError
            If the run is not finished, or its files were damaged.
        """
        return _read_run(self._folder(run_id))

    def read_file(self, run_id: str, name: str) -> bytes:
        """See `RunStore`.

        Raises
        ------
        FileFormatError
            If there is no such file.
        """
        path = self._file(run_id, name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise FileFormatError(f"cannot read {path}: {error.strerror}") from error

    def file_names(self, run_id: str) -> list[str]:
        """See `RunStore`."""
        folder = self._folder(run_id)
        return sorted(path.name for path in folder.iterdir() if path.name not in (RESULT, MANIFEST))

    def drop_file(self, run_id: str, name: str) -> None:
        """See `RunStore`."""
        self._file(run_id, name).unlink(missing_ok=True)

    def finished(self) -> Iterator[str]:
        """See `RunStore`."""
        folders = sorted(path for path in self._runs.glob("*/*") if not path.name.startswith("."))
        return (path.name for path in folders if (path / RESULT).is_file())

    def live_leases(self) -> Iterator[Lease]:
        """See `RunStore`."""
        return (lease for lease in self._leases.live() if not self.is_finished(lease.run_id))

    def size(self, run_id: str) -> int:
        """Bytes of a finished run on disk."""
        return sum(path.stat().st_size for path in self._folder(run_id).iterdir())

    def remove_failed(self, run_id: str) -> bool:
        """Forget a run that has failed, so that it is computed again; says whether this one did it.

        What another driver has computed anew in the meantime stays.
        """
        folder = self._folder(run_id)
        try:
            if not (self.is_finished(run_id) and self.read(run_id).is_failed):
                return False
        except FileFormatError:
            if self.is_finished(run_id):
                raise
            return False  # another driver was faster
        gone = folder.with_name(f".{secrets.token_hex(6)}.{folder.name}")
        try:
            folder.rename(gone)  # at once: a reader sees all of it or nothing
        except FileNotFoundError:
            return False
        if not _read_run(gone).is_failed and _renamed(gone, folder):
            return False
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def clean(self) -> None:
        """Remove what killed processes have left half-written long ago."""
        for path in self._runs.glob("*/.*"):
            try:
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            except FileNotFoundError:  # its process has just removed it
                continue

    def _folder(self, run_id: str) -> Path:
        _require_plain("run_id", run_id)
        return self._runs / run_id[:2] / run_id

    def _file(self, run_id: str, name: str) -> Path:
        _require_plain("name", name)
        if name in (RESULT, MANIFEST):
            raise ParameterError("name", "the name of a file beside the record", name)
        return self._folder(run_id) / name


def _prepare(path: Path) -> None:
    marker = path / MARKER
    if path.exists() and not path.is_dir():
        raise OutputError(f"cannot make the folder {path}: a file has that name. Choose another name")
    # Hidden files may be what a killed process has left of the marker.
    others = path.is_dir() and any(not found.name.startswith(".") for found in path.iterdir())
    if others and not marker.exists():
        raise OutputError(
            f"cannot keep runs in {path}: it is not empty and has no file {MARKER!r}, so it is no store of "
            "graph-metamers. Choose another folder"
        )
    if not marker.exists():
        ensure_writable(marker)
        write_json({"format": "graph-metamers runs", "version": FORMAT_VERSION}, marker)
    found: Any = read_json(marker)
    if not isinstance(found, dict) or found.get("version") != FORMAT_VERSION:
        raise FileFormatError(
            f"{marker} must be of version {FORMAT_VERSION}, got {found!r}. "
            "Use the version of graph-metamers that wrote it"
        )


def _write_run(folder: Path, record: RunRecord, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        _require_plain("name", name)
        (folder / name).write_bytes(content)
    write_json(record.manifest, folder / MANIFEST)
    result = {
        "run_id": record.run_id,
        "identity": record.identity,
        "values": record.values,
        "error": record.error,
    }
    write_json(result, folder / RESULT)


def _read_run(folder: Path) -> RunRecord:
    result: Any = read_json(folder / RESULT)
    manifest: Any = read_json(folder / MANIFEST)
    try:
        return RunRecord(
            result["run_id"], result["identity"], result["values"], result["error"], dict(manifest)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{folder} must hold a whole run, got {error!r}. Delete the folder to compute it again"
        ) from error


def _renamed(source: Path, target: Path) -> bool:
    """Rename a folder unless there is one already."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def _require_plain(name: str, value: str) -> None:
    if not _PLAIN.fullmatch(value):
        raise ParameterError(name, "a plain name of letters, digits, '.', '_' and '-'", value)
