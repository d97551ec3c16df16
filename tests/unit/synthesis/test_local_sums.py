"""The model of the loss by which a descent rewires, against the loss itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, GraphConv, SAGEConv

from graph_metamers.graphs.rewiring import shuffled
from graph_metamers.inputs.structure import Structure
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.reading.messages import MessageRecorder
from graph_metamers.synthesis.edge_problem import edge_problem
from graph_metamers.synthesis.local_sums import MEMORY, SumCurvature, local_sums
from graph_metamers.synthesis.problem import Problem


class One(nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


def drawn(nodes=25, edges=60):
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(nodes, (2, edges), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]].sort(dim=0).values.unique(dim=1)
    x = torch.randn(nodes, 6, generator=generator)
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], dim=1))


CONVS = {
    "gcn": lambda: GCNConv(6, 5),
    "sage": lambda: SAGEConv(6, 5),
    "sum": lambda: GraphConv(6, 5),
}


@pytest.mark.parametrize("name", CONVS)
def test_one_linear_hop_is_modelled_exactly(name):
    """Then the loss is quadratic in the sums: its slope there and the change of the output say all."""
    torch.manual_seed(0)
    model, graph = One(CONVS[name]()).eval(), drawn()
    variables = Structure().variables(graph)
    view = ModelView(model)
    with view.borrow():
        target = model(graph.x, graph.edge_index).detach()
        problem = edge_problem(Problem(view, variables, {"output": target}, None), "match")
        spaces = problem.sums(generator_for("test", 0), 32)
        one, other = (shuffled(variables.lists, seed=seed) for seed in (1, 2))
        before, after = (torch.from_numpy(variables.lists.edge_index(*lists)) for lists in (one, other))
        local = local_sums(problem, before, spaces, generator_for("test", 1), number=0)
        there = local_sums(problem, after, spaces, generator_for("test", 1), number=0)
    outputs = [model(graph.x, edge_index).detach().double() for edge_index in (before, after)]
    energy = float(target.double().square().sum())
    assert local.loss == pytest.approx(float((outputs[0] - target).square().sum()) / energy, rel=1e-5)
    step = np.zeros(local.vectors.shape)
    owners = variables.lists.owners
    np.add.at(step, owners, local.vectors[other[0]].astype(np.float64))
    np.subtract.at(step, owners, local.vectors[one[0]].astype(np.float64))
    told = float((local.slopes * step).sum()) + float((outputs[1] - outputs[0]).square().sum()) / energy
    assert there.loss - local.loss == pytest.approx(told, rel=1e-3)


def test_the_curvature_tends_to_that_of_the_outputs():
    torch.manual_seed(0)
    model, graph = One(GCNConv(6, 5)).eval(), drawn()
    variables, view = Structure().variables(graph), ModelView(model)
    generator = generator_for("test", 1)
    with view.borrow():
        target = model(graph.x, graph.edge_index).detach()
        problem = edge_problem(Problem(view, variables, {"output": target}, None), "match")
        spaces = problem.sums(generator_for("test", 0), 32)
        width = spaces.sums[0].vectors.shape[1]
        curvature = SumCurvature(25, np.array([0, width]))
        for number in range(MEMORY):
            curvature.add(local_sums(problem, graph.edge_index, spaces, generator, number=number).probe)
    step = np.random.default_rng(0).normal(size=width)
    told = np.einsum("i,nij,j->n", step, curvature.matrices().reshape(25, width, width), step)
    message = torch.from_numpy(step) @ torch.linalg.pinv(
        spaces.sums[0].to_vectors
    )  # what adds up to the step
    factors = (spaces.sums[0].receivers * spaces.sums[0].scales).numpy()
    expected = float(message.square().sum()) * factors**2 / float(target.double().square().sum())
    np.testing.assert_allclose(told, expected, rtol=0.5)  # the prior counts for 25 of 89 probes


def test_the_reference_has_no_loss_and_no_slope_and_is_left_as_it_was():
    torch.manual_seed(0)
    model, graph = One(GCNConv(6, 5)).eval(), drawn()
    kept = copy.deepcopy(graph)
    variables, view = Structure().variables(graph), ModelView(model)
    with view.borrow():
        target = model(graph.x, graph.edge_index).detach()
        problem = edge_problem(Problem(view, variables, {"output": target}, None), "match")
        spaces = problem.sums(generator_for("test", 0), 8)
        local = local_sums(problem, graph.edge_index, spaces, generator_for("test", 1), number=0)
    assert local.loss == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(local.slopes, 0, atol=1e-6)
    assert torch.equal(kept.edge_index, graph.edge_index)
    assert torch.equal(kept.x, graph.x)


def test_hooks_come_off_where_registering_one_fails(monkeypatch):
    model = One(GCNConv(6, 5))
    monkeypatch.setattr(model.conv, "register_aggregate_forward_hook", lambda _hook: 1 / 0)
    with pytest.raises(ZeroDivisionError), MessageRecorder(model):
        pass
    assert not model.conv._message_forward_hooks
    assert not model.conv._propagate_forward_pre_hooks
