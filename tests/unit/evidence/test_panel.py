from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save

import graph_metamers as gm
from graph_metamers.errors import OutputError, ParameterError
from graph_metamers.evidence import panel_plans
from graph_metamers.evidence.panel_cache import Entry, Identity, entry_path, read_entry, write_entry
from graph_metamers.evidence.panel_members import LinearReader
from graph_metamers.evidence.panel_plans import features_plan

EPOCHS = 20


@pytest.fixture(scope="module")
def fitted(karate):
    return gm.fit(gm.build_model("gcn", karate, seed=3), karate, epochs=EPOCHS, seed=3)


def made(karate, fitted, folder, **options):
    return gm.train_panel(karate, fitted, architectures=["sgc"], cache=folder, **options)


def answers(panel, graph):
    return {member.name: member.classes(graph).tolist() for member in panel.members}


def origins(panel):
    return {m.name: m.facts["origin"] for m in panel.members if "origin" in m.facts}


def files(folder):
    return {path.name: path.read_bytes() for path in (folder / "observers").iterdir()}


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("something was trained")

    monkeypatch.setattr(panel_plans, "fit", refuse)
    monkeypatch.setattr(panel_plans, "LogisticRegression", refuse)


def test_a_panel_has_every_class_of_observers(karate, fitted, cache):
    panel = gm.train_panel(karate, fitted)
    kinds = [member.kind for member in panel.members]
    assert kinds == ["twin"] * 2 + ["architecture"] * 5 + ["features", "edges"]
    names = [member.name for member in panel.members if member.kind == "architecture"]
    assert names == ["GraphSAGE", "GIN", "GAT", "ChebNet", "SGC"]
    assert "other architectures: GIN" in repr(panel)
    assert (cache / "observers").is_dir()


def test_a_second_panel_is_read_and_not_trained(karate, fitted, tmp_path, request):
    first = made(karate, fitted, tmp_path)
    kept = files(tmp_path)
    assert len(kept) == 4
    request.getfixturevalue("no_training")
    second = made(karate, fitted, tmp_path)
    assert set(origins(first).values()) == {"trained"}
    assert set(origins(second).values()) == {"cache"}
    assert answers(second, karate.graph) == answers(first, karate.graph)
    assert files(tmp_path) == kept


def test_one_seed_gives_one_panel_and_another_seed_another(karate, fitted, tmp_path):
    def weights(folder):
        return {path.name: load_file(path) for path in (tmp_path / folder / "observers").iterdir()}

    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        made(karate, fitted, tmp_path / folder, seed=seed)
    a, b, c = weights("a"), weights("b"), weights("c")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name][key], b[name][key]) for name in a for key in a[name])
    assert len(a.keys() & c.keys()) == 3  # twins and features only do not depend on it


def test_twins_are_trainings_with_other_seeds(karate, fitted, tmp_path):
    twins = [member for member in made(karate, fitted, tmp_path).members if member.kind == "twin"]
    assert [twin.name for twin in twins] == ["GCN, seed 4", "GCN, seed 5"]
    states = [fitted.model.state_dict()]
    for seed, twin in zip((4, 5), twins, strict=True):
        alone = gm.fit(gm.build_model("gcn", karate, seed=seed), karate, epochs=EPOCHS, seed=seed).model
        states.append(twin.predict.model.state_dict())
        assert all(torch.equal(value, states[-1][name]) for name, value in alone.state_dict().items())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(states[one]["conv.0.bias"], states[other]["conv.0.bias"])


def test_a_training_that_is_the_model_again_is_no_twin(karate, tmp_path):
    # As observers are trained in tests, with defaults but for the number of epochs.
    model = gm.fit(gm.build_model("sgc", karate, seed=1), karate, epochs=EPOCHS, seed=1).model
    panel = gm.train_panel(karate, model, architectures=[], cache=tmp_path)
    assert [member.name for member in panel.members if member.kind == "twin"] == [
        "SGC, seed 2",
        "SGC, seed 3",
    ]


