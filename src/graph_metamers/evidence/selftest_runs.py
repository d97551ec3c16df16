"""What each case of the self-test does, and whether the right thing came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch_geometric.nn import GCN

from graph_metamers.datasets import load_dataset
from graph_metamers.evidence.gating import GateReport, gates
from graph_metamers.evidence.null import null_distribution
from graph_metamers.evidence.outcome import Outcome
from graph_metamers.evidence.planted import (
    Bypass,
    Identity,
    Linear,
    Perceptron,
    Reader,
    invertible,
    planted,
)
from graph_metamers.evidence.planted_graphs import (
    NUM_CLASSES,
    NUM_FEATURES,
    kept_edges,
    planted_graph,
    rewired,
)
from graph_metamers.inputs import Features, Vary
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis import Metamer, Status, WordSwaps, generate

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn
    from torch_geometric.data import Data

    from graph_metamers.synthesis.solvers import Solver

FOUND = 0.9  # share of nodes, of a metamer within the tolerance: predictions that were nearly a tie may flip
EXACT = 0.99  # share of nodes, where the activations are equal but for rounding
ALMOST_NOTHING = 0.05  # share of nodes
BACK = 0.1  # distance on the chance scale, below which features are the reference's again
GONE = 0.5  # the same, above which nothing is left of them

NARROW = 4  # hidden units where something has to be free
WIDE = 16
PAIRS = 100  # of the pooled null, which no gate asks


def ignored_columns(seed: int) -> Outcome:
    """Half of the columns have weight zero."""
    graph, (ignored, read) = planted_graph(seed), _halves(seed)
    metamer, report = _search(lambda: Reader(_pick(read), NUM_CLASSES), graph, "hidden", seed)
    x, found = graph.x, metamer.graph.x
    lost, kept = _distance(found[:, ignored], x[:, ignored]), _distance(found[:, read], x[:, read])
    return Outcome(
        f"{_ending(metamer)}; ignored columns at {lost:.2f}, read ones at {kept:.2f}; {_accepted(report)}",
        metamer.is_metamer and lost >= GONE and kept < BACK and _share(report.passes) >= FOUND,
        _share(report.passes),
        metamer,
    )


def duplicated_columns(seed: int) -> Outcome:
    """Only the sum of two copies of every column is read."""
    graph = planted_graph(seed)
    half = NUM_FEATURES // 2
    graph.x = graph.x[:, :half].repeat(1, 2)
    metamer, report = _search(
        lambda: Reader(torch.eye(half).repeat(2, 1), NUM_CLASSES), graph, "hidden", seed
    )
    x, found = graph.x[:, :half], metamer.graph.x
    kept = _distance((found[:, :half] + found[:, half:]) / 2, x)
    lost = _distance(x + found[:, :half] - found[:, half:], x)  # the copies of the reference do not differ
    return Outcome(
        f"{_ending(metamer)}; copies apart by {lost:.2f}, their sum at {kept:.2f}; {_accepted(report)}",
        metamer.is_metamer and lost >= GONE and kept < BACK and _share(report.passes) >= FOUND,
        _share(report.passes),
        metamer,
    )


def ignored_edges(seed: int) -> Outcome:
    """A perceptron is given other edges."""
    graph = planted_graph(seed)
    model = planted(lambda: Perceptron(NUM_FEATURES, NARROW, NUM_CLASSES), seed)
    changed = rewired(graph, seed)
    report = gates(changed, null_distribution(model, graph, "hidden", pairs=PAIRS))
    return Outcome(
        f"{kept_edges(changed, graph):.0%} of the old edges left; {_accepted(report)}",
        _share(report.passes) >= EXACT,
        _share(report.passes),
    )


def null_space(seed: int) -> Outcome:
    """A narrow GCN is given noise in the directions that it does not read."""
    graph = planted_graph(seed)
    model = planted(_gcn, seed)
    changed = graph.clone()
    # Not the package's own search for what a layer reads: what is planted must not come from what is tested.
    changed.x = _noise_beside(graph.x, model.convs[0].lin.weight, seed)
    report = gates(changed, null_distribution(model, graph, "output", pairs=PAIRS))
    in_null_space = _share(report.null_space_metamers)
    return Outcome(
        f"{_accepted(report)}, {in_null_space:.1%} as null space",
        in_null_space >= EXACT,
        _share(report.passes),
    )


def identity(seed: int) -> Outcome:
    """The layer is the features."""
    return _has_to_come_back(Identity, seed)


def invertible_map(seed: int) -> Outcome:
    """The layer is a linear map that loses nothing."""
    return _has_to_come_back(lambda: invertible(NUM_FEATURES), seed)


def lookup(seed: int) -> Outcome:
    """Every node's one-hot name stands for numbers of its own."""
    graph = load_dataset("karate").graph
    one_each = Features(kind="binary", ones="per_node")
    metamer, report = _search(
        lambda: Linear(torch.randn(graph.num_nodes, WIDE)),
        graph,
        "output",
        seed,
        vary=one_each,
        solver=WordSwaps(reference_words="free"),  # its default never comes back, whatever a layer keeps
    )
    failed = metamer.status in (Status.RECOVERED_REFERENCE, Status.MAX_STEPS, Status.STALLED)
    return Outcome(
        f"{_ending(metamer)}; {_accepted(report)}",
        failed and _share(report.passes) <= ALMOST_NOTHING,
        _share(report.passes),
        metamer,
    )


