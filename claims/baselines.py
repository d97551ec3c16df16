"""The controls of three audits of Cora - features, edges, both - recomputed by plain PyG; and their time."""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from typing import TYPE_CHECKING, Any

from judging import ARTEFACTS, Judge, recomputed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torch
    from cora_models import compile_kernels, require_cora
    from safetensors.torch import save_file

    import graph_metamers as gm
    from graph_metamers.evidence.equal_size import equal_size
    from graph_metamers.evidence.flat_steps import FlatDirections, stepped
    from graph_metamers.evidence.observing import observer
    from graph_metamers.evidence.panel_report import CHANCE, REFERENCE
    from graph_metamers.evidence.untrained import untrained_copy
    from graph_metamers.inputs import what_varies
    from graph_metamers.randomness import generator_for
    from graph_metamers.reading import ModelView
    from graph_metamers.theory.jacobians import layer_readers

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ARTEFACTS / "baselines"
WORDS = gm.Features(kind="binary")
VARY: dict[str, Any] = {"features": WORDS, "structure": "structure", "both": (WORDS, "structure")}
SECONDS = 12 * 60
FARTHER = 5  # times the loss of the metamers that a random change of the same size must have


def main() -> None:
    judge = Judge(f"baselines: Cora, GCN with 16 hidden units, {torch.get_num_threads()} threads")
    dataset = require_cora(judge)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    compile_kernels(("features", "structure"))
    save_file({"train": dataset.split.train}, FOLDER / "split.safetensors")
    started = time.perf_counter()
    fit = gm.fit(gm.build_model("gcn", dataset), dataset)
    audits: dict[str, gm.Audit] = {}
    spent: dict[str, float] = {}
    cache = FOLDER / "cache"
    for name in VARY:
        begun = time.perf_counter()
        vary = ("features", "structure") if name == "both" else name
        audits[name] = gm.audit(fit, dataset, vary=vary, observers="panel", cache=cache)
        audits[name].save(FOLDER / name)
        spent[name] = time.perf_counter() - begun
        judge.note(f"audit of {name}, {audits[name].num_starts} starts a layer: {spent[name]:.0f} s")
    for name, audit in audits.items():
        begun = time.perf_counter()
        distances = gm.measure_distances(audit.layers[-1].metamer, model=fit.model)
        judge.note(f"all distances of {name}, {time.perf_counter() - begun:.0f} s: {_listed(distances)}")
    gm.write_report(list(audits.values()), FOLDER / "report.html")
    seconds = time.perf_counter() - started
    judge.claim(
        f"training, panel of observers, three audits, all distances and the report: {seconds:.0f} s <= "
        f"{SECONDS} s",
        seconds <= SECONDS,
    )
    begun = time.perf_counter()
    gm.audit(fit, dataset, observers="panel", cache=cache).save(FOLDER / "again")
    again = time.perf_counter() - begun
    first = spent["features"]
    judge.claim(
        f"the first audit again, its observers from the cache: {again:.0f} s <= half of {first:.0f} s",
        again <= first / 2,
    )
    _judge_panel(judge, audits)
    for name, audit in audits.items():
        _judge_audit(judge, name, audit)
    judge.finish()


def _listed(report: gm.DistanceReport) -> str:
    known = [row for row in report.rows() if row["scaled"] is not None]
    return ", ".join(f"{row['name']} {row['scaled']:.3g}" for row in known)


def _judge_panel(judge: Judge, audits: dict[str, gm.Audit]) -> None:
    """Who was asked; words alone are fooled, and foreign networks mostly not, as was measured by hand."""
    for name, audit in audits.items():
        watched = audit.observers
        assert watched is not None
        kinds = [sight.kind for sight in watched.sights]
        judge.claim(
            f"{name}: {kinds.count('architecture')} architectures >= 4, {kinds.count('twin')} twins >= 2, "
            f"{kinds.count('features')} of words, {kinds.count('edges')} of edges",
            kinds.count("architecture") >= 4
            and kinds.count("twin") >= 2
            and {"features", "edges"} <= set(kinds),
        )
        right = {
            kind: [watched.interval("accuracy", kind, where) for where in (REFERENCE, last, CHANCE)]
            for kind in watched.kinds
            for last in [audit.layers[-1].name]
        }
        for kind, (before, after, chance) in right.items():
            judge.note(f"{name}, {kind}: right on {before} before, {after} on metamers, {chance} by chance")
        if name != "both":
            continue
        homophily = audit.layers[-1].measures["homophily"]
        judge.claim(
            f"both: homophily {homophily.value:.2f} stays, {homophily.chance:.2f} by chance",
            homophily.value > 0.6 and homophily.chance < 0.3,
        )
        words, others = right["features"], right["architecture"]
        judge.claim(
            f"both: words alone fall from {words[0].estimate:.3f} to {words[1].estimate:.3f}, other "
            f"architectures mostly do not: {others[0].estimate:.3f} to {others[1].estimate:.3f}",
            words[0].estimate - words[1].estimate > 0.1 and others[0].estimate - others[1].estimate < 0.1,
        )


