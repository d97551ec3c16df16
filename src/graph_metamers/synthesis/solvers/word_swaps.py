"""Word swaps: binary features as set matching, then a descent on the true loss that swaps words too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
import torch

from graph_metamers.arrays import array_of
from graph_metamers.errors import ParameterError
from graph_metamers.graphs.set_matching import CHUNK, Annealer, Schedule, SetMatching
from graph_metamers.parameters import check_choice, check_integer, check_real
from graph_metamers.randomness import generator_for
from graph_metamers.synthesis.solvers.search import PartOfSearch
from graph_metamers.synthesis.solvers.word_descent import WordDescent
from graph_metamers.synthesis.solvers.word_metric import MOST_PROBES, NodeCurvature, WordMetric
from graph_metamers.synthesis.solvers.word_slot import WordSlot
from graph_metamers.synthesis.solvers.word_targets import MOST_EVALUATIONS, sums_ahead
from graph_metamers.synthesis.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from graph_metamers.inputs.feature_values import FeatureValues
    from graph_metamers.synthesis.problem import Problem
    from graph_metamers.synthesis.solvers.search import Search, Solution

ReferenceWords = Literal["forbid", "charge", "free"]
ColumnSums = Literal["free", "kept"]

HOTTEST, WARM, COLDEST = 1.0, 0.02, 0.01  # in units of a word's mean squared length
REPORTS = 10  # evaluations while annealing
FEWEST_AHEAD = 10  # evaluations that must be left to look ahead
BYTES_OF_AN_ENTRY = 40  # of features, for the kernel's table, the order of the first words, and gradients
PROBES_SHARE = 4  # at most one evaluation in so many is a probe of curvature at the reference


@dataclass(frozen=True)
class WordSwaps:
    """Swaps of words for binary features: every node keeps its number of words, exactly.

    What a layer reads of a node, x Q, is a sum of one row of Q for each word. Words with about the same sum
    are therefore a matter of set matching: drop a word, take another, keep it if the sum comes closer
    (annealed), in the metric in which sums change the activations on the whole. Nodes share neighbours, and
    there are rectifiers: so a descent on the true loss follows. Each step takes some of the nodes, models the
    loss of each by its gradient at the present words and by the curvature of each direction of its sum
    (Gauss-Newton, from the gradients of random combinations of activations), makes the exchanges of words
    that lower this model most, and is kept if the loss falls; nodes that made it rise are put back. Where
    that gets slow, words are exchanged at random, at a falling temperature, on the same model, and again as
    long as that pays.

    Parameters
    ----------
    proposals
        Swaps that are proposed for every word while annealing; they cost no evaluation.
    reference_words
        `forbid`: no node gets back a word of its own (unless there are too few others); `charge`: each
        costs `penalty`; `free`: nothing is said about them. With `column_sums="kept"`, `forbid` charges too.
    penalty
        For each word of its own that a node has, in units of a word's mean squared length.
    column_sums
        `kept`: every word also stays in as many nodes as it was in; the search then starts from the
        reference itself and swaps words between nodes, whose sums are compared in one metric for all.
    redirections
        How often, after a descent, sums are aimed anew at where a continuous descent on what the model reads
        leads from there: for searches in which the sums of the reference are not the ones to match, since
        its edges are others. Not with `column_sums="kept"`, or where the model takes words and no sums.

    Notes
    -----
    Ours. The number of words of every node is kept for `Features(ones="total")` too. Of `Budget.steps`, a
    quarter but at most 64 goes into curvature at the reference, ten into reports of annealing, the rest into
    the descent. Time on Cora, hidden 64, on one thread: ten million proposals a second, and a step of the
    descent, which visits 81 nodes, in 30 ms; while it is hot, 400 nodes in 80 ms. Memory: one byte for
    every node and word, and 64 gradients, float32 [n, r] for the r numbers that are read of a node.
    """

    proposals: int = 200
    reference_words: ReferenceWords = "forbid"
    penalty: float = 5.0
    column_sums: ColumnSums = "free"
    redirections: int = 0
    name: ClassVar[str] = "word_swaps"

    def __post_init__(self) -> None:
        check_integer("proposals", self.proposals, low=0)
        check_choice("reference_words", self.reference_words, get_args(ReferenceWords))
        check_real("penalty", self.penalty, low=0)
        check_choice("column_sums", self.column_sums, get_args(ColumnSums))
        check_integer("redirections", self.redirections, low=0)

    def memory(self, point: Tensor) -> int:
        """See `Solver.memory`."""
        return BYTES_OF_AN_ENTRY * point.numel()

    @property
    def keeps_no_word(self) -> bool:
        """Whether no node keeps a word of its own, as far as there are enough others."""
        return self.reference_words == "forbid" and self.column_sums == "free"

    def solve(self, problem: Problem, start: Tensor, search: Search) -> Solution:
        """See `Solver.solve`."""
        if not problem.is_binary:
            raise ParameterError("solver", "'lbfgs' or 'adam' where features are not 0 or 1", self.name)
        slots = self._slots(problem, start, search)
        status = self._anneal(problem, slots, search)
        if status is None:
            for slot in slots.values():
                slot.annealer.restart()
            status = self._descend(problem, slots, search)
        return search.finish(status, start)

    def _descend(self, problem: Problem, slots: Mapping[str, WordSlot], search: Search) -> Status:
        """Descents, and between two of them sums that are aimed anew."""
        aimed = problem.is_compressed and self.column_sums == "free"
        rounds = self.redirections if aimed else 0
        for number in range(rounds + 1):
            part = PartOfSearch(search, search.steps_left // (rounds + 1 - number))
            exchanges = self.column_sums == "kept"
            # One heat where parts follow: they have steps of their own, but share what time there is.
            most_heats = 0 if number else 1 if rounds else math.inf
            status = WordDescent(problem, slots, part, exchanges=exchanges, most_heats=most_heats).run()
            is_last = number == rounds or search.steps_left < FEWEST_AHEAD
            if search.is_over or is_last or status is Status.NON_FINITE:
                break
            sums, spent = sums_ahead(problem, slots, min(MOST_EVALUATIONS, search.steps_left - 1))
            search.steps += spent
            for name, slot in slots.items():
                slot.annealer.restart(items=slot.annealer.items, targets=sums[name])
                for _ in slot.annealer.anneal(Schedule(self.proposals * slot.num_words, WARM, COLDEST)):
                    pass
                slot.annealer.restart()
        return status

    def _slots(self, problem: Problem, start: Tensor, search: Search) -> dict[str, WordSlot]:
        values = problem.variables.values
        reference = problem.inputs_of({slot: value.reference for slot, value in values.items()})
        probes = min(MOST_PROBES, max(0, search.steps_left - 1) // PROBES_SHARE)
        found = problem.slopes(reference, probes, generator_for("word swaps", 0), parts=max(1, probes)).probes
        search.steps += probes
        bases, scores = problem.visible_bases(), problem.variables.split(start)
        return {
            slot: self._slot(
                value,
                scores[slot],
                bases[slot].cpu(),
                [probe[slot].double().cpu() for probe in found],
                is_compressed=problem.is_compressed,
            )
            for slot, value in values.items()
        }

    def _slot(
        self,
        values: FeatureValues,
        scores: Tensor,
        basis: Tensor,
        probes: list[Tensor],
        *,
        is_compressed: bool,
    ) -> WordSlot:
        seen = probes if is_compressed else [probe @ basis for probe in probes]
        metric = WordMetric.of(basis, seen)
        fixed = torch.where(values.mutable, 0.0, values.reference).cpu().double() @ basis
        words = (values.reference > 0) & values.mutable
        narrow = array_of(basis.to(values.reference.dtype))
        return WordSlot(
            values,
            narrow,
            is_compressed,
            fixed.numpy().astype(narrow.dtype),
            metric,
            NodeCurvature(
                [probe.numpy() @ metric.to_gradients for probe in seen], len(words), metric.vectors.shape[1]
            ),
            Annealer(self._matching(values, scores, metric), seed=0, columns=self.column_sums),
            int(words.sum()),
            self.penalty if self._charges else 0.0,
            np.ones(len(words)),
        )

    @property
    def _charges(self) -> bool:
        return self.reference_words == "charge" or (
            self.column_sums == "kept" and self.reference_words == "forbid"
        )

    def _matching(self, values: FeatureValues, scores: Tensor, metric: WordMetric) -> SetMatching:
        """Words that start where the search starts, to be matched to the sums of the reference."""
        mutable = values.mutable.cpu().numpy()
        words = (array_of(values.reference) > 0) & mutable
        forbidden = ~mutable
        if self.column_sums == "kept":
            members = words
        elif self.reference_words == "forbid":
            members = _first(array_of(scores), words.sum(axis=1), mutable, words)
            forbidden = ~mutable | (words & ~members)
        else:
            members = _first(array_of(scores), words.sum(axis=1), mutable, np.zeros_like(words))
        return SetMatching(
            metric.vectors,
            words.astype(np.float32) @ metric.vectors,
            members,
            forbidden=forbidden,
            charged=words if self._charges else None,
            penalty=self.penalty if self._charges else 0.0,
        )

    def _anneal(self, problem: Problem, slots: Mapping[str, WordSlot], search: Search) -> Status | None:
        """Anneal every slot on its own; reports as it goes."""
        for slot in slots.values():
            schedule = Schedule(self.proposals * slot.num_words, HOTTEST, COLDEST)
            reported = 0
            for done in slot.annealer.anneal(
                schedule, chunk=max(1, min(CHUNK, -(-schedule.proposals // REPORTS)))
            ):
                if (done - reported) * REPORTS < schedule.proposals:
                    continue
                reported = done
                status = _record(problem, slots, search)
                if status is not None:
                    return status
        return None


def _first(
    scores: NDArray[np.floating],
    counts: NDArray[np.integer],
    mutable: NDArray[np.bool_],
    last: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """The `counts[v]` words of highest score in every row, out of `mutable`; those of `last` come last."""
    tiers = np.where(mutable, np.where(last, 1, 2), 0)
    order = np.lexsort((scores, tiers), axis=1)[:, ::-1]
    taken = np.arange(scores.shape[1]) < counts[:, None]
    members = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(members, order, taken, axis=1)
    return members


def _record(problem: Problem, slots: Mapping[str, WordSlot], search: Search) -> Status | None:
    items = {name: slot.annealer.best_items for name, slot in slots.items()}
    inputs = {name: slot.inputs(items[name], slot.read(items[name])) for name, slot in slots.items()}
    with torch.no_grad():
        loss = problem.loss_of(inputs).item()
    search.steps += 1
    return search.record(
        lambda: problem.variables.point_of(
            {name: slot.features(items[name]) for name, slot in slots.items()}
        ),
        loss,
    )
