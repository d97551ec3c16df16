"""A run ends with the last layer that is asked for, and nobody can tell."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GCNConv, TransformerConv

import graph_metamers as gm
from graph_metamers.reading import ModelView

LAYERS = ["convs.0", "act"]


@pytest.fixture
def graph():
    generator = torch.Generator().manual_seed(0)
    return Data(
        x=torch.randn(12, 5, generator=generator), edge_index=torch.randint(12, (2, 40), generator=generator)
    )


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GCN(5, 8, num_layers=3, out_channels=4).eval()


@pytest.fixture
def counted(monkeypatch):
    """How many convolutions were run."""
    runs = []
    real = GCNConv.forward

    def forward(self, *arguments, **options):
        runs.append(self)
        return real(self, *arguments, **options)

    monkeypatch.setattr(GCNConv, "forward", forward)
    return runs


def test_what_follows_is_not_run(model, graph, counted):
    view = ModelView(model)
    with view.borrow():
        view.taps(graph, ["convs.0"])
        assert len(counted) == 1
        view.taps(graph, ["act", "convs.0"])
        assert len(counted) == 2
        view.taps(graph, ["act#2"])
        assert len(counted) == 4
        view.taps(graph, ["act", "output"])
        assert len(counted) == 7


def test_every_layer_is_what_a_whole_run_reads(model, graph):
    view = ModelView(model)
    with view.borrow():
        for layer in gm.layers(model, graph):
            (stopped,), (whole,) = (
                list(read.values())
                for read in (view.taps(graph, [layer.name]), view.read(graph, [layer.name])[0])
            )
            assert torch.equal(stopped.value, whole.value)


def test_gradients_are_those_of_a_whole_run(model, graph):
    x = graph.x.clone().requires_grad_()
    seen, view = Data(x=x, edge_index=graph.edge_index), ModelView(model)
    with view.borrow():
        values = (view.taps(seen, ["act#2"])["act#2"], view.read(seen, ["act#2"])[0]["act#2"])
        ours, theirs = (torch.autograd.grad(tap.value.square().sum(), x)[0] for tap in values)
    assert torch.equal(ours, theirs)


def test_where_somebody_listens_the_model_is_run_to_its_end(model, graph, counted):
    heard = []
    handle = model.convs[2].register_forward_hook(lambda *_: heard.append(1))
    gm.activations(model, graph, "convs.0")
    handle.remove()
    assert len(counted) == 3
    assert heard == [1]


def test_a_model_may_read_its_own_layers(model, graph):
    def forward(model, graph):
        return gm.activations(model, graph, "act")["act"].sum(dim=1, keepdim=True)

    expected = gm.activations(model, graph, "act")["act"]
    found = gm.activations(model, graph, ["act", "output"], forward=forward)
    assert torch.equal(found["act"], expected)
    assert torch.equal(gm.activations(model, graph, "convs.0", forward=forward)["convs.0"].relu(), expected)


def test_nothing_is_left_on_a_layer_that_puts_something_down(graph):
    class Attending(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = TransformerConv(5, 4)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    model = Attending().eval()
    before = dict(model.conv.__dict__)
    seen = Data(x=graph.x.clone().requires_grad_(), edge_index=graph.edge_index)
    names = [layer.name for layer in gm.layers(model, graph)]
    for name in names:
        gm.activations(model, seen, name)
        assert model.conv._alpha is before["_alpha"]
        copy.deepcopy(model)
    assert any(name.startswith("conv.") for name in names)