def test_a_model_of_ones_own_has_no_twins(karate, tmp_path):
    panel = gm.train_panel(karate, torch.nn.Linear(34, 4), num_twins=2, architectures=["sgc"], cache=tmp_path)
    assert [member.kind for member in panel.members] == ["architecture", "features", "edges"]


def test_observers_are_numbered_before_they_are_made(karate, fitted, tmp_path):
    said = []
    made(karate, fitted, tmp_path, on_observer=lambda *place: said.append(place))
    names = ("GCN, seed 4", "GCN, seed 5", "SGC", "logistic regression")
    assert said == [(name, number, 4) for number, name in enumerate(names, start=1)]


def test_model_and_graph_and_random_state_stay_as_they_were(karate, fitted, tmp_path):
    weights = {name: value.clone() for name, value in fitted.model.state_dict().items()}
    before, state = karate.graph.clone(), torch.get_rng_state()
    panel = made(karate, fitted, tmp_path)
    answers(panel, karate.graph)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in fitted.model.state_dict().items())
    assert all(torch.equal(value, karate.graph[name]) for name, value in before.to_dict().items())


def test_a_transform_of_ones_own_is_trained_each_time(karate, fitted, tmp_path):
    def doubled(graph):
        graph.x = 2 * graph.x
        return graph

    for _ in range(2):
        panel = made(karate, fitted, tmp_path, transform=doubled, num_twins=1)
        assert origins(panel)["GCN, seed 4"] == "trained"
        assert len(files(tmp_path)) == 2  # the other architecture and features only


def flipped(content):
    return content[:-3] + bytes([content[-3] ^ 64]) + content[-2:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content, _: content[: len(content) // 2],
        lambda *_: b"",
        lambda *_: b"not a safetensors file at all",
        lambda content, _: flipped(content),
        lambda _, other: other,
        lambda *_: save({"weight": torch.zeros(2)}),
        lambda *_: save({"weight": torch.zeros(2)}, metadata={"entry": '{"format": 1}'}),
        lambda *_: save({"weight": torch.zeros(2)}, metadata={"entry": "[" * 100_000}),
    ],
    ids=["half", "empty", "text", "a flipped bit", "another's", "foreign", "odd", "deep"],
)
def test_a_broken_or_foreign_file_is_trained_again(karate, fitted, tmp_path, damage):
    first = made(karate, fitted, tmp_path, num_twins=0)
    kept = {member.facts["key"]: member.name for member in first.members if "key" in member.facts}
    paths = {name: tmp_path / "observers" / f"{key}.safetensors" for key, name in kept.items()}
    whole = {name: path.read_bytes() for name, path in paths.items()}
    paths["SGC"].write_bytes(damage(whole["SGC"], whole["logistic regression"]))

    second = made(karate, fitted, tmp_path, num_twins=0)
    assert origins(second)["SGC"] == "trained, in place of a file that could not be used"
    assert origins(second)["logistic regression"] == "cache"
    assert answers(second, karate.graph) == answers(first, karate.graph)
    assert set(origins(made(karate, fitted, tmp_path, num_twins=0)).values()) == {"cache"}


def test_weights_that_are_not_those_of_the_observer_are_not_believed(karate, fitted, tmp_path):
    """The file says the right things about itself, but holds something else."""
    plan = features_plan(karate)
    identity = Identity(plan.recipe, karate.fingerprint)
    good = dict(plan.train())
    for tensors in (
        {**good, "weight": good["weight"] * float("nan")},
        {**good, "weight": good["weight"][:, 1:]},
        {**good, "bias": good["bias"].float()},
        {"weight": good["weight"], "bias": good["bias"]},
    ):
        write_entry(tmp_path, identity, Entry(tensors, 1.0))
        assert read_entry(tmp_path, identity) is not None
        panel = made(karate, fitted, tmp_path, num_twins=0)
        assert "in place of" in origins(panel)["logistic regression"]
        assert torch.equal(load_file(entry_path(tmp_path, identity))["weight"], good["weight"])


