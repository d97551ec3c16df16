from __future__ import annotations

import csv
import html
import math

import numpy as np
import pytest
from scipy import stats

import graph_metamers as gm
from graph_metamers.errors import ParameterError
from graph_metamers.metrics.comparisons import holm
from graph_metamers.report.study_figures import question_plots
from graph_metamers.report.study_tables import comparison_rows, level_rows
from graph_metamers.report.study_writing import write_study_report
from graph_metamers.study.answers import answers_of, leaderboard
from graph_metamers.study.cells import cells_of
from graph_metamers.study.table import read_parquet

USUAL = {
    "kind": "metamer", "dataset": "karate", "split": 0, "model": "gcn", "num_layers": 2,
    "hidden_channels": 16, "activation": "relu", "residual": False, "perturbation": "none", "drop_edge": 0.0,
    "label_propagation": "none", "weights": "trained", "layer": "act.0", "depth": 1, "vary": "features",
    "feature_kind": "own", "solver": "auto", "seed": 0, "search_seed": 0, "run_id": "0",
    "model_run_id": "m", "data_fingerprint": "f", "error": None, "num_parameters": 100,
    "test_accuracy": 0.8, "at_chance": False, "is_metamer": True, "passing_share": 0.5,
    "visible_distance": 1.0, "prediction_agreement": 0.9, "activation_loss": 1e-4,
}  # fmt: skip
PGD, RANDOM = "pgd features l2 0.5", "random features l2 0.5"


def rows(levels, seeds=4, searches=1, **settings):
    """Rows with noise over seeds; each level is {setting: value, ..., "at": mean share}."""
    generator = np.random.default_rng(0)
    return [
        USUAL
        | settings
        | {name: value for name, value in level.items() if name != "at"}
        | {"seed": seed, "search_seed": search, "test_accuracy": 0.8 + 0.01 * seed}
        | {"passing_share": level["at"] + 0.05 * generator.standard_normal()}
        for level in levels
        for seed in range(seeds)
        for search in range(searches)
    ]


ACTIVATIONS = [{"activation": "relu", "at": 0.6}, {"activation": "elu", "at": 0.4}]


def shares(found, **settings):
    """Training seed -> mean share, by hand."""
    chosen = [row for row in found if all(row[name] == value for name, value in settings.items())]
    seeds = sorted({row["seed"] for row in chosen})
    return [np.mean([row["passing_share"] for row in chosen if row["seed"] == seed]) for seed in seeds]


@pytest.mark.parametrize(("seeds", "test"), [(4, "t"), (8, "wilcoxon")])
def test_comparisons_are_those_of_scipy(seeds, test):
    found = rows(ACTIVATIONS, seeds=seeds, searches=2)
    (answer,) = answers_of(cells_of(found))
    assert answer.question.id == "activation"
    assert answer.levels == ("relu", "elu")
    (row,) = comparison_rows([answer])
    elu, relu = (shares(found, activation=name) for name in ("elu", "relu"))
    expected = stats.ttest_rel(elu, relu) if test == "t" else stats.wilcoxon(elu, relu)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["difference"] == pytest.approx(np.mean(elu) - np.mean(relu))
    difference = np.subtract(elu, relu)
    assert row["cohens_d_z"] == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert (row["level"], row["baseline"], row["num_pairs"]) == ("elu", "relu", seeds)
    if test == "t":
        ends = stats.t.interval(0.95, seeds - 1, difference.mean(), stats.sem(difference))
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(ends)
    assert row["accuracy_difference"] == pytest.approx(0)


@pytest.mark.parametrize("seeds", [1, 2, 5, 8])
def test_intervals(seeds):
    found = rows([ACTIVATIONS[0]], seeds=seeds)
    (cell,) = cells_of(found)
    interval, values = cell.interval("passing_share"), shares(found)
    assert interval.estimate == pytest.approx(np.mean(values))
    if seeds == 1:
        assert math.isnan(interval.low)
    else:
        low, high = stats.t.interval(0.95, seeds - 1, np.mean(values), stats.sem(values))
        assert (interval.low, interval.high) == pytest.approx((max(0, low), min(1, high)))


