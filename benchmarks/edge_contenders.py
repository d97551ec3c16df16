"""One contender for other edges on one cell, in a process of its own; what it found is judged by plain PyG.

Every contender gets the same trained model and target, may use no edge of the reference, and has the same
seconds on one thread, with imports and just-in-time compilation before the clock. Whoever has settings to
choose has a short trial of each before it; the best one then starts anew.
"""

from __future__ import annotations

import statistics
import time
import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from block_descent import BlockSetting, descend
    from safetensors.torch import load_file
    from torch import Tensor, nn
    from torch_geometric.nn import GCNConv
    from torch_geometric.utils import degree

    import graph_metamers as gm
    from graph_metamers.randomness import generator_for

HIDDEN = 16
PROPOSALS_A_SECOND = 1000  # of `Rewire`, for every edge: more than fit, so that the time decides
RANDOM_GRAPHS = 5
WARM_UP = 2.0  # seconds
UNLIMITED = 10**9  # steps


class Pair(NamedTuple):
    """Learning rate and slope of straight-through."""

    rate: float
    slope: float

    def __str__(self) -> str:
        return f"rate {self.rate:g}, slope {self.slope:g}"


SHIPPED = gm.StraightThrough()
# Of more settings that were tried: each of these was the best of its contender somewhere, or is its default.
SETTINGS: dict[str, tuple[Any, ...]] = {
    "ours": ("as shipped",),
    "straight-through": (Pair(SHIPPED.learning_rate, SHIPPED.slope), Pair(1.0, 0.01), Pair(3.0, 0.01)),
    "straight-through (paper)": (Pair(0.1, 1.0), Pair(0.3, 1.0)),
    "PRBCD": (
        BlockSetting("empty", 20_000, 3e3),
        BlockSetting("empty", 20_000, 1e4),
        BlockSetting("empty", 40_000, 3e3),
    ),
    "PRBCD (degrees kept)": (
        BlockSetting("empty", 20_000, 1e3, 0.3),
        BlockSetting("empty", 20_000, 3e3, 0.03),
        BlockSetting("empty", 20_000, 3e3, 0.1),
    ),
}


class PlainGCN(nn.Module):
    """Two layers of PyTorch Geometric with the saved weights: nothing of the instrument judges."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = load_file(weights)
        first, last = state["conv.0.lin.weight"], state["conv.1.lin.weight"]
        self.conv = nn.ModuleList([GCNConv(*reversed(first.shape)), GCNConv(*reversed(last.shape))])
        self.load_state_dict(state)
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> dict[str, Tensor]:
        """Activations by the names that the instrument uses."""
        hidden = self.conv[0](x, edge_index, edge_weight).relu()
        return {"act.0": hidden, "output": self.conv[1](hidden, edge_index, edge_weight)}


class UpTo(nn.Module):
    """A layer of it, which is all that PRBCD is given."""

    def __init__(self, network: PlainGCN, layer: str) -> None:
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        """[n, d]."""
        if self.layer == "act.0":  # what comes after it need not be computed
            return self.network.conv[0](x, edge_index, edge_weight).relu()
        return self.network(x, edge_index, edge_weight)[self.layer]


@dataclass(frozen=True)
class EdgeCell:
    """A layer of a saved GCN on a data set, which other edges have to match."""

    dataset: str
    weights: Path
    layer: str
    seed: int = 0  # of the training

    @cached_property
    def graph(self) -> Any:
        """The reference."""
        return gm.load_dataset(self.dataset).graph

    @cached_property
    def plain(self) -> PlainGCN:
        """The judge."""
        return PlainGCN(self.weights)

    @cached_property
    def wanted(self) -> dict[str, Tensor]:
        """Activations of the reference."""
        return self.plain(self.graph.x, self.graph.edge_index)

    def random_graph(self, number: int) -> Tensor:
        """Edges of a random graph with the same degrees; as far as they allow, none is the reference's."""
        variables = gm.Structure().variables(self.graph)
        return variables.edge_index(variables.start("noise", generator_for("random graph", number)))

    def loss(self, edge_index: Tensor) -> float:
        """Activation loss in float64 of what the layer gives in float32."""
        target = self.wanted[self.layer].double()
        found = self.plain(self.graph.x, edge_index)[self.layer].double()
        return float((found - target).square().sum() / target.square().sum())

    def random_losses(self) -> dict[str, Any]:
        """Activation losses of some random graphs with the same degrees: what is reached without a search."""
        losses = [self.loss(self.random_graph(number)) for number in range(RANDOM_GRAPHS)]
        return {"random_losses": losses, "random_loss": statistics.median(losses)}

    def judge(self, edge_index: Tensor) -> dict[str, Any]:
        """What the found edges are, by counting and by plain PyTorch Geometric."""
        reference, n = self.graph.edge_index, self.graph.num_nodes
        found, theirs = pairs_of(edge_index, n), pairs_of(reference, n)
        predicted = self.plain(self.graph.x, edge_index)["output"].argmax(dim=1)
        return {
            "loss": self.loss(edge_index),
            "agreement": float((predicted == self.wanted["output"].argmax(dim=1)).double().mean()),
            "edges": len(found),
            "reference_edges": len(theirs),
            "common": len(found & theirs),
            "degrees_kept": float((degree(edge_index[1], n) == degree(reference[1], n)).double().mean()),
        }


