from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from skate.air import Checkpoint


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "made"
    (place / "sub").mkdir(parents=True)
    (place / "weights.txt").write_text("0.5")
    (place / "sub" / "more.txt").write_text("more")
    return place


def test_a_local_checkpoint_is_read_in_place(directory: Path) -> None:
    checkpoint = Checkpoint.from_directory(directory)
    assert checkpoint.path == str(directory)
    with checkpoint.as_directory() as place:
        assert place == str(directory)
    assert repr(checkpoint) == f"Checkpoint(filesystem=local, path={directory})"


def test_to_directory_copies(directory: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint(directory)
    target = tmp_path / "copy"
    assert checkpoint.to_directory(target) == str(target)
    assert (target / "sub" / "more.txt").read_text() == "more"
    place = Path(checkpoint.to_directory())
    assert place != directory and (place / "weights.txt").read_text() == "0.5"


def test_a_relative_path_is_made_absolute(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    assert Checkpoint("made").path == str(directory)
    assert Checkpoint(f"file://{directory}").path == str(directory)


def test_metadata_is_kept_with_the_files(directory: Path) -> None:
    checkpoint = Checkpoint(directory)
    assert checkpoint.get_metadata() == {}
    checkpoint.set_metadata({"epoch": 1})
    checkpoint.update_metadata({"loss": 0.5})
    assert Checkpoint(directory).get_metadata() == {"epoch": 1, "loss": 0.5}
    checkpoint.set_metadata({"epoch": 2})
    assert checkpoint.get_metadata() == {"epoch": 2}


def test_a_checkpoint_travels(directory: Path) -> None:
    checkpoint = Checkpoint(directory)
    assert pickle.loads(pickle.dumps(checkpoint)) == checkpoint
    assert checkpoint != Checkpoint(directory / "sub")


def test_on_a_file_system_of_pyarrow(directory: Path, tmp_path: Path) -> None:
    fs = pytest.importorskip("pyarrow.fs")
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    checkpoint = Checkpoint("made", filesystem=remote)
    with checkpoint.as_directory() as place:
        assert place != str(directory) and Path(place, "sub", "more.txt").read_text() == "more"
    assert not os.path.exists(place)
    checkpoint.set_metadata({"a": 1})
    assert checkpoint.get_metadata() == {"a": 1}
    assert Checkpoint(directory).filesystem.type_name == "local"


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    missing = Checkpoint(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="missing"):
        missing.to_directory()
    with pytest.raises(FileNotFoundError, match="missing"), missing.as_directory():
        pass


def test_uses_that_are_no_more_say_what_to_do(directory: Path) -> None:
    checkpoint = Checkpoint(directory)
    with pytest.raises(TypeError, match="as_directory"):
        os.fspath(checkpoint)
    with pytest.raises(AttributeError, match="directory of files"):
        checkpoint.to_dict()
    with pytest.raises(ValueError, match="scheme"):
        from skate.air.storage import resolve

        resolve("s3://bucket/x", object())