def test_searches_of_one_model_are_not_models():
    found = rows([ACTIVATIONS[0]], seeds=6, searches=4)
    (cell,) = cells_of(found)
    assert (cell.num_searches, len(cell.seeds)) == (24, 6)
    assert cell.interval("passing_share").method.startswith("two-level percentile, shared columns")
    assert list(cell.by_seed("passing_share").values()) == pytest.approx(shares(found))
    # With few seeds the bootstrap is too narrow, whatever the searches say.
    (few,) = cells_of(rows([ACTIVATIONS[0]], seeds=4, searches=4))
    values = list(few.by_seed("passing_share").values())
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    interval = few.interval("passing_share")
    assert interval.low <= max(0, low)
    assert interval.high >= min(1, high)


def test_a_search_that_failed_is_left_out_of_both_sides():
    found = rows(ACTIVATIONS, seeds=4, searches=2)
    lost = next(row for row in found if (row["activation"], row["seed"], row["search_seed"]) == ("elu", 0, 1))
    other = next(
        row for row in found if (row["activation"], row["seed"], row["search_seed"]) == ("relu", 0, 1)
    )
    lost["error"] = "RunFailedError: x"
    (row,) = comparison_rows(answers_of(cells_of(found)))
    both = [row for row in found if row is not lost and row is not other]
    elu, relu = (shares(both, activation=name) for name in ("elu", "relu"))
    assert row["difference"] == pytest.approx(np.mean(elu) - np.mean(relu))
    assert row["num_pairs"] == 4


def test_adversarial_training_is_compared_with_its_control_too():
    levels = [
        {"perturbation": "none", "at": 0.6},
        {"perturbation": PGD, "at": 0.3},
        {"perturbation": RANDOM, "at": 0.5},
    ]
    found = rows(levels)
    (answer,) = answers_of(cells_of(found))
    table = comparison_rows([answer])
    assert [(row["level"], row["baseline"]) for row in table] == [
        (PGD, "none"),
        (RANDOM, "none"),
        (PGD, RANDOM),
    ]
    assert [row["p_holm"] for row in table] == pytest.approx(holm([row["p"] for row in table]).tolist())


def test_only_the_questions_setting_differs_in_a_comparison():
    found = rows(ACTIVATIONS, layer="act.0") + rows(ACTIVATIONS, layer="output", depth=2)
    found += rows([{"activation": "elu", "at": 0.1}], dataset="digits")
    (answer,) = answers_of(cells_of(found))
    assert len(answer.groups) == 2
    assert {comparison.context["layer"] for comparison in answer.comparisons} == {"act.0", "output"}
    assert {comparison.context["dataset"] for comparison in answer.comparisons} == {"karate"}


def test_combinations_and_weights():
    levels = [
        {"activation": activation, "residual": residual, "at": 0.5}
        for activation in ("relu", "elu")
        for residual in (False, True)
    ]
    found = rows(levels) + rows([{"weights": "random", "at": 0.9}])
    answers = {answer.question.id: answer for answer in answers_of(cells_of(found))}
    assert set(answers) == {"activation", "residual", "combinations", "weights"}
    assert answers["combinations"].levels == ("relu", "relu + residual", "elu", "elu + residual")
    found = {(one.level, one.baseline) for one in answers["combinations"].comparisons}
    assert found == {
        ("relu + residual", "relu"),
        ("elu", "relu"),
        ("elu + residual", "relu"),
        ("elu + residual", "elu"),  # its parts
        ("elu + residual", "relu + residual"),
    }
    assert answers["weights"].levels == ("trained", "random")
    assert len(answers["activation"].groups) == 2  # plain and residual, of trained models alone


