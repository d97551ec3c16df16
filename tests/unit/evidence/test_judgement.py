"""Borderline figures: what is called blindness, what is not, and what stays open."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from graph_metamers.evidence.judgement import MATERIAL, Hearing, judgement, notice
from graph_metamers.evidence.panel_members import KINDS
from graph_metamers.metrics import Interval


def interval(low, high):
    return Interval((low + high) / 2, low, high, 0.95, 10_000, "BCa")


NONE = Interval(0.9, math.nan, math.nan, 0.95, 0, "one value: no interval")
NOTHING, SOME, MUCH = interval(-0.01, 0.01), interval(0.02, 0.2), interval(0.2, 0.4)


def seen(**lost):
    """A model that matches and keeps its answers, and what others lose."""
    return Hearing(
        at_chance=False,
        is_matched=True,
        passing=interval(0.8, 0.9),
        passing_by_chance=interval(0.0, 0.1),
        lost={"itself": NOTHING, **lost},
    )


@pytest.mark.parametrize(
    ("lost", "answer"),
    [
        (interval(MATERIAL + 0.001, 0.3), "notices"),
        (interval(MATERIAL, 0.3), "undecided"),
        (interval(0.01, MATERIAL), "undecided"),
        (interval(0.001, MATERIAL - 0.001), "does not notice"),  # certain, and too little to mean anything
        (interval(-0.3, -0.2), "does not notice"),
        (NONE, "no interval"),
    ],
)
def test_noticing_needs_the_whole_interval_beyond_what_is_material(lost, answer):
    assert notice(lost) == answer


@pytest.mark.parametrize(
    ("hearing", "word"),
    [
        (seen(architecture=MUCH), "cannot see"),
        (seen(architecture=MUCH, twin=NOTHING, features=NOTHING, edges=NOTHING), "cannot see"),
        (seen(architecture=NOTHING, features=MUCH), "shared"),
        (seen(architecture=NOTHING, edges=MUCH, twin=SOME), "shared"),
        (seen(architecture=NOTHING, edges=MUCH, twin=MUCH), "open"),  # twins are other networks
        (seen(architecture=NOTHING, twin=NOTHING, features=NOTHING, edges=NOTHING), "nobody notices"),
        (seen(architecture=NOTHING, features=SOME), "open"),
        (seen(architecture=SOME, features=MUCH), "open"),
        (seen(architecture=NONE), "open"),
        (seen(features=MUCH, edges=MUCH), "open"),  # half a graph each: no other network was asked
        (replace(seen(), lost={}), "not asked"),
        (replace(seen(architecture=MUCH), at_chance=True), "not asked"),
        (replace(seen(architecture=MUCH), is_matched=False), "not asked"),
        (replace(seen(architecture=MUCH), passing=interval(0.5, 0.9)), "not asked"),
        (replace(seen(architecture=MUCH), passing=NONE), "not asked"),
        (replace(seen(architecture=MUCH), passing_by_chance=interval(0.1, 0.85)), "not asked"),
        (replace(seen(architecture=MUCH), lost={"itself": SOME, "architecture": MUCH}), "open"),
        (replace(seen(architecture=MUCH), lost={"itself": MUCH, "architecture": MUCH}), "open"),
        (replace(seen(), oracle_excess=MUCH), "cannot see"),
        (replace(seen(architecture=NOTHING), oracle_excess=MUCH), "cannot see"),
        (replace(seen(architecture=MUCH), oracle_excess=SOME), "open"),
        (replace(seen(architecture=MUCH), oracle_excess=NOTHING), "open"),  # the oracle knows better
        (replace(seen(architecture=NOTHING), oracle_excess=NOTHING), "nobody notices"),
        (replace(seen(architecture=NOTHING), oracle_excess=SOME), "open"),
        (replace(seen(), oracle_excess=Interval(math.nan, math.nan, math.nan, 0.95, 0, "0 / 0")), "open"),
    ],
)
def test_the_word_for_borderline_hearings(hearing, word):
    found = judgement(hearing)
    assert found.word == word
    assert bool(found.why) == (word in ("open", "not asked"))


def test_no_hearing_of_a_model_that_sees_is_called_blind():
    """Whatever others lose: without nodes that pass, or with answers lost, nothing is called blind."""
    for lost in itertools.product([NOTHING, SOME, MUCH, NONE], repeat=len(KINDS)):
        others = dict(zip(KINDS, lost, strict=True))
        kept = replace(seen(), lost=others, oracle_excess=MUCH)
        if others["itself"] is not NOTHING:
            assert judgement(kept).word == "open"
        for passing in (interval(0.0, 0.05), interval(0.3, 0.49), interval(0.4, 0.6), NONE):
            assert judgement(replace(kept, passing=passing)).word == "not asked"
