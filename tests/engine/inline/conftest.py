from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import skate


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """``start(**arguments)`` starts an inline session that ends with the test."""
    yield lambda **arguments: skate.init(engine="inline", **{"num_cpus": 2, **arguments})
    skate.shutdown()


@pytest.fixture
def session(start: Callable[..., Any]) -> None:
    """A plain inline session."""
    start()
