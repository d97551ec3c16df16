"""How each observer of a panel is trained, and made again from its saved tensors."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch_geometric.transforms import NormalizeFeatures

from graph_metamers.evidence.panel_members import EdgeReader, LinearReader, NetworkReader, PanelMember
from graph_metamers.models import ModelConfig, build_model
from graph_metamers.models.convolutions import find_convolution
from graph_metamers.training import fit, list_recipes
from graph_metamers.training.results import FitConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graph_metamers.datasets import Dataset
    from graph_metamers.evidence.panel_members import ObserverKind, Reader
    from graph_metamers.models import GNN
    from graph_metamers.types import Forward, Json, Transform

MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class Plan:
    """An observer that is still to be trained, or to be read from the cache.

    Attributes
    ----------
    name, kind
        As in `PanelMember`.
    recipe
        Everything that decides its tensors but the data set: settings and seed.
    train
        Gives its tensors.
    revive
        From the tensors to what reads graphs; raises ValueError if they are not those of such an observer.
    is_cacheable
        Whether `recipe` says everything; a callable of the user's cannot be told from another one.
    """

    name: str
    kind: ObserverKind
    recipe: Mapping[str, Json]
    train: Callable[[], Mapping[str, Tensor]]
    revive: Callable[[Mapping[str, Tensor]], Reader]
    is_cacheable: bool = True


def architecture_plan(architecture: str, dataset: Dataset, *, seed: int) -> Plan:
    """Another architecture, with the settings of its recipe for this data set, else the defaults.

    Recipes are for counted words, which some of them normalise: they hold for binary features only.
    """
    known = [
        recipe
        for recipe in list_recipes()
        if dataset.feature_kind == "binary"
        and (recipe.architecture, recipe.dataset) == (architecture, dataset.name)
    ]
    config = ModelConfig(
        architecture=architecture,
        in_channels=dataset.num_features,
        out_channels=dataset.num_classes,
        **(dict(known[0].model_options) if known else {}),
    )
    return _network_plan(
        find_convolution(architecture).title,
        "architecture",
        config,
        dict(known[0].fit_options) if known else {},
        dataset,
        seed=seed,
        transform=known[0].transform if known else None,
    )


def twin_plan(
    model: GNN,
    fitted: FitConfig | None,
    dataset: Dataset,
    *,
    seed: int,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> Plan:
    """The audited architecture with its settings and another training seed.

    Parameters
    ----------
    model
        The audited model, whose settings count.
    fitted
        How it was trained; `None` where that is not known: then as `fit` does by default.
    """
    options = {one.name: getattr(fitted, one.name) for one in fields(fitted)} if fitted is not None else {}
    options.pop("seed", None)
    name = f"{model.config.title}, seed {seed}"
    return _network_plan(
        name, "twin", model.config, options, dataset, seed=seed, forward=forward, transform=transform
    )


def features_plan(dataset: Dataset) -> Plan:
    """A linear classifier of each node's own features: logistic regression, as in scikit-learn.

    It learns from the labels of every node that is not a test node. The few labels that networks are trained
    with are not enough to read features without edges, and an observer who recognises hardly anything on
    the reference cannot be fooled either.

    Continuous features are standardised first, which is then part of its weights.
    """
    standardised = dataset.feature_kind == "continuous"
    return Plan(
        "logistic regression",
        "features",
        {"observer": "logistic regression", "labels": "all but test", "standardised": standardised},
        lambda: _fitted_line(dataset, standardised=standardised),
        lambda tensors: _revived_line(tensors, dataset.num_features),
    )


def edges_member(dataset: Dataset) -> PanelMember:
    """Label propagation from the training labels, as in every audit's controls; nothing is trained."""
    labels, given = dataset.graph.y.cpu(), dataset.split.train
    facts: dict[str, Json] = {
        "settings": {"num_layers": 50, "alpha": 0.9},
        "learned_from": _nodes(len(given), "training nodes"),
    }
    return PanelMember("label propagation", "edges", EdgeReader(labels, given), facts)


def facts_of(plan: Plan, dataset: Dataset) -> dict[str, Json]:
    """What a reader may want to know about an observer."""
    given = len(dataset.split.train)
    learned = _nodes(given, "training nodes")
    if plan.kind == "features":
        learned = _nodes(dataset.num_nodes - len(dataset.split.test), "nodes, all but the test nodes")
    return {"settings": dict(plan.recipe), "learned_from": learned}


def _nodes(count: int, what: str) -> str:
    return f"the labels of {count} {what}"


