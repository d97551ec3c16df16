from __future__ import annotations

import math
import re

import networkx as nx
import pytest
import torch

from graph_metamers.datasets import load_dataset
from graph_metamers.errors import DatasetError, FileFormatError

NUM_NODES = 12


def ring(*, directed: bool = False) -> nx.Graph:
    graph = nx.cycle_graph(NUM_NODES, create_using=nx.DiGraph if directed else nx.Graph)
    for node, attributes in graph.nodes(data=True):
        attributes |= {f"x{column}": float(node * column) for column in (2, 10, 0)}
        attributes["y"] = node % 3
    return graph


def save(tmp_path, graph, **options):
    path = tmp_path / "mine.graphml"
    nx.write_graphml(graph, path, **options)
    return path


def test_numbered_attributes_are_features_in_the_order_of_their_numbers(tmp_path):
    dataset = load_dataset(save(tmp_path, ring()))
    nodes = torch.arange(NUM_NODES)
    assert dataset.feature_names == ("x0", "x2", "x10")
    assert torch.equal(dataset.graph.x, torch.stack([nodes * 0, nodes * 2, nodes * 10], dim=1).float())
    assert torch.equal(dataset.graph.y, nodes % 3)
    assert dataset.class_names == ("class 0", "class 1", "class 2")
    assert (dataset.name, dataset.source) == ("mine", "own file mine.graphml")
    assert dataset.feature_kind == "continuous"


def test_an_edge_without_direction_becomes_two(tmp_path):
    graph = ring()
    graph.add_edge(0, 0)
    dataset = load_dataset(save(tmp_path, graph))
    found = sorted(map(tuple, dataset.graph.edge_index.t().tolist()))
    assert found == sorted({(a, b) for edge in graph.edges for a, b in (edge, edge[::-1])})


def test_a_directed_edge_stays_one(tmp_path):
    graph = ring(directed=True)
    dataset = load_dataset(save(tmp_path, graph))
    assert dataset.graph.edge_index.t().tolist() == [list(edge) for edge in graph.edges]


def test_parallel_edges_stay(tmp_path):
    graph = nx.MultiDiGraph(ring(directed=True))
    graph.add_edge(3, 4)
    assert load_dataset(save(tmp_path, graph)).num_edges == NUM_NODES + 1


def test_other_numbers_are_features_in_the_order_of_their_names(tmp_path):
    graph = ring()
    for node, attributes in graph.nodes(data=True):
        attributes.clear()
        attributes |= {
            "size": node,
            "age": node / 2,
            "member": node > 5,
            "name": f"n{node}",
            "label": "ab"[node % 2],
        }
    dataset = load_dataset(save(tmp_path, graph))
    assert dataset.feature_names == ("age", "member", "size")
    assert dataset.class_names == ("a", "b")
    assert dataset.graph.x[7].tolist() == [3.5, 1.0, 7.0]
    assert dataset.graph.y[:3].tolist() == [0, 1, 0]
    assert dataset.notes == (
        "Left out of the graph: name of nodes.",
        "The features were float64 and are used as float32.",
    )


def test_weights_and_masks_are_read(tmp_path):
    graph = ring()
    for node, attributes in graph.nodes(data=True):
        attributes |= {"train_mask": node < 4, "val_mask": 4 <= node < 8, "test_mask": node >= 8}
    for a, b, attributes in graph.edges(data=True):
        attributes |= {"weight": a + b / 16, "kind": "road"}
    dataset = load_dataset(save(tmp_path, graph))
    source, target = dataset.graph.edge_index
    low, high = torch.minimum(source, target), torch.maximum(source, target)
    assert torch.equal(dataset.graph.edge_weight, low + high / 16)
    assert dataset.split.test.tolist() == [8, 9, 10, 11]
    assert dataset.notes[0] == "Left out of the graph: kind of edges."


def test_defaults_that_the_file_declares_are_used(tmp_path):
    graph = ring()
    del graph.nodes[5]["x2"]
    path = save(tmp_path, graph)
    text = path.read_text()
    key = re.search(r'<key id="\w+" for="node" attr.name="x2" attr.type="double"', text).group()
    path.write_text(text.replace(f"{key} />", f"{key}><default>7</default></key>"))
    assert load_dataset(path).graph.x[5, 1] == 7


def changed(node: int, **attributes: object) -> nx.Graph:
    graph = ring()
    graph.nodes[node].update(attributes)
    return graph


def without(*names: str, nodes=range(NUM_NODES)) -> nx.Graph:
    graph = ring()
    for node in nodes:
        for name in names:
            graph.nodes[node].pop(name, None)
    return graph


def weighted(*edges: tuple[int, int], value: object = 1.0) -> nx.Graph:
    graph = ring()
    for edge in edges:
        graph.edges[edge]["weight"] = value
    return graph


