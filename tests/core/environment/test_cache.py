"""The cache of environments: made once, whole, and kept small."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from skate.core.environment import cache


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKATE_ENV_CACHE", str(tmp_path / "cache"))


def entry(name: str, size: int = 10) -> str:
    def make(folder: str) -> None:
        Path(folder, "content").write_bytes(b"x" * size)

    return cache.entry(name, make)


def test_an_entry_is_made_once_however_many_ask() -> None:
    made = []
    barrier = threading.Barrier(8)

    def make(folder: str) -> None:
        made.append(folder)
        Path(folder, "content").write_text("made")

    def ask() -> None:
        barrier.wait()
        assert Path(cache.entry("one", make), "content").read_text() == "made"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_what_fails_leaves_nothing_and_is_tried_again() -> None:
    def fails(folder: str) -> None:
        Path(folder, "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        cache.entry("one", fails)
    path = entry("one")
    assert os.listdir(path) == ["content"]


def test_what_a_killed_process_left_is_made_anew() -> None:
    left = Path(cache.root(), "one")
    left.mkdir()
    (left / "half").write_text("half")
    assert os.listdir(entry("one")) == ["content"]


def test_the_cache_is_private() -> None:
    assert os.stat(cache.root()).st_mode & 0o777 == 0o700


def test_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKATE_ENV_CACHE_BYTES", "250")
    first, second = entry("a", 100), entry("b", 100)
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    os.utime(entry("a", 100), (3, 3))  # used again
    entry("c", 100)
    assert os.path.exists(first)
    assert not os.path.exists(second)


def test_what_is_in_use_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKATE_ENV_CACHE_BYTES", "150")
    first = entry("a", 100)
    held = cache.use(first)
    try:
        entry("b", 100)
        assert os.path.exists(first)
    finally:
        os.close(held)
    cache.trim()
    assert not os.path.exists(first)
