from __future__ import annotations

from typing import Any

import pytest

from skate.air import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from skate.air.execution import ResourceRequest


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CheckpointConfig(num_to_keep=0), "invalid num_to_keep: 0"),
        (lambda: CheckpointConfig(checkpoint_score_order="best"), "checkpoint_score_order"),
        (lambda: CheckpointConfig(checkpoint_frequency=-1), "must be >=0, got -1"),
        (lambda: FailureConfig(fail_fast="often"), "must be one of"),
        (lambda: FailureConfig(fail_fast=True, max_failures=1), "must be 0 if fail_fast=True"),
        (lambda: ScalingConfig(resources_per_worker={"GPU": 1}), "`use_gpu` is False"),
    ],
)
def test_wrong_values_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_what_is_left_out_of_a_run_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKATE_RESULTS", "/somewhere")
    config = RunConfig(name="x")
    assert config.storage_path == "/somewhere"
    assert config.failure_config == FailureConfig() and config.checkpoint_config == CheckpointConfig()
    assert repr(FailureConfig(max_failures=2)) == "FailureConfig(max_failures=2)"
    with pytest.raises(DeprecationWarning, match="storage_path"):
        RunConfig(local_dir="x")


@pytest.mark.parametrize(
    ("settings", "bundles"),
    [
        ({}, [{"CPU": 2.0}]),
        ({"num_workers": 2}, [{"CPU": 2.0}, {"CPU": 1.0}]),
        ({"num_workers": 2, "use_gpu": True}, [{"CPU": 1.0, "GPU": 1.0}, {"GPU": 1.0}]),
        ({"num_workers": 2, "trainer_resources": {"CPU": 0}}, [{"CPU": 1.0}, {"CPU": 1.0}]),
        (
            {"num_workers": 2, "resources_per_worker": {"CPU": 2, "x": 1}},
            [{"CPU": 3.0, "x": 1.0}, {"CPU": 2.0, "x": 1.0}],
        ),
    ],
)
def test_the_bundles_of_a_training_run(settings: dict[str, Any], bundles: list[dict[str, float]]) -> None:
    assert ScalingConfig(**settings).as_placement_group_factory().bundles == bundles


def test_requests() -> None:
    request = ResourceRequest([{}, {"CPU": 1}])
    assert request.head_bundle_is_empty and request.head_cpus == 0 and request.bundles == [{"CPU": 1.0}]
    both = ResourceRequest([{"CPU": 1}, {"CPU": 2, "GPU": 1}])
    assert both.required_resources == {"CPU": 3.0, "GPU": 1.0} and both.head_cpus == 1
    assert both == ResourceRequest([{"CPU": 1.0}, {"GPU": 1, "CPU": 2}]) and hash(both) == hash(
        ResourceRequest([{"CPU": 1.0}, {"GPU": 1, "CPU": 2}])
    )
    with pytest.raises(ValueError, match="zero bundles"):
        ResourceRequest([])
    with pytest.raises(ValueError, match="empty head"):
        ResourceRequest([{"CPU": 0}])
