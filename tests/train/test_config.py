"""What a run's configuration takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skate import train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": "a"}, "must be an int or a tuple of two ints"),
        ({"num_workers": None}, "must be an int or a tuple of two ints"),
        ({"num_workers": 1.5}, "must be an int or a tuple of two ints"),
        ({"num_workers": [1, 2]}, "must be an int or a tuple of two ints"),
        ({"num_workers": (1, 2, 3)}, "must be an int or a tuple of two ints"),
        ({"num_workers": -1}, "Number of workers cannot be negative"),
        ({"num_workers": (3, 2)}, "min_workers=3 must be <= max_workers=2"),
        ({"use_gpu": True, "use_tpu": True}, "Cannot specify both"),
        ({"resources_per_worker": {"GPU": 1}}, "`use_gpu` is False but `GPU` was found"),
        ({"num_workers": 2, "label_selector": [{"a": "b"}]}, "must be the same length"),
        ({"num_workers": (1, 2), "elastic_resize_monitor_interval_s": -1}, "must be non-negative"),
    ],
)
def test_scaling_that_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train.ScalingConfig(**options)


def test_what_workers_hold() -> None:
    scaling = train.ScalingConfig(num_workers=2, use_gpu=True, resources_per_worker={"CPU": 2, "disk": 1})
    assert scaling.total_resources == {"CPU": 4, "GPU": 2, "disk": 2}
    assert (scaling.num_cpus_per_worker, scaling.num_gpus_per_worker, scaling.num_tpus_per_worker) == (
        2,
        1,
        0,
    )
    assert scaling.additional_resources_per_worker == {"disk": 1}
    assert train.ScalingConfig(use_tpu=True).total_resources == {"TPU": 1}
    assert train.ScalingConfig(num_workers=(1, 3)).total_resources == {"CPU": 3}
    assert train.ScalingConfig(resources_per_worker={}).total_resources == {}
    assert train.ScalingConfig(accelerator_type="A100").total_resources == {
        "CPU": 1,
        "accelerator_type:A100": 0.001,
    }
    assert "num_workers=2" in repr(scaling) and "topology=None" in repr(scaling)


@pytest.mark.parametrize("name", ["verbose", "stop", "sync_config", "log_to_file", "progress_reporter"])
def test_what_only_searches_have(name: str) -> None:
    with pytest.raises(DeprecationWarning, match=rf"RunConfig\({name}\)"):
        train.RunConfig(**{name: 1})  # type: ignore[arg-type]


def test_arguments_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeprecationWarning, match="fail_fast"):
        train.FailureConfig(fail_fast=True)
    with pytest.raises(DeprecationWarning, match="trainer_resources"):
        train.ScalingConfig(trainer_resources={"CPU": 1})
    for name in ("checkpoint_frequency", "checkpoint_at_end"):
        with pytest.raises(DeprecationWarning, match=name):
            train.CheckpointConfig(**{name: 1})  # type: ignore[arg-type]
    monkeypatch.setenv("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
    assert train.ScalingConfig(trainer_resources={"CPU": 1}).total_resources == {"CPU": 1}


def test_a_run_has_a_name_and_a_place(tmp_path: Path) -> None:
    config = train.RunConfig(storage_path=tmp_path)  # type: ignore[arg-type]  # what a path is converted from
    assert config.storage_path == str(tmp_path) and str(config.name).startswith("ray_train_run-")
    assert config.callbacks == [] and config.worker_runtime_env == {}
    assert config.storage_context.path == f"{tmp_path}/{config.name}"
    with pytest.raises(ValueError, match=r"must be instances of `ray\.train\.UserCallback`"):
        train.RunConfig(callbacks=[1])


def test_checkpoints_and_levels() -> None:
    for number in (0, -1):
        with pytest.raises(ValueError, match=f"Received invalid num_to_keep: {number}"):
            train.CheckpointConfig(num_to_keep=number)
    with pytest.raises(ValueError, match="Received invalid checkpoint_score_order: x"):
        train.CheckpointConfig(checkpoint_score_order="x")  # type: ignore[arg-type]
    for level in ("FOO", 10):
        with pytest.raises(ValueError, match="Invalid log_level"):
            train.LoggingConfig(log_level=level)  # type: ignore[arg-type]


def test_gpus_of_none_are_those_that_use_gpu_asks_for() -> None:
    scaling = train.ScalingConfig(use_gpu=True, resources_per_worker={"GPU": 0})
    assert scaling.num_gpus_per_worker == 1 and scaling.total_resources == {"GPU": 1}


def test_a_checkpoint_config_is_one() -> None:
    with pytest.raises(ValueError, match="Invalid `CheckpointConfig` type: <class 'int'>"):
        train.RunConfig(checkpoint_config=5)  # type: ignore[arg-type]


def test_what_preempted_means() -> None:
    info = train.PreemptionInfo(5, {"a": [3, 1], "b": [2]})
    assert info.preempted_ranks == [1, 2, 3] and info.preempted_node_ids == ["a", "b"]
    error = train.PreemptionError(info, drain_timed_out=True)
    assert "preempted_ranks=[1, 2, 3], drain_timed_out=True" in str(error)
    assert issubclass(train.NCCLHangError, train.WorkerGroupError)
    with pytest.raises(RuntimeError, match="`get_preemption_info` cannot be used outside"):
        train.get_preemption_info()


def test_configurations_are_compared_by_what_they_say() -> None:
    assert train.ScalingConfig(num_workers=(1, 3)) == train.ScalingConfig(num_workers=(1, 3))
    assert train.ScalingConfig(num_workers=(1, 3)) != train.ScalingConfig(num_workers=(1, 2))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"resources_per_worker": {"TPU": 1}}, "`use_tpu` is False but"),
        ({"use_tpu": True, "resources_per_worker": {"TPU": 0}}, "`TPU` is set to 0"),
        ({"use_tpu": True, "num_workers": 2}, "`topology` must be specified"),
        ({"use_tpu": True, "num_workers": 2, "topology": "2x2"}, "`accelerator_type` must be specified"),
        (
            {
                "use_tpu": True,
                "num_workers": 2,
                "topology": "2x2",
                "accelerator_type": "TPU-V4",
                "label_selector": {"a": "b"},
            },
            "Cannot set `label_selector`",
        ),
    ],
)
def test_what_tpus_need(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        train.ScalingConfig(**options)
