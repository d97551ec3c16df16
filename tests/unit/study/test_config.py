from __future__ import annotations

import pytest

from graph_metamers.errors import FileFormatError, ParameterError
from graph_metamers.study import StudyConfig, study_config
from graph_metamers.training import Perturbation

SMALL = {"name": "s", "grid": {"dataset": "karate", "model": "gcn"}}


def with_grid(**axes):
    return {"name": "s", "grid": {"dataset": "karate", "model": "gcn", **axes}}


def test_yaml_and_python_say_the_same(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\n"
        "grid:\n"
        "  dataset: karate\n"
        "  model: [gcn, sage]\n"
        "  residual: [false, true]\n"
        "  perturbation: [none, {kind: pgd, on: features, norm: l2, radius: 1e-1}]\n"
        "training: {weight_decay: 1e-3}\n"
    )
    change = {"kind": "pgd", "on": "features", "norm": "l2", "radius": 0.1}
    same = with_grid(model=["gcn", "sage"], residual=[False, True], perturbation=["none", change])
    found = study_config(path)
    assert found == study_config(same)
    assert found.grid.perturbation == (None, Perturbation(kind="pgd", on="features", norm="l2", radius=0.1))
    assert found.training.weight_decay == 0.001
    assert study_config(found) is found


def test_one_value_is_a_list_of_one():
    grid = study_config(with_grid(seeds=range(3), num_layers=4)).grid
    assert grid.seeds == (0, 1, 2)
    assert grid.num_layers == (4,)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (SMALL | {"trainig": {}}, r"'trainig' parameter must be one of the keys .*Did you mean 'training'\?"),
        (with_grid(num_layer=2), r"'grid.num_layer' .*Did you mean 'num_layers'\?"),
        (SMALL | {"training": {"epoch": 3}}, r"'training.epoch' .*Did you mean 'epochs'\?"),
        (SMALL | {"search": {"tolerence": 3}}, r"'search.tolerence' .*Did you mean 'tolerance'\?"),
        (with_grid(perturbation={"kind": "pgd", "radus": 1}), r"Did you mean 'radius'\?"),
        (SMALL | {"exclude": [{"modle": "gcn"}]}, r"'exclude\[0\].modle' .*Did you mean 'model'\?"),
        (SMALL | {"include": [{"sedes": 1}]}, r"'include\[0\].sedes' .*Did you mean 'seeds'\?"),
        (SMALL | {"exclude": [{}]}, "at least one key"),
        ({"name": "s", "grid": {"model": "gcn"}}, "'grid.dataset' parameter must be given"),
        (with_grid(num_layers=0), "'grid.num_layers' .*greater than 0.*got 0"),
        (with_grid(weights="trained twice"), "'trained' or 'random'.*got 'trained twice'"),
        (with_grid(seeds=[]), "at least 1 item"),
        (with_grid(perturbation={"kind": "pgd", "radius": 0}), "'radius' parameter must be a finite number"),
        (with_grid(perturbation="pgd"), "grid.perturbation"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(raw, message):
    with pytest.raises(ParameterError, match=message):
        study_config(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not a YAML file"),
        ("name: a\nname: b\n", "the key 'name' is there twice"),
        ("- 1\n", "must hold a study"),
        ("name: !!python/object/apply:os.getcwd []\n", "is not a YAML file"),
    ],
)
def test_files_that_are_no_studies(tmp_path, text, message):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        study_config(path)
    with pytest.raises(FileFormatError, match="No such file"):
        study_config(tmp_path / "other.yaml")


def test_it_cannot_be_changed():
    config = study_config(SMALL)
    assert isinstance(config, StudyConfig)
    with pytest.raises(ValueError, match="frozen"):
        config.name = "t"
