"""What a program wants set up in each process that runs its tasks is set up before the first of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import skate


@pytest.fixture(autouse=True)
def _session() -> Iterator[None]:
    level, handlers = logging.root.level, list(logging.root.handlers)
    skate.init(engine="dask", num_cpus=1, logging_config=skate.LoggingConfig(log_level="ERROR"))
    yield
    skate.shutdown()
    logging.root.setLevel(level)
    logging.root.handlers[:] = handlers


@skate.remote
def level() -> int:
    return logging.getLogger().level


def test_logging_is_set_up_in_workers() -> None:
    assert skate.get(level.remote(), timeout=30) == logging.ERROR
