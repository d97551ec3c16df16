from __future__ import annotations

from pathlib import Path

import pytest

from graph_metamers.errors import OutputError, ParameterError
from graph_metamers.storage import atomic_directory, atomic_file, ensure_writable


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_whole_and_alone(tmp_path):
    with atomic_file(tmp_path / "new" / "a.npz") as temporary:
        assert temporary.suffix == ".npz"
        assert not temporary.exists()
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "a.npz").exists()
    assert names(tmp_path / "new") == ["a.npz"]
    assert (tmp_path / "new" / "a.npz").read_text() == "whole"


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_file_leaves_the_old_one(tmp_path, exception):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half")
            raise exception

    with pytest.raises(exception):
        interrupted()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_file(tmp_path / "atomic") as temporary:
        temporary.touch()
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real" / "a.txt")
    with atomic_file(link) as temporary:
        temporary.write_text("x")
    assert link.is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "x"


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(OutputError, match="a folder has that name"), atomic_file(tmp_path):
        pass


def test_a_file_as_parent_is_refused_before_the_block(tmp_path):
    (tmp_path / "file").touch()
    reached = False
    with (
        pytest.raises(OutputError, match="is a file, not a folder"),
        atomic_file(tmp_path / "file" / "a" / "b"),
    ):
        reached = True
    assert not reached


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that refuses even root")
def test_an_unwritable_parent_is_refused():
    with pytest.raises(OutputError, match="nothing can be created in /proc"):
        ensure_writable("/proc/graph-metamers/report.html")


def test_ensure_writable_leaves_nothing(tmp_path):
    ensure_writable(tmp_path / "a" / "b" / "c.html")
    assert names(tmp_path) == []


def test_a_directory_appears_whole(tmp_path):
    with atomic_directory(tmp_path / "run", marker="run.json") as temporary:
        (temporary / "x.txt").write_text("x")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["run.json", "x.txt"]


def test_our_own_directory_is_replaced_as_a_whole(tmp_path):
    for name in ("first", "second"):
        with atomic_directory(tmp_path / "run", marker="run.json") as temporary:
            (temporary / name).touch()
            (temporary / "run.json").write_text("{}")
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["run.json", "second"]


def test_an_empty_directory_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    with atomic_directory(tmp_path / "run", marker="m"):
        pass
    assert names(tmp_path / "run") == ["m"]


def test_a_foreign_directory_is_refused_and_kept(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    with (
        pytest.raises(OutputError, match="was not written by"),
        atomic_directory(tmp_path / "home", marker="m"),
    ):
        pass
    assert names(tmp_path / "home") == ["thesis.tex"]


def test_a_directory_that_becomes_foreign_meanwhile_is_kept(tmp_path):
    def meanwhile() -> None:
        with atomic_directory(tmp_path / "run", marker="m"):
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "other").touch()

    with pytest.raises(OutputError, match="was not written by"):
        meanwhile()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["other"]


def test_a_file_in_place_of_a_directory_is_refused(tmp_path):
    (tmp_path / "run").touch()
    with (
        pytest.raises(OutputError, match="a file has that name"),
        atomic_directory(tmp_path / "run", marker="m"),
    ):
        pass


def test_an_interrupted_directory_leaves_the_old_one(tmp_path):
    with atomic_directory(tmp_path / "run", marker="m") as temporary:
        (temporary / "old").touch()

    def interrupted() -> None:
        with atomic_directory(tmp_path / "run", marker="m") as temporary:
            (temporary / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["m", "old"]


@pytest.mark.parametrize("marker", ["", "a/b", ".."])
def test_a_marker_is_a_plain_name(tmp_path, marker):
    with pytest.raises(ParameterError, match="'marker'"), atomic_directory(tmp_path / "run", marker=marker):
        pass
