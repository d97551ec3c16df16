from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import accuracy_score, cohen_kappa_score

from graph_metamers.errors import ParameterError
from graph_metamers.metrics import accuracy_of, predicted_classes, prediction_agreement


def brute_force_chance(predicted, reference, agree):
    orders = list(permutations(range(len(predicted))))
    return sum(
        sum(agree(predicted[i], reference[j]) for j, i in enumerate(order)) / len(predicted)
        for order in orders
    ) / len(orders)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_accuracy_is_that_of_scikit_learn_and_chance_the_largest_class(pairs):
    predictions, labels = (list(column) for column in zip(*pairs, strict=True))
    result = accuracy_of(torch.tensor(predictions), torch.tensor(labels))
    assert result.accuracy == pytest.approx(accuracy_score(labels, predictions))
    assert result.chance == max(labels.count(c) for c in labels) / len(labels)
    assert result.num_items == len(labels)
    right = round(result.accuracy * len(labels))
    assert result.p_value == pytest.approx(binom.sf(right - 1, len(labels), result.chance))


def test_the_most_frequent_class_is_at_chance_and_a_trained_model_is_not():
    labels = torch.arange(10).repeat(30)
    assert accuracy_of(torch.zeros(300, dtype=torch.long), labels).at_chance
    assert not accuracy_of(labels, labels).at_chance
    assert accuracy_of(torch.tensor([0, 1]), torch.tensor([0, 1])).at_chance, "two items show nothing"


def test_one_class_only_is_always_at_chance():
    labels = torch.zeros(50, dtype=torch.long)
    assert accuracy_of(labels, labels).at_chance


def test_the_p_value_does_not_depend_on_the_sign_of_labels():
    labels = torch.tensor([-1, -1, 5, 7])
    assert accuracy_of(labels, labels).chance == 0.5


def test_an_accuracy_reads_as_a_sentence():
    assert str(accuracy_of(torch.tensor([1, 1]), torch.tensor([1, 0]))) == "50.0% (chance 50.0%, 2 items)"


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [
        (torch.rand(3, 2), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(3), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(3, dtype=torch.long), torch.zeros(3)),
        (torch.zeros(3, dtype=torch.long), torch.zeros(4, dtype=torch.long)),
        (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)),
    ],
)
def test_what_is_no_pair_of_class_vectors_is_refused(predictions, labels):
    with pytest.raises(ParameterError):
        accuracy_of(predictions, labels)


@pytest.mark.parametrize(
    ("output", "task", "expected"),
    [
        ([[0.0, 2.0], [3.0, 1.0], [1.0, 1.0]], "auto", [1, 0, 0]),
        ([[0.5], [-0.5], [0.0]], "auto", [1, 0, 0]),
        ([0.5, -0.5, 0.0], "auto", [1, 0, 0]),
        ([0.5, -0.5], "binary", [1, 0]),
        ([[0.5], [-0.5]], "multiclass", [0, 0]),
        ([3, 0, -1], "auto", [3, 0, -1]),
        ([[0.5, -0.5], [0.0, 2.0]], "multilabel", [[True, False], [False, True]]),
        ([[True, False]], "auto", [[True, False]]),
    ],
)
def test_an_output_is_read_as_its_task_says(output, task, expected):
    predicted = predicted_classes(torch.tensor(output), task=task)
    assert torch.equal(predicted, torch.tensor(expected))


@pytest.mark.parametrize(
    ("output", "task", "message"),
    [
        (torch.rand(3), "multiclass", "logits"),
        (torch.rand(3, 2, 2), "auto", "got 'float32"),
        (torch.rand(3, 2), "binary", "one logit per item"),
        (torch.rand(3), "multilabel", "num_labels"),
        (torch.zeros(3, 2, dtype=torch.long), "auto", "integer classes"),
        (torch.tensor([[0.0, torch.nan]]), "auto", "finite"),
        (torch.tensor([[torch.inf, 0.0]]), "auto", "finite"),
        (torch.zeros(0, 3), "auto", "at least one item"),
        (torch.tensor(1.0), "auto", "at least one item"),
        (torch.rand(3), "regression", "one with classes"),
        (torch.rand(3), "clustering", "'auto', 'multiclass'"),
    ],
)
def test_an_output_that_does_not_fit_its_task_is_refused(output, task, message):
    with pytest.raises(ParameterError, match=message):
        predicted_classes(output, task=task)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(-2, 3), st.integers(-2, 3)), min_size=1, max_size=30))
