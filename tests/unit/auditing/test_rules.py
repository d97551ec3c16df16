"""Borderline figures: what the rules decide, what they leave open, and which sentences follow."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

import graph_metamers as gm
from graph_metamers.auditing.rules import kind_of
from graph_metamers.evidence.measures import described_measure

STARTS = 5


@pytest.fixture(scope="module")
def audit(digits_fit, digits):
    return gm.audit(digits_fit, digits, layers=["output"], num_starts=STARTS, num_untrained=0)


def with_measures(audit, **changed):
    """The audit with other numbers per start; `name=(values, chances)`."""
    layer = audit.layers[0]
    measures = dict(layer.measures) | {
        name: described_measure(name, *numbers) for name, numbers in changed.items()
    }
    return replace(audit, layers=(replace(layer, measures=measures),))


def verdict(audit, **changed):
    return " ".join(gm.verdict(with_measures(audit, **changed)))


def spread(middle, half_width):
    return [middle + half_width * step for step in (-1, -0.5, 0, 0.5, 1)]


NO_CHANCE = [0.0] * STARTS


def test_most_nodes_needs_an_interval_above_a_half(audit):
    assert "only" not in verdict(audit, visible_share=(spread(0.7, 0.05), NO_CHANCE))
    few = verdict(audit, visible_share=(spread(0.3, 0.05), NO_CHANCE))
    assert "only" in few
    assert "most nodes are no metamers on their own" in few
    open_ = verdict(audit, visible_share=(spread(0.52, 0.1), NO_CHANCE))
    assert "whether that is most of them, 5 starts do not decide" in open_
    assert "more than by chance" not in open_


def test_more_than_chance_needs_intervals_apart(audit):
    for chance in (spread(0.7, 0.05), spread(0.68, 0.1)):
        text = verdict(audit, visible_share=(spread(0.7, 0.05), chance))
        assert "5 starts do not show that this is more than by chance" in text
    assert "fewer than with unrelated features" in verdict(
        audit, visible_share=(spread(0.2, 0.01), spread(0.4, 0.01))
    )


def test_predictions_that_stay_no_more_than_by_chance_are_said(audit):
    said = "it is not shown that more predictions stay than with unrelated features"
    assert said in verdict(audit, prediction_agreement=(spread(0.4, 0.1), spread(0.38, 0.1)))
    assert said in verdict(audit, prediction_agreement=(spread(0.2, 0.01), spread(0.4, 0.01)))
    assert said not in verdict(audit, prediction_agreement=(spread(0.6, 0.05), spread(0.38, 0.1)))


def test_metamers_by_counting_are_never_in_the_headline(audit):
    counted = {
        "visible_share": (NO_CHANCE, NO_CHANCE),
        "null_space_share": ([1.0] * STARTS, NO_CHANCE),
        "visible_distance": ([0.0] * STARTS, [1.0] * STARTS),
    }
    text = verdict(audit, **counted)
    assert "follows from counting dimensions, and 0% by differing where it does" in text
    assert "visible distance" not in text
    assert kind_of(with_measures(audit, **counted).layers[0]) == "null space"
    # Overlapping intervals do not make it one by counting.
    both = {
        "visible_share": (spread(0.48, 0.05), NO_CHANCE),
        "null_space_share": (spread(0.5, 0.05), NO_CHANCE),
    }
    assert kind_of(with_measures(audit, **both).layers[0]) == "visible"


def with_statuses(audit, *statuses):
    layer = audit.layers[0]
    starts = tuple(
        replace(start, status=status) for start, status in zip(layer.starts, statuses, strict=True)
    )
    return replace(audit, layers=(replace(layer, starts=starts),))


def test_starts_that_found_nothing_are_counted(audit):
    found, none = gm.Status.CONVERGED, gm.Status.MAX_STEPS
    text = " ".join(gm.verdict(with_statuses(audit, found, none, found, found, none)))
    assert "from 3 of 5 starts" in text
    nothing = " ".join(gm.verdict(with_statuses(audit, *[none] * STARTS)))
    assert "was matched" not in nothing
    assert "from 5 starts, no metamer was found within" in nothing
    back = " ".join(gm.verdict(with_statuses(audit, *[gm.Status.RECOVERED_REFERENCE] * STARTS)))
    assert "came back to the reference itself" in back
    for text in (nothing, back):
        assert "exist" not in text


def test_means_over_failed_starts_are_said_to_be_such(audit):
    found, none = gm.Status.CONVERGED, gm.Status.MAX_STEPS
    mixed = " ".join(gm.verdict(with_statuses(audit, found, none, found, found, none)))
    assert "means over all starts, also those from which nothing was found" in mixed
    assert "means over all starts" not in " ".join(gm.verdict(audit))


def test_failed_searches_say_how_they_ended_and_the_best_finite_loss(audit):
    stalled, back = gm.Status.STALLED, gm.Status.RECOVERED_REFERENCE
    mixed = with_statuses(audit, back, *[stalled] * (STARTS - 1))
    layer = mixed.layers[0]
    losses = (1e-9, math.nan, 0.05, 0.2, math.inf)
    starts = tuple(
        replace(start, activation_loss=loss) for start, loss in zip(layer.starts, losses, strict=True)
    )
    text = " ".join(gm.verdict(replace(mixed, layers=(replace(layer, starts=starts),))))
    assert (
        "within 2000 steps (1 came back to the reference itself, 4 stopped getting better before that)"
        in text
    )
    assert "the best activation loss is 0.05" in text
    assert "search with another solver" in " ".join(gm.advice([mixed]))
    assert "search longer" not in " ".join(gm.advice([mixed]))


def test_so_few_starts_are_said_to_hold_the_truth_less_often(audit):
    assert "with so few starts they hold the truth in about 84% of cases" in " ".join(gm.verdict(audit))


def test_advice_about_alarms_is_for_shown_metamers_of_models_that_have_learned(audit):
    assert "watches the matched layer alone (output of GCN)" in " ".join(gm.advice([audit]))
    scores = replace(audit.scores, test=replace(audit.scores.test, p_value=0.5))
    assert "alarm" not in " ".join(gm.advice([replace(audit, scores=scores)]))


def test_a_stated_range_is_never_narrower_than_the_interval(audit):
    values = [0.9, 0.95, 0.97, 0.99, 1.0]
    measure = described_measure("prediction_agreement", values, NO_CHANCE)
    text = verdict(audit, prediction_agreement=(values, NO_CHANCE))
    low, high = measure.interval.low, measure.interval.high
    assert f"{low:.1%} to {high:.1%} of the predictions stay" in text
