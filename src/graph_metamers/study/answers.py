"""What a study says about each of its questions: levels with intervals, and paired tests between them.

A question is about one setting. Cells are compared that differ in this setting alone, seed by seed: the same
first weights where shapes agree, the same split, the same starts of the searches. Accuracy is compared in the
same way and stands beside, so that a model that merely became worse is seen to have become worse.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graph_metamers.evidence.measures import student_interval
from graph_metamers.metrics.comparisons import PairedTest, holm, paired_test
from graph_metamers.study.cells import (
    ACCURACY,
    EXCESS,
    INVARIANCE,
    MODEL_SETTINGS,
    SETTINGS,
    Cell,
)
from graph_metamers.study.runs import control_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graph_metamers.metrics import Interval

FEWEST_FOR_RANKS = 6
"""With fewer pairs the smallest p-value of signed ranks is above 0.05, and the paired t test is taken."""

MEASURES = (INVARIANCE, ACCURACY, EXCESS)
"""What is compared."""

OF_A_SEARCH = ("layer", "vary", "feature_kind", "solver")
"""Settings that do not change the model, and so neither its accuracy."""

BOARD_SETTINGS = (*MODEL_SETTINGS, "vary", "feature_kind", "solver")
"""What tells the rows of a leaderboard apart."""


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes
    ----------
    id
        Short name.
    heading
        The question, for people.
    factors
        The settings that may differ between compared cells.
    """

    id: str
    heading: str
    factors: tuple[str, ...]