def test_class_agreement_is_that_of_scikit_learn(pairs):
    found, expected = (list(column) for column in zip(*pairs, strict=True))
    result = prediction_agreement(torch.tensor(found), torch.tensor(expected))
    assert result.share == pytest.approx(accuracy_score(expected, found))
    assert result.chance == pytest.approx(sum(a == b for a in found for b in expected) / len(found) ** 2)
    if result.chance < 1:
        assert result.kappa == pytest.approx(cohen_kappa_score(found, expected))
    else:
        assert math.isnan(result.kappa)


def test_class_chance_is_the_mean_over_all_permutations():
    found, expected = [0, 0, 1, 2, 1], [0, 1, 1, 1, 2]
    result = prediction_agreement(torch.tensor(found), torch.tensor(expected))
    assert result.chance == pytest.approx(brute_force_chance(found, expected, lambda a, b: a == b))


def test_equal_logits_agree_fully_and_a_single_logit_by_its_sign():
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert prediction_agreement(logits, logits).share == 1
    single = prediction_agreement(torch.tensor([[0.1], [-3.0], [2.0]]), torch.tensor([[9.0], [-0.1], [-2.0]]))
    assert single.share == pytest.approx(2 / 3)
    assert single.chance == pytest.approx((2 / 3) * (1 / 3) + (1 / 3) * (2 / 3))


def test_labels_agree_one_by_one():
    found = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]])
    expected = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    result = prediction_agreement(found, expected, task="multilabel")
    assert result.share == pytest.approx(4 / 6)
    per_label = [
        brute_force_chance((found[:, k] > 0).tolist(), (expected[:, k] > 0).tolist(), lambda a, b: a == b)
        for k in range(2)
    ]
    assert result.chance == pytest.approx(sum(per_label) / 2)
    assert result == prediction_agreement(found > 0, expected > 0)
    assert result.num_items == 3


@pytest.mark.parametrize("tolerance", [0.0, 0.25, 1.0, 10.0])
def test_values_agree_within_the_tolerance(tolerance):
    # Multiples of 1/4, so that differences are exact and ties with the tolerance do occur.
    generator = torch.Generator().manual_seed(1)
    found, expected = (torch.randint(-6, 7, (5,), generator=generator) / 4 for _ in range(2))
    result = prediction_agreement(found, expected, task="regression", tolerance=tolerance)
    close = [abs(a - b) <= tolerance for a, b in zip(found.tolist(), expected.tolist(), strict=True)]
    assert result.share == pytest.approx(sum(close) / 5)
    chance = brute_force_chance(found.tolist(), expected.tolist(), lambda a, b: abs(a - b) <= tolerance)
    assert result.chance == pytest.approx(chance)


def test_several_values_are_averaged_over_the_columns():
    found, expected = torch.rand(6, 3), torch.rand(6, 3)
    parts = [
        prediction_agreement(found[:, k], expected[:, k], task="regression", tolerance=0.2) for k in range(3)
    ]
    whole = prediction_agreement(found, expected, task="regression", tolerance=0.2)
    assert whole.share == pytest.approx(sum(p.share for p in parts) / 3)
    assert whole.chance == pytest.approx(sum(p.chance for p in parts) / 3)


def test_equal_values_agree_at_tolerance_zero():
    values = torch.randn(100)
    assert prediction_agreement(values, values, task="regression", tolerance=0).share == 1


@pytest.mark.parametrize("tolerance", [None, -1.0, math.nan, math.inf, True, "1"])
def test_regression_needs_a_tolerance(tolerance):
    with pytest.raises(ParameterError, match="'tolerance'"):
        prediction_agreement(torch.rand(3), torch.rand(3), task="regression", tolerance=tolerance)


def test_a_tolerance_for_classes_is_refused():
    with pytest.raises(ParameterError, match="left out unless"):
        prediction_agreement(torch.rand(3, 2), torch.rand(3, 2), tolerance=0.1)


@pytest.mark.parametrize("task", ["auto", "regression"])
def test_outputs_of_different_lengths_are_refused(task):
    tolerance = 0.1 if task == "regression" else None
    with pytest.raises(ParameterError, match="same shape"):
        prediction_agreement(torch.rand(3, 2), torch.rand(4, 2), task=task, tolerance=tolerance)


def test_random_predictions_agree_about_as_often_as_chance_says():
    generator = torch.Generator().manual_seed(0)
    found, expected = (
        torch.randn(20_000, 3, generator=generator) * torch.tensor([1, 2, 3]) for _ in range(2)
    )
    result = prediction_agreement(found, expected)
    assert result.share == pytest.approx(result.chance, abs=0.015)
    assert result.kappa == pytest.approx(0, abs=0.03)
