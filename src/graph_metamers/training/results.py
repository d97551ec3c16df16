"""What a training returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graph_metamers.training.perturbing import Perturbation
    from graph_metamers.training.scoring import Scores

ModelT = TypeVar("ModelT", bound=nn.Module)


_SELDOM = frozenset({"perturbation", "drop_edge"})
"""Settings that are only shown where there is something to show."""


@dataclass(frozen=True)
class TrainingStep:
    """One epoch, as callbacks see it.

    Parameters
    ----------
    epoch
        Number of the epoch, from 1.
    train_loss
        Mean cross entropy in nats on the training nodes, in train mode, before the epoch's update.
    validation_loss
        Mean cross entropy in nats on the validation nodes, in eval mode, after the update.
    validation_accuracy
        Share of right predictions on the validation nodes, in [0, 1], after the update.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """The settings of a training; see `fit`."""

    epochs: int
    learning_rate: float
    weight_decay: float
    patience: int
    seed: int
    perturbation: Perturbation | None = None
    drop_edge: float = 0.0


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FitResult(Generic[ModelT]):
    """A trained model and how it came about.

    Parameters
    ----------
    model
        The trained copy, in eval mode, with the weights of the best epoch.
    history
        One step per epoch that was run.
    scores
        Accuracy of `model` on each part of the split.
    best_epoch
        The epoch with the lowest validation loss, from 1.
    stopped_early
        Whether the loss stopped falling before the epochs were used up.
    seconds
        Time on the clock.
    config
        The settings.
    """

    model: ModelT
    history: tuple[TrainingStep, ...]
    scores: Scores
    best_epoch: int
    stopped_early: bool
    seconds: float
    config: FitConfig

    @property
    def at_chance(self) -> bool:
        """Whether the test accuracy is not shown to be better than always answering the most frequent class.

        What such a model cannot see says nothing: it has learned nothing to be blind with.
        """
        return self.scores.test.at_chance

    def __repr__(self) -> str:
        lines = "\n".join(f"  {name}: {value}" for name, value in self._rows())
        return f"FitResult\n{lines}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th>'
            f'<td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        return f"<table><caption>FitResult</caption><tbody>{rows}</tbody></table>"

    def _rows(self) -> list[tuple[str, str]]:
        verdict = " - AT CHANCE: not shown to be better than always answering the most frequent class"
        end = "stopped early" if self.stopped_early else "all epochs run"
        told = {name: value for name, value in asdict(self.config).items() if value or name not in _SELDOM}
        settings = ", ".join(f"{name}={value}" for name, value in told.items())
        return [
            ("model", type(self.model).__name__),
            ("test", f"{self.scores.test}{verdict if self.at_chance else ''}"),
            ("train, validation", f"{self.scores.train.accuracy:.1%}, {self.scores.validation.accuracy:.1%}"),
            ("epochs", f"best {self.best_epoch} of {len(self.history)}, {end}, {self.seconds:.1f} s"),
            ("settings", settings),
        ]


def modules_of(
    models: nn.Module | FitResult[nn.Module] | Sequence[nn.Module | FitResult[nn.Module]],
) -> list[nn.Module]:
    """Models as a list, each as it is or out of what `fit` returned."""
    several = [models] if isinstance(models, (nn.Module, FitResult)) else list(models)
    return [model.model if isinstance(model, FitResult) else model for model in several]
