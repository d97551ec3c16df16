"""train_panel(): observers for a data set, trained once and kept for the next audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from graph_metamers.errors import ParameterError
from graph_metamers.evidence.panel_cache import FOLDER, Entry, Identity, entry_path, read_entry, write_entry
from graph_metamers.evidence.panel_members import Panel, PanelMember
from graph_metamers.evidence.panel_plans import (
    Plan,
    architecture_plan,
    edges_member,
    facts_of,
    features_plan,
    twin_plan,
)
from graph_metamers.models import GNN, list_models
from graph_metamers.models.convolutions import find_convolution
from graph_metamers.parameters import MAX_SEED, check_integer
from graph_metamers.storage import ensure_writable, resolve_cache
from graph_metamers.training import FitResult
from graph_metamers.training.scoring import require_node_level

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from torch import Tensor

    from graph_metamers.datasets import Dataset
    from graph_metamers.types import Forward, Transform

OnObserver = Callable[[str, int, int], None]

NUM_TWINS = 2


def train_panel(
    dataset: Dataset,
    model: nn.Module | FitResult[nn.Module] | None = None,
    *,
    architectures: Sequence[str] | None = None,
    num_twins: int = NUM_TWINS,
    seed: int = 0,
    forward: Forward | None = None,
    transform: Transform | None = None,
    cache: str | os.PathLike[str] | None = None,
    on_observer: OnObserver | None = None,
) -> Panel:
    """Train the observers that judge a model's metamers, or read them from the cache.

    These are other architectures of the zoo, twins of the model (the same architecture and settings with
    other training seeds), a classifier of each node's features alone, and label propagation over the edges
    alone. None of them is told the label of a test node, so that what they recognise is counted there.

    Parameters
    ----------
    dataset
        A node-level data set.
    model
        The model that is going to be audited, or what `fit` returned (its settings then are the twins', else
        `fit`'s defaults). Left as it was. A model that is not of the zoo has no twins, since nobody knows how
        to train it again.
    architectures
        Names as for `build_model`; default: all of the zoo but the model's own.
    num_twins
        How many twins, at least 0.
    seed
        Of the trainings of other architectures; twins have the seeds after the model's own, or after this one
        where it is not known.
    forward, transform
        How the model is called; its twins are called the same way.
    cache
        Folder in which trained observers are kept; default: $GRAPH_METAMERS_CACHE, else the user's cache
        folder. A twin with a `forward` or `transform` of your own is trained anew each time, since a function
        cannot be told from another one.
    on_observer
        Called with (name, number from 1, number of observers) before each is trained or read.

    Returns
    -------
    Panel

    Raises
    ------
    ParameterError
        If the data set is not node-level, an architecture is unknown, or a number is out of range.
    OutputError
        If the cache cannot be written; found out before the first training.
    RunFailedError
        If a training diverges.

    Notes
    -----
    Two or three minutes of one core for Cora the first time, whose 1433 features are passed along edges as
    they are by four of the architectures; a tenth of a second from then on. Files are
    named by a hash of settings, seed and data; one that is broken, or was made for something else, is trained
    again and replaced. One seed gives one panel, on one machine with one number of threads.
    """
    require_node_level(dataset)
    num_twins = check_integer("num_twins", num_twins, low=0)
    seed = check_integer("seed", seed, low=0, high=MAX_SEED)
    fitted = model if isinstance(model, FitResult) else None
    module = model.model if isinstance(model, FitResult) else model
    others = _architectures(architectures, module)
    folder = resolve_cache(cache)
    ensure_writable(folder / FOLDER)
    has_twins = isinstance(module, GNN)
    total = len(others) + (num_twins if has_twins else 0) + 1
    announce = _counting(on_observer, total)
    members = []
    if isinstance(module, GNN):
        first = fitted.config.seed if fitted is not None else seed
        config = fitted.config if fitted is not None else None
        plans = (
            twin_plan(module, config, dataset, seed=other, forward=forward, transform=transform)
            for other in _seeds_after(first)
        )
        members += _twins(module, plans, num_twins, dataset, folder, announce)
    for architecture in others:
        plan = architecture_plan(architecture, dataset, seed=seed)
        announce(plan.name)
        members.append(_member(plan, dataset, folder))
    plan = features_plan(dataset)
    announce(plan.name)
    members.append(_member(plan, dataset, folder))
    return Panel((*members, edges_member(dataset)))


def untrained_panel(dataset: Dataset, networks: Sequence[GNN] = ()) -> Panel:
    """A panel for which no network is trained: those that are there, and who sees half of the input.

    Parameters
    ----------
    dataset
        A node-level data set.
    networks
        Trained networks of the zoo, called by their architecture.

    Notes
    -----
    A second or less for a graph of some thousand nodes, and nothing is kept.
    """
    require_node_level(dataset)
    if isinstance(networks, nn.Module):
        raise ParameterError("networks", "a list of trained networks", networks, "Write [network]")
    plan = features_plan(dataset)
    line = PanelMember(plan.name, plan.kind, plan.revive(plan.train()), facts_of(plan, dataset))
    others = [PanelMember.of_model(network.config.title, network) for network in networks]
    return Panel((*others, line, edges_member(dataset)))


def _architectures(names: Sequence[str] | None, model: nn.Module | None) -> list[str]:
    if isinstance(names, str):
        raise ParameterError("architectures", "a list of names", names, f"Write architectures=[{names!r}]")
    if names is not None:
        return list(dict.fromkeys(find_convolution(name).name for name in names))
    own = model.config.architecture if isinstance(model, GNN) else None
    return [info.name for info in list_models() if info.name != own]


def _counting(on_observer: OnObserver | None, total: int) -> Callable[[str], None]:
    """Number the observers from 1."""
    said: list[str] = []

    def announce(name: str) -> None:
        said.append(name)
        if on_observer is not None:
            on_observer(name, len(said), total)

    return announce


def _seeds_after(seed: int) -> Iterator[int]:
    while True:
        seed = seed + 1 if seed < MAX_SEED else 0
        yield seed


def _twins(
    model: GNN,
    plans: Iterator[Plan],
    count: int,
    dataset: Dataset,
    folder: Path,
    announce: Callable[[str], None],
) -> list[PanelMember]:
    """The first trainings whose weights are not the model's own: where its seed is not known, one may be."""
    own = {name: value.cpu() for name, value in model.state_dict().items()}
    found = []
    for _ in range(count):
        plan = next(plans)
        announce(plan.name)
        tensors, member = _prepared(plan, dataset, folder)
        while _equal(tensors, own):
            tensors, member = _prepared(next(plans), dataset, folder)
        found.append(member)
    return found


def _equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _member(plan: Plan, dataset: Dataset, folder: Path) -> PanelMember:
    return _prepared(plan, dataset, folder)[1]


def _prepared(plan: Plan, dataset: Dataset, folder: Path) -> tuple[Mapping[str, Tensor], PanelMember]:
    """Read an observer from the cache, or train it and keep it."""
    identity = Identity(plan.recipe, dataset.fingerprint)
    facts = facts_of(plan, dataset)
    if not plan.is_cacheable:
        started = time.perf_counter()
        tensors = plan.train()
        facts |= {"origin": "trained", "key": None, "training_seconds": time.perf_counter() - started}
        return tensors, PanelMember(plan.name, plan.kind, plan.revive(tensors), facts)
    facts["key"] = identity.key
    entry = read_entry(folder, identity)
    if entry is not None:
        try:
            reader = plan.revive(entry.tensors)
        except ValueError:
            pass  # not the tensors of such an observer: trained anew below, and said
        else:
            facts |= {"origin": "cache", "training_seconds": entry.seconds}
            return entry.tensors, PanelMember(plan.name, plan.kind, reader, facts)
    replaced = entry_path(folder, identity).exists()
    started = time.perf_counter()
    tensors = plan.train()
    entry = Entry(tensors, time.perf_counter() - started)
    write_entry(folder, identity, entry)
    facts["origin"] = "trained, in place of a file that could not be used" if replaced else "trained"
    facts["training_seconds"] = entry.seconds
    return entry.tensors, PanelMember(plan.name, plan.kind, plan.revive(entry.tensors), facts)
