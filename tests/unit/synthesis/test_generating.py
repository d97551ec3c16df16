from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import GCN, GCNConv

import graph_metamers as gm
from graph_metamers.synthesis.metamer import final_status


def on_features(model: nn.Module, graph: Data):
    return model(graph.x)


def wide_graph() -> Data:
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    return Data(x=x, edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))


def linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return layer


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_digits_are_matched_by_other_pictures(digits_fit, digits, solver):
    metamer = gm.generate(digits_fit.model, digits.graph, "act.0", solver=solver)
    assert metamer.is_metamer
    assert metamer.activation_loss <= 1e-3
    assert metamer.input_distance.scaled > 0.5
    assert metamer.prediction_agreement.share > 0.98
    assert float(metamer.matched_items.double().mean()) > 0.95
    assert metamer.graph.x.min() >= 0
    assert metamer.graph.x.max() <= 1


def test_an_invertible_layer_gives_the_reference_back():
    graph = wide_graph()
    model = linear(6, 6)
    metamer = gm.generate(model, graph, "output", forward=on_features, tolerance=1e-10)
    assert metamer.status is gm.Status.RECOVERED_REFERENCE
    assert not metamer.is_metamer
    torch.testing.assert_close(metamer.graph.x, graph.x, atol=1e-3, rtol=0)
    assert set(metamer.item_status) == {gm.Status.RECOVERED_REFERENCE}


def test_a_narrow_layer_has_metamers_that_differ_in_its_kernel():
    graph, model = wide_graph(), linear(6, 2)
    metamer = gm.generate(model, graph, "output", forward=on_features, tolerance=1e-8)
    assert metamer.is_metamer
    difference = (metamer.graph.x - graph.x) @ model.weight.T
    assert difference.norm() < 1e-3 * (metamer.graph.x - graph.x).norm()


def test_a_budget_that_is_too_small_is_said(digits_fit, digits):
    metamer = gm.generate(digits_fit.model, digits.graph, "output", budget=gm.Budget(steps=2))
    assert metamer.status is gm.Status.MAX_STEPS
    assert not metamer.is_metamer
    assert "within the budget" in metamer.status.message


def test_only_the_items_in_index_are_matched_and_only_what_reaches_them_varies(digits_fit, digits):
    metamer = gm.generate(digits_fit.model, digits.graph, "act.0", index=[3, 7], tolerance=1e-6)
    assert metamer.is_metamer
    assert len(metamer.item_loss) == 2
    h, changed = (
        gm.activations(digits_fit.model, g, "act.0")["act.0"].detach()
        for g in (metamer.reference, metamer.graph)
    )
    errors = (changed - h).square().sum(dim=1) / h.square().sum(dim=1)
    assert errors[[3, 7]].max() < 1e-5
    sources, targets = digits.graph.edge_index
    neighbours = set(sources[(targets == 3) | (targets == 7)].tolist()) | {3, 7}
    moved = (metamer.graph.x != digits.graph.x).any(dim=1).nonzero().flatten()
    assert set(moved.tolist()) == neighbours
    mask = torch.zeros(digits.num_nodes, dtype=torch.bool)
    mask[[3, 7]] = True
    same = gm.generate(digits_fit.model, digits.graph, "act.0", index=mask, tolerance=1e-6)
    assert torch.equal(same.graph.x, metamer.graph.x)


