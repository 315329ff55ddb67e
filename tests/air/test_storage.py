from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skate.air.storage import LocalStore, Store, resolve, store_of


def local(tmp_path: Path) -> tuple[Store, str]:
    return LocalStore(), str(tmp_path / "store")


def arrow(tmp_path: Path) -> tuple[Store, str]:
    fs = pytest.importorskip("pyarrow.fs")
    (tmp_path / "store").mkdir()
    return store_of(fs.SubTreeFileSystem(str(tmp_path / "store"), fs.LocalFileSystem())), "below"


def memory(tmp_path: Path) -> tuple[Store, str]:
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow.fs")
    return store_of(fsspec.filesystem("memory")), f"/memory/{tmp_path.name}"


@pytest.fixture(params=[local, arrow, memory])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, str]:
    make: Callable[[Path], tuple[Store, str]] = request.param
    return make(tmp_path)


def test_files_and_directories(place: tuple[Store, str], tmp_path: Path) -> None:
    store, root = place
    assert not store.exists(f"{root}/a.txt") and store.list_dir(root) == []
    store.write(f"{root}/a.txt", b"one")
    store.write(f"{root}/a.txt", b"two")
    assert store.read(f"{root}/a.txt") == b"two" and store.exists(f"{root}/a.txt")
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "deep" / "b.txt").write_text("b")
    store.upload(str(tmp_path / "source"), f"{root}/dir")
    assert store.list_dir(root) == ["a.txt", "dir"]
    store.download(f"{root}/dir", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "b.txt").read_text() == "b"
    with store.as_local(f"{root}/dir") as directory:
        assert Path(directory, "deep", "b.txt").read_text() == "b"
    store.delete(f"{root}/dir")
    store.delete(f"{root}/a.txt")
    store.delete(f"{root}/never")
    assert store.list_dir(root) == []
    with pytest.raises(FileNotFoundError):
        store.read(f"{root}/a.txt")
    with pytest.raises(FileNotFoundError):
        store.download(f"{root}/dir", str(tmp_path / "nothing"))


def test_an_upload_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, root = local(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("a")
    store.upload(str(tmp_path / "source"), f"{root}/old")

    def full(source: str, target: str) -> None:
        Path(target).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space"):
        store.upload(str(tmp_path / "source"), f"{root}/old")
    assert store.list_dir(root) == ["old"] and store.list_dir(f"{root}/old") == ["a"]


def test_paths_find_their_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/runs")[1] == str(tmp_path / "runs")
    assert resolve(f"file://{tmp_path}")[1] == str(tmp_path)
    pytest.importorskip("pyarrow")
    pytest.importorskip("fsspec")
    store, path = resolve("memory://bucket/runs")
    assert not store.is_local and path.endswith("bucket/runs")
    with pytest.raises(ValueError, match="nosuch"):
        resolve("nosuch://x/y")
    with pytest.raises(TypeError, match="neither a pyarrow"):
        store_of(5)
