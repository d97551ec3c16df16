"""Studies: grids of trained models and of searches in them, computed once, on one machine or on many."""

from __future__ import annotations

from graph_metamers.study.config import Grid, StudyConfig, study_config
from graph_metamers.study.driving import Tally, run_plan
from graph_metamers.study.estimating import Estimate, estimate
from graph_metamers.study.folder_store import FolderStore
from graph_metamers.study.planning import Plan, plan
from graph_metamers.study.run_store import Lease, RunRecord, RunStore
from graph_metamers.study.running import run_study
from graph_metamers.study.runs import Run
from graph_metamers.study.status import StudyStatus, study_status
from graph_metamers.study.table import connect, rows_of, write_table

__all__ = [
    "Estimate",
    "FolderStore",
    "Grid",
    "Lease",
    "Plan",
    "Run",
    "RunRecord",
    "RunStore",
    "StudyConfig",
    "StudyStatus",
    "Tally",
    "connect",
    "estimate",
    "plan",
    "rows_of",
    "run_plan",
    "run_study",
    "study_config",
    "study_status",
    "write_table",
]
