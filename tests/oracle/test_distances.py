"""Distances against other people's libraries, and what is sampled against what is exact."""

from __future__ import annotations

import importlib.util
import itertools
import math

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import stats

from graph_metamers.metrics.distances import Seen
from graph_metamers.metrics.distances.cut import Cut
from graph_metamers.metrics.distances.spectrum import Spectrum, differences, normalised_laplacian, probed
from graph_metamers.metrics.distances.structure import Clustering
from graph_metamers.metrics.distances.transport import EXTRA, FusedGromovWasserstein, laid
from graph_metamers.metrics.distances.weisfeiler_leman import (
    WeisfeilerLemanClass,
    WeisfeilerLemanCluster,
    WeisfeilerLemanDegree,
)
from graph_metamers.metrics.wasserstein import wasserstein_by_column

has_pot = pytest.mark.skipif(importlib.util.find_spec("ot") is None, reason="needs POT, an extra")
has_grakel = pytest.mark.skipif(importlib.util.find_spec("grakel") is None, reason="needs grakel")


def seen_of(graph: nx.Graph, *, seed: int = 0, num_features: int = 3, num_classes: int = 3) -> Seen:
    generator = np.random.default_rng(seed)
    pairs = torch.tensor([*graph.edges], dtype=torch.long).view(-1, 2).T
    x = torch.from_numpy(generator.normal(size=(len(graph), num_features)))
    labels = torch.from_numpy(np.random.default_rng(1).integers(num_classes, size=len(graph)))
    return Seen((x,), torch.cat([pairs, pairs.flip(0)], dim=1), len(graph), labels)


def random_pair(nodes: int, density: float, seed: int) -> tuple[Seen, Seen]:
    first, second = (
        seen_of(nx.gnp_random_graph(nodes, density, seed=2 * seed + k), seed=2 * seed + k) for k in range(2)
    )
    return first, second


def rewired(seen: Seen, swaps: int) -> Seen:
    """The graph after some double-edge swaps."""
    graph = nx.Graph()
    graph.add_nodes_from(range(seen.num_nodes))
    graph.add_edges_from(seen.edge_index.T.tolist())
    nx.double_edge_swap(graph, swaps, max_tries=10**6, seed=0)
    return Seen(seen.features, seen_of(graph).edge_index, seen.num_nodes, seen.labels)


