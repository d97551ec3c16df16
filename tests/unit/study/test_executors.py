from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import pytest

from graph_metamers.errors import ParameterError
from graph_metamers.study import FolderStore, plan, rows_of, run_plan, run_study, study_config
from graph_metamers.study.executors import Completion, InProcess, LocalProcesses
from graph_metamers.study.journal import count_events
from graph_metamers.study.ray_executor import RayExecutor
from graph_metamers.study.table import without_volatile

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra 'ray'")


def table(store):
    return without_volatile(rows_of(store))


def equal(one, other):
    # Not ==: nan is not equal to itself.
    return repr(one) == repr(other)


@pytest.fixture
def expected(study, tmp_path):
    store = FolderStore(tmp_path / "in-process")
    run_study(study(grid={"search_seeds": [0, 1]}), store.path)
    return table(store)


@pytest.fixture
def planned(study):
    return plan(study_config(study(grid={"search_seeds": [0, 1]})))


@pytest.mark.slow
def test_local_processes_give_the_same_table(planned, store, expected):
    executor = LocalProcesses(2)
    try:
        assert run_plan(planned, store, executor).computed == 12
    finally:
        executor.close()
    assert equal(table(store), expected)


@pytest.mark.slow
def test_a_killed_local_worker_loses_nothing(planned, store, expected):
    executor = LocalProcesses(2)
    killed = []

    def kill(tally, _words):
        if tally.computed >= 3 and not killed:
            killed.extend(executor._pool._processes)
            os.kill(killed[0], signal.SIGKILL)

    try:
        tally = run_plan(planned, store, executor, on_change=kill)
    finally:
        executor.close()
    assert killed
    assert (tally.computed, tally.is_whole) == (12, True)
    assert set(count_events(store.path / "journal", "finished").values()) == {1}
    assert equal(table(store), expected)


@pytest.mark.slow
def test_a_run_that_kills_its_worker_is_given_up(planned, store):
    class Deadly(LocalProcesses):
        """Kills every worker as soon as it is there."""

        def completed(self, timeout):
            for process in list(self._pool._processes):
                os.kill(process, signal.SIGKILL)
            return super().completed(timeout)

    executor = Deadly(1)
    try:
        tally = run_plan(planned, store, executor)
    finally:
        executor.close()
    assert len(tally.lost) == 4
    assert all("its worker died 4 times" in problem for problem in tally.lost.values())
    assert len(tally.blocked) == 8
    assert run_plan(planned, store, InProcess()).computed == 12


class Pool:
    """Computes nothing: tasks end when they are told to, and one of them takes the others with it."""

    def __init__(self):
        self.under_way = []

    def submit(self, _function, task):
        future = Future()
        self.under_way.append((future, task.run.run_id))
        return future

    def end(self):
        is_broken = any(run_id == "deadly" for _, run_id in self.under_way)
        for future, run_id in self.under_way:
            if is_broken:
                future.set_exception(BrokenProcessPool())
            else:
                future.set_result(Completion(run_id, outcome=run_id))
        self.under_way.clear()

    def shutdown(self, **_options):
        self._processes = {}


def test_a_task_that_kills_every_worker_takes_no_other_with_it(monkeypatch):
    monkeypatch.setattr(LocalProcesses, "_new_pool", lambda self: Pool())
    executor, ended, most = LocalProcesses(3), [], []
    for name in ("one", "deadly", "two", "three"):
        executor.submit(SimpleNamespace(run=SimpleNamespace(run_id=name)))
    for _ in range(20):
        most.append(len(executor._running))
        executor._pool.end()
        ended += executor.completed(0)
    told = {completion.run_id: completion.outcome for completion in ended}
    assert len(ended) == 4
    assert told == {"one": "one", "two": "two", "three": "three", "deadly": None}
    (problem,) = (completion.problem for completion in ended if completion.outcome is None)
    assert "its worker died 4 times" in problem
    assert most[0] == 4
    assert max(most[1:]) == 1  # after that, each was alone
    executor.submit(SimpleNamespace(run=SimpleNamespace(run_id="four")))
    executor.submit(SimpleNamespace(run=SimpleNamespace(run_id="five")))
    assert len(executor._running) == 2


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with one processor each."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv(
        "RAY_worker_niceness", "0"
    )  # or other tests, on the same processors, starve its workers
    nodes = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield ray
    ray.shutdown()
    nodes.shutdown()


@pytest.mark.slow
@needs_ray
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore")  # of Ray and its processes
def test_a_ray_cluster_gives_the_same_table(planned, store, expected, cluster):
    executor = RayExecutor()
    assert executor.capacity == 2
    try:
        assert run_plan(planned, store, executor).computed == 12
    finally:
        executor.close()
    assert equal(table(store), expected)
    assert {row["executor"] for row in rows_of(store)} == {"ray"}


@pytest.mark.slow
@needs_ray
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore")
def test_a_killed_ray_worker_loses_nothing(planned, store, expected, cluster):
    psutil = pytest.importorskip("psutil")
    executor = RayExecutor()
    killed, finished_before = [], []

    def kill_a_worker():
        until = time.monotonic() + 120
        while not killed and time.monotonic() < until:
            for process in psutil.Process().children(recursive=True):
                # Ray names a worker after the task that it is at.
                if "_computed" in " ".join(process.cmdline()):
                    killed.append(process.pid)
                    process.kill()
                    return
            time.sleep(0.001)

    killer = threading.Thread(target=kill_a_worker)

    def in_the_middle(tally, _words):
        if tally.computed >= 3 and not killer.ident:
            finished_before.extend(store.finished())
            killer.start()

    try:
        tally = run_plan(planned, store, executor, on_change=in_the_middle)
    finally:
        executor.close()
        killer.join()
    assert killed
    assert len(finished_before) >= 3
    assert (tally.computed, tally.is_whole) == (12, True)
    assert equal(table(store), expected)
    assert set(count_events(store.path / "journal", "finished").values()) == {1}


@pytest.mark.slow
@needs_ray
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore")
def test_a_study_finds_a_cluster_by_its_address(study, store, expected, cluster):
    address = cluster.get_runtime_context().gcs_address
    cluster.shutdown()  # the connection, not the cluster
    grid = {"search_seeds": [0, 1]}
    assert run_study(study(grid=grid), store.path, executor="ray", address=address).computed == 12
    assert equal(table(store), expected)


@pytest.mark.slow
@needs_ray
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:ResourceWarning")
def test_more_threads_than_any_node_has_may_never_start(cluster):
    with pytest.warns(UserWarning, match="no node of the Ray cluster has 2 processors"):
        RayExecutor(threads=2).close()


@pytest.mark.slow
@needs_ray
@pytest.mark.enable_socket
@pytest.mark.filterwarnings("ignore")
def test_more_threads_than_this_machine_has_are_refused():
    with pytest.raises(ParameterError, match=f"at most {os.cpu_count()}, the processors of this machine"):
        RayExecutor(threads=1 + os.cpu_count())


def test_without_ray_the_error_says_how_to_get_it(study, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # an import of it fails
    with pytest.raises(ParameterError, match=r"pip install 'graph-metamers\[ray\]'"):
        run_study(study(), store.path, executor="ray")
