"""How long a search may take."""

from __future__ import annotations

from dataclasses import dataclass

from graph_metamers.parameters import check_integer, check_real


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
        check_integer("steps", self.steps, low=1)
        if self.seconds is not None:
            check_real("seconds", self.seconds, low=0, low_included=False)
