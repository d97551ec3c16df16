"""Sets with ten published splits: WebKB, Actor, Chameleon, Minesweeper."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.datasets import Actor, HeterophilousGraphDataset, WebKB, WikipediaNetwork

from graph_metamers.datasets import list_datasets, load_dataset
from graph_metamers.datasets.geom_gcn import ACTOR, CORNELL, TEXAS, WISCONSIN
from graph_metamers.datasets.geom_gcn_files import needed_files
from graph_metamers.datasets.heterophilous import CHAMELEON, MINESWEEPER
from graph_metamers.errors import DatasetError, FileFormatError, ParameterError

TEXTS = {files.name: files for files in (TEXAS, WISCONSIN, CORNELL, ACTOR)}
ARRAYS = {files.name: files for files in (CHAMELEON, MINESWEEPER)}
SETS = TEXTS | ARRAYS
PARTS = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}
DATA = os.environ.get("GRAPH_METAMERS_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="set GRAPH_METAMERS_DATA to a folder with webkb/texas/raw and others"
)


def chameleon_of_pyg(root: Path) -> WikipediaNetwork:
    """Write the .npz as the text files that PyG's loader reads."""
    raw = root / "text" / "chameleon" / "geom_gcn" / "raw"
    raw.mkdir(parents=True)
    with np.load(Path(root, CHAMELEON.folder, CHAMELEON.file)) as arrays:
        nodes = zip(arrays["node_features"], arrays["node_labels"], strict=True)
        lines = [f"{number}\t{','.join(map(str, x))}\t{y}" for number, (x, y) in enumerate(nodes)]
        edges = [f"{source}\t{target}" for source, target in arrays["edges"]]
        for number in range(10):
            masks = {mask: arrays[f"{mask}s"][number] for mask in PARTS.values()}
            np.savez(raw / f"chameleon_split_0.6_0.2_{number}.npz", **masks)
    (raw / "out1_node_feature_label.txt").write_text("\n".join(["title", *lines, ""]))
    (raw / "out1_graph_edges.txt").write_text("\n".join(["title", *edges, ""]))
    return WikipediaNetwork(str(root / "text"), "chameleon")


LOADERS = {
    "texas": lambda root: WebKB(str(root / "webkb"), "Texas"),
    "wisconsin": lambda root: WebKB(str(root / "webkb"), "Wisconsin"),
    "cornell": lambda root: WebKB(str(root / "webkb"), "Cornell"),
    "actor": lambda root: Actor(str(root / "actor")),
    "chameleon": chameleon_of_pyg,
    "minesweeper": lambda root: HeterophilousGraphDataset(str(root / "heterophilous"), "Minesweeper"),
}


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_the_real_set_is_read_as_pyg_reads_it(tmp_path, name):
    folder = SETS[name].folder
    before = sorted(Path(DATA, folder).parent.rglob("*"))
    shutil.copytree(Path(DATA, folder), tmp_path / folder)
    original = LOADERS[name](tmp_path)[0]
    for split in (0, 4, 9):
        dataset = load_dataset(name, split=split)
        for part, mask in PARTS.items():
            assert torch.equal(getattr(dataset.split, part), original[mask][:, split].nonzero().view(-1))
        assert f"split {split} of 10" in dataset.split.description
        for attribute in ("x", "edge_index", "y"):
            assert torch.equal(dataset.graph[attribute], original[attribute])
            assert dataset.graph[attribute].dtype == original[attribute].dtype
    assert sorted(Path(DATA, folder).parent.rglob("*")) == before


@needs_data
def test_features_of_minesweeper_are_what_their_names_say():
    dataset = load_dataset("minesweeper")
    graph = dataset.graph
    source, target = graph.edge_index
    around = torch.zeros(graph.num_nodes, dtype=torch.int64).index_add(0, source, graph.y[target])
    for column, name in enumerate(dataset.feature_names):
        counts = set(around[graph.x[:, column] == 1].tolist())
        if name != "count hidden":
            expected = {5, 6, 7} if name == "5 or more mines around" else {int(name.split()[0])}
            assert counts == expected
    assert torch.equal(graph.x.sum(dim=1), torch.ones(graph.num_nodes))
    assert torch.bincount(graph.y).tolist() == [8000, 2000], "one cell in five is a mine"


@needs_data
def test_texas_and_cornell_share_their_nodes_as_their_notes_say():
    texas, cornell = load_dataset("texas"), load_dataset("cornell")
    assert torch.equal(texas.graph.x, cornell.graph.x)
    assert torch.equal(texas.graph.y, cornell.graph.y)
    assert texas.num_edges != cornell.num_edges
    assert all("same file" in dataset.notes[-1] for dataset in (texas, cornell))


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_a_split_out_of_range_is_refused_before_anything_is_read(tmp_path, info):
    for split in (info.num_splits, -1, True, 0.5):
        with pytest.raises(
            ParameterError, match=r"'split' parameter must be (an integer from 0 to 9|0), got"
        ) as caught:
            load_dataset(info.name, split=split, data_root=tmp_path)
        assert "has 10 splits" in str(caught.value) or "has one split" in str(caught.value)
    assert info.num_splits == (10 if info.name in SETS else 1)


