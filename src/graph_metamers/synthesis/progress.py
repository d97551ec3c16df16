"""A progress bar for searches, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType

    from graph_metamers.synthesis.solvers import SearchProgress


class ProgressBar:
    """Show the progress of searches on stderr, inside `with`; a callback for `generate` and `audit`.

    Parameters
    ----------
    label
        What is being searched; can be changed between searches.

    Examples
    --------
    >>> import graph_metamers as gm
    >>> with gm.ProgressBar("karate") as bar:
    ...     bar.label = "act.0"  # then gm.generate(..., callbacks=[bar])
    """

    def __init__(self, label: str = "searching") -> None:
        self.label = label
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn(
                "step {task.completed:.0f} of at most {task.total:.0f}, loss {task.fields[loss]:.2e}"
                "{task.fields[distance]}"
            ),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: int | None = None

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, progress: SearchProgress) -> None:
        """Show where a search is."""
        if self._task is None:
            self._task = self._progress.add_task(
                self.label, total=progress.steps, loss=progress.loss, distance=""
            )
        self._progress.update(
            self._task,  # type: ignore[arg-type]  # rich's TaskID is an int
            description=self.label,
            completed=progress.step,
            total=progress.steps,
            loss=progress.best_loss,
            distance="" if progress.distance is None else f", matched at distance {progress.distance:.2f}",
        )
