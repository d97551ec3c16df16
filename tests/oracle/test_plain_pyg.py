"""What is saved is what plain PyTorch Geometric computes, in a process that never saw graph-metamers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import graph_metamers as gm

PLAIN_PYG = """
import sys, json, torch
from safetensors.torch import load_file
from torch_geometric.nn import GCNConv

folder = sys.argv[1]
reference = load_file(folder + "/reference.safetensors")
changed = load_file(folder + "/layer_1/graph.safetensors")
weights = load_file(folder + "/model.safetensors")
hidden, features = weights["conv.0.lin.weight"].shape
conv = GCNConv(features, hidden).eval()
first = "conv.0."
conv.load_state_dict({n.removeprefix(first): w for n, w in weights.items() if n.startswith(first)})
with torch.no_grad():
    h, ours = (conv(g["x"], g["edge_index"]).relu().double() for g in (reference, changed))
print(json.dumps(float((ours - h).square().sum() / h.square().sum())))
assert "graph_metamers" not in sys.modules
"""


def test_the_reported_loss_is_that_of_plain_pyg_in_a_fresh_process(digits_fit, digits, tmp_path):
    audit = gm.audit(digits_fit, digits, layers=["act.0"], num_starts=1, num_untrained=0)
    audit.save(tmp_path / "audit")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLAIN_PYG, str(tmp_path / "audit")],
        capture_output=True,
        text=True,
        check=True,
    )
    loss = json.loads(ran.stdout)
    assert audit.layers[0].metamer.activation_loss == pytest.approx(loss, rel=1e-5, abs=1e-9)
    stored = json.loads((tmp_path / "audit" / "layer_1" / "metamer.json").read_text())
    assert stored["activation_loss"] == pytest.approx(loss, rel=1e-5, abs=1e-9)
