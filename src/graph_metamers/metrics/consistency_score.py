"""Whether activations and inputs agree on how alike two graphs are; a score that needs its two parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graph_metamers.parameters import check_real

if TYPE_CHECKING:
    from graph_metamers.types import Json


@dataclass(frozen=True)
class Consistency:
    """1 - ``|match - input|``, with both.

    Attributes
    ----------
    match
        How alike the activations are, 0 to 1.
    input
        How alike the inputs are, 0 to 1.

    Notes
    -----
    The paper's exact formula was not available to us: this one is *ours*. It is high where both agree, and
    that is so *also where both differ*: a search that found nothing scores as well as a model that lets
    nothing by. So it is never given without its two parts, and is no headline.
    """

    match: float
    input: float

    @property
    def score(self) -> float:
        """1 - ``|match - input|``, 0 to 1."""
        return 1 - abs(self.match - self.input)

    def row(self) -> dict[str, Json]:
        """The score and its two parts."""
        return {"score": self.score, "match": self.match, "input": self.input}

    def __str__(self) -> str:
        return f"{self.score:.3g} (activations alike {self.match:.3g}, inputs alike {self.input:.3g})"


def consistency(match: float, input: float) -> Consistency:  # noqa: A002 (the method's own names)
    """Put how alike activations are beside how alike inputs are.

    Parameters
    ----------
    match
        Of the activations, 0 to 1: of a metamer 1 - its relative error sqrt(activation loss), at least 0.
    input
        Of the inputs, 0 to 1: of a metamer 1 - its scaled distance, at least 0.

    Raises
    ------
    ParameterError
        If one of them is not between 0 and 1.

    Examples
    --------
    >>> print(consistency(0.97, 0.02))
    0.05 (activations alike 0.97, inputs alike 0.02)
    """
    return Consistency(
        check_real("match", match, low=0, high=1, high_included=True),
        check_real("input", input, low=0, high=1, high_included=True),
    )
