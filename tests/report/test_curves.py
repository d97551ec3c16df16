from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from graph_metamers.report.curves import (
    MOST_POINTS,
    SMALLEST_LOSS,
    depth_points,
    distribution,
    layer_distribution,
    trace,
)
from graph_metamers.report.labels import ModelLabel

MODEL = ModelLabel("GCN", 0, at_chance=False)


def test_a_distribution_is_the_share_of_nodes_with_at_most_a_ratio():
    found = distribution(torch.tensor([10.0, 30.0, 20.0]))

    assert found.snr == pytest.approx([10, 20, 30])
    assert found.share == pytest.approx([1 / 3, 2 / 3, 1])
    assert (found.exact, found.hopeless) == (0, 0)
    assert found.median == pytest.approx(20)


def test_exact_hopeless_and_undefined_nodes_are_counted_apart():
    found = distribution(torch.tensor([math.inf, 20.0, -math.inf, 10.0, math.nan]))

    assert found.snr == pytest.approx([10, 20])
    assert found.share == pytest.approx([0.5, 0.75])
    assert (found.exact, found.hopeless) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("ratios", "median"), [([math.inf, math.inf], math.inf), ([-math.inf, math.inf], -math.inf)]
)
def test_without_a_finite_ratio_there_is_no_curve_but_a_median(ratios, median):
    found = distribution(torch.tensor(ratios))

    assert found.snr == ()
    assert found.median == median


def test_many_nodes_are_thinned_out_and_keep_both_ends():
    ratios = torch.rand(5000, generator=torch.Generator().manual_seed(0)).double()
    found = distribution(ratios)

    assert len(found.snr) <= MOST_POINTS
    assert found.snr[-1] == float(ratios.max())
    assert found.share[0] == pytest.approx(1 / 5000)
    assert found.share[-1] == 1


def test_a_trace_ends_with_the_loss_of_the_real_graph(word_audit):
    layer = word_audit.layers[0]
    found = trace(MODEL, layer)

    assert found.real_loss == layer.metamer.activation_loss
    assert found.last_step == layer.metamer.steps
    assert found.chance_loss == layer.measures["activation_loss"].chance


def test_a_trace_survives_zero_infinite_and_very_many_losses(word_audit):
    layer = word_audit.layers[0]
    points = ((0, math.inf), (1, 0.0), *((step, 1 / step) for step in range(2, 10_000)))
    found = trace(MODEL, replace(layer, metamer=replace(layer.metamer, trace=points)))

    assert len(found.steps) <= MOST_POINTS
    assert found.losses[0] == SMALLEST_LOSS
    assert found.steps[-1] == 9_999
    assert all(step >= 1 for step in found.steps)


def test_depth_points_are_those_of_the_audit(word_audit):
    points = depth_points(word_audit)

    assert [point.layer for point in points] == [layer.name for layer in word_audit.layers]
    measure = word_audit.layers[0].measures["visible_distance"]
    assert points[0].distance == measure.interval
    assert points[0].chance.estimate == pytest.approx(1, abs=0.2)
    assert points[0].passing_share == word_audit.layers[0].measures["passing_share"].value


def test_a_layers_distributions_are_those_of_all_starts_and_of_the_null(word_audit):
    layer = word_audit.layers[0]
    found = layer_distribution(MODEL, layer)

    ratios = torch.cat([start.gates.snr for start in layer.starts])
    assert found.found.snr[-1] == float(ratios[ratios.isfinite()].max())
    assert found.found.exact == pytest.approx(float((ratios == math.inf).double().mean()))
    assert found.nearest.snr[-1] == float(layer.null.nearest_snr.max())
    assert found.pairs.median == pytest.approx(float(layer.null.snr.median()), abs=0.5)
