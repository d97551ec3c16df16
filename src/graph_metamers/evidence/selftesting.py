"""selftest(): does the instrument find what is there, and nothing where nothing is?"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import DatasetError
from graph_metamers.evidence.judgement import Hearing, Word, judgement
from graph_metamers.evidence.panel_members import KINDS
from graph_metamers.evidence.selftest_cases import CASES, Case, Planted
from graph_metamers.metrics import Interval
from graph_metamers.parameters import check_seeds
from graph_metamers.storage import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graph_metamers.evidence.outcome import Outcome
    from graph_metamers.types import Json


@dataclass(frozen=True)
class SelftestResult:
    """What one case of the self-test gave with one seed.

    Attributes
    ----------
    case
        Its name.
    seed
        Of graph, weights and search.
    planted
        `invariance`, which has to be found and accepted, or `sensitivity`, of which nothing may be.
    what
        What is planted, in words.
    expected, got
        What had to come out and what did, in words.
    right
        Whether they agree.
    accepted
        Share of the nodes that pass the three gates, [0, 1]; `None` for a case about edges alone, which asks
        for equal activations and another graph.
    status, activation_loss, input_distance, steps
        Of the search, of several that of the highest loss; `None` for a case without one.
    recomputed_loss
        The activation loss of what that search found, by PyTorch Geometric alone; `None` where the case does
        not compute it.
    budget
        What the search could spend, in words, where that is not the default; else `None`.
    judged
        The word of `judgement` if every other observer lost all it recognised: `"cannot see"` must be said of
        no sensitivity even then, and of every invariance that gates were asked about.
    """

    case: str
    seed: int
    planted: Planted
    what: str
    expected: str
    got: str
    right: bool
    accepted: float | None
    status: str | None
    activation_loss: float | None
    input_distance: float | None
    steps: int | None
    recomputed_loss: float | None = None
    budget: str | None = None
    judged: Word = "not asked"


@dataclass(frozen=True, repr=False)
class SelftestReport:
    """What a self-test gave.

    Attributes
    ----------
    results
        One per case and seed; all cases of the first seed come first.
    provenance
        Versions, seconds in all and by case.
    skipped
        Cases that need files which are not there, and why they were skipped.
    """

    results: tuple[SelftestResult, ...]
    provenance: Mapping[str, Json]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every case that was run came out right with every seed."""
        return not self.misses

    @property
    def misses(self) -> tuple[SelftestResult, ...]:
        """The results that are not right."""
        return tuple(result for result in self.results if not result.right)

    @property
    def message(self) -> str:
        """How much was right, in a sentence."""
        right = len(self.results) - len(self.misses)
        seeds = len({result.seed for result in self.results})
        missed = ", ".join(
            f"{name} ({count})" for name, count in Counter(r.case for r in self.misses).items()
        )
        skipped = ", ".join(self.skipped)
        return (
            f"{right} of {len(self.results)} right, with {seeds} {'seed' if seeds == 1 else 'seeds'}"
            f"{f'; MISSED: {missed}' if missed else ''}"
            f"{f'; skipped: {skipped}' if skipped else ''}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """One row per case and seed, with the fields of `SelftestResult`.

        `pandas.DataFrame(report.rows())` is a table.
        """
        return [asdict(result) for result in self.results]

    def summary(self) -> list[dict[str, Any]]:
        """One row per case: `right` of `seeds`, and what it `got` with `seed`: the first miss, if any."""
        rows = []
        for name in dict.fromkeys(result.case for result in self.results):
            results = [result for result in self.results if result.case == name]
            shown = next((result for result in results if not result.right), results[0])
            row = {key: getattr(shown, key) for key in ("case", "planted", "what", "expected", "seed", "got")}
            rows.append({**row, "right": sum(result.right for result in results), "seeds": len(results)})
        return rows

    def __repr__(self) -> str:
        lines = [
            f"  {row['case']} ({row['planted']}): right {row['right']} of {row['seeds']}; "
            f"with seed {row['seed']}: {row['got']}"
            for row in self.summary()
        ]
        lines += [f"  {name}: skipped, {reason}" for name, reason in self.skipped.items()]
        return "\n".join([f"SelftestReport({self.message}", *lines, ")"])

    def _repr_html_(self) -> str:
        columns = ("case", "planted", "what", "expected", "seed", "got", "right", "seeds")
        head = "".join(f"<th style='text-align:left'>{column}</th>" for column in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(row[column]))}</td>" for column in columns) + "</tr>"
            for row in self.summary()
        )
        skipped = "".join(f"<p>{escape(f'{n}: skipped, {why}')}</p>" for n, why in self.skipped.items())
        return f"<p>{escape(self.message)}</p>{skipped}<table><tr>{head}</tr>{rows}</table>"


def selftest(
    *,
    seeds: Iterable[int] = range(3),
    on_case: Callable[[str, int, int, int], None] | None = None,
) -> SelftestReport:
    """Put models to the instrument of which it is known what they see.

    Some are blind to something by construction: `generate` has to find that, and `gates` to accept it. Others
    see everything: the search has to come back to the reference or to fail, and the gates to accept nothing.
    Searches and gates have the settings that users have; searches for edges have a small budget of their own,
    which each result states, and the tolerance of equal activations, 1e-10.

    Parameters
    ----------
    seeds
        Of graphs, weights and searches: different integers, at least one.
    on_case
        Called with (name of the case, seed, number from 1, number of cases and seeds) before each.

    Returns
    -------
    SelftestReport
        Its `ok` says whether everything came out right.

    Raises
    ------
    ParameterError
        If `seeds` are not different integers of at least 0, or there are none.

    Notes
    -----
    Ours. Takes some seconds per seed on one processor core. Strongly regular graphs (sr25/sr251256.g6) and
    pairs of BREC (brec/brec_pairs.npz) are asked about where the data root has these files. What every case
    plants is in the documentation, "Does the instrument work?".

    Examples
    --------
    >>> import graph_metamers as gm
    >>> gm.selftest(seeds=[0]).ok
    True
    """
    started = time.monotonic()
    checked = check_seeds("seeds", seeds)
    total = len(checked) * len(CASES)
    results: list[SelftestResult] = []
    skipped: dict[str, str] = {}
    spent: dict[str, float] = {}
    for number, (seed, case) in enumerate(((s, c) for s in checked for c in CASES), start=1):
        if on_case is not None:
            on_case(case.name, seed, number, total)
        began = time.monotonic()
        try:
            results.append(_result(case, seed))
        except DatasetError as error:
            if not case.needs_files:
                raise
            skipped[case.name] = str(error)
        spent[case.name] = spent.get(case.name, 0.0) + time.monotonic() - began
    seconds: dict[str, Json] = {"seconds": time.monotonic() - started, "seconds_by_case": {**spent}}
    return SelftestReport(tuple(results), {**environment(), **seconds}, skipped)


def _result(case: Case, seed: int) -> SelftestResult:
    outcome = case.run(seed)
    metamer = outcome.metamer
    word = _judged(outcome)
    if case.planted == "sensitivity":
        agrees = word != "cannot see"
    else:
        agrees = word == "cannot see" or outcome.accepted is None
    return SelftestResult(
        case=case.name,
        seed=seed,
        planted=case.planted,
        what=case.what,
        expected=case.expected,
        got=outcome.got if agrees else f"{outcome.got}; judged “{word}”",
        right=outcome.right and agrees,
        accepted=outcome.accepted,
        status=None if metamer is None else metamer.status.value,
        activation_loss=None if metamer is None else metamer.activation_loss,
        input_distance=None if metamer is None else metamer.input_distance.scaled,
        steps=None if metamer is None else metamer.steps,
        recomputed_loss=outcome.recomputed_loss,
        budget=outcome.budget,
        judged=word,
    )


def _judged(outcome: Outcome) -> Word:
    """What would be said of a case if the model kept its answers and everybody else lost all of theirs.

    Shares count as if every start gave them; where gates were not asked, as if every node passed.
    """
    everybody = {kind: _exactly(0.0 if kind == "itself" else 1.0) for kind in KINDS}
    found = Hearing(
        at_chance=False,
        is_matched=outcome.metamer is None or outcome.metamer.is_metamer,
        passing=_exactly(1.0 if outcome.accepted is None else outcome.accepted),
        passing_by_chance=_exactly(0.0),
        lost=everybody,
    )
    return judgement(found).word


def _exactly(value: float) -> Interval:
    return Interval(value, value, value, 0.95, 0, "taken as certain")