def _network_plan(
    name: str,
    kind: ObserverKind,
    config: ModelConfig,
    options: Mapping[str, Any],
    dataset: Dataset,
    *,
    seed: int,
    forward: Forward | None = None,
    transform: Transform | None = None,
) -> Plan:
    reads, is_known = _described(transform)
    return Plan(
        name,
        kind,
        {
            "observer": "network",
            "model": asdict(config),
            "fit": {name: _plain(value) for name, value in {**_FIT_DEFAULTS, **options}.items()},
            "transform": reads,
            "seed": seed,
        },
        lambda: _fitted_network(config, options, dataset, seed, forward, transform),
        lambda tensors: NetworkReader(_revived_network(tensors, config), forward, transform),
        is_cacheable=is_known and forward is None,
    )


_FIT_DEFAULTS: Mapping[str, Any] = {
    one.name: (fit.__kwdefaults__ or {})[one.name] for one in fields(FitConfig) if one.name != "seed"
}


def _plain(value: Any) -> Any:
    """A setting of training as JSON holds it: a perturbation is a dataclass."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _described(transform: Transform | None) -> tuple[str | None, bool]:
    """A transform in words, and whether these say everything."""
    if transform is None:
        return None, True
    is_plain = type(transform) is NormalizeFeatures and getattr(transform, "attrs", None) == ["x"]
    return ("NormalizeFeatures" if is_plain else repr(transform)), is_plain


@dataclass(frozen=True)
class _Sizes:
    num_features: int
    num_classes: int


def _built(config: ModelConfig, seed: int) -> GNN:
    options = asdict(config)
    sizes = _Sizes(options.pop("in_channels"), options.pop("out_channels"))
    return build_model(options.pop("architecture"), sizes, **options, seed=seed)


def _fitted_network(
    config: ModelConfig,
    options: Mapping[str, Any],
    dataset: Dataset,
    seed: int,
    forward: Forward | None,
    transform: Transform | None,
) -> Mapping[str, Tensor]:
    fitted = fit(_built(config, seed), dataset, **options, forward=forward, transform=transform, seed=seed)
    return fitted.model.state_dict()


def _revived_network(tensors: Mapping[str, Tensor], config: ModelConfig) -> GNN:
    model = _built(config, 0)
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ValueError(f"the tensors must be those of {config.title}") from error
    _require_finite(tensors)
    return model.eval()


def _fitted_line(dataset: Dataset, *, standardised: bool) -> dict[str, Tensor]:
    """The classifier's weights and biases, in float64 as scikit-learn found them."""
    learned = torch.ones(dataset.num_nodes, dtype=torch.bool)
    learned[dataset.split.test] = False
    x, y = dataset.graph.x.detach().cpu().double()[learned], dataset.graph.y.cpu()[learned]
    known = y.unique()
    if len(known) == 1:
        return {
            "weight": torch.zeros(1, x.shape[1]).double(),
            "bias": torch.zeros(1).double(),
            "known": known,
        }
    mean, scale = torch.zeros(x.shape[1]).double(), torch.ones(x.shape[1]).double()
    if standardised:
        scaler = StandardScaler().fit(x.numpy())
        mean, scale = torch.from_numpy(scaler.mean_), torch.from_numpy(scaler.scale_)
    with warnings.catch_warnings():
        # One that is stopped is an observer all the same: what it recognises on the reference is shown.
        warnings.simplefilter("ignore", ConvergenceWarning)
        line = LogisticRegression(max_iter=MAX_ITERATIONS).fit(((x - mean) / scale).numpy(), y.numpy())
    weight, bias = torch.from_numpy(line.coef_).double(), torch.from_numpy(line.intercept_).double()
    if len(known) == 2:  # one row then: the second class against the first
        weight, bias = (
            torch.cat([torch.zeros_like(weight), weight]),
            torch.cat([torch.zeros_like(bias), bias]),
        )
    weight = weight / scale
    return {"weight": weight, "bias": bias - weight @ mean, "known": known}


def _revived_line(tensors: Mapping[str, Tensor], num_features: int) -> LinearReader:
    if set(tensors) != {"weight", "bias", "known"}:
        raise ValueError(f"the tensors must be weight, bias and known, got {sorted(tensors)}")
    weight, bias, known = (tensors[name] for name in ("weight", "bias", "known"))
    if weight.shape != (len(known), num_features) or bias.shape != known.shape:
        raise ValueError(f"the weights must be [{len(known)}, {num_features}], got {list(weight.shape)}")
    if weight.dtype != torch.float64 or bias.dtype != torch.float64 or known.dtype != torch.int64:
        raise ValueError("the weights must be float64 and the classes int64")
    _require_finite(tensors)
    return LinearReader(weight, bias, known)


def _require_finite(tensors: Mapping[str, Tensor]) -> None:
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError("the weights must be finite")
