from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

import graph_metamers as gm
from graph_metamers.errors import ParameterError, UserError
from graph_metamers.reading.listing import default_layers
from graph_metamers.study import plan, study_config
from graph_metamers.study.planning import layer_names


def planned(study, **changes):
    return plan(study_config(study(**changes)))


def test_every_combination_is_there_once(study):
    found = planned(study, grid={"num_layers": [2, 3], "layer": "all", "search_seeds": [0, 1, 2]})
    assert len(found.models) == 2 * 2 * 2
    # Two layers of the shallow models (act.0, output), three of the deep ones.
    assert len(found.metamers) == (2 + 3) * 2 * 2 * 3
    assert len({run.run_id for run in found.runs}) == len(found.runs)
    assert [run.kind for run in found.runs] == ["model"] * 8 + ["metamer"] * 60
    assert {run.parent for run in found.metamers} == set(found.models)


@pytest.mark.parametrize("name", ["gcn", "sage", "gin", "gat", "cheb", "sgc"])
@pytest.mark.parametrize("num_layers", [1, 2, 4])
def test_layers_are_those_that_an_audit_reads(name, num_layers):
    dataset = gm.load_dataset("karate")
    model = gm.build_model(name, dataset, num_layers=num_layers)
    assert layer_names(model.config) == default_layers(gm.layers(model, dataset.graph))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("all", ["act.0", "act.1", "output"]),
        ("hidden", ["act.0", "act.1"]),
        ("first", ["act.0"]),
        ("last", ["act.1"]),
        ("output", ["output"]),
        ("act.1", ["act.1"]),
        (["first", "act.0", "output"], ["act.0", "output"]),
    ],
)
def test_words_for_layers(study, layer, expected):
    found = planned(study, grid={"model": "gcn", "num_layers": 3, "layer": layer, "seeds": 0})
    assert [run.config["layer"] for run in found.metamers] == expected
    depths = {"act.0": 1, "act.1": 2, "output": 3}
    assert [run.config["depth"] for run in found.metamers] == [depths[name] for name in expected]


def test_label_propagation_changes_the_output_alone(study):
    axes = {"label_propagation": ["none", "behind"], "layer": ["all", "act.0"], "seeds": 0}
    found = planned(study, grid=axes)
    searched = {
        (run.case["model"], run.case["label_propagation"], run.case["layer"]) for run in found.metamers
    }
    assert searched == {
        (model, label, layer)
        for model in ("gcn", "sage")
        for label, layer in (("none", "act.0"), ("none", "output"), ("behind", "output"))
    }
    assert {run.run_id for run in planned(study, grid={"layer": "all", "seeds": 0}).runs} <= {
        run.run_id for run in found.runs
    }


def test_features_may_leave_the_kind_of_the_data(study):
    own, free = (planned(study, search={"feature_kind": kind}) for kind in ("own", "continuous"))
    assert {run.config["search"].get("feature_kind") for run in free.metamers} == {"continuous"}
    assert {run.run_id for run in own.runs} == {run.run_id for run in planned(study, search={}).runs}
    assert not {run.run_id for run in own.metamers} & {run.run_id for run in free.metamers}
    assert own.models[0].run_id == free.models[0].run_id


def test_exclude_and_include(study):
    found = planned(
        study,
        grid={"layer": "all", "seeds": [0, 1, 2]},
        exclude=[{"model": "sage", "seeds": [1, 2]}, {"model": "gcn", "layer": "output"}],
        include=[{"model": "gin", "seeds": 7, "layer": "first"}],
    )
    cases = [(run.case["model"], run.case["seed"], run.case["layer"]) for run in found.metamers]
    assert sorted(cases) == [
        ("gcn", 0, "act.0"),
        ("gcn", 1, "act.0"),
        ("gcn", 2, "act.0"),
        ("gin", 7, "act.0"),
        ("sage", 0, "act.0"),
        ("sage", 0, "output"),
    ]
    assert len(found.models) == 5


