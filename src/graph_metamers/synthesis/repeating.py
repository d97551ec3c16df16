"""generate_many(): the same search from several starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_seeds
from graph_metamers.synthesis.generating import Callback, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor, nn

    from graph_metamers.inputs import Init, Vary
    from graph_metamers.metrics.classification import Task
    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.metamer import Metamer
    from graph_metamers.synthesis.objectives import Objective
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Forward, Graph, Transform


class SearchOptions(TypedDict, total=False):
    """The keyword parameters of `generate` but for `seed`; what is left out has its default there."""

    vary: Vary
    objective: Objective
    index: Tensor | Sequence[int] | None
    transform: Transform | None
    forward: Forward | None
    solver: str | Solver
    init: Init
    budget: Budget | None
    tolerance: float
    min_distance: float
    task: Task
    prediction_tolerance: float | None
    callbacks: Sequence[Callback]


def generate_many(
    model: nn.Module,
    graph: Graph,
    layer: str | Sequence[str],
    *,
    seeds: Iterable[int] = range(8),
    on_seed: Callable[[int, int, int], None] | None = None,
    **options: Unpack[SearchOptions],
) -> list[Metamer]:
    """Search for metamers from several starts, one after the other.

    Each result is bit for bit that of `generate(..., seed=seed)`, whichever seeds come before it. One number
    per result, such as `input_distance.scaled`, is what `metrics.bootstrap_interval` takes.

    Parameters
    ----------
    model, graph, layer
        As in `generate`.
    seeds
        Of the starts: different integers, at least one.
    on_seed
        Called with (seed, its number from 1, number of seeds) before each search.
    **options
        Every other keyword parameter of `generate`: `vary`, `objective`, `index`, `transform`, `forward`,
        `solver`, `init`, `budget` (of each search), `tolerance`, `min_distance`, `task`,
        `prediction_tolerance`, `callbacks`.

    Returns
    -------
    list of Metamer
        In the order of `seeds`, failed searches included: read their `status`.

    Raises
    ------
    ParameterError
        If `seeds` are not different integers of at least 0, or there are none; or as `generate`.
    LayerNotFoundError, BindingError, CheckError
        As `generate`, before the first search.

    Notes
    -----
    Time is that of one search per seed. Every search checks the model anew, which costs a few passes of the
    model: 3 to 14 ms on karate and digits.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> from torch_geometric.nn import GCN
    >>> graph = gm.load_dataset("karate").graph
    >>> vary = gm.Features(kind="continuous")
    >>> metamers = gm.generate_many(GCN(34, 8, num_layers=2), graph, "act", seeds=[3, 5], vary=vary)
    >>> [metamer.is_metamer for metamer in metamers]
    [True, True]
    """
    different = check_seeds("seeds", seeds)
    if "seed" in options:
        raise ParameterError("seed", "left out of generate_many, which takes 'seeds'", dict(options)["seed"])
    metamers = []
    for number, seed in enumerate(different, start=1):
        if on_seed is not None:
            on_seed(seed, number, len(different))
        metamers.append(generate(model, graph, layer, seed=seed, **options))
    return metamers
