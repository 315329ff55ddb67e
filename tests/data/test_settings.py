"""Settings, progress bars and statistics."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any

import pytest

import skate.data
from skate.data import DataContext, ExecutionOptions, ExecutionResources, RandomSeedConfig
from skate.data.exceptions import omit_traceback_stdout
from skate.data.execution import progress
from skate.data.options import SeedTuple


def test_resources_are_added_compared_and_scaled() -> None:
    some = ExecutionResources(cpu=2, gpu=1, object_store_memory=100.4)
    assert some.add(some) == ExecutionResources(4, 2, 200, 0) == some.scale(2)
    assert some.subtract(some).is_zero() and some.is_non_negative()
    assert some.max(ExecutionResources(cpu=3)).cpu == 3 and some.min(ExecutionResources.zero()).is_zero()
    assert some.satisfies_limit(ExecutionResources.for_limits(cpu=2))
    assert not some.satisfies_limit(ExecutionResources.for_limits(object_store_memory=1))
    assert some.satisfies_limit(
        ExecutionResources.for_limits(object_store_memory=1), ignore_object_store_memory=True
    )
    assert some.floordiv(ExecutionResources(cpu=1)) == ExecutionResources(2, *[float("inf")] * 3)
    assert ExecutionResources.from_resource_dict({"CPU": 1, "memory": 5}).to_resource_dict() == {
        "CPU": 1, "GPU": 0.0, "object_store_memory": 0, "memory": 5,
    }  # fmt: skip
    assert ExecutionResources.combine_sum([some, some]).gpu == 2
    assert some.copy(cpu=7).cpu == 7 and hash(some) == hash(some.copy())
    assert ExecutionResources(1, 0, 5 << 20).object_store_memory_str() == "5.0MiB"
    with pytest.raises(ValueError, match="non-negative"):
        some.scale(-1)


def test_options_limit_and_exclude() -> None:
    options = ExecutionOptions(resource_limits=ExecutionResources(cpu=1))
    assert options.resource_limits.gpu == float("inf") and not options.is_resource_limits_default()
    options.exclude_resources = ExecutionResources(cpu=1)
    with pytest.raises(ValueError, match="cannot both be set for cpu"):
        options.validate()
    assert ExecutionOptions() == ExecutionOptions() != options
    with pytest.deprecated_call(match="locality_with_output"):
        options.locality_with_output = True


def test_a_dataset_keeps_the_settings_that_it_was_made_with() -> None:
    context = DataContext.get_current()
    before = context.target_max_block_size
    dataset = skate.data.range(1)
    try:
        context.target_max_block_size = 5
        assert dataset.context.target_max_block_size == before
        assert skate.data.range(1).context.target_max_block_size == 5
    finally:
        context.target_max_block_size = before
    with pytest.raises(ValueError, match="ShuffleStrategy"):
        context.shuffle_strategy = "dance"  # type: ignore[assignment]


def test_an_environment_variable_turns_progress_bars_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DataContext().enable_progress_bars
    monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    assert not DataContext().enable_progress_bars
    before = skate.data.set_progress_bars(False)
    assert not skate.data.set_progress_bars(before)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_stage_has_a_line_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def run(**settings: Any) -> str:
        shown = Terminal()
        monkeypatch.setattr(sys, "stderr", shown)
        context = DataContext()
        for name, value in settings.items():
            setattr(context, name, value)
        with DataContext.current(context):
            bar = progress.StageBar("Map(" + "x" * 200 + ")", 10, clock=lambda: now[0])
            bar.update(3)
            now[0] += 1
            bar.update(4)
            bar.close()
        return shown.getvalue()

    text = run()
    assert "7/10" in text and "x…" in text and "x" * 101 not in text
    assert "x" * 150 in run(enable_progress_bar_name_truncation=False)
    assert run(enable_progress_bars=False) == "" == run(enable_operator_progress_bars=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not progress.is_shown(DataContext())


def test_quick_work_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    bar = progress.StageBar("Map", 10, clock=lambda: 0.0)
    bar.update(10)
    bar.close()
    assert shown.getvalue() == ""


def test_statistics_tell_of_each_stage(caplog: pytest.LogCaptureFixture) -> None:
    context = DataContext.get_current().copy()
    context.enable_auto_log_stats = context.enable_stats_summary_collection = True
    caplog.set_level(logging.INFO, "skate.data")
    with DataContext.current(context):
        dataset = skate.data.range(12, override_num_blocks=3).map(lambda row: row)
        dataset.set_name("numbers")
        dataset.materialize()
    text = dataset.stats()
    assert "Operator 1 ReadRange->Map(<lambda>): executed in this process, 3 blocks produced" in text
    assert "* Output num rows per block: 4 min, 4 max, 4 mean, 12 total" in text
    assert "* Remote wall time:" in text and "Total output num rows: 12 rows" in text
    assert "Dataset throughput:" in text and "3 blocks produced" in caplog.text
    last = skate.data.list_stats_summaries()[-1]
    assert last.dataset_name == "numbers" and last.operators_stats[0].total_output_num_rows == 12
    assert last.get_total_cpu_time() >= 0 and skate.data.range(1).stats() == ""


def test_names_that_settings_had_before_are_told() -> None:
    context = DataContext()
    for old, new in (
        ("hash_shuffle_compression", "shuffle_compression"),
        ("use_external_hash_shuffle", "use_disk_based_hash_shuffle"),
    ):
        with pytest.warns(DeprecationWarning, match=f"`{old}` is deprecated, please configure `{new}`"):
            assert getattr(context, old) == getattr(context, new)
        with pytest.warns(DeprecationWarning, match=old):
            setattr(context, old, "lz4")
        assert getattr(context, new) == "lz4"
    assert context.enable_ray_data_reconstruction is False
    with pytest.raises(AttributeError):
        context.enable_ray_data_reconstruction = True  # type: ignore[misc]


def test_a_seed_counts_the_runs_of_its_dataset() -> None:
    context = DataContext()
    assert RandomSeedConfig().get_seed_tuple(data_context=context) is None
    always = RandomSeedConfig(5, reseed_after_execution=False).get_seed_tuple(data_context=context)
    assert always == SeedTuple(5, None) and always.to_rng_args() == (5,)
    dataset = skate.data.range(2)
    seeds = []
    for _ in range(2):
        dataset.take_all()
        seeds.append(RandomSeedConfig(5).get_seed_tuple(data_context=dataset.context))
    assert seeds == [SeedTuple(5, 0), SeedTuple(5, 1)]


def test_errors_without_the_way_to_them() -> None:
    def inner() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost") as caught:
        omit_traceback_stdout(inner)()
    assert "inner" not in [entry.name for entry in caught.traceback]