def test_a_numpy_integer_is_a_split(tmp_path):
    write_texts(tmp_path)
    assert "split 3 of 10" in load_dataset("texas", split=np.int64(3), data_root=tmp_path).split.description


NUM_NODES = 9
NODES, EDGES, MASKS = "out1_node_feature_label.txt", "out1_graph_edges.txt", "texas_split_0.6_0.2_{}.npz"


def masks() -> dict[str, np.ndarray]:
    third = np.arange(NUM_NODES) // 3
    return {mask: (third == number).astype(np.uint8) for number, mask in enumerate(PARTS.values())}


def write_texts(root: Path, files=TEXAS) -> Path:
    raw = root / files.folder
    raw.mkdir(parents=True)
    nodes = range(NUM_NODES)
    features = {node: "0,7" if files.listed else f"{node % 2},0.5,-1e-3" for node in nodes}
    order = reversed(nodes) if files.listed else nodes
    lines = [f"{node}\t{features[node]}\t{node % 5}" for node in order]
    (raw / NODES).write_text("\n".join(["node_id\tfeature\tlabel", *lines, ""]))
    edges = [f"{node}\t{other}" for node in nodes for other in (node, 8 - node, 8 - node)]
    (raw / EDGES).write_text("\n".join(["node_id\tnode_id", *edges, ""]))
    for number in range(10):
        np.savez(raw / f"{files.published_name}_split_0.6_0.2_{number}.npz", **masks())
    return raw


def write_arrays(root: Path, changes: dict[str, object] | None = None, files=MINESWEEPER) -> Path:
    path = root / files.folder / files.file
    path.parent.mkdir(parents=True)
    nodes = np.arange(NUM_NODES)
    arrays = {
        "node_features": np.eye(7, dtype=np.float32)[nodes % 7],
        "node_labels": nodes % 2,
        "edges": np.stack([nodes, nodes[::-1]], axis=1),
        **{f"{mask}s": np.stack([values] * 10).astype(bool) for mask, values in masks().items()},
    }
    np.savez(path, **{name: value for name, value in (arrays | (changes or {})).items() if value is not None})
    return path


@pytest.mark.parametrize(("name", "loader"), [("texas", LOADERS["texas"]), ("actor", LOADERS["actor"])])
def test_small_text_files_are_read_as_pyg_reads_them(tmp_path, name, loader):
    write_texts(tmp_path, TEXTS[name])
    dataset = load_dataset(name, data_root=tmp_path)
    original = loader(tmp_path)[0]
    for attribute in ("x", "edge_index", "y"):
        assert torch.equal(dataset.graph[attribute], original[attribute])
    assert dataset.split.test.tolist() == [6, 7, 8]


@pytest.mark.parametrize("name", ARRAYS)
def test_small_arrays_are_read(tmp_path, name):
    features = np.eye(7, dtype=np.uint8)[np.arange(NUM_NODES) % 7]
    write_arrays(tmp_path, {"node_features": features}, ARRAYS[name])
    dataset = load_dataset(name, data_root=tmp_path)
    assert dataset.graph.x.dtype == torch.float32
    assert dataset.graph.is_undirected()
    assert dataset.feature_kind == "binary"


TEXT_LIES = {
    "nodes empty": (NODES, b""),
    "nodes titles only": (NODES, b"title\n"),
    "nodes binary": (NODES, b"title\n\xff\xfe\n"),
    "nodes columns": (NODES, b"title\n0\t1,0\n"),
    "nodes text": (NODES, b"title\n0\t1,a\t1\n"),
    "nodes NaN": (NODES, b"title\n0\tnan\t1\n"),
    "nodes ragged": (NODES, b"title\n0\t1\t1\n1\t1,0\t1\n"),
    "nodes twice": (NODES, b"title\n0\t1\t1\n0\t1\t1\n"),
    "nodes numbers": (NODES, b"title\n5\t1\t1\n"),
    "nodes class": (NODES, b"title\n0\t1\t5\n"),
    "nodes class huge": (NODES, b"title\n0\t1\t99999999999999999999999\n"),
    "nodes fewer": (NODES, b"title\n0\t1\t1\n1\t1\t1\n"),
    "edges negative": (EDGES, b"title\n0\t-1\n"),
    "edges large": (EDGES, b"title\n0\t9\n"),
    "edges none": (EDGES, b"title\n"),
    "split cut off": (MASKS.format(0), b"PK\x03\x04"),
}


@pytest.mark.parametrize(("file", "content"), TEXT_LIES.values(), ids=TEXT_LIES)
def test_text_files_that_lie_are_refused_in_one_line(tmp_path, file, content):
    raw = write_texts(tmp_path)
    (raw / file).write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        load_dataset("texas", data_root=tmp_path)
    assert str(raw) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", [b"0\t\t1", b"0\t-1\t1", b"0\t99999999999999\t1", b"0\ta\t1"])
