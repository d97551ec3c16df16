from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from safetensors.torch import save_model as save_with_ties
from torch import nn
from torch_geometric.nn import GCNConv

from graph_metamers.errors import FileFormatError, ModelError, OutputError, ParameterError
from graph_metamers.models import build_model, list_models, load_model, load_weights, save_model

TASK = SimpleNamespace(num_features=5, num_classes=3)


def make(name="gcn", **options):
    return build_model(name, TASK, **options)


def contents(path):
    with safe_open(path, framework="pt") as file:
        return load_file(path), file.metadata()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(make(), path)
    return path


def rewritten(path, *, tensors=None, **metadata):
    """Change parts of a saved file; a value of None removes its key."""
    old_tensors, old_metadata = contents(path)
    merged = {**old_metadata, **metadata}
    kept = {key: value for key, value in merged.items() if value is not None}
    save_file({**old_tensors, **(tensors or {})}, path, metadata=kept)
    return path


@pytest.mark.parametrize("name", [info.name for info in list_models()])
@pytest.mark.parametrize(
    "options",
    [{}, {"residual": True, "norm": "layer", "num_layers": 4}, {"num_layers": 1}, {"num_layers": 7}],
)
def test_saving_and_loading_is_the_identity(tmp_path, name, options):
    if name == "sgc" and "norm" in options:
        pytest.skip("has no hidden layer")
    model = make(name, seed=3, **options)
    x, edge_index = torch.rand(6, 5), torch.randint(6, (2, 20))
    model(x, edge_index)  # moves BatchNorm's running statistics
    before = torch.get_rng_state()
    save_model(model, tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert loaded.config == model.config
    assert list(loaded.state_dict()) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert loaded.state_dict()[key].dtype == value.dtype
        assert torch.equal(loaded.state_dict()[key], value)
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())
    assert torch.equal(loaded(x, edge_index), model.eval()(x, edge_index))


def test_a_loaded_model_can_be_trained(saved):
    model = load_model(saved).train()
    model(torch.rand(4, 5), torch.tensor([[0, 1], [1, 0]])).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_double_precision_survives(tmp_path):
    save_model(make().double(), tmp_path / "m.safetensors")
    assert next(load_model(tmp_path / "m.safetensors").parameters()).dtype == torch.float64


def test_plain_safetensors_and_pyg_can_read_the_weights(saved):
    conv = GCNConv(5, 16)
    tensors = {k.removeprefix("conv.0."): v for k, v in load_file(saved).items() if k.startswith("conv.0.")}
    conv.load_state_dict(tensors)
    assert torch.equal(conv.lin.weight, make().conv[0].lin.weight)


def test_saving_leaves_one_file_and_replaces_an_old_one(saved):
    save_model(make(seed=1), saved)
    assert [p.name for p in saved.parent.iterdir()] == ["model.safetensors"]
    assert torch.equal(load_model(saved).conv[0].bias, make(seed=1).conv[0].bias)


def test_equal_models_give_equal_bytes(saved):
    first = saved.read_bytes()
    for _ in range(10):
        save_model(make(), saved)
        assert saved.read_bytes() == first


def test_others_may_read_the_file_if_the_umask_lets_them(saved):
    plain = saved.with_name("plain")
    plain.touch()
    assert saved.stat().st_mode == plain.stat().st_mode


def test_only_a_model_of_the_zoo_is_saved(tmp_path):
    with pytest.raises(ParameterError, match="a GNN made by build_model, got 'Linear'"):
        save_model(nn.Linear(2, 2), tmp_path / "m.safetensors")


def test_a_diverged_model_is_not_saved(tmp_path):
    model = make()
    model.conv[0].bias.data[0] = float("nan")
    with pytest.raises(ModelError, match=r"NaN or infinity in 'conv.0.bias'"):
        save_model(model, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(OutputError):
        save_model(make(), tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match="got no such file"):
        load_model(tmp_path / "none.safetensors")


def test_a_directory(tmp_path):
    with pytest.raises(FileFormatError, match="got a directory"):
        load_model(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100, b"\xff" * 64])
