"""A found graph in few bytes: what differs from the reference, as bits, as coordinates, or as edges.

A search in continuous features moves only in the r directions that its layer reads. What it found is its
start, which a seed makes again, and n r coordinates: behind 16 units a ninetieth of 1433 features.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graph_metamers.errors import FileFormatError
from graph_metamers.inputs import StructureVariables, Variables
from graph_metamers.inputs.slots import read_features, write_features
from graph_metamers.randomness import generator_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from graph_metamers.synthesis import Metamer
    from graph_metamers.types import Graph

SLOT = "x"
CLOSE = 1e-5
"""Largest error of a feature that coordinates may bring, in units of the features' largest size: that of a
few roundings in float32."""


def encode_graph(
    metamer: Metamer, variables: Variables | StructureVariables, bases: Mapping[str, Tensor]
) -> bytes:
    """Write a found graph as the bytes of an .npz file without pickle.

    Parameters
    ----------
    metamer
        What was found, in one homogeneous graph.
    variables
        The reference and what varied.
    bases
        Slot -> directions that the layer reads of the features, [F, r], orthonormal columns.

    Returns
    -------
    bytes
        `kind` says how: `bits` (exact), `edges` (exact), `coordinates` (within `CLOSE`; `error` says how
        much), or `features` (exact), where coordinates would be longer or are not close enough.
    """
    if isinstance(variables, StructureVariables):
        return _packed(kind="edges", edge_index=metamer.graph.edge_index.numpy().astype(np.int32))
    values = variables.values[SLOT]
    x = read_features(metamer.graph)[SLOT]
    if values.kind == "binary":
        return _packed(kind="bits", bits=np.packbits(x.numpy().astype(bool), axis=1), columns=x.shape[1])
    basis = bases[SLOT]
    rows, rank = x.shape[0], basis.shape[1]
    if rows * rank + basis.numel() < x.numel():
        init: Any = metamer.config["init"]
        seed: Any = metamer.config["seed"]
        start = _start(variables, init, seed)
        coordinates = ((x - start).double() @ basis).float()
        error = float((_lifted(start, coordinates, basis) - x).abs().max() / x.abs().max().clamp(min=1e-30))
        if error <= CLOSE:
            return _packed(
                kind="coordinates",
                coordinates=coordinates.numpy(),
                basis=basis.float().numpy(),
                init=init,
                seed=seed,
                error=error,
            )
    return _packed(kind="features", x=x.numpy())


def decode_graph(content: bytes, variables: Variables | StructureVariables) -> Graph:
    """Read a graph that `encode_graph` wrote.

    Parameters
    ----------
    content
        The bytes.
    variables
        The same reference, and what varied.

    Raises
    ------
    FileFormatError
        If they are not what `encode_graph` writes, or not of this reference.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            parts = {name: file[name] for name in file.files}
        kind = str(parts["kind"])
        if kind == "edges":
            graph = variables.reference.clone()
            graph.edge_index = torch.from_numpy(parts["edge_index"].astype(np.int64))
            return graph
        if not isinstance(variables, Variables):
            raise FileFormatError(f"the graph has other {kind}, and what varied is edges")
        x = _features(kind, parts, variables)
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"the graph of a run must be one that a study wrote, got {error!r}") from error
    return write_features(variables.reference.clone(), {SLOT: x})


def _features(kind: str, parts: dict[str, Any], variables: Variables) -> Tensor:
    reference = variables.values[SLOT].reference
    if kind == "bits":
        unpacked = np.unpackbits(parts["bits"], axis=1, count=int(parts["columns"]))
        x = torch.from_numpy(unpacked).to(reference)
    elif kind == "coordinates":
        start = _start(variables, str(parts["init"]), int(parts["seed"]))
        x = _lifted(start, torch.from_numpy(parts["coordinates"]), torch.from_numpy(parts["basis"]))
    else:
        x = torch.from_numpy(parts["x"])
    if x.shape != reference.shape:
        raise FileFormatError(f"the graph must have features {list(reference.shape)}, got {list(x.shape)}")
    return x


def _start(variables: Variables, init: Any, seed: int) -> Tensor:
    """The features at which the search of a seed starts, [n, F]."""
    reference = variables.values[SLOT].reference
    point = variables.start(init, generator_for("start", seed))
    return variables.values[SLOT].discretise(point.view(reference.shape))


def _lifted(start: Tensor, coordinates: Tensor, basis: Tensor) -> Tensor:
    return (start.double() + coordinates.double() @ basis.float().double().T).to(start.dtype)


def _packed(**parts: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **parts)
    return file.getvalue()
