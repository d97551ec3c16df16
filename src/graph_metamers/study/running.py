"""run_study(): from a study file to a table, by any executor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_choice, check_integer
from graph_metamers.study.config import study_config
from graph_metamers.study.driving import LEASE_SECONDS, run_plan
from graph_metamers.study.executors import InProcess, LocalProcesses
from graph_metamers.study.folder_store import FolderStore
from graph_metamers.study.planning import plan
from graph_metamers.study.ray_executor import RayExecutor
from graph_metamers.study.table import require_pyarrow, write_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from graph_metamers.study.config import StudyConfig
    from graph_metamers.study.driving import Keep, Tally
    from graph_metamers.study.executors import Executor

EXECUTORS = ("in-process", "local", "ray")


def run_study(
    study: str | os.PathLike[str] | dict[str, Any] | StudyConfig,
    store: str | os.PathLike[str],
    *,
    executor: str = "in-process",
    workers: int | None = None,
    address: str | None = None,
    keep: Keep = "none",
    lease_seconds: float = LEASE_SECONDS,
    retry_failed: bool = False,
    data_root: str | os.PathLike[str] | None = None,
    on_change: Callable[[Tally, str], None] | None = None,
) -> Tally:
    """Compute every run of a study that has no result yet, and write the table of the store.

    It may be killed at any point and started again, and several of it may work on one store at once, also
    from several machines that share the folder: each run is computed by one of them.

    Parameters
    ----------
    study
        The path of a YAML file, a dictionary of the same form, or a `StudyConfig`.
    store
        A folder for results; made if it is not there. Several studies may share it: a run that two of them
        ask for is computed once.
    executor
        `"in-process"`; `"local"`, processes of this machine; or `"ray"`.
    workers
        Runs computed at once; default: one a processor. In-process there is one.
    address
        Of a Ray cluster; default: one on this machine.
    keep
        Which found graphs are kept of what is computed now: `"none"`; `"best"`, of searches that differ in
        their seed alone; `"all"`.
    lease_seconds
        After so long without a sign of life, a driver counts as dead and its runs as free.
    retry_failed
        Compute runs again whose result is a failure.
    data_root
        As for `load_dataset`.
    on_change
        Called with a `Tally` and a few words after every event.

    Returns
    -------
    Tally

    Raises
    ------
    UserError
        If anything about the study, the store or the executor has to be mended first.
    """
    require_pyarrow()
    check_executor(executor, workers, address)
    planned = plan(study_config(study), data_root=None if data_root is None else os.fspath(data_root))
    folder = FolderStore(store)
    if retry_failed:
        for run in planned.runs:
            folder.remove_failed(run.run_id)
    # Processes and clusters take seconds to start: not for a study that is finished.
    wanted = executor if _is_left(planned, folder) else "in-process"
    computing = make_executor(wanted, workers, address, threads=planned.study.threads)
    try:
        tally = run_plan(
            planned, folder, computing, keep=keep, lease_seconds=lease_seconds, on_change=on_change
        )
    finally:
        computing.close()
        write_table(folder)
    return tally


def check_executor(executor: str, workers: int | None, address: str | None) -> None:
    """Refuse what no executor can be made from; call it before anything long.

    Raises
    ------
    ParameterError
        If a parameter is outside its range, or would have no effect.
    """
    check_choice("executor", executor, EXECUTORS)
    if workers is not None:
        check_integer("workers", workers, low=1)
        if executor == "in-process" and workers != 1:
            raise ParameterError("workers", "1 in-process", workers, "Use executor='local' for more")
    if address is not None and executor != "ray":
        raise ParameterError("address", "left out without executor='ray'", address)


def make_executor(executor: str, workers: int | None, address: str | None, *, threads: int) -> Executor:
    """Start an executor by name."""
    if executor == "in-process":
        return InProcess()
    if executor == "local":
        return LocalProcesses(workers)
    return RayExecutor(address, workers, threads=threads)


def _is_left(planned: Any, folder: FolderStore) -> bool:
    return any(not folder.is_finished(run.run_id) for run in planned.runs)
