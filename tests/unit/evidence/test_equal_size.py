"""Random changes have the size they shall have, exactly."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graph_metamers as gm
from graph_metamers.evidence.equal_size import (
    equal_size,
    equally_far,
    equally_many,
    num_replaced,
    swapped_at_random,
)
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.inputs import what_varies


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def lists_of(drawn, *, directed=False):
    edges = np.array(list(drawn.edges), dtype=np.int64).T
    if not directed:
        edges = np.concatenate([edges, edges[::-1]], axis=1)
    return NeighbourLists.of(edges, drawn.number_of_nodes(), directed=directed), edges


@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.sampled_from([(-torch.inf, torch.inf), (0.0, 1.0), (-torch.inf, 1.0), (0.0, torch.inf)]),
    st.floats(0, 1),
)
def test_rows_are_moved_by_exactly_their_sizes_inside_the_box(seed, width, box, share):
    low, high = box
    x = torch.rand(7, width, generator=generator(seed), dtype=torch.float64)
    mutable = torch.rand(7, width, generator=generator(seed + 1)) < 0.8
    corner = torch.where(mutable, torch.maximum(x, 1 - x), 0.0).norm(dim=1)  # of the unit cube
    sizes = share * corner
    moved = equally_far(x, sizes, mutable, low, high, generator(seed + 2))
    torch.testing.assert_close((moved - x).norm(dim=1), sizes, rtol=1e-12, atol=1e-12)
    assert bool(((moved >= low) & (moved <= high)).all())
    assert torch.equal(moved[~mutable], x[~mutable])


def test_far_moves_without_a_box_have_the_direction_of_a_normal_vector():
    x, sizes = torch.zeros(4000, 3, dtype=torch.float64), torch.full((4000,), 5.0, dtype=torch.float64)
    every = torch.ones(4000, 3, dtype=torch.bool)
    moved = equally_far(x, sizes, every, -torch.inf, torch.inf, generator())
    torch.testing.assert_close(moved.norm(dim=1), sizes, rtol=1e-12, atol=0)
    # Of a uniform direction in three dimensions each coordinate is uniform (Archimedes).
    assert float(moved.mean(dim=0).abs().max()) < 0.2
    torch.testing.assert_close(
        moved.square().mean(dim=0), torch.full((3,), 25 / 3).double(), rtol=0.05, atol=0
    )


def test_where_a_row_has_to_go_to_the_farthest_corner_it_does():
    x = torch.tensor([[0.1, 0.9, 0.4]], dtype=torch.float64)
    farthest = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    size = (farthest - x).norm(dim=1)
    every = torch.ones(1, 3, dtype=torch.bool)
    for seed in range(20):
        moved = equally_far(x, size, every, 0.0, 1.0, generator(seed))
        torch.testing.assert_close(moved, farthest, rtol=1e-12, atol=1e-12)


def test_every_row_loses_and_gains_as_many_words():
    x = (torch.rand(50, 30, generator=generator(0)) < 0.2).float()
    changed = (torch.rand(50, 30, generator=generator(1)) < 0.2).float()
    mutable = torch.rand(50, 30, generator=generator(2)) < 0.7
    changed = torch.where(mutable, changed, x)
    found = equally_many(x, changed, mutable, generator(3))
    for one, two in (((x == 1) & (changed == 0), (x == 1) & (found == 0)),
                     ((x == 0) & (changed == 1), (x == 0) & (found == 1))):  # fmt: skip
        assert one.sum(dim=1).tolist() == two.sum(dim=1).tolist()
    assert torch.equal(found[~mutable], x[~mutable])
    assert not torch.equal(found, changed)
    assert set(found.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("gone", [0, 2, 3, 37, 90])
def test_as_many_edges_are_replaced_and_degrees_are_kept(directed, gone):
    drawn = nx.gnm_random_graph(60, 90, seed=1, directed=directed)
    lists, before = lists_of(drawn, directed=directed)
    after = swapped_at_random(lists, gone, np.random.default_rng(gone))
    old, new = (set(map(tuple, edges.T.tolist())) for edges in (before, after))
    assert len(new) == after.shape[1] == before.shape[1]
    assert len(old - new) == gone * (1 if directed else 2)
    assert num_replaced(lists, after) == gone
    for side in (0, 1):
        assert np.array_equal(np.bincount(before[side], minlength=60), np.bincount(after[side], minlength=60))
    assert not any(a == b for a, b in new)
    assert directed or {(b, a) for a, b in new} == new


def test_edges_that_are_protected_and_self_loops_stay():
    drawn = nx.gnm_random_graph(40, 60, seed=2)
    edges = np.array(list(drawn.edges), dtype=np.int64).T
    edges = np.concatenate([edges, edges[::-1], np.array([[5], [5]])], axis=1)
    fixed = np.zeros(edges.shape[1], dtype=bool)
    fixed[:10] = True
    lists = NeighbourLists.of(edges, 40, directed=False, fixed=fixed)
    after = swapped_at_random(lists, 40, np.random.default_rng(0))
    assert np.array_equal(after[:, :10], edges[:, :10])
    assert [5, 5] in after.T.tolist()
    assert num_replaced(lists, after) == 40


def test_a_graph_in_which_nothing_can_be_swapped_stays():
    lists, before = lists_of(nx.complete_graph(5))
    assert np.array_equal(swapped_at_random(lists, 4, np.random.default_rng(0)), before)


def test_a_metamer_of_both_is_answered_in_both(karate, karate_model):
    vary = ("features", "structure")
    metamer = gm.generate(karate_model, karate.graph, "output", vary=vary, budget=gm.Budget(steps=40))
    variables = what_varies(vary, karate.graph)
    found = equal_size(variables, metamer.graph, generator())
    x, ours, theirs = karate.graph.x, found.x, metamer.graph.x
    assert ((x == 1) & (ours == 0)).sum(dim=1).tolist() == ((x == 1) & (theirs == 0)).sum(dim=1).tolist()
    old, new, searched = (
        set(map(tuple, graph.edge_index.T.tolist())) for graph in (karate.graph, found, metamer.graph)
    )
    assert len(new) == len(old)
    assert len(old - new) <= len(old - searched)
    assert len(old - new) >= 0.8 * len(old - searched)  # karate is dense: the last ones find no partner
    assert torch.equal(karate.graph.x, x)


def test_continuous_features_are_moved_as_far_as_the_search_moved_them(digits, digits_fit):
    metamer = gm.generate(digits_fit.model, digits.graph, "output", objective="farthest")
    variables = what_varies(gm.Features(kind=digits.feature_kind), digits.graph)
    found = equal_size(variables, metamer.graph, generator())
    x = digits.graph.x.double()
    ours, theirs = ((graph.x.double() - x).norm(dim=1) for graph in (found, metamer.graph))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)  # features are float32
    assert bool(((found.x >= 0) & (found.x <= 1)).all())
    assert torch.equal(found.edge_index, digits.graph.edge_index)
