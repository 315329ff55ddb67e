"""The native engine's own runtime, started before anything is watched, and a session for tests that use tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import skate


@pytest.fixture(scope="session", autouse=True)
def _native_engine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Polars starts its threads and event loops at its first query, reading and writing, and keeps them."""
    folder = tmp_path_factory.mktemp("polars")
    frame = pl.LazyFrame({"a": list(range(1000)), "b": ["x"] * 1000})
    frame.sink_parquet(folder / "f.parquet")
    scanned = pl.scan_parquet(folder / "f.parquet")
    scanned.sort("a").join(frame, on="a").group_by("b").agg(pl.len()).collect(engine="streaming")
    list(scanned.collect_batches(engine="streaming"))


@pytest.fixture(autouse=True)
def _no_session_is_left() -> Iterator[None]:
    """A stage that takes long on a busy machine starts a session by itself."""
    yield
    skate.shutdown()


@pytest.fixture
def session() -> Iterator[None]:
    skate.init(num_cpus=2)
    yield
    skate.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "data")
