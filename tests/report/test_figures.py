from __future__ import annotations

import json
import re

import pytest

from graph_metamers.report.curves import depth_points, layer_distribution, traces
from graph_metamers.report.figures import depth_figure, distribution_figure, trace_figure
from graph_metamers.report.labels import model_labels
from graph_metamers.report.theme import ALL_COLOURS, SERIES, SYMBOL_PATHS, SYMBOLS, recolouring, symbol


def figures_of(audits):
    pairs = list(zip(model_labels(audits), audits, strict=True))
    lines = [(label, depth_points(audit)) for label, audit in pairs]
    names = {layer.depth: layer.name for layer in audits[0].layers}
    return {
        "depth": depth_figure(lines, names, 0.1),
        "distribution": distribution_figure(layer_distribution(pairs[0][0], pairs[0][1].layers[0])),
        "trace": trace_figure(traces(pairs, 1)),
    }


@pytest.fixture(scope="module")
def figures(image_audits):
    return figures_of(image_audits)


@pytest.mark.parametrize("name", ["depth", "distribution", "trace"])
def test_every_colour_has_a_dark_partner(figures, name):
    used = set(re.findall(r"#[0-9a-fA-F]{3,8}\b", figures[name].to_json()))

    assert used
    assert used <= set(recolouring())


@pytest.mark.parametrize("name", ["depth", "distribution", "trace"])
def test_axes_have_titles_with_units_or_none(figures, name):
    layout = figures[name].layout

    assert layout.xaxis.title.text
    assert layout.yaxis.title.text


def test_chance_is_drawn_in_every_figure(figures):
    assert any(shape.y0 == 1.0 and shape.line.dash == "dash" for shape in figures["depth"].layout.shapes)
    for name, count in (("distribution", 1), ("trace", 2)):
        dashed = [entry for entry in figures[name].data if entry.line.dash == "dash"]
        assert len(dashed) == count
        assert all("unrelated" in entry.name for entry in dashed)


def test_the_null_is_drawn_beside_what_was_found(figures):
    dashes = {entry.name: entry.line.dash for entry in figures["distribution"].data}

    assert dashes == {
        "unrelated features": "dash",
        "random pairs of real nodes": "dot",
        "nearest real node": "dashdot",
        "found": "solid",
    }


def test_intervals_are_drawn_where_there_are_any(figures, numeric_audit):
    bars = figures["depth"].data[0].error_y
    assert max(bars.array) > 0
    none = figures_of([numeric_audit])["depth"].data[0].error_y
    assert set(none.array) == set(none.arrayminus) == {0}


def test_models_differ_by_marker_besides_colour(figures):
    symbols = [entry.marker.symbol[0] for entry in figures["depth"].data]

    assert len(set(symbols)) == len(symbols)


def test_a_result_that_is_no_metamer_is_hollow(word_audit, image_audits):
    hollow = figures_of([word_audit])["depth"].data[0].marker.symbol
    full = figures_of(image_audits)["depth"].data[0].marker.symbol

    assert all(name.endswith("-open") for name in hollow)
    assert not any(name.endswith("-open") for name in full)


def test_a_model_at_chance_is_flagged_in_figures(chance_audit):
    figures = figures_of([chance_audit])
    assert all("(at chance)" in entry.name for name in ("depth", "trace") for entry in figures[name].data)


@pytest.mark.parametrize("name", ["depth", "distribution", "trace"])
def test_names_reach_plotly_escaped(hostile_audit, name):
    texts = json.dumps(json.loads(figures_of([hostile_audit])[name].to_json()))

    assert ("&lt;b&gt;" in texts) == (name != "distribution")  # no name of the user's is in that one
    assert not re.search(r"<(?!br>|sup>|/sup>)", texts)


def test_theme_is_one_to_one():
    assert len({colour.light for colour in ALL_COLOURS}) == len(ALL_COLOURS)
    assert len({colour.dark for colour in ALL_COLOURS}) == len(ALL_COLOURS)
    assert len(SYMBOLS) == len(SYMBOL_PATHS) == len(SERIES)


def test_repeated_colours_have_other_markers():
    count = len(SERIES)

    assert all(symbol(index) != symbol(index + count) for index in range(count))
