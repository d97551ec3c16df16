from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import SAGEConv, to_hetero

import graph_metamers as gm
from graph_metamers.reading.functions import is_activation_module
from graph_metamers.reading.listing import LayerList
from graph_metamers.reading.recording import Recorder

GRAPH = Data(x=torch.tensor([[-1.0, 2.0], [3.0, -4.0]]), edge_index=torch.empty(2, 0, dtype=torch.long))


def on_features(model: nn.Module, graph: Data):
    return model(graph.x)


class InPlace(nn.Module):
    """The activation overwrites the tensor that the linear layer returned."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.linear(x))


class Functions(nn.Module):
    def forward(self, x):
        x = F.relu(x) + x.tanh()
        x = torch.sigmoid_(x)
        return {"a": F.gelu(x), "b": (F.softplus(x), torch.relu(x - 1))}


def test_a_later_in_place_operation_does_not_change_what_was_read():
    model = InPlace()
    read = gm.activations(model, GRAPH, ["linear", "act"])
    assert torch.equal(read["linear"], model.linear(GRAPH.x))
    assert torch.equal(read["act"], model.linear(GRAPH.x).relu())


def test_the_input_of_an_in_place_activation_is_recorded_before_it_is_overwritten():
    model = InPlace()
    with Recorder(model, ["act"]) as recorder:
        model(GRAPH.x)
    assert torch.equal(recorder.taps["act"].activation_input, model.linear(GRAPH.x))


def test_functional_activations_and_nested_results():
    read = {layer.name: layer for layer in gm.layers(Functions(), GRAPH)}
    assert list(read) == [
        "relu()",
        "tanh()",
        "sigmoid()",
        "gelu()",
        "softplus()",
        "relu()#2",
        "output/a",
        "output/b/0",
        "output/b/1",
    ]
    assert read["relu()"].role == "post-activation"


def test_functions_inside_activation_modules_are_not_listed_twice():
    listed = gm.layers(nn.Sequential(nn.ReLU(), nn.GELU()), GRAPH, forward=on_features)
    assert [layer.name for layer in listed] == ["0", "1", "output"]


def test_reading_some_layers_equals_reading_all():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    names = [layer.name for layer in gm.layers(model, GRAPH, forward=on_features)]
    together = gm.activations(model, GRAPH, names, forward=on_features)
    for name in names:
        alone = gm.activations(model, GRAPH, name, forward=on_features)
        assert torch.equal(alone[name], together[name])


def test_unknown_layer_suggests_the_closest():
    with pytest.raises(gm.LayerNotFoundError, match=r"got 'linaer'; did you mean 'linear'\?"):
        gm.activations(InPlace(), GRAPH, "linaer")


def test_output_of_several_tensors_is_suggested_by_prefix():
    with pytest.raises(gm.LayerNotFoundError, match="did you mean 'output/a'"):
        gm.activations(Functions(), GRAPH, "output")


@pytest.mark.parametrize("module", [nn.ReLU(), nn.PReLU(), nn.GELU(), nn.Tanh(), nn.Sigmoid(), nn.SELU()])
def test_torchs_activations_are_known(module):
    assert is_activation_module(module)


def test_what_is_no_activation():
    assert not any(map(is_activation_module, [nn.Identity(), nn.Softmax(), nn.Linear(1, 1), nn.Dropout()]))


def test_a_module_can_say_that_it_is_an_activation():
    class Squash(nn.Module):
        is_activation = True

        def forward(self, x):
            return x / (1 + x.abs())

    model = nn.Sequential(nn.Linear(2, 2), Squash(), nn.Linear(2, 2))
    roles = {layer.name: layer.role for layer in gm.layers(model, GRAPH, forward=on_features)}
    assert roles == {"0": "pre-activation", "1": "post-activation", "2": "inside", "output": "output"}


def test_a_submodule_called_output_does_not_hide_the_models_output():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.output = nn.Linear(2, 2)

        def forward(self, x):
            return 2 * self.output(x)

    model = Named()
    read = gm.activations(model, GRAPH, ["output", "model()"])
    assert torch.equal(read["model()"], 2 * read["output"])
    assert [layer.name for layer in gm.layers(model, GRAPH) if layer.is_default] == ["model()"]


def test_a_method_that_is_an_activation_in_a_hetero_model():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = SAGEConv((-1, -1), 4)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index).relu() * 2

    graph = HeteroData()
    graph["a"].x, graph["b"].x = torch.randn(5, 3), torch.randn(6, 2)
    graph["a", "to", "b"].edge_index = torch.randint(5, (2, 9))
    graph["b", "to", "a"].edge_index = torch.randint(5, (2, 9))
    model = to_hetero(Net(), graph.metadata())
    model(graph.x_dict, graph.edge_index_dict)
    default = [layer.name for layer in gm.layers(model, graph) if layer.is_default]
    assert default == ["relu()/a", "relu()/b", "output/a", "output/b"]


def test_layers_print_as_a_table_and_stay_a_list():
    listed = gm.layers(InPlace(), GRAPH)
    title, headings, linear, act, output = str(listed).splitlines()
    assert title == "3 layers, 1 of them read by an audit"
    assert headings.split() == ["name", "module", "call", "shape", "rows", "are", "role", "audited"]
    assert linear.split() == ["linear", "Linear", "1", "2", "x", "2", "nodes", "pre-activation"]
    assert act.split()[-1] == "post-activation"
    assert output.split()[-2:] == ["output", "yes"]
    assert repr(listed) == str(listed)
    assert isinstance(listed, list)
    assert (len(listed), listed[0].name, [layer.name for layer in listed[1:]]) == (
        3,
        "linear",
        ["act", "output"],
    )
    assert listed == list(listed)


def test_layers_are_a_table_in_a_notebook_with_names_that_are_no_markup():
    strange = nn.ModuleDict({"<b>": nn.ReLU()})
    html = gm.layers(strange, GRAPH, forward=lambda model, graph: model["<b>"](graph.x))._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert html.count("<tr>") == 3


def test_no_layers_print_too():
    assert repr(LayerList()).startswith("0 layers")
