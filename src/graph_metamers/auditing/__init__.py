"""audit(): all layers, all questions, one model and one graph; and what may be said about the result."""

from graph_metamers.auditing.advising import advice
from graph_metamers.auditing.audit_files import load_audit, save_audit
from graph_metamers.auditing.auditing import audit
from graph_metamers.auditing.layer_results import LayerAudit, Start
from graph_metamers.auditing.node_table import NODE_COLUMNS
from graph_metamers.auditing.results import Audit, DatasetCard
from graph_metamers.auditing.wording import verdict

__all__ = [
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
]
