from __future__ import annotations

import os
import pickle
from collections import defaultdict

import numpy as np
import pytest
from scipy import sparse

from graph_metamers.datasets.restricted_pickle import load_restricted
from graph_metamers.errors import FileFormatError


class Malicious:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_is_executed(tmp_path, protocol):
    witness = tmp_path / "witness"
    path = tmp_path / "ind.cora.x"
    path.write_bytes(pickle.dumps([Malicious(f"touch {witness}")], protocol))
    with pytest.raises(FileFormatError, match="system, which no data file needs"):
        load_restricted(path)
    assert not witness.exists()
    # The same bytes do run in an ordinary unpickler: the test would notice.
    pickle.loads(path.read_bytes())  # noqa: S301
    assert witness.exists()


@pytest.mark.parametrize("name", [b"builtins\neval", b"numpy\nload", b"numpy\ndtype.__new__", b"os\nsystem"])
def test_names_beside_the_list_are_refused(tmp_path, name):
    path = tmp_path / "p"
    path.write_bytes(b"c" + name + b"\n.")
    with pytest.raises(FileFormatError, match="which no data file needs"):
        load_restricted(path)


def test_what_the_files_need_is_read(tmp_path):
    path = tmp_path / "p"
    value = {
        "graph": defaultdict(list, {0: [1, 2]}),
        "dense": np.arange(6).reshape(2, 3),
        "csr": sparse.csr_matrix(np.eye(3, dtype=np.float32)),
    }
    path.write_bytes(pickle.dumps(value, 4))
    loaded = load_restricted(path)
    assert loaded["graph"] == value["graph"]
    assert np.array_equal(loaded["dense"], value["dense"])
    assert (loaded["csr"] != value["csr"]).nnz == 0


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps(np.eye(3), 4)[:-9]])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "p"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="not a Planetoid file"):
        load_restricted(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="cannot read"):
        load_restricted(tmp_path / "none")