def other_class(seed: int) -> Outcome:
    """The layer stays as it is, and every predicted class changes."""
    graph, (ignored, read) = planted_graph(seed), _halves(seed)
    model = planted(lambda: Bypass(_pick(read), _pick(ignored), NUM_CLASSES), seed)
    with torch.no_grad():
        chosen = model(graph.x, graph.edge_index).argmax(dim=1)
    differs = (chosen.unsqueeze(1) != chosen).double()
    donor = differs.multinomial(1, generator=generator_for("planted donors", seed)).flatten()
    changed = graph.clone()
    changed.x = graph.x.clone()
    changed.x[:, ignored] = graph.x[donor][:, ignored]
    report = gates(changed, null_distribution(model, graph, "hidden", pairs=PAIRS))
    return Outcome(
        f"{_share(report.same_prediction):.1%} of nodes pass gate 1; {_accepted(report)}",
        not bool(report.same_prediction.any()) and not bool(report.passes.any()),
        _share(report.passes),
    )


def nearest_real_node(seed: int) -> Outcome:
    """Every node gets the features of the real node that the layer takes it for most easily."""
    graph = planted_graph(seed)
    model = planted(lambda: Perceptron(NUM_FEATURES, WIDE, NUM_CLASSES), seed)
    null = null_distribution(model, graph, "hidden", pairs=PAIRS)
    changed = graph.clone()
    changed.x = graph.x[null.nearest_item]
    report = gates(changed, null)
    return Outcome(
        f"{_share(report.closer):.1%} of nodes pass gate 2; {_accepted(report)}",
        not bool(report.closer.any()) and not bool(report.passes.any()),
        _share(report.passes),
    )


def other_edges(seed: int) -> Outcome:
    """A GCN is given other edges."""
    graph = planted_graph(seed)
    changed = rewired(graph, seed)
    report = gates(changed, null_distribution(planted(_gcn, seed), graph, "output", pairs=PAIRS))
    return Outcome(
        f"{kept_edges(changed, graph):.0%} of the old edges left; {_accepted(report)}",
        _share(report.passes) <= ALMOST_NOTHING,
        _share(report.passes),
    )


def _has_to_come_back(build: Callable[[], nn.Module], seed: int) -> Outcome:
    metamer, report = _search(build, planted_graph(seed), "output", seed)
    return Outcome(
        f"{_ending(metamer)}; {_accepted(report)}",
        metamer.status is Status.RECOVERED_REFERENCE and _share(report.passes) <= ALMOST_NOTHING,
        _share(report.passes),
        metamer,
    )


def _search(
    build: Callable[[], nn.Module],
    graph: Data,
    layer: str,
    seed: int,
    *,
    vary: Vary = "features",
    solver: str | Solver = "auto",
) -> tuple[Metamer, GateReport]:
    """Search with the settings that users have, and ask the gates."""
    model = planted(build, seed)
    metamer = generate(model, graph, layer, vary=vary, solver=solver, seed=seed)
    return metamer, gates(metamer, null_distribution(model, graph, layer, pairs=PAIRS), vary=vary)


def _halves(seed: int) -> tuple[Tensor, Tensor]:
    """Two random halves of the columns."""
    columns = torch.randperm(NUM_FEATURES, generator=generator_for("planted columns", seed))
    return columns[: NUM_FEATURES // 2], columns[NUM_FEATURES // 2 :]


def _pick(columns: Tensor) -> Tensor:
    """The matrix S, [F, r], with which x @ S is these columns of x."""
    return torch.eye(NUM_FEATURES)[:, columns]


def _gcn() -> GCN:
    # Not ReLU: of few units with random weights, all can be off at half of the nodes, and the model is then
    # really blind to edges between these.
    return GCN(NUM_FEATURES, NARROW, num_layers=2, out_channels=NUM_CLASSES, act="tanh")


def _noise_beside(x: Tensor, weight: Tensor, seed: int) -> Tensor:
    """Features, [n, F], with noise in every direction that the rows of a weight, [r, F], do not read."""
    basis, _ = torch.linalg.qr(weight.detach().double().T)
    generator = generator_for("planted noise", seed)
    noise = x.mean(dim=0) + x.std(dim=0) * torch.randn(x.shape, generator=generator)
    away = (noise - x).double()
    beside: Tensor = x.double() + away - away @ basis @ basis.T
    return beside.to(x.dtype)


def _distance(changed: Tensor, reference: Tensor) -> float:
    """How far features, [n, F], are from others: 0 = the same, 1 = drawn from random nodes.

    That draws differ by 2 sum_ij (x_ij - mu_j)^2 in the mean square.
    """
    expected = 2 * (reference - reference.mean(dim=0)).square().sum()
    return float(((changed - reference).square().sum() / expected).sqrt())


def _ending(metamer: Metamer) -> str:
    met = metamer.status in (Status.CONVERGED, Status.RECOVERED_REFERENCE)
    how = metamer.status.value if met else f"not found within {metamer.steps} steps ({metamer.status.value})"
    return f"{how}, loss {metamer.activation_loss:.1e}, distance {metamer.input_distance.scaled:.2f}"


def _accepted(report: GateReport) -> str:
    return f"{_share(report.passes):.1%} of nodes accepted"


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
