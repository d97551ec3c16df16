"""Pairs of nodes with a logit each: which may be joined, and which are."""

from __future__ import annotations

import itertools

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

import graph_metamers as gm
from graph_metamers.inputs.pairs import MOST_NODES, count_pairs, largest, pair_variables


def ring(nodes=8, *, directed=False, extra=()):
    edges = [(i, (i + 1) % nodes) for i in range(nodes)]
    edges += [] if directed else [(v, u) for u, v in edges]
    edges += list(extra)
    return Data(x=torch.randn(nodes, 2), edge_index=torch.tensor(edges).T.contiguous())


def keys(edge_index):
    return set(map(tuple, edge_index.T.tolist()))


@pytest.mark.parametrize("nodes", [6, 9, 12])
@pytest.mark.parametrize("rule", ["forbid", "free"])
def test_the_edges_are_the_pairs_with_the_largest_logits(nodes, rule):
    graph = ring(nodes)
    variables = pair_variables(gm.Structure(reference_edges=rule), graph)
    own = {(min(u, v), max(u, v)) for u, v in keys(graph.edge_index)}
    pairs = [p for p in itertools.combinations(range(nodes), 2) if rule == "free" or p not in own]
    assert [divmod(place, nodes) for place in variables.places.tolist()] == pairs
    for seed in range(5):
        point = variables.start("noise", torch.Generator().manual_seed(seed))
        ranked = sorted(zip(point.tolist(), pairs, strict=True), reverse=True)[:nodes]
        best = {pair for _, pair in ranked}
        found = variables.edge_index(point)
        assert keys(found) == best | {(v, u) for u, v in best}
        assert found.shape[1] == graph.num_edges


def test_directed_graphs_choose_ordered_pairs():
    graph = ring(6, directed=True)
    variables = pair_variables(gm.Structure(), graph)
    assert len(variables.places) == 6 * 5 - 6
    point = variables.start("noise", torch.Generator().manual_seed(0))
    ordered = [p for p in itertools.permutations(range(6), 2) if p not in keys(graph.edge_index)]
    best = {p for _, p in sorted(zip(point.tolist(), sorted(ordered), strict=True), reverse=True)[:6]}
    assert keys(variables.edge_index(point)) == best


def test_self_loops_doubled_and_protected_edges_stay_and_are_not_chosen_again():
    graph = ring(8, extra=[(2, 2), (0, 4), (0, 4), (4, 0), (4, 0)])
    protected = torch.zeros(graph.num_edges, dtype=torch.bool)
    protected[0] = True  # 0 - 1, in one direction
    variables = pair_variables(gm.Structure(protected=protected, reference_edges="free"), graph)
    assert sorted(map(tuple, variables.fixed.T.tolist())) == sorted(
        [(2, 2), (0, 1), (1, 0), (0, 4), (0, 4), (4, 0), (4, 0)]
    )
    assert variables.num_edges == 7
    places = {divmod(place, 8) for place in variables.places.tolist()}
    assert not places & {(0, 1), (0, 4), (2, 2)}
    point = variables.start("noise", torch.Generator().manual_seed(0))
    assert variables.edge_index(point).shape == graph.edge_index.shape


def test_the_start_at_the_reference_is_the_reference():
    graph = gm.load_dataset("karate").graph
    variables = pair_variables(gm.Structure(reference_edges="free"), graph)
    point = variables.start("reference", torch.Generator().manual_seed(0))
    assert keys(variables.edge_index(point)) == keys(graph.edge_index)
    drawn = variables.discrete(variables.start("noise", torch.Generator().manual_seed(0)))
    distance = variables.distance(drawn, "nodes")
    ours, theirs = (nx.Graph(list(keys(g.edge_index))) for g in (drawn, graph))
    common, either = nx.intersection(ours, theirs), nx.compose(ours, theirs)
    assert distance.raw == pytest.approx(1 - common.number_of_edges() / either.number_of_edges())


@pytest.mark.parametrize("seed", range(20))
def test_exactly_so_many_are_largest_also_among_equals(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(5, (30,), generator=generator).float()
    for count in (1, 7, 30):
        order = sorted(range(30), key=lambda place: (-float(logits[place]), place))[:count]
        assert largest(logits, count).tolist() == sorted(order)


def test_what_has_no_choice_or_too_much_of_it_is_refused():
    whole = Data(x=torch.randn(4, 2), edge_index=torch.tensor(list(itertools.permutations(range(4), 2))).T)
    with pytest.raises(gm.ParameterError, match="6 edges that may vary and 0 pairs"):
        pair_variables(gm.Structure(), whole)
    with pytest.raises(gm.ParameterError, match="'forbid' or 'free' with the solver"):
        pair_variables(gm.Structure(reference_edges="charge"), ring())
    weighted = ring()
    weighted.edge_weight = torch.full((weighted.num_edges,), 2.0)
    with pytest.raises(gm.ParameterError, match=r"attributes travel with their edge.* and edge_weight"):
        pair_variables(gm.Structure(), weighted)
    many = ring(10)
    many.x = torch.randn(MOST_NODES + 1, 2)
    with pytest.raises(
        gm.ParameterError, match=r"'rewire' for more than 20,000 nodes, got .* 200,010,000 .* 12 GiB"
    ):
        count_pairs(gm.Structure(), many)
    with pytest.raises(gm.ParameterError, match="Pass Structure\\(reference_edges='free'\\)"):
        pair_variables(gm.Structure(), ring()).start("reference", torch.Generator())
