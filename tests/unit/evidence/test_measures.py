from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

import graph_metamers as gm
from graph_metamers.evidence.measures import TEXTS, described_measure, interval_over_starts
from graph_metamers.evidence.observing import observer
from graph_metamers.inputs import resolve_variables
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView


def test_intervals_over_starts_are_scipys():
    values = [0.61, 0.64, 0.58, 0.66, 0.60]
    found = interval_over_starts(values)
    expected = stats.bootstrap(
        (np.array(values),), np.mean, n_resamples=10_000, random_state=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("values", [[0.4, 0.6], [0.4, 0.5, 0.6], [0.1, 0.2, 0.3, 0.6]])
def test_with_few_starts_it_is_students_interval(values):
    found = interval_over_starts(values)
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-12)
    cut = interval_over_starts(values, (0.0, 1.0))
    assert (cut.low, cut.high) == (max(0, found.low), min(1, found.high))


def test_students_interval_holds_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(2000, 3))
    held = [interval.low <= 0 <= interval.high for interval in map(interval_over_starts, draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("values", "mean"), [([1.0, math.inf], math.inf), ([1.0, math.nan], math.nan), ([math.inf] * 3, math.inf)]
)
def test_numbers_that_are_not_finite_have_no_interval(values, mean):
    found = interval_over_starts(values)
    assert found.estimate == mean or (math.isnan(found.estimate) and math.isnan(mean))
    assert math.isnan(found.low)


def test_a_measure_knows_its_label_and_its_chance_level():
    measure = described_measure("spearman", [0.5, 0.7], [0.1, 0.2])
    assert (measure.label, measure.value) == ("Spearman correlation", pytest.approx(0.6))
    assert measure.chance == pytest.approx(0.15)
    assert (measure.interval.low, measure.interval.high) == (pytest.approx(-0.67062047), 1.0)


@pytest.fixture(scope="module")
def watching(digits_fit, digits):
    variables = resolve_variables("features", digits.graph)
    return observer(
        ModelView(digits_fit.model), variables, "act.0", item_tolerance=1e-2, min_distance=0.1, pairs=1000
    )


def test_every_measure_has_a_text(watching, karate_model, karate):
    shuffled = watching.variables.shuffled(generator_for("shuffle", 0))
    assert set(watching.observe(shuffled).numbers) == set(TEXTS) - {"word_overlap", "idf_cosine_distance"}
    words = resolve_variables(gm.Features(kind="binary"), karate.graph)
    view = ModelView(karate_model)
    binary = observer(view, words, "output", item_tolerance=1e-2, min_distance=0.1, pairs=100)
    assert list(binary.observe(karate.graph).numbers) == list(TEXTS)


def test_the_reference_itself_has_every_measure_at_its_end(watching, digits):
    numbers = watching.observe(digits.graph).numbers
    for name in (
        "activation_loss",
        "item_loss_95",
        "visible_distance",
        "null_space_distance",
        "input_distance",
        "standardised_rms_distance",
    ):
        assert numbers[name] == 0, name
    for name in ("spearman", "pearson", "cosine", "centred_cosine", "prediction_agreement", "closer_share"):
        assert numbers[name] == pytest.approx(1), name
    assert numbers["different_share"] == numbers["passing_share"] == 0


def test_shuffled_features_are_at_chance(watching):
    numbers = watching.observe(watching.variables.shuffled(generator_for("shuffle", 1))).numbers
    for name in ("visible_distance", "null_space_distance", "input_distance"):
        assert numbers[name] == pytest.approx(1, abs=0.05), name
    assert numbers["centred_cosine"] == pytest.approx(0, abs=0.05)
    assert numbers["standardised_rms_distance"] == pytest.approx(math.sqrt(2), rel=0.05)
    assert numbers["passing_share"] < 0.05


def test_a_glance_is_the_same_as_a_look(watching, digits_fit):
    graph = watching.variables.shuffled(generator_for("shuffle", 2))
    with torch.no_grad():
        activation = gm.activations(digits_fit.model, graph, "act.0")["act.0"]
    numbers = watching.observe(graph).numbers
    assert watching.glance(activation) == {
        name: numbers[name] for name in ("activation_loss", "closer_share")
    }
