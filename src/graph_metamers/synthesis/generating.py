"""generate(): find a graph that a model's layer cannot tell from the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from graph_metamers.checks import check
from graph_metamers.errors import ModelError, ParameterError
from graph_metamers.inputs import Init, Variables, Vary, resolve_variables
from graph_metamers.inputs.feature_values import BinaryFeatures, BoundedFeatures, RangedFeatures
from graph_metamers.inputs.slots import read_edges, read_features
from graph_metamers.metrics.classification import Agreement, Task, prediction_agreement
from graph_metamers.metrics.fidelity import activation_loss, item_loss
from graph_metamers.parameters import MAX_SEED, check_choice, check_integer, check_real
from graph_metamers.randomness import generator_for
from graph_metamers.reading import ModelView
from graph_metamers.reading.items import items_of
from graph_metamers.reading.view import prediction_among
from graph_metamers.storage import environment, fingerprint
from graph_metamers.synthesis.budget import Budget
from graph_metamers.synthesis.compressing import compressed_search
from graph_metamers.synthesis.memory import require_memory
from graph_metamers.synthesis.metamer import Metamer, final_status
from graph_metamers.synthesis.objectives import OBJECTIVES, Objective, solver_for, variables_for
from graph_metamers.synthesis.problem import Problem
from graph_metamers.synthesis.solvers import (
    LBFGS,
    SOLVER_NAMES,
    NullSpace,
    Search,
    SearchProgress,
    Solution,
    Solver,
    resolve_solver,
)

if TYPE_CHECKING:
    from torch import nn

    from graph_metamers.types import Forward, Graph, Json, Transform

Callback = Callable[[SearchProgress], None]


def generate(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str],
    *,
    vary: Vary = "features",
    objective: Objective = "match",
    index: Tensor | Sequence[int] | None = None,
    transform: Transform | None = None,
    forward: Forward | None = None,
    solver: str | Solver = "auto",
    init: Init = "noise",
    budget: Budget | None = None,
    tolerance: float = 1e-3,
    min_distance: float = 0.1,
    task: Task = "auto",
    prediction_tolerance: float | None = None,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
) -> Metamer:
    """Search for a graph whose activations at a layer are those of a reference graph.

    Parameters
    ----------
    model
        Any module. It is run in eval mode and comes back as it was, also after an exception or Ctrl-C.
    graph
        The reference: a `Data`, a `Batch` or a `HeteroData`; never changed.
    layer
        A name or names out of `layers(model, graph)`; several are matched together.
    vary
        What may vary: `"features"`, a `Features`, or for a `HeteroData` a dict from node type to these.
    objective
        `"match"`: the first point within the tolerance. `"farthest"`: the search goes on from there, and
        the result is the farthest point seen that is within the tolerance. Bounded features stay in their
        bounds, continuous ones between their own smallest and largest value among the entries that may
        vary (also before the loss is met). Word swaps keep no word of a node and are farthest as they are.
    index
        Items (nodes, or graphs of a batch) whose activations have to match, integers or a bool mask;
        default: all. Only features that can reach them vary then.
    transform
        A PyTorch Geometric transform applied before the model; what varies is the raw graph.
    forward
        How to call the model, as `forward(model, graph)`; default: by the names of its parameters.
    solver
        `"lbfgs"`, `"adam"`, `"word_swaps"`, `"null_space"`, an object such as `LBFGS(history=20)`, or
        `"auto"`: L-BFGS where the loss is smooth; for binary features word swaps if the model reads few
        enough numbers of them, else Adam.
    init
        Where to start: `"noise"` with every feature's mean and deviation; `"permuted"`, every node with
        another node's features; `"reference"`, the reference with a nudge, which finds out whether the
        search can come back and is no fair start for a metamer.
    budget
        What may be spent; default: `Budget(steps=2000)`.
    tolerance
        Activation loss, ||h' - h||_F^2 / ||h||_F^2, up to which activations count as matched.
    min_distance
        Chance-scaled input distance (0 = the reference, 1 = unrelated) below which the result counts as
        the reference again.
    task, prediction_tolerance
        How predictions are compared; see `prediction_agreement`.
    seed
        Of the start. One seed gives one result; the same seed starts every layer at the same point.
    callbacks
        Called with a `SearchProgress` every few steps. `ProgressBar` is one.

    Returns
    -------
    Metamer
        Also when the search failed: read its `status` and `is_metamer`.

    Raises
    ------
    ParameterError
        If a parameter is outside its range.
    LayerNotFoundError, BindingError, CheckError, ModelError
        If the model has no such layer, cannot be called with this graph, or is not fit (see `check`).

    Notes
    -----
    Time is that of `budget.steps` forward and backward passes at the most; `"farthest"`
    usually takes 400 to 700, and moves all columns of the features. Source: arXiv 2510.17378, section 2;
    losses are those of the unmodified model on the real graph. `"farthest"` is ours.

    Examples
    --------
    >>> import torch, graph_metamers as gm
    >>> from torch_geometric.nn import GCN
    >>> dataset = gm.load_dataset("karate")
    >>> model = GCN(dataset.num_features, 8, num_layers=2, out_channels=4)
    >>> metamer = gm.generate(model, dataset.graph, "act", vary=gm.Features(kind="continuous"))
    >>> metamer.is_metamer
    True
    """
    started = time.monotonic()
    check_search(
        solver=solver,
        init=init,
        tolerance=tolerance,
        min_distance=min_distance,
        seed=seed,
        objective=objective,
    )
    seed, tolerance, min_distance = int(seed), float(tolerance), float(min_distance)
    names, budget = _names(layer), _budget(budget)
    if callable(callbacks):
        raise ParameterError("callbacks", "a list of functions", callbacks, "Write callbacks=[function]")
    view = ModelView(model, forward, transform)
    provenance = _provenance(model, graph)
    # The caller may be inside no_grad or inference_mode; a search needs gradients.
    with torch.inference_mode(False), torch.enable_grad(), view.borrow():
        variables = variables_for(objective, resolve_variables(vary, graph))
        check(model, graph, names, forward=forward, transform=transform, vary=vary).raise_for_errors()
        with torch.no_grad():
            taps, outputs = view.read(graph, names)
        targets = {name: tap.value for name, tap in taps.items()}
        items, num_items = _items(targets, graph)
        expected = prediction_among(outputs, graph, items)

        def agree(outputs: Mapping[str, Tensor]) -> Agreement | None:
            return _agreement(outputs, expected, task, prediction_tolerance)

        agree(
            outputs
        )  # a task that does not fit the output is better refused before the search than after it
        problem = Problem(view, variables, targets, _index(index, num_items))
        _require_energy(problem)
        if problem.index is not None:
            problem = problem.restricted(generator_for("probe", 0))
        start = problem.variables.start(init, generator_for("start", seed))
        compressed = compressed_search(problem, start)
        chosen = solver_for(objective, resolve_solver(solver, compressed.problem), compressed.problem)
        require_memory(chosen, compressed.start)
        if chosen.name == LBFGS.name and objective == "match":
            compressed = compressed.separated()
        if chosen.name != NullSpace.name:  # which evaluates once
            compressed = compressed.replayed()
        search = Search(budget, tolerance, lambda progress: _tell(callbacks, progress))
        solution = compressed.lifted(chosen.solve(compressed.problem, compressed.start, search))
        with torch.no_grad():
            config = _config(problem, chosen, budget) | {
                "objective": objective,
                "compression": compressed.description,
                "replay": compressed.replay,
                "blocks": compressed.problem.blocks.count,
                "init": init,
                "tolerance": tolerance,
                "min_distance": min_distance,
                "seed": seed,
                "task": task,
                "prediction_tolerance": prediction_tolerance,
                "own_forward": forward is not None,
                "transform": None if transform is None else repr(transform),
            }
            return _measure(
                problem,
                solution,
                start,
                items=items,
                config=config,
                provenance={**provenance, "seconds": time.monotonic() - started},
                agree=agree,
            )


def _measure(
    problem: Problem,
    solution: Solution,
    start: Tensor,
    *,
    items: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Json],
    agree: Callable[[Mapping[str, Tensor]], Agreement | None],
) -> Metamer:
    """Measure the real graph of a solution with the unmodified model."""
    variables, reference = problem.variables, problem.variables.reference
    graph = variables.discrete(solution.point)
    losses, per_item, outputs = _losses(problem, graph)
    if losses > config["tolerance"] and solution.matched_point is not None:
        graph = variables.discrete(solution.matched_point)
        losses, per_item, outputs = _losses(problem, graph)
    distance = variables.distance(graph, items)
    status = final_status(
        solution.status,
        losses,
        distance.scaled,
        tolerance=config["tolerance"],
        minimum=config["min_distance"],
    )
    return Metamer(
        graph=graph,
        reference=reference,
        layer=tuple(problem.targets),
        status=status,
        activation_loss=losses,
        relaxed_loss=solution.loss,
        start_loss=_losses(problem, variables.discrete(start))[0],
        tolerance=config["tolerance"],
        min_distance=config["min_distance"],
        item_loss=per_item,
        items=items,
        index=problem.index,
        input_distance=distance,
        prediction_agreement=agree(outputs),
        trace=solution.trace,
        distance_trace=solution.distance_trace,
        steps=solution.steps,
        config=config,
        provenance=provenance,
    )


def _losses(problem: Problem, graph: Graph) -> tuple[float, Tensor, dict[str, Tensor]]:
    """Activation loss and item losses, [items], in float64, of a real graph, means over layers; outputs."""
    taps, outputs = problem.view.read(graph, list(problem.targets))
    pairs = [
        (problem.choose(taps[name].value.double()), problem.choose(target.double()))
        for name, target in problem.targets.items()
    ]
    loss = torch.stack([activation_loss(ours, theirs) for ours, theirs in pairs]).mean()
    per_item = torch.stack([item_loss(ours, theirs) for ours, theirs in pairs]).mean(dim=0)
    return float(loss), per_item, outputs


def _agreement(
    outputs: Mapping[str, Tensor], expected: tuple[str, Tensor] | None, task: Task, tolerance: float | None
) -> Agreement | None:
    """Agreement of a model's outputs with the predictions expected of it; `None` where there are none."""
    if expected is None:
        return None
    name, predictions = expected
    output = outputs[name]
    if not bool(output.isfinite().all() and predictions.isfinite().all()):
        return None
    return prediction_agreement(output, predictions, task=task, tolerance=tolerance)


