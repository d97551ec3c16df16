"""Progress on stderr, for people at a terminal only."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import graph_metamers as gm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graph_metamers.training.results import TrainingStep


@contextmanager
def show_training(label: str, epochs: int, *, quiet: bool) -> Iterator[list[Callable[[TrainingStep], None]]]:
    """Yield callbacks for `fit`: a bar, or none where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield []
        return
    from rich.console import Console  # noqa: PLC0415 (not needed without a terminal)
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f} of at most {task.total:.0f}, {task.fields[right]:.1%} right"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"training {label}", total=epochs, right=0.0)

        def show(step: TrainingStep) -> None:
            bar.update(task, completed=step.epoch, right=step.validation_accuracy)

        yield [show]


@contextmanager
def show_search(
    label: str, *, quiet: bool
) -> Iterator[tuple[list[gm.ProgressBar], Callable[[str, int, int], None]]]:
    """Yield callbacks for `generate` and `audit`, and the `on_search` that labels their bar."""
    if quiet or not sys.stderr.isatty():
        yield [], lambda *_: None
        return
    with gm.ProgressBar(label) as bar:

        def on_search(layer: str, number: int, total: int) -> None:
            bar.label = f"{label}, {layer} (search {number} of {total})"

        yield [bar], on_search


@contextmanager
def show_audit(
    label: str, *, quiet: bool
) -> Iterator[
    tuple[
        list[gm.ProgressBar], Callable[[str, int, int], None] | None, Callable[[str, int, int], None] | None
    ]
]:
    """Yield callbacks for `audit`, with its `on_search` and `on_observer`.

    There is a bar for the observers, and when they are ready one for the searches: a terminal shows one live
    display at a time.
    """
    if quiet or not sys.stderr.isatty():
        yield [], None, None
        return
    from rich.console import Console  # noqa: PLC0415 (not needed without a terminal)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    training, bar = Progress(*columns, console=Console(stderr=True), transient=True), gm.ProgressBar(label)
    task = training.add_task("observers", total=None)
    with ExitStack() as shown:
        is_searching = False

        def on_observer(name: str, number: int, total: int) -> None:
            training.start()
            training.update(task, description=f"observer {name}", completed=number - 1, total=total)

        def on_search(layer: str, number: int, total: int) -> None:
            nonlocal is_searching
            training.stop()
            if not is_searching:
                shown.enter_context(bar)
                is_searching = True
            bar.label = f"{label}, {layer} (search {number} of {total})"

        shown.callback(training.stop)
        yield [bar], on_search, on_observer


@contextmanager
def show_selftest(*, quiet: bool) -> Iterator[Callable[[str, int, int, int], None] | None]:
    """Yield an `on_case` for `selftest`: a bar, or none where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 (not needed without a terminal)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("self-test", total=None)

        def on_case(case: str, seed: int, number: int, total: int) -> None:
            bar.update(task, description=f"{case}, seed {seed}", completed=number - 1, total=total)

        yield on_case
