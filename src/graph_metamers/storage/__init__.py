"""Writing and reading: atomic files and folders, JSON, graphs without pickle, fingerprints, provenance."""

from __future__ import annotations

from graph_metamers.storage.atomic import atomic_directory, atomic_file, ensure_replaceable, ensure_writable
from graph_metamers.storage.cache_folder import resolve_cache
from graph_metamers.storage.graph_files import load_graph, save_graph
from graph_metamers.storage.hashing import fingerprint, json_fingerprint
from graph_metamers.storage.json_files import read_json, to_jsonable, to_number, write_json
from graph_metamers.storage.provenance import environment

__all__ = [
    "atomic_directory",
    "atomic_file",
    "ensure_replaceable",
    "ensure_writable",
    "environment",
    "fingerprint",
    "json_fingerprint",
    "load_graph",
    "read_json",
    "resolve_cache",
    "save_graph",
    "to_jsonable",
    "to_number",
    "write_json",
]