def test_a_file_of_another_format(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="cannot be read"):
        load_model(path)


def test_a_truncated_file(saved):
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match="damaged, incomplete"):
        load_model(saved)


@pytest.mark.parametrize("form", [None, "pt"])
def test_a_safetensors_file_of_another_origin(saved, form):
    with pytest.raises(FileFormatError, match=r"load_weights\(module, path\)"):
        load_model(rewritten(saved, format=form))


@pytest.mark.parametrize("version", [None, "2", "x"])
def test_an_unknown_schema_version(saved, version):
    with pytest.raises(FileFormatError, match="must have schema version 1, got"):
        load_model(rewritten(saved, schema_version=version))


@pytest.mark.parametrize(
    "config",
    [None, "", "{", "[1]", "null", "{}", '{"architecture": "gcn"}', "[" * 100_000, '{"in_channels": "1"}'],
)
def test_a_config_that_is_not_valid(saved, config):
    with pytest.raises(FileFormatError, match="must describe its model in 'config'"):
        load_model(rewritten(saved, config=config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "gcnn"}, "Did you mean 'gcn'"),
        ({"dropout": 2.0}, "'dropout'"),
        ({"extra": 1}, "extra"),
        ({"num_layers": 10**9}, "weights of 1000000000 layers, got 4 tensors"),
        ({"num_layers": 3}, r"every weight of the GNN, got none for 'conv.2.bias', 'conv.2.lin.weight'"),
        ({"num_layers": 1}, r"only weights of the GNN, got 'conv.1.bias', 'conv.1.lin.weight' as well"),
        ({"hidden_channels": 10**12}, r"must have shape \[1000000000000\], got \[16\]"),
        ({"residual": True}, r"got none for 'skip.0.weight'"),
    ],
)
def test_a_config_that_does_not_fit_the_weights(saved, change, message):
    config = {**json.loads(contents(saved)[1]["config"]), **change}
    with pytest.raises(FileFormatError, match=message):
        load_model(rewritten(saved, config=json.dumps(config)))


def test_weights_of_another_kind_of_number(saved):
    with pytest.raises(FileFormatError, match=r"'conv.0.bias' in .* must be torch.float32, got torch.int64"):
        load_model(rewritten(saved, tensors={"conv.0.bias": torch.zeros(16, dtype=torch.int64)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(saved, value):
    with pytest.raises(FileFormatError, match=r"must be finite, got NaN or infinity in 'conv.0.bias'"):
        load_model(rewritten(saved, tensors={"conv.0.bias": torch.full((16,), value)}))


def test_own_weights_are_loaded_in_place(tmp_path):
    source, target = nn.Linear(3, 2), nn.Linear(3, 2).train()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target.weight, source.weight)
    assert target.training


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, "every weight of the Linear, got none for 'bias'"),
        ({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, r"shape \[2, 3\], got \[3, 2\]"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "b": torch.zeros(1)}, "'b' as well"),
        ({"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)}, "must be finite"),
        ({f"b{i}": torch.zeros(1) for i in range(5)}, "got none for 'weight', 'bias'"),
    ],
)
def test_own_weights_that_do_not_fit_change_nothing(tmp_path, tensors, message):
    module = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(FileFormatError, match=message):
        load_weights(module, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_own_weights_may_be_tied(tmp_path):
    def tied() -> nn.ModuleList:
        pair = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        pair[1].weight = pair[0].weight
        return pair

    source, target = tied(), tied()
    save_with_ties(source, tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target[1].weight, source[0].weight)
    assert torch.equal(target[0].weight, source[0].weight)


def test_own_lazy_module_takes_its_shapes_from_the_file(tmp_path):
    save_file(nn.Linear(3, 2).state_dict(), tmp_path / "w.safetensors")
    module = nn.LazyLinear(2)
    load_weights(module, tmp_path / "w.safetensors")
    assert module.weight.shape == (2, 3)
