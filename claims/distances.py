"""What the documentation says of distances on Cora: how near sampled spectra are, how wide bounds of cuts."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from typing import TYPE_CHECKING

from judging import ARTEFACTS, Judge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import networkx as nx
    import torch
    from cora_models import compile_kernels, require_cora
    from scipy.stats import wasserstein_distance

    import graph_metamers as gm
    from graph_metamers.evidence.seeing import ChanceGraphs, seen_of

if TYPE_CHECKING:
    from torch_geometric.data import Data

FOLDER = ARTEFACTS / "distances"
SWAPS = (50, 500, 5000)


def main() -> None:
    judge = Judge(f"distances: Cora, {torch.get_num_threads()} threads")
    dataset = require_cora(judge)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    compile_kernels("structure")
    reference = dataset.graph
    rows = [_row(judge, reference, swaps) for swaps in SWAPS]
    _judge_whole(judge, reference)
    (FOLDER / "figures.json").write_text(json.dumps(rows, indent=1))
    judge.finish()


def _row(judge: Judge, reference: Data, swaps: int) -> dict[str, float]:
    """One graph after some double-edge swaps, its spectrum by networkx and as it is sampled."""
    graph = nx.Graph(reference.edge_index.T.tolist())
    graph.add_nodes_from(range(reference.num_nodes))
    before = nx.normalized_laplacian_spectrum(graph)
    nx.double_edge_swap(graph, swaps, max_tries=10**7, seed=0)
    exact = wasserstein_distance(before, nx.normalized_laplacian_spectrum(graph))
    pairs = torch.tensor(list(graph.edges)).T
    changed = reference.clone()
    changed.edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    started = time.perf_counter()
    report = gm.measure_distances(changed, reference, names=["spectrum", "cut"], draws=1)
    sampled, cut = report["spectrum"], report["cut"]
    judge.note(
        f"{swaps} swaps: spectrum {exact:.5f}, sampled {sampled.raw:.5f} +- {sampled.error:.5f}; cut between "
        f"{cut.low:.3f} and {cut.high:.3f}; {time.perf_counter() - started:.1f} s"
    )
    judge.claim(
        f"{swaps} swaps: the sampled spectral distance is within two standard errors of the exact one",
        abs(sampled.raw - exact) <= 2 * sampled.error,
    )
    judge.claim(f"{swaps} swaps: the ends of the cut distance are in order", cut.low <= cut.high)
    return {"swaps": swaps, "exact": exact, "sampled": sampled.raw, "low": cut.low, "high": cut.high}


def _judge_whole(judge: Judge, reference: Data) -> None:
    """Everything at once, for features and edges with nothing in common with the reference's."""
    chances = ChanceGraphs(reference, seen_of(reference, reference), 1)
    unrelated = chances.draw("shuffled_and_rewired", 0)
    changed = reference.clone()
    changed.x, changed.edge_index = unrelated.features[0], unrelated.edge_index
    started = time.perf_counter()
    report = gm.measure_distances(changed, reference)
    seconds = time.perf_counter() - started
    judge.note(f"{len(report.distances)} distances in {seconds:.0f} s\n{report}")
    for name in ("cosine", "idf_cosine", "standardised_rms", "spectrum", "weisfeiler_leman_class"):
        scaled = report[name].scaled
        judge.claim(f"unrelated graphs are at 1: {name} {scaled:.2f}", abs(scaled - 1) <= 0.1)


if __name__ == "__main__":
    main()
