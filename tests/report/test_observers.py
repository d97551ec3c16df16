from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest
import torch

import graph_metamers as gm
from graph_metamers.evidence.panel_members import KINDS
from graph_metamers.evidence.panel_report import PanelReport, Sight
from graph_metamers.report.labels import ModelLabel
from graph_metamers.report.numbers import fraction, percent
from graph_metamers.report.observer_figures import recognition_curves, recognition_figure
from graph_metamers.report.observers import (
    homophily_rows,
    observer_sentences,
    observer_table,
    observers_section,
)
from graph_metamers.report.sections import build_sections, expected_sections
from graph_metamers.report.theme import CHANCE, series_colour
from graph_metamers.report.writing import render

MODEL = ModelLabel("GCN", 0, at_chance=False)
OVERCLAIMS = ("cannot see", "does not exist", "impossible", "never sees", "blind to")


def seen_by(audit, share, generator):
    """Classes that are right on about this share of the nodes, [n]."""
    guess = torch.rand(len(audit.labels), generator=generator) < share
    return torch.where(guess, audit.labels, audit.labels + 1)


def watched_by_all(audit, judged):
    """The audit with observers of every class, more of some, who are right as often as is said here."""
    generator, starts = torch.Generator().manual_seed(0), len(audit.layers[0].starts)
    sights = []
    members = (("the model itself", "itself"), ("a", "twin"), ("b", "twin"), ("GIN", "architecture"),
               ("GAT", "architecture"), ("line", "features"), ("spread", "edges"))  # fmt: skip
    for name, kind in members:

        def rows(share):
            return torch.stack([seen_by(audit, share, generator) for _ in range(starts)])

        facts = {} if kind == "itself" else {"origin": "trained", "training_seconds": 1.5}
        found = {layer.name: rows(0.5) for layer in audit.layers}
        reference = seen_by(audit, 0.95, generator)
        reference[0] = audit.labels[0] + 1  # nobody is right on every node
        sights.append(Sight(name, kind, facts, reference, rows(0.1), found))
    layers = tuple(layer.name for layer in audit.layers)
    return replace(audit, observers=PanelReport(tuple(sights), audit.labels, judged, layers))


@pytest.fixture(scope="module")
def watched(edge_audit, karate):
    return watched_by_all(edge_audit, torch.arange(karate.num_nodes))


def test_the_section_is_there_where_somebody_watched(watched, edge_audit):
    assert observers_section([edge_audit]) is None
    assert "observers" not in expected_sections([edge_audit])
    audits = [edge_audit, watched]
    assert tuple(section.id for section in build_sections(audits)) == expected_sections(audits)
    (section,) = [section for section in build_sections(audits) if section.id == "observers"]
    assert (section.number, section.heading) == (7, "Does it matter?")
    assert section.data.oracle is None
    assert len(section.data.observers.figures) == len(section.data.observers.tables) == 1


def test_the_curves_are_the_panels_figures(watched):
    curves, told = recognition_curves(MODEL, watched), watched.observers
    assert [line.kind for line in curves.lines] == list(KINDS)
    assert [line.num_observers for line in curves.lines] == [1, 2, 2, 1, 1]
    for line in curves.lines:
        assert line.reference == told.interval("accuracy", line.kind, "reference")
        assert line.chance == told.interval("accuracy", line.kind, "chance")
        assert line.found == tuple(told.interval("accuracy", line.kind, layer) for layer in told.layers)
    right = (told.of_kind("features")[0].found["act.0"] == watched.labels).double().mean()
    assert curves.lines[3].found[0].estimate == pytest.approx(float(right))
    assert curves.majority == pytest.approx(float(watched.labels.bincount().max() / len(watched.labels)))


def test_an_audit_that_nobody_watched_has_no_curves(edge_audit):
    with pytest.raises(gm.ParameterError, match="one with observers"):
        recognition_curves(MODEL, edge_audit)


def test_the_figure_draws_ceiling_floor_and_chance(watched):
    curves = recognition_curves(MODEL, watched)
    figure = json.loads(recognition_figure(curves).to_json())
    lines, floors = figure["data"][::2], figure["data"][1::2]
    assert len(lines) == len(floors) == 5
    columns = 1 + len(watched.layers)
    for drawn, floor, line in zip(lines, floors, curves.lines, strict=True):
        assert drawn["y"] == [line.reference.estimate, *(found.estimate for found in line.found)]
        assert [round(x) for x in drawn["x"]] == list(range(columns))
        assert drawn["line"]["color"] == series_colour(KINDS.index(line.kind)).light
        assert floor["y"] == [line.chance.estimate]
        assert [round(x) for x in floor["x"]] == [columns]
        assert floor["marker"]["symbol"].endswith("-open")
    assert len({drawn["marker"]["symbol"] for drawn in lines}) == 5
    (dashed,) = figure["layout"]["shapes"]
    assert dashed["y0"] == dashed["y1"] == curves.majority
    assert dashed["line"]["color"] == CHANCE.light
    texts = figure["layout"]["xaxis"]["ticktext"]
    assert texts == ["the reference", *(f"found for<br>{layer.name}" for layer in watched.layers), "chance"]


