from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from graph_metamers.report.labels import by_dataset, model_labels
from graph_metamers.report.pictures import first_of_each_class, heat_maps, picture_grid, unrelated_features
from graph_metamers.report.png import png
from graph_metamers.report.words import MOST_NODES, MOST_WORDS, word_changes


def decoded(file):
    """The grey values of a PNG, read by the letter of its specification."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    place, data, size = 8, b"", (0, 0)
    while place < len(file):
        length, name = struct.unpack(">I4s", file[place : place + 8])
        body = file[place + 8 : place + 8 + length]
        checksum = struct.unpack(">I", file[place + 8 + length : place + 12 + length])[0]
        assert checksum == zlib.crc32(name + body)
        if name == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if name == b"IDAT":
            data += body
        place += 12 + length
    width, height = size
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


def test_a_png_holds_its_pixels():
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)

    assert np.array_equal(decoded(png(pixels)), pixels)


def test_the_first_node_of_each_class_is_shown():
    assert first_of_each_class(torch.tensor([2, 0, 0, 1, 2])) == (1, 3, 0)


def test_unrelated_features_keep_each_features_values(word_audit):
    shuffled = unrelated_features(word_audit)

    assert torch.equal(shuffled.sort(dim=0).values, word_audit.graph.x.sort(dim=0).values)
    assert not torch.equal(shuffled, word_audit.graph.x)


def test_the_grid_has_the_reference_every_metamer_and_chance(image_audits):
    card, group = by_dataset(image_audits)[0]
    grid = picture_grid(card, group)

    assert len(grid.nodes) == 10
    assert [row.heading for row in grid.rows] == [
        "reference",
        *(layer.name for audit in image_audits for layer in audit.layers),
        "unrelated features (chance)",
    ]
    layer = image_audits[0].layers[0]
    captions = [picture.caption for picture in grid.rows[1].pictures]
    assert captions == [card.class_names[int(layer.predictions[node])] for node in grid.nodes]
    assert all(picture.alt for row in grid.rows for picture in row.pictures)
    assert heat_maps(card, group) is None


def test_features_that_are_no_image_are_heat_maps(numeric_audit):
    card, group = by_dataset([numeric_audit])[0]
    maps = heat_maps(card, group)

    assert len(maps.maps) == 2 + len(numeric_audit.layers)
    assert maps.num_columns == card.num_features
    assert picture_grid(card, group) is None
    assert word_changes(group[0][0], numeric_audit) is None


def test_words_lost_and_gained_are_counted_from_the_graphs(word_audit):
    changes = word_changes(model_labels([word_audit])[0], word_audit)
    before = word_audit.graph.x.bool()
    after = word_audit.layers[-1].metamer.graph.x.bool()
    sizes = [node.lost.total + node.gained.total for node in changes.nodes]

    assert 0 < len(changes.nodes) <= MOST_NODES
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == int((before ^ after).sum(dim=1).max())
    assert all(len(node.lost.shown) <= MOST_WORDS for node in changes.nodes)
    first = changes.nodes[0]
    gone = [word_audit.dataset.feature_names[i] for i in (before & ~after)[first.node].nonzero().flatten()]
    assert list(first.lost.shown) == gone[:MOST_WORDS]


@pytest.mark.parametrize("named", [True, False])
def test_words_without_names_are_called_by_their_column(word_audit, named):
    names = word_audit.dataset.feature_names if named else None
    audit = replace(word_audit, dataset=replace(word_audit.dataset, feature_names=names))
    changes = word_changes(model_labels([audit])[0], audit)
    shown = [word for node in changes.nodes for word in (*node.lost.shown, *node.gained.shown)]

    assert changes.named is named
    assert all(word.startswith("feature ") != named for word in shown)
