"""selftest(): does the instrument find what is there, and nothing where nothing is?"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from graph_metamers.evidence.selftest_cases import CASES, Case, Planted
from graph_metamers.parameters import check_seeds
from graph_metamers.storage import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
        Share of the nodes that pass the three gates, [0, 1].
    status, activation_loss, input_distance, steps
        Of the search; `None` for a case without one.
    """

    case: str
    seed: int
    planted: Planted
    what: str
    expected: str
    got: str
    right: bool
    accepted: float
    status: str | None
    activation_loss: float | None
    input_distance: float | None
    steps: int | None


@dataclass(frozen=True, repr=False)
class SelftestReport:
    """What a self-test gave.

    Attributes
    ----------
    results
        One per case and seed; all cases of the first seed come first.
    provenance
        Versions, seconds.
    """

    results: tuple[SelftestResult, ...]
    provenance: Mapping[str, Json]

    @property
    def ok(self) -> bool:
        """Whether every case came out right with every seed."""
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
        return (
            f"{right} of {len(self.results)} right, with {seeds} {'seed' if seeds == 1 else 'seeds'}"
            f"{f'; MISSED: {missed}' if missed else ''}"
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
        return "\n".join([f"SelftestReport({self.message}", *lines, ")"])

    def _repr_html_(self) -> str:
        columns = ("case", "planted", "what", "expected", "seed", "got", "right", "seeds")
        head = "".join(f"<th style='text-align:left'>{column}</th>" for column in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(row[column]))}</td>" for column in columns) + "</tr>"
            for row in self.summary()
        )
        return f"<p>{escape(self.message)}</p><table><tr>{head}</tr>{rows}</table>"


def selftest(
    *,
    seeds: Iterable[int] = range(3),
    on_case: Callable[[str, int, int, int], None] | None = None,
) -> SelftestReport:
    """Put models to the instrument of which it is known what they see.

    Some are blind to something by construction: `generate` has to find that, and `gates` to accept it. Others
    see everything: the search has to come back to the reference or to fail, and the gates to accept nothing.
    Searches and gates have the settings that users have.

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
    Ours. Takes under a second per seed on one processor core. What every case plants is in the documentation,
    "Does the instrument work?".

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
    for seed in checked:
        for case in CASES:
            if on_case is not None:
                on_case(case.name, seed, len(results) + 1, total)
            results.append(_result(case, seed))
    return SelftestReport(tuple(results), {**environment(), "seconds": time.monotonic() - started})


def _result(case: Case, seed: int) -> SelftestResult:
    outcome = case.run(seed)
    metamer = outcome.metamer
    return SelftestResult(
        case=case.name,
        seed=seed,
        planted=case.planted,
        what=case.what,
        expected=case.expected,
        got=outcome.got,
        right=outcome.right,
        accepted=outcome.accepted,
        status=None if metamer is None else metamer.status.value,
        activation_loss=None if metamer is None else metamer.activation_loss,
        input_distance=None if metamer is None else metamer.input_distance.scaled,
        steps=None if metamer is None else metamer.steps,
    )