def _judge_audit(judge: Judge, name: str, audit: gm.Audit) -> None:
    told = {(row["layer"], row["baseline"]): row for row in audit.baseline_rows()}
    alone = recomputed(
        "plain_controls", "recompute_without_graph", FOLDER / name, FOLDER / "split.safetensors"
    )
    for layer in audit.layers:
        found = {baseline.name: baseline for baseline in layer.baselines}
        _show(judge, name, layer)
        place = FOLDER / "controls" / name / layer.name
        for control in _saved(audit, name, layer, place):
            plain = recomputed("plain_controls", "recompute_control", FOLDER / name, place / control)
            first = {measure: found[control].values(measure)[0] for measure in plain}
            near = {
                measure: math.isclose(value, first[measure], rel_tol=1e-4, abs_tol=1e-3)
                for measure, value in plain.items()
            }
            figures = ", ".join(f"{measure} {value:.4g}" for measure, value in plain.items())
            judge.claim(f"{name}, {layer.name}, {control}: plain PyG says {figures}", all(near.values()))
        nearest = told[layer.name, "nearest_item"]
        # How far apart nodes are in edges is measured by their lists of neighbours, and not here.
        measures = [m for m in alone[layer.name] if "input_distance" not in m]
        same = all(math.isclose(nearest[m], alone[layer.name][m], rel_tol=1e-4) for m in measures)
        if name == "features":
            low, high = (alone[layer.name][m] for m in ("input_distance", "largest_input_distance"))
            same &= low * (1 - 1e-4) <= nearest["input_distance"] <= high * (1 + 1e-4)
        judge.claim(f"{name}, {layer.name}, nearest_item: brute force says {alone[layer.name]}", same)
        said = alone["label_propagation"]["prediction_agreement"]
        row = told[layer.name, "label_propagation"]["prediction_agreement"]
        judge.claim(
            f"{name}, {layer.name}, label_propagation: PyG's says what the model says of {said:.1%}",
            math.isclose(row, said),
        )
        metamers = layer.measures["activation_loss"].value
        random = told[layer.name, "random_perturbation"]["activation_loss"]
        judge.claim(
            f"{name}, {layer.name}: random changes as large have {random / metamers:.0f} times the loss",
            random > FARTHER * metamers,
        )


def _show(judge: Judge, name: str, layer: gm.LayerAudit) -> None:
    measures = ("activation_loss", "input_distance", "prediction_agreement", "passing_share")
    rows = [("found", {m: layer.measures[m].interval for m in measures})]
    rows += [(one.name, {m: one.interval(m) for m in measures}) for one in layer.baselines if not one.why_not]
    rows += [("chance", {m: layer.measures[m].chance_interval for m in measures})]
    judge.note(f"{f'{name}, {layer.name}':28}" + "".join(f"{measure:>22}" for measure in measures))
    for label, values in rows:
        shown = "".join(f"{'' if v is None else f'{v.estimate:.4g}':>22}" for v in values.values())
        judge.note(f"{label:28}{shown}")
    for one in layer.baselines:
        if one.why_not:
            judge.note(f"{one.name}: left out, {one.why_not}")


def _saved(audit: gm.Audit, name: str, layer: gm.LayerAudit, place: Path) -> list[str]:
    """Make the controls of the first start again, and save their graphs; names of those that were made."""
    model, graph, found = audit.model, audit.graph, layer.metamer.graph
    variables = what_varies(VARY[name], graph)
    graphs = {"random_perturbation": equal_size(variables, found, generator_for("perturbation", 0))}
    if name == "features":
        view = ModelView(model)
        seen = observer(view, variables, layer.name, item_tolerance=1e-2, min_distance=0.1, pairs=10)
        with view.borrow():
            reader = layer_readers(view, graph, [layer.name])[layer.name]
        with reader.view.borrow():
            direction = FlatDirections(reader, seen.space, 1e-3).draw(generator_for("flat direction", 0))
        graphs["flat_step"] = stepped(variables, seen.space, found, direction)
    seed = int(torch.randint(2**62, (), generator=generator_for("untrained", 0)))
    fresh = untrained_copy(model, seed=seed)
    steps = max(start.steps for start in layer.starts)
    proposals = gm.Rewire(proposals=1000)
    solver = {"structure": proposals, "both": gm.InTurn(rewire=proposals)}.get(name, "auto")
    graphs["random_weights"] = gm.generate(
        fresh, graph, layer.name, vary=VARY[name], solver=solver, budget=gm.Budget(steps=steps)
    ).graph
    for control, made in graphs.items():
        folder = place / control
        folder.mkdir(parents=True)
        tensors = {part: made[part].contiguous().clone() for part in ("x", "edge_index")}
        save_file(tensors, folder / "graph.safetensors")
        (folder / "control.json").write_text(json.dumps({"layer": layer.name, "varies": name}))
    weights = {key: value.contiguous() for key, value in fresh.state_dict().items()}
    save_file(weights, place / "random_weights" / "model.safetensors")
    return list(graphs)


if __name__ == "__main__":
    main()
