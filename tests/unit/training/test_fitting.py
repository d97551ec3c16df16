from __future__ import annotations

import copy
import math
import os
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.nn import GCNConv
from torch_geometric.transforms import NormalizeFeatures

from graph_metamers.datasets import load_dataset
from graph_metamers.errors import BindingError, ModelError, ParameterError, RunFailedError
from graph_metamers.models import build_model
from graph_metamers.training import TrainingStep, evaluate, fit

ENOUGH = {"gcn": 0.95, "sage": 0.95, "gin": 0.90, "gat": 0.95, "cheb": 0.95, "sgc": 0.94}


def state_of(model):
    return copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]


def same_state(model, state):
    weights, modes = state
    now, modes_now = state_of(model)
    return modes == modes_now and all(torch.equal(now[name], weights[name]) for name in weights)


@pytest.mark.parametrize("name", ENOUGH)
def test_the_zoo_learns_the_digits(digits, name):
    result = fit(build_model(name, digits), digits)
    assert result.scores.test.accuracy >= ENOUGH[name]
    assert not result.at_chance
    assert not result.model.training


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ENOUGH)
def test_the_zoo_learns_the_digits_whatever_the_seed(name, seed):
    dataset = load_dataset("digits", seed=seed)
    result = fit(build_model(name, dataset, seed=seed), dataset, seed=seed)
    assert result.scores.test.accuracy >= ENOUGH[name]


@pytest.mark.slow
@pytest.mark.skipif("GRAPH_METAMERS_DATA" not in os.environ, reason="needs Cora in $GRAPH_METAMERS_DATA")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_gcn_learns_cora(seed):
    cora = load_dataset("cora")
    assert fit(build_model("gcn", cora, seed=seed), cora, seed=seed).scores.test.accuracy >= 0.79


@pytest.mark.parametrize("name", ENOUGH)
def test_the_given_model_and_the_global_state_are_untouched(digits, name):
    model = build_model(name, digits)
    model.conv[0].eval()
    before, random_before = state_of(model), torch.get_rng_state()
    x_before = digits.graph.x.clone()
    result = fit(model, digits, epochs=3)
    assert same_state(model, before)
    assert torch.equal(torch.get_rng_state(), random_before)
    assert torch.equal(digits.graph.x, x_before)
    assert result.model is not model
    assert all(p.grad is None for p in model.parameters())


def test_one_seed_gives_one_result(digits):
    model = build_model("gin", digits)
    first, again, other = (fit(model, digits, epochs=8, seed=seed) for seed in (1, 1, 2))
    assert first.history == again.history
    assert same_state(again.model, state_of(first.model))
    assert first.history != other.history


def test_the_best_epoch_is_returned(digits):
    result = fit(build_model("gcn", digits), digits, learning_rate=0.5, patience=3)
    best = min(result.history, key=lambda step: step.validation_loss)
    assert result.best_epoch == best.epoch < len(result.history)
    assert result.history[-1].validation_loss > best.validation_loss
    assert result.scores.validation.accuracy == pytest.approx(best.validation_accuracy)
    part = digits.split.validation
    with torch.no_grad():
        logits = result.model(digits.graph.x, digits.graph.edge_index)
    assert float(F.cross_entropy(logits[part], digits.graph.y[part])) == best.validation_loss
    assert result.scores == evaluate(result.model, digits)


def test_patience_ends_the_training(digits):
    result = fit(build_model("gcn", digits), digits, learning_rate=0.5, patience=2)
    assert result.stopped_early
    assert len(result.history) == result.best_epoch + 2


def test_test_labels_are_not_used(digits):
    y = digits.graph.y.clone()
    y[digits.split.test] = 0
    graph = copy.copy(digits.graph)
    graph.y = y
    model = build_model("gcn", digits)
    blinded = fit(model, replace(digits, graphs=(graph,)), epochs=5)
    assert blinded.history == fit(model, digits, epochs=5).history


def test_callbacks_get_every_step(digits):
    steps = []
    result = fit(build_model("gcn", digits), digits, epochs=4, callbacks=[steps.append])
    assert tuple(steps) == result.history
    assert [step.epoch for step in steps] == [1, 2, 3, 4]
    assert all(isinstance(step, TrainingStep) for step in steps)


@pytest.mark.parametrize("exception", [KeyboardInterrupt, ValueError])
def test_an_interrupt_reaches_the_caller_and_leaves_everything_as_it_was(digits, exception):
    def interrupt(step: TrainingStep) -> None:
        if step.epoch == 2:
            raise exception

    model = build_model("gin", digits)
    before, random_before = state_of(model), torch.get_rng_state()
    with pytest.raises(exception):
        fit(model, digits, callbacks=[interrupt])
    assert same_state(model, before)
    assert torch.equal(torch.get_rng_state(), random_before)


