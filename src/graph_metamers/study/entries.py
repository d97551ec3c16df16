"""A model of one's own on the leaderboard of a study: an audit of it as a row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import ParameterError
from graph_metamers.study.cells import INVARIANCE, MODEL_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graph_metamers.auditing import Audit


def entries_of(audits: Sequence[Audit], rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of audits for a study's leaderboard, with the columns of `leaderboard`.

    An audit is of one trained model, so its accuracy has no interval, and those of its shares are over starts
    of the search. Settings of a study that it does not know are `None`.

    Parameters
    ----------
    audits
        Of any models, on data sets and splits of the study.
    rows
        From `rows_of`: the study's.

    Raises
    ------
    ParameterError
        If an audit was made on other data, or on another split of them: accuracies would not compare.
    """
    known = {(row["data_fingerprint"], row["dataset"]) for row in rows}
    entries = []
    for audit in audits:
        made_on = (audit.provenance["dataset_fingerprint"], audit.dataset.name)
        if made_on not in known:
            names = ", ".join(sorted({name for _, name in known}))
            must = f"made on data sets and splits of the study ({names})"
            raise ParameterError("audits", must, f"{audit.model_name} on {audit.dataset.name}")
        if audit.layers:
            entries.append(_entry(audit))
    return entries


def _entry(audit: Audit) -> dict[str, Any]:
    found = [start.is_metamer for layer in audit.layers for start in layer.starts]
    entry: dict[str, Any] = dict.fromkeys((*MODEL_SETTINGS, "vary"))
    entry |= {
        "dataset": audit.dataset.name,
        "model": audit.model_name,
        "vary": audit.varies,
        "num_seeds": 1,
        "num_parameters": None if audit.model is None else sum(p.numel() for p in audit.model.parameters()),
        "test_accuracy": audit.scores.test.accuracy,
        "test_accuracy_low": math.nan,
        "test_accuracy_high": math.nan,
        "num_at_chance": int(audit.at_chance),
        "metamers_found": sum(found) / len(found),
    }
    for place, layer in (("first", audit.layers[0]), ("last", audit.layers[-1])):
        share = layer.measures[INVARIANCE].interval
        entry |= {
            f"{place}_layer": layer.name,
            f"{place}_{INVARIANCE}": share.estimate,
            f"{place}_{INVARIANCE}_low": share.low,
            f"{place}_{INVARIANCE}_high": share.high,
        }
    return entry
