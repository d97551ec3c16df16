"""audit(): all layers, all questions, one model and one graph; and what may be said about the result."""

from graph_metamers.auditing.audit_files import load_audit, save_audit
from graph_metamers.auditing.auditing import audit
from graph_metamers.auditing.results import Audit, DatasetCard, LayerAudit
from graph_metamers.auditing.wording import advice, verdict

__all__ = ["Audit", "DatasetCard", "LayerAudit", "advice", "audit", "load_audit", "save_audit", "verdict"]
