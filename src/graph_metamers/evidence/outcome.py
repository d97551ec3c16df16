"""What one case of the self-test gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graph_metamers.synthesis import Metamer


@dataclass(frozen=True)
class Outcome:
    """What one case gave with one seed.

    Attributes
    ----------
    got
        In words.
    right
        Whether it is what had to come out.
    accepted
        Share of the nodes that pass the three gates, [0, 1]; `None` for a case that does not ask them.
    metamer
        What the search found, of several the worst; `None` for a case without a search.
    recomputed_loss
        The activation loss of that graph by PyTorch Geometric alone; `None` where it was not computed.
    budget
        What the search could spend, in words, where that is not the default.
    """

    got: str
    right: bool
    accepted: float | None
    metamer: Metamer | None = None
    recomputed_loss: float | None = None
    budget: str | None = None
