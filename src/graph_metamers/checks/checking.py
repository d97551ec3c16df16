"""Is this model, with this graph, fit for metamers?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graph_metamers.checks.findings import CheckReport, Finding
from graph_metamers.checks.graph_checks import check_graph, check_variation
from graph_metamers.checks.model_checks import check_behaviour, check_modules
from graph_metamers.inputs import Vary, resolve_variables, slots_of, structure_of
from graph_metamers.reading import ModelView, default_layers
from graph_metamers.reading.guarding import require_readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from graph_metamers.metrics.classification import Accuracy
    from graph_metamers.types import Forward, Graph, Transform


def check(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str] | None = None,
    *,
    vary: Vary = "features",
    forward: Forward | None = None,
    transform: Transform | None = None,
    accuracy: Accuracy | None = None,
) -> CheckReport:
    """Look for everything that would make a metamer of this model on this graph meaningless.

    Changes nothing: model, graph and random state are afterwards as they were.

    Parameters
    ----------
    model
        Any module.
    graph
        The reference graph.
    layer
        Layers to look at; default: those that an audit reads.
    vary
        What may vary, as in `generate`; only these features are looked at, all of them where edges vary.
    forward, transform
        How the model is called; see `activations`.
    accuracy
        The model's test accuracy, if known: a model at chance is then found too.

    Returns
    -------
    CheckReport
        Its `raise_for_errors()` turns errors into an exception.

    Raises
    ------
    LayerNotFoundError, BindingError
        If a layer or an argument of the model's forward does not exist.
    ModelError
        If the model cannot be looked into (TorchScript), or is built for another number of features.
    """
    require_readable(model)
    edges_vary = structure_of(vary) is not None
    read: Vary = "features" if edges_vary else vary
    slots = slots_of(read, graph)
    findings = [*check_graph(graph, slots), *check_modules(model), *_check_accuracy(accuracy)]
    if not any(finding.severity == "error" for finding in findings):
        variables = resolve_variables(read, graph)
        if not edges_vary:
            findings += check_variation(variables)
        view = ModelView(model, forward, transform)
        # The caller may be inside no_grad or inference_mode.
        with torch.inference_mode(False), torch.enable_grad(), view.borrow():
            names = [layer] if isinstance(layer, str) else list(layer or default_layers(view.layers(graph)))
            found = check_behaviour(view, variables, names)
            # A model may do without features, or be saturated in them, and still see edges.
            findings += [one for one in found if not (edges_vary and one.code == "no-gradient")]
    return CheckReport(tuple(sorted(findings, key=lambda finding: finding.severity)))


def _check_accuracy(accuracy: Accuracy | None) -> list[Finding]:
    if accuracy is None or not accuracy.at_chance:
        return []
    return [
        Finding(
            "at-chance",
            "warning",
            "a model should be better than always answering the most frequent class",
            f"{accuracy.accuracy:.1%} right, where chance is {accuracy.chance:.1%}",
            "Its invariances say nothing about a trained model: train it longer, or use another one.",
        )
    ]
