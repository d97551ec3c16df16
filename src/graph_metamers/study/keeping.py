"""Which of several found graphs is kept: that of the best search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_metamers.storage import to_number
from graph_metamers.study.tasks import GRAPH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.study.run_store import RunRecord, RunStore


def keep_best(store: RunStore, run_ids: Sequence[str]) -> None:
    """Drop the graphs of all finished searches but the best of them, where they were computed to be so.

    Parameters
    ----------
    store
        Where they are.
    run_ids
        Searches that differ in their seed alone; those that are not finished do not count.
    """
    finished = [store.read(run_id) for run_id in run_ids if store.is_finished(run_id)]
    ranked = sorted(finished, key=_merit, reverse=True)
    for record in ranked[1:]:
        if record.manifest.get("keep") == "best":  # another study that shares the store may keep all
            store.drop_file(record.run_id, GRAPH)


def _merit(record: RunRecord) -> tuple[bool, bool, float, float, str]:
    """What makes a search the best: a metamer, with many nodes that pass all gates, and a low loss."""
    values = record.values
    if record.is_failed:
        return (False, False, 0.0, 0.0, record.run_id)
    return (
        True,
        bool(values["is_metamer"]),
        to_number(values["passing_share"]),
        -to_number(values["activation_loss"]),
        record.run_id,
    )
