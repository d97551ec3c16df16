"""Train a copy of a model on one graph."""

from __future__ import annotations

import copy
import math
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional as F  # noqa: N812 (the field's own name)

from graph_metamers.errors import ModelError, ParameterError, RunFailedError
from graph_metamers.parameters import MAX_SEED, check_integer, check_real
from graph_metamers.randomness import generator_for
from graph_metamers.reading.binding import call_model
from graph_metamers.training.perturbing import Disturbance, Perturbation, check_drop_edge
from graph_metamers.training.results import FitConfig, FitResult, ModelT, TrainingStep
from graph_metamers.training.scoring import on_device_of, require_logits, require_node_level, score
from graph_metamers.training.sparse_sums import sparse_sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor, nn
    from torch_geometric.data import Data

    from graph_metamers.datasets import Dataset
    from graph_metamers.types import Forward, Graph, Transform


def fit(
    model: ModelT,
    dataset: Dataset,
    *,
    epochs: int = 300,
    learning_rate: float = 0.01,
    weight_decay: float = 1e-3,
    patience: int = 100,
    perturbation: Perturbation | None = None,
    drop_edge: float = 0.0,
    transform: Transform | None = None,
    forward: Forward | None = None,
    seed: int = 0,
    callbacks: Iterable[Callable[[TrainingStep], object]] = (),
) -> FitResult[ModelT]:
    """Train a copy of a model as a node classifier: full batch, Adam, cross entropy, early stopping.

    The given model stays as it is, bit for bit and mode included, and so does torch's global random state.
    One seed gives one result, bit for bit, on one machine with one number of threads.

    Parameters
    ----------
    model
        Any module that returns logits [num_nodes, num_classes].
    dataset
        A node-level data set. Only the labels of its training and validation nodes are used for the fit.
    epochs
        Largest number of updates, >= 1; each is one pass over the whole graph.
    learning_rate
        Of Adam, > 0.
    weight_decay
        L2 penalty of Adam on every parameter, >= 0.
    patience
        Stop after this many epochs without a lower validation loss, >= 1.
    perturbation
        A change of the graph that the model is trained on in place of the graph itself, anew in every epoch:
        adversarial training, or its random control. Validation and scores are those of the graph itself.
    drop_edge
        Share of the edges that is dropped at random in every epoch, both directions of an edge together, in
        [0, 1) (DropEdge, Rong et al. 2020); before the perturbation.
    transform
        A PyTorch Geometric transform that the model's input goes through; applied once, before training, and
        in every pass over a perturbed graph.
    forward
        How to call the model, as `forward(model, graph)`; default: by the names of its parameters.
    seed
        Of everything random in the training (dropout; perturbations; a random transform).
    callbacks
        Called with a `TrainingStep` after every epoch. Whatever they raise, `KeyboardInterrupt` included,
        ends the training and reaches the caller, with everything of the caller's as it was.

    Returns
    -------
    FitResult
        With the weights of the epoch with the lowest validation loss.

    Raises
    ------
    ParameterError
        If a value is out of range, or the data set is not node-level.
    ModelError
        If the model has nothing to train, or does not return logits [num_nodes, num_classes].
    RunFailedError
        If the loss becomes NaN or infinite.

    Notes
    -----
    Each epoch costs a forward and a backward pass in train mode and a forward pass in eval mode; memory is
    that of one full-batch backward pass. `Perturbation(kind="pgd")` adds as many forward and backward passes
    an epoch as it has steps. Wide rows are added up by sparse products meanwhile (`sparse_sums`).
    """
    config = FitConfig(
        epochs=check_integer("epochs", epochs, low=1),
        learning_rate=check_real("learning_rate", learning_rate, low=0.0, low_included=False),
        weight_decay=check_real("weight_decay", weight_decay, low=0.0),
        patience=check_integer("patience", patience, low=1),
        seed=check_integer("seed", seed, low=0, high=MAX_SEED),
        perturbation=_checked(perturbation),
        drop_edge=check_drop_edge(drop_edge),
    )
    require_node_level(dataset)
    if config.perturbation is not None:
        config.perturbation.norm_for(dataset.graph.x)
    started = time.perf_counter()
    trained = copy.deepcopy(model)
    # Edges that are perturbed are ranked by their messages, which a sparse product does not form.
    moves_edges = config.perturbation is not None and config.perturbation.on == "edges"
    sums = nullcontext() if moves_edges else sparse_sums(trained)
    with _seeded(config.seed, trained), torch.enable_grad(), sums:
        graph = on_device_of(trained, dataset.graph)
        seen = graph if transform is None else transform(copy.copy(graph))
        run = _Run(trained, seen, forward, dataset)
        if config.perturbation is not None or config.drop_edge:
            run.disturb(graph, transform, config)
        # The first call gives lazy parameters their shapes; Adam cannot hold them before.
        require_logits(run.logits(), dataset)
        _train(run, config, tuple(callbacks))
        return FitResult(
            model=trained,
            history=tuple(run.history),
            scores=score(run.logits(), dataset),
            best_epoch=run.best_epoch,
            stopped_early=len(run.history) < config.epochs,
            seconds=time.perf_counter() - started,
            config=config,
        )


