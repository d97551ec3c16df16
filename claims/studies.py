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

from graph_metamers.study import FolderStore, plan, run_plan, study_config
from graph_metamers.study.journal import count_events, read_journals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ARTEFACTS / "studies"
SMOKE = ROOT / "studies" / "smoke.yaml"
KILLS = 10
SECONDS_AGAIN = 10
OVERHEAD = 0.1
GAIN_OVER_ONE, GAIN_OVER_TWO = 1.6, 1.2
FINISHED_BEFORE = 3  # results before a worker is killed
THROUGHPUT = {
    "name": "throughput",
    "grid": {
        "dataset": "digits", "model": ["gcn", "sage"], "layer": "first",
        "seeds": [0, 1, 2], "search_seeds": list(range(32)),
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
    _judge_throughput(judge)
    if importlib.util.find_spec("ray") is None:
        judge.claim("Ray: pip install 'graph-metamers[ray]' to measure these claims", holds=False)
    else:
        _judge_ray(judge, whole)
    judge.finish()


def _drive(store: Path, *words: str, study: Path = SMOKE, threads: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "study", "run", str(study), "--store", str(store), "--json", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"},
    )


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"study run ended with {process.returncode}: {err}")
    told: dict[str, Any] = json.loads(out)
    return told


def _results(store: Path) -> dict[str, bytes]:
    """What every run has found, byte by byte, by the name of its folder; plain files."""
    found = (store / "runs").glob("*/[!.]*/result.json")  # hidden folders are half-written
    return {path.parent.name: path.read_bytes() for path in found}


def _judge_again(judge: Judge) -> dict[str, bytes]:
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
    found = _results(store)
    judge.claim(f"{len(found)} results lie in its folder", len(found) == first["runs"] == first["computed"])
    return found


def _judge_kills(judge: Judge, whole: dict[str, bytes]) -> None:
    for name, words in (("in-process", ()), ("local", ("--executor", "local", "--workers", "2"))):
        chance, kills, torn, holds, stores = random.Random(1), 0, 0, True, 0  # noqa: S311
        while kills < KILLS:  # a study that ends before the last kill is begun once more
            store = FOLDER / f"killed-{name}-{stores}"
            stores += 1
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
            # A driver that is killed between a result and its event has told nobody.
            once = max(count_events(store / "journal", "finished").values()) == 1
            holds = holds and once and _results(store) == whole
        judge.claim(
            f"{name}: killed (-9) at {kills} events of {stores} studies and resumed: results equal an "
            f"uninterrupted run's, none finished twice; {torn} half-written ones read",
            holds and not torn,
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


def _judge_two_drivers(judge: Judge, whole: dict[str, bytes]) -> None:
    store = FOLDER / "two"
    told = [_ended(process) for process in (_drive(store), _drive(store))]
    started = count_events(store / "journal", "started")
    judge.claim(
        f"two drivers at once computed {told[0]['computed']} and {told[1]['computed']} of "
        f"{told[0]['runs']} runs, "
        f"each {max(started.values())} time; the results equal one driver's",
        sum(each["computed"] for each in told) == told[0]["runs"]
        and min(each["computed"] for each in told) > 0
        and max(started.values()) == 1
        and _results(store) == whole,
    )


def _judge_local(judge: Judge, whole: dict[str, bytes]) -> None:
    store = FOLDER / "local"
    _ended(_drive(store, "--executor", "local", "--workers", "2"))
    judge.claim("local processes: the results equal in-process, bit for bit", _results(store) == whole)


@contextmanager
def _cluster() -> Iterator[Any]:
    import ray  # noqa: PLC0415 (an extra)
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 (Ray's name; as the other processes)
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        yield ray
    finally:
        ray.shutdown()
        nodes.shutdown()


def _judge_ray(judge: Judge, whole: dict[str, bytes]) -> None:
    from graph_metamers.study.ray_executor import RayExecutor  # noqa: PLC0415 (needs an extra)

    planned = plan(study_config(SMOKE))
    for kill in (False, True):
        store = FolderStore(FOLDER / f"ray-{'killed' if kill else 'whole'}")
        with _cluster():
            executor, killed = RayExecutor(), []
            killer = threading.Thread(target=_kill_a_worker, args=(killed,))
            before: set[str] = set()

            def in_the_middle(tally: Any, _words: str) -> None:
                if kill and tally.computed >= FINISHED_BEFORE and not killer.ident:  # noqa: B023
                    before.update(_results(store.path))  # noqa: B023
                    killer.start()  # noqa: B023

            tally = run_plan(planned, store, executor, on_change=in_the_middle)
            executor.close()
            if killer.ident:
                killer.join()
        finished = count_events(store.path / "journal", "finished")
        once = len(finished) == len(planned.runs) and set(finished.values()) == {1}
        same = tally.computed == len(planned.runs) and once and _results(store.path) == whole
        if kill:
            judge.claim(
                f"Ray: {len(killed)} worker killed when {len(before)} of {len(planned.runs)} runs were "
                "finished: every run is finished once, and the results are equal",
                same and bool(killed) and FINISHED_BEFORE <= len(before) < len(planned.runs),
            )
        else:
            judge.claim("Ray, two nodes: the results equal in-process, bit for bit", same)


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
    """Three ways, one after the other, each from an empty store, the start of the program included."""
    ways = {
        "one": (1, ()),
        "two threads": (2, ()),
        "two workers": (1, ("--executor", "local", "--workers", "2")),
    }
    rates, overheads = {}, {}
    for name, (threads, words) in ways.items():
        store = FOLDER / f"throughput-{name.replace(' ', '-')}"
        study = store.with_suffix(".json")
        study.write_text(json.dumps(THROUGHPUT | {"threads": threads}))  # JSON is YAML
        started = time.monotonic()
        told = _ended(_drive(store, *words, study=study, threads=threads))
        rates[name] = told["computed"] / (time.monotonic() - started) * 3600
        overheads[name] = _overhead(store, 2 if words else 1)
    judge.note("runs an hour: " + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()))
    for rival, least in (("one", GAIN_OVER_ONE), ("two threads", GAIN_OVER_TWO)):
        gain = rates["two workers"] / rates[rival]
        process = "one process" if rival == "one" else "one process of two threads"
        judge.claim(f"two local workers: {gain:.2f} times {process} >= {least}", gain >= least)
    spent = overheads["one"]
    judge.claim(
        f"overhead of leases, results and journal: {1000 * spent:.1f} ms a run <= {1000 * OVERHEAD:.0f}",
        spent <= OVERHEAD,
    )
    spent = overheads["two workers"]
    judge.note(f"two workers: {1000 * spent:.0f} ms a run, with the start and the end of two processes")


def _overhead(store: Path, at_once: int) -> float:
    """Seconds a run between the first and the last event of a study that were not spent on computing."""
    times = [line["time"] for line in read_journals(store / "journal")]
    manifests = [json.loads(path.read_text()) for path in (store / "runs").glob("*/[!.]*/manifest.json")]
    computing = sum(manifest["seconds"] for manifest in manifests)
    return (at_once * (max(times) - min(times)) - computing) / len(manifests)


if __name__ == "__main__":
    main()
