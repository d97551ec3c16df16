"""What the search finds in untrained copies, on disk, so that the next audit need not search them again.

It depends on no trained weight. One JSON file for each layer, named by the SHA-256 of everything that decides
the numbers. A file is believed only if it says itself that it is the one that was asked for; anything else is
computed again and replaced. Kept only for models of the zoo without a `forward` or `transform` of the user's,
and for plain settings: one function, mask or clock cannot be told from another.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from graph_metamers.errors import FileFormatError
from graph_metamers.inputs import Features
from graph_metamers.models import GNN
from graph_metamers.storage import json_fingerprint, read_json, to_number, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graph_metamers.datasets import Dataset
    from graph_metamers.reading import ModelView
    from graph_metamers.synthesis.repeating import SearchOptions

FOLDER = "controls"
SCHEMA_VERSION = 1
"""Raised when the same settings would no longer give the same numbers."""


@dataclass(frozen=True)
class KeptControl:
    """Where the numbers of untrained copies at one layer are kept, and what decides them.

    Attributes
    ----------
    path
        Of the file.
    identity
        Everything that the name of the file is made of.
    """

    path: Path
    identity: Mapping[str, Any]

    def read(self) -> list[Mapping[str, float]] | None:
        """Numbers of every copy; `None` if there are none, or if the file is broken or is another's."""
        try:
            told: Any = read_json(self.path)
            is_ours = told["identity"] == self.identity
            numbers = [{str(k): to_number(v) for k, v in one.items()} for one in told["numbers"]]
        except (OSError, FileFormatError, KeyError, TypeError, ValueError, AttributeError):
            return None
        return list(numbers) if is_ours and len(numbers) == len(self.identity["seeds"]) else None

    def write(self, numbers: Sequence[Mapping[str, float]]) -> None:
        """Keep numbers; a file in its place is replaced.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json({"identity": self.identity, "numbers": list(numbers)}, self.path)


def kept_control(
    cache: Path | None,
    view: ModelView,
    dataset: Dataset,
    layer: str,
    options: SearchOptions,
    *,
    seeds: Sequence[int],
    steps: int,
) -> KeptControl | None:
    """Where a control is kept; `None` where it cannot be, or nothing is to be kept."""
    budget, vary = options["budget"], _plain(options["vary"])
    is_clocked = budget is not None and budget.seconds is not None
    if cache is None or not isinstance(view.model, GNN) or vary is None or is_clocked:
        return None
    if view.forward is not None or view.transform is not None:
        return None
    identity: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "model": asdict(view.model.config),
        "data": dataset.fingerprint,
        "layer": layer,
        "vary": vary,
        "solver": repr(options["solver"]),
        **{name: options[name] for name in ("objective", "init", "tolerance", "min_distance")},
        "seeds": list(seeds),
        "steps": steps,
    }
    return KeptControl(cache / FOLDER / f"{json_fingerprint(identity)}.json", identity)


def _plain(vary: object) -> list[str] | None:
    """What varies in words; `None` where masks, ranges or the like take part."""
    named = []
    for part in vary if isinstance(vary, (tuple, list)) else [vary]:
        if isinstance(part, str):
            named.append(part)
        elif isinstance(part, Features) and repr(part) == repr(Features(kind=part.kind)):
            named.append(f"features {part.kind}")
        else:
            return None
    return named
