from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.models import build_model
from graph_metamers.training import evaluate


class Oracle(nn.Module):
    """Knows every label, but only in eval mode."""

    def __init__(self, labels):
        super().__init__()
        self.labels = labels
        self.dropout = nn.Dropout(0.99)

    def forward(self, x):
        return self.dropout(nn.functional.one_hot(self.labels, 10).float())


def test_each_part_of_the_split_is_scored(digits):
    labels = digits.graph.y.clone()
    labels[digits.split.test[:97]] = (labels[digits.split.test[:97]] + 1) % 10
    scores = evaluate(Oracle(labels), digits)
    assert (scores.train.accuracy, scores.validation.accuracy) == (1, 1)
    assert scores.test.accuracy == pytest.approx(1000 / 1097)
    assert [part.num_items for part in (scores.train, scores.validation, scores.test)] == [200, 500, 1097]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_comes_back_as_it_was(digits, fails):
    def forward(model, graph):
        assert not any(module.training for module in model.modules())
        if fails:
            raise KeyboardInterrupt
        return model(graph.x, graph.edge_index)

    model = build_model("gin", digits).train()
    model.conv[0].eval()
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    if fails:
        with pytest.raises(KeyboardInterrupt):
            evaluate(model, digits, forward=forward)
    else:
        evaluate(model, digits, forward=forward)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_transform_must_not_change_the_data_set(digits):
    def doubled(graph):
        graph.x = graph.x * 2
        return graph

    before = digits.graph.x.clone()
    evaluate(build_model("gcn", digits), digits, transform=doubled)
    assert torch.equal(digits.graph.x, before)


def test_an_output_that_is_not_finite_is_refused(digits):
    model = build_model("gcn", digits)
    model.conv[0].bias.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="must be finite"):
        evaluate(model, digits)


def test_a_graph_without_labels_is_refused(digits):
    graph = digits.graph.clone()
    del graph.y
    with pytest.raises(ParameterError, match="with labels 'y'"):
        evaluate(build_model("gcn", digits), replace(digits, graphs=(graph,)))
