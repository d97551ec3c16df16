from __future__ import annotations

import json

import pytest
import torch

import graph_metamers as gm
from graph_metamers.errors import FileFormatError, ParameterError

MINE = gm.PanelMember("always 0", "features", lambda graph: torch.zeros_like(graph.y))


def short(model, dataset, **options):
    return gm.audit(model, dataset, num_starts=2, budget=gm.Budget(steps=20), layers=["output"], **options)


@pytest.fixture(scope="module")
def watched(karate, karate_model):
    return short(karate_model, karate, observers=gm.untrained_panel(karate))


def test_nobody_watches_unless_asked(karate, karate_model):
    assert short(karate_model, karate).observers is None


def test_the_model_itself_is_the_first_observer(watched):
    itself = watched.observers.sights[0]
    assert (itself.name, itself.kind) == ("the model itself", "itself")
    assert torch.equal(itself.reference, watched.predictions)
    starts = watched.layers[0].starts
    assert torch.equal(itself.found["output"], torch.stack([start.predictions for start in starts]))
    chances = (itself.chance == itself.reference).double().mean(dim=1).tolist()
    assert chances == pytest.approx(watched.layers[0].measures["prediction_agreement"].chances)


def test_observers_are_judged_on_the_test_nodes(watched, karate):
    told = watched.observers
    assert torch.equal(told.judged, karate.split.test)
    assert told.interval("accuracy", "itself", "reference").estimate == pytest.approx(
        watched.scores.test.accuracy
    )
    assert told.majority == pytest.approx(watched.scores.test.chance)


def test_who_sees_edges_only_is_not_touched_by_features(watched):
    assert watched.observers.change("edges", "output") == "untouched"


def test_who_sees_features_only_is_not_touched_by_edges(karate, karate_model):
    audit = gm.audit(
        karate_model,
        karate,
        vary="structure",
        layers=["output"],
        num_starts=2,
        solver=gm.Rewire(proposals=50),
        budget=gm.Budget(steps=5),
        observers=gm.untrained_panel(karate),
    )
    assert audit.observers.change("features", "output") == "untouched"
    assert audit.observers.change("edges", "output") != "untouched"


def test_a_whole_panel_is_trained_and_kept(karate, karate_model, tmp_path):
    said = []
    first = short(
        karate_model,
        karate,
        observers="panel",
        cache=tmp_path,
        on_observer=lambda *place: said.append(place),
    )
    assert said[-1] == ("logistic regression", 8, 8)
    kinds = [sight.kind for sight in first.observers.sights]
    assert kinds == ["itself", "twin", "twin", *["architecture"] * 5, "features", "edges"]
    second = short(karate_model, karate, observers="panel", cache=tmp_path)
    for ours, theirs in zip(first.observers.sights, second.observers.sights, strict=True):
        assert torch.equal(ours.found["output"], theirs.found["output"])
        assert theirs.facts.get("origin") in ("cache", None)


def test_observers_of_ones_own(karate, karate_model):
    for own in ([MINE], (MINE,), gm.Panel((MINE,))):
        told = short(karate_model, karate, observers=own).observers
        assert [sight.name for sight in told.sights] == ["the model itself", "always 0"]
    share = float((karate.graph.y[karate.split.test] == 0).double().mean())
    assert told.interval("accuracy", "always 0", "output").estimate == pytest.approx(share)


@pytest.mark.parametrize(
    ("observers", "message"),
    [
        (7, "'observers' parameter must be 'panel', 'none', a Panel"),
        ("panels", "Did you mean 'panel'"),
        (["panel"], "'observers' parameter must be a Panel, or PanelMembers"),
        ([gm.PanelMember("odd", "edges", lambda graph: graph.x)], "returns the class of every node"),
        ([gm.PanelMember("the model itself", "edges", lambda graph: graph.y)], "different names"),
    ],
)
def test_what_is_no_panel_is_refused_before_the_search(karate, karate_model, observers, message):
    searched = []
    with pytest.raises(ParameterError, match=message):
        short(karate_model, karate, observers=observers, on_search=lambda *place: searched.append(place))
    assert not searched


def test_observers_are_saved_and_loaded(watched, tmp_path):
    watched.save(tmp_path / "audit")
    loaded = gm.load_audit(tmp_path / "audit")
    ours, theirs = watched.observers, loaded.observers
    assert theirs.layers == ours.layers
    assert torch.equal(theirs.judged, ours.judged)
    for one, other in zip(theirs.sights, ours.sights, strict=True):
        assert (one.name, one.kind, dict(one.facts)) == (other.name, other.kind, dict(other.facts))
        assert torch.equal(one.reference, other.reference)
        assert torch.equal(one.chance, other.chance)
        assert torch.equal(one.found["output"], other.found["output"])
    assert repr(theirs) == repr(ours)


def test_an_audit_without_observers_has_no_file_of_them_and_loads(watched, karate, karate_model, tmp_path):
    short(karate_model, karate).save(tmp_path / "audit")
    assert not (tmp_path / "audit" / "observers.safetensors").exists()
    assert gm.load_audit(tmp_path / "audit").observers is None


def test_an_audit_from_before_there_were_observers_loads(watched, tmp_path):
    watched.save(tmp_path / "audit")
    place = tmp_path / "audit" / "audit.json"
    stored = json.loads(place.read_text())
    del stored["observers"]
    place.write_text(json.dumps(stored))
    assert gm.load_audit(tmp_path / "audit").observers is None


@pytest.mark.parametrize("damage", ["missing", "broken", "short"])
def test_damaged_observers_are_refused(watched, tmp_path, damage):
    watched.save(tmp_path / "audit")
    place = tmp_path / "audit" / "observers.safetensors"
    if damage == "missing":
        place.unlink()
    elif damage == "broken":
        place.write_bytes(place.read_bytes()[:-8])
    else:
        from safetensors.torch import load_file, save_file  # noqa: PLC0415

        tensors = load_file(place)
        tensors["observer_1.reference"] = tensors["observer_1.reference"][1:].clone()
        save_file(tensors, place)
    with pytest.raises(FileFormatError):
        gm.load_audit(tmp_path / "audit")


def test_model_and_graph_stay_as_they_were(karate, karate_model):
    weights = {name: value.clone() for name, value in karate_model.state_dict().items()}
    x, edges, state = karate.graph.x.clone(), karate.graph.edge_index.clone(), torch.get_rng_state()
    short(karate_model, karate, observers=gm.untrained_panel(karate, [karate_model]))
    assert all(torch.equal(value, weights[name]) for name, value in karate_model.state_dict().items())
    assert torch.equal(karate.graph.x, x)
    assert torch.equal(karate.graph.edge_index, edges)
    assert torch.equal(torch.get_rng_state(), state)