@dataclass
class _Run:
    """A training under way: what it trains, and the best it has seen."""

    model: nn.Module
    graph: Data
    forward: Forward | None
    dataset: Dataset
    history: list[TrainingStep] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = math.inf
    best_state: dict[str, Any] = field(default_factory=dict)
    disturbance: Disturbance | None = None
    transform: Transform | None = None

    def disturb(self, graph: Graph, transform: Transform | None, config: FitConfig) -> None:
        """Train on other graphs than the given one, which is the one before the transform."""
        self.transform = transform
        generator = generator_for("perturbation", config.seed)
        self.disturbance = Disturbance(graph, config.perturbation, config.drop_edge, generator, self._loss_of)

    def training_logits(self) -> Tensor:
        """The model's output in train mode, with gradients, on what this epoch is trained on."""
        if self.disturbance is None:
            self.model.train()
            return cast("Tensor", call_model(self.model, self.graph, forward=self.forward))
        # In eval mode, or the search for the worst change would count in BatchNorm and draw dropout masks.
        self.model.eval()
        disturbed = self.disturbance.drawn(self.model)
        self.model.train()
        return self._logits_of(disturbed)

    def _loss_of(self, graph: Graph) -> Tensor:
        return self.loss(self._logits_of(graph), self.dataset.split.train)

    def _logits_of(self, graph: Graph) -> Tensor:
        logits = call_model(self.model, graph, forward=self.forward, transform=self.transform)
        return cast("Tensor", logits)

    def loss(self, logits: Tensor, part: Tensor) -> Tensor:
        """Mean cross entropy on the nodes of one part of the split."""
        part = part.to(logits.device)
        return F.cross_entropy(logits[part], self.graph.y[part])

    def logits(self) -> Any:
        """Return the model's output in eval mode, without gradients."""
        self.model.eval()
        with torch.no_grad():
            return call_model(self.model, self.graph, forward=self.forward)

    def keep_if_best(self, step: TrainingStep) -> None:
        """Add an epoch to the history, and remember its weights if none had a lower validation loss."""
        self.history.append(step)
        if step.validation_loss < self.best_loss:
            self.best_epoch, self.best_loss = step.epoch, step.validation_loss
            self.best_state = copy.deepcopy(self.model.state_dict())


def _train(run: _Run, config: FitConfig, callbacks: tuple[Callable[[TrainingStep], object], ...]) -> None:
    """Run the epochs, and leave the weights of the best one in the model."""
    parameters = [p for p in run.model.parameters() if p.requires_grad]
    if not parameters:
        raise ModelError(
            f"{type(run.model).__name__} must have parameters to train, got none with requires_grad=True"
        )
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    for epoch in range(1, config.epochs + 1):
        train_loss = _update(run, optimizer)
        step = _measured(run, epoch, train_loss)
        run.keep_if_best(step)
        for callback in callbacks:
            callback(step)
        if epoch - run.best_epoch >= config.patience:
            break
    run.model.load_state_dict(run.best_state)


def _update(run: _Run, optimizer: torch.optim.Optimizer) -> Tensor:
    logits = run.training_logits()
    optimizer.zero_grad()
    loss = run.loss(logits, run.dataset.split.train)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def _measured(run: _Run, epoch: int, train_loss: Tensor) -> TrainingStep:
    logits = run.logits()
    part = run.dataset.split.validation.to(logits.device)
    right = (logits[part].argmax(dim=1) == run.graph.y[part]).double().mean()
    step = TrainingStep(epoch, float(train_loss), float(run.loss(logits, part)), float(right))
    if not (math.isfinite(step.train_loss) and math.isfinite(step.validation_loss)):
        raise RunFailedError(
            f"the loss must stay finite, got {step.train_loss:g} in training and {step.validation_loss:g} in "
            f"validation at epoch {epoch}; try a smaller learning_rate, norm='batch', or scaled features "
            "(transform=NormalizeFeatures())"
        )
    return step


def _checked(perturbation: object) -> Perturbation | None:
    if perturbation is None or isinstance(perturbation, Perturbation):
        return perturbation
    raise ParameterError("perturbation", "a Perturbation, or None", perturbation)


@contextmanager
def _seeded(seed: int, model: nn.Module) -> Iterator[None]:
    """Seed the random state of the CPU and of the model's devices, and restore it whatever happens."""
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices):
        # `torch.manual_seed` would reseed every other device too, and those are not restored.
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield
