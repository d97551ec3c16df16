from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import graph_metamers as gm
from graph_metamers.evidence.excess import ScaledExcess, unconditioned_noise

BOTH = ("features", "structure")


@pytest.fixture(scope="module")
def dataset():
    return gm.load_dataset("csbm", K=1.5, num_nodes=150, p=0.04, q=0.01)


@pytest.fixture(scope="module")
def gcn(dataset):
    return gm.fit(gm.build_model("gcn", dataset), dataset).model


def excess(matched, flipped, by_noise):
    counts = [np.array(part) for part in (matched, flipped, by_noise)]
    return ScaledExcess("features", ("output",), "conditional", 0.1, 100, *counts)


@pytest.mark.parametrize("vary", ["features", "structure", BOTH])
def test_it_is_zero_for_the_oracle_itself(dataset, vary):
    model = gm.OracleModel(gm.BayesOracle.of(dataset))
    solver = {"structure": gm.Rewire(proposals=50), BOTH: gm.InTurn(rewire=gm.Rewire(proposals=50))}
    budget = gm.Budget(steps=60)
    found = gm.scaled_excess(
        model, dataset, vary=vary, seeds=range(2), solver=solver.get(vary, "auto"), budget=budget
    )
    assert not found.flipped.any()
    assert found.excess.estimate == 0
    assert (found.matched > 0).all()
    assert (found.flipped_by_noise > 0).any()


@pytest.mark.parametrize("vary", ["features", "structure", BOTH])
def test_it_is_one_for_a_constant_model(dataset, vary):
    found = gm.scaled_excess(gm.ConstantModel(), dataset, vary=vary, seeds=range(12), level=0.999)
    assert (found.matched == 150).all()
    assert found.excess.low <= 1 <= found.excess.high
    assert found.denominator.low > 0
    assert not np.array_equal(
        found.flipped, found.flipped_by_noise
    )  # other noise than what the search began with


def test_counts_are_those_of_the_metamers(dataset, gcn):
    metamers = gm.generate_many(gcn, dataset.graph, "output", seeds=range(2))
    found = gm.oracle_figures(dataset, [metamers], noise_draws=3)
    oracle = gm.BayesOracle.of(dataset)
    before = oracle.log_odds(dataset.graph) > 0
    for place, metamer in enumerate(metamers):
        with torch.no_grad():
            ours, theirs = (
                gcn.double()(graph.x.double(), graph.edge_index) for graph in (metamer.graph, dataset.graph)
            )
        gcn.float()
        matched = (ours - theirs).norm(dim=1) / theirs.norm(dim=1) <= 0.1
        flips = (oracle.log_odds(metamer.graph) > 0) != before
        drawn = [unconditioned_noise("features", dataset.graph, place, draw) for draw in range(3)]
        noise = [int((((oracle.log_odds(one) > 0) != before) & matched).sum()) for one in drawn]
        assert found.matched[0, place] == int(matched.sum())
        assert found.flipped[0, place] == int((matched & flips).sum())
        assert found.flipped_by_noise[0, place] == pytest.approx(sum(noise) / 3)
    assert 0 < found.excess.estimate < 1.5


def test_searching_and_counting_afterwards_is_the_same(dataset, gcn):
    searched = gm.scaled_excess([gcn, gcn], dataset, "act.0", seeds=range(2))
    counted = gm.oracle_figures(dataset, [gm.generate_many(gcn, dataset.graph, "act.0", seeds=range(2))])
    assert searched.matched.shape == (2, 2)
    for name in ("matched", "flipped", "flipped_by_noise"):
        assert np.array_equal(getattr(searched, name)[:1], getattr(counted, name))


def test_nodes_whose_label_the_oracle_is_told_do_not_count(dataset):
    found = gm.scaled_excess(gm.ConstantModel(), dataset, seeds=range(2), reading="belief_propagation")
    assert found.judged == 150 - len(dataset.split.train)
    assert (found.matched == found.judged).all()


def test_graphs_on_which_belief_propagation_does_not_settle_are_counted(dataset, monkeypatch):
    real = gm.BayesOracle.beliefs
    monkeypatch.setattr(gm.BayesOracle, "beliefs", lambda *at: replace(real(*at), converged=False))
    options = {"seeds": range(2), "noise_draws": 3, "reading": "belief_propagation"}
    found = gm.scaled_excess(gm.ConstantModel(), dataset, **options)
    assert found.unconverged == 1 + 2 * 3 + 2  # the reference, noise, and what was found
    assert "NOT CONVERGED" in repr(found)
    assert found.rows()[0]["unconverged"] == 9
    assert gm.scaled_excess(gm.ConstantModel(), dataset, seeds=range(2)).unconverged == 0


def test_noise_has_the_marginals_of_a_start_and_nothing_of_a_search(dataset):
    noise = unconditioned_noise(BOTH, dataset.graph, 0)
    degrees = torch.bincount(noise.edge_index[0], minlength=150)
    assert torch.equal(degrees, torch.bincount(dataset.graph.edge_index[0], minlength=150))
    torch.testing.assert_close(noise.x.mean(0), dataset.graph.x.mean(0), atol=0.35, rtol=0)
    torch.testing.assert_close(noise.x.std(0), dataset.graph.x.std(0), atol=0.35, rtol=0)
    assert abs(np.corrcoef(noise.x.flatten(), dataset.graph.x.flatten())[0, 1]) < 0.1
    assert torch.equal(unconditioned_noise("structure", dataset.graph, 1).x, dataset.graph.x)
    start = gm.generate(gm.ConstantModel(), dataset.graph, "output", seed=0).graph.x
    assert not torch.equal(start, unconditioned_noise("features", dataset.graph, 0).x)


def test_nothing_over_nothing_is_undefined_and_says_so():
    nothing = excess([[0, 0]], [[0, 0]], [[0, 0]])
    for interval in (nothing.excess, nothing.numerator, nothing.denominator):
        assert math.isnan(interval.estimate)
    assert nothing.matched_share.estimate == 0
    assert "undefined: 0/0" in repr(nothing)
    assert math.isnan(nothing.rows()[0]["excess"])
    still = excess([[90, 80]], [[0, 0]], [[0, 0]])  # matched, but not even noise changes a label
    assert math.isnan(still.excess.estimate)
    assert still.numerator.estimate == 0


def test_the_figures_are_ratios_of_sums():
    found = excess([[50, 100], [80, 20]], [[5, 10], [8, 2]], [[20, 50], [30, 25]])
    assert found.excess.estimate == pytest.approx(25 / 125)
    assert found.numerator.estimate == pytest.approx(25 / 250)
    assert found.denominator.estimate == pytest.approx(125 / 250)
    assert found.matched_share.estimate == pytest.approx(250 / 400)
    assert found.excess.low <= 0.2 <= found.excess.high
    (row,) = found.rows()
    assert row["training_seeds"] == row["noise_seeds"] == 2
    assert row["excess_low"] == found.excess.low


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"seeds": []}, "seeds"),
        ({"reading": "guess"}, "reading"),
        ({"level": 1.0}, "level"),
        ({"noise_draws": 0}, "noise_draws"),
        ({"relative_error": -0.1}, "relative_error"),
        ({"vary": "edges"}, "vary"),
    ],
)
def test_what_is_out_of_range_is_refused(dataset, options, name):
    with pytest.raises(gm.ParameterError, match=f"'{name}'"):
        gm.scaled_excess(gm.ConstantModel(), dataset, **options)


def test_no_models_no_metamers_and_no_oracle_are_refused(dataset, karate):
    with pytest.raises(gm.ParameterError, match="'models'"):
        gm.scaled_excess([], dataset)
    with pytest.raises(gm.ParameterError, match="'metamers'"):
        gm.oracle_figures(dataset, [])
    one = gm.generate(gm.ConstantModel(), dataset.graph, "output")
    with pytest.raises(gm.ParameterError, match=r"'metamers'.*as many for each"):
        gm.oracle_figures(dataset, [[one], [one, one]])
    with pytest.raises(gm.DatasetError, match="no Bayes oracle"):
        gm.scaled_excess(gm.ConstantModel(), karate)
