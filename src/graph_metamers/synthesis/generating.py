"""generate(): find a graph that a model's layer cannot tell from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.synthesis.preparing import prepared
from graph_metamers.synthesis.settings import SearchSettings, check_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from graph_metamers.inputs import Init, Vary
    from graph_metamers.metrics.classification import Task
    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.metamer import Metamer
    from graph_metamers.synthesis.objectives import Objective
    from graph_metamers.synthesis.settings import Callback
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Forward, Graph, Transform


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
        What may vary: `"features"`, a `Features`, or for a `HeteroData` a dict from node type to these; or
        `"structure"`, a `Structure`: the edges of a graph, whose nodes keep their degrees, or of each
        graph of a batch (the number of its edges with the solver `"straight_through"`, for one graph), for a
        `HeteroData` of all edge types, or a dict from edge type to these; or
        `"edge_weights"`, an `EdgeWeights`: positive weights of the same edges; or a pair
        `("features", "structure")` of the first two, which vary together.
    objective
        `"match"`: the first point within the tolerance. `"farthest"`: the search goes on from there, and
        the result is the farthest point seen that is within the tolerance. Bounded features stay in their
        bounds, continuous ones between their own smallest and largest value among the entries that may
        vary (also before the loss is met). Word swaps keep no word of a node and are farthest as they are.
    index
        Items (nodes, or graphs of a batch) whose activations have to match, integers or a bool mask;
        default: all. Only features that can reach them vary then; of edges those into nodes that reach
        them, and elsewhere as few as degrees allow or a descent needs.
    transform
        A PyTorch Geometric transform applied before the model; what varies is the raw graph.
    forward
        How to call the model, as `forward(model, graph)`; default: by the names of its parameters.
    solver
        `"lbfgs"`, `"adam"`, `"word_swaps"`, `"null_space"`, `"rewire"`, `"exact_swaps"`,
        `"straight_through"`, `"in_turn"` (features and edges), an object such as `LBFGS(history=20)`, or
        `"auto"`: L-BFGS where the loss is smooth; for binary features word swaps if the model reads few
        enough numbers of them, else Adam; for edges rewiring.
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
    settings = SearchSettings.of(
        layer,
        vary=vary,
        objective=objective,
        index=index,
        transform=transform,
        forward=forward,
        solver=solver,
        init=init,
        budget=budget,
        tolerance=tolerance,
        min_distance=min_distance,
        task=task,
        prediction_tolerance=prediction_tolerance,
        callbacks=callbacks,
    )
    seed = check_seed(seed)
    with prepared(model, graph, settings) as searches:
        return searches.search(seed)
