"""A model of one's own on the leaderboard of a study: an audit of it as a row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import ParameterError
from graph_metamers.graphs import infer_feature_kind
from graph_metamers.study.answers import BOARD_SETTINGS, board_columns
from graph_metamers.study.cells import EXCESS, INVARIANCE

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
        If an audit was made on other data, on another split of them, or with other settings of the gates or
        of the features: figures would not compare.
    """
    if not audits:
        return []
    searches = [row for row in rows if row["kind"] == "metamer"]
    for audit in audits:
        _require_comparable(audit, searches)
    return [_entry(audit) for audit in audits]


def _require_comparable(audit: Audit, searches: Sequence[Mapping[str, Any]]) -> None:
    where = f"{audit.model_name} on {audit.dataset.name}"
    fingerprint = audit.provenance["dataset_fingerprint"]
    same_data = [row for row in searches if row.get("data_fingerprint") == fingerprint]
    if not same_data:
        names = ", ".join(sorted({str(row["dataset"]) for row in searches}))
        raise ParameterError("audits", f"made on data sets and splits of the study ({names})", where)
    search: Any = audit.config["search"]
    asked = (audit.varies, search["tolerance"], search["min_distance"])
    known = sorted({(row["vary"], row["tolerance"], row["min_distance"]) for row in same_data})
    if asked not in known:
        must = f"made with what varies, tolerance and min_distance of the study ({known})"
        raise ParameterError("audits", must, f"{where}: {asked}")
    if audit.varies != "features":
        return
    kinds, kind = {row["feature_kind"] for row in same_data if row["vary"] == audit.varies}, _kind_of(audit)
    if kinds == {"continuous"} and kind != "continuous":
        must = "made with features that may be any numbers, as in the study (--feature-kind continuous)"
        raise ParameterError("audits", must, f"{where}: {kind}")
    if kinds == {"own"} and kind != "binary" and infer_feature_kind(audit.graph.x) == "binary":
        raise ParameterError("audits", "made with words that stay words, as in the study", f"{where}: {kind}")


def _kind_of(audit: Audit) -> str:
    search: Any = audit.config["search"]
    return ", ".join(sorted({str(slot["kind"]) for slot in search["vary"].values()}))


def _entry(audit: Audit) -> dict[str, Any]:
    layers = sorted(audit.layers, key=lambda layer: layer.depth)
    found = [start.is_metamer for layer in layers for start in layer.starts]
    entry: dict[str, Any] = dict.fromkeys(BOARD_SETTINGS)
    entry |= {
        "dataset": audit.dataset.name,
        "model": audit.model_name,
        "vary": audit.varies,
        "feature_kind": "continuous" if _kind_of(audit) == "continuous" else "own",
        "num_seeds": 1,
        "num_parameters": None if audit.model is None else sum(p.numel() for p in audit.model.parameters()),
        "test_accuracy": audit.scores.test.accuracy,
        "test_accuracy_low": math.nan,
        "test_accuracy_high": math.nan,
        "num_at_chance": int(audit.at_chance),
        "metamers_found": sum(found) / len(found),
    }
    for place, layer in (("first", layers[0]), ("last", layers[-1])):
        entry[f"{place}_layer"] = layer.name
        entry |= board_columns(f"{place}_{INVARIANCE}", layer.measures[INVARIANCE].interval)
        entry |= board_columns(f"{place}_{EXCESS}", None)  # an audit has its oracle in its own report
    return entry
