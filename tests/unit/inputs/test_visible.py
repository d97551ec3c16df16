from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graph_metamers.inputs import resolve_variables
from graph_metamers.inputs.visible import visible_space
from graph_metamers.reading import ModelView


def features_only(model, graph):
    return model(graph.x)


@pytest.mark.parametrize("outputs", [4, 16])
def test_a_layer_that_reads_every_direction_has_no_null_space(outputs):
    torch.manual_seed(0)
    graph = Data(x=torch.randn(50, 16), edge_index=torch.empty(2, 0, dtype=torch.long))
    variables = resolve_variables("features", graph)
    view = ModelView(torch.nn.Linear(16, outputs), features_only)
    split = visible_space(view, variables, "output").split(
        variables.shuffled(torch.Generator().manual_seed(0)), variables, "nodes"
    )
    assert split.visible == pytest.approx(1, abs=0.1)
    assert split.null_space == (0 if outputs == 16 else pytest.approx(1, abs=0.1))
