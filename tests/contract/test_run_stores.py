"""The contract of `graph_metamers.study.run_store`, put to every store of runs."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time

import pytest

from graph_metamers.errors import FileFormatError, GraphMetamersError, ParameterError
from graph_metamers.study.folder_store import FolderStore
from graph_metamers.study.run_store import RunRecord

RUN, OTHER = "ab" * 20, "cd" * 20
FILES = {"model.safetensors": b"weights", "graph.npz": bytes(1000)}
STORES = {"folder": FolderStore}


@pytest.fixture(params=STORES)
def reopened(request, tmp_path):
    """Opens one and the same store, as another process would."""
    return lambda: STORES[request.param](tmp_path / "store")


@pytest.fixture
def store(reopened):
    return reopened()


def record(run_id=RUN, **values):
    identity = {"kind": "model", "seed": 0}
    return RunRecord(run_id, identity, {"accuracy": 0.5, **values}, None, {"seconds": 1.0})


def same(one, other):
    return (
        (one.run_id, dict(one.identity), dict(one.values), one.error, dict(one.manifest))
        == (other.run_id, dict(other.identity), dict(other.values), other.error, dict(other.manifest))
    )  # fmt: skip


def test_a_finished_run_is_read_as_it_was_written(store, reopened):
    assert not store.is_finished(RUN)
    assert list(store.finished()) == []
    lease = store.acquire(RUN, "me", 60)
    assert store.finish(lease, record(loss="NaN"), FILES)
    for seen in (store, reopened()):
        assert seen.is_finished(RUN)
        assert list(seen.finished()) == [RUN]
        assert same(seen.read(RUN), record(loss="NaN"))
        assert seen.file_names(RUN) == sorted(FILES)
        assert all(seen.read_file(RUN, name) == content for name, content in FILES.items())


def test_a_failure_is_a_result_too(store):
    failed = RunRecord(RUN, {"kind": "model"}, {}, "RunFailedError: the loss must stay finite", {})
    assert store.finish(store.acquire(RUN, "me", 60), failed, {})
    assert store.read(RUN).is_failed
    assert same(store.read(RUN), failed)


def test_what_is_not_there_is_not_read(store):
    with pytest.raises(FileFormatError):
        store.read(RUN)
    store.finish(store.acquire(RUN, "me", 60), record(), {})
    with pytest.raises(FileFormatError):
        store.read_file(RUN, "graph.npz")


def test_files_can_be_dropped_and_the_record_stays(store):
    store.finish(store.acquire(RUN, "me", 60), record(), FILES)
    store.drop_file(RUN, "graph.npz")
    store.drop_file(RUN, "graph.npz")
    assert store.file_names(RUN) == ["model.safetensors"]
    assert same(store.read(RUN), record())


def test_there_is_one_live_lease(store, reopened):
    lease = store.acquire(RUN, "me", 60)
    assert (lease.run_id, lease.owner) == (RUN, "me")
    assert store.acquire(RUN, "me", 60) is None
    assert reopened().acquire(RUN, "you", 60) is None
    assert reopened().acquire(OTHER, "you", 60) is not None
    assert sorted((found.run_id, found.owner) for found in store.live_leases()) == [
        (RUN, "me"),
        (OTHER, "you"),
    ]


def test_a_lease_ends_when_it_is_released(store):
    first = store.acquire(RUN, "me", 60)
    store.release(first)
    assert list(store.live_leases()) == []
    second = store.acquire(RUN, "you", 60)
    assert second is not None
    store.release(first)  # lost long ago: nothing happens to yours
    assert store.acquire(RUN, "me", 60) is None
    assert not store.finish(first, record(), {})
    assert store.finish(second, record(), {})


def test_an_expired_lease_is_taken_over_and_lost(store):
    dead = store.acquire(RUN, "dead", 0.2)
    assert store.acquire(RUN, "me", 60) is None
    time.sleep(0.3)
    mine = store.acquire(RUN, "me", 60)
    assert mine.generation > dead.generation
    assert store.acquire(RUN, "you", 60) is None
    assert store.renew(dead) is None
    assert not store.finish(dead, record(accuracy=0.1), {"late": b""})
    assert not store.is_finished(RUN)
    assert store.finish(mine, record(), {})
    assert same(store.read(RUN), record())
    assert store.file_names(RUN) == []


def test_a_renewed_lease_goes_on(store):
    lease = store.acquire(RUN, "me", 0.3)
    for _ in range(4):
        time.sleep(0.15)
        lease = store.renew(lease)
        assert lease is not None
        assert store.acquire(RUN, "you", 60) is None
    time.sleep(0.4)
    assert store.acquire(RUN, "you", 60) is not None


def test_an_expired_lease_that_nobody_took_may_bring_its_result(store):
    lease = store.acquire(RUN, "me", 0.1)
    time.sleep(0.2)
    assert store.finish(lease, record(), {})


def test_a_finished_run_has_no_leases(store):
    lease = store.acquire(RUN, "me", 60)
    store.finish(lease, record(), {})
    assert list(store.live_leases()) == []
    assert store.acquire(RUN, "you", 60) is None
    assert store.renew(lease) is None
    store.release(lease)
    assert not store.finish(lease, record(accuracy=0.9), {"other": b"1"})
    assert same(store.read(RUN), record())
    assert list(store.live_leases()) == []


@pytest.mark.parametrize("expired", [False, True])
def test_of_many_callers_one_gets_the_lease(reopened, expired):
    for round_ in range(20):
        run_id = f"{round_:02}" * 20
        stores = [reopened() for _ in range(8)]
        if expired:
            stores[0].acquire(run_id, "dead", 0.001)
            time.sleep(0.005)
        barrier, got = threading.Barrier(len(stores)), []

        def take(number, store, barrier=barrier, got=got, run_id=run_id):
            barrier.wait()
            lease = store.acquire(run_id, str(number), 60)
            if lease is not None:
                got.append(lease)

        threads = [threading.Thread(target=take, args=pair) for pair in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        assert got[0].generation == 1 + expired


def test_of_many_results_the_first_stays(reopened):
    lease = reopened().acquire(RUN, "me", 60)
    stores, stored = [reopened() for _ in range(6)], []
    barrier = threading.Barrier(len(stores))

    def bring(number, store):
        barrier.wait()
        if store.finish(lease, record(accuracy=number), {"who": str(number).encode()}):
            stored.append(number)

    threads = [threading.Thread(target=bring, args=pair) for pair in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = stored
    assert reopened().read(RUN).values["accuracy"] == winner
    assert reopened().read_file(RUN, "who") == str(winner).encode()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\0b"])
def test_names_are_not_followed(store, name):
    with pytest.raises(ParameterError):
        store.acquire(name, "me", 60)
    lease = store.acquire(RUN, "me", 60)
    with pytest.raises(ParameterError):
        store.finish(lease, record(), {name: b""})
    assert not store.is_finished(RUN)
    assert store.finish(lease, record(), {})
    with pytest.raises(ParameterError):
        store.read_file(RUN, name)


def killed_at(operation: int, work) -> bool:
    """Run `work` in a copy of this process that is killed at its n-th operation; whether it ended."""
    child = os.fork()
    if child == 0:
        count = itertools.count(1)

        def kill(event, _arguments):
            if (
                event in {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
                and next(count) == operation
            ):
                os._exit(9)

        sys.addaudithook(kill)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of fork beside threads
def test_killed_at_any_point_it_is_whole_or_not_there(reopened):
    for operation in itertools.count(1):
        run_id = f"{operation:02}" * 20

        def work(run_id=run_id):
            store = reopened()
            lease = store.acquire(run_id, "dead", 0.01)
            store.finish(lease, record(run_id), FILES)

        ended = killed_at(operation, work)
        store = reopened()
        if store.is_finished(run_id):
            assert same(store.read(run_id), record(run_id))
            assert all(store.read_file(run_id, name) == content for name, content in FILES.items())
            assert store.acquire(run_id, "me", 60) is None
        else:
            assert not ended
            assert run_id not in set(store.finished())
            with pytest.raises(GraphMetamersError):
                store.read(run_id)
        if ended:
            break
    assert operation > 8
    done = set(store.finished())
    # Each of the others can be computed by who comes next, once the dead lease is over.
    time.sleep(0.05)
    for number in range(1, operation):
        run_id = f"{number:02}" * 20
        if run_id not in done:
            lease = _acquired(store, run_id)
            assert store.finish(lease, record(run_id), FILES)
    assert len(set(store.finished())) == operation


def _acquired(store, run_id):
    """A lease that was killed before it was written counts as live for a moment."""
    until = time.monotonic() + 15
    while (lease := store.acquire(run_id, "me", 60)) is None:
        assert time.monotonic() < until
        time.sleep(0.2)
    return lease
