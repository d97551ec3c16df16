"""Refuse a search that would not fit into memory, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graph_metamers.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    from graph_metamers.synthesis.solvers import Solver

MEMINFO = Path("/proc/meminfo")
GIB = 2**30
SMALLER = "Name fewer nodes (index=, Features(mutable=...)), take LBFGS(history=1), or a smaller graph"


def require_memory(solver: Solver, point: Tensor) -> None:
    """Raise if a solver needs more memory for a point, [p], than the machine has free.

    Nothing is checked on a GPU, or where the system does not say what is free (it does on Linux). What the
    model itself needs for a pass comes on top.

    Raises
    ------
    ParameterError
        With both figures and what would help.
    """
    if point.device.type == "cpu":
        require_bytes(solver.name, solver.memory(point), point.numel(), mend=SMALLER)


def require_bytes(name: str, needed: int, numbers: int, *, mend: str) -> None:
    """Raise if the solver of a name needs more bytes, for a point of so many numbers, than are free.

    Raises
    ------
    ParameterError
        With both figures and what would help.
    """
    free = free_bytes()
    if free is None or needed <= free:
        return
    raise ParameterError(
        "solver",
        f"one that fits into the {free / GIB:.1f} GiB of memory that are free",
        f"{name}, which needs about {needed / GIB:.1f} GiB for {numbers:,} numbers",
        mend,
    )


def free_bytes() -> int | None:
    """Memory that programs can still get without swapping, in bytes; `None` where it is not said."""
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * kibibytes[0] if kibibytes else None
