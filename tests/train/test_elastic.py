from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import train
from skate.train import collective
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from tests.leaks import guard


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with guard.window():
        skate.init(num_cpus=2)
        yield
        skate.shutdown()


class _Holder:
    """Holds what others would like to have."""

    def here(self) -> None:
        pass


def _hold(**options: Any) -> Any:
    actor = skate.remote(_Holder).options(num_cpus=1, **options).remote()
    skate.get(actor.here.remote())
    return actor


def _state() -> dict[str, Any]:
    checkpoint = train.get_checkpoint()
    if checkpoint is None:
        return {"sizes": [], "step": 0}
    with checkpoint.as_directory() as directory:
        return dict(json.loads(Path(directory, "state.json").read_text()))


def _save(state: dict[str, Any]) -> None:
    if train.get_context().get_world_rank() > 0:
        train.report({"step": state["step"]})
        return
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "state.json").write_text(json.dumps(state))
        train.report({"step": state["step"]}, train.Checkpoint(directory))


def _fit(function: Any, run_config: train.RunConfig, least: int = 1, most: int = 2) -> train.Result:
    run_config.checkpoint_config = train.CheckpointConfig(num_to_keep=1)
    scaling = train.ScalingConfig(num_workers=(least, most), elastic_resize_monitor_interval_s=0.3)
    return DataParallelTrainer(function, scaling_config=scaling, run_config=run_config).fit()


def test_it_begins_with_what_is_free_and_grows(
    run_config: train.RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function() -> dict[str, Any]:
        state = _state()
        state["sizes"].append(train.get_context().get_world_size())
        if state["sizes"] == [1]:
            skate.kill(skate.get_actor("holder"))
        while state["sizes"] == [1]:  # until it is ended, for there is room for two
            state["step"] += 1
            _save(state)
        return state

    monkeypatch.setattr("skate.train._run.controller._PLACING", 0.3)
    holder = _hold(name="holder")
    state = _fit(function, run_config).return_value
    del holder
    assert state["sizes"] == [1, 2] and state["step"] > 0, "nothing that was kept is done again"


def test_it_grows_without_a_checkpoint(run_config: train.RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def function() -> int:
        while train.get_context().get_world_size() == 1:
            holder = skate.util.list_named_actors()
            if holder:
                skate.kill(skate.get_actor("holder"))
            train.report({})
        return int(train.get_context().get_world_size())

    monkeypatch.setattr("skate.train._run.controller._PLACING", 0.3)
    holder = _hold(name="holder")
    assert _fit(function, run_config).return_value == 2
    del holder


def test_after_a_failure_it_goes_on_with_what_is_left(
    run_config: train.RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def function() -> list[int]:
        state = _state()
        state["sizes"].append(train.get_context().get_world_size())
        _save(state)
        if len(state["sizes"]) == 1 and train.get_context().get_world_rank() == 0:
            # Whoever comes first has what this worker gives back.
            skate.remote(_Holder).options(num_cpus=1, name="other", lifetime="detached").remote()
            os._exit(1)
        if len(state["sizes"]) == 1:
            collective.barrier()
        return list(state["sizes"])

    monkeypatch.setattr("skate.train._run.controller._PLACING", 0.3)
    run_config.failure_config = train.FailureConfig(max_failures=1)
    sizes = _fit(function, run_config).return_value
    assert sizes[0] == 2 and sizes[-1] in (1, 2) and len(sizes) >= 2
    skate.kill(skate.get_actor("other"))


def test_the_least_number_must_be_there(run_config: train.RunConfig) -> None:
    with pytest.raises(train.ControllerError, match="3 workers with"):
        _fit(lambda: None, run_config, least=3, most=4)
