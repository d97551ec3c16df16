"""Settings with which an architecture reaches its known accuracy on a data set; chosen on validation nodes.

The defaults of `build_model` and `fit` are one choice for all architectures and data sets. A recipe is the
choice for one of each, with the published accuracy that it is held against and where that was published.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch_geometric.transforms import NormalizeFeatures

from graph_metamers.models import build_model
from graph_metamers.models.convolutions import find_convolution
from graph_metamers.parameters import check_choice
from graph_metamers.training.fitting import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graph_metamers.datasets import Dataset
    from graph_metamers.models import GNN, ClassificationTask
    from graph_metamers.training.results import FitResult, TrainingStep
    from graph_metamers.types import Transform


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Recipe:
    """How one architecture is built and trained for one data set.

    Parameters
    ----------
    architecture
        As `build_model` knows it.
    dataset
        As `load_dataset` knows it, with the split that the published accuracy is for.
    published
        The published test accuracy, in [0, 1].
    source
        Where it was published.
    model_options
        Options of `build_model` that are not its defaults.
    fit_options
        Options of `fit` that are not its defaults.
    normalize_features
        Whether the model reads each node's features divided by their sum. Pass `transform` to everything
        that calls the model then (`audit`, `generate`, `evaluate`, ...).
    """

    architecture: str
    dataset: str
    published: float
    source: str
    model_options: Mapping[str, Any] = field(default_factory=dict)
    fit_options: Mapping[str, Any] = field(default_factory=dict)
    normalize_features: bool = False

    def __post_init__(self) -> None:
        for name in ("model_options", "fit_options"):
            # A shared registry: nobody changes it by accident.
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def transform(self) -> Transform | None:
        """What the graph goes through before the model; `None` if nothing."""
        transform: Transform | None = NormalizeFeatures() if self.normalize_features else None
        return transform

    def build(self, dataset: ClassificationTask, *, seed: int = 0) -> GNN:
        """Build the untrained model; see `build_model`."""
        return build_model(self.architecture, dataset, **self.model_options, seed=seed)

    def fit(
        self,
        dataset: Dataset,
        *,
        seed: int = 0,
        callbacks: Iterable[Callable[[TrainingStep], object]] = (),
    ) -> FitResult[GNN]:
        """Build the model and train it, both with the same seed; see `fit`.

        Parameters
        ----------
        dataset
            The recipe's data set, or another with the same kind of features, where nothing is promised.
        seed
            Of the initial weights and of everything random in the training.
        callbacks
            Called with a `TrainingStep` after every epoch.
        """
        model = self.build(dataset, seed=seed)
        options: dict[str, Any] = dict(self.fit_options)
        return fit(model, dataset, **options, transform=self.transform, seed=seed, callbacks=callbacks)

    def __repr__(self) -> str:
        rows = [
            ("build_model", _options(self.model_options)),
            ("fit", _options(self.fit_options)),
            ("transform", "NormalizeFeatures()" if self.normalize_features else "none"),
            ("published", f"{self.published:.1%} ({self.source})"),
        ]
        lines = "\n".join(f"  {name}: {value}" for name, value in rows)
        return f"Recipe {self.architecture} on {self.dataset}\n{lines}"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items()) or "defaults"


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        architecture="gcn",
        dataset="cora",
        published=0.815,
        source="Kipf and Welling 2017, Table 2",
        normalize_features=True,
    ),
    Recipe(
        architecture="sage",
        dataset="cora",
        published=0.801,
        source="CogDL (Cen et al. 2023), leaderboard; not by its authors, who used other data",
        model_options={"dropout": 0.8},
        fit_options={"learning_rate": 0.05, "epochs": 60},
        normalize_features=True,
    ),
    Recipe(
        architecture="gin",
        dataset="cora",
        published=0.776,
        source="Wu et al. 2019, Table 2; not by its authors, who classify graphs",
        # No normalisation: the GINs whose code for this split is public have none (Wijesinghe and Wang
        # 2022; Zhu et al. 2023), nor has PyTorch Geometric's own by default, and with 140 labels the
        # BatchNorm of Xu et al.'s graph classifiers overfits (at most 67% of the validation nodes in what
        # was tried, against 77%). LayerNorm gets 80%, but no published GIN was found that has it. Within
        # this family the rest is what was best on the validation nodes; such a large weight decay is
        # theirs too.
        model_options={"hidden_channels": 64, "norm": "none", "dropout": 0.9},
        fit_options={"weight_decay": 0.01},
        normalize_features=True,
    ),
    Recipe(
        architecture="gat",
        dataset="cora",
        published=0.83,
        source="Velickovic et al. 2018, Table 2",
        model_options={"hidden_channels": 64, "activation": "elu", "dropout": 0.6},
        normalize_features=True,
    ),
    Recipe(
        architecture="cheb",
        dataset="cora",
        published=0.812,
        source="Kipf and Welling 2017, Table 3, K=2",
        fit_options={"learning_rate": 0.05, "epochs": 50},
        normalize_features=True,
    ),
    Recipe(
        architecture="sgc",
        dataset="cora",
        published=0.81,
        source="Wu et al. 2019, Table 2",
        fit_options={"learning_rate": 0.2, "weight_decay": 1e-5, "epochs": 40},
        normalize_features=True,
    ),
)
"""One a data set and architecture, in the order of `list_models`."""


def list_recipes() -> list[Recipe]:
    """Return every recipe, in the order of `list_models`."""
    return list(RECIPES)


def training_recipe(name: str, dataset: str) -> Recipe:
    """Return the settings with which an architecture reaches its known accuracy on a data set.

    Parameters
    ----------
    name
        An architecture, as for `build_model`.
    dataset
        A built-in data set, as for `load_dataset`.

    Raises
    ------
    ParameterError
        If there is no such architecture, or no recipe for it on this data set.

    Examples
    --------
    >>> training_recipe("gcn", "cora").published
    0.815
    """
    architecture = find_convolution(name).name
    known = {recipe.dataset: recipe for recipe in RECIPES if recipe.architecture == architecture}
    return known[check_choice("dataset", dataset, known)]