def pairs_of(edge_index: Tensor, num_nodes: int) -> set[int]:
    """The unordered pairs that are joined, self-loops left out, as numbers."""
    low, high = edge_index.min(dim=0).values, edge_index.max(dim=0).values
    return set((low * num_nodes + high)[low != high].tolist())


def measure_edges(contender: str, cell: EdgeCell, seconds: float, trial: float) -> dict[str, Any]:
    """Trials, the run, and the judgement; belongs in a process of its own."""
    torch.set_num_threads(1)
    run = _runner(contender, cell)
    settings = SETTINGS[contender]
    run(settings[0], WARM_UP)
    tried = {}
    if len(settings) > 1:
        tried = {setting: cell.loss(run(setting, trial)[0]) for setting in settings}
    best = min(tried, key=lambda setting: tried[setting]) if tried else settings[0]
    started = time.perf_counter()
    edge_index, steps = run(best, seconds)
    took = time.perf_counter() - started
    return {
        "seconds": took,
        "steps": steps,
        "setting": str(best),
        "tried": {str(setting): loss for setting, loss in tried.items()},
        **cell.judge(edge_index),
    }


def random_losses(cell: EdgeCell) -> dict[str, Any]:
    """As `EdgeCell.random_losses`, to be run in a process of its own."""
    torch.set_num_threads(1)
    return cell.random_losses()


def _runner(contender: str, cell: EdgeCell) -> Callable[[Any, float], tuple[Tensor, int]]:
    if contender.startswith("PRBCD"):
        return lambda setting, seconds: _prbcd(cell, setting, seconds)
    model, rhythm = gm.load_model(cell.weights).eval(), Rhythm()

    def run(setting: Any, seconds: float) -> tuple[Tensor, int]:
        steps = UNLIMITED  # so that the rate of straight-through stays what it is
        if contender == "ours":
            solver: Any = gm.Rewire(proposals=round(PROPOSALS_A_SECOND * seconds))
        else:
            solver = gm.StraightThrough(learning_rate=setting.rate, slope=setting.slope)
            if contender == "straight-through":
                steps = rhythm.steps_in(seconds)
        rhythm.begin()
        metamer = gm.generate(
            model,
            cell.graph,
            cell.layer,
            vary=gm.Structure(),
            solver=solver,
            budget=gm.Budget(steps=steps, seconds=seconds),
            tolerance=0.0,
            callbacks=[rhythm],
        )
        return metamer.graph.edge_index, metamer.steps

    return run


class Rhythm:
    """Times of the steps of a search, to tell how many fit into a time: on that its learning rates depend."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.began = 0.0

    def begin(self) -> None:
        """A search begins."""
        self.began, self.times = time.perf_counter(), []

    def __call__(self, _progress: object) -> None:
        """A step was made."""
        self.times.append(time.perf_counter())

    def steps_in(self, seconds: float) -> int:
        """Of a search like the last one, whose first steps are slower; not known before it."""
        if len(self.times) < 2:
            return UNLIMITED
        steps = [after - before for before, after in pairwise(self.times)]
        return max(
            1, int((seconds - (self.times[0] - self.began)) / statistics.median(steps[len(steps) // 2 :]))
        )


def _prbcd(cell: EdgeCell, setting: BlockSetting, seconds: float) -> tuple[Tensor, int]:
    return descend(
        UpTo(cell.plain, cell.layer),
        cell.graph.x,
        cell.wanted[cell.layer],
        cell.graph.edge_index,
        lambda: cell.random_graph(0),
        setting,
        seconds,
    )


def refused(architecture: str) -> dict[str, Any]:
    """What straight-through and PRBCD are told by a model of another kind, which takes no edge weights."""
    dataset = gm.load_dataset("cora")
    graph, model = dataset.graph, gm.build_model(architecture, dataset, hidden_channels=HIDDEN).eval()
    halves = torch.full((graph.num_edges,), 0.5)
    once = gm.Budget(steps=1)
    attempts: dict[str, Callable[[], object]] = {
        "straight-through": lambda: gm.generate(
            model, graph, "output", vary="structure", solver=SHIPPED, budget=once
        ),
        "PRBCD": lambda: model(graph.x, graph.edge_index, halves),
    }
    told = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except gm.GraphMetamersError as error:
            told[name] = str(error)
    return told
