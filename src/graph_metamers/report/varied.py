"""What was changed in the audits of a page, features or edges, and how chance is called for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.auditing import Audit, LayerAudit

UNRELATED = {"features": "unrelated features", "structure": "random graphs, same degrees"}
"""What varies -> what chance is, for figures and tables."""


def vary_features(audits: Sequence[Audit]) -> tuple[Audit, ...]:
    """Those in which features were changed."""
    return tuple(audit for audit in audits if audit.varies == "features")


def vary_edges(audits: Sequence[Audit]) -> tuple[Audit, ...]:
    """Those in which edges were changed."""
    return tuple(audit for audit in audits if audit.varies == "structure")


def unrelated(entry: Audit | LayerAudit) -> str:
    """What chance is for an audit or a layer."""
    return UNRELATED[entry.varies]


def all_unrelated(audits: Sequence[Audit]) -> str:
    """What chance is on a page: each of its kinds, joined by "or"."""
    return " or ".join(dict.fromkeys(unrelated(audit) for audit in audits))


def lead(audits: Sequence[Audit]) -> tuple[str, str]:
    """What a metamer is on this page, after the words "A metamer is", and what was changed."""
    kinds = {audit.varies for audit in audits}
    what = "other edges" if kinds == {"structure"} else "other features"
    if len(kinds) > 1:
        what = "other features, or other edges,"
    return (
        f"the same graph with {what} on which a layer of the model computes the same.",
        _CHANGED["both" if len(kinds) > 1 else kinds.pop()],
    )


_CHANGED = {
    "features": "Here the features were changed; edges, labels and model stayed as they were.",
    "structure": "Here the edges were changed, while every node kept its number of neighbours; features, "
    "labels and model stayed as they were.",
    "both": "Here either the features or the edges were changed; labels and model stayed as they were.",
}