def test_recovered_items_are_not_hidden_by_nodes_that_cannot_matter():
    graph = Data(x=torch.randn(200, 6), edge_index=torch.empty(2, 0, dtype=torch.long))
    metamer = gm.generate(linear(6, 6), graph, "output", forward=on_features, index=[0, 1], tolerance=1e-10)
    assert metamer.status is gm.Status.RECOVERED_REFERENCE


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_that_the_user_used_too_does_not_start_at_the_reference(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        graph = Data(x=torch.randn(100, 16), edge_index=torch.randint(100, (2, 300)))
    metamer = gm.generate(GCN(16, 4, 2, 3), graph, "act", seed=seed, budget=gm.Budget(steps=1))
    assert metamer.input_distance.scaled > 0.8


def test_layers_of_different_items_are_refused():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.randn(5, 3), torch.randn(5, 3)
    graph["a", "to", "b"].edge_index = torch.randint(5, (2, 10))
    with pytest.raises(gm.ParameterError, match="layers of the same items"):
        gm.generate(
            linear(3, 2),
            graph,
            ["output/a", "output/b"],
            forward=lambda model, graph: {"a": model(graph["a"].x), "b": model(graph["b"].x)},
        )


def test_predictions_are_those_of_the_layers_own_items():
    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.randn(20, 3), torch.randn(30, 3)
    graph["a", "to", "b"].edge_index = torch.randint(20, (2, 10))
    metamer = gm.generate(
        linear(3, 2),
        graph,
        "output/b",
        vary={"b": "features"},
        forward=lambda model, graph: {"a": model(graph["a"].x), "b": model(graph["b"].x)},
    )
    assert metamer.prediction_agreement.num_items == 30


def test_a_gradient_that_is_not_finite_is_said():
    model = nn.Sequential(linear(6, 4), nn.Tanh())
    graph = wide_graph()
    graph.x = graph.x.abs().clamp(max=1)
    metamer = gm.generate(
        model,
        graph,
        "output",
        forward=lambda model, graph: model(graph.x.clamp(min=0).sqrt()),
        vary=gm.Features(low=0.0, high=1.0),
    )
    assert metamer.status is gm.Status.NON_FINITE


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_caller_without_gradients_is_served(karate_model, karate, context):
    with context():
        metamer = gm.generate(karate_model, karate.graph, "act.0", vary=gm.Features(kind="continuous"))
    assert metamer.is_metamer


class Assigns(nn.Module):
    """Writes to the graph that it is given, as many models do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = GCNConv(6, 3)

    def forward(self, data):
        data.x = torch.nn.functional.normalize(data.x)
        data.x.mul_(2)
        data.x = self.conv(data.x, data.edge_index).tanh()
        return data.x


def test_a_model_that_writes_to_its_graph_does_not_change_the_reference():
    graph = wide_graph()
    before = graph.x.clone()
    metamer = gm.generate(Assigns(), graph, "tanh()", budget=gm.Budget(steps=20))
    assert torch.equal(graph.x, before)
    assert torch.equal(metamer.reference.x, before)
    raw = float((metamer.graph.x - before).double().norm())
    assert metamer.input_distance.raw == pytest.approx(raw, rel=1e-6)


def test_a_transform_that_works_in_place_does_not_change_the_reference():
    graph = wide_graph()
    before = graph.x.clone()

    def halve(graph):
        graph.x.div_(2)
        return graph

    gm.generate(GCN(6, 3, 2, 2), graph, "act", transform=halve, budget=gm.Budget(steps=5))
    assert torch.equal(graph.x, before)


def test_several_layers_are_matched_together(digits_fit, digits):
    metamer = gm.generate(digits_fit.model, digits.graph, ["act.0", "output"])
    assert metamer.is_metamer
    losses = []
    for name in metamer.layer:
        h, changed = (
            gm.activations(digits_fit.model, g, name)[name].double() for g in (digits.graph, metamer.graph)
        )
        losses.append(float((changed - h).square().sum() / h.square().sum()))
    assert metamer.activation_loss == pytest.approx(sum(losses) / 2, rel=1e-6)


def test_every_layer_of_one_seed_starts_at_the_same_point(digits_fit, digits):
    starts = [
        gm.generate(digits_fit.model, digits.graph, layer, solver="adam", budget=gm.Budget(steps=1)).graph.x
        for layer in ("act.0", "output")
    ]
    assert torch.equal(*starts)


def test_binary_features_keep_their_number_of_ones(karate_model, karate):
    metamer = gm.generate(karate_model, karate.graph, "act.0", budget=gm.Budget(steps=50))
    assert metamer.graph.x.sum() == karate.graph.x.sum()
    assert metamer.activation_loss == pytest.approx(metamer.relaxed_loss, rel=1e-4)


def test_callbacks_see_the_search(karate_model, karate):
    seen = []
    metamer = gm.generate(
        karate_model, karate.graph, "act.0", budget=gm.Budget(steps=40), callbacks=[seen.append]
    )
    assert [(step.step, step.loss) for step in seen] == list(metamer.trace)
    assert all(step.steps == 40 for step in seen)
    assert seen[-1].best_loss == min(loss for _, loss in metamer.trace)


def test_save_and_load_is_the_identity(digits_fit, digits, tmp_path):
    metamer = gm.generate(digits_fit.model, digits.graph, "act.0", index=[1, 2, 3])
    metamer.save(tmp_path / "metamer")
    loaded = gm.load_metamer(tmp_path / "metamer")
    for name in ("graph", "reference"):
        ours, theirs = getattr(loaded, name), getattr(metamer, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours.keys())  # noqa: SIM118 (PyG)
    for name in ("item_loss", "index"):
        assert torch.equal(getattr(loaded, name), getattr(metamer, name))
    torch.testing.assert_close(
        loaded.input_distance.items, metamer.input_distance.items, rtol=0, atol=0, equal_nan=True
    )
    assert repr(loaded) == repr(metamer)
    assert loaded._repr_html_() == metamer._repr_html_()
    for name in ("trace", "status", "activation_loss", "config", "provenance", "prediction_agreement"):
        assert getattr(loaded, name) == getattr(metamer, name), name


def test_a_damaged_folder_is_refused(digits_fit, digits, tmp_path):
    gm.generate(digits_fit.model, digits.graph, "act.0").save(tmp_path / "metamer")
    (tmp_path / "metamer" / "items.safetensors").write_bytes(b"garbage")
    with pytest.raises(gm.FileFormatError, match="whole metamer"):
        gm.load_metamer(tmp_path / "metamer")


def test_a_folder_of_someone_else_is_not_replaced(digits_fit, digits, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(gm.OutputError):
        gm.generate(digits_fit.model, digits.graph, "act.0").save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_dead_layer_is_refused():
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[0, 0] = 1e-3
        model[0].bias.fill_(-100)
    with pytest.raises(gm.CheckError, match="only zeros: every unit is dead"):
        gm.generate(model, wide_graph(), "1", forward=on_features)


def test_regression_and_one_logit_have_their_own_agreement():
    graph, model = wide_graph(), linear(6, 1)
    sign = gm.generate(model, graph, "output", forward=on_features)
    assert sign.prediction_agreement.share == 1
    close = gm.generate(
        model, graph, "output", forward=on_features, task="regression", prediction_tolerance=10.0
    )
    assert close.prediction_agreement.share == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "'seed' parameter must be an integer from 0 to .*, got -1"),
        ({"tolerance": math.nan}, "'tolerance' parameter must be a finite number at least 0, got nan"),
        ({"min_distance": -0.1}, "'min_distance' parameter"),
        ({"init": "zeros"}, "'init' parameter must be one of 'noise', 'permuted', 'reference'"),
        ({"solver": "sgd"}, "'solver' parameter"),
        ({"index": [99]}, "'index' parameter must be items from 0 to 19"),
        ({"index": []}, "'index' parameter"),
        ({"index": [0.5]}, "'index' parameter"),
        ({"vary": "structures"}, "'vary' parameter"),
        ({"layer": []}, "'layer' parameter must be one layer"),
        ({"layer": ["0", "0"]}, "'layer' parameter must be one layer or several different"),
        ({"layer": None}, "'layer' parameter must be the name of a layer"),
        ({"budget": 100}, "'budget' parameter must be a Budget"),
        ({"callbacks": print}, "'callbacks' parameter must be a list of functions"),
        ({"index": [1, 1]}, "'index' parameter must be items that are named once each"),
        ({"index": "a"}, "'index' parameter must be integers"),
        ({"task": "words"}, "'task' parameter"),
        ({"task": "regression"}, "tolerance"),
        ({"layer": "2"}, "'layer' parameter must be a layer of the model, got '2'"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    model = nn.Sequential(linear(6, 4), nn.Tanh())
    arguments = {"layer": "0", "forward": on_features, **options}
    with pytest.raises(gm.UserError, match=message.replace("[", r"\[")):
        gm.generate(model, wide_graph(), arguments.pop("layer"), **arguments)


@pytest.mark.parametrize(
    ("search", "loss", "distance", "expected"),
    [
        (gm.Status.CONVERGED, 1e-3, 0.1, gm.Status.CONVERGED),
        (gm.Status.CONVERGED, 1e-4, 0.09, gm.Status.RECOVERED_REFERENCE),
        (gm.Status.CONVERGED, 2e-3, 0.5, gm.Status.DISCRETISATION_LOST),
        (gm.Status.MAX_STEPS, 2e-3, 0.5, gm.Status.MAX_STEPS),
        (gm.Status.MAX_STEPS, 1e-3, 0.5, gm.Status.CONVERGED),
        (gm.Status.NON_FINITE, math.nan, 0.5, gm.Status.NON_FINITE),
        (gm.Status.STALLED, 2e-3, 0.0, gm.Status.STALLED),
    ],
)
def test_final_status(search, loss, distance, expected):
    assert final_status(search, loss, distance, tolerance=1e-3, minimum=0.1) is expected


def test_every_status_has_a_sentence():
    assert all(status.message.endswith(".") for status in gm.Status)


def test_a_model_of_another_library_layout_is_not_copied_or_changed(digits):
    model = GCN(64, 8, 2, 10).train()
    before = copy.deepcopy(model.state_dict())
    gm.generate(model, digits.graph, "act", budget=gm.Budget(steps=3))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