def test_it_trains_where_gradients_are_switched_off(digits):
    with torch.no_grad():
        result = fit(build_model("gcn", digits), digits, epochs=2)
    assert result.history[1].train_loss != result.history[0].train_loss


def test_the_transform_is_applied_once_and_in_scoring_too(digits):
    calls = []

    def transform(graph):
        calls.append(graph)
        return NormalizeFeatures()(graph)

    model = build_model("gcn", digits)
    result = fit(model, digits, epochs=5, transform=transform)
    assert len(calls) == 1
    assert result.scores == evaluate(result.model, digits, transform=NormalizeFeatures())
    assert result.history != fit(model, digits, epochs=5).history
    assert float(digits.graph.x.sum(1).max()) > 1, "the data set's own graph was changed"


class Own(nn.Module):
    """A user's model: lazy, with names of its own."""

    def __init__(self, num_classes):
        super().__init__()
        self.first = GCNConv(-1, 16)
        self.last = nn.Linear(16, num_classes)

    def forward(self, pixels, links):
        return self.last(torch.relu(self.first(pixels, links)))


def test_own_models_are_called_as_the_user_says(digits):
    model = Own(10)
    result = fit(model, digits, epochs=60, forward=lambda model, graph: model(graph.x, graph.edge_index))
    assert result.scores.test.accuracy > 0.9
    with pytest.raises(BindingError, match="needs 'pixels'"):
        fit(model, digits, epochs=2)


def test_frozen_parameters_stay_frozen(digits):
    model = build_model("gcn", digits)
    model.conv[0].requires_grad_(False)
    result = fit(model, digits, epochs=3)
    assert torch.equal(result.model.conv[0].lin.weight, model.conv[0].lin.weight)
    assert not torch.equal(result.model.conv[1].lin.weight, model.conv[1].lin.weight)


def test_a_model_without_trainable_parameters_is_refused(digits):
    with pytest.raises(ModelError, match="GNN must have parameters to train"):
        fit(build_model("gcn", digits).requires_grad_(False), digits)


def test_an_output_of_another_shape_is_refused(digits):
    with pytest.raises(
        ModelError, match=r"\[num_nodes, num_classes\] = \[1797, 10\], got float32 \[1797, 9\]"
    ):
        fit(Own(9), digits, forward=lambda model, graph: model(graph.x, graph.edge_index))
    with pytest.raises(ModelError, match="got tuple"):
        fit(Own(10), digits, forward=lambda model, graph: (model(graph.x, graph.edge_index),))


def test_a_loss_that_is_not_finite_ends_the_run(digits):
    with pytest.raises(RunFailedError, match=r"at epoch \d+; try a smaller learning_rate"):
        fit(build_model("gcn", digits), digits, learning_rate=1e37)


def test_a_graph_level_data_set_is_refused(digits):
    with pytest.raises(ParameterError, match="'dataset' parameter must be node-level"):
        fit(build_model("gcn", digits), replace(digits, task_level="graph"))


def test_a_split_without_validation_is_refused(digits):
    split = replace(digits.split, validation=torch.empty(0, dtype=torch.long))
    with pytest.raises(ParameterError, match="at least one validation node"):
        fit(build_model("gcn", digits), replace(digits, split=split))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": True},
        {"epochs": 2.5},
        {"learning_rate": 0.0},
        {"learning_rate": -0.1},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"weight_decay": -1e-9},
        {"weight_decay": math.nan},
        {"patience": 0},
        {"patience": None},
        {"seed": -1},
        {"seed": 2**64},
    ],
)
def test_what_is_out_of_range_is_refused(digits, wrong):
    (name,) = wrong
    with pytest.raises(ParameterError, match=f"the '{name}' parameter must be"):
        fit(build_model("gcn", digits), digits, **wrong)


def test_a_result_says_in_six_lines_what_happened(digits):
    result = fit(build_model("gcn", digits), digits, epochs=30)
    assert len(repr(result).splitlines()) == 6
    assert "AT CHANCE" not in repr(result)
    assert f"{result.scores.test.accuracy:.1%} (chance" in repr(result)
    html = result._repr_html_()
    assert html.startswith("<table")
    assert html.count("<tr>") == 5


def test_an_untrainable_model_is_called_at_chance(digits):
    result = fit(build_model("gcn", digits), digits, epochs=1, learning_rate=1e-9)
    assert result.at_chance == result.scores.test.at_chance
    constant = fit(build_model("gcn", digits), digits, epochs=1, transform=blank)
    assert constant.at_chance
    assert "AT CHANCE" in repr(constant)


def blank(graph):
    """A graph without a single feature or edge."""
    graph.x = torch.zeros_like(graph.x)
    graph.edge_index = graph.edge_index[:, :0]
    return graph