def _items(targets: Mapping[str, Tensor], graph: Graph) -> tuple[str, int]:
    for name, target in targets.items():
        if target.ndim == 0:
            raise ParameterError("layer", "a layer with one row per item", f"{name}, a single number")
    kinds = {name: (items_of(name, len(target), graph), len(target)) for name, target in targets.items()}
    if len(set(kinds.values())) != 1:
        listed = ", ".join(f"{name}: {count} {items}" for name, (items, count) in kinds.items())
        raise ParameterError("layer", "layers of the same items, to be matched together", listed)
    return next(iter(kinds.values()))


def _index(index: Tensor | Sequence[int] | None, num_items: int) -> Tensor | None:
    if index is None:
        return None
    try:
        chosen = torch.as_tensor(index)
    except (TypeError, ValueError, RuntimeError):
        raise ParameterError("index", f"integers, or a bool mask of shape [{num_items}]", index) from None
    if chosen.dtype == torch.bool and chosen.shape == (num_items,):
        chosen = chosen.nonzero().flatten()
    if chosen.is_floating_point() or chosen.dtype == torch.bool or chosen.ndim != 1 or not len(chosen):
        must = f"at least one item, as integers or as a bool mask of shape [{num_items}]"
        raise ParameterError("index", must, f"{chosen.dtype} of shape {list(chosen.shape)}")
    if int(chosen.min()) < 0 or int(chosen.max()) >= num_items:
        raise ParameterError("index", f"items from 0 to {num_items - 1}", chosen.tolist())
    if len(set(chosen.tolist())) != len(chosen):
        raise ParameterError("index", "items that are named once each", chosen.tolist())
    return chosen.long()


