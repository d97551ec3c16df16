"""generate_many(): the same search from several starts."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from graph_metamers.errors import ParameterError
from graph_metamers.parameters import check_seeds
from graph_metamers.synthesis.generating import generate
from graph_metamers.synthesis.preparing import prepared
from graph_metamers.synthesis.settings import SearchSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor, nn

    from graph_metamers.inputs import Init, Vary
    from graph_metamers.metrics.classification import Task
    from graph_metamers.synthesis.budget import Budget
    from graph_metamers.synthesis.metamer import Metamer
    from graph_metamers.synthesis.objectives import Objective
    from graph_metamers.synthesis.settings import Callback
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
    """Search for metamers from several starts.

    Model and graph are checked and compressed once. On small graphs all starts are searched at once, as
    copies in one batch, each going its own way: the results are those of `generate` for the same seeds but
    for rounding, which a search may amplify. Else the searches run one after the other, and each result is
    bit for bit that of `generate(..., seed=seed)`. `metamer.config["starts_at_once"]` says how many there
    were. One number per result, such as `input_distance.scaled`, is what `metrics.bootstrap_interval` takes.

    Parameters
    ----------
    model, graph, layer
        As in `generate`.
    seeds
        Of the starts: different integers, at least one.
    on_seed
        Called with (seed, its number from 1, number of seeds) before each search; where all are searched at
        once, for all of them before (and again if one has to begin anew, so that they go one by one).
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
    Ours. Time is that of one search per seed where they run one after the other. Copies in one batch are
    verified to have the activations of the graph alone, and are used with L-BFGS up to 16,384 numbers a
    start, twice as fast for a hundred nodes. Each start has the budget that it would have alone.

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

    def tell(number: int, seed: int) -> None:
        if on_seed is not None:
            on_seed(seed, number, len(different))

    with prepared(model, graph, _settings(layer, options)) as searches:
        joint = searches.together(different)
        if joint is not None:
            for number, seed in enumerate(different, start=1):
                tell(number, seed)
            if (metamers := searches.search_together(joint, different)) is not None:
                return metamers
        metamers = []
        for number, seed in enumerate(different, start=1):
            tell(number, seed)
            metamers.append(searches.search(seed))
        return metamers


def _settings(layer: str | Sequence[str], options: SearchOptions) -> SearchSettings:
    """With the defaults of `generate`."""
    parameters = inspect.signature(generate).parameters.values()
    chosen: dict[str, Any] = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    del chosen["seed"]
    for name, value in options.items():
        if name not in chosen:
            raise TypeError(f"generate_many() got an unexpected keyword argument {name!r}")
        chosen[name] = value
    return SearchSettings.of(layer, **chosen)
