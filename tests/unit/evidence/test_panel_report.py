from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graph_metamers.evidence.measures import interval_over_starts
from graph_metamers.evidence.panel_report import CHANCE, FIGURES, REFERENCE, PanelReport, Sight
from graph_metamers.metrics import nested_bootstrap_interval

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
JUDGED = torch.tensor([0, 1, 3, 4, 6])


def sight(name, kind, reference, found, chance):
    """An observer from lists of classes; every start has a row."""
    return Sight(
        name, kind, {}, torch.tensor(reference), torch.tensor(chance), {"act.0": torch.tensor(found)}
    )


WRONG = [9] * 8
RIGHT = LABELS.tolist()
ONE = [0, *WRONG[1:]]
HALF = [0, 9, 9, 1, 9, 9, 2, 9]  # of the judged nodes, 0, 3 and 6 are right


def report(*sights):
    itself = sight("the model itself", "itself", RIGHT, [RIGHT] * 3, [WRONG] * 3)
    return PanelReport((itself, *sights), LABELS, JUDGED, ("act.0",))


def test_figures_are_counted_on_the_judged_nodes_alone():
    found = report(sight("it", "features", HALF, [HALF, RIGHT, WRONG], [WRONG] * 3))
    who = found.of_kind("features")
    assert found.table("accuracy", who, REFERENCE).tolist() == [[3 / 5]]
    assert found.table("accuracy", who, "act.0").tolist() == [[3 / 5, 1, 0]]
    assert found.table("as_the_model", who, "act.0").tolist() == [[3 / 5, 1, 0]]
    assert found.table("as_before", who, "act.0").tolist() == [[1, 3 / 5, 2 / 5]]
    assert found.table("accuracy", who, CHANCE).tolist() == [[0, 0, 0]]
    assert found.majority == 2 / 5


@given(st.data())
def test_figures_are_those_of_counting_by_hand(data):
    n, starts = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 3))

    def classes(*shape):
        size = int(np.prod(shape))
        drawn = data.draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size))
        return torch.tensor(drawn).reshape(shape)

    labels, generator = classes(n).clamp(min=0), classes(n)
    own, chance, found = classes(n), classes(starts, n), classes(starts, n)
    judged = torch.tensor(data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True)))
    sights = (
        Sight("the model itself", "itself", {}, generator, chance, {"a": found}),
        Sight("it", "edges", {}, own, chance, {"a": found}),
    )
    told = PanelReport(sights, labels, judged, ("a",))
    right = {"accuracy": labels, "as_the_model": generator, "as_before": own}
    for figure in FIGURES:
        for where, seen in ((REFERENCE, own[None]), (CHANCE, chance), ("a", found)):
            expected = [
                sum(int(row[node]) == int(right[figure][node]) for node in judged.tolist()) / len(judged)
                for row in seen
            ]
            assert told.table(figure, sights[1:], where).tolist() == [pytest.approx(expected)]
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    place = shuffled.argsort()
    moved = PanelReport(
        tuple(
            Sight(
                s.name,
                s.kind,
                {},
                s.reference[shuffled],
                s.chance[:, shuffled],
                {"a": s.found["a"][:, shuffled]},
            )
            for s in sights
        ),
        labels[shuffled],
        place[judged],
        ("a",),
    )
    assert moved.majority == told.majority
    for figure in FIGURES:
        ours, theirs = (each.table(figure, each.sights, "a") for each in (moved, told))
        assert np.array_equal(ours, theirs)


def test_the_interval_of_one_observer_is_over_starts_and_of_several_over_both():
    first = sight("a", "twin", RIGHT, [HALF, RIGHT, WRONG], [WRONG] * 3)
    second = sight("b", "twin", RIGHT, [RIGHT, RIGHT, HALF], [WRONG] * 3)
    found = report(first, second)
    assert found.interval("accuracy", "a", "act.0") == interval_over_starts([0.6, 1.0, 0.0], (0.0, 1.0))
    table = [[0.6, 1.0, 0.0], [1.0, 1.0, 0.6]]
    both = nested_bootstrap_interval(table, shared_columns=True)
    told = found.interval("accuracy", "twin", "act.0")
    over_starts = interval_over_starts(
        [0.8, 1.0, 0.3], (0.0, 1.0)
    )  # Student's, since there are few of either
    over_twins = interval_over_starts([1.6 / 3, 2.6 / 3], (0.0, 1.0))
    assert told.estimate == pytest.approx(both.estimate)
    assert told.low == pytest.approx(min(both.low, over_starts.low, over_twins.low))
    assert told.high == pytest.approx(max(both.high, over_starts.high, over_twins.high))
    assert math.isnan(found.interval("accuracy", "a", REFERENCE).low)


@pytest.mark.parametrize(
    ("found", "chance", "expected"),
    [
        ([RIGHT] * 3, [WRONG] * 3, "untouched"),
        ([HALF] * 3, [WRONG] * 3, "fewer"),
        ([HALF] * 3, [HALF] * 3, "as by chance"),
        ([WRONG] * 3, [HALF] * 3, "as by chance"),
        ([RIGHT, HALF, RIGHT], [WRONG] * 3, "not fewer"),  # Student's interval over 0, 0.4, 0 holds 0
        ([ONE, WRONG, ONE], [WRONG] * 3, "as by chance"),  # over 0.2, 0, 0.2 above chance too
        ([HALF], [WRONG], "no interval"),
        ([RIGHT], [WRONG], "untouched"),
    ],
)
def test_what_happens_to_recognition_is_said_by_the_intervals(found, chance, expected):
    told = report(sight("it", "features", RIGHT, found, chance))
    assert told.change("it", "act.0") == told.change("features", "act.0") == expected


def test_more_right_than_on_the_reference_is_not_fewer():
    told = report(sight("it", "features", HALF, [RIGHT] * 3, [WRONG] * 3))
    assert told.change("it", "act.0") == "not fewer"


def test_answers_that_change_on_nodes_that_are_not_judged_are_no_untouched_ones():
    elsewhere = [0, 0, 9, 1, 1, 9, 2, 9]
    told = report(sight("it", "features", RIGHT, [elsewhere] * 3, [WRONG] * 3))
    assert told.change("it", "act.0") == "not fewer"


def test_rows_have_every_figure_with_its_ceiling_and_its_floor():
    twins = [sight(name, "twin", RIGHT, [HALF] * 3, [WRONG] * 3) for name in "ab"]
    told = report(*twins, sight("line", "features", HALF, [HALF] * 3, [WRONG] * 3))
    rows = told.rows()
    assert [row["observer"] for row in rows] == ["the model itself", "a", "b", "line"]
    for row in (*rows, *told.kind_rows()):
        for figure in FIGURES:
            for part in ("", "_reference", "_chance"):
                assert {f"{figure}{part}{end}" for end in ("", "_low", "_high")} <= row.keys()
        assert row["num_judged"] == 5
        assert row["as_before_reference"] == 1
    assert [(row["kind"], row["num_observers"]) for row in told.kind_rows()] == [
        ("itself", 1), ("twin", 2), ("features", 1),
    ]  # fmt: skip
    assert rows[1]["accuracy"] == pytest.approx(0.6)
    assert "60.0% on what was found for act.0" in repr(told)