def _require_energy(problem: Problem) -> None:
    for name, target in problem.targets.items():
        if not bool(problem.choose(target).any()):
            raise ModelError(
                f"the activations to match must not all be zero, got only zeros at layer {name!r}: every "
                "unit is dead there, and any graph would match. Choose another layer or train the model again"
            )


def _tell(callbacks: Sequence[Callback], progress: SearchProgress) -> None:
    for callback in callbacks:
        callback(progress)


def check_search(
    *,
    solver: str | Solver,
    init: str,
    tolerance: float,
    min_distance: float,
    seed: int,
    objective: str = "match",
) -> None:
    """Check the settings of a search that need neither model nor graph; call it before anything long.

    Raises
    ------
    ParameterError
        If one is outside its range; see `generate`.
    """
    if isinstance(solver, str):
        check_choice("solver", solver, SOLVER_NAMES)
    check_choice("objective", objective, OBJECTIVES)
    check_choice("init", init, get_args(Init))
    check_real("tolerance", tolerance, low=0)
    check_real("min_distance", min_distance, low=0)
    check_integer("seed", seed, low=0, high=MAX_SEED)


def _names(layer: str | Sequence[str]) -> list[str]:
    if isinstance(layer, str | None) and not layer:
        raise ParameterError("layer", "the name of a layer, or several", layer)
    names = [layer] if isinstance(layer, str) else list(layer)
    if not names or len(set(names)) != len(names):
        raise ParameterError("layer", "one layer or several different ones", layer)
    return names


def _budget(budget: Budget | None) -> Budget:
    if budget is not None and not isinstance(budget, Budget):
        raise ParameterError("budget", "a Budget, such as Budget(steps=2000)", budget)
    return budget or Budget()


def _config(problem: Problem, solver: Solver, budget: Budget) -> dict[str, Json]:
    return {
        "layer": list(problem.targets),
        "vary": _describe(problem.variables),
        "index": None if problem.index is None else problem.index.tolist(),
        "solver": solver.name,
        "solver_options": repr(solver),
        "steps": budget.steps,
        "seconds": budget.seconds,
    }


def _describe(variables: Variables) -> dict[str, Json]:
    described: dict[str, Json] = {}
    for slot, values in variables.values.items():
        entry: dict[str, Json] = {
            "kind": values.kind,
            "mutable": float(values.mutable.double().mean()),
        }
        if isinstance(values, BoundedFeatures):
            entry["low"], entry["high"] = values.low, values.high
        if isinstance(values, RangedFeatures):
            entry["range"] = "each feature's own"
        if isinstance(values, BinaryFeatures):
            entry["ones"], entry["slope"] = values.ones, values.slope
        described[slot] = entry
    return described


def _provenance(model: nn.Module, graph: Graph) -> dict[str, Json]:
    weights = {n: w for n, w in model.state_dict().items() if isinstance(w, Tensor)}
    return {
        "model": type(model).__name__,
        "model_fingerprint": fingerprint(weights),
        "reference_fingerprint": fingerprint({**read_features(graph), **read_edges(graph)}),
        **environment(),
    }
