"""The course of searches for TensorBoard and MLflow: callbacks for `generate` and `audit`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from graph_metamers.errors import UserError

if TYPE_CHECKING:
    from types import TracebackType

    from graph_metamers.synthesis.solvers import SearchProgress


class _Tracker(ABC):
    """Writes loss, best loss and distance of searches to runs of their own.

    A run begins where steps begin anew, or under another label: a search tells its steps, not its name.
    Starts that are searched together (`generate_many`, `audit` on small graphs) are one, of the worst.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._begun: dict[str, int] = {}
        self._current = ""
        self._last_step = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._current:
            self._current = ""
            self._end(failed=error is not None)

    def __call__(self, progress: SearchProgress) -> None:
        """Write where a search is."""
        if not self._current or self.label != self._current or progress.step <= self._last_step:
            if self._current:
                self._current = ""
                self._end(failed=False)
            number = self._begun.get(self.label, 0) + 1
            self._begin(self.label if number == 1 else f"{self.label} {number}")
            self._current, self._begun[self.label] = self.label, number
        self._last_step = progress.step
        self._write("activation_loss", progress.loss, progress.step)
        self._write("best_activation_loss", progress.best_loss, progress.step)
        if progress.distance is not None:
            self._write("scaled_distance", progress.distance, progress.step)

    @abstractmethod
    def _begin(self, name: str) -> None:
        """Open the run of a search."""

    @abstractmethod
    def _write(self, name: str, value: float, step: int) -> None:
        """Write one number."""

    @abstractmethod
    def _end(self, *, failed: bool) -> None:
        """Close the run."""


class TensorBoardCallback(_Tracker):
    """Write the course of searches as scalars for TensorBoard, inside `with`; a callback.

    A search is a run: a folder with the name of the label below `log_dir`; the second one under a label is
    called `<label> 2`. Starts that are searched together are one run, of the worst of them. Scalars by step:
    `activation_loss` (now), `best_activation_loss` (of the best point so far), and once a search with
    `objective="farthest"` has met the loss, `scaled_distance`; the best point is then the farthest.

    Parameters
    ----------
    log_dir
        Folder for event files, as for `tensorboard --logdir`.
    label
        What is being searched; can be changed between searches.

    Raises
    ------
    UserError
        If TensorBoard is not installed.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> with gm.TensorBoardCallback("runs", "karate act.0") as tracker:  # doctest: +SKIP
    ...     gm.generate(model, graph, "act.0", callbacks=[tracker])
    """

    def __init__(self, log_dir: str | os.PathLike[str], label: str = "search") -> None:
        super().__init__(label)
        self._log_dir = os.fspath(log_dir)
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise UserError(_not_installed("tensorboard")) from error
        self._open: Any = SummaryWriter
        self._writer: Any = None

    def _begin(self, name: str) -> None:
        self._writer = self._open(os.path.join(self._log_dir, _file_name(name)))  # noqa: PTH118 (may be a URL)

    def _write(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def _end(self, *, failed: bool) -> None:  # noqa: ARG002 (event files know no failure)
        self._writer.close()


class MLflowCallback(_Tracker):
    """Write the course of searches as metrics for MLflow, inside `with`; a callback.

    Runs, their names and their metrics are those of `TensorBoardCallback`. A run is marked as failed if the
    `with` is left by an exception.

    Parameters
    ----------
    label
        What is being searched; can be changed between searches.
    experiment
        Made if it is not there.
    tracking_uri
        Of an MLflow server, a folder (MLflow 3 wants `MLFLOW_ALLOW_FILE_STORE=true` for these) or a database;
        default: as MLflow is set up.

    Raises
    ------
    UserError
        If MLflow is not installed; `mlflow-skinny` is enough but for databases.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> with gm.MLflowCallback("karate act.0") as tracker:  # doctest: +SKIP
    ...     gm.generate(model, graph, "act.0", callbacks=[tracker])
    """

    def __init__(
        self, label: str = "search", *, experiment: str = "graph-metamers", tracking_uri: str | None = None
    ) -> None:
        super().__init__(label)
        try:
            from mlflow import MlflowClient  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise UserError(_not_installed("mlflow")) from error
        self._client: Any = MlflowClient(tracking_uri)
        found = self._client.get_experiment_by_name(experiment)
        self._experiment = (
            self._client.create_experiment(experiment) if found is None else found.experiment_id
        )
        self._run: str = ""

    def _begin(self, name: str) -> None:
        self._run = self._client.create_run(self._experiment, run_name=name).info.run_id

    def _write(self, name: str, value: float, step: int) -> None:
        self._client.log_metric(self._run, name, value, step=step)

    def _end(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in name)


def _not_installed(extra: str) -> str:
    return (
        f"this callback needs {extra}, which is not installed. "
        f"Install it with: pip install 'graph-metamers[{extra}]'"
    )
