"""The result of an audit: what one trained model matches on one data set, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from graph_metamers.evidence.controls import BASELINE_MEASURES

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor, nn

    from graph_metamers.auditing.layer_results import LayerAudit
    from graph_metamers.auditing.theory import Theory
    from graph_metamers.checks import CheckReport
    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.controls import Baseline
    from graph_metamers.evidence.excess import ScaledExcess
    from graph_metamers.evidence.measures import Measure
    from graph_metamers.evidence.panel_report import PanelReport
    from graph_metamers.metrics.classification import Accuracy
    from graph_metamers.training.scoring import Scores
    from graph_metamers.types import FeatureKind, Graph, Json, Varies


@dataclass(frozen=True)
class DatasetCard:
    """What a report says about a data set.

    Attributes
    ----------
    name, source, notes, split
        As in `Dataset`; `split` is its description.
    num_nodes, num_edges, num_features, num_classes
        Counts; an undirected edge counts twice, once each way.
    homophily
        Share of edges that join two nodes of one class, [0, 1].
    feature_kind, feature_names, image_shape, class_names
        As in `Dataset`.
    fingerprint
        SHA-256 of features, edges, labels and split.
    """

    name: str
    source: str
    notes: tuple[str, ...]
    split: str
    num_nodes: int
    num_edges: int
    num_features: int
    num_classes: int
    homophily: float
    feature_kind: FeatureKind
    feature_names: tuple[str, ...] | None
    image_shape: tuple[int, int] | None
    class_names: tuple[str, ...]
    fingerprint: str

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetCard:
        """The card of a data set."""
        return cls(
            name=dataset.name,
            source=dataset.source,
            notes=dataset.notes,
            split=dataset.split.description,
            num_nodes=dataset.num_nodes,
            num_edges=dataset.num_edges,
            num_features=dataset.num_features,
            num_classes=dataset.num_classes,
            homophily=dataset.homophily,
            feature_kind=dataset.feature_kind,
            feature_names=dataset.feature_names,
            image_shape=dataset.image_shape,
            class_names=dataset.class_names,
            fingerprint=dataset.fingerprint,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What one trained model matches on one data set.

    Attributes
    ----------
    model_name
        How the model is called in tables and figures.
    dataset
        What a report says about the data set.
    graph
        The reference graph.
    labels, predictions
        True class and predicted class of every node of the reference, int64 [n].
    scores
        The model's accuracy, beside chance.
    controls
        Accuracy on the test nodes of what does without the model, by name.
    checks
        What is questionable about model and graph.
    layers
        One per audited layer, in the order of computation.
    theory
        What can be computed without a search; `None` where edges vary, alone or beside features.
    model
        The model; `None` for a loaded audit of a model that is not of this package.
    config
        Settings of model, training and search; what may vary is in `config["search"]["vary"]`.
    provenance
        Versions, fingerprints, seconds.
    observers
        What other classifiers take the nodes of the found graphs for; `None` where nobody was asked.
    oracle
        Layer -> how often the Bayes oracle gives matched nodes another class; empty unless the data set was
        drawn from a block model, of which the true classes are known.
    """

    model_name: str
    dataset: DatasetCard
    graph: Graph
    labels: Tensor
    predictions: Tensor
    scores: Scores
    controls: Mapping[str, Accuracy]
    checks: CheckReport
    layers: tuple[LayerAudit, ...]
    theory: Theory | None
    model: nn.Module | None
    config: Mapping[str, Json]
    provenance: Mapping[str, Json]
    observers: PanelReport | None = None
    oracle: Mapping[str, ScaledExcess] = field(default_factory=dict)

    @property
    def at_chance(self) -> bool:
        """Whether the model is not shown to be better than always answering the most frequent class."""
        return self.scores.test.at_chance

    @property
    def num_starts(self) -> int:
        """From how many starts each layer was searched."""
        return len(self.layers[0].starts) if self.layers else 0

    @property
    def varies(self) -> Varies:
        """What its searches were allowed to change."""
        return self.layers[0].varies if self.layers else "features"

    @property
    def objective(self) -> str:
        """What its searches were for: `match` or `farthest`, see `generate`."""
        search = self.config.get("search")
        found = search.get("objective") if isinstance(search, dict) else None
        return found if isinstance(found, str) else "match"

    @property
    def went_farther(self) -> bool:
        """Whether searches went on from their first match; those of binary features have no need to."""
        return any(layer.metamer.distance_trace for layer in self.layers)

    @property
    def baselines(self) -> tuple[tuple[Baseline, ...], ...]:
        """The controls of each layer, in the order of `layers`; see `baseline_rows`."""
        return tuple(layer.baselines for layer in self.layers)

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer: how the searches ended, and every measure.

        A measure is the mean over the starts, with the ends of its 95% interval (`<measure>_low`,
        `<measure>_high`, nan with one start) and its chance level (`<measure>_chance`, `_chance_low`,
        `_chance_high`). `pandas.DataFrame(audit.rows())` is a table.
        """
        rows = []
        for layer in self.layers:
            row: dict[str, Any] = {
                "model": self.model_name,
                "dataset": self.dataset.name,
                "test_accuracy": self.scores.test.accuracy,
                "test_accuracy_chance": self.scores.test.chance,
                "at_chance": self.at_chance,
                "layer": layer.name,
                "depth": layer.depth,
                "varies": self.varies,
                "objective": self.objective,
                "num_starts": len(layer.starts),
                "num_metamers": layer.num_metamers,
                "first_status": layer.metamer.status.value,
                "steps": sum(start.steps for start in layer.starts) / len(layer.starts),
            }
            for name, measure in layer.measures.items():
                row |= _with_intervals(name, measure)
            rows.append(row)
        return rows

    def cross_layer_rows(self) -> list[dict[str, Any]]:
        """One row per pair of layers: what the metamers of `layer` are `at_layer`, as in `rows`.

        `activation_loss` is theirs at the other layer; `closer_share` the share of nodes that are closer to
        their reference there than any real node is.
        """
        return [
            {"model": self.model_name, "dataset": self.dataset.name, "layer": layer.name, "at_layer": other}
            | {
                column: value
                for name, measure in measures.items()
                for column, value in _with_intervals(name, measure).items()
            }
            for layer in self.layers
            for other, measures in layer.elsewhere.items()
        ]

    def baseline_rows(self) -> list[dict[str, Any]]:
        """One row per layer and control: how far one gets with less than a search.

        Measures are those of `rows` under the same names, each with `_low` and `_high`; nan where one does
        not apply, or the control could not be made (`why_not` then says why).
        """
        return [
            {
                "model": self.model_name,
                "dataset": self.dataset.name,
                "layer": layer.name,
                "depth": layer.depth,
                "varies": self.varies,
                "baseline": baseline.name,
                "num_seeds": baseline.num_seeds,
                "why_not": baseline.why_not,
            }
            | _of_baseline(baseline)
            for layer in self.layers
            for baseline in layer.baselines
        ]

    def node_rows(self) -> list[dict[str, Any]]:
        """One row per layer, start and node: gates, losses, distances; see `save_nodes`."""
        from graph_metamers.auditing.node_table import node_rows  # noqa: PLC0415 (it imports this file)

        return list(node_rows(self))

    def save_nodes(self, path: str | os.PathLike[str]) -> None:
        """Save `node_rows` as a CSV file."""
        from graph_metamers.auditing.node_table import save_node_table  # noqa: PLC0415 (it imports this file)

        save_node_table(self, path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save to a folder; see `save_audit`."""
        from graph_metamers.auditing.audit_files import save_audit  # noqa: PLC0415 (it imports this file)

        save_audit(self, path)

    def __repr__(self) -> str:
        lines = [f"  {layer.name}: {_line(layer)}" for layer in self.layers]
        flag = " - AT CHANCE" if self.at_chance else ""
        head = f"Audit({self.model_name} on {self.dataset.name}, test accuracy {self.scores.test}{flag}"
        return "\n".join([head, *lines, ")"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(layer.name)}</th><td>{escape(_line(layer))}</td></tr>"
            for layer in self.layers
        )
        title = f"{self.model_name} on {self.dataset.name}, test accuracy {self.scores.test}"
        return f"<p>{escape(title)}{' - AT CHANCE' if self.at_chance else ''}</p><table>{rows}</table>"