def test_the_table_has_every_observer_and_classes_of_several_together(watched):
    table, told = observer_table(MODEL, watched.observers), watched.observers
    rows = [row for group in table.groups for row in group]
    assert [row.name for row in rows] == [
        "the model itself", "its twins, all 2", "a", "b", "other architectures, all 2", "GIN", "GAT", "line",
        "spread",
    ]  # fmt: skip
    assert [row.is_class for row in rows] == [False, True, False, False, True, False, False, False, False]
    assert len(table.columns) == len(watched.layers) + 2
    gin = rows[5].cells[1]
    layer = told.layers[0]
    assert gin.accuracy.value == percent(told.interval("accuracy", "GIN", layer).estimate)
    assert gin.as_the_model.value == percent(told.interval("as_the_model", "GIN", layer).estimate)
    assert gin.as_before.value == percent(told.interval("as_before", "GIN", layer).estimate)
    assert all(row.cells[0].as_before.value == "100%" for row in rows)


def test_sentences_follow_the_rule(watched):
    told = watched.observers
    (*_, line, _) = observer_sentences(watched)
    layer = watched.layers[-1].name
    assert told.change("features", layer) == "fewer"
    assert line.startswith("Who sees features only is right on ")
    assert "fewer than on the reference" in line
    assert "random graphs, same degrees" in line
    same = [
        replace(sight, found=dict.fromkeys(told.layers, sight.reference.expand(3, -1)))
        for sight in told.sights
    ]
    untouched = replace(watched, observers=replace(told, sights=tuple(same)))
    assert all("what it reads was not changed" in said for said in observer_sentences(untouched))
    lost = [replace(sight, found=dict.fromkeys(told.layers, sight.chance)) for sight in told.sights]
    by_chance = observer_sentences(replace(watched, observers=replace(told, sights=tuple(lost))))
    assert all("not shown to be more than" in said for said in by_chance)
    kept = [
        replace(
            sight, found=dict.fromkeys(told.layers, torch.stack([sight.reference] * 2 + [watched.labels]))
        )
        for sight in told.sights
    ]
    as_before = observer_sentences(replace(watched, observers=replace(told, sights=tuple(kept))))
    assert all("not shown to be fewer" in said for said in as_before)


def test_homophily_is_that_of_reference_found_and_random_graphs(watched, word_audit):
    rows = homophily_rows(watched)
    source, target = watched.labels[watched.graph.edge_index]
    assert rows[0].share.value == fraction(float((source == target).double().mean()))
    assert [row.layer for row in rows[1:-1]] == [layer.name for layer in watched.layers]
    measure = watched.layers[0].measures["homophily"]
    assert rows[1].share.value == fraction(measure.value)
    assert rows[-1].share.value == fraction(measure.chance)
    features = watched_by_all(word_audit, torch.arange(34))
    assert observers_section([features]).homophily == ()
    assert len(observers_section([features, watched]).homophily) == 1


def test_the_page_shows_it_and_does_not_over_claim(watched, word_audit):
    features = watched_by_all(word_audit, torch.tensor([1, 5, 7]))
    text = html.unescape(render([watched, features]))
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "34 or 3 test nodes" in body
    assert "6 observers trained in 9.0 s" in body
    assert "as the model" in body
    assert not [claim for claim in OVERCLAIMS if claim in body.lower()]
    assert body.count('id="plot-observers-') == 2


def test_hostile_observers_are_no_markup(watched):
    told = watched.observers
    script = "<script>alert(1)</script><b>x</b>"
    sights = tuple(replace(sight, name=f"{script}{place}") for place, sight in enumerate(told.sights))
    text = render([replace(watched, observers=replace(told, sights=sights))])
    assert "<script>alert" not in text
    assert "<b>" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_one_start_says_that_it_has_no_interval(numeric_audit):
    once = watched_by_all(numeric_audit, torch.arange(34))
    assert any("one start has no interval" in said for said in observer_sentences(once))
    assert observers_section([once]).tables[0].groups[0][0].cells[1].accuracy.interval == ""


def test_how_observers_were_trained_is_said_only_of_those_trained_here(watched):
    section = observers_section([watched])
    meanings = dict(section.kinds)
    assert "given the labels of all nodes" in " ".join(meanings.values())
    sights = watched.observers.sights
    brought = tuple(replace(sight, facts={}) if sight.kind == "features" else sight for sight in sights)
    own = replace(watched, observers=replace(watched.observers, sights=brought))
    section = observers_section([own])
    said = " ".join(dict(section.kinds).values())
    assert "who reads each node's own features alone" in said
    assert "given the labels" not in said
    assert "trained on the same labels" in said
