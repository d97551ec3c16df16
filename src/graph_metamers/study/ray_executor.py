"""Runs computed on a Ray cluster: tasks get plain values and references to bytes, never a live model."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import ParameterError
from graph_metamers.study.executors import RETRIES, Completion, completion_of
from graph_metamers.study.planning import load_source

if TYPE_CHECKING:
    from graph_metamers.datasets import Dataset
    from graph_metamers.study.tasks import Task

MOST_WEIGHTS = 256
"""How many models are kept in the cluster's object store; the longest unused is let go."""


class RayExecutor:
    """Computes on the nodes of a Ray cluster.

    The data set goes to the cluster's object store once, and so do the weights of each model, so no node
    needs the raw files or the folder of the store. A task whose worker or node dies is tried again elsewhere.

    Parameters
    ----------
    address
        Of a running cluster, as for `ray.init`; default: a cluster on this machine for this study alone.
    workers
        How many tasks at once; default: as many as the cluster has processors.
    threads
        Threads of torch in each task, and processors that it asks for.

    Raises
    ------
    ParameterError
        If Ray is not installed, or this machine has fewer processors than threads: no task would ever start.
    """

    name = "ray"

    def __init__(self, address: str | None = None, workers: int | None = None, *, threads: int = 1) -> None:
        self._ray = _ray()
        self._owns_connection = not self._ray.is_initialized()
        if self._owns_connection:
            here = {} if address else {"num_cpus": workers and workers * threads, "include_dashboard": False}
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
        self._require_processors(threads, is_own=self._owns_connection and address is None)
        processors = int(self._ray.cluster_resources().get("CPU", 1))
        self.capacity = workers or max(1, processors // threads)
        self._compute = self._ray.remote(_computed).options(num_cpus=threads, max_retries=RETRIES)
        self._running: dict[Any, str] = {}
        self._datasets: dict[Any, Any] = {}
        self._weights: OrderedDict[str, Any] = OrderedDict()

    def submit(self, task: Task) -> None:
        """See `Executor`."""
        source, parent = task.run.source, task.run.parent
        if source not in self._datasets:
            self._datasets[source] = self._ray.put(load_source(source))
        weights = None if parent is None else self._weights_of(parent.run_id, task)
        bare = replace(task, weights=None)
        self._running[self._compute.remote(bare, weights, self._datasets[source])] = task.run.run_id

    def completed(self, timeout: float) -> list[Completion]:
        """See `Executor`."""
        if not self._running:
            return []
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout)
        return [self._completion(reference) for reference in done]

    def close(self) -> None:
        """See `Executor`."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._datasets.clear()
        self._weights.clear()
        if self._owns_connection:
            self._ray.shutdown()

    def _require_processors(self, threads: int, *, is_own: bool) -> None:
        """Refuse, or on a cluster to which nodes may still come, warn of what may never start."""
        nodes = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        most = int(max(nodes, default=0))
        if threads <= most:
            return
        if is_own:
            self._ray.shutdown()
            raise ParameterError("threads", f"at most {most}, the processors of this machine", threads)
        warnings.warn(
            f"no node of the Ray cluster has {threads} processors, one for each thread, the largest has "
            f"{most}: nothing starts until such a node joins",
            stacklevel=3,
        )

    def _weights_of(self, run_id: str, task: Task) -> Any:
        if run_id not in self._weights:
            self._weights[run_id] = self._ray.put(task.weights)
            if len(self._weights) > MOST_WEIGHTS:
                # Tasks under way hold a reference of their own.
                self._weights.popitem(last=False)
        self._weights.move_to_end(run_id)
        return self._weights[run_id]

    def _completion(self, reference: Any) -> Completion:
        run_id = self._running.pop(reference)
        try:
            completion: Completion = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Completion(run_id, None, f"Ray gave it up after {RETRIES} retries: {error}")
        return completion


def _computed(task: Task, weights: bytes | None, dataset: Dataset) -> Completion:
    """Compute a task where Ray has put it."""
    return completion_of(replace(task, weights=weights), dataset)


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ParameterError(
            "executor",
            "'in-process' or 'local' where Ray is not installed",
            "ray",
            "Install it with: pip install 'graph-metamers[ray]'",
        ) from error
    return ray
