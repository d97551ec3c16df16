"""`study run`, `status`, and what happens when it is killed, or when two of it are at one store."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graph_metamers.study import FolderStore, rows_of
from graph_metamers.study.journal import count_events, read_journals
from graph_metamers.study.table import read_parquet, without_volatile

SMOKE = Path(__file__).parents[2] / "studies" / "smoke.yaml"

SMALL = """
name: small
grid: {dataset: karate, model: [gcn, sage], layer: first}
training: {epochs: 10}
search: {steps: 20}
"""


@pytest.fixture
def study(folder):
    path = folder / "small.yaml"
    path.write_text(SMALL)
    return path


def test_run_status_and_again(call, study, snapshot):
    first = call("study", "run", study, "--store", "runs", "--json")
    assert first.code == 0
    assert first.err == ""
    assert first.json == {
        "runs": 4, "found": 0, "computed": 4, "failed": 0, "lost_runs": 0, "blocked": 0, "lost": {},
        "files": {"table": "runs/runs.parquet"},
    }  # fmt: skip
    assert len(read_parquet(Path("runs/runs.parquet"))) == 4
    again = call("study", "run", study, "--store", "runs")
    assert again.out.splitlines()[0] == "4 runs, 4 found, 0 computed, 0 failed, 0 lost_runs, 0 blocked"
    before = snapshot()
    status = call("study", "status", study, "--store", "runs", "--json").json
    assert (status["total"], status["done"], status["waiting"], status["failed"]) == (4, 4, 0, 0)
    assert "done" in call("study", "status", "--store", "runs").out
    assert snapshot() == before


def test_a_dry_run_leaves_nothing_behind(call, study, snapshot):
    before = snapshot()
    text = call("study", "run", study, "--store", "runs", "--dry-run", "--workers", 2, "--executor", "local")
    assert text.code == 0
    assert text.out.startswith("4 runs: 2 models, 2 searches; 0 have a result, 4 are left\n")
    assert "by the rule" in text.out
    said = call("study", "run", study, "--store", "runs", "--dry-run", "--json").json
    assert (said["num_runs"], said["num_by_rule"]) == (4, 4)
    assert snapshot() == before
    call("study", "run", study, "--store", "runs")
    assert "0 are left" in call("study", "run", study, "--store", "runs", "--dry-run").out


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (SMALL.replace("epochs", "epoch"), (), "Did you mean 'epochs'?"),
        (SMALL.replace("karate", "karat"), (), "Did you mean 'karate'?"),
        (SMALL.replace("first", "act.7"), (), "'act.0'"),
        (SMALL, ("--executor", "lokal"), "Did you mean 'local'?"),
        (SMALL, ("--keep", "bets", "--dry-run"), "Did you mean 'best'?"),
        (SMALL, ("--store", "small.yaml"), "a file has that name"),
        (SMALL, ("--store", "."), "is no store of graph-metamers"),
    ],
)
def test_what_can_be_mended_is_said_in_one_line(call, study, text, words, message):
    study.write_text(text)
    outcome = call("study", "run", study, *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_there_has_to_be_a_store(call, study):
    outcome = call("study", "status", "--store", "nowhere")
    assert outcome.code == 2
    assert "there is no store of runs in nowhere" in outcome.err


def test_a_failed_run_is_exit_1(call, study):
    study.write_text(SMALL.replace("epochs: 10", "epochs: 10, learning_rate: 1e+30"))
    outcome = call("study", "run", study, "--store", "runs")
    assert outcome.code == 1
    assert "2 failed" in outcome.out
    status = call("study", "status", "--store", "runs")
    assert "the loss must stay finite" in status.out


def drive(store, *words):
    command = [sys.executable, "-W", "ignore", "-m", "graph_metamers", "study", "run", str(SMOKE)]
    return subprocess.Popen(
        [*command, "--store", str(store), "--json", "--lease-seconds", "2", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def ended(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.loads(out)


def assert_gone(group):
    """No worker outlives its driver."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("workers outlived their driver")


def table(store):
    return repr(without_volatile(rows_of(FolderStore(store))))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    store = tmp_path_factory.mktemp("study") / "uninterrupted"
    assert ended(drive(store))["computed"] == 16
    return store


@pytest.mark.slow
def test_the_second_time_nothing_is_computed(uninterrupted):
    """In how many seconds is measured by claims/studies.py: a busy machine takes more of them."""
    told = ended(drive(uninterrupted))
    assert (told["computed"], told["found"]) == (0, 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "times"),
    [((), 10), (("--executor", "local", "--workers", "2"), 3)],  # workers take long to start
    ids=["in-process", "local"],
)
def test_killed_at_some_events_it_ends_with_the_same_table(uninterrupted, tmp_path, words, times):
    store, chance = tmp_path / "killed", random.Random(0)  # noqa: S311
    journal = store / "journal"
    kills = 0
    while kills < times:
        process = drive(store, *words)
        events = len(read_journals(journal)) + chance.choice([1, 1, 2, 3])
        while process.poll() is None and len(read_journals(journal)) < events:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.3)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        assert_gone(process.pid)
        if store.is_dir():
            for run_id in list(FolderStore(store).finished()):
                assert FolderStore(store).read(run_id).error is None
    told = ended(drive(store, *words))
    assert kills == times
    assert told["found"] + told["computed"] == 16
    assert table(store) == table(uninterrupted)
    assert read_parquet(store / "runs.parquet")
    assert max(count_events(journal, "finished").values()) == 1


@pytest.mark.slow
def test_two_drivers_compute_every_run_once(uninterrupted, tmp_path):
    store = tmp_path / "shared"
    told = [ended(process) for process in [drive(store), drive(store)]]
    assert sum(each["computed"] for each in told) == 16
    assert [each["found"] + each["computed"] for each in told] == [16, 16]
    assert table(store) == table(uninterrupted)
    events = count_events(store / "journal", "started")
    assert set(events.values()) == {1}
