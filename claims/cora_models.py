"""Models of Cora that are trained once for a topic, beside a random graph with Cora's degrees."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import save_file

import graph_metamers as gm
from graph_metamers.graphs.neighbour_lists import NeighbourLists
from graph_metamers.graphs.rewiring import shuffled

if TYPE_CHECKING:
    from pathlib import Path

    from judging import Judge

HIDDEN_CHANNELS = 16


class Trained(NamedTuple):
    """A model, and the folder with `model.json` and `model`, `random` and `split` `.safetensors`."""

    model: gm.GNN
    folder: Path


def require_cora(judge: Judge) -> gm.Dataset:
    """Cora; ends the claims where its files are not."""
    if "GRAPH_METAMERS_DATA" not in os.environ:
        judge.note("needs the files of Cora: set GRAPH_METAMERS_DATA to the folder that holds planetoid/")
        sys.exit(1)
    return gm.load_dataset("cora")


def trained(dataset: gm.Dataset, architecture: str, seed: int, folder: Path) -> Trained:
    """A model trained with a seed; the random graph has no edge of the reference, and the same seed."""
    model = gm.build_model(architecture, dataset, hidden_channels=HIDDEN_CHANNELS, seed=seed)
    fitted = gm.fit(model, dataset, seed=seed).model
    place = folder / f"{architecture}-{seed}"
    place.mkdir(parents=True)
    save_file(fitted.state_dict(), place / "model.safetensors")
    (place / "model.json").write_text(json.dumps(dataclasses.asdict(fitted.config)))
    save_file({"train": dataset.split.train}, place / "split.safetensors")
    graph = dataset.graph
    lists = NeighbourLists.of(graph.edge_index.numpy(), graph.num_nodes, directed=False)
    found = torch.from_numpy(lists.edge_index(*shuffled(lists, seed=seed, reference_edges="forbid")))
    save_file({"edge_index": found.contiguous()}, place / "random.safetensors")
    return Trained(fitted, place)


def compile_kernels(vary: str | tuple[str, ...]) -> None:
    """Compile what searches need, once on a machine, before anything is timed."""
    karate = gm.load_dataset("karate")
    model, budget = gm.build_model("gcn", karate), gm.Budget(steps=40)
    gm.generate(model, karate.graph, "output", vary=vary, tolerance=0.0, budget=budget)
