"""What the page shows where edges vary: the front, the table of graphs, and drawings of neighbourhoods."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace

import networkx as nx
import pytest
import torch
from torch_geometric.utils import homophily

import graph_metamers as gm
from graph_metamers.auditing.floors import rounded_down
from graph_metamers.auditing.layer_results import StructureFloor
from graph_metamers.report import expected_sections
from graph_metamers.report.front_figures import agreement_figure, front_curve, loss_figure
from graph_metamers.report.gates import evidence_section
from graph_metamers.report.glossary import GLOSSARY, glossary
from graph_metamers.report.labels import ModelLabel, model_labels, title
from graph_metamers.report.layers import layers_section
from graph_metamers.report.neighbourhoods import (
    MOST_DRAWINGS,
    MOST_NEIGHBOURS,
    RADIUS,
    chosen_nodes,
    drawings,
    neighbourhood,
)
from graph_metamers.report.numbers import fraction
from graph_metamers.report.sections import build_sections
from graph_metamers.report.structure import COLUMNS, graph_table, structure_section
from graph_metamers.report.theme import recolouring
from graph_metamers.report.writing import render

MODEL = ModelLabel("GCN", 0, at_chance=False)
OVERCLAIMS = ("cannot see", "does not exist", "impossible", "never sees", "blind to")


@pytest.fixture(scope="module")
def curve(edge_audit):
    return front_curve(MODEL, edge_audit.layers[0])


def body(audits):
    """The text of the page, without its scripts, styles and figures."""
    text = re.sub(r"<(script|style).*?</\1>", " ", render(audits), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def star(edge_audit, neighbours):
    """The audit's graph with one hub, node 0, before; after, the hub has other neighbours."""
    nodes = 2 * neighbours + 1
    old, new = torch.arange(1, neighbours + 1), torch.arange(neighbours + 1, nodes)
    graph, found = (edge_audit.graph.clone() for _ in range(2))
    for one, others in ((graph, old), (found, new)):
        spokes = torch.stack([torch.zeros_like(others), others])
        one.x, one.edge_index = torch.ones(nodes, 1), torch.cat([spokes, spokes.flip(0)], dim=1)
    labels = torch.zeros(nodes, dtype=torch.long)
    layer = edge_audit.layers[1]
    starts = (replace(layer.starts[0], predictions=labels), *layer.starts[1:])
    layer = replace(layer, metamer=replace(layer.metamer, graph=found), starts=starts)
    return replace(edge_audit, graph=graph, labels=labels, predictions=labels, layers=(layer,)), layer


def test_sections_are_there_exactly_when_expected(edge_audit, word_audit, image_audits):
    for audits in ([edge_audit], [edge_audit, word_audit], [*image_audits, edge_audit]):
        sections = build_sections(audits)
        assert tuple(section.id for section in sections) == expected_sections(audits)
        assert {section.id: section.number for section in sections}["structure"] == 8
    assert "structure" not in expected_sections([word_audit])
    assert structure_section([word_audit]) is None
    assert "structure" not in expected_sections([replace(edge_audit, layers=())])


def test_the_curve_is_the_front_of_the_audit(edge_audit, curve):
    layer = edge_audit.layers[0]
    assert curve.points == layer.front.points
    assert len(curve.found) == 3
    assert [found.overlap for found in curve.found] == list(layer.measures["edge_overlap"].values)
    assert curve.random_loss == layer.front.random_loss
    assert curve.reach == layer.front.least_overlap(1e-3)
    assert abs(curve.middle.overlap - 0.5) == min(abs(point.overlap - 0.5) for point in curve.points)
    with pytest.raises(gm.ParameterError, match="in which edges vary"):
        front_curve(MODEL, replace(layer, front=None))


