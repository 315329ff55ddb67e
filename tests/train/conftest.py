from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import skate
from skate import train
from tests.leaks import guard


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """One session for a module's tests."""
    with guard.window():
        skate.init(num_cpus=2)
        yield
        skate.shutdown()


@pytest.fixture
def run_config(tmp_path: Path) -> train.RunConfig:
    """A run that is kept in the test's own directory."""
    return train.RunConfig(name="run", storage_path=str(tmp_path))