def test_lists_of_features_that_lie_are_refused(tmp_path, line):
    raw = write_texts(tmp_path, ACTOR)
    (raw / NODES).write_bytes(b"title\n" + line + b"\n")
    with pytest.raises(FileFormatError, match="damaged"):
        load_dataset("actor", data_root=tmp_path)


MASK_LIES = {
    "short": {"train_mask": np.ones(3, dtype=bool)},
    "empty": {"test_mask": np.zeros(NUM_NODES, dtype=bool)},
    "overlapping": {"val_mask": np.ones(NUM_NODES, dtype=bool)},
    "numbers": {"val_mask": np.arange(NUM_NODES)},
    "text": {"val_mask": np.full(NUM_NODES, "1")},
}


@pytest.mark.parametrize("lie", MASK_LIES.values(), ids=MASK_LIES)
def test_masks_that_lie_are_refused(tmp_path, lie):
    raw = write_texts(tmp_path)
    np.savez(raw / MASKS.format(4), **(masks() | lie))
    load_dataset("texas", split=3, data_root=tmp_path)
    with pytest.raises(FileFormatError, match=r"split_0\.6_0\.2_4\.npz is damaged"):
        load_dataset("texas", split=4, data_root=tmp_path)


ARRAY_LIES = {
    "no masks": {"val_masks": None},
    "one mask": {"val_masks": np.ones((1, NUM_NODES), dtype=bool)},
    "overlapping": {"val_masks": np.ones((10, NUM_NODES), dtype=bool)},
    "features 1-D": {"node_features": np.ones(NUM_NODES)},
    "features too few": {"node_features": np.ones((NUM_NODES, 6))},
    "features text": {"node_features": np.full((NUM_NODES, 7), "a")},
    "features NaN": {"node_features": np.full((NUM_NODES, 7), np.nan)},
    "labels short": {"node_labels": np.zeros(3, dtype=int)},
    "labels large": {"node_labels": np.arange(NUM_NODES)},
    "labels float": {"node_labels": np.zeros(NUM_NODES)},
    "edges transposed": {"edges": np.zeros((2, 5), dtype=int)},
    "edges large": {"edges": np.full((5, 2), NUM_NODES)},
    "edges negative": {"edges": np.full((5, 2), -1)},
    "edges none": {"edges": np.zeros((0, 2), dtype=int)},
    "objects": {"edges": np.array([[len, len]], dtype=object)},
}


@pytest.mark.parametrize("lie", ARRAY_LIES.values(), ids=ARRAY_LIES)
def test_arrays_that_lie_are_refused_in_one_line(tmp_path, lie):
    path = write_arrays(tmp_path, lie)
    with pytest.raises(FileFormatError) as caught:
        load_dataset("minesweeper", data_root=tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def no_network(monkeypatch, socket_enabled):
    """Point every download at a port where nobody listens."""
    for name in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", SETS)
def test_without_a_network_the_error_names_the_files_that_would_do(tmp_path, no_network, name):
    files = SETS[name]
    needed = [NODES, EDGES, "_split_0.6_0.2_2.npz"] if name in TEXTS else [files.file]
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, split=2, data_root=tmp_path)
    message = str(caught.value)
    assert str(tmp_path / files.folder) in message
    assert all(file in message for file in needed)
    assert "--data-root" in message
    assert not list(tmp_path.iterdir())


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder in place of the real servers: the downloader takes file:// too, which needs no network."""
    folder = tmp_path / "server"
    folder.mkdir()
    for loader in (WebKB, HeterophilousGraphDataset):
        monkeypatch.setattr(loader, "url", folder.as_uri())
    return folder


@needs_data
def test_missing_text_files_are_downloaded(tmp_path, server):
    raw = Path(DATA, TEXAS.folder)
    shutil.copytree(raw, server / "new_data" / "texas")
    shutil.copytree(raw, server / "splits")
    downloaded = load_dataset("texas", split=7, data_root=tmp_path)
    assert downloaded.fingerprint == load_dataset("texas", split=7).fingerprint
    written = {path.name for path in (tmp_path / TEXAS.folder).iterdir()}
    assert written == {NODES, EDGES, MASKS.format(7)}, "only what is needed"


@needs_data
@pytest.mark.parametrize("files", TEXTS.values(), ids=TEXTS)
def test_checksums_are_those_of_the_real_files(files):
    for split in range(10):
        for file in needed_files(files.published_name, WebKB.url, split):
            content = Path(DATA, files.folder, file.name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file.sha256
    assert WebKB.url == Actor.url


@needs_data
def test_a_missing_array_file_is_downloaded(tmp_path, server):
    shutil.copy(Path(DATA, MINESWEEPER.folder, MINESWEEPER.file), server)
    assert (
        load_dataset("minesweeper", data_root=tmp_path).fingerprint == load_dataset("minesweeper").fingerprint
    )


@pytest.mark.parametrize("name", ARRAYS)
def test_a_download_that_is_not_the_published_file_is_refused(tmp_path, server, name):
    (server / ARRAYS[name].file).write_bytes(b"something else")
    with pytest.raises(FileFormatError, match="another file than the published one"):
        load_dataset(name, data_root=tmp_path)
    assert not (tmp_path / ARRAYS[name].folder).exists()