def _with_intervals(name: str, measure: Measure) -> dict[str, float]:
    found, chance = measure.interval, measure.chance_interval
    return {
        name: found.estimate,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        f"{name}_chance": chance.estimate,
        f"{name}_chance_low": chance.low,
        f"{name}_chance_high": chance.high,
    }


def _of_baseline(baseline: Baseline) -> dict[str, float]:
    row: dict[str, float] = {}
    for name in BASELINE_MEASURES:
        found = baseline.interval(name)
        ends = (math.nan,) * 3 if found is None else (found.estimate, found.low, found.high)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
    return row


def _line(layer: LayerAudit) -> str:
    measures = layer.measures
    distances = ", ".join(
        f"{name.replace('_', ' ')} {measures[name].value:.2f}" for name in _DISTANCES[layer.varies]
    )
    return (
        f"{layer.found} searches found a metamer, activation loss {measures['activation_loss'].value:.2e}, "
        f"{distances}, passing all gates "
        f"{measures['passing_share'].value:.1%}, same prediction {measures['prediction_agreement'].value:.1%}"
    )


_DISTANCES: Mapping[Varies, tuple[str, ...]] = {
    "features": ("visible_distance",),
    "structure": ("edge_overlap",),
    "both": ("visible_distance", "edge_overlap"),
}
