"""How long a study will take, and how much it will write: from runs that were measured, else by a rule."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graph_metamers.evidence.oracle_models import NUM_ROUNDS
from graph_metamers.study.runs import case_of

if TYPE_CHECKING:
    from graph_metamers.study.driving import Keep
    from graph_metamers.study.folder_store import FolderStore
    from graph_metamers.study.planning import DataFacts, Plan
    from graph_metamers.study.runs import Run

MULTIPLICATIONS_A_SECOND = 2e10
"""Of the rule: what one core does with dense matrices."""

ENTRIES_A_SECOND = 4e9
"""Of the rule: numbers that one core sends along edges."""

SECONDS_A_PASS = 2e-3
"""Of the rule: what a pass takes beside that."""

PASSES_AN_EPOCH, PASSES_A_STEP, PASSES_OF_MEASURING = 4, 3, 200
"""Of the rule: a forward pass counts 1, with its gradient 3."""

SHARE_OF_STEPS = 0.1
"""Of the rule: what a search of features that are no words takes of its steps until it has met the loss.

Words, edges, and searches that then go on as far as they can, take all."""

SENDERS_OF_RAW_ROWS = frozenset({"sage", "gin", "cheb", "sgc"})
"""Architectures that send features along edges before they multiply them with weights."""

BYTES_OF_RECORD = 8_000

RULE = (
    f"the rule: {PASSES_AN_EPOCH} passes an epoch (all epochs), as many more for each step of a pgd "
    f"perturbation, {PASSES_A_STEP} passes a step of a search (all steps, {SHARE_OF_STEPS:.0%} where "
    f"features that are no words have to match and no more) and {PASSES_OF_MEASURING} more to measure it; "
    f"a pass takes {SECONDS_A_PASS * 1000:g} ms, a second for every {MULTIPLICATIONS_A_SECOND:g} "
    f"multiplications, and one for every {ENTRIES_A_SECOND:g} numbers on edges"
)
MEASURED = "runs of the same kind, data set and model that are in the store"


@dataclass(frozen=True)
class Estimate:
    """What is left of a study.

    Attributes
    ----------
    num_runs, num_models, num_metamers
        Runs of the whole study.
    num_finished
        Those that have a result.
    num_measured, num_by_rule
        Of the others: those whose time is that of finished runs like them, and those whose time is by rule.
    seconds
        Computing time of what is left, of one worker.
    wall_seconds
        The same, divided among the workers.
    disk_bytes
        What is left to be written.
    sources
        Where the figures come from, one sentence each.
    """

    num_runs: int
    num_models: int
    num_metamers: int
    num_finished: int
    num_measured: int
    num_by_rule: int
    seconds: float
    wall_seconds: float
    disk_bytes: float
    sources: tuple[str, ...]


def estimate(plan: Plan, store: FolderStore | None, *, workers: int, keep: Keep) -> Estimate:
    """Estimate what is left of a study.

    Parameters
    ----------
    plan
        The study.
    store
        Where finished runs are; `None` if there is no store yet.
    workers
        Tasks that are computed at once.
    keep
        Which graphs will be kept; see `run_plan`.
    """
    measured = {} if store is None else _measured(store)
    finished, seconds, disk = 0, 0.0, 0.0
    counts = {"measured": 0, "rule": 0}
    kept = _share_kept(plan, keep)
    for run in plan.runs:
        if store is not None and store.is_finished(run.run_id):
            finished += 1
            continue
        facts = plan.facts[run.run_id if run.parent is None else run.parent.run_id]
        known = measured.get(_group(run.identity["kind"], run.case))
        counts["rule" if known is None else "measured"] += 1
        seconds += _seconds_by_rule(run, facts) if known is None else statistics.median(known)
        disk += _bytes_by_rule(run, facts, kept)
    left = len(plan.runs) - finished
    sources = []
    if counts["measured"]:
        sources.append(f"time of {counts['measured']} of {left} runs: median of {MEASURED}")
    if counts["rule"]:
        sources.append(f"time of {counts['rule']} of {left} runs: by {RULE}")
    if left:
        sources.append("disk: 8 kB a run, 4 bytes a weight, and what is kept of graphs as if not compressed")
    return Estimate(
        num_runs=len(plan.runs),
        num_models=len(plan.models),
        num_metamers=len(plan.metamers),
        num_finished=finished,
        num_measured=counts["measured"],
        num_by_rule=counts["rule"],
        seconds=seconds,
        wall_seconds=seconds / max(1, min(workers, left)),
        disk_bytes=disk,
        sources=tuple(sources),
    )


def _measured(store: FolderStore) -> dict[tuple[Any, ...], list[float]]:
    """Seconds of finished runs, by what makes runs alike."""
    found: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    identities: dict[str, Any] = {}
    for run_id in store.finished():
        record = store.read(run_id)
        identity: Any = record.identity
        parent_id = identity["parent"]
        if parent_id is not None and parent_id not in identities:
            identities[parent_id] = store.read(parent_id).identity
        seconds: Any = record.manifest.get("seconds")
        if not record.is_failed and seconds is not None:
            case = case_of(identity, identities.get(parent_id))
            found[_group(identity["kind"], case)].append(float(seconds))
    return found


def _group(kind: Any, case: dict[str, Any]) -> tuple[Any, ...]:
    names = ["dataset", "model", "num_layers", "hidden_channels", "weights", "label_propagation", "drop_edge"]
    names += ["perturbation"] if kind == "model" else ["vary", "feature_kind", "solver"]
    return (kind, *(case[name] for name in names))


def _seconds_by_rule(run: Run, facts: DataFacts) -> float:
    trained = run if run.parent is None else run.parent
    config: Any = run.config
    a_pass = _seconds_a_pass(trained, facts)
    if run.parent is not None:
        are_words = facts.feature_kind == "binary" and run.case["feature_kind"] == "own"
        arrives = config["vary"] == "features" and not are_words and config["search"]["objective"] == "match"
        share = SHARE_OF_STEPS if arrives else 1.0
        return a_pass * (PASSES_A_STEP * share * float(config["search"]["steps"]) + PASSES_OF_MEASURING)
    if config["training"] is None:
        return a_pass
    change = config["perturbation"]
    ascent = int(change["steps"]) if change is not None and change["kind"] == "pgd" else 0
    return a_pass * PASSES_AN_EPOCH * float(config["training"]["epochs"]) * (1 + ascent)


def _seconds_a_pass(trained: Run, facts: DataFacts) -> float:
    """Of the model of a run, forward, by rule; about: SGC and ChebNet send rows once for each step."""
    model: Any = trained.config["model"]
    first, width, depth = (int(model[name]) for name in ("in_channels", "hidden_channels", "num_layers"))
    nodes, edges = facts.num_nodes, facts.num_edges
    multiplications = nodes * width * (first + depth * width)
    entries = edges * depth * width
    if model["architecture"] in SENDERS_OF_RAW_ROWS:
        entries += edges * first
    if trained.case["label_propagation"] != "none":
        entries += NUM_ROUNDS * edges * facts.num_classes
    return SECONDS_A_PASS + multiplications / MULTIPLICATIONS_A_SECOND + entries / ENTRIES_A_SECOND


def _share_kept(plan: Plan, keep: Keep) -> float:
    if keep != "best":
        return 1.0 if keep == "all" else 0.0
    return 1 / max(1, len({run.seed for run in plan.metamers}))


def _bytes_by_rule(run: Run, facts: DataFacts, kept: float) -> float:
    if run.parent is None:
        model: Any = run.config["model"]
        width, depth = int(model["hidden_channels"]), int(model["num_layers"])
        weights = width * (facts.num_features + facts.num_classes) + max(0, depth - 2) * width * width
        return BYTES_OF_RECORD + 4.0 * weights
    if run.config["vary"] == "structure":
        return BYTES_OF_RECORD + kept * 8.0 * facts.num_edges
    are_bits = facts.feature_kind == "binary" and run.case["feature_kind"] == "own"
    size = 1 / 8 if are_bits else 4.0
    return BYTES_OF_RECORD + kept * size * facts.num_nodes * facts.num_features
