"""The Bayes oracle of saved graphs, in plain NumPy; nothing here imports graph-metamers.

Probabilities are written as the block model defines them: dense matrices, sums over all assignments.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from plain_pyg import rebuild
from safetensors.numpy import load_file
from scipy import stats

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from torch_geometric.nn import LabelPropagation

Arrays = dict[str, "NDArray[Any]"]
RELATIVE_ERROR = 0.1
RESAMPLES = 4000


def accuracies(folder: Path) -> list[dict[str, float]]:
    """For each saved graph: its K, how many nodes the oracle gets right, and how many it should."""
    rows = []
    for path in sorted(folder.glob("graph-*.safetensors")):
        graph = load_file(path)
        truth = graph["y"] == 1
        _, sigma, _, _ = graph["settings"]
        rows.append(
            {
                "K": 2 * float(np.linalg.norm(graph["mean"])) / sigma,
                "right": float(((_log_odds(graph) > 0) == truth).mean()),
                "expected": _expected(graph),
                "features": float(((graph["x"] @ graph["mean"] > 0) == truth).mean()),
            }
        )
    return rows


def _log_odds(graph: Arrays, others: Arrays | None = None) -> NDArray[np.float64]:
    """Of class 1, given the true labels of all others; features and edges are those of `others`, if given."""
    changed = graph if others is None else others
    num_nodes = len(graph["y"])
    _, sigma, p, q = graph["settings"]
    signs = 2.0 * graph["y"] - 1
    joined = np.zeros((num_nodes, num_nodes), dtype=bool)
    joined[tuple(changed["edge_index"])] = True
    says = np.where(joined, np.log(p / q), np.log((1 - p) / (1 - q)))
    np.fill_diagonal(says, 0)
    return 2 / sigma**2 * changed["x"].astype(np.float64) @ graph["mean"] + says @ signs


def _expected(graph: Arrays) -> float:
    """The mean over nodes of E Phi((K^2/2 + what edges say) / K), edges by their binomial distributions."""
    _, sigma, p, q = graph["settings"]
    K = 2 * np.linalg.norm(graph["mean"]) / sigma
    sizes = np.bincount(graph["y"], minlength=2)
    total = 0.0
    for size, others in zip(sizes, sizes[::-1], strict=True):
        mine, theirs = np.arange(size), np.arange(others + 1)  # one node fewer: it is no neighbour of its own
        chance = np.outer(stats.binom.pmf(mine, size - 1, p), stats.binom.pmf(theirs, others, q))
        says = np.log(p / q) * np.subtract.outer(mine, theirs) + np.log(
            (1 - p) / (1 - q)
        ) * np.subtract.outer(size - 1 - mine, others - theirs)
        total += size * (chance * stats.norm.cdf((K**2 / 2 + says) / K)).sum()
    return float(total / sizes.sum())


def posteriors(folder: Path) -> dict[str, list[float]]:
    """Log-odds of every node of small saved graphs, by the sum over all assignments; infinite where known."""
    found = {}
    for path in sorted(folder.glob("small-*.safetensors")):
        graph = load_file(path)
        num_nodes = len(graph["y"])
        _, sigma, p, q = graph["settings"]
        signs = 2 * (np.arange(2**num_nodes)[:, None] >> np.arange(num_nodes) & 1) - 1
        allowed = (signs[:, graph["known"]] == (2 * graph["y"] - 1)[graph["known"]]).all(axis=1)
        signs = signs[allowed]
        joined = np.zeros((num_nodes, num_nodes), dtype=bool)
        joined[tuple(graph["edge_index"])] = True
        log = np.zeros(len(signs))
        for node in range(num_nodes):
            away = graph["x"][node] - signs[:, node, None] * graph["mean"]
            log -= (away**2).sum(axis=1) / (2 * sigma**2)
            for other in range(node):
                chance = np.where(signs[:, node] == signs[:, other], p, q)
                log += np.log(chance if joined[node, other] else 1 - chance)
        log -= log.max()
        up, down = (
            np.array([np.exp(log[signs[:, node] == sign]).sum() for node in range(num_nodes)])
            for sign in (1, -1)
        )
        with np.errstate(divide="ignore"):
            found[path.stem] = [float(value) for value in np.log(up) - np.log(down)]
    return found


def excess(folder: Path) -> dict[str, dict[str, Any]]:
    """Model -> counts of every run and the ratio with its interval, from saved metamers and noise."""
    reference = load_file(folder / "reference.safetensors")
    before = _log_odds(reference) > 0
    changed: dict[int, list[NDArray[np.bool_]]] = {}
    for path in folder.glob("noise-*.safetensors"):
        flips = (_log_odds(reference, load_file(path)) > 0) != before
        changed.setdefault(int(path.stem.split("-")[1]), []).append(flips)
    noise = {start: np.mean(flips, axis=0) for start, flips in changed.items()}
    rows: dict[str, dict[str, Any]] = {}
    for name, shape in json.loads((folder / "runs.json").read_text()).items():
        counts = np.zeros((*shape, 3))
        for training in range(shape[0]):
            for start in range(shape[1]):
                found = load_file(folder / f"{name}-{training}-{start}.safetensors")
                matched = _matched(folder, name, training, reference, found)
                flipped = (_log_odds(reference, found) > 0) != before
                each = matched.sum(), (matched & flipped).sum(), noise[start][matched].sum()
                counts[training, start] = each
        rows[name] = {"counts": counts.tolist(), "interval": _ratio(counts[..., 1], counts[..., 2])}
    return rows


def _matched(folder: Path, name: str, training: int, reference: Arrays, found: Arrays) -> NDArray[np.bool_]:
    """Nodes at which the output differs by a tenth at the most: computed anew for networks."""
    if name in ("oracle", "constant"):
        return np.sqrt(found["item_loss"]) <= RELATIVE_ERROR
    with torch.no_grad():
        ours, theirs = (_output(folder, name, training, graph, reference) for graph in (found, reference))
    return ((ours - theirs).norm(dim=1) <= RELATIVE_ERROR * theirs.norm(dim=1)).numpy()


def _output(folder: Path, name: str, training: int, graph: Arrays, reference: Arrays) -> torch.Tensor:
    place = folder / f"{name.removesuffix('+lp')}-{training}"
    network = rebuild(place, json.loads((place / "model.json").read_text())).double()
    edges = torch.from_numpy(graph["edge_index"])
    output = network(torch.from_numpy(graph["x"]).double(), edges)["output"]
    if not name.endswith("+lp"):
        return output
    told, train = output.softmax(dim=1), torch.from_numpy(reference["train"])
    told[train] = torch.nn.functional.one_hot(torch.from_numpy(reference["y"])[train], 2).double()
    spread = LabelPropagation(10, 0.7)(told, edges).clamp(min=1e-6).log()
    return spread - spread.mean(dim=1, keepdim=True)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> list[float]:
    """The ratio of the sums and its 95% interval: trainings are drawn, then starts, the same for all."""
    if not below.sum():
        return [float("nan")] * 3
    generator = np.random.default_rng(1)
    ratios = []
    for _ in range(RESAMPLES):
        rows = generator.integers(len(above), size=len(above))
        columns = generator.integers(above.shape[1], size=above.shape[1])
        total = below[rows][:, columns].sum()
        ratios.append(above[rows][:, columns].sum() / total if total else np.nan)
    return [float(above.sum() / below.sum()), *map(float, np.nanquantile(ratios, [0.025, 0.975]))]
