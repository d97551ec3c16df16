"""Studies: nothing is computed twice or lost, whoever is killed; executors agree; what workers are worth."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from judging import ARTEFACTS, COMMAND, ROOT, Judge

from graph_metamers.study import FolderStore, plan, rows_of, run_plan, study_config
from graph_metamers.study.journal import count_events, read_journals
from graph_metamers.study.table import without_volatile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ARTEFACTS / "studies"
SMOKE = ROOT / "studies" / "smoke.yaml"
KILLS = 10
SECONDS_AGAIN = 10
OVERHEAD = 0.1
GAIN_OVER_ONE, GAIN_OVER_TWO = 1.6, 1.2
THROUGHPUT = {
    "name": "throughput",
    "grid": {
        "dataset": "digits", "model": ["gcn", "sage"], "layer": "first",
        "seeds": [0, 1, 2], "search_seeds": list(range(8)),
    },
    "search": {"objective": "farthest", "steps": 1000},
}  # fmt: skip


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    judge = Judge("studies: leases, kills, executors, throughput")
    whole = _judge_again(judge)
    _judge_kills(judge, whole)
    _judge_two_drivers(judge, whole)
    _judge_local(judge, whole)
    if importlib.util.find_spec("ray") is None:
        judge.claim("Ray: pip install 'graph-metamers[ray]' to measure these claims", holds=False)
    else:
        _judge_ray(judge, whole)
    _judge_throughput(judge)
    judge.finish()


def _drive(store: Path, *words: str, study: Path = SMOKE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "study", "run", str(study), "--store", str(store), "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
    )


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"study run ended with {process.returncode}: {err}")
    told: dict[str, Any] = json.loads(out)
    return told


def _table(store: Path) -> str:
    return repr(without_volatile(rows_of(FolderStore(store))))  # as text: nan is not equal to itself


def _judge_again(judge: Judge) -> str:
    store = FOLDER / "smoke"
    first = _ended(_drive(store))
    started = time.monotonic()
    again = _ended(_drive(store))
    seconds = time.monotonic() - started
    judge.claim(
        f"smoke.yaml again: {again['computed']} of {first['computed']} runs computed, {seconds:.1f} s <= "
        f"{SECONDS_AGAIN}",
        again["computed"] == 0 and again["found"] == first["runs"] and seconds <= SECONDS_AGAIN,
    )
    return _table(store)


def _judge_kills(judge: Judge, whole: str) -> None:
    for name, words in (("in-process", ()), ("local", ("--executor", "local", "--workers", "2"))):
        store, chance, kills, torn = FOLDER / f"killed-{name}", random.Random(1), 0, 0  # noqa: S311
        while kills < KILLS:
            process = _drive(store, "--lease-seconds", "2", *words)
            events = len(read_journals(store / "journal")) + chance.choice([1, 1, 2, 3])
            while process.poll() is None and len(read_journals(store / "journal")) < events:
                time.sleep(0.005)
            time.sleep(0.3 * chance.random())
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            torn += _torn(store)
        _ended(_drive(store, "--lease-seconds", "2", *words))
        once = max(count_events(store / "journal", "finished").values()) == 1
        judge.claim(
            f"{name}: killed (-9) at {kills} events and resumed: the table equals an uninterrupted run's; "
            f"{torn} half-written results read",
            kills == KILLS and not torn and once and _table(store) == whole,
        )


def _torn(store: Path) -> int:
    """How many results are there that cannot be read whole."""
    if not store.is_dir():
        return 0
    torn, found = 0, FolderStore(store)
    for run_id in list(found.finished()):
        try:
            record = found.read(run_id)
            torn += not record.values
            [found.read_file(run_id, name) for name in found.file_names(run_id)]
        except Exception as error:
            print(error)
            torn += 1
    return torn


def _judge_two_drivers(judge: Judge, whole: str) -> None:
    store = FOLDER / "two"
    told = [_ended(process) for process in (_drive(store), _drive(store))]
    started = count_events(store / "journal", "started")
    judge.claim(
        f"two drivers at once computed {told[0]['computed']} and {told[1]['computed']} of "
        f"{told[0]['runs']} runs, "
        f"each {max(started.values())} time; the table equals one driver's",
        sum(each["computed"] for each in told) == told[0]["runs"]
        and max(started.values()) == 1
        and _table(store) == whole,
    )


def _judge_local(judge: Judge, whole: str) -> None:
    store = FOLDER / "local"
    _ended(_drive(store, "--executor", "local", "--workers", "2"))
    judge.claim("local processes: the table equals in-process, bit for bit", _table(store) == whole)


@contextmanager
def _cluster() -> Iterator[Any]:
    import ray  # noqa: PLC0415 (an extra)
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()
        nodes.shutdown()


def _judge_ray(judge: Judge, whole: str) -> None:
    from graph_metamers.study.ray_executor import RayExecutor  # noqa: PLC0415 (needs an extra)

    planned = plan(study_config(SMOKE))
    for kill in (False, True):
        store = FolderStore(FOLDER / f"ray-{'killed' if kill else 'whole'}")
        with _cluster():
            executor, killed = RayExecutor(), []
            killer = threading.Thread(target=_kill_a_worker, args=(killed,))
            if kill:
                killer.start()
            tally = run_plan(planned, store, executor)
            executor.close()
            if kill:
                killer.join()
        same = tally.is_whole and tally.computed == len(planned.runs) and _table(store.path) == whole
        if kill:
            judge.claim(
                f"Ray: {len(killed)} worker killed in the middle: the table is whole and equal",
                same and bool(killed),
            )
        else:
            judge.claim("Ray, two nodes: the table equals in-process, bit for bit", same)


def _kill_a_worker(killed: list[int]) -> None:
    import psutil  # noqa: PLC0415 (comes with Ray)

    until = time.monotonic() + 120
    while not killed and time.monotonic() < until:
        for process in psutil.Process().children(recursive=True):
            try:
                if "_computed" in " ".join(process.cmdline()):  # Ray names a worker after its task
                    process.kill()
                    killed.append(process.pid)
                    return
            except psutil.Error:
                continue
        time.sleep(0.01)


def _judge_throughput(judge: Judge) -> None:
    rates = {}
    for name, threads, words in (
        ("one", 1, ()),
        ("two threads", 2, ()),
        ("two workers", 1, ("--executor", "local", "--workers", "2")),
    ):
        study, store = FOLDER / "throughput.json", FOLDER / f"throughput-{name.replace(' ', '-')}"
        study.write_text(json.dumps(THROUGHPUT | {"threads": threads}))  # JSON is YAML
        started = time.monotonic()
        told = _ended(_drive(store, *words, study=study))
        rates[name] = told["computed"] / (time.monotonic() - started) * 3600
        judge.note(f"{name}: {rates[name]:.0f} runs an hour, the start of the program included")
    gain = rates["two workers"] / rates["one"]
    judge.claim(f"two local workers: {gain:.2f} times one process >= {GAIN_OVER_ONE}", gain >= GAIN_OVER_ONE)
    gain = rates["two workers"] / rates["two threads"]
    judge.claim(
        f"two local workers: {gain:.2f} times one process of two threads >= {GAIN_OVER_TWO}",
        gain >= GAIN_OVER_TWO,
    )
    store = FOLDER / "throughput-one"
    lines, rows = read_journals(store / "journal"), rows_of(FolderStore(store))
    spent = lines[-1]["time"] - lines[0]["time"] - sum(row["seconds"] for row in rows)
    judge.claim(
        f"overhead of leases, results and journal: {spent / len(rows) * 1000:.1f} ms a run <= "
        f"{OVERHEAD * 1000:.0f}",
        spent / len(rows) <= OVERHEAD,
    )


if __name__ == "__main__":
    main()
