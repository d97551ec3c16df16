"""The six nodes of docs/theory.md, number by number."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GINConv

import graph_metamers as gm

PAGE = (Path(__file__).parents[3] / "docs" / "theory.md").read_text(encoding="utf-8")


class Sums(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        linear = torch.nn.Linear(2, len(weight), bias=False)
        self.conv, self.act = GINConv(linear), torch.nn.ReLU()
        linear.weight.data = torch.tensor(weight)

    def forward(self, x, edge_index):
        return self.act(self.conv(x, edge_index))


@pytest.fixture(scope="module")
def graph():
    path = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
    text = PAGE.split("two features each: ")[1].split(". The layer")[0]
    x = [[float(v) for v in pair.split(",")] for pair in re.findall(r"\(([^)]*)\)", text)]
    return Data(x=torch.tensor(x), edge_index=torch.cat([path, path.flip(0)], dim=1))


def table():
    lines = [line for line in PAGE.splitlines() if re.match(r"\| \d \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_is_what_is_computed(graph):
    change = gm.volume_change(Sums([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), graph, "act")
    elu = change.with_activation("elu")
    assert change.rank.tolist() == [2] * 6
    computed = [
        [
            str(node),
            ", ".join(f"{z:g}" for z in change.read.values[node]),
            str(change.inactive[node]),
            str(change.dimension_gain[node]),
            f"{elu.sum_of_units[node]:g}",
            f"{abs(elu.log_volume[node]):.4f}",
        ]
        for node in range(6)
    ]
    assert computed == table()


def test_the_table_is_what_determinants_by_hand_give():
    for _, z, closed, gain, total, volume in table():
        units = [float(value) for value in z.split(",")]
        assert units[2] == units[0] + units[1]
        open_units = sum(value > 0 for value in units)
        assert int(closed) == 3 - open_units
        assert int(gain) == 2 - min(open_units, 2)
        first, second, third = (math.exp(min(2 * value, 0)) for value in units)
        determinant = first * second + first * third + second * third
        assert float(volume) == pytest.approx(-math.log(determinant / 3) / 2, abs=5e-5)
        assert float(total) == -sum(min(value, 0) for value in units)


def test_without_the_third_unit_sums_are_right(graph):
    change = gm.volume_change(Sums([[1.0, 0.0], [0.0, 1.0]]), graph, "act")
    gains, sums = re.search(r"gains ([\d, ]+) for ReLU and\s+([\d, ]+) for ELU", PAGE).groups()
    assert change.dimension_gain.tolist() == [int(v) for v in gains.split(",")]
    expected = [float(v) for v in sums.split(",")]
    np.testing.assert_allclose(change.with_activation("elu").log_volume, expected, atol=1e-12)


@pytest.mark.parametrize("weight", [[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
def test_the_gain_is_the_difference_of_metamer_dimensions(graph, weight):
    model = Sums(weight)
    before, after = (gm.local_metamer_dimension(model, graph, name) for name in ("conv", "act"))
    gain = np.array([b["dimension"] for b in after.rows()]) - [b["dimension"] for b in before.rows()]
    assert gm.volume_change(model, graph, "act").dimension_gain.tolist() == gain.tolist()
