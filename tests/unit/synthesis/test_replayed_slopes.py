"""Slopes from a tape against those of the model itself."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GAT, GCN, GIN, GraphSAGE

import graph_metamers as gm
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.replayed_slopes import ReplayedSlopes


def a_graph() -> Data:
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(40, 60, generator=generator) < 0.15).float()
    edges = torch.randint(40, (2, 120), generator=generator)
    return Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1))


@pytest.mark.parametrize("layers", ["act", "output", ["act", "output"]])
@pytest.mark.parametrize("kind", [GCN, GraphSAGE, GAT, GIN])
def test_replayed_slopes_are_those_of_the_model(kind, layers, monkeypatch):
    original, pairs = ReplayedSlopes.__call__, []

    def compared(self, inputs, probes, generator, *, first, parts):
        for count in (0, 1):
            signs = [generator_for("test", first) for _ in range(2)]
            ours = original(self, inputs, count, signs[0], first=first, parts=parts)
            theirs = self._problem.slopes(inputs, count, signs[1], first=first, parts=parts)
            pairs.append((ours, theirs, self._tapes[count]))
        return original(self, inputs, probes, generator, first=first, parts=parts)

    monkeypatch.setattr(ReplayedSlopes, "__call__", compared)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(60, 8, num_layers=2, out_channels=4).eval()
    gm.generate(model, a_graph(), layers, solver="word_swaps", budget=gm.Budget(steps=20), tolerance=0.0)
    assert len(pairs) >= 10
    for ours, theirs, tape in pairs:
        assert not isinstance(tape, str), tape
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-4)
        assert len(ours.probes) == len(theirs.probes)
        told = [(ours.gradient, theirs.gradient), *zip(ours.probes, theirs.probes, strict=True)]
        for mine, other in told:
            for slot in other:
                torch.testing.assert_close(mine[slot], other[slot], rtol=1e-3, atol=1e-5)


def test_a_model_that_no_tape_takes_is_run_as_it_is():
    class Undecided(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = GCN(60, 8, num_layers=2, out_channels=4)

        def forward(self, x, edge_index):
            h = self.body(x, edge_index)
            return h if float(h.detach().sum()) > 0 else h + 0

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Undecided().eval()
    metamer = gm.generate(model, a_graph(), "body", solver="word_swaps", budget=gm.Budget(steps=40))
    assert metamer.activation_loss < metamer.start_loss / 3


def test_activations_of_another_dtype_than_the_features_are_matched_too():
    class Wide(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = GCN(60, 8, num_layers=2, out_channels=4)

        def forward(self, x, edge_index):
            return self.body(x, edge_index).double()

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Wide().eval()
    metamer = gm.generate(model, a_graph(), "output", solver="word_swaps", budget=gm.Budget(steps=40))
    assert metamer.activation_loss < metamer.start_loss / 3
