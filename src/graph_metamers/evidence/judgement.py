"""Is what a model matches more than it should? A rule from measures to one word, and who bears it out.

That a model computes the same for two graphs can be right: what changed may not matter. It is called
blindness only where somebody else notices the change: an oracle that knows the true classes, or other
networks that were trained for the same task. The rule is *ours*; every threshold is in this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from graph_metamers.evidence.panel_members import KINDS
from graph_metamers.metrics.deciding import compare, compare_with, majority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graph_metamers.evidence.panel_members import ObserverKind
    from graph_metamers.metrics import Interval

Word = Literal["cannot see", "shared", "nobody notices", "open", "not asked"]
Notice = Literal["notices", "does not notice", "undecided", "no interval"]

MATERIAL = 0.05
"""What an observer has to lose of its accuracy to notice a change: five in a hundred nodes. An interval
wholly above says that it does, one wholly below that it does not; a loss of half a percent may be certain
and still mean nothing."""


@dataclass(frozen=True)
class Hearing:
    """What is known of the metamers of one layer of one model.

    Attributes
    ----------
    at_chance
        Whether the model is not shown to be better than always answering the most frequent class.
    is_matched
        Whether a metamer was found from every start.
    passing, passing_by_chance
        Share of the nodes that pass the gates, in [0, 1], and the same by chance.
    lost
        Kind of observer -> how much of its accuracy is lost on the metamers, in [-1, 1], the model itself
        among them; empty if nobody was asked. See `PanelReport.lost`.
    oracle_excess
        Scaled excess invariance by the Bayes oracle, 0 for the oracle and 1 for a constant model; `None`
        where there is no oracle. See `ScaledExcess`.
    """

    at_chance: bool
    is_matched: bool
    passing: Interval
    passing_by_chance: Interval
    lost: Mapping[ObserverKind, Interval] = field(default_factory=dict)
    oracle_excess: Interval | None = None


@dataclass(frozen=True)
class Judgement:
    """What the rule makes of a hearing.

    Attributes
    ----------
    word
        `"cannot see"`: the model matches node by node and keeps its answers, while the oracle, or other
        architectures, notice the change. `"shared"`: no other network notices, but somebody who sees less
        does. `"nobody notices"`: of all that were asked. `"open"`: the numbers do not decide.
        `"not asked"`: there is neither oracle nor observer, or nothing to ask about.
    why
        For `"open"` and `"not asked"`, the reason as a clause; else empty.
    notices
        Kind of observer -> whether it notices; the model itself among them.
    by_oracle
        Whether the oracle bears out `"cannot see"`.
    """

    word: Word
    why: str = ""
    notices: Mapping[ObserverKind, Notice] = field(default_factory=dict)
    by_oracle: bool = False


def notice(lost: Interval) -> Notice:
    """Whether an observer who loses that much accuracy notices a change; see `MATERIAL`."""
    answers: dict[str, Notice] = {
        "above": "notices",
        "below": "does not notice",
        "undecided": "undecided",
        "no interval": "no interval",
    }
    return answers[compare_with(lost, MATERIAL)]


def judgement(hearing: Hearing) -> Judgement:
    """Apply the rule.

    In this order: a model at chance, no search that arrived from every start, or nodes that do not pass the
    gates in their majority and more than by chance, leave nothing to ask about. Without observers and oracle
    nobody was asked. A model that loses answers itself, or whose own answers are undecided, leaves it open.
    Then the oracle decides if it can, then other architectures, then everybody else.
    """
    reason = _nothing_to_ask(hearing)
    if reason:
        return Judgement("not asked", reason)
    if not hearing.lost and hearing.oracle_excess is None:
        return Judgement("not asked", "neither observers nor an oracle were asked")
    notices = {kind: notice(hearing.lost[kind]) for kind in KINDS if kind in hearing.lost}
    own = notices.get("itself", "does not notice")
    if own != "does not notice":
        return Judgement("open", _OWN[own], notices)
    oracle = None if hearing.oracle_excess is None else compare_with(hearing.oracle_excess, MATERIAL)
    if oracle == "above":
        return Judgement("cannot see", "", notices, by_oracle=True)
    if oracle in _ORACLE_OPEN:
        return Judgement("open", _ORACLE_OPEN[oracle], notices)
    return _by_observers(notices, with_oracle=oracle is not None)


_ORACLE_OPEN: Mapping[str | None, str] = MappingProxyType(
    {
        "undecided": "whether the oracle shows excess is not decided",
        "no interval": "the oracle's figure is of fewer than 5 starts, too few to decide by, or it is not "
        "defined",
    }
)


_OWN: dict[Notice, str] = {
    "notices": "the model itself is right on fewer nodes there",
    "undecided": "whether the model itself is right on fewer nodes there is not decided",
    "no interval": "one start has no interval",
}


def _nothing_to_ask(hearing: Hearing) -> str:
    if hearing.at_chance:
        return "the model is at chance"
    if not hearing.is_matched:
        return "not every start found a metamer"
    if majority(hearing.passing) == "no interval":
        return "one start has no interval"
    if majority(hearing.passing) != "most":
        return "it is not shown that most nodes are metamers on their own"
    if compare(hearing.passing, hearing.passing_by_chance) != "above":
        return "it is not shown that more nodes are metamers than by chance"
    return ""


def _by_observers(notices: Mapping[ObserverKind, Notice], *, with_oracle: bool) -> Judgement:
    """What observers say where the oracle, if there is one, does not bear out blindness."""
    foreign = notices.get("architecture")
    if foreign == "notices" and not with_oracle:
        return Judgement("cannot see", "", notices)
    if foreign != "does not notice":
        return Judgement("open", _FOREIGN[foreign, with_oracle], notices)
    if notices.get("twin") == "notices":
        return Judgement("open", "its twins notice, and other architectures do not", notices)
    others = {answer for kind, answer in notices.items() if kind not in ("itself", "architecture")}
    if "notices" in others:
        return Judgement("shared", "", notices)
    if others - {"does not notice"}:
        return Judgement("open", "whether anybody notices is not decided", notices)
    return Judgement("nobody notices", "", notices)


_UNDECIDED = "whether other architectures notice is not decided"
_FOREIGN: Mapping[tuple[Notice | None, bool], str] = MappingProxyType(
    {
        (None, True): "the oracle does not show excess, and no other architecture was asked",
        (None, False): "no other architecture was asked",
        # It knows better than they do.
        ("notices", True): "other architectures notice, but the oracle does not show excess",
        ("undecided", True): _UNDECIDED,
        ("undecided", False): _UNDECIDED,
        ("no interval", True): "one start has no interval",
        ("no interval", False): "one start has no interval",
    }
)
