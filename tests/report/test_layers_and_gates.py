from __future__ import annotations

from dataclasses import replace

from scipy import stats

from graph_metamers.metrics import holm
from graph_metamers.report.cells import measure_cell
from graph_metamers.report.comparing import comparisons, shown_p
from graph_metamers.report.gates import GATES, evidence_section
from graph_metamers.report.labels import model_labels
from graph_metamers.report.layers import cross_table, layers_section
from graph_metamers.synthesis import Status


def labelled(audits):
    return list(zip(model_labels(audits), audits, strict=True))


def test_every_number_of_a_layer_has_an_interval_and_a_chance_level(image_audits):
    section = layers_section(image_audits)

    assert (section.starts, section.has_intervals) == ("3", True)
    (table,) = section.tables
    assert table.distances == ("Visible distance", "Null-space distance")
    for row in table.rows:
        assert (row.found, row.is_matched) == ("3 of 3 starts", True)
        for cell in (row.loss, *row.distances, row.passing, row.same):
            assert all((cell.value, cell.chance, cell.interval, cell.chance_interval))


def test_one_start_is_said_and_has_no_interval(numeric_audit):
    section = layers_section([numeric_audit])

    assert (section.starts, section.has_intervals) == ("1", False)
    assert section.tables[0].rows[0].distances[0].interval == ""
    assert section.comparisons == ()


def test_audits_with_other_numbers_of_starts_are_told_apart(numeric_audit, word_audit):
    section = layers_section([numeric_audit, word_audit])

    assert (section.starts, section.has_intervals) == ("1 to 3", True)


def test_only_matched_layers_of_one_name_are_compared(image_audits):
    first, second = image_audits
    renamed = tuple(replace(layer, name=f"other.{layer.name}") for layer in second.layers)
    assert comparisons(labelled([first, replace(second, layers=renamed)])) == ()
    failed = tuple(
        replace(layer, starts=(replace(layer.starts[0], status=Status.STALLED), *layer.starts[1:]))
        for layer in second.layers
    )
    assert comparisons(labelled([first, replace(second, layers=failed)])) == ()


def test_the_cross_layer_table_is_the_audits(image_audits):
    audit = image_audits[0]
    table = cross_table(model_labels(image_audits)[0], audit)

    assert table.layers == ("act.0", "output")
    assert [[cell.is_own for cell in cells] for _, cells in table.rows] == [[True, False], [False, True]]
    for layer, (_, cells) in zip(audit.layers, table.rows, strict=True):
        for other, cell in zip(table.layers, cells, strict=True):
            assert cell.loss == measure_cell(layer.elsewhere[other]["activation_loss"])
            assert 0 <= cell.strength <= 1


def test_models_are_compared_by_scipys_paired_test_with_holm(image_audits):
    found = comparisons(labelled(image_audits))
    first, second = image_audits
    p_values = []
    for one, other in zip(first.layers, second.layers, strict=True):
        a, b = (layer.measures["visible_distance"].values for layer in (one, other))
        p_values.append(stats.ttest_rel(a, b).pvalue)

    assert [(row.first[1], row.second[1]) for row in found] == [("act.0", "act.0"), ("output", "output")]
    assert [row.p_value for row in found] == [shown_p(float(p)) for p in holm(p_values)]


def test_models_of_different_data_or_starts_are_not_compared(image_audits):
    first, second = image_audits
    elsewhere = replace(second, dataset=replace(second.dataset, fingerprint="other"))
    assert comparisons(labelled([first, elsewhere])) == ()
    moved = tuple(
        replace(layer, starts=tuple(replace(start, seed=start.seed + 10) for start in layer.starts))
        for layer in second.layers
    )
    assert comparisons(labelled([first, replace(second, layers=moved)])) == ()


def test_the_gates_of_every_layer_are_in_one_table(image_audits):
    section = evidence_section(image_audits)

    assert len(section.figures) == len(section.gates) == 4
    for row in section.gates:
        assert len(row.cells) == len(GATES)
        assert all(cell.chance for cell in row.cells)
    names = {row.label for row in section.rows}
    assert "Spearman correlation" in names
    assert "Passes all gates" not in names  # it is in the table above


def test_the_page_says_how_the_intervals_are_meant(image_audits, numeric_audit):
    from graph_metamers.report.writing import render  # noqa: PLC0415 (slow to import)

    assert "95%\ninterval over the starts" in render(image_audits)
    assert "One start has no interval" in render([numeric_audit])
