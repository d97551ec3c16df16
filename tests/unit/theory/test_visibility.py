from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATv2Conv, SAGEConv

import graph_metamers as gm
from graph_metamers.theory.visibility import visibility_of


@pytest.fixture(scope="module")
def digits():
    return gm.load_dataset("digits")


def maps_of(model, name):
    weights = {
        "gcn": lambda c: [c.lin.weight],
        "sage": lambda c: [c.lin_l.weight, c.lin_r.weight],
        "gat": lambda c: [c.lin.weight],
        "cheb": lambda c: [lin.weight for lin in c.lins],
    }
    return torch.cat(weights[name](model.conv[0])).detach().double().numpy()


@pytest.mark.parametrize("name", ["gcn", "sage", "gat", "cheb"])
@pytest.mark.parametrize("hidden", [16, 64])
def test_gains_and_shares_are_those_of_the_first_weights(digits, name, hidden):
    model = gm.build_model(name, digits, hidden_channels=hidden)
    found = gm.feature_visibility(model, digits.graph)
    maps = maps_of(model, name)
    norms = np.sqrt((maps**2).sum(axis=0))
    np.testing.assert_allclose(found.gain, norms / np.median(norms), rtol=1e-10)
    projector = np.linalg.pinv(maps, rcond=1e-3) @ maps
    np.testing.assert_allclose(found.share, np.diag(projector), atol=1e-8)
    assert found.chance == pytest.approx(np.trace(projector) / 64)
    assert np.median(found.gain) == pytest.approx(1)


def test_rows_have_names_and_the_most_visible_feature_first(digits):
    names = [f"pixel {i}" for i in range(64)]
    model = gm.build_model("gcn", digits, hidden_channels=8)
    with torch.no_grad():
        model.conv[0].lin.weight[:, 20] *= 100
        model.conv[0].lin.weight[:, 30] = 0
    found = gm.feature_visibility(model, digits.graph, "act.0", names=names)
    rows = found.rows()
    assert rows[0]["name"] == "pixel 20"
    assert rows[0]["share"] > 0.95
    assert (rows[-1]["name"], rows[-1]["gain"], rows[-1]["share"]) == ("pixel 30", 0, 0)
    assert "pixel 20" in repr(found)
    assert len(rows) == 64


def test_directions_that_are_hardly_read_do_not_count():
    found = visibility_of(np.diag([1.0, 1.0, 0.5e-3, 1.0]))
    assert found.rank == 3
    assert found.share.tolist() == [1, 1, 0, 1]
    assert found.gain.tolist() == [1, 1, 0.5e-3, 1]
    assert visibility_of(np.diag([1.0, 1.0, 2e-3, 1.0])).rank == 4


def test_zeroing_an_invisible_feature_changes_nothing(digits):
    model = gm.build_model("gin", digits, hidden_channels=8)
    with torch.no_grad():
        model.conv[0].nn[0].weight[:, 5] = 0
    assert gm.feature_visibility(model, digits.graph).gain[5] == 0
    other = digits.graph.clone()
    other.x[:, 5] += 1
    layers = gm.activations(model, digits.graph, "output"), gm.activations(model, other, "output")
    assert torch.equal(*(each["output"] for each in layers))


class Maximum(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.conv = SAGEConv(features, 4, aggr="max")

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


def test_what_is_not_linear_is_refused(digits):
    with pytest.raises(gm.ModelError, match="features enter otherwise"):
        gm.feature_visibility(Maximum(64), digits.graph)


def test_wrong_names_are_refused(digits):
    with pytest.raises(gm.ParameterError, match="one for each of 64"):
        gm.feature_visibility(gm.build_model("gcn", digits), digits.graph, names=["a"])


def test_a_model_that_reads_less_than_half_of_the_features_has_no_median():
    with pytest.raises(gm.ModelError, match="got 3 that are not"):
        visibility_of(np.diag([1.0, 0.0, 0.0, 0.0]))


def test_attention_with_two_maps(digits):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GATv2Conv(64, 4)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    torch.manual_seed(0)
    assert gm.feature_visibility(Net(), digits.graph).rank == 8


def test_data_sets_and_lists_of_layers_are_refused(digits):
    model = gm.build_model("gcn", digits)
    with pytest.raises(gm.ParameterError, match=r"'graph'.*a Data.*got 'Dataset'.*dataset.graph"):
        gm.feature_visibility(model, digits)
    with pytest.raises(gm.ParameterError, match=r"'layer'.*the name of one layer, got \['act.0'\]"):
        gm.feature_visibility(model, digits.graph, ["act.0"])
