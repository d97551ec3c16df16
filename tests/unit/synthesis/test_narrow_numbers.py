"""Features and weights in bfloat16 and float16."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN

import graph_metamers as gm
from graph_metamers.arrays import array_of


def drawn(dtype):
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(40, (2, 90), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = (torch.randn(40, 24, generator=generator) > 0.8).to(dtype)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


def model(dtype):
    torch.manual_seed(0)
    return GCN(24, 6, num_layers=2, out_channels=3).to(dtype)


def test_bfloat16_becomes_float32_without_a_change_and_others_stay():
    values = torch.randn(5, 3).to(torch.bfloat16).requires_grad_()
    assert array_of(values).dtype == np.float32
    assert torch.equal(torch.from_numpy(array_of(values)).to(torch.bfloat16), values)
    for dtype in (torch.float16, torch.float32, torch.float64, torch.bool):
        assert torch.from_numpy(array_of(torch.ones(2, dtype=dtype))).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("vary", "solver"),
    [
        ("features", "word_swaps"),
        ("features", "adam"),
        ("structure", "rewire"),
        ("structure", "straight_through"),
        (("features", "structure"), "auto"),
    ],
)
def test_words_and_edges_are_searched_in_narrow_numbers_too(dtype, vary, solver):
    graph, options = drawn(dtype), {"vary": vary, "solver": solver, "budget": gm.Budget(steps=60)}
    metamer = gm.generate(model(dtype), graph, "output", **options)
    assert metamer.graph.x.dtype == dtype
    assert set(metamer.graph.x.float().unique().tolist()) <= {0.0, 1.0}
    assert metamer.graph.x.float().sum() == graph.x.float().sum()
    assert metamer.activation_loss < 0.8 * metamer.start_loss


def test_exact_swaps_read_narrow_features():
    around = torch.stack([torch.arange(40), torch.arange(40).roll(1)])
    x = torch.ones(40, 24, dtype=torch.bfloat16)
    graph = Data(x=x, edge_index=torch.cat([around, around.flip(0)], dim=1))
    metamer = gm.generate(
        model(torch.bfloat16), graph, "output", vary="structure", solver=gm.ExactSwaps(), min_distance=0
    )
    assert metamer.config["findings"]["swaps_made"] > 0
