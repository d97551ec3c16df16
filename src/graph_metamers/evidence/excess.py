"""Scaled excess invariance: how often a model's metamers change what the Bayes oracle says, beside noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.bayes_oracle import BayesOracle
from graph_metamers.evidence.unconditioned import unconditioned_noise
from graph_metamers.inputs import structure_of
from graph_metamers.inputs.asking import both_of
from graph_metamers.metrics.ratios import ratio_interval
from graph_metamers.parameters import check_integer, check_real, check_seeds
from graph_metamers.reading.items import NODES
from graph_metamers.synthesis import Budget, Metamer, generate_many
from graph_metamers.training.results import FitResult, modules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.bayes_oracle import Reading
    from graph_metamers.inputs import Vary
    from graph_metamers.metrics.intervals import Interval
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Graph

__all__ = ["ScaledExcess", "oracle_figures", "scaled_excess", "unconditioned_noise"]


@dataclass(frozen=True, eq=False, repr=False)
class ScaledExcess:
    """What metamers change of the Bayes oracle's labels, over what unconditioned noise changes.

    0: no matched node's Bayes label changes, as with the oracle itself; 1: as often as if nothing had been
    matched, as with a constant model. All counts are over nodes whose activations match; noise is counted on
    the same nodes, so that which ones a search happened to match does not matter. Source: ours, after the
    over-robustness of Gosch et al. 2023.

    Attributes
    ----------
    varied
        "features", "structure" or "features and structure".
    layer
        Names of the layers that were matched.
    reading
        How the oracle reads a changed graph; see `BayesOracle`.
    relative_error
        Largest ||h'_v - h_v|| / ||h_v|| at which a node counts as matched.
    judged
        Nodes that the oracle judges: all, without those whose label it is told.
    matched
        Judged nodes that match, int64 [training seeds, noise seeds].
    flipped
        Those of them whose Bayes label is another than in the reference, int64 [training seeds, noise seeds].
    flipped_by_noise
        The same nodes' changed Bayes labels in unconditioned noise, float64 [training seeds, noise seeds]:
        mean over several draws for each seed.
    level
        Of the intervals, which resample training seeds and noise seeds, never nodes.
    unconverged
        Graphs, the reference and noise among them, for which loopy belief propagation did not converge: what
        the oracle says of them is not to be relied on. 0 with the conditional reading.
    """

    varied: str
    layer: tuple[str, ...]
    reading: Reading
    relative_error: float
    judged: int
    matched: NDArray[np.int64]
    flipped: NDArray[np.int64]
    flipped_by_noise: NDArray[np.float64]
    level: float = 0.95
    unconverged: int = 0

    @cached_property
    def excess(self) -> Interval:
        """Changed Bayes labels over those by noise; nan where that is 0/0: then nothing is said."""
        return self._ratio(self.flipped, self.flipped_by_noise)

    @cached_property
    def numerator(self) -> Interval:
        """Share of matched nodes whose Bayes label changes; nan without matched nodes."""
        return self._ratio(self.flipped, self.matched)

    @cached_property
    def denominator(self) -> Interval:
        """Share of the same nodes whose Bayes label noise changes; nan without matched nodes."""
        return self._ratio(self.flipped_by_noise, self.matched)

    @cached_property
    def matched_share(self) -> Interval:
        """Share of judged nodes that match: where it is small, the others are about few nodes."""
        return self._ratio(self.matched, np.full_like(self.matched, self.judged))

    def rows(self) -> list[dict[str, object]]:
        """One row: every figure with `_low` and `_high`, and how it came about."""
        row: dict[str, object] = {
            "varied": self.varied,
            "layer": ", ".join(self.layer),
            "reading": self.reading,
            "relative_error": self.relative_error,
            "training_seeds": self.matched.shape[0],
            "noise_seeds": self.matched.shape[1],
        }
        for name in ("excess", "numerator", "denominator", "matched_share"):
            interval: Interval = getattr(self, name)
            row |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
        return [row | {"excess_method": self.excess.method, "unconverged": self.unconverged}]

    def __repr__(self) -> str:
        lines = [
            f"ScaledExcess({self.varied} vary, {', '.join(self.layer)} matched, {self.reading} reading)",
            f"  excess                {self.excess}",
            f"  Bayes labels changed  {self.numerator}",
            f"  ... by noise          {self.denominator}",
            f"  nodes matched         {self.matched_share}, relative error <= {self.relative_error:.3g}",
        ]
        if self.unconverged:
            where = f"the oracle's belief propagation, on {self.unconverged} graphs"
            lines.append(f"  NOT CONVERGED         {where}")
        return "\n".join(lines)

    def _ratio(self, above: NDArray[Any], below: NDArray[Any]) -> Interval:
        return ratio_interval(above, below, level=self.level)


def scaled_excess(
    models: nn.Module | FitResult[nn.Module] | Sequence[nn.Module | FitResult[nn.Module]],
    dataset: Dataset,
    layer: str = "output",
    *,
    vary: Vary = "features",
    seeds: Iterable[int] = range(8),
    reading: Reading = "conditional",
    solver: str | Solver = "auto",
    budget: Budget | None = None,
    tolerance: float = 1e-3,
    relative_error: float | None = None,
    noise_draws: int = 8,
    level: float = 0.95,
    on_search: Callable[[int, int], None] | None = None,
) -> ScaledExcess:
    """Search for metamers of models on a graph from a block model, and ask the Bayes oracle about them.

    Parameters
    ----------
    models
        One trained model for each training seed, or what `fit` returned for it; or a single one (then the
        intervals are about noise alone).
    dataset
        From `load_dataset("csbm")`.
    layer
        What is matched.
    vary
        `"features"`, `"structure"`, `("features", "structure")`, or objects for these, as in `generate`.
    seeds
        Of the starts, the same for every model. Noise beside them is drawn anew.
    reading
        How the oracle reads a changed graph, `"conditional"` or `"belief_propagation"`.
    solver, budget, tolerance
        As in `generate`.
    relative_error
        Largest ||h'_v - h_v|| / ||h_v|| at which a node counts as matched; default: that of
        `Metamer.matched_items`, the root of ten times the tolerance, 0.1.
    noise_draws
        Noise for each seed, at least 1: costs no search, and makes the denominator surer.
    level
        Of the intervals.
    on_search
        Called with (number of the model from 0, seed) before each search.

    Returns
    -------
    ScaledExcess

    Raises
    ------
    DatasetError
        If the data set was not drawn from a block model.
    ParameterError
        If a parameter is outside its range; also as `generate`.

    Notes
    -----
    Takes a search per model and seed. Where a search fails, no or few nodes match: `matched_share` says so,
    and without any the figures are undefined, not 0.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> dataset = gm.load_dataset("csbm", num_nodes=60)
    >>> model = gm.build_model("gcn", dataset)
    >>> gm.scaled_excess(model, dataset, seeds=range(2)).matched.shape
    (1, 2)
    """
    several = modules_of(models)
    if not several:
        raise ParameterError("models", "at least one model", models)
    chosen = check_seeds("seeds", seeds)
    check_real("level", level, low=0.0, high=1.0, low_included=False)
    oracle = BayesOracle.of(dataset)
    judge = _Judge.of(oracle, dataset.graph, reading, _noise(vary, dataset.graph, chosen, noise_draws))
    found: list[list[Metamer]] = []
    for number, model in enumerate(several):

        def tell(seed: int, _count: int, _of: int, number: int = number) -> None:
            if on_search is not None:
                on_search(number, seed)

        found.append(
            generate_many(
                model,
                dataset.graph,
                layer,
                seeds=chosen,
                on_seed=tell,
                vary=vary,
                solver=solver,
                budget=budget,
                tolerance=tolerance,
            )
        )
    return judge.result(found, _varied(vary), relative_error, level)


def oracle_figures(
    dataset: Dataset,
    metamers: Sequence[Sequence[Metamer]],
    *,
    vary: Vary = "features",
    seeds: Iterable[int] | None = None,
    reading: Reading = "conditional",
    relative_error: float | None = None,
    noise_draws: int = 8,
    level: float = 0.95,
) -> ScaledExcess:
    """The same for metamers that are there already.

    Parameters
    ----------
    dataset
        From `load_dataset("csbm")`; its graph is the metamers' reference.
    metamers
        For each training seed what `generate_many` returned, failed searches too; `[found]` for one model.
    vary
        What was varied, as it was given to `generate`: decides what noise is.
    seeds
        Of the noise, one for each metamer of a training seed; default: 0, 1, ...
    reading, relative_error, noise_draws, level
        As in `scaled_excess`.

    Returns
    -------
    ScaledExcess

    Raises
    ------
    DatasetError
        If the data set was not drawn from a block model.
    ParameterError
        If there are no metamers, not as many for each training seed, or their items are not the nodes of the
        data set's graph.
    """
    found = [list(row) for row in metamers]
    if not found or not found[0] or len({len(row) for row in found}) > 1:
        must = "at least one for each training seed, and as many for each"
        raise ParameterError("metamers", must, [len(row) for row in found])
    chosen = range(len(found[0])) if seeds is None else check_seeds("seeds", seeds)
    if len(chosen) != len(found[0]):
        raise ParameterError("seeds", f"one for each of {len(found[0])} metamers", list(chosen))
    noise = _noise(vary, dataset.graph, chosen, noise_draws)
    judge = _Judge.of(BayesOracle.of(dataset), dataset.graph, reading, noise)
    return judge.result(found, _varied(vary), relative_error, level)


@dataclass(frozen=True, eq=False)
class _Judge:
    """The oracle with what it says of the reference and of noise.

    Attributes
    ----------
    before
        Bayes labels of the reference, int64 [n].
    judged
        Nodes that count, bool [n].
    noise
        For each seed, share of draws of noise that change a node's Bayes label, float64 [n].
    unconverged
        Graphs of the above for which belief propagation did not converge.
    """

    oracle: BayesOracle
    reading: Reading
    before: Tensor
    judged: Tensor
    noise: list[Tensor]
    unconverged: int

    @classmethod
    def of(cls, oracle: BayesOracle, graph: Graph, reading: Reading, noise: Iterable[list[Graph]]) -> _Judge:
        before, converged = _read(oracle, graph, reading)
        shares, unconverged = [], int(not converged)
        for drawn in noise:
            read = [_read(oracle, one, reading) for one in drawn]
            shares.append(torch.stack([labels != before for labels, _ in read]).double().mean(dim=0))
            unconverged += sum(not converged for _, converged in read)
        return cls(oracle, reading, before, oracle.judged(reading), shares, unconverged)

    def result(
        self, found: list[list[Metamer]], varied: str, relative_error: float | None, level: float
    ) -> ScaledExcess:
        """Count for every metamer, [training seeds][noise seeds]."""
        first = found[0][0]
        if relative_error is None:
            relative_error = math.sqrt(first.item_tolerance)
        check_real("relative_error", relative_error, low=0.0)
        counts = np.array(
            [
                [self._count(one, noise, relative_error) for one, noise in zip(row, self.noise, strict=True)]
                for row in found
            ]
        )  # [training seeds, noise seeds, 4]
        return ScaledExcess(
            varied,
            first.layer,
            self.reading,
            relative_error,
            int(self.judged.sum()),
            counts[..., 0].astype(np.int64),
            counts[..., 1].astype(np.int64),
            counts[..., 2],
            level,
            self.unconverged + int(counts[..., 3].sum()),
        )

    def _count(self, metamer: Metamer, noise: Tensor, relative_error: float) -> tuple[float, ...]:
        if metamer.items != NODES or len(metamer.item_loss) != len(self.before):
            raise ParameterError("metamers", "matched at all nodes of the data set's graph", metamer)
        matched = (metamer.item_loss.sqrt() <= relative_error).cpu() & self.judged
        labels, converged = _read(self.oracle, metamer.graph, self.reading)
        flipped = matched & (labels != self.before)
        return (
            float(matched.sum()),
            float(flipped.sum()),
            float(noise[matched].sum()),
            float(not converged),
        )


def _read(oracle: BayesOracle, graph: Graph, reading: Reading) -> tuple[Tensor, bool]:
    """Bayes labels of a graph, int64 [n], and whether what they come from has converged."""
    if reading == "conditional":
        return oracle.predict(graph), True
    beliefs = oracle.beliefs(graph)
    return (beliefs.log_odds > 0).long(), beliefs.converged


def _noise(vary: Vary, graph: Graph, seeds: Iterable[int], draws: int) -> Iterable[list[Graph]]:
    check_integer("noise_draws", draws, low=1)
    return ([unconditioned_noise(vary, graph, seed, draw) for draw in range(draws)] for seed in seeds)


def _varied(vary: Vary) -> str:
    if both_of(vary) is not None:
        return "features and structure"
    return "features" if structure_of(vary) is None else "structure"
