"""What holds for every model and every graph object that the instrument serves."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData

import graph_metamers as gm

from .models import NAMES, Row, find_row


@pytest.fixture(params=NAMES)
def row(request) -> Row:
    return find_row(request.param)


class Snapshot:
    """Everything about a model that a visitor could leave changed."""

    def __init__(self, model: nn.Module) -> None:
        self.weights = copy.deepcopy(model.state_dict())
        self.modes = [module.training for module in model.modules()]
        self.required = [parameter.requires_grad for parameter in model.parameters()]
        self.gradients = [parameter.grad for parameter in model.parameters()]
        self.hooks = [
            (len(module._forward_hooks), len(module._forward_pre_hooks)) for module in model.modules()
        ]
        self.forwards = ["forward" in module.__dict__ for module in model.modules()]

    def assert_same(self, model: nn.Module) -> None:
        now = Snapshot(model)
        assert list(now.weights) == list(self.weights)
        for name, weight in self.weights.items():
            assert torch.equal(now.weights[name], weight), name
        for attribute in ("modes", "required", "gradients", "hooks", "forwards"):
            assert getattr(now, attribute) == getattr(self, attribute), attribute


def tensors_of(graph) -> list[torch.Tensor]:
    return [value for store in graph.stores for value in store.values() if isinstance(value, torch.Tensor)]


def test_every_listed_layer_can_be_read_and_has_the_listed_shape(row):
    listed = gm.layers(row.model, row.graph, transform=row.transform)
    read = gm.activations(row.model, row.graph, [layer.name for layer in listed], transform=row.transform)
    assert {layer.name: layer.shape for layer in listed} == {k: tuple(v.shape) for k, v in read.items()}
    assert any(layer.is_default for layer in listed)
    assert row.layer in read


def test_output_is_what_the_model_returns(row):
    seen = row.graph if row.transform is None else row.transform(row.graph)
    row.model.eval()
    if isinstance(seen, HeteroData):
        returned = row.model(seen.x_dict, seen.edge_index_dict)["movie"]
    elif row.name.startswith("model(data)"):
        returned = row.model(seen)
    elif row.name.startswith("batch"):
        returned = row.model(seen.x, seen.edge_index, seen.batch)
    else:
        returned = row.model(seen.x, seen.edge_index)
    name = "output/movie" if isinstance(seen, HeteroData) else "output"
    assert torch.equal(gm.activations(row.model, row.graph, name, transform=row.transform)[name], returned)


def test_activations_are_differentiable(row):
    graph = copy.copy(row.graph)
    store = graph["movie"] if isinstance(graph, HeteroData) else graph
    store.x = store.x.clone().requires_grad_()
    activation = gm.activations(row.model, graph, row.layer, transform=row.transform)[row.layer]
    (gradient,) = torch.autograd.grad(activation.square().sum(), store.x)
    assert gradient.abs().sum() > 0


def test_generate_finds_a_metamer_and_leaves_model_and_graph_as_they_were(row):
    row.model.train()
    before, tensors = Snapshot(row.model), [tensor.clone() for tensor in tensors_of(row.graph)]
    metamer = gm.generate(
        row.model, row.graph, row.layer, transform=row.transform, budget=gm.Budget(steps=400), seed=1
    )
    before.assert_same(row.model)
    assert all(torch.equal(a, b) for a, b in zip(tensors, tensors_of(row.graph), strict=True))
    assert metamer.activation_loss < 0.1 * metamer.start_loss
    reference, found = (
        gm.activations(row.model, graph, row.layer, transform=row.transform)[row.layer].double()
        for graph in (row.graph, metamer.graph)
    )
    loss = (found - reference).square().sum() / reference.square().sum()
    assert metamer.activation_loss == pytest.approx(float(loss), rel=1e-9)
    assert len(metamer.item_loss) == len(reference)
    assert type(metamer.graph) is type(row.graph)
    if metamer.is_metamer:
        assert metamer.activation_loss <= metamer.tolerance
        assert metamer.input_distance.scaled >= metamer.min_distance


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_model_comes_back_after_an_interruption(row, error):
    row.model.train()
    before = Snapshot(row.model)

    def interrupt(progress):
        raise error

    with pytest.raises(error):
        gm.generate(row.model, row.graph, row.layer, transform=row.transform, callbacks=[interrupt])
    before.assert_same(row.model)


def test_model_comes_back_after_an_exception_inside_its_forward(row):
    before = Snapshot(row.model)

    def fail(model, graph):
        raise RuntimeError("from inside")

    with pytest.raises(RuntimeError, match="from inside"):
        gm.activations(row.model, row.graph, row.layer, forward=fail)
    before.assert_same(row.model)


def test_one_seed_gives_one_result_and_the_global_random_state_is_untouched(row):
    def generate(seed):
        return gm.generate(
            row.model, row.graph, row.layer, transform=row.transform, budget=gm.Budget(steps=12), seed=seed
        )

    before = torch.get_rng_state()
    first, second, other = generate(0), generate(0), generate(1)
    assert torch.equal(torch.get_rng_state(), before)
    pairs = zip(tensors_of(first.graph), tensors_of(second.graph), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert first.trace == second.trace
    assert first.trace != other.trace


def test_the_reference_matches_itself_and_is_reported_as_recovered(row):
    metamer = gm.generate(
        row.model,
        row.graph,
        row.layer,
        transform=row.transform,
        init="reference",
        tolerance=0.5,
        min_distance=0.2,
    )
    assert metamer.status is gm.Status.RECOVERED_REFERENCE
    assert not metamer.is_metamer
    assert "NotAMetamer" in repr(metamer)


def test_check_finds_no_error(row):
    assert gm.check(row.model, row.graph, transform=row.transform).ok