def test_a_combination_that_cannot_be_built_is_named_and_can_be_left_out(study):
    axes = {"model": ["gcn", "sgc"], "activation": ["relu", "elu"], "layer": "output"}
    with pytest.raises(UserError, match=r"no hidden layer.*met with .*model sgc.*activation elu.*'exclude'"):
        planned(study, grid=axes)
    found = planned(study, grid=axes, exclude=[{"model": "sgc", "activation": "elu"}])
    assert len(found.models) == 3 * 2
    with pytest.raises(ParameterError, match=r"'layer' .*'act.0', 'output', 'all'.*got 'act.5'"):
        planned(study, grid={"layer": "act.5"})
    with pytest.raises(ParameterError, match=r"'exclude\[1\]' parameter must be some of the grid.*graphsage"):
        planned(study, exclude=[{"model": "gcn", "seeds": 0}, {"model": "graphsage"}])
    with pytest.raises(ParameterError, match="something is left"):
        planned(study, exclude=[{"dataset": "karate"}])


def test_what_does_not_matter_for_random_weights_makes_no_run_of_its_own(study):
    change = {"kind": "random", "radius": 2}
    axes = {"perturbation": ["none", change], "drop_edge": [0.0, 0.2], "weights": ["trained", "random"]}
    found = planned(study, grid=axes)
    weights = [run.case["weights"] for run in found.models]
    assert weights.count("trained") == 2 * 2 * 4
    assert weights.count("random") == 2 * 2


def test_an_id_is_a_hash_of_what_decides_the_result(study):
    (run,) = planned(study, grid={"model": "gcn", "seeds": 3}).models
    text = json.dumps(run.identity, sort_keys=True, separators=(",", ":"))
    assert run.run_id == hashlib.sha256(text.encode()).hexdigest()[:40]
    assert set(run.identity) == {"schema_version", "kind", "config", "seed", "data_fingerprint", "parent"}
    assert run.data_fingerprint == gm.load_dataset("karate").fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": {"seeds": 4}},
        {"grid": {"model": "sage"}},
        {"grid": {"split": 1}},
        {"grid": {"hidden_channels": 8}},
        {"grid": {"weights": "random"}},
        {"grid": {"drop_edge": 0.1}},
        {"grid": {"perturbation": {"kind": "random", "radius": 1}}},
        {"training": {"epochs": 21}},
    ],
)
def test_other_settings_are_other_runs(study, changes):
    axes = {"model": "gcn", "seeds": 3} | changes.pop("grid", {})
    (first,) = planned(study, grid={"model": "gcn", "seeds": 3}).models
    (other,) = planned(study, grid=axes, **changes).models
    assert other.run_id != first.run_id


def test_what_changes_no_result_changes_no_id(study):
    def ids(**changes):
        return {run.run_id for run in planned(study, **changes).runs}

    first = ids()
    assert ids(name="other", description="words", threads=2) == first
    assert ids(grid={"model": ["graphsage", "gcn"], "seeds": [1, 0]}) == first
    assert ids(search={"steps": 61}) & first == {run.run_id for run in planned(study).models}


@pytest.mark.slow
def test_ids_are_the_same_in_another_process(study):
    program = (
        "import json, sys; from graph_metamers.study import plan, study_config; "
        "print([run.run_id for run in plan(study_config(json.loads(sys.argv[1]))).runs])"
    )
    raw = json.dumps(study())
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, raw],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert done.stdout.strip() == str([run.run_id for run in planned(study).runs])


def test_splits(study):
    found = planned(study, grid={"model": "gcn", "seeds": 0, "split": [0, 1]})
    assert len({run.data_fingerprint for run in found.models}) == 2
    assert [run.source.seed for run in found.models] == [0, 1]


@pytest.mark.skipif("GRAPH_METAMERS_DATA" not in os.environ, reason="needs Cora in $GRAPH_METAMERS_DATA")
def test_a_split_that_is_not_there_is_refused(study):
    with pytest.raises(ParameterError, match="0 for cora, which brings one split"):
        planned(study, grid={"dataset": "cora", "split": 1})
