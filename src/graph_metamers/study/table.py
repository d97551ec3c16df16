"""The table of a store: one row a run, derived from the results, written as Parquet and read with DuckDB.

It can be deleted at any time: the results are the truth, and it is made from them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graph_metamers.errors import UserError
from graph_metamers.storage import atomic_file
from graph_metamers.study.runs import case_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from graph_metamers.study.folder_store import FolderStore
    from graph_metamers.study.run_store import RunRecord, RunStore

TABLE = "runs.parquet"

VOLATILE = frozenset({"seconds", "peak_memory_bytes", "executor", "lease_generation", "torch_threads"})
"""Columns that differ between two computations of one run."""

OF_THE_MODEL = ("num_parameters", "test_accuracy", "test_accuracy_chance", "at_chance")
"""What of a model's row stands in the rows of its searches too: accuracy beside invariance, always."""

_FROM_MANIFEST = (*sorted(VOLATILE), "graph_metamers", "torch")
_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

_VIEWS = {
    "runs": "SELECT * FROM read_parquet({path})",
    "models": "SELECT * FROM read_parquet({path}) WHERE kind = 'model' AND error IS NULL",
    "metamers": "SELECT * FROM read_parquet({path}) WHERE kind = 'metamer' AND error IS NULL",
    "failures": "SELECT * FROM read_parquet({path}) WHERE error IS NOT NULL",
}


def rows_of(store: RunStore, run_ids: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """One row a finished run, in an order that depends on the settings alone.

    Parameters
    ----------
    store
        Where the results are.
    run_ids
        Which runs; those that are not finished are left out. Default: all.
    """
    wanted = store.finished() if run_ids is None else (i for i in run_ids if store.is_finished(i))
    records = {run_id: store.read(run_id) for run_id in wanted}
    rows = []
    for record in records.values():
        parent_id: Any = record.identity["parent"]
        parent = None
        if parent_id is not None:
            parent = records[parent_id] if parent_id in records else store.read(parent_id)
        rows.append(_row(record, parent))
    return sorted(rows, key=_place)


def without_volatile(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what differs between two computations of the same runs."""
    return [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows]


def write_table(store: FolderStore) -> Path:
    """Write the table of all finished runs, whole or not at all; returns its path."""
    path = store.path / TABLE
    write_parquet(rows_of(store), path)
    return path


def write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows as a Parquet file; a column that a row does not have is null there."""
    pyarrow = require_pyarrow()
    from pyarrow import parquet  # noqa: PLC0415 (an extra)

    names = list(dict.fromkeys(name for row in rows for name in row)) or ["kind", "run_id", "error"]
    columns = {name: _column(pyarrow, [row.get(name) for row in rows]) for name in names}
    with atomic_file(path) as temporary:
        parquet.write_table(pyarrow.table(columns), temporary)


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a Parquet file."""
    require_pyarrow()
    from pyarrow import parquet  # noqa: PLC0415 (an extra)

    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def connect(store: FolderStore) -> Any:
    """Open a DuckDB connection in memory with views of the table: `runs`, `models`, `metamers`, `failures`.

    Returns
    -------
    duckdb.DuckDBPyConnection
        `connect(store).sql("SELECT model, avg(passing_share) FROM metamers GROUP BY model")`.

    Raises
    ------
    UserError
        If DuckDB is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UserError(f"views need duckdb, which is not installed. {_HOW}") from error
    write_table(store)
    connection = duckdb.connect()
    path = "'" + str((store.path / TABLE).resolve()).replace("'", "''") + "'"
    for name, query in _VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query.format(path=path)}")
    return connection


def require_pyarrow() -> Any:
    """Import pyarrow; call it before anything long.

    Raises
    ------
    UserError
        If it is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UserError(f"a study needs pyarrow for its table, and it is not installed. {_HOW}") from error
    return pyarrow


_HOW = "Install it with: pip install 'graph-metamers[study]'"


def _row(record: RunRecord, parent: RunRecord | None) -> dict[str, Any]:
    identity: Any = record.identity
    row = {
        "kind": identity["kind"],
        **case_of(identity, None if parent is None else parent.identity),
        "run_id": record.run_id,
        "model_run_id": identity["parent"],
        "data_fingerprint": identity["data_fingerprint"],
        "error": record.error,
    }
    if parent is not None:
        search = identity["config"]["search"]
        row |= {name: search[name] for name in ("tolerance", "min_distance")}
        row |= {name: _plain(parent.values.get(name)) for name in OF_THE_MODEL}
    row |= {name: _plain(value) for name, value in record.values.items()}
    return row | {name: record.manifest.get(name) for name in _FROM_MANIFEST}


def _plain(value: Any) -> Any:
    """What JSON wrote as a word for want of such numbers, as a number."""
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


_ORDER = (
    "kind", "dataset", "split", "model", "num_layers", "hidden_channels", "activation", "residual",
    "perturbation", "drop_edge", "label_propagation", "weights", "depth", "vary", "feature_kind",
    "solver", "seed", "search_seed", "run_id",
)  # fmt: skip


def _place(row: dict[str, Any]) -> list[tuple[int, Any]]:
    # Models first, whose columns of searches are missing.
    return [(0, row["kind"] != "model")] + [
        (1, 0) if row.get(name) is None else (0, row[name]) for name in _ORDER[1:]
    ]


def _column(pyarrow: Any, values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        values = [None if value is None else float(value) for value in values]
        kinds = {float}
    types = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    return pyarrow.array(values, types.get(kinds.pop() if len(kinds) == 1 else str, pyarrow.string()))
