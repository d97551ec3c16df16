"""How long a search may take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graph_metamers.errors import ParameterError


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Parameters
    ----------
    steps
        Evaluations of the model with its gradient; counted, so that one seed gives one result.
    seconds
        Wall-clock limit. Only an emergency brake: a search that it ends has the status `TIME_LIMIT` and
        need not come out the same twice.
    """

    steps: int = 2000
    seconds: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ParameterError("steps", "an integer >= 1", self.steps)
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ParameterError("seconds", "a number > 0, or None for no limit", self.seconds)
