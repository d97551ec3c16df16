"""How a search ended, in one word and in one sentence."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """How a search for a metamer ended; `message` says it in a sentence."""

    CONVERGED = "converged"
    MAX_STEPS = "max_steps"
    TIME_LIMIT = "time_limit"
    STALLED = "stalled"
    NON_FINITE = "non_finite"
    DISCRETISATION_LOST = "discretisation_lost"
    RECOVERED_REFERENCE = "recovered_reference"
    NOT_MATCHED = "not_matched"

    @property
    def message(self) -> str:
        """What happened, for people."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CONVERGED: "A metamer was found: activations match within the tolerance, and the input differs.",
    Status.MAX_STEPS: "No metamer was found within the budget of steps.",
    Status.TIME_LIMIT: "No metamer was found before the time limit ended the search.",
    Status.STALLED: "No metamer was found: the search stopped getting better before its budget ended.",
    Status.NON_FINITE: "The search met activations or gradients that are not finite numbers and stopped.",
    Status.DISCRETISATION_LOST: "The activations matched during the search, but not on the real graph.",
    Status.NOT_MATCHED: "The layer was matched as a whole, but not this item.",
    Status.RECOVERED_REFERENCE: "The activations match, but the input is the reference again: no metamer.",
}
