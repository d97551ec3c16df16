"""Section 6: every control in the table and in the figure, beside what was found and chance."""

from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace

import pytest

import graph_metamers as gm
from graph_metamers.evidence.controls import BASELINE_NAMES
from graph_metamers.report import expected_sections
from graph_metamers.report.control_figures import LINES, SHORT, SYMBOLS, control_figure, label_heights
from graph_metamers.report.controls import control_points, control_table, controls_section
from graph_metamers.report.labels import ModelLabel
from graph_metamers.report.sections import build_sections
from graph_metamers.report.theme import recolouring
from graph_metamers.report.writing import render

pytestmark = pytest.mark.slow  # audits of the digits

MODEL = ModelLabel("GCN", 0, at_chance=False)


def test_every_control_has_a_short_name_and_a_symbol_of_its_own():
    assert set(SHORT) == set(BASELINE_NAMES)
    assert len(set(SYMBOLS)) == len(SYMBOLS) >= len(BASELINE_NAMES)


def test_the_section_is_there_where_there_are_controls(image_audits, edge_audit, both_audit):
    for audits in (image_audits, [edge_audit], [both_audit], [*image_audits, edge_audit, both_audit]):
        assert "controls" in expected_sections(audits)
        numbers = {section.id: section.number for section in build_sections(audits)}
        assert numbers["controls"] == 6
    without = replace(edge_audit, layers=tuple(replace(layer, baselines=()) for layer in edge_audit.layers))
    assert "controls" not in expected_sections([without])
    assert controls_section([without]) is None
    assert controls_section([]) is None


def test_the_table_goes_from_what_was_found_to_chance(image_audits):
    layer = image_audits[0].layers[0]
    table = control_table(MODEL, layer)
    made = [baseline for baseline in layer.baselines if not baseline.why_not]
    assert [row.kind for row in table.rows] == ["found", *["control"] * len(made), "chance"]
    assert table.columns[:2] == ("Activation loss", "Input distance")
    assert table.rows[0].label == "metamers"
    assert [row.label for row in table.rows[1:-1]] == [baseline.label for baseline in made]
    assert all(entry.interval for entry in table.rows[0].entries)
    propagation = table.rows[-2].entries
    assert [entry is not None for entry in propagation] == [False, False, False, True, False]
    assert table.left_out == ()


def test_what_was_left_out_is_said_with_its_reason(both_audit):
    text = re.sub(r"<(script|style).*?</\1>", " ", render([both_audit]), flags=re.DOTALL)
    text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    for baseline in both_audit.layers[0].baselines:
        if baseline.why_not:
            assert f"{baseline.label}; {baseline.why_not}" in text


def test_every_point_is_drawn_with_its_bars_and_its_name(image_audits):
    layer = image_audits[0].layers[0]
    points = control_points(layer)
    figure = control_figure(MODEL, points, 1e-3)
    names = [trace for trace in figure.data if trace.mode == "lines+text"]
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(names) == len(marks) == len(points)
    assert [trace.text[1] for trace in names] == [point.text for point in points]
    assert "label propagation" not in [point.text for point in points]  # it has no activations
    for mark, point in zip(marks, points, strict=True):
        assert mark.x[0] == point.distance.estimate
        if point.loss.estimate > 10 ** figure.layout.yaxis.range[0]:
            assert mark.y[0] == pytest.approx(point.loss.estimate)
        if not math.isnan(point.loss.low):
            assert mark.error_y.array[0] == pytest.approx(point.loss.high - point.loss.estimate)
            assert mark.error_y.arrayminus[0] == pytest.approx(point.loss.estimate - point.loss.low)
    assert len({mark.marker.symbol for mark in marks}) == len(marks)
    assert any(shape.line.dash == "dot" and shape.y0 == 1e-3 for shape in figure.layout.shapes)
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", figure.to_json())) <= set(recolouring())
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.type == "log"


def test_a_loss_of_zero_stands_on_the_lower_edge(image_audits):
    points = control_points(image_audits[0].layers[0])
    nothing = replace(points[1].loss, estimate=0.0, low=0.0, high=0.0)
    drawn = control_figure(MODEL, (points[0], replace(points[1], loss=nothing)), 1e-3)
    marks = [trace for trace in drawn.data if trace.mode == "markers"]
    assert math.log10(marks[1].y[0]) == pytest.approx(drawn.layout.yaxis.range[0])


@pytest.mark.parametrize("heights", [[0.1] * 9, [0.0, 1.0, 0.99, 0.5, 0.51], [1.0] * 12, [0.3]])
def test_no_name_hides_another(heights):
    placed = label_heights(heights, 0.0, 1.0)
    assert all(0 <= height <= 1 for height in placed)
    ordered = sorted(placed)
    assert all(b - a >= 1 / LINES - 1e-6 for a, b in itertools.pairwise(ordered))
    order = sorted(range(len(heights)), key=lambda place: (heights[place], place))
    assert [placed[place] for place in order] == ordered


def test_nothing_hostile_gets_into_the_figures(hostile_audit):
    for figure in controls_section([hostile_audit]).figures:
        assert "<" not in figure.data
        assert not re.search(r"<(?!br>|sup>|/sup>)", json.dumps(json.loads(figure.data)))


def test_a_page_of_both_shows_words_and_neighbourhoods(both_audit, tmp_path):
    path = gm.write_report([both_audit], tmp_path / "report.html")
    text = re.sub(r"<(script|style).*?</\1>", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    assert "other features and other edges" in text
    assert "Here features and edges were changed together" in text
    assert "neighbours replaced" in text
    assert "its features were changed too" in text
    assert "The edges were changed too" in text
    assert "The edges are kept" not in text
    assert "unrelated features on random graphs, same degrees" in text
    sections = {section.id: section.data for section in build_sections([both_audit])}
    assert tuple(sections) == expected_sections([both_audit])
    assert sections["pictures"].words
    assert sections["pictures"].drawings
    assert sections["structure"].losses == ()
    assert [table.distances for table in sections["layers"].tables] == [("Visible distance", "Edge overlap")]


def test_a_page_of_all_three_tells_them_apart(word_audit, edge_audit, both_audit):
    audits = [word_audit, edge_audit, both_audit]
    sections = {section.id: section.data for section in build_sections(audits)}
    assert len(sections["layers"].tables) == 3
    assert [words.edges for words in sections["pictures"].words] == [
        "The edges are kept.", "The edges were changed too: neighbourhoods are drawn on their own.",
    ]  # fmt: skip
    assert [drawn.features for drawn in sections["pictures"].drawings] == [False, True]
    assert len(sections["structure"].losses) == 2
    assert len(sections["structure"].tables) == 2
    text = render(audits)
    assert "features, edges, or both together were changed" in " ".join(text.split())
