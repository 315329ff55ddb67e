from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import skate
from skate import tune
from tests.leaks import guard


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """One session for a module's tests, which its trials' processes outlive none of."""
    with guard.window():
        skate.init(num_cpus=2)
        yield
        skate.shutdown()


@pytest.fixture
def quiet(tmp_path: Path) -> tune.RunConfig:
    """A run that prints nothing and is kept in the test's own directory."""
    return tune.RunConfig(name="run", storage_path=str(tmp_path), verbose=0)