def test_the_front_is_drawn_beside_chance_and_what_was_found(curve):
    figure = loss_figure(curve)
    chance, front, found = figure.data
    assert [entry.line.dash for entry in figure.data] == ["dash", None, None]
    assert list(front.x) == [point.overlap for point in curve.points]
    for drawn, point in zip(front.y, curve.points, strict=True):
        assert drawn == pytest.approx(point.activation_loss, abs=10 ** figure.layout.yaxis.range[0] * 2)
    assert list(chance.x) == [point.overlap for point in curve.random]
    assert len(found.x) == 3
    assert min(front.y) > 0  # the axis has powers of ten: what is 0 stands on its edge
    assert math.log10(min(front.y)) >= figure.layout.yaxis.range[0]
    assert figure.layout.xaxis.range[0] > figure.layout.xaxis.range[1]
    assert any(shape.line.dash == "dot" and shape.y0 == 1e-3 for shape in figure.layout.shapes)
    assert list(agreement_figure(curve).data[1].y) == [point.agreement for point in curve.points]


def test_every_colour_has_a_dark_partner_and_axes_have_titles(curve):
    for figure in (loss_figure(curve), agreement_figure(curve)):
        assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", figure.to_json())) <= set(recolouring())
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text


def test_the_table_has_the_reference_what_was_found_and_chance(edge_audit):
    table = graph_table(MODEL, edge_audit)
    names = [name for name, _ in COLUMNS]
    assert [(row.what, row.layer) for row in table.rows] == [
        ("the reference", ""),
        ("best attempts", "act.0"),
        ("random graphs with the same degrees", "act.0"),
        ("best attempts", "output"),
        ("random graphs with the same degrees", "output"),
    ]
    reference = dict(zip(names, (value.text for value in table.rows[0].values), strict=True))
    graph = edge_audit.graph
    assert reference["homophily"] == fraction(float(homophily(graph.edge_index, graph.y)))
    drawn = nx.Graph(list(map(tuple, graph.edge_index.T.tolist())))
    assert reference["clustering"] == fraction(nx.average_clustering(drawn))
    found = dict(zip(names, table.rows[1].values, strict=True))
    assert found["edge_overlap"].text == fraction(edge_audit.layers[0].measures["edge_overlap"].value)
    assert found["kept_degrees"].text == "100%"
    assert found["homophily"].interval


def test_drawn_nodes_are_chosen_by_the_rule(edge_audit):
    layer = edge_audit.layers[1]
    nodes, rule = chosen_nodes(edge_audit, layer)
    degrees = torch.bincount(edge_audit.graph.edge_index[1])
    assert 0 < len(nodes) == len(set(nodes)) <= MOST_DRAWINGS
    assert "3 to 12 neighbours" in rule
    for node in nodes:
        assert 3 <= degrees[node] <= 12
        assert layer.predictions[node] == edge_audit.predictions[node]


def test_nodes_that_keep_no_prediction_are_drawn_where_there_are_no_others(edge_audit):
    layer = edge_audit.layers[1]
    other = (edge_audit.predictions + 1) % 4
    moved = replace(layer, starts=(replace(layer.starts[0], predictions=other), *layer.starts[1:]))
    nodes, rule = chosen_nodes(edge_audit, moved)
    assert nodes
    assert "keep" not in rule


def test_a_neighbourhood_is_that_of_both_graphs(edge_audit):
    layer = edge_audit.layers[1]
    before, after = (
        nx.Graph(list(map(tuple, g.edge_index.T.tolist()))) for g in (edge_audit.graph, layer.metamer.graph)
    )
    for node in chosen_nodes(edge_audit, layer)[0]:
        drawn = neighbourhood(edge_audit, layer, node)
        old, new = set(before[node]), set(after[node])
        assert (drawn.kept, drawn.removed, drawn.added) == (
            len(old & new), len(old - new), len(new - old),
        )  # fmt: skip
        assert drawn.more == 0
        changes = {one.node: one.change for one in drawn.nodes}
        expected = {other: "kept" if other in old & new else "removed" for other in old}
        assert changes == {**expected, **dict.fromkeys(new - old, "added"), node: None}
        labels = edge_audit.labels
        assert drawn.alike_before == sum(int(labels[other] == labels[node]) for other in old)
        places = {(one.x, one.y): one.node for one in drawn.nodes}
        assert len(places) == len(drawn.nodes)
        for graph, side in ((before, ("kept", "removed")), (after, ("kept", "added"))):
            shown = {
                frozenset((places[e.x1, e.y1], places[e.x2, e.y2])) for e in drawn.edges if e.is_shown(side)
            }
            inside = graph.subgraph({node, *graph[node]})
            assert shown == {frozenset(edge) for edge in inside.edges}


