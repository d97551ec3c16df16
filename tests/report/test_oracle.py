"""The Bayes oracle in section 7: its figure lies between the oracle and a model that sees nothing."""

from __future__ import annotations

import math

from graph_metamers.metrics import Interval
from graph_metamers.report.labels import ModelLabel
from graph_metamers.report.oracle import ExcessRow, excess_figure


def row(layer, excess):
    return ExcessRow(ModelLabel("GCN", 0, False), layer, "90%", "10%", "20%", "text", excess)


def test_points_stand_where_the_numbers_are_and_what_is_not_defined_is_not_drawn():
    seen = Interval(0.5, 0.4, 0.7, 0.95, 10_000, "ratio")
    nothing = Interval(math.nan, math.nan, math.nan, 0.95, 0, "0 / 0")
    figure = excess_figure([row("act.0", seen), row("output", nothing)])
    (points,) = figure.data
    assert (points.x, points.y) == ((0.0,), (0.5,))
    assert math.isclose(points.error_y.array[0], 0.2)
    assert math.isclose(points.error_y.arrayminus[0], 0.1)
    heights = sorted(shape.y0 for shape in figure.layout.shapes)
    assert heights == [0.0, 1.0]
    assert figure.layout.yaxis.range[1] >= 1


def test_the_axis_reaches_every_interval():
    seen = Interval(1.5, 1.2, 2.0, 0.95, 10_000, "ratio")
    assert excess_figure([row("act.0", seen)]).layout.yaxis.range[1] > 2.0
