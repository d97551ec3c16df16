"""Untrained copies: everything drawn anew, nothing of the user's touched."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GAT, GCN, GIN

import graph_metamers as gm
from graph_metamers.evidence.untrained import parameters_without_reset, untrained_copy


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ["gcn", "sage", "gin", "gat", "cheb", "sgc"])
def test_every_weight_is_new_and_the_model_is_untouched(karate, name):
    model = gm.fit(gm.build_model(name, karate), karate, epochs=3).model
    before, state = weights(model), torch.get_rng_state()
    fresh = untrained_copy(model, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for (key, ours), theirs in zip(fresh.named_parameters(), model.parameters(), strict=True):
        assert not torch.equal(ours, theirs), key
        assert ours.data_ptr() != theirs.data_ptr()
    assert not fresh.training


@pytest.mark.parametrize("model", [GCN, GAT, GIN])
def test_models_of_pyg_are_reset_and_one_seed_gives_one_copy(model):
    own = model(12, 8, num_layers=2, out_channels=3)
    first, again, other = (untrained_copy(own, seed=seed) for seed in (1, 1, 2))
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert any(not torch.equal(v, other.state_dict()[k]) for k, v in first.state_dict().items())


def test_running_statistics_are_reset_too(karate):
    model = gm.fit(gm.build_model("gin", karate), karate, epochs=3).model
    fresh = untrained_copy(model, seed=0)
    for name, buffer in fresh.named_buffers():
        if name.endswith("running_mean"):
            assert not bool(buffer.any())


class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.scale = torch.nn.Linear(4, 3), torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        return self.linear(x) * self.scale


class Lazy(Own):
    def reset_parameters(self):
        """Does not what it says."""


def test_a_parameter_that_nobody_resets_is_named():
    assert parameters_without_reset(Own()) == ["scale"]
    with pytest.raises(gm.ModelError, match="got none for scale"):
        untrained_copy(Own(), seed=0)


def test_a_reset_that_leaves_weights_is_noticed():
    with pytest.raises(gm.ModelError, match="the same values again for scale"):
        untrained_copy(Lazy(), seed=0)
