"""Accuracy against labels and agreement between predictions, each beside its chance level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from scipy.stats import binomtest

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

Task: TypeAlias = Literal["auto", "multiclass", "binary", "multilabel", "regression"]
"""How an output is read as a prediction; see `predicted_classes`."""

AT_CHANCE_P_VALUE = 0.01
"""From this p-value on, a model counts as not shown to be better than chance."""


@dataclass(frozen=True)
class Accuracy:
    """How many predictions are right, beside what always answering the most frequent class would get.

    Parameters
    ----------
    accuracy
        Share of right predictions, in [0, 1].
    chance
        Share of the most frequent class among the same items, in (0, 1].
    num_items
        Number of items, >= 1.
    p_value
        One-sided exact binomial test: how probable at least this many right predictions are if each is right
        with probability `chance`. It counts items as independent, which neighbouring nodes are not, so it
        is a guard against untrained models and no claim of significance.
    """

    accuracy: float
    chance: float
    num_items: int
    p_value: float

    @property
    def at_chance(self) -> bool:
        """Not shown to be better than always answering the most frequent class (p >= 0.01)."""
        return self.p_value >= AT_CHANCE_P_VALUE

    def __str__(self) -> str:
        return f"{self.accuracy:.1%} (chance {self.chance:.1%}, {self.num_items} items)"


@dataclass(frozen=True)
class Agreement:
    """How many predictions stay the same, beside how many would by chance.

    Parameters
    ----------
    share
        Share of predictions that agree, in [0, 1].
    chance
        Expected share if the same predictions were handed out to the items at random, in [0, 1].
    num_items
        Number of items, >= 1.
    """

    share: float
    chance: float
    num_items: int

    @property
    def kappa(self) -> float:
        """Agreement scaled so that 0 is chance and 1 is all: (share - chance) / (1 - chance).

        In [-1, 1]; NaN if chance alone gives full agreement. For classes it is Cohen's kappa (Cohen 1960).
        """
        return (self.share - self.chance) / (1 - self.chance) if self.chance < 1 else math.nan

    def __str__(self) -> str:
        return f"{self.share:.1%} (chance {self.chance:.1%}, {self.num_items} items)"


def accuracy_of(predictions: Tensor, labels: Tensor) -> Accuracy:
    """Compare predicted classes with labels.

    Parameters
    ----------
    predictions, labels
        [num_items] integer class indices.

    Raises
    ------
    ParameterError
        If one is no vector of class indices, if they differ in length or are empty.

    Examples
    --------
    >>> accuracy_of(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 1, 1, 0]))
    Accuracy(accuracy=0.75, chance=0.5, num_items=4, p_value=0.3125)
    """
    for name, value in (("predictions", predictions), ("labels", labels)):
        if value.dim() != 1 or not _is_integer(value):
            raise ParameterError(
                name,
                "a vector of integer class indices",
                _described(value),
                mend="predicted_classes(output) turns logits into classes",
            )
    _require_same_shape("predictions", predictions, "labels", labels)
    num_items = len(labels)
    right = int((predictions == labels).sum())
    _, counts = torch.unique(labels, return_counts=True)
    most_frequent = int(counts.max())
    chance = most_frequent / num_items
    test = binomtest(right, num_items, chance, alternative="greater")
    return Accuracy(right / num_items, chance, num_items, float(test.pvalue))


def predicted_classes(output: Tensor, *, task: Task = "auto") -> Tensor:
    """Read a model's output as predictions.

    Parameters
    ----------
    output
        The output of a model, one row per item.
    task
        - "multiclass": [num_items, num_classes] logits to [num_items] int64, the class of the largest (the
          first of equal ones); [num_items] integers are classes already.
        - "binary": [num_items] or [num_items, 1] logits to [num_items] int64, 1 where the logit is positive.
        - "multilabel": [num_items, num_labels] logits to bool, true where positive; bool stays as it is.
        - "auto": multilabel for bool; else multiclass for integers and for more than one column; else binary.
          Several logits that are independent labels look like classes: say `task="multilabel"` for them.

    Raises
    ------
    ParameterError
        If the shape does not fit the task, the output is empty or not finite, or the task is "regression",
        which has no classes.

    Examples
    --------
    >>> predicted_classes(torch.tensor([[0.1, 0.7, 0.2], [2.0, -1.0, 0.0]]))
    tensor([1, 0])
    """
    _require_values("output", output)
    resolved = _resolve(task, output)
    if resolved == "multiclass":
        if output.dim() == 1 and _is_integer(output):
            return output.long()
        if output.dim() == 2 and output.is_floating_point():
            return output.argmax(dim=1)
        must = "logits [num_items, num_classes] or integer classes [num_items]"
    elif resolved == "binary":
        if output.is_floating_point() and (output.dim() == 1 or (output.dim() == 2 and output.shape[1] == 1)):
            return (output.reshape(-1) > 0).long()
        must = "one logit per item, [num_items] or [num_items, 1]"
    elif resolved == "multilabel":
        if output.dim() == 2 and output.dtype == torch.bool:
            return output
        if output.dim() == 2 and output.is_floating_point():
            return output > 0
        must = "logits or booleans [num_items, num_labels]"
    else:
        raise ParameterError("task", "one with classes: 'multiclass', 'binary' or 'multilabel'", task)
    raise ParameterError("output", f"{must} for task={resolved!r}", _described(output))


def prediction_agreement(
    predicted: Tensor, reference: Tensor, *, task: Task = "auto", tolerance: float | None = None
) -> Agreement:
    r"""Compare the predictions of two outputs for the same items.

    What agrees depends on the task: the class of the largest logit, the sign of a single logit, each label
    (the share is over items and labels), or, for regression, each value within a tolerance.

    Chance is the expected share when the predictions are handed out to the items at random, keeping how
    often each occurs. Over all permutations, each predicted item meets each reference item equally often, so

    .. math:: \text{chance} = \frac{1}{n^2} \sum_{i,j} [\text{predicted}_i \sim \text{reference}_j]
              = \sum_c p_c q_c \text{ for classes,}

    with :math:`p_c`, :math:`q_c` the shares of class c in each (Cohen 1960); averaged over the columns for
    labels and for values. Time O(n log n).

    Parameters
    ----------
    predicted, reference
        Outputs of a model, one row per item; see `predicted_classes`. For regression [num_items] or
        [num_items, num_values].
    task
        As for `predicted_classes`, or "regression".
    tolerance
        Only for regression, and required there: the largest absolute difference that counts as equal.

    Raises
    ------
    ParameterError
        If the shapes do not fit the task or each other, if they are empty or not finite, or if `tolerance`
        is missing, negative, or given for another task.

    Examples
    --------
    >>> prediction_agreement(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 2]))
    Agreement(share=0.75, chance=0.375, num_items=4)
    """
    _require_values("predicted", predicted)
    _require_values("reference", reference)
    if task == "regression":
        return _agreement_of_values(predicted, reference, _checked_tolerance(tolerance))
    if tolerance is not None:
        raise ParameterError("tolerance", "left out unless task='regression'", tolerance)
    found = predicted_classes(predicted, task=task)
    expected = predicted_classes(reference, task=task)
    _require_same_shape("predicted", found, "reference", expected)
    share = float((found == expected).double().mean())
    return Agreement(share, _chance_of_classes(found, expected), len(found))


def _chance_of_classes(found: Tensor, expected: Tensor) -> float:
    if found.dtype == torch.bool:
        p, q = found.double().mean(dim=0), expected.double().mean(dim=0)
        return float((p * q + (1 - p) * (1 - q)).mean())
    # Ranks among the classes that occur: labels may be large, sparse or negative.
    classes, ranks = torch.unique(torch.cat([found, expected]), return_inverse=True)
    p, q = (torch.bincount(part, minlength=len(classes)).double() for part in ranks.chunk(2))
    return float((p * q).sum()) / len(found) ** 2


def _agreement_of_values(predicted: Tensor, reference: Tensor, tolerance: float) -> Agreement:
    _require_same_shape("predicted", predicted, "reference", reference)
    if predicted.dim() not in (1, 2):
        raise ParameterError(
            "predicted", "values [num_items] or [num_items, num_values]", _described(predicted)
        )
    found = predicted.detach().double().reshape(len(predicted), -1)
    expected = reference.detach().double().reshape(len(reference), -1)
    low, high = found - tolerance, found + tolerance
    share = float(((low <= expected) & (expected <= high)).double().mean())
    # Pairs within the tolerance, counted without making all of them.
    ordered = expected.T.contiguous().sort(dim=1).values
    below = torch.searchsorted(ordered, low.T.contiguous(), right=False)
    up_to = torch.searchsorted(ordered, high.T.contiguous(), right=True)
    chance = float((up_to - below).double().mean()) / len(found)
    return Agreement(share, chance, len(found))


def _checked_tolerance(tolerance: float | None) -> float:
    if (
        isinstance(tolerance, bool)
        or not isinstance(tolerance, (int, float))
        or not math.isfinite(tolerance)
        or tolerance < 0
    ):
        raise ParameterError("tolerance", "a finite number of at least 0 when task='regression'", tolerance)
    return float(tolerance)


def _resolve(task: Task, output: Tensor) -> Task:
    if task not in ("auto", "multiclass", "binary", "multilabel", "regression"):
        raise ParameterError("task", "'auto', 'multiclass', 'binary', 'multilabel' or 'regression'", task)
    if task != "auto":
        return task
    if output.dtype == torch.bool:
        return "multilabel"
    if _is_integer(output) or (output.dim() == 2 and output.shape[1] > 1):
        return "multiclass"
    return "binary"


def _require_values(name: str, value: Tensor) -> None:
    if value.dim() == 0 or value.numel() == 0:
        raise ParameterError(name, "at least one item", _described(value))
    if not bool(torch.isfinite(value).all()):
        raise ParameterError(
            name,
            "finite",
            "NaN or infinity",
            mend="The largest of several NaN is no prediction: see where the model's output overflows",
        )


def _require_same_shape(name: str, value: Tensor, other_name: str, other: Tensor) -> None:
    if value.shape != other.shape or len(value) == 0:
        raise ParameterError(
            name,
            f"at least one item, and of the same shape as '{other_name}', {list(other.shape)}",
            list(value.shape),
        )


def _is_integer(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)


def _described(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