def test_longer_ascents_are_a_level_of_their_own_with_the_same_control():
    levels = [{"perturbation": label, "at": 0.5} for label in (PGD, f"{PGD} 20 steps", RANDOM)]
    (answer,) = answers_of(cells_of(rows(levels)))
    assert len(answer.levels) == 3
    pairs = {(one.level, one.baseline) for one in answer.comparisons}
    assert {(PGD, RANDOM), (f"{PGD} 20 steps", RANDOM)} <= pairs


def test_models_of_different_depth_are_compared_where_their_layers_are():
    found = rows([{"num_layers": 2, "at": 0.5}]) + rows(
        [{"num_layers": 2, "at": 0.6}], layer="output", depth=2
    )
    for layer, depth in (("act.0", 1), ("act.2", 3), ("output", 4)):
        found += rows([{"num_layers": 4, "at": 0.3}], layer=layer, depth=depth)
    (answer,) = answers_of(cells_of(found))
    assert (answer.question.id, answer.levels) == ("depth", ("2 layers", "4 layers"))
    places = {comparison.context["layer"]: comparison for comparison in answer.comparisons}
    assert set(places) == {"first hidden layer", "last hidden layer", "output"}
    last, first = (shares(found, num_layers=n, layer=name) for n, name in ((4, "act.2"), (2, "act.0")))
    assert places["last hidden layer"].invariance.difference.estimate == pytest.approx(
        np.mean(last) - np.mean(first)
    )


def test_excess_is_compared_where_an_oracle_knows_it(tmp_path):
    known = rows([level | {"excess": 0.9 if level["activation"] == "relu" else 0.4} for level in ACTIVATIONS])
    unknown = rows(ACTIVATIONS, dataset="digits")
    answers = answers_of(cells_of(known + unknown))
    by_dataset = {row["dataset"]: row for row in comparison_rows(answers)}
    assert by_dataset["karate"]["excess_difference"] == pytest.approx(-0.5)
    assert by_dataset["digits"]["excess_difference"] is None
    assert by_dataset["digits"]["excess_p_holm"] is None
    drawn = {(row["dataset"], row["measure"]) for row in level_rows(answers)}
    assert ("karate", "excess") in drawn
    assert ("digits", "excess") not in drawn
    page = write_study_report(known + unknown, tmp_path)[0].read_text(encoding="utf-8")
    assert "<td>-0.50 [-0.50, -0.50]</td>" in page
    # A search with which nothing matched says nothing: 0/0 is not 0.
    for missing in (math.nan, None):
        known[0]["excess"] = missing
        (answer,) = answers_of(cells_of(known))
        assert all(row["excess_difference"] is None for row in comparison_rows([answer]))


def test_a_model_without_an_activation_function_stands_beside_relu():
    levels = [{"model": "gcn", "at": 0.5}, {"model": "sgc", "activation": "identity", "at": 0.4}]
    answers = {a.question.id: a for a in answers_of(cells_of(rows(levels, layer="output")))}
    assert answers["architecture"].levels == ("gcn", "sgc")


def test_one_seed_tests_nothing():
    (answer,) = answers_of(cells_of(rows(ACTIVATIONS, seeds=1)))
    assert answer.comparisons == ()
    assert all(math.isnan(row["low"]) for row in level_rows([answer]))


def test_the_leaderboard_has_several_axes():
    levels = [{"model": "gcn", "at": 0.6}, {"model": "sage", "at": 0.2}]
    found = rows(levels) + rows(levels, layer="output", depth=2)
    for row in found:
        row["test_accuracy"] = 0.9 if row["model"] == "sage" else 0.7
    first, second = leaderboard(cells_of(found))
    assert (first["model"], second["model"]) == ("sage", "gcn")
    assert (first["first_layer"], first["last_layer"]) == ("act.0", "output")
    last = shares(found, model="sage", layer="output")
    assert first["last_passing_share"] == pytest.approx(np.mean(last))
    assert first["last_excess"] is None
    for row in found:
        row["excess"] = 0.25 if row["model"] == "sage" else 0.5
    first, second = leaderboard(cells_of(found))
    assert (first["last_excess"], second["first_excess"]) == (0.25, 0.5)
    # Another solver, or other features, are another row.
    board = leaderboard(
        cells_of(found + rows(levels, solver="adam") + rows(levels, feature_kind="continuous"))
    )
    assert len(board) == 6


