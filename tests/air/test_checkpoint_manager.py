from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skate.air import Checkpoint, CheckpointConfig
from skate.air.checkpoint_manager import CheckpointManager, TrainingResult


def run(config: CheckpointConfig, metrics: list[dict[str, Any]]) -> tuple[CheckpointManager, list[int]]:
    manager, dropped = CheckpointManager(config), []
    for number, values in enumerate(metrics):
        for result in manager.register(TrainingResult(Checkpoint(f"/c/{number}"), values)):
            assert result.checkpoint is not None
            dropped.append(int(result.checkpoint.path.rsplit("/", 1)[1]))
    return manager, dropped


def kept(manager: CheckpointManager) -> list[str]:
    return [result.checkpoint.path for result in manager.best if result.checkpoint]


def test_all_are_kept_by_default() -> None:
    manager, dropped = run(CheckpointConfig(), [{}] * 4)
    assert dropped == [] and len(manager.best) == 4


def test_without_a_score_the_newest_are_kept() -> None:
    manager, dropped = run(CheckpointConfig(num_to_keep=2), [{}] * 4)
    assert dropped == [0, 1] and kept(manager) == ["/c/2", "/c/3"]


def test_the_best_and_the_newest_are_kept() -> None:
    config = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="a/b", checkpoint_score_order="min")
    manager, dropped = run(config, [{"a": {"b": value}} for value in (2.0, 1.0, 3.0, 4.0)])
    assert dropped == [0, 2] and kept(manager) == ["/c/1"]
    assert manager.newest is not None and manager.newest.metrics == {"a": {"b": 4.0}}


def test_one_without_a_score_is_worse_than_any_with() -> None:
    config = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="a")
    manager, _ = run(config, [{"a": -5}, {"a": math.nan}, {"b": 1}, {"a": None}])
    assert kept(manager) == ["/c/0"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.integers(1, 4))
def test_what_is_dropped_is_neither_best_nor_newest(scores: list[float], limit: int) -> None:
    config = CheckpointConfig(num_to_keep=limit, checkpoint_score_attribute="s")
    manager, dropped = run(config, [{"s": score} for score in scores])
    left = sorted(set(range(len(scores))) - set(dropped))
    assert len(dropped) == len(set(dropped)) and len(scores) - 1 in left
    assert limit >= len(scores) or limit <= len(left) <= limit + 1
    best = sorted(scores)[-limit:]
    assert sorted(result.metrics["s"] for result in manager.best) == best
