"""Trained observers on disk, so that the next audit need not train them again.

One safetensors file each, named by the SHA-256 of everything that decides its weights: settings, seed,
the data set's fingerprint and the version of this layout. A file is believed only if it says itself that it
is the one that was asked for, and if its tensors have the fingerprint that it names; anything else is trained
again and replaced. Nothing is unpickled.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from graph_metamers.storage import atomic_file, fingerprint, json_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from graph_metamers.types import Json

FOLDER = "observers"
FORMAT = "graph-metamers observer"
SCHEMA_VERSION = 1
"""Raised when the same settings would no longer give the same observer."""


@dataclass(frozen=True)
class Identity:
    """What decides the weights of an observer.

    Attributes
    ----------
    recipe
        Its kind, settings and seed.
    data
        Fingerprint of the data set.
    """

    recipe: Mapping[str, Json]
    data: str

    @property
    def described(self) -> dict[str, Any]:
        """Everything that the key is made of."""
        return {"schema_version": SCHEMA_VERSION, "recipe": dict(self.recipe), "data": self.data}

    @property
    def key(self) -> str:
        """SHA-256, 64 hexadecimal digits: the name of the file."""
        return json_fingerprint(self.described)


@dataclass(frozen=True, eq=False)
class Entry:
    """The tensors of a trained observer, and how long the training took, in seconds."""

    tensors: Mapping[str, Tensor]
    seconds: float


def entry_path(cache: Path, identity: Identity) -> Path:
    """Where an observer is kept."""
    return cache / FOLDER / f"{identity.key}.safetensors"


def read_entry(cache: Path, identity: Identity) -> Entry | None:
    """Read a kept observer; `None` if there is none, or if its file is broken or is another's."""
    try:
        with safe_open(entry_path(cache, identity), framework="pt", device="cpu") as file:
            # Cloned, because the reader may map the file into memory, and files get replaced.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            told = json.loads((file.metadata() or {})["entry"])
        seconds = float(told["seconds"])
        is_ours = told["format"] == FORMAT and told["identity"] == json.loads(json.dumps(identity.described))
        is_whole = told["fingerprint"] == fingerprint(tensors) and math.isfinite(seconds)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return Entry(tensors, seconds) if is_ours and is_whole else None


def write_entry(cache: Path, identity: Identity, entry: Entry) -> None:
    """Keep a trained observer; a file in its place is replaced.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in entry.tensors.items()}
    told = {
        "format": FORMAT,
        "identity": identity.described,
        "fingerprint": fingerprint(tensors),
        "seconds": entry.seconds,
    }
    with atomic_file(entry_path(cache, identity)) as temporary:
        temporary.write_bytes(save(tensors, metadata={"entry": json.dumps(told, sort_keys=True)}))
