"""Models in one safetensors file: the weights as tensors, the architecture as JSON in the metadata.

Nothing is unpickled, so a file from elsewhere cannot run code. The tensor names are those of `state_dict`:
plain safetensors and PyTorch Geometric can read the weights without this package.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.nn.parameter import is_lazy

from graph_metamers.errors import FileFormatError, ModelError, ParameterError
from graph_metamers.models.config import ModelConfig
from graph_metamers.models.gnn import GNN
from graph_metamers.storage.atomic import atomic_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor, nn

FORMAT = "graph-metamers model"
"""What `format` in the metadata of our files says."""

SCHEMA_VERSION = 1
"""Raised when a file written today could no longer be read by yesterday's `load_model`."""

_NAMES_SHOWN = 3


def save_model(model: GNN, path: str | os.PathLike[str]) -> None:
    """Write a model to one safetensors file, whole or not at all.

    Parameters
    ----------
    model
        A model of the zoo. Models of your own are saved with `safetensors.torch.save_file` and read back
        with `load_weights`.
    path
        Where to; an existing file is replaced.

    Raises
    ------
    ParameterError
        If the model is not a `GNN`.
    ModelError
        If a weight is NaN or infinite.
    OutputError
        If the file cannot be written.
    """
    if not isinstance(model, GNN):
        raise ParameterError(
            "model",
            "a GNN made by build_model",
            type(model).__name__,
            mend="Save your own module with safetensors.torch.save_file(model.state_dict(), path)",
        )
    # A copy each, since safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    broken = _non_finite(tensors)
    if broken:
        raise ModelError(f"the weights must be finite to be saved, got NaN or infinity in {_listed(broken)}")
    metadata = {
        "format": FORMAT,
        "schema_version": str(SCHEMA_VERSION),
        "config": json.dumps(asdict(model.config), sort_keys=True),
    }
    with atomic_file(Path(path)) as temporary:
        # Not `save_file`: it makes a file that only its owner can read, whatever the umask says.
        temporary.write_bytes(_with_sorted_header(save(tensors, metadata=metadata)))


def load_model(path: str | os.PathLike[str]) -> GNN:
    """Read a model that `save_model` wrote; on the CPU, in eval mode, weights equal bit for bit.

    Raises
    ------
    FileFormatError
        If the file is missing, corrupt, not one of ours or of a later schema, or if its weights are not
        those of its architecture, or not finite.
    """
    path = Path(path)
    tensors, metadata = _read(path)
    if metadata.get("format") != FORMAT:
        raise FileFormatError(
            f"{path} must be a model written by save_model, got a safetensors file of another origin; "
            "read the weights of your own module with load_weights(module, path)"
        )
    config = _parsed_config(path, metadata)
    # No layer is without weights. A forged depth would otherwise build layers until memory ends.
    if config.num_convolutions > len(tensors):
        raise FileFormatError(
            f"{path} must hold the weights of {config.num_convolutions} layers, got {len(tensors)} tensors"
        )
    # On the meta device shapes cost nothing, so they can be compared before any memory is asked for.
    with torch.device("meta"):
        model = GNN(config)
    _require_fitting(path, tensors, model)
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Read the weights of your own module from a safetensors file, in place; its mode stays as it is.

    Parameters
    ----------
    module
        Any module. On an error nothing of it is changed.
    path
        A safetensors file with the names of the module's `state_dict`, as written by
        `safetensors.torch.save_file` or `save_model`.

    Raises
    ------
    FileFormatError
        If the file is missing or corrupt, or if its names, shapes or kinds of number are not those of the
        module, or if a weight is NaN or infinite.
    """
    path = Path(path)
    tensors, _ = _read(path)
    _require_fitting(path, tensors, module)
    state = module.state_dict()
    # `safetensors.torch.save_model` writes tied weights once; give each of their names its tensor.
    tied = {name: twin for name in state.keys() - tensors.keys() if (twin := _twin(name, state, tensors))}
    module.load_state_dict({**tensors, **{name: tensors[twin] for name, twin in tied.items()}})


def _with_sorted_header(content: bytes) -> bytes:
    """Sort the JSON header, whose metadata safetensors writes in random order: equal models, equal bytes.

    A safetensors file is the header's length (8 bytes, little-endian), the header, padded with spaces to a
    multiple of 8 bytes, and the tensors.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.is_dir():
        raise FileFormatError(f"{path} must be a safetensors file, got a directory")
    if not path.exists():
        raise FileFormatError(f"{path} must be a safetensors file, got no such file; check the path")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise FileFormatError(
            f"{path} must be a safetensors file, got one that cannot be read ({error}); "
            "it is damaged, incomplete or of another format (a .pt file has to be converted)"
        ) from error
    except OSError as error:
        raise FileFormatError(f"{path} must be a readable file, got {error.strerror or error}") from error


def _parsed_config(path: Path, metadata: Mapping[str, str]) -> ModelConfig:
    version = metadata.get("schema_version")
    if version != str(SCHEMA_VERSION):
        raise FileFormatError(
            f"{path} must have schema version {SCHEMA_VERSION}, got {version!r}; "
            "a later graph-metamers wrote it: upgrade to read it"
        )
    try:
        # TypeError: a key that the config does not have, or lacks. ValueError: no JSON, or out of range.
        return ModelConfig(**json.loads(metadata.get("config", "")))
    except (TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{path} must describe its model in 'config', got one that is not valid ({error})"
        ) from error


def _require_fitting(path: Path, tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Compare names, shapes and kinds of number with a module's, and refuse non-finite weights."""
    state: dict[str, Any] = module.state_dict()
    kind = type(module).__name__
    missing = [name for name in state if name not in tensors and not _twin(name, state, tensors)]
    if missing:
        raise FileFormatError(f"{path} must hold every weight of the {kind}, got none for {_listed(missing)}")
    unexpected = [name for name in tensors if name not in state]
    if unexpected:
        raise FileFormatError(
            f"{path} must hold only weights of the {kind}, got {_listed(unexpected)} as well; "
            "is it the file of another architecture?"
        )
    for name, tensor in tensors.items():
        expected = state[name]
        if is_lazy(expected):
            continue
        if tensor.shape != expected.shape:
            raise FileFormatError(
                f"'{name}' in {path} must have shape {list(expected.shape)}, got {list(tensor.shape)}; "
                "was it trained with another width, or on another data set?"
            )
        if tensor.is_floating_point() != expected.is_floating_point():
            raise FileFormatError(f"'{name}' in {path} must be {expected.dtype}, got {tensor.dtype}")
    broken = _non_finite(tensors)
    if broken:
        raise FileFormatError(
            f"the weights in {path} must be finite, got NaN or infinity in {_listed(broken)}; "
            "the training diverged: train again with a smaller learning rate"
        )


def _twin(name: str, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name in the file of the tensor that is tied to `name` in the module, if there is one."""
    own = state[name]
    if is_lazy(own) or own.is_meta or own.numel() == 0:
        return None
    return next(
        (
            other
            for other in tensors
            if other in state
            and not is_lazy(state[other])
            and state[other].data_ptr() == own.data_ptr()
            and state[other].shape == own.shape
            and state[other].stride() == own.stride()
        ),
        None,
    )


def _non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMES_SHOWN])
    rest = len(names) - _NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
