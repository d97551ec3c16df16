"""Over-robustness and adversarial robustness of Gosch et al. 2023, where the Bayes oracle is known.

"Revisiting Robustness in Graph Machine Learning" (ICLR 2023) and its public code
(github.com/saper0/revisiting_robustness, src/eval.py). A new node is drawn given the graph and all its
labels, and joined to nodes of the *other* class one by one, those with the most similar features first (their
attack "l2-weak"). For nodes that model f and Bayes classifier g both tell right, with at least one edge,
count how many such edges each withstands; divided by the node's degree, their means are R(f) and R(g), and
R(f, g) that of the smaller of the two. Then

- over-robustness R^over = 1 - R(f, g) / R(f): the share of what f withstands that lies beyond the point where
  the Bayes class has changed;
- adversarial robustness R^adv = R(f, g) / R(g): the share of what g withstands that f withstands too;
- F1: the harmonic mean of 1 - R^over and R^adv.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.evidence.bayes_oracle import BayesOracle
from graph_metamers.evidence.measures import interval_over_starts
from graph_metamers.metrics.classification import predicted_classes
from graph_metamers.metrics.intervals import Interval
from graph_metamers.parameters import MAX_SEED, check_choice, check_integer
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.reading.items import NODES
from graph_metamers.training.results import FitResult, modules_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.datasets import ContextualBlockModel, Dataset

__all__ = ["OverRobustness", "over_robustness"]

Attack = Literal["nearest", "farthest", "random"]


@dataclass(frozen=True, eq=False, repr=False)
class OverRobustness:
    """Gosch et al.'s figures, one for each training seed; see the head of `evidence/robustness.py`.

    Attributes
    ----------
    attack
        Which nodes of the other class come first.
    model, bayes, both
        R(f), R(g) and R(f, g): edges withstood over degree, mean over the nodes; one for each training seed.
    nodes
        How many nodes they are the mean of: both right, degree at least 1.
    samples
        Nodes drawn.
    capped
        Nodes at which a model withstood every edge that was tried, for each training seed: R(f), and with it
        R^over, is then a lower bound.
    """

    attack: str
    model: tuple[float, ...]
    bayes: tuple[float, ...]
    both: tuple[float, ...]
    nodes: tuple[int, ...]
    samples: int
    capped: tuple[int, ...]

    @property
    def over_values(self) -> tuple[float, ...]:
        """R^over for each training seed, in [0, 1]; nan where f withstands nothing."""
        return tuple(1 - _ratio(both, model) for both, model in zip(self.both, self.model, strict=True))

    @property
    def adversarial_values(self) -> tuple[float, ...]:
        """R^adv for each training seed, in [0, 1]; nan where g withstands nothing."""
        return tuple(_ratio(both, bayes) for both, bayes in zip(self.both, self.bayes, strict=True))

    @cached_property
    def over_robustness(self) -> Interval:
        """R^over, with its bootstrap interval over training seeds."""
        return _interval(self.over_values)

    @cached_property
    def adversarial_robustness(self) -> Interval:
        """R^adv, with its bootstrap interval over training seeds."""
        return _interval(self.adversarial_values)

    @cached_property
    def f1(self) -> Interval:
        """Harmonic mean of 1 - R^over and R^adv, with its bootstrap interval over training seeds."""
        pairs = zip(self.over_values, self.adversarial_values, strict=True)
        return _interval(tuple(2 * _ratio((1 - over) * adv, 1 - over + adv) for over, adv in pairs))

    def rows(self) -> list[dict[str, object]]:
        """One row for each training seed."""
        values = zip(
            self.model, self.bayes, self.both, self.over_values, self.adversarial_values, strict=True
        )
        return [
            {
                "training_seed": number,
                "attack": self.attack,
                "model": model,
                "bayes": bayes,
                "both": both,
                "over_robustness": over,
                "adversarial_robustness": adversarial,
                "nodes": self.nodes[number],
                "capped": self.capped[number],
            }
            for number, (model, bayes, both, over, adversarial) in enumerate(values)
        ]

    def __repr__(self) -> str:
        nodes = sum(self.nodes) / len(self.nodes)
        return (
            f"OverRobustness({len(self.model)} trainings, {self.samples} nodes drawn, {nodes:.0f} used, "
            f"{self.attack} first)\n  over-robustness         {self.over_robustness}\n"
            f"  adversarial robustness  {self.adversarial_robustness}\n  F1                      {self.f1}"
        )


def over_robustness(
    models: nn.Module | FitResult[nn.Module] | Sequence[nn.Module | FitResult[nn.Module]],
    dataset: Dataset,
    *,
    samples: int = 100,
    max_changes: int = 100,
    attack: Attack = "nearest",
    seed: int = 0,
) -> OverRobustness:
    """How far models keep a new node's class while edges take it away, beside the Bayes oracle.

    Parameters
    ----------
    models
        One trained model for each training seed, or a single one; each gives a class for every node of a
        graph with one node more than the data set's.
    dataset
        From `load_dataset("csbm")` with p > q.
    samples
        Nodes drawn, at least 1; the same for every model. Gosch et al.: 1000.
    max_changes
        Edges tried at each node, at least 1; `OverRobustness.capped` counts where they were too few.
    attack
        Nodes of the other class in which order: `"nearest"` features first (Gosch et al.'s "l2-weak"),
        `"farthest"` ("l2") or `"random"`.
    seed
        Of the drawn nodes, and of a random order.

    Raises
    ------
    DatasetError
        If the data set was not drawn from a block model.
    ParameterError
        If a parameter is outside its range, or an edge to the other class does not speak against a class.
    ModelError
        If a model gives no class for every node.

    Notes
    -----
    Takes up to `samples * max_changes` runs of each model; most nodes need some ten.
    """
    several = modules_of(models)
    if not several:
        raise ParameterError("models", "at least one model", models)
    check_integer("samples", samples, low=1)
    check_integer("max_changes", max_changes, low=1)
    check_choice("attack", attack, get_args(Attack))
    check_integer("seed", seed, low=0, high=MAX_SEED)
    oracle = BayesOracle.of(dataset)
    if oracle.block_model.p <= oracle.block_model.q:
        got = f"p = {oracle.block_model.p:g}, q = {oracle.block_model.q:g}"
        raise ParameterError("dataset", "one with p > q: edges to the other class do not mislead here", got)
    generator = generator_for("over-robustness", seed)
    drawn = [_draw(oracle.block_model, dataset, attack, generator) for _ in range(samples)]
    measured = [_measured(ModelView(model), dataset, drawn, max_changes) for model in several]
    model, bayes, both, nodes, capped = zip(*measured, strict=True)
    return OverRobustness(attack, model, bayes, both, nodes, samples, capped)


@dataclass(frozen=True, eq=False)
class _NewNode:
    """A node drawn given a graph: its class, features, neighbours, and whom it is joined to in an attack.

    Attributes
    ----------
    margin
        The oracle's log-odds of the true class.
    step
        What each edge of the attack takes from it.
    """

    label: int
    x: Tensor
    neighbours: Tensor
    candidates: Tensor
    margin: float
    step: float

    def withstood_by_bayes(self, most: int) -> int:
        """Edges after which the oracle still tells the true class, at most `most`."""
        return min(math.ceil(self.margin / self.step) - 1, most)

    def joined(self, dataset: Dataset, changes: int) -> Data:
        """The graph with this node, and its first `changes` edges of the attack."""
        graph = dataset.graph
        ends = torch.cat([self.neighbours, self.candidates[:changes]])
        one = torch.stack([torch.full_like(ends, int(graph.num_nodes)), ends])
        edge_index = torch.cat([graph.edge_index, one, one.flip(0)], dim=1)
        return Data(x=torch.cat([graph.x, self.x[None]]), edge_index=edge_index)


def _draw(
    block_model: ContextualBlockModel, dataset: Dataset, attack: str, generator: torch.Generator
) -> _NewNode:
    y, x = dataset.graph.y, dataset.graph.x
    label = int(torch.randint(2, (), generator=generator))
    noise = torch.randn(x.shape[1], generator=generator, dtype=torch.float64)
    own = ((2 * label - 1) * block_model.mean + block_model.sigma * noise).to(x.dtype)
    chance = torch.where(y == label, block_model.p, block_model.q)
    joined = torch.rand(len(y), generator=generator, dtype=torch.float64) < chance
    candidates = ((y != label) & ~joined).nonzero().view(-1)
    if attack == "random":
        candidates = candidates[torch.randperm(len(candidates), generator=generator)]
    else:
        distance = (x[candidates] - own).norm(dim=1)
        candidates = candidates[distance.argsort(descending=attack == "farthest", stable=True)]
    agrees = torch.where(y == label, 1.0, -1.0).double()
    gap = block_model.gap_log_ratio
    step = block_model.edge_log_ratio - gap
    features = (2 * label - 1) * float(block_model.feature_log_odds(own))
    margin = features + step * float(agrees[joined].sum()) + gap * float(agrees.sum())
    return _NewNode(label, own, joined.nonzero().view(-1), candidates, margin, step)


def _measured(
    view: ModelView, dataset: Dataset, drawn: Sequence[_NewNode], max_changes: int
) -> tuple[float, float, float, int, int]:
    """R(f), R(g), R(f, g), how many nodes they are of, and how many of these were capped."""
    totals, nodes, capped = [0.0, 0.0, 0.0], 0, 0
    with view.borrow(), torch.no_grad():
        for node in drawn:
            if not len(node.neighbours) or node.margin <= 0 or not _is_right(view, dataset, node, 0):
                continue
            most = min(max_changes, len(node.candidates))
            withstood = next(
                (count - 1 for count in range(1, most + 1) if not _is_right(view, dataset, node, count)), most
            )
            by_bayes = node.withstood_by_bayes(most)
            nodes, capped = nodes + 1, capped + (withstood == most)
            for place, count in enumerate((withstood, by_bayes, min(withstood, by_bayes))):
                totals[place] += count / len(node.neighbours)
    model, bayes, both = (total / nodes if nodes else math.nan for total in totals)
    return model, bayes, both, nodes, capped


def _is_right(view: ModelView, dataset: Dataset, node: _NewNode, changes: int) -> bool:
    chosen = view.prediction(node.joined(dataset, changes), NODES)
    if chosen is None:
        raise ModelError("the model must give a class for every node, got an output of another shape")
    return int(predicted_classes(chosen[1])[-1]) == node.label


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def _interval(values: tuple[float, ...]) -> Interval:
    if any(map(math.isnan, values)):
        return Interval(math.nan, math.nan, math.nan, 0.95, 0, "undefined: 0/0 in a training")
    return interval_over_starts(values, (0.0, 1.0))
