from __future__ import annotations

import pytest
import torch
from torch import nn

import graph_metamers as gm
from graph_metamers.errors import ModelError
from graph_metamers.reading.guarding import borrowed


def test_modes_gradients_and_buffers_come_back():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[0].eval()
    model[1].weight.requires_grad_(False)
    mean = model[0].running_mean.clone()

    def misuse():
        with borrowed(model):
            assert not any(module.training for module in model.modules())
            assert not any(parameter.requires_grad for parameter in model.parameters())
            model[0].running_mean.add_(1)
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        misuse()
    assert [module.training for module in model] == [False, True]
    assert [model[1].weight.requires_grad, model[1].bias.requires_grad] == [False, True]
    assert torch.equal(model[0].running_mean, mean)


def test_random_numbers_drawn_inside_do_not_move_the_global_state():
    model = nn.Linear(1, 1)
    before = torch.get_rng_state()
    with borrowed(model):
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_buffer_that_was_put_in_another_ones_place_is_put_back():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen = self.seen + 1
            return x * self.seen

    model = Counts()
    before = model.seen
    with borrowed(model):
        model(torch.ones(1))
    assert model.seen is before
    assert model.seen.item() == 0


class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize(
    "call",
    [
        gm.layers,
        gm.check,
        lambda model, graph: gm.activations(model, graph, "output"),
        lambda model, graph: gm.generate(model, graph, "output"),
        lambda model, graph: gm.audit(model, gm.load_dataset("karate")),
    ],
)
@pytest.mark.parametrize("kind", ["script", "trace"])
def test_a_model_of_torchscript_is_refused(call, kind):
    graph = gm.load_dataset("karate").graph
    plain = nn.Sequential(nn.Linear(34, 4), nn.ReLU())
    model = torch.jit.script(plain) if kind == "script" else torch.jit.trace(plain, graph.x)
    with pytest.raises(
        ModelError, match=r"plain torch\.nn\.Module, got TorchScript \(\w+\), .*pass the module"
    ):
        call(model, graph)
    with pytest.raises(ModelError, match=r"got TorchScript \(\w+\) at 'inner'"):
        call(Wrapped(model), graph)
