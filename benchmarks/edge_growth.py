"""How time and memory of rewiring grow with the number of edges.

The annealing of `gm.Rewire` alone, on undirected graphs whose edges are drawn at random, with normal vectors
of 32 numbers at one hop, 20 proposals for every edge. Every size runs in a process of its own, from a random
graph with the same degrees, on one thread; just-in-time compilation is left out of the time by a small run
before. All sizes have a turn, and again, `TURNS` times: of each the run with the median time is told, since
what waits for memory depends on what else the machine does. Told are proposals a second, the largest memory
of the whole process, and the cost that is reached beside that of the random graph. The processor's own time
is told too: seconds on the clock are also those of other programs that ran on the same core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from contenders import peak_mib

    from graph_metamers.graphs.neighbour_lists import NeighbourLists
    from graph_metamers.graphs.rewiring import Rewirer, RewiringProblem, shuffled
    from graph_metamers.graphs.set_matching import Schedule
    from graph_metamers.synthesis.solvers.rewire import COLDEST, HOTTEST

EDGES = (500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000)
WIDTH, DEGREE, PROPOSALS = 32, 10, 20
ROUNDS = 5  # of swaps for every edge and direction, until a graph counts as random
SMALL = 1000  # edges, to compile with
TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, nargs="+", default=EDGES)
    parser.add_argument("--one", type=int, metavar="EDGES", help="one size, as JSON")
    parser.add_argument("--output", type=Path, default=Path("artefacts/bench/edge_growth.json"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    began = time.time()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    print(f"annealing on vectors of {WIDTH} numbers, {PROPOSALS} proposals for every edge, 1 thread")
    turns = [[_apart(edges) for edges in options.edges] for _ in range(TURNS)]
    sizes = [_median(runs) for runs in zip(*turns, strict=True)]
    told = {"began": began, "ended": time.time(), "threads": 1, "width": WIDTH, "sizes": sizes}
    if len(sizes) > 1:
        edges = [one["edges"] for one in sizes]
        told["exponent"] = exponent(edges, [one["seconds"] for one in sizes])
        told["processor_exponent"] = exponent(edges, [one["processor_seconds"] for one in sizes])
        print(
            f"exponent of time, medians of {TURNS}: {told['exponent']:.2f} "
            f"({told['processor_exponent']:.2f} of a processor)"
        )
    options.output.write_text(json.dumps(told, indent=2) + "\n")
    print(options.output)


def _median(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run of a size that took the median time; the seconds and the largest memory of all of them."""
    inner = sorted(runs, key=itemgetter("seconds"))[len(runs) // 2]
    peak = max(one["peak_mib"] for one in runs)
    return {**inner, "peak_mib": peak, "all_seconds": [one["seconds"] for one in runs]}


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of log seconds over log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _apart(edges: int) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--one", str(edges)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    if ran.returncode:
        raise SystemExit(f"{edges} edges: {(ran.stderr.strip().splitlines() or [ran.returncode])[-1]}")
    told: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    print(
        f"{told['edges']:>9} edges {told['seconds']:8.1f} s ({told['processor_seconds']:.1f} of a processor) "
        f"{told['proposals_a_second'] / 1e6:6.2f} million proposals a second, "
        f"cost {told['cost']:.4g} beside the random graph's {told['cost_of_random']:.4g} "
        f"({told['share']:.4f}), peak {told['peak_mib'] / 1024:.2f} GiB",
        flush=True,
    )
    return told


def measure(edges: int) -> dict[str, Any]:
    """One size; a smaller one before it, so that nothing is compiled inside the time."""
    for _ in _rewirer(SMALL).anneal(Schedule(SMALL, HOTTEST, COLDEST)):
        pass
    rewirer = _rewirer(edges)
    before, set_up = rewirer.cost, peak_mib()
    proposals = PROPOSALS * edges
    started, processor = time.perf_counter(), time.process_time()
    for _ in rewirer.anneal(Schedule(proposals, HOTTEST, COLDEST)):
        pass
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    after = rewirer.cost
    return {
        "edges": edges,
        "seconds": seconds,
        "processor_seconds": processor,
        "proposals": proposals,
        "proposals_a_second": proposals / seconds,
        "accepted": rewirer.accepted,
        "cost_of_random": before,
        "cost": after,
        "share": after / before,
        "peak_mib": peak_mib(),
        "set_up_mib": set_up,
    }


def _rewirer(edges: int) -> Rewirer:
    """Where the annealing starts: a random graph without the reference's edges, as in `gm.generate`."""
    num_nodes = 2 * edges // DEGREE
    lists = NeighbourLists.of(drawn_edges(num_nodes, edges), num_nodes, directed=False)
    neighbours, columns = shuffled(lists, seed=1, reference_edges="forbid", rounds=ROUNDS)
    vectors = np.random.default_rng(0).standard_normal((num_nodes, WIDTH), dtype=np.float32)
    problem = RewiringProblem(lists, [vectors], np.ones((num_nodes, 1)), "forbid")
    return Rewirer(problem, seed=2, neighbours=neighbours, edges=columns)


def drawn_edges(num_nodes: int, edges: int) -> NDArray[np.int64]:
    """So many different pairs of different nodes, drawn at random, in both directions, int64 [2, 2 edges]."""
    generator = np.random.default_rng(0)
    places = np.empty(0, dtype=np.int64)
    while len(places) < edges:
        ends = generator.integers(num_nodes, size=(2, edges - len(places) + 1000))
        ends = ends[:, ends[0] != ends[1]]
        places = np.unique(np.concatenate([places, ends.min(axis=0) * num_nodes + ends.max(axis=0)]))
    places = generator.choice(places, edges, replace=False)
    pairs = np.stack([places // num_nodes, places % num_nodes])
    return np.concatenate([pairs, pairs[::-1]], axis=1)


if __name__ == "__main__":
    main()