def test_p_values_are_corrected_for_each_measure_and_parameters_are_told():
    levels = [{"activation": name, "at": at} for name, at in (("relu", 0.6), ("elu", 0.5), ("tanh", 0.4))]
    found = rows(levels)
    generator = np.random.default_rng(1)
    for row in found:
        row["excess"] = 0.5 + 0.1 * generator.standard_normal()
        row["num_parameters"] = 110 if row["activation"] == "elu" else 100
    table = comparison_rows(answers_of(cells_of(found)))
    raw = [row["excess_p"] for row in table]
    assert [row["excess_p_holm"] for row in table] == pytest.approx(holm(raw).tolist())
    assert raw != pytest.approx([row["excess_p_holm"] for row in table])
    assert [row["num_parameters"] for row in table] == [110, 100]
    assert {row["num_parameters_of_baseline"] for row in table} == {100}


def test_accuracy_is_one_comparison_whatever_the_layers():
    generator = np.random.default_rng(2)
    levels = [{"activation": name, "at": 0.5} for name in ("relu", "elu", "tanh")]
    found = rows(levels) + rows(levels, layer="output", depth=2)
    accuracies = {}
    for row in found:
        key = (row["activation"], row["seed"])
        row["test_accuracy"] = accuracies.setdefault(key, 0.8 + 0.02 * generator.standard_normal())
    table = comparison_rows(answers_of(cells_of(found)))
    assert len(table) == 4
    one_layer = [row for row in table if row["layer"] == "act.0"]
    expected = holm([row["accuracy_p"] for row in one_layer]).tolist()
    for layer in ("act.0", "output"):
        told = [row["accuracy_p_holm"] for row in table if row["layer"] == layer]
        assert told == pytest.approx(expected)
    assert expected != pytest.approx([row["accuracy_p"] for row in one_layer])


def test_combinations_with_dropped_edges_are_compared_with_their_parts():
    levels = [
        {"drop_edge": share, "residual": residual, "at": 0.5} for share in (0.0, 0.2) for residual in (0, 1)
    ]
    found = rows([level | {"residual": bool(level["residual"])} for level in levels])
    answers = {answer.question.id: answer for answer in answers_of(cells_of(found))}
    pairs = {(one.level, one.baseline) for one in answers["combinations"].comparisons}
    assert ("relu + residual + drop edge 0.2", "relu + drop edge 0.2") in pairs


def test_the_page_says_what_is_missing(tmp_path):
    found = rows(ACTIVATIONS)
    page = write_study_report(found, tmp_path, num_planned=len(found) + 3)[0].read_text(encoding="utf-8")
    assert "3 runs have no result yet" in page
    assert "study report ... --audit mine" in page


def test_the_page_and_its_tables(tmp_path):
    levels = [*ACTIVATIONS, {"activation": "<b>tanh</b>", "at": 0.5}]
    found = [USUAL | {"kind": "model", "error": None}, *rows(levels)]
    found.append(USUAL | {"error": "RunFailedError: x"})
    files = write_study_report(found, tmp_path / "out", name="A & B", description="words")
    assert [path.name for path in files] == [
        "study.html",
        *(
            f"{stem}.{kind}"
            for stem in ("runs", "comparisons", "levels", "leaderboard")
            for kind in ("csv", "tex", "parquet")
        ),
    ]
    assert all(path.is_file() for path in files)
    page = files[0].read_text(encoding="utf-8")
    assert "<h1>Study: A &amp; B</h1>" in page
    assert "default-src 'none'" in html.unescape(page)
    assert 'data-plot="plot-activation-karate-features-passing_share"' in page
    assert 'data-plot="plot-activation-karate-features-test_accuracy"' in page
    assert "1 runs failed" in page
    assert "<b>tanh" not in page
    assert len(page) < 8_000_000
    with (tmp_path / "out" / "comparisons.csv").open() as file:
        from_csv = list(csv.DictReader(file))
    from_parquet = read_parquet(tmp_path / "out" / "comparisons.parquet")
    assert len(from_csv) == len(from_parquet) == 2
    assert [float(row["p"]) for row in from_csv] == [row["p"] for row in from_parquet]
    latex = (tmp_path / "out" / "comparisons.tex").read_text()
    assert latex.count(r"\\") == 1 + len(from_csv)


