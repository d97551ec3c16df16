from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time

import pytest

from graph_metamers.errors import ParameterError
from graph_metamers.study import FolderStore, plan, rows_of, run_plan, run_study, study_config
from graph_metamers.study.executors import InProcess, LocalProcesses
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


@pytest.fixture
def cluster():
    """Two nodes with one processor each."""
    ray = pytest.importorskip("ray")
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
    killed = []

    def kill_a_worker():
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for process in psutil.Process().children(recursive=True):
                # Ray names a worker after the task that it is at.
                if "_computed" in " ".join(process.cmdline()):
                    killed.append(process.pid)
                    process.kill()
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    try:
        tally = run_plan(planned, store, executor)
    finally:
        executor.close()
        killer.join()
    assert killed
    assert (tally.computed, tally.is_whole) == (12, True)
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


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_error_says_how_to_get_it(study, store):
    with pytest.raises(ParameterError, match=r"pip install 'graph-metamers\[ray\]'"):
        run_study(study(), store.path, executor="ray")