@pytest.mark.parametrize("neighbours", [1, 2, 12, 30, 200])
def test_neighbourhoods_of_any_size_are_legible(edge_audit, neighbours):
    audit, layer = star(edge_audit, neighbours)
    drawn = neighbourhood(audit, layer, 0)
    assert (drawn.removed, drawn.added) == (neighbours, neighbours)
    assert len(drawn.nodes) - 1 + drawn.more == 2 * neighbours
    assert len(drawn.nodes) - 1 <= MOST_NEIGHBOURS
    assert all(math.hypot(one.x, one.y) <= RADIUS + 1e-9 for one in drawn.nodes)
    # No two circles of a side touch: their radii are 11, and 15 in the middle.
    for side in (("kept", "removed", None), ("kept", "added", None)):
        shown = [one for one in drawn.nodes if one.change in side]
        gaps = [math.hypot(a.x - b.x, a.y - b.y) for a in shown for b in shown if a is not b]
        assert min(gaps) > 22
    assert drawings(MODEL, audit).neighbourhoods


def test_a_graph_that_did_not_change_has_no_drawings_and_says_so(edge_audit):
    layers = tuple(
        replace(layer, metamer=replace(layer.metamer, graph=edge_audit.graph)) for layer in edge_audit.layers
    )
    same = replace(edge_audit, layers=layers)
    assert drawings(MODEL, same).neighbourhoods == ()
    assert "No node's neighbours changed." in body([same])


def test_the_page_of_edges_says_nothing_about_features_that_vary(edge_audit):
    text = body([edge_audit])
    for words in ("unrelated features", "visible distance", "null space", "Null-space", "lost", "Gained"):
        assert words not in text
    assert "random graphs, same degrees" in text
    assert "Here the edges were changed" in text
    assert not [claim for claim in OVERCLAIMS if claim in text.lower()]
    assert "not measured" not in text.replace("is not measured here", "")


def test_a_page_of_both_tells_them_apart(edge_audit, word_audit):
    text = body([word_audit, edge_audit])
    assert "either the features or the edges were changed" in text
    assert "unrelated features or random graphs, same degrees" in text
    assert "not for edges" in text
    section = layers_section([word_audit, edge_audit])
    assert [table.distances for table in section.tables] == [
        ("Visible distance", "Null-space distance"),
        ("Edge overlap", "Input distance"),
    ]
    assert section.figure is not None
    assert layers_section([edge_audit]).figure is None
    assert section.comparisons == ()


def test_gates_have_no_column_of_what_edges_do_not_have(edge_audit, word_audit):
    columns = evidence_section([edge_audit]).gate_columns
    assert "All three" in columns
    assert not [column for column in columns if "kind" in column]
    both = evidence_section([edge_audit, word_audit])
    assert both.gates[0].cells[-1] is None
    assert both.gates[-1].cells[-1] is not None


def test_the_glossary_has_the_words_that_are_used(edge_audit, word_audit):
    assert glossary([word_audit]) == GLOSSARY
    terms = dict(glossary([edge_audit]))
    assert "front" in terms
    assert "null-space distance" not in terms
    assert "other edges" in terms["metamer"]
    both = dict(glossary([edge_audit, word_audit]))
    assert {"front", "null-space distance"} <= set(both)


def test_titles_know_metamers_of_the_front(edge_audit):
    def with_tolerance(tolerance):
        layers = tuple(
            replace(layer, metamer=replace(layer.metamer, tolerance=tolerance)) for layer in edge_audit.layers
        )
        return title([replace(edge_audit, layers=layers)])

    assert with_tolerance(100.0) == "What GCN matches on karate"
    assert with_tolerance(0.0).startswith("No metamer of GCN was found on karate within")


