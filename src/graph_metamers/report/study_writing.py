"""write_study_report(): one page about a study, and its tables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from graph_metamers import __version__
from graph_metamers.errors import ParameterError
from graph_metamers.report.numbers import number, percent
from graph_metamers.report.plots import script_json
from graph_metamers.report.study_figures import not_drawn, question_plots
from graph_metamers.report.study_tables import comparison_rows, level_rows, write_tables
from graph_metamers.report.theme import css_variables, recolouring
from graph_metamers.report.writing import content_security_policy
from graph_metamers.storage import atomic_file, ensure_writable
from graph_metamers.study.answers import answers_of, leaderboard
from graph_metamers.study.cells import cells_of
from graph_metamers.study.entries import entries_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit
    from graph_metamers.study.answers import Answer

PAGE = "study.html"
PLACES = ("first", "last")  # of the layers on the leaderboard


def write_study_report(
    rows: Sequence[dict[str, Any]],
    folder: str | os.PathLike[str],
    *,
    name: str = "study",
    description: str = "",
    audits: Sequence[Audit] = (),
    num_planned: int | None = None,
) -> list[Path]:
    """Write a page about a study and its tables into a folder.

    Parameters
    ----------
    rows
        From `rows_of`: finished runs, models and searches.
    folder
        Where to; made if it is not there. Older files of the same names are replaced.
    name, description
        Of the study.
    audits
        Of models that are not the study's: they are entered into the leaderboard.
    num_planned
        How many runs the study has; the page says how many of them have no result yet. Default: these.

    Returns
    -------
    list of Path
        The page (`study.html`, which needs no network), then `runs`, `comparisons`, `levels` and
        `leaderboard` as CSV, LaTeX and Parquet.

    Raises
    ------
    ParameterError
        If there is no finished search among the rows, or an audit was made on other data or another split.
    OutputError
        If the folder cannot be written.
    """
    target = Path(folder)
    cells = cells_of(rows)
    if not cells:
        raise ParameterError("rows", "those of a study with a finished search", f"{len(rows)} rows without")
    ensure_writable(target / PAGE)
    answers, board = answers_of(cells), leaderboard(cells, entries_of(audits, rows))
    tables = {
        "runs": list(rows),
        "comparisons": comparison_rows(answers),
        "levels": level_rows(answers),
        "leaderboard": board,
    }
    target.mkdir(parents=True, exist_ok=True)
    files = [file for stem, content in tables.items() for file in write_tables(content, target / stem)]
    with atomic_file(target / PAGE) as temporary:
        missing = 0 if num_planned is None else max(0, num_planned - len(rows))
        page = render_study(
            answers, board, rows, files=files, name=name, description=description, num_missing=missing
        )
        temporary.write_text(page, encoding="utf-8")
    return [target / PAGE, *(target / file for file in files)]


def render_study(
    answers: Sequence[Answer],
    board: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    *,
    files: Sequence[str],
    name: str,
    description: str,
    num_missing: int = 0,
) -> str:
    """The page as one string."""
    environment = Environment(
        loader=PackageLoader("graph_metamers.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = environment.get_template("report.js").render(recolouring=script_json(json.dumps(recolouring())))
    scripts = (get_plotlyjs(), own)
    searches = [row for row in rows if row["kind"] == "metamer" and row.get("error") is None]
    return environment.get_template("study.html.j2").render(
        name=name,
        description=description,
        answers=[_section(answer) for answer in answers],
        board=[_board_row(row) for row in board],
        num_models=sum(row["kind"] == "model" for row in rows),
        num_searches=len(searches),
        num_missing=num_missing,
        board_has_excess=any(row[f"{place}_excess"] is not None for row in board for place in PLACES),
        num_failed=sum(row.get("error") is not None for row in rows),
        num_metamers=sum(bool(row["is_metamer"]) for row in searches),
        seeds=sorted({row["seed"] for row in searches}),
        files=files,
        version=__version__,
        policy=content_security_policy(scripts),
        style=Markup(environment.get_template("report.css").render(css_variables=css_variables)),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704 (plotly's script and ours, no data)
    )


def _section(answer: Answer) -> dict[str, Any]:
    rows = comparison_rows([answer])
    return {
        "id": answer.question.id,
        "heading": answer.question.heading,
        "plots": question_plots(answer),
        "not_drawn": not_drawn(answer),
        "comparisons": [_comparison_texts(row) for row in rows],
        "has_excess": any(row["excess_difference"] is not None for row in rows),
    }


def _comparison_texts(row: dict[str, Any]) -> dict[str, str]:
    return {
        "where": ", ".join(str(row[key]) for key in ("dataset", "model", "layer", "vary")),
        "context": row["context"],
        "what": f"{row['level']} against {row['baseline']}",
        "pairs": str(row["num_pairs"]),
        "difference": _points(row, "difference"),
        "p": number(row["p_holm"], 3),
        "effect": number(row["cohens_d_z"]),
        "accuracy": _points(row, "accuracy_difference"),
        "excess": "" if row["excess_difference"] is None else _difference(row, "excess_difference"),
        "excess_p": "" if row["excess_p_holm"] is None else number(row["excess_p_holm"], 3),
        "accuracy_p": number(row["accuracy_p_holm"], 3),
    }


def _points(row: dict[str, Any], key: str) -> str:
    """A difference of two shares with its interval, in points of a percent."""
    return f"{100 * row[key]:+.1f} [{100 * row[key + '_low']:+.1f}, {100 * row[key + '_high']:+.1f}]"


def _difference(row: dict[str, Any], key: str) -> str:
    """A difference with its interval."""
    return f"{row[key]:+.2f} [{row[key + '_low']:+.2f}, {row[key + '_high']:+.2f}]"


def _board_row(row: dict[str, Any]) -> dict[str, str]:
    parts = [f"{row['model']}, from an audit"] if row["num_layers"] is None else _settings_in_words(row)
    return {
        "dataset": str(row["dataset"]),
        "vary": ", ".join([str(row["vary"]), *_search_in_words(row)]),
        "model": ", ".join(parts),
        "seeds": str(row["num_seeds"]),
        "accuracy": _share(row, "test_accuracy"),
        "at_chance": str(row["num_at_chance"]),
        "first": f"{row['first_layer']}: {_share(row, 'first_passing_share')}",
        "last": f"{row['last_layer']}: {_share(row, 'last_passing_share')}",
        **{f"{place}_excess": _with_ends(row, f"{place}_excess") for place in PLACES},
        "found": percent(row["metamers_found"]),
    }


def _settings_in_words(row: dict[str, Any]) -> list[str]:
    parts = [str(row["model"]), f"{row['num_layers']} layers", f"width {row['hidden_channels']}"]
    parts += [str(row["activation"])] + (["residual"] if row["residual"] else [])
    parts += [] if row["perturbation"] == "none" else [str(row["perturbation"])]
    parts += [f"drop edge {row['drop_edge']:g}"] if row["drop_edge"] else []
    parts += [] if row["label_propagation"] == "none" else [f"label propagation {row['label_propagation']}"]
    return parts + ([] if row["weights"] == "trained" else ["random weights"])


def _search_in_words(row: dict[str, Any]) -> list[str]:
    """What is not usual about the searches of a row."""
    kind = ["any numbers"] if row["feature_kind"] == "continuous" else []
    return kind + ([] if row["solver"] in (None, "auto", "rewire") else [str(row["solver"])])


def _with_ends(row: dict[str, Any], key: str) -> str:
    """A number with its interval, or nothing."""
    if row[key] is None:
        return ""
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    ends = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{row[key]:.2f}{ends}"


def _share(row: dict[str, Any], key: str) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    known = low == low  # noqa: PLR0124 (nan: there is no interval)
    ends = f" [{percent(low)}, {percent(high)}]" if known else ""
    return f"{percent(row[key])}{ends}"