QUESTIONS = (
    Question("architecture", "Does the architecture matter, layer by layer?", ("model",)),
    Question("depth", "Does depth matter?", ("num_layers",)),
    Question("width", "Does width matter?", ("hidden_channels",)),
    Question("activation", "Does the activation function matter?", ("activation",)),
    Question("residual", "Do residual connections matter?", ("residual",)),
    Question(
        "perturbation",
        "Does adversarial training matter, against random changes of the same size?",
        ("perturbation", "drop_edge"),
    ),
    Question(
        "label_propagation",
        "Does label propagation behind or before the model matter?",
        ("label_propagation",),
    ),
    Question(
        "combinations",
        "Do combinations do more than their parts?",
        ("activation", "residual", "perturbation", "drop_edge", "label_propagation"),
    ),
    Question("weights", "Does training matter, against random weights?", ("weights",)),
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two cells that differ in the question's setting alone.

    Attributes
    ----------
    context
        What both have in common: setting -> value.
    level, baseline
        What they differ in.
    invariance, accuracy
        level minus baseline, seed by seed.
    excess
        The same of the scaled excess invariance; `None` where a search has none.
    num_parameters, num_parameters_of_baseline
        Of each model: residual connections bring weights of their own.
    p_holm
        Measure -> its p-value, corrected for all comparisons of the question that have one.
    """

    context: Mapping[str, Any]
    level: str
    baseline: str
    invariance: PairedTest
    accuracy: PairedTest
    excess: PairedTest | None
    num_parameters: int
    num_parameters_of_baseline: int
    p_holm: Mapping[str, float] = field(default_factory=dict)

    def test(self, measure: str) -> PairedTest | None:
        """The test of one of `MEASURES`."""
        return {INVARIANCE: self.invariance, ACCURACY: self.accuracy, EXCESS: self.excess}[measure]


@dataclass(frozen=True, eq=False)
class Answer:
    """What the study has to say about a question.

    Attributes
    ----------
    question
        Which.
    groups
        Context -> level -> cell, each with two levels or more; contexts as (setting, value) pairs.
    levels
        All levels, in their order.
    comparisons
        Paired tests of each level against the first one; of adversarial training also against its control,
        and of combinations against each of their parts with one change less.
    """

    question: Question
    groups: Mapping[tuple[tuple[str, Any], ...], Mapping[str, Cell]]
    levels: tuple[str, ...]
    comparisons: tuple[Comparison, ...]


def answers_of(cells: Sequence[Cell]) -> list[Answer]:
    """Answer every question of which the study has two levels or more."""
    found = [_answer(question, cells) for question in QUESTIONS]
    return [answer for answer in found if answer is not None]


def leaderboard(cells: Iterable[Cell], entries: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """One row a kind of model: accuracy and several axes of invariance, none of them the one that ranks.

    Sorted by data set, then by accuracy. `first_`, `last_`: of the first and of the last layer that was
    searched. Invariance is the share of nodes that pass all gates; less of it is not better by itself. Beside
    it the scaled excess, where an oracle knows it; else `None`.
    `entries` are such rows of models that are not the study's, from `entries_of`.
    """
    grouped: dict[tuple[Any, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[tuple(cell.settings[name] for name in BOARD_SETTINGS)].append(cell)
    rows = []
    for members in grouped.values():
        ordered = sorted(members, key=lambda cell: cell.depth)
        accuracy = ordered[0].interval(ACCURACY)
        row = {name: ordered[0].settings[name] for name in BOARD_SETTINGS}
        row |= {
            "num_seeds": len(ordered[0].seeds),
            "num_parameters": ordered[0].num_parameters,
            "test_accuracy": accuracy.estimate,
            "test_accuracy_low": accuracy.low,
            "test_accuracy_high": accuracy.high,
            "num_at_chance": ordered[0].num_at_chance,
            "metamers_found": sum(cell.num_metamers for cell in ordered)
            / sum(cell.num_searches for cell in ordered),
        }
        for place, cell in (("first", ordered[0]), ("last", ordered[-1])):
            row[f"{place}_layer"] = cell.settings["layer"]
            for measure in (INVARIANCE, EXCESS):
                interval = cell.interval(measure) if cell.is_known(measure) else None
                row |= board_columns(f"{place}_{measure}", interval)
        rows.append(row)
    rows += entries
    return sorted(rows, key=lambda row: (row["dataset"], row["vary"], -row["test_accuracy"]))


def board_columns(name: str, interval: Interval | None) -> dict[str, float | None]:
    """A number of a leaderboard and the ends of its interval; `None` where it is not known."""
    if interval is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _answer(question: Question, cells: Sequence[Cell]) -> Answer | None:
    if question.id == "combinations" and _num_varied(question, cells) < 2:
        return None
    groups: dict[tuple[tuple[str, Any], ...], dict[str, Cell]] = defaultdict(dict)
    order: dict[str, tuple[Any, ...]] = {}
    for cell in cells:
        if question.id != "weights" and cell.settings["weights"] != "trained":
            continue
        level = level_of(question, cell)
        order[level] = tuple(_rank(cell.settings[name]) for name in question.factors)
        for context in _contexts(question, cell):
            groups[context][level] = cell
    compared = {context: group for context, group in groups.items() if len(group) > 1}
    if not compared:
        return None
    present = {level for group in compared.values() for level in group}
    levels = tuple(sorted(present, key=order.__getitem__))
    comparisons = [
        comparison
        for context, group in compared.items()
        for comparison in _comparisons(question, dict(context), group, levels)
    ]
    return Answer(question, compared, levels, _corrected(comparisons))


def level_of(question: Question, cell: Cell) -> str:
    """The level of a cell in words: what is not usual about the question's settings."""
    named = [_words(name, cell.settings[name]) for name in question.factors]
    unusual = [word for word in named if word not in ("none", "plain", "")]
    return " + ".join(unusual) or "none"


def _words(name: str, value: Any) -> str:
    if name == "residual":
        return "residual" if value else "plain"
    if name == "label_propagation":
        return "none" if value == "none" else f"label propagation {value}"
    if name == "drop_edge":
        return f"drop edge {value:g}" if value else ""
    if name == "num_layers":
        return f"{value} layer" if value == 1 else f"{value} layers"
    return f"width {value}" if name == "hidden_channels" else str(value)


_USUAL = ("none", "relu", "trained", "gcn")


def _rank(value: Any) -> tuple[int, Any]:
    """Place of a level: the usual one first, then by size or by name."""
    if isinstance(value, str):
        return (_USUAL.index(value), value) if value in _USUAL else (len(_USUAL), value)
    return 0, value


def _contexts(question: Question, cell: Cell) -> list[tuple[tuple[str, Any], ...]]:
    """What a cell has in common with those it is compared with; of depth, once for each place of its layer.

    Layers of models of different depth have nothing in common but where they are: first, last, output. The
    only hidden layer of a model of two is both first and last.
    """
    pairs = [(name, cell.settings[name]) for name in SETTINGS if name not in question.factors]
    if question.id == "architecture" and cell.settings["model"] == "sgc":
        # It has no activation function; it stands beside models with the usual one.
        pairs = [(name, "relu" if name == "activation" else value) for name, value in pairs]
    if question.id != "depth":
        return [tuple(pairs)]
    layer, last = cell.settings["layer"], f"act.{cell.settings['num_layers'] - 2}"
    places = {"first hidden layer": "act.0", "last hidden layer": last, "output": "output"}
    found = [place for place, name in places.items() if name == layer] or [layer]
    return [tuple((name, place if name == "layer" else value) for name, value in pairs) for place in found]


def _num_varied(question: Question, cells: Sequence[Cell]) -> int:
    trained = [cell for cell in cells if cell.settings["weights"] == "trained"]
    return sum(len({cell.settings[name] for cell in trained}) > 1 for name in question.factors)


def _comparisons(
    question: Question, context: dict[str, Any], group: Mapping[str, Cell], levels: Sequence[str]
) -> list[Comparison]:
    present = [level for level in levels if level in group]
    pairs = [(level, present[0]) for level in present[1:]]
    # Adversarial training has a control of its own beside the first level.
    pairs += [
        (level, control)
        for level in present
        if (control := control_label(level)) != level and control in group
    ]
    pairs += [
        (level, part)
        for level in present
        for part in present
        if _is_one_less(question, group[part], group[level])
    ]
    found = (
        _compared(context, level, group[level], base, group[base]) for level, base in dict.fromkeys(pairs)
    )
    return [comparison for comparison in found if comparison is not None]


def _is_one_less(question: Question, part: Cell, whole: Cell) -> bool:
    """Whether a cell is the other one with one setting as usual: ELU, and ELU with residual connections."""
    other = [name for name in question.factors if part.settings[name] != whole.settings[name]]
    return len(other) == 1 and part.settings[other[0]] in (*_USUAL, False, 0.0)


def _compared(
    context: dict[str, Any], level: str, cell: Cell, baseline: str, base: Cell
) -> Comparison | None:
    """Test two cells over the searches that both have, seed by seed; `None` with fewer than two seeds."""
    invariance, accuracy = _tested(INVARIANCE, cell, base), _tested(ACCURACY, cell, base)
    if invariance is None or accuracy is None:
        return None
    is_known = cell.is_known(EXCESS) and base.is_known(EXCESS)
    excess = _tested(EXCESS, cell, base) if is_known else None
    sizes = (cell.num_parameters, base.num_parameters)
    return Comparison(context, level, baseline, invariance, accuracy, excess, *sizes)


def _tested(measure: str, cell: Cell, base: Cell) -> PairedTest | None:
    """The test of one measure; a seed counts with the mean of the searches that both cells have of it."""
    ours, theirs = [], []
    for seed in sorted(cell.rows.get(measure, {}).keys() & base.rows.get(measure, {}).keys()):
        mine, other = cell.rows[measure][seed], base.rows[measure][seed]
        if searches := mine.keys() & other.keys():
            ours.append(sum(mine[search] for search in searches) / len(searches))
            theirs.append(sum(other[search] for search in searches) / len(searches))
    if len(ours) < 2:
        return None
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    method: Any = "wilcoxon" if len(ours) >= FEWEST_FOR_RANKS else "t"
    ends = (-math.inf, math.inf) if measure == EXCESS else (-1.0, 1.0)
    found = paired_test(ours, theirs, method=method)
    return replace(found, difference=student_interval(differences, ends))


def _corrected(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """The same, with each measure's p-values corrected for all comparisons that have one.

    Accuracy is the model's: the same comparison at several layers is one.
    """
    corrected: list[dict[str, float]] = [{} for _ in comparisons]
    for measure in MEASURES:
        p_values: dict[tuple[Any, ...], float] = {}
        keys = []
        for place, comparison in enumerate(comparisons):
            test = comparison.test(measure)
            if test is None:
                continue
            key = _models_of(comparison) if measure == ACCURACY else (place,)
            keys.append((key, place))
            p_values[key] = test.p_value
        found = dict(zip(p_values, holm(list(p_values.values())), strict=True)) if p_values else {}
        for key, place in keys:
            corrected[place][measure] = float(found[key])
    return tuple(replace(one, p_holm=p) for one, p in zip(comparisons, corrected, strict=True))


def _models_of(comparison: Comparison) -> tuple[Any, ...]:
    """What tells the models of a comparison from those of another one."""
    context = tuple((name, value) for name, value in comparison.context.items() if name not in OF_A_SEARCH)
    return (context, comparison.level, comparison.baseline)