DEFECTS = {
    "no features": (without("x0", "x2", "x10"), "no node attribute is a feature.*got y"),
    "no class": (without("y"), "no node attribute is the class"),
    "one without a feature": (without("x2", nodes=[5]), "node '5' has no attribute 'x2'"),
    "one without a class": (without("y", nodes=[5]), "node '5' has no attribute 'y'"),
    "NaN": (changed(4, x2=math.nan), "'x' must be finite.*node 4, feature 1"),
    "class negative": (changed(4, y=-1), "'y' must be not negative"),
    "class mixed": (changed(4, y="a"), "no number that fits"),
    "feature huge": (changed(4, x2=10**400), "no number that fits"),
    "class float": (changed(4, y=0.5), "'y' must be integers"),
    "class huge": (changed(4, y=10**30), "fits in 64 bits"),
    "some weights": (weighted((0, 1)), "an edge has no 'weight'"),
    "text weights": (weighted(*ring().edges, value="a"), "an edge has no 'weight', or it is text"),
    "no nodes": (nx.Graph(), "no node attribute is a feature.*got none"),
}


@pytest.mark.parametrize(("graph", "message"), DEFECTS.values(), ids=DEFECTS)
def test_each_defect_has_one_clear_error(tmp_path, graph, message):
    path = save(tmp_path, graph)
    with pytest.raises((DatasetError, FileFormatError), match=message) as caught:
        load_dataset(path)
    assert "mine.graphml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_numbered_attribute_of_text_is_refused(tmp_path):
    graph = ring()
    for node in graph:
        graph.nodes[node]["x1"] = "much"
    with pytest.raises(DatasetError, match="'x1' is text, not numbers"):
        load_dataset(save(tmp_path, graph))


LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE graphml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed">&b;</graph></graphml>"""
EXTERNAL = (
    '<!DOCTYPE graphml SYSTEM "file:///etc/hostname">\n<graphml><graph edgedefault="directed"/></graphml>'
)


@pytest.mark.parametrize("text", [LAUGHS, EXTERNAL, LAUGHS.replace("<!DOCTYPE", "<!-- c --><!DOCTYPE")])
def test_a_dtd_is_refused(tmp_path, text):
    path = tmp_path / "g.graphml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match="DTD") as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037"])
def test_no_encoding_hides_a_dtd(tmp_path, encoding):
    path = tmp_path / "g.graphml"
    path.write_bytes(LAUGHS.replace("?>", f' encoding="{encoding}"?>', 1).encode(encoding))
    with pytest.raises(FileFormatError, match=r"UTF-8|DTD|well-formed"):
        load_dataset(path)


def test_a_declared_encoding_cannot_change_what_is_read(tmp_path):
    """A body in another encoding than the declaration: a parser that switched would see the DTD."""
    head = '<?xml version="1.0" encoding="cp037"?>'
    path = tmp_path / "g.graphml"
    path.write_bytes(head.encode() + LAUGHS.split("?>", 1)[1].encode("cp037"))
    with pytest.raises(FileFormatError, match=r"UTF-8|well-formed"):
        load_dataset(path)


def test_words_like_those_of_a_dtd_are_harmless_as_text(tmp_path):
    graph = ring()
    for node in graph:
        graph.nodes[node]["remark"] = "<!DOCTYPE x> <!ENTITY y>"
    assert load_dataset(save(tmp_path, graph)).num_nodes == NUM_NODES


GRAPHML = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{}</graphml>'
ONE = '<graph edgedefault="directed">{}</graph>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not well-formed XML"),
        ("not XML", "not well-formed XML"),
        ("<html/>", "holds 0 graphs"),
        (GRAPHML.format(""), "holds 0 graphs"),
        (GRAPHML.format(ONE.format("") * 2), "holds 2 graphs"),
        (GRAPHML.format(ONE.format(f'<node id="a">{ONE.format("")}</node>')), "holds 2 graphs"),
        (GRAPHML.format(ONE.format("<hyperedge/>")), "not a readable GraphML"),
        (GRAPHML.format(ONE.format("<node/>")), "not a readable GraphML|no node attribute"),
        (GRAPHML.format(ONE.format('<node id="a"><data key="d9">1</data></node>')), "not a readable GraphML"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "g.graphml"
    path.write_text(text)
    with pytest.raises((DatasetError, FileFormatError), match=message) as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


def test_a_file_cut_off_is_refused(tmp_path):
    path = save(tmp_path, ring())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError, match="not well-formed"):
        load_dataset(path)


def test_files_with_a_byte_order_mark_are_read(tmp_path):
    path = save(tmp_path, ring())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_dataset(path).num_nodes == NUM_NODES


def test_an_attribute_may_be_a_default_everywhere(tmp_path):
    path = save(tmp_path, without("x2"))
    text = path.read_text()
    key = '<key id="d9" for="node" attr.name="x1" attr.type="double"><default>7</default></key>'
    path.write_text(text.replace("<key ", f"{key}<key ", 1))
    assert load_dataset(path).feature_names == ("x0", "x1", "x10")
