from __future__ import annotations

import getpass
import json
import platform

import torch

import graph_metamers
from graph_metamers.storage import environment


def test_versions_are_named():
    found = environment()
    assert found["graph_metamers"] == graph_metamers.__version__
    assert found["torch"] == torch.__version__
    assert found["torch_threads"] == torch.get_num_threads()


def test_nobody_is_named():
    text = json.dumps(environment())
    assert platform.node() not in text
    assert getpass.getuser() not in text