def test_an_entry_is_kept_whole_and_found_only_by_its_own_settings(tmp_path):
    identity = Identity({"observer": "it", "seed": 0, "fit": {"learning_rate": 0.1}}, "data")
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor([1, 2])}
    assert read_entry(tmp_path, identity) is None
    write_entry(tmp_path, identity, Entry(tensors, 1.5))
    found = read_entry(tmp_path, identity)
    assert found is not None
    assert found.seconds == 1.5
    assert all(torch.equal(found.tensors[name], value) for name, value in tensors.items())
    for other in (
        replace(identity, data="other"),
        replace(identity, recipe={**identity.recipe, "seed": 1}),
        replace(identity, recipe={**identity.recipe, "fit": {"learning_rate": 0.2}}),
    ):
        assert other.key != identity.key
        assert read_entry(tmp_path, other) is None
    readable = entry_path(tmp_path, identity).stat().st_mode & 0o044
    assert readable == 0o044


def test_another_version_of_the_layout_is_not_read(tmp_path):
    identity = Identity({"seed": 0}, "data")
    write_entry(tmp_path, identity, Entry({"a": torch.ones(1)}, 1.0))
    path = entry_path(tmp_path, identity)
    told = json.loads(
        json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])[
            "__metadata__"
        ]["entry"]
    )
    told["identity"]["schema_version"] += 1
    path.write_bytes(save({"a": torch.ones(1)}, metadata={"entry": json.dumps(told)}))
    assert read_entry(tmp_path, identity) is None


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_trained(
    karate, fitted, tmp_path, no_training
):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file"):
        made(karate, fitted, tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_twins": -1}, "'num_twins' parameter must be"),
        ({"architectures": "gcn"}, "'architectures' parameter must be a list"),
        ({"architectures": ["gcnn"]}, "Did you mean 'gcn'"),
        ({"seed": -1}, "'seed' parameter must be"),
    ],
)
def test_what_is_out_of_range_is_said(karate, fitted, tmp_path, options, message):
    with pytest.raises(ParameterError, match=message):
        gm.train_panel(karate, fitted, cache=tmp_path, **options)


@pytest.mark.parametrize(
    "predict",
    [lambda g: g.x, lambda g: g.y.float(), lambda g: g.y[1:], lambda g: g.y.tolist(), lambda g: g.y > 0],
)
def test_an_observer_answers_with_a_class_for_every_node(karate, predict):
    with pytest.raises(ParameterError, match="'observers' parameter must be observers whose predict returns"):
        gm.PanelMember("odd", "architecture", predict).classes(karate.graph)


def test_an_observer_of_ones_own(karate):
    member = gm.PanelMember("mine", "features", lambda graph: graph.y.to(torch.int32))
    assert member.classes(karate.graph).tolist() == karate.graph.y.tolist()
    assert repr(member) == "PanelMember(mine: features only)"
    with pytest.raises(ParameterError, match="different names"):
        gm.Panel((member, member))
    with pytest.raises(ParameterError, match="'kind' parameter must be"):
        gm.PanelMember("mine", "words", lambda graph: graph.y)


def test_a_node_on_which_an_observer_overflows_has_no_answer():
    graph = gm.load_dataset("karate").graph.clone()
    reader = LinearReader(torch.eye(34).double(), torch.zeros(34).double(), torch.arange(34) + 5)
    graph.x = graph.x.clone()
    graph.x[3] = float("inf")
    graph.x[4] = float("nan")
    found = reader(graph)
    assert found[[3, 4]].tolist() == [-1, -1]
    assert found[[0, 1, 2]].tolist() == [5, 6, 7]


def test_a_panel_without_training_shows_what_is_there_already(karate, fitted, monkeypatch):
    monkeypatch.setattr(panel_plans, "fit", lambda *_, **__: pytest.fail("a network was trained"))
    panel = gm.untrained_panel(karate, [fitted.model])
    assert [member.name for member in panel.members] == ["GCN", "logistic regression", "label propagation"]
    expected = gm.activations(fitted.model, karate.graph, "output")["output"].argmax(dim=1)
    assert torch.equal(panel.members[0].classes(karate.graph), expected)
