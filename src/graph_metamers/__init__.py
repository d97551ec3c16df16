"""graph-metamers: what a trained graph neural network cannot see.

`import graph_metamers as gm` costs milliseconds: every public name below is imported when it is first
used, so that `--help` and tab completion never wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES: dict[str, tuple[str, ...]] = {
    "reading": ("Layer", "activations", "layers"),
    "auditing": (
        "NODE_COLUMNS",
        "Audit",
        "DatasetCard",
        "LayerAudit",
        "Start",
        "advice",
        "audit",
        "load_audit",
        "save_audit",
        "verdict",
    ),
    "checks": ("CheckReport", "Finding", "check"),
    "datasets": ("ContextualBlockModel", "Dataset", "list_datasets", "load_dataset"),
    "errors": (
        "BindingError",
        "CheckError",
        "DatasetError",
        "FileFormatError",
        "GraphMetamersError",
        "LayerNotFoundError",
        "ModelError",
        "OutputError",
        "ParameterError",
        "RunFailedError",
        "UserError",
    ),
    "evidence": (
        "Baseline",
        "BayesOracle",
        "Beliefs",
        "ConstantModel",
        "DistanceReport",
        "GateReport",
        "MeasuredDistance",
        "NullDistribution",
        "OracleModel",
        "OverRobustness",
        "Panel",
        "PanelMember",
        "PanelReport",
        "ScaledExcess",
        "SelftestReport",
        "SelftestResult",
        "WithLabelPropagation",
        "gates",
        "label_propagation",
        "list_distances",
        "measure_distances",
        "null_distribution",
        "oracle_figures",
        "over_robustness",
        "propagate_beliefs",
        "scaled_excess",
        "selftest",
        "train_panel",
        "untrained_panel",
    ),
    "inputs": ("EdgeWeights", "Features", "InputDistance", "Structure"),
    "metrics": ("Accuracy", "Agreement", "Consistency", "consistency"),
    "models": (
        "GNN",
        "ModelConfig",
        "build_model",
        "list_models",
        "load_model",
        "load_weights",
        "save_model",
    ),
    "report": ("write_report", "write_study_report"),
    "storage": ("load_graph", "save_graph"),
    "study": (
        "FolderStore",
        "StudyConfig",
        "StudyStatus",
        "Tally",
        "run_study",
        "study_config",
        "study_status",
    ),
    "synthesis": (
        "Adam",
        "Budget",
        "ExactSwaps",
        "InTurn",
        "LBFGS",
        "MLflowCallback",
        "Metamer",
        "NullSpace",
        "ProgressBar",
        "Rewire",
        "SearchProgress",
        "Status",
        "TensorBoardCallback",
        "StraightThrough",
        "StructureFront",
        "WordSwaps",
        "generate",
        "generate_many",
        "load_metamer",
        "save_metamer",
        "structure_front",
    ),
    "theory": (
        "DimensionProgress",
        "FeatureVisibility",
        "FreeShares",
        "LayerClasses",
        "MetamerDimension",
        "StructureLowerBound",
        "VolumeChange",
        "WholeGraphDimension",
        "feature_visibility",
        "free_shares",
        "local_metamer_dimension",
        "structure_classes",
        "structure_lower_bound",
        "volume_change",
        "whole_graph_dimension",
    ),
    "training": (
        "FitResult",
        "Perturbation",
        "Recipe",
        "Scores",
        "evaluate",
        "fit",
        "list_recipes",
        "training_recipe",
    ),
}
"""Folder -> the public names that live in it."""

_HOME = {name: f"{__name__}.{folder}" for folder, names in _NAMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604


if TYPE_CHECKING:
    from graph_metamers.auditing import (
        NODE_COLUMNS as NODE_COLUMNS,
    )
    from graph_metamers.auditing import (
        Audit as Audit,
    )
    from graph_metamers.auditing import (
        DatasetCard as DatasetCard,
    )
    from graph_metamers.auditing import (
        LayerAudit as LayerAudit,
    )
    from graph_metamers.auditing import (
        Start as Start,
    )
    from graph_metamers.auditing import (
        advice as advice,
    )
    from graph_metamers.auditing import (
        audit as audit,
    )
    from graph_metamers.auditing import (
        load_audit as load_audit,
    )
    from graph_metamers.auditing import (
        save_audit as save_audit,
    )
    from graph_metamers.auditing import (
        verdict as verdict,
    )
    from graph_metamers.checks import CheckReport as CheckReport
    from graph_metamers.checks import Finding as Finding
    from graph_metamers.checks import check as check
    from graph_metamers.datasets import (
        ContextualBlockModel as ContextualBlockModel,
    )
    from graph_metamers.datasets import (
        Dataset as Dataset,
    )
    from graph_metamers.datasets import (
        list_datasets as list_datasets,
    )
    from graph_metamers.datasets import (
        load_dataset as load_dataset,
    )
    from graph_metamers.errors import (
        BindingError as BindingError,
    )
    from graph_metamers.errors import (
        CheckError as CheckError,
    )
    from graph_metamers.errors import (
        DatasetError as DatasetError,
    )
    from graph_metamers.errors import (
        FileFormatError as FileFormatError,
    )
    from graph_metamers.errors import (
        GraphMetamersError as GraphMetamersError,
    )
    from graph_metamers.errors import (
        LayerNotFoundError as LayerNotFoundError,
    )
    from graph_metamers.errors import (
        ModelError as ModelError,
    )
    from graph_metamers.errors import (
        OutputError as OutputError,
    )
    from graph_metamers.errors import (
        ParameterError as ParameterError,
    )
    from graph_metamers.errors import (
        RunFailedError as RunFailedError,
    )
    from graph_metamers.errors import (
        UserError as UserError,
    )
    from graph_metamers.evidence import (
        Baseline as Baseline,
    )
    from graph_metamers.evidence import (
        BayesOracle as BayesOracle,
    )
    from graph_metamers.evidence import (
        Beliefs as Beliefs,
    )
    from graph_metamers.evidence import (
        ConstantModel as ConstantModel,
    )
    from graph_metamers.evidence import (
        DistanceReport as DistanceReport,
    )
    from graph_metamers.evidence import (
        GateReport as GateReport,
    )
    from graph_metamers.evidence import (
        MeasuredDistance as MeasuredDistance,
    )
    from graph_metamers.evidence import (
        NullDistribution as NullDistribution,
    )
    from graph_metamers.evidence import (
        OracleModel as OracleModel,
    )
    from graph_metamers.evidence import (
        OverRobustness as OverRobustness,
    )
    from graph_metamers.evidence import (
        Panel as Panel,
    )
    from graph_metamers.evidence import (
        PanelMember as PanelMember,
    )
    from graph_metamers.evidence import (
        PanelReport as PanelReport,
    )
    from graph_metamers.evidence import (
        ScaledExcess as ScaledExcess,
    )
    from graph_metamers.evidence import (
        SelftestReport as SelftestReport,
    )
    from graph_metamers.evidence import (
        SelftestResult as SelftestResult,
    )
    from graph_metamers.evidence import (
        WithLabelPropagation as WithLabelPropagation,
    )
    from graph_metamers.evidence import (
        gates as gates,
    )
    from graph_metamers.evidence import (
        label_propagation as label_propagation,
    )
    from graph_metamers.evidence import (
        list_distances as list_distances,
    )
    from graph_metamers.evidence import (
        measure_distances as measure_distances,
    )
    from graph_metamers.evidence import (
        null_distribution as null_distribution,
    )
    from graph_metamers.evidence import (
        oracle_figures as oracle_figures,
    )
    from graph_metamers.evidence import (
        over_robustness as over_robustness,
    )
    from graph_metamers.evidence import (
        propagate_beliefs as propagate_beliefs,
    )
    from graph_metamers.evidence import (
        scaled_excess as scaled_excess,
    )
    from graph_metamers.evidence import (
        selftest as selftest,
    )
    from graph_metamers.evidence import (
        train_panel as train_panel,
    )
    from graph_metamers.evidence import (
        untrained_panel as untrained_panel,
    )
    from graph_metamers.inputs import EdgeWeights as EdgeWeights
    from graph_metamers.inputs import Features as Features
    from graph_metamers.inputs import InputDistance as InputDistance
    from graph_metamers.inputs import Structure as Structure
    from graph_metamers.metrics import Accuracy as Accuracy
    from graph_metamers.metrics import Agreement as Agreement
    from graph_metamers.metrics import Consistency as Consistency
    from graph_metamers.metrics import consistency as consistency
    from graph_metamers.models import (
        GNN as GNN,
    )
    from graph_metamers.models import (
        ModelConfig as ModelConfig,
    )
    from graph_metamers.models import (
        build_model as build_model,
    )
    from graph_metamers.models import (
        list_models as list_models,
    )
    from graph_metamers.models import (
        load_model as load_model,
    )
    from graph_metamers.models import (
        load_weights as load_weights,
    )
    from graph_metamers.models import (
        save_model as save_model,
    )
    from graph_metamers.reading import Layer as Layer
    from graph_metamers.reading import activations as activations
    from graph_metamers.reading import layers as layers
    from graph_metamers.report import write_report as write_report
    from graph_metamers.report import write_study_report as write_study_report
    from graph_metamers.storage import load_graph as load_graph
    from graph_metamers.storage import save_graph as save_graph
    from graph_metamers.study import (
        FolderStore as FolderStore,
    )
    from graph_metamers.study import (
        StudyConfig as StudyConfig,
    )
    from graph_metamers.study import (
        StudyStatus as StudyStatus,
    )
    from graph_metamers.study import (
        Tally as Tally,
    )
    from graph_metamers.study import (
        run_study as run_study,
    )
    from graph_metamers.study import (
        study_config as study_config,
    )
    from graph_metamers.study import (
        study_status as study_status,
    )
    from graph_metamers.synthesis import (
        LBFGS as LBFGS,
    )
    from graph_metamers.synthesis import (
        Adam as Adam,
    )
    from graph_metamers.synthesis import (
        Budget as Budget,
    )
    from graph_metamers.synthesis import (
        ExactSwaps as ExactSwaps,
    )
    from graph_metamers.synthesis import (
        InTurn as InTurn,
    )
    from graph_metamers.synthesis import (
        Metamer as Metamer,
    )
    from graph_metamers.synthesis import (
        MLflowCallback as MLflowCallback,
    )
    from graph_metamers.synthesis import (
        NullSpace as NullSpace,
    )
    from graph_metamers.synthesis import (
        ProgressBar as ProgressBar,
    )
    from graph_metamers.synthesis import (
        Rewire as Rewire,
    )
    from graph_metamers.synthesis import (
        SearchProgress as SearchProgress,
    )
    from graph_metamers.synthesis import (
        Status as Status,
    )
    from graph_metamers.synthesis import (
        StraightThrough as StraightThrough,
    )
    from graph_metamers.synthesis import (
        StructureFront as StructureFront,
    )
    from graph_metamers.synthesis import (
        TensorBoardCallback as TensorBoardCallback,
    )
    from graph_metamers.synthesis import (
        WordSwaps as WordSwaps,
    )
    from graph_metamers.synthesis import (
        generate as generate,
    )
    from graph_metamers.synthesis import (
        generate_many as generate_many,
    )
    from graph_metamers.synthesis import (
        load_metamer as load_metamer,
    )
    from graph_metamers.synthesis import (
        save_metamer as save_metamer,
    )
    from graph_metamers.synthesis import (
        structure_front as structure_front,
    )
    from graph_metamers.theory import (
        DimensionProgress as DimensionProgress,
    )
    from graph_metamers.theory import (
        FeatureVisibility as FeatureVisibility,
    )
    from graph_metamers.theory import (
        FreeShares as FreeShares,
    )
    from graph_metamers.theory import (
        LayerClasses as LayerClasses,
    )
    from graph_metamers.theory import (
        MetamerDimension as MetamerDimension,
    )
    from graph_metamers.theory import (
        StructureLowerBound as StructureLowerBound,
    )
    from graph_metamers.theory import (
        VolumeChange as VolumeChange,
    )
    from graph_metamers.theory import (
        WholeGraphDimension as WholeGraphDimension,
    )
    from graph_metamers.theory import (
        feature_visibility as feature_visibility,
    )
    from graph_metamers.theory import (
        free_shares as free_shares,
    )
    from graph_metamers.theory import (
        local_metamer_dimension as local_metamer_dimension,
    )
    from graph_metamers.theory import (
        structure_classes as structure_classes,
    )
    from graph_metamers.theory import (
        structure_lower_bound as structure_lower_bound,
    )
    from graph_metamers.theory import (
        volume_change as volume_change,
    )
    from graph_metamers.theory import (
        whole_graph_dimension as whole_graph_dimension,
    )
    from graph_metamers.training import (
        FitResult as FitResult,
    )
    from graph_metamers.training import (
        Perturbation as Perturbation,
    )
    from graph_metamers.training import (
        Recipe as Recipe,
    )
    from graph_metamers.training import (
        Scores as Scores,
    )
    from graph_metamers.training import (
        evaluate as evaluate,
    )
    from graph_metamers.training import (
        fit as fit,
    )
    from graph_metamers.training import (
        list_recipes as list_recipes,
    )
    from graph_metamers.training import (
        training_recipe as training_recipe,
    )


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