def test_hostile_names_are_no_markup(edge_audit):
    script = "<script>alert(1)</script>"
    names = tuple(f"<b>{script}{i}</b>" for i in range(edge_audit.dataset.num_classes))
    card = replace(edge_audit.dataset, name=f"karate {script}", class_names=names)
    first, *others = edge_audit.layers
    layers = (replace(first, name=f"<b>{script}"), *others)
    elsewhere = {f"<b>{script}": first.elsewhere["act.0"], "output": first.elsewhere["output"]}
    layers = tuple(replace(layer, elsewhere=elsewhere) for layer in layers)
    audit = replace(edge_audit, dataset=card, layers=layers, model_name=f"<i>{script}")
    text = render([audit])
    assert "<script>alert" not in text
    assert "<b>" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    figures = re.findall(r'data-plot="plot-front[^>]*>(.*?)</script>', text, flags=re.DOTALL)
    assert len(figures) == 4
    for figure in figures:
        assert not re.search(r"<(?!br>|sup>|/sup>)", json.dumps(json.loads(figure)))
    assert len(model_labels([audit])) == 1


def with_floor(edge_audit, floor):
    """The audit with what is proved of its first layer, and nothing said of the other."""
    first, *others = edge_audit.layers
    layers = (replace(first, floor=floor), *(replace(layer, floor=None) for layer in others))
    return replace(edge_audit, layers=layers)


def least_loss(layer):
    return min(start.activation_loss for start in layer.starts)


def test_a_bound_is_told_beside_what_was_found(edge_audit):
    least = least_loss(edge_audit.layers[0])
    audit = with_floor(edge_audit, StructureFloor(least / 4, 0.3))
    (proof,) = structure_section([audit]).proofs
    assert proof.startswith("GCN at act.0: none below ")
    assert "4.0 times as much" in proof
    assert "30% of the layer's energy" in proof
    (said,) = [sentence for sentence in gm.verdict(audit) if sentence.startswith("Proved at")]
    assert f"has a loss below {rounded_down(least / 4):.2g}; the lowest that was found is {least:.2g}" in said
    tolerance = audit.layers[0].metamer.tolerance
    assert (f"so {tolerance:g} cannot be met there" in said) == (least / 4 > tolerance)
    assert proof in html.unescape(body([audit]))


@pytest.mark.parametrize("above", [True, False])
def test_that_a_tolerance_cannot_be_met_is_said_only_where_the_bound_is_above_it(edge_audit, above):
    tolerance = edge_audit.layers[0].metamer.tolerance
    audit = with_floor(edge_audit, StructureFloor(tolerance * (2 if above else 0.5), 0.0))
    assert any("cannot be met there without edges" in said for said in gm.verdict(audit)) == above


@pytest.mark.parametrize(
    ("floor", "says"),
    [
        (StructureFloor(0.0, 1.0), "nothing is proved; a loss of 0 may be possible."),
        (StructureFloor(0.0, 1.0, "its messages differ"), "nothing is proved (its messages differ)."),
        (
            StructureFloor(math.inf, 0.5, "There is no graph: node 1 has 9 neighbours."),
            "There is no graph: node 1 has 9 neighbours. What was found keeps some.",
        ),
    ],
)
def test_where_nothing_is_proved_it_is_said_and_the_verdict_is_silent(edge_audit, floor, says):
    audit = with_floor(edge_audit, floor)
    assert structure_section([audit]).proofs == (f"GCN at act.0: {says}",)
    assert says in html.unescape(body([audit]))
    assert not any("Proved" in sentence for sentence in gm.verdict(audit))


def test_without_floors_nothing_is_said_of_proofs(edge_audit):
    audit = with_floor(edge_audit, None)
    assert structure_section([audit]).proofs == ()
    assert "What is certainly" not in body([audit])