@pytest.mark.parametrize("seed", range(5))
def test_wasserstein_distances_are_scipys(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(size=30), generator.normal(size=30)
    assert wasserstein_by_column(a, b) == pytest.approx([stats.wasserstein_distance(a, b)])


@has_grakel
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "distance", [WeisfeilerLemanClass(), WeisfeilerLemanDegree(), WeisfeilerLemanClass(rounds=1)]
)
def test_the_kernel_is_grakels(distance, seed):
    from grakel import Graph, VertexHistogram, WeisfeilerLehman  # noqa: PLC0415 (it may be missing)

    pair = random_pair(15, 0.25, seed)
    labels = distance.labels(*pair)
    graphs = [
        Graph(
            {v: seen.edge_index[0, seen.edge_index[1] == v].tolist() for v in range(seen.num_nodes)},
            node_labels=dict(enumerate(own.tolist())),
        )
        for seen, own in zip(pair, labels, strict=True)
    ]
    kernel = WeisfeilerLehman(n_iter=distance.rounds, base_graph_kernel=VertexHistogram, normalize=True)
    likeness = kernel.fit_transform(graphs)[0, 1]
    assert distance.raw(*pair).value == pytest.approx(math.sqrt(1 - likeness), abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_0_where_networkx_finds_the_same_neighbourhoods(seed):
    """The same counts of networkx's hashes, and only then distance 0."""
    generator = np.random.default_rng(seed)
    pair = random_pair(10, 0.3, seed)
    order = torch.from_numpy(generator.permutation(10))
    same = Seen(pair[0].features, order[pair[0].edge_index], 10, pair[0].labels)
    for other in (same, pair[1]):
        hashes = []
        for seen in (pair[0], other):
            graph = nx.Graph(seen.edge_index.T.tolist())
            graph.add_nodes_from(range(10))
            nx.set_node_attributes(graph, dict(graph.degree), "degree")
            found = nx.weisfeiler_lehman_subgraph_hashes(graph, node_attr="degree", iterations=3)
            hashes.append(sorted(itertools.chain.from_iterable(found.values())))
        distance = WeisfeilerLemanDegree().raw(pair[0], other).value
        assert (distance < 1e-12) == (hashes[0] == hashes[1])


def test_clusters_that_are_classes_give_the_distance_by_class():
    pair = random_pair(20, 0.2, 0)
    groups = pair[0].labels
    features = (10.0 * torch.nn.functional.one_hot(groups).double(),)
    pair = tuple(Seen(features, seen.edge_index, 20, groups) for seen in pair)
    expected = WeisfeilerLemanClass().raw(*pair).value
    assert WeisfeilerLemanCluster(clusters=3).raw(*pair).value == pytest.approx(expected)


@pytest.mark.parametrize("swaps", [100, 5000])
def test_a_sampled_spectrum_is_the_exact_one_within_its_error(swaps):
    reference = seen_of(nx.watts_strogatz_graph(900, 6, 0.05, seed=0))
    changed = rewired(reference, swaps)
    exact = Spectrum().raw(changed, reference)
    assert exact.method == "exact"
    sampled = Spectrum(most_nodes=0).raw(changed, reference)
    assert "sampled" in sampled.method
    assert 0 < sampled.error < 0.5 * exact.value
    assert sampled.value == pytest.approx(exact.value, abs=2 * sampled.error)
    assert Spectrum(most_nodes=0).raw(reference, reference).value == 0


def test_lanczos_to_the_end_gives_every_moment():
    matrix = normalised_laplacian(seen_of(nx.gnp_random_graph(12, 0.4, seed=3)).edge_index, 12)
    eigenvalues, vectors = np.linalg.eigh(matrix.toarray())
    values, weights = probed(matrix, probes=4, steps=12, seed=5).quadrature(12)
    generator = np.random.default_rng(5)
    for probe in range(4):
        start = generator.choice([-1.0, 1.0], size=12) / math.sqrt(12)
        for power in range(6):
            expected = (eigenvalues**power) @ (vectors.T @ start) ** 2
            assert (values[probe] ** power) @ weights[probe] == pytest.approx(expected)


def test_the_area_between_sampled_spectra_is_scipys():
    first, second = (
        probed(normalised_laplacian(seen.edge_index, 30), probes=3, steps=8)
        for seen in random_pair(30, 0.2, 1)
    )
    found, lengths = differences(first, second, 8)
    ours, theirs = (part.quadrature(8) for part in (first, second))
    for probe in range(3):
        sides = (ours[0][probe], theirs[0][probe], ours[1][probe], theirs[1][probe])
        assert np.abs(found[probe]) @ lengths == pytest.approx(stats.wasserstein_distance(*sides))


def test_the_laplacian_is_networkxs():
    graph = nx.gnp_random_graph(15, 0.15, seed=2)  # with a node that has no neighbour
    assert min(dict(graph.degree).values()) == 0
    matrix = normalised_laplacian(seen_of(graph).edge_index, 15)
    assert matrix.toarray() == pytest.approx(nx.normalized_laplacian_matrix(graph).toarray())


def test_sampled_clustering_is_the_exact_one_within_its_error():
    reference = seen_of(nx.powerlaw_cluster_graph(1500, 4, 0.7, seed=0))
    changed = rewired(reference, 3000)
    exact, sampled = (Clustering(most_work=work).raw(changed, reference) for work in (10**9, 30_000))
    assert exact.method == "exact"
    assert "of 1500 nodes" in sampled.method
    assert 0 < sampled.error < 0.1
    assert sampled.value == pytest.approx(exact.value, abs=3 * sampled.error)
    assert Clustering(most_work=1).raw(reference, reference).value == 0


def test_bounds_of_the_cut_distance_of_a_large_graph():
    """Two halves, all edges across against all within: the best cut is known, half of the edges."""
    half = 200
    within = nx.disjoint_union(nx.complete_graph(half), nx.complete_graph(half))
    across = nx.complete_bipartite_graph(half, half)
    reading = Cut().raw(seen_of(across), seen_of(within))
    # S = one half, T = the other: half^2 edges against none, over the mean number of (directed) edges.
    known = half**2 / (half * (half - 1) + half**2)
    assert reading.bounds[0] == pytest.approx(known)
    assert known <= reading.bounds[1] <= 1.01 * known


@has_pot
@pytest.mark.parametrize("seed", range(3))
def test_fused_gromov_wasserstein_is_the_loss_of_pots_plan(seed):
    """The loss of the plan, summed up over all pairs of pairs of nodes."""
    import ot  # noqa: PLC0415 (an extra)

    pair = random_pair(7, 0.4, seed)
    costs = laid(*pair)
    even = np.full(7, 1 / 7)
    starts = (np.eye(7) / 7, np.outer(even, even))
    losses = []
    for start in starts:
        plan = ot.gromov.fused_gromov_wasserstein(
            costs.features, costs.hops, costs.reference_hops, even, even, alpha=0.5, G0=start
        )
        losses.append(loss_of(costs, plan))
    found = FusedGromovWasserstein().raw(*pair).value
    assert found == pytest.approx(math.sqrt(min(losses)), rel=1e-5)
    assert found**2 <= min(loss_of(costs, start) for start in starts) + 1e-9


def loss_of(costs, plan):
    n = len(plan)
    total = 0.5 * float((costs.features * plan).sum())
    for i, j, k, m in itertools.product(range(n), repeat=4):
        total += 0.5 * (costs.hops[i, k] - costs.reference_hops[j, m]) ** 2 * plan[i, j] * plan[k, m]
    return total


@has_pot
def test_on_paths_of_two_nodes_it_is_computed_by_hand():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    edges = torch.tensor([[0, 1], [1, 0]])
    reference, swapped = Seen((x,), edges, 2), Seen((x.flip(0),), edges, 2)
    assert FusedGromovWasserstein().raw(swapped, reference).value == pytest.approx(0, abs=1e-6)
    # One standard deviation is 1/2. Both nodes at 0: one of them is 2 off, half of 4, mean 1, half of it.
    flat = Seen((torch.zeros_like(x),), edges, 2)
    assert FusedGromovWasserstein().raw(flat, reference).value == pytest.approx(math.sqrt(0.5))


def test_costs_are_standardised_features_and_scaled_hops():
    path = seen_of(nx.path_graph(4))
    costs = laid(path, path)
    x = stats.zscore(path.features[0].numpy())
    assert costs.features[0, 2] == pytest.approx(((x[0] - x[2]) ** 2).mean() / 2)
    hops = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    assert costs.hops == pytest.approx(hops / math.sqrt((hops**2).mean()))


def test_without_pot_the_error_names_the_extra(monkeypatch):
    pair = random_pair(5, 0.5, 0)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ot" else real(name))
    assert FusedGromovWasserstein().why_not(*pair) == EXTRA
    assert "graph-metamers[transport]" in EXTRA
