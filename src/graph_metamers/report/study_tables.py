"""Tables of a study: CSV, LaTeX and Parquet, with the same columns."""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING, Any

from graph_metamers.report.study_figures import MEASURES, lines_of, panels
from graph_metamers.storage import atomic_file
from graph_metamers.study.cells import ACCURACY, EXCESS, INVARIANCE
from graph_metamers.study.table import write_parquet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graph_metamers.study.answers import Answer, Comparison

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_ANY_OF_LATEX = re.compile("|".join(re.escape(character) for character in _LATEX))


def comparison_rows(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One row a comparison: the difference of invariance with its test, and that of accuracy beside it."""
    return [_comparison_row(answer.question.id, found) for answer in answers for found in answer.comparisons]


def level_rows(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One row a point of every figure: question, line, level, measure, mean and ends of its interval."""
    return [
        {
            "question": answer.question.id,
            "dataset": dataset,
            "vary": vary,
            "measure": measure,
            "line": line.label,
            "level": point.level,
            "estimate": point.estimate,
            "low": point.low,
            "high": point.high,
        }
        for answer in answers
        for dataset, vary in panels(answer)
        for measure in MEASURES
        for line in lines_of(answer, measure, dataset, vary)
        for point in line.points
    ]


def write_tables(rows: Sequence[dict[str, Any]], stem: Path) -> list[str]:
    """Write rows as `<stem>.csv`, `.tex` and `.parquet`; returns the names of the files.

    Nothing is written of a table without rows.
    """
    if not rows:
        return []
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_file(stem.with_suffix(".csv")) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    with atomic_file(stem.with_suffix(".tex")) as temporary:
        temporary.write_text(latex_table(rows, columns), encoding="utf-8")
    write_parquet(rows, stem.with_suffix(".parquet"))
    return [f"{stem.name}{suffix}" for suffix in (".csv", ".tex", ".parquet")]


def latex_table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    r"""A table for LaTeX with the package booktabs.

    Examples
    --------
    >>> print(latex_table([{"model": "a_b", "share": 0.25}], ["model", "share"]))
    \begin{tabular}{lr}
    \toprule
    model & share \\
    \midrule
    a\_b & 0.25 \\
    \bottomrule
    \end{tabular}
    <BLANKLINE>
    """
    numeric = [all(isinstance(row.get(name), (int, float)) for row in rows) for name in columns]
    lines = [
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        _line([name.replace("_", " ") for name in columns]),
        r"\midrule",
        *(_line([_text(row.get(name)) for name in columns]) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _comparison_row(question: str, found: Comparison) -> dict[str, Any]:
    share, accuracy = found.invariance, found.accuracy
    return {
        "question": question,
        "dataset": found.context["dataset"],
        "model": found.context.get("model", "all"),
        "layer": found.context["layer"],
        "vary": found.context["vary"],
        "context": ", ".join(
            f"{name} {value}" for name, value in found.context.items() if name not in _OWN_COLUMNS
        ),
        "level": found.level,
        "baseline": found.baseline,
        "num_parameters": found.num_parameters,
        "num_parameters_of_baseline": found.num_parameters_of_baseline,
        "num_pairs": share.num_pairs,
        "difference": share.difference.estimate,
        "difference_low": share.difference.low,
        "difference_high": share.difference.high,
        "p": share.p_value,
        "p_holm": found.p_holm[INVARIANCE],
        "cohens_d_z": share.effect_size.cohens_d_z,
        "rank_biserial": share.effect_size.rank_biserial,
        "test": share.method,
        "accuracy_difference": accuracy.difference.estimate,
        "accuracy_difference_low": accuracy.difference.low,
        "accuracy_difference_high": accuracy.difference.high,
        "accuracy_p": accuracy.p_value,
        "accuracy_p_holm": found.p_holm[ACCURACY],
        **_excess_columns(found),
    }


def _excess_columns(found: Comparison) -> dict[str, Any]:
    """Empty where the data have no Bayes oracle."""
    test = found.excess
    return {
        "excess_difference": None if test is None else test.difference.estimate,
        "excess_difference_low": None if test is None else test.difference.low,
        "excess_difference_high": None if test is None else test.difference.high,
        "excess_p": None if test is None else test.p_value,
        "excess_p_holm": None if test is None else found.p_holm[EXCESS],
    }


_OWN_COLUMNS = frozenset({"dataset", "model", "layer", "vary"})


def _line(cells: Sequence[str]) -> str:
    escaped = (_ANY_OF_LATEX.sub(lambda found: _LATEX[found[0]], cell) for cell in cells)
    return " & ".join(escaped) + r" \\"


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "--"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
