"""A search gives the same on every engine that runs without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import skate
from skate import tune


@skate.remote
def square(x: int) -> int:
    return x * x


def train(config: dict[str, Any]) -> None:
    for step in range(3):
        tune.report({"score": skate.get(square.remote(config["x"])) + step})


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_a_search_whose_trials_run_tasks(tmp_path: Path, engine: str) -> None:
    with skate.init(engine=engine, num_cpus=2):
        results = tune.Tuner(
            train,
            param_space={"x": tune.grid_search([1, 2, 3])},
            run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
        ).fit()
    assert [result.metrics["score"] for result in results] == [3, 6, 11]  # type: ignore[index]
