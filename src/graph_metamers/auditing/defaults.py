"""What an audit does where its caller says nothing: it makes many searches, and each gets less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import ParameterError
from graph_metamers.inputs import Features, structure_of
from graph_metamers.inputs.asking import both_of
from graph_metamers.inputs.hetero_structure import StructureByType
from graph_metamers.parameters import MAX_SEED, check_integer
from graph_metamers.synthesis import Budget, InTurn, Rewire
from graph_metamers.synthesis.solvers import require_preserved

if TYPE_CHECKING:
    from graph_metamers.datasets import Dataset
    from graph_metamers.inputs import Structure, Vary
    from graph_metamers.synthesis.solvers import Solver
    from graph_metamers.types import Varies

AUDIT_PROPOSALS = 1000  # for every edge, where edges vary
STEPS: dict[Varies, int | None] = {"features": None, "structure": 200, "both": 400}
NUM_STARTS: dict[Varies, int] = {"features": 5, "structure": 5, "both": 3}
NUM_UNTRAINED: dict[Varies, int] = {"features": 2, "structure": 2, "both": 1}


@dataclass(frozen=True, eq=False)
class Asked:
    """The settings of an audit, with its defaults.

    Attributes
    ----------
    varies
        What varies, in a word.
    vary
        The same for `generate`; features of the data set's kind, and a pair with features first.
    structure
        What was asked for about edges alone; `None` where features vary.
    solver, budget
        As in `generate`.
    seeds
        Of the starts.
    num_untrained
        Copies with random weights that are searched.
    """

    varies: Varies
    vary: Any
    structure: Structure | None
    solver: str | Solver
    budget: Budget | None
    seeds: range
    num_untrained: int

    @property
    def features(self) -> Vary:
        """What of `vary` the checks of a model look at."""
        features: Vary = self.vary[0] if self.varies == "both" else self.vary
        return features


def with_defaults(
    dataset: Dataset,
    *,
    vary: Vary,
    solver: str | Solver,
    budget: Budget | None,
    seed: int,
    num_starts: int | None,
    num_untrained: int | None,
) -> Asked:
    """The settings of an audit; parameters as in `audit`.

    Raises
    ------
    ParameterError
        If a number is out of range, or edges are to vary in a way that audits cannot.
    """
    structure, both = structure_of(vary), both_of(vary)
    varies: Varies = "both" if both else "features" if structure is None else "structure"
    starts = NUM_STARTS[varies] if num_starts is None else num_starts
    untrained = NUM_UNTRAINED[varies] if num_untrained is None else num_untrained
    if isinstance(structure, StructureByType):
        raise ParameterError("vary", "'structure' or a Structure here; generate() takes edge types", vary)
    if structure is not None:
        require_preserved(structure.preserve, Rewire.name)  # as fronts do
    rewire = Rewire(proposals=AUDIT_PROPOSALS)
    own: dict[Varies, str | Solver] = {
        "features": "auto", "structure": rewire, "both": InTurn(rewire=rewire),
    }  # fmt: skip
    steps = STEPS[varies]
    return Asked(
        varies,
        _of_own_kind(vary, dataset),
        structure,
        own[varies] if solver == "auto" else solver,
        Budget(steps=steps) if budget is None and steps is not None else budget,
        _seeds(seed, starts),
        check_integer("num_untrained", untrained, low=0),
    )


def _seeds(seed: int, num_starts: int) -> range:
    num_starts = check_integer("num_starts", num_starts, low=1)
    check_integer("seed", seed, low=0, high=MAX_SEED - num_starts + 1)
    return range(seed, seed + num_starts)


def _of_own_kind(vary: Vary, dataset: Dataset) -> Any:
    """What may vary, with features of the data set's kind where no kind is given; a pair features first."""
    both = both_of(vary)
    if both is not None:
        return _of_own_kind(both[0], dataset), both[1]
    return Features(kind=dataset.feature_kind) if vary == "features" else vary
