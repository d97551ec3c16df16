from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import graph_metamers as gm
from graph_metamers.evidence import robustness
from graph_metamers.evidence.robustness import OverRobustness
from graph_metamers.randomness import generator_for


@pytest.fixture(scope="module")
def dataset():
    return gm.load_dataset("csbm", K=1.5, num_nodes=200, p=0.03, q=0.008)


class FeaturesOnly(nn.Module):
    """The best classifier that reads no edge: no edge can change its mind."""

    def __init__(self, mean):
        super().__init__()
        self.register_buffer("mean", mean.float())

    def forward(self, x, edge_index):
        return torch.stack([-(x @ self.mean), x @ self.mean], dim=1)


def test_the_oracle_is_neither_over_robust_nor_unrobust(dataset):
    model = gm.OracleModel(gm.BayesOracle.of(dataset))
    found = gm.over_robustness(model, dataset, samples=40)
    assert found.over_values == (0.0,)
    assert found.adversarial_values == (1.0,)
    assert found.f1.estimate == 1
    assert found.model == found.bayes == found.both
    assert found.bayes[0] > 0
    assert 0 < found.nodes[0] < 40


def test_a_model_that_reads_no_edge_is_over_robust_up_to_the_cap(dataset):
    model = FeaturesOnly(dataset.block_model.mean)
    found = gm.over_robustness(model, dataset, samples=25, max_changes=15)
    assert found.capped == found.nodes
    assert found.adversarial_values == (1.0,)
    assert found.over_values[0] == pytest.approx(1 - found.bayes[0] / found.model[0])
    assert found.over_values[0] > 0.5
    more = gm.over_robustness(model, dataset, samples=25, max_changes=30)
    assert more.over_values[0] > found.over_values[0]


def test_counts_are_those_of_adding_edges_one_by_one(dataset):
    """The definition once more, for every drawn node, from the figures' own graphs and no shortcut."""
    oracle = gm.BayesOracle.of(dataset)
    generator = generator_for("over-robustness", 7)
    model = gm.fit(gm.build_model("gcn", dataset), dataset).model.eval()
    signs = torch.cat([2 * dataset.graph.y - 1, torch.zeros(1, dtype=torch.int64)]).double()
    totals, nodes = [0.0, 0.0, 0.0], 0
    for _ in range(12):
        node = robustness._draw(oracle.block_model, dataset, "nearest", generator)
        truth = 2 * node.label - 1
        graph = node.joined(dataset, 0)
        assert sorted(graph.edge_index[1][graph.edge_index[0] == 200].tolist()) == sorted(
            node.neighbours.tolist()
        )

        def bayes(graph):
            adjacent = torch.zeros(201, dtype=torch.bool)
            adjacent[graph.edge_index[1][graph.edge_index[0] == 200]] = True
            block = oracle.block_model
            edges = torch.where(
                adjacent, math.log(block.p / block.q), math.log((1 - block.p) / (1 - block.q))
            )
            return 2 * float(graph.x[200].double() @ block.mean) / block.sigma**2 + float(
                (signs * edges).sum()
            )

        @torch.no_grad()
        def network(graph):
            logits = model(graph.x, graph.edge_index)[200]
            return float(logits[1] - logits[0])

        if bayes(graph) * truth <= 0 or network(graph) * truth <= 0 or not len(node.neighbours):
            continue
        counts = []
        for decides in (network, bayes):
            count = 0
            while count < 100 and decides(node.joined(dataset, count + 1)) * truth > 0:
                count += 1
            counts.append(count)
        nodes += 1
        for place, count in enumerate((*counts, min(counts))):
            totals[place] += count / len(node.neighbours)
    found = gm.over_robustness(model, dataset, samples=12, seed=7)
    assert found.nodes == (nodes,)
    assert (found.model[0], found.bayes[0], found.both[0]) == pytest.approx(
        [total / nodes for total in totals]
    )


def test_candidates_are_of_the_other_class_nearest_first(dataset):
    for attack, sign in (("nearest", 1), ("farthest", -1)):
        generator = torch.Generator().manual_seed(0)
        node = robustness._draw(dataset.block_model, dataset, attack, generator)
        distances = sign * (dataset.graph.x[node.candidates] - node.x).norm(dim=1)
        assert bool((distances.diff() >= 0).all())
        assert bool((dataset.graph.y[node.candidates] != node.label).all())
        assert not set(node.candidates.tolist()) & set(node.neighbours.tolist())


def test_several_trainings_have_an_interval_and_one_has_none(dataset):
    models = [
        gm.fit(gm.build_model("gcn", dataset, seed=s), dataset, seed=s, epochs=20).model for s in range(3)
    ]
    found = gm.over_robustness(models, dataset, samples=15)
    assert len(found.rows()) == 3
    assert found.over_robustness.low <= found.over_robustness.estimate <= found.over_robustness.high
    one = gm.over_robustness(models[0], dataset, samples=15)
    assert one.over_values[0] == found.over_values[0]
    assert math.isnan(one.over_robustness.low)


def test_what_withstands_nothing_has_no_over_robustness():
    found = OverRobustness("nearest", (0.0,), (0.0,), (0.0,), (3,), 10, (0,))
    assert math.isnan(found.over_values[0])
    assert math.isnan(found.adversarial_robustness.estimate)
    assert "undefined" in repr(found)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"samples": 0}, "samples"),
        ({"max_changes": 0}, "max_changes"),
        ({"attack": "x"}, "attack"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_is_out_of_range_is_refused(dataset, options, name):
    with pytest.raises(gm.ParameterError, match=f"'{name}'"):
        gm.over_robustness(gm.ConstantModel(), dataset, **options)


def test_edges_that_do_not_mislead_are_refused():
    heterophilous = gm.load_dataset("csbm", num_nodes=100, p=0.01, q=0.05)
    with pytest.raises(gm.ParameterError, match="p > q"):
        gm.over_robustness(gm.ConstantModel(), heterophilous)