def test_there_has_to_be_a_search(tmp_path):
    with pytest.raises(ParameterError, match="a finished search"):
        write_study_report([USUAL | {"kind": "model"}], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_ones_own_is_entered_by_an_audit(tmp_path, karate, edge_audit):
    search = edge_audit.config["search"]
    same = {
        "data_fingerprint": karate.fingerprint, "vary": "structure", "solver": "rewire",
        "tolerance": search["tolerance"], "min_distance": search["min_distance"],
    }  # fmt: skip
    found = rows([{"num_layers": 2, "at": 0.5}], **same)
    page = write_study_report(found, tmp_path / "out", audits=[edge_audit])[0].read_text(encoding="utf-8")
    assert "GCN, from an audit" in page
    entry = next(row for row in read_parquet(tmp_path / "out/leaderboard.parquet") if row["num_seeds"] == 1)
    for place, layer in (("first", edge_audit.layers[0]), ("last", edge_audit.layers[-1])):
        share = layer.measures["passing_share"].interval
        assert entry[f"{place}_layer"] == layer.name
        assert entry[f"{place}_passing_share_low"] == pytest.approx(share.low)
    assert entry["test_accuracy"] == edge_audit.scores.test.accuracy
    for other, message in (
        ({"data_fingerprint": "0"}, "made on data sets and splits of the study"),
        ({"tolerance": 0.5}, "tolerance and min_distance of the study"),
        ({"vary": "features"}, "what varies, tolerance and min_distance"),
    ):
        with pytest.raises(ParameterError, match=message):
            write_study_report(rows([{"at": 0.5}], **same | other), tmp_path / "other", audits=[edge_audit])
    assert not (tmp_path / "other").exists()


def test_what_an_audit_and_a_study_let_features_be_is_the_same(tmp_path, karate, karate_model, both_audit):
    def made(**options):
        return gm.audit(
            karate_model,
            karate,
            layers=["act.0"],
            num_starts=1,
            num_untrained=0,
            budget=gm.Budget(5),
            **options,
        )

    def report(audit, kind):
        search = audit.config["search"]
        same = {name: search[name] for name in ("tolerance", "min_distance")}
        found = rows([{"at": 0.5}], data_fingerprint=karate.fingerprint, feature_kind=kind, **same)
        return write_study_report(found, tmp_path, audits=[audit])

    words, numbers = made(), made(vary=gm.Features(kind="continuous"))
    assert report(words, "own")
    assert report(numbers, "continuous")
    for audit, kind, message in (
        (words, "continuous", "any numbers"),
        (numbers, "own", "words that stay words"),
        (both_audit, "own", "what varies"),  # a study varies one of them
    ):
        with pytest.raises(ParameterError, match=message):
            report(audit, kind)


def test_a_figure_has_the_levels_of_its_own_data_set():
    flips = PGD.replace("l2 0.5", "flips 2")
    found = rows([{"perturbation": label, "at": 0.5} for label in ("none", PGD)])
    found += rows([{"perturbation": label, "at": 0.5} for label in ("none", flips)], dataset="digits")
    (answer,) = answers_of(cells_of(found))
    assert len(answer.levels) == 3
    for figure in question_plots(answer):
        drawn = str(figure)
        assert ("flips" in drawn) == ("digits" in figure.id)
        assert ("l2" in drawn) == ("karate" in figure.id)
