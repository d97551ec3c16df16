"""What was changed in the audits of a page, features, edges or both, and how chance is called for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graph_metamers.auditing import Audit, LayerAudit
    from graph_metamers.types import Varies

UNRELATED: Mapping[Varies, str] = {
    "features": "unrelated features",
    "structure": "random graphs, same degrees",
    "both": "unrelated features on random graphs, same degrees",
}
"""What varies -> what chance is, for figures and tables."""


def vary_features(audits: Sequence[Audit]) -> tuple[Audit, ...]:
    """Those in which features were changed, alone or beside edges."""
    return tuple(audit for audit in audits if audit.varies != "structure")


def vary_edges(audits: Sequence[Audit]) -> tuple[Audit, ...]:
    """Those in which edges were changed, alone or beside features."""
    return tuple(audit for audit in audits if audit.varies != "features")


def of_kind(audits: Sequence[Audit], varies: Varies) -> tuple[Audit, ...]:
    """Those in which just that was changed."""
    return tuple(audit for audit in audits if audit.varies == varies)


def what_of_edges(audit: Audit) -> str:
    """What a picture of features says about edges."""
    return _EDGES_TOO if audit.varies == "both" else "The edges are kept."


_EDGES_TOO = "The edges were changed too: neighbourhoods are drawn on their own."


def unrelated(entry: Audit | LayerAudit) -> str:
    """What chance is for an audit or a layer."""
    return UNRELATED[entry.varies]


def all_unrelated(audits: Sequence[Audit]) -> str:
    """What chance is on a page: each of its kinds, joined by "or"."""
    return " or ".join(dict.fromkeys(unrelated(audit) for audit in audits))


def lead(audits: Sequence[Audit]) -> tuple[str, str]:
    """What a metamer is on this page, after the words "A metamer is", and what was changed."""
    kinds = tuple(dict.fromkeys(audit.varies for audit in audits))
    what = ", or ".join(_OTHER[kind] for kind in kinds)
    return (
        f"the same graph with {what}{',' if len(kinds) > 1 else ''} on which a layer of the model computes "
        "the same.",
        _CHANGED[kinds[0]] if len(kinds) == 1 else _SEVERAL if "both" in kinds else _EITHER,
    )


_OTHER: Mapping[Varies, str] = {
    "features": "other features",
    "structure": "other edges",
    "both": "other features and other edges",
}

_CHANGED: Mapping[Varies, str] = {
    "features": "Here the features were changed; edges, labels and model stayed as they were.",
    "structure": "Here the edges were changed, while every node kept its number of neighbours; features, "
    "labels and model stayed as they were.",
    "both": "Here features and edges were changed together, while every node kept its number of neighbours; "
    "labels and model stayed as they were.",
}

_EITHER = "Here either the features or the edges were changed; labels and model stayed as they were."
_SEVERAL = "Here features, edges, or both together were changed; labels and model stayed as they were."
