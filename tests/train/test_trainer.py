from __future__ import annotations

import json
import os
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import air, train
from skate.train import collective
from skate.train.v2._internal.exceptions import BroadcastCollectiveTimeoutError
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer

pytestmark = pytest.mark.usefixtures("session")
_TWO = train.ScalingConfig(num_workers=2)


def _fit(function: Any, run_config: train.RunConfig, config: Any = None, **options: Any) -> train.Result:
    options.setdefault("scaling_config", _TWO)
    trainer = DataParallelTrainer(function, train_loop_config=config, run_config=run_config, **options)
    return trainer.fit()


def _report(metrics: dict[str, Any], text: str | None = None, **options: Any) -> None:
    if text is None:
        train.report(metrics, **options)
        return
    with tempfile.TemporaryDirectory() as place:
        Path(place, f"rank{train.get_context().get_world_rank()}.txt").write_text(text)
        train.report(metrics, train.Checkpoint.from_directory(place), **options)


def test_ranks_and_the_value_of_rank_0(run_config: train.RunConfig) -> None:
    def function(config: dict[str, Any]) -> dict[str, Any]:
        context = train.get_context()
        names = ["world_rank", "world_size", "local_rank", "local_world_size", "node_rank", "experiment_name"]
        return {name: getattr(context, f"get_{name}")() for name in names} | config

    result = _fit(function, run_config, {"lr": 1})
    assert result.return_value == {
        "world_rank": 0,
        "world_size": 2,
        "local_rank": 0,
        "local_world_size": 2,
        "node_rank": 0,
        "experiment_name": "run",
        "lr": 1,
    }
    assert result.metrics is None and result.checkpoint is None and result.best_checkpoints == []


def test_all_ranks_write_one_checkpoint(run_config: train.RunConfig) -> None:
    def function() -> None:
        rank = train.get_context().get_world_rank()
        for step in range(2):
            _report({"step": step, "rank": rank}, f"{step}")
        _report({"step": 2})

    result = _fit(function, run_config)
    assert result.metrics == {"step": 1, "rank": 0}, "those of the newest checkpoint"
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as place:
        assert sorted(os.listdir(place)) == ["rank0.txt", "rank1.txt"]
        assert Path(place, "rank1.txt").read_text() == "1"
    assert result.metrics_dataframe is not None and list(result.metrics_dataframe["step"]) == [0, 1]
    again = train.Result.from_path(result.path)
    assert again.checkpoint == result.checkpoint and again.metrics == result.metrics
    assert "return_value=None" in repr(result) and "metrics={'step': 1, 'rank': 0}" in repr(result)
    with pytest.raises(DeprecationWarning, match="config"):
        _ = result.config


def test_the_best_are_kept_and_the_newest(run_config: train.RunConfig) -> None:
    def function() -> list[str]:
        for step, score in enumerate([1, 5, 3, 2]):
            _report({"score": score}, "x", checkpoint_dir_name=f"step-{step}")
        return [reported.checkpoint.path for reported in train.get_all_reported_checkpoints()]

    run_config.checkpoint_config = train.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="score")
    result = _fit(function, run_config)
    assert [Path(kept.path).name for kept, _ in result.best_checkpoints or []] == ["step-1"]
    assert result.checkpoint is not None and Path(result.checkpoint.path).name == "step-3"
    assert sorted(path.name for path in Path(result.path).glob("step-*")) == ["step-1", "step-3"]
    assert [Path(path).name for path in result.return_value] == ["step-3", "step-1"], "the worst first"
    again = train.Result.from_path(result.path)
    assert again.checkpoint == result.checkpoint and len(again.best_checkpoints or []) == 2


def test_a_name_that_is_reported_again_stays(run_config: train.RunConfig) -> None:
    def function() -> None:
        for step in range(3):
            _report({"step": step}, str(step), checkpoint_dir_name="same")

    run_config.checkpoint_config = train.CheckpointConfig(num_to_keep=1)
    result = _fit(function, run_config)
    assert result.checkpoint is not None and Path(result.checkpoint.path, "rank0.txt").read_text() == "2"


@pytest.mark.parametrize("mode", list(train.CheckpointUploadMode))
def test_upload_modes(run_config: train.RunConfig, tmp_path: Path, mode: train.CheckpointUploadMode) -> None:
    def function(config: dict[str, str]) -> None:
        place = Path(config["place"])
        place.mkdir(exist_ok=True)
        (place / "a.txt").write_text("a")
        checkpoint = train.Checkpoint(str(place)) if train.get_context().get_world_rank() == 0 else None
        train.report({"a": 1}, checkpoint, checkpoint_upload_mode=mode)

    place = tmp_path / "run" / "mine"
    place.parent.mkdir()
    result = _fit(function, run_config, {"place": str(place)})
    assert result.checkpoint is not None
    assert (Path(result.checkpoint.path) / "a.txt").read_text() == "a"
    assert (Path(result.checkpoint.path) == place) == (mode is train.CheckpointUploadMode.NO_UPLOAD)
    assert place.exists() == (mode is not train.CheckpointUploadMode.ASYNC)


def test_a_failed_group_goes_on_from_its_checkpoint(run_config: train.RunConfig) -> None:
    def function() -> int:
        checkpoint = train.get_checkpoint()
        begin = 0
        if checkpoint is not None:
            with checkpoint.as_directory() as place:
                begin = int(Path(place, "rank0.txt").read_text()) + 1
        for step in range(begin, 3):
            if step == 2 and begin == 0 and train.get_context().get_world_rank() == 1:
                os._exit(1)
            _report({"step": step}, str(step))
        return begin

    run_config.failure_config = train.FailureConfig(max_failures=1)
    result = _fit(function, run_config)
    assert result.return_value == 2 and result.metrics == {"step": 2}
    assert len(result.best_checkpoints or []) == 3


def test_a_run_of_the_same_name_goes_on(run_config: train.RunConfig) -> None:
    def function() -> bool:
        fresh = train.get_checkpoint() is None
        _report({"a": 1}, "x")
        return fresh

    assert _fit(function, run_config).return_value is True
    result = _fit(function, run_config)
    assert result.return_value is False and len(result.best_checkpoints or []) == 2


def _raises() -> None:
    if train.get_context().get_world_rank() == 1:
        raise ValueError("boom")
    train.report({"a": 1})


def _exits() -> None:
    if train.get_context().get_world_rank() == 1:
        os._exit(3)
    collective.barrier()


def _forgets() -> None:
    if train.get_context().get_world_rank() == 0:
        train.report({"a": 1})


def _mixes() -> None:
    if train.get_context().get_world_rank() == 0:
        train.report({"a": 1})
    else:
        collective.barrier()


def _reports_no_dictionary() -> None:
    train.report(1)  # type: ignore[arg-type]


def _reports_no_directory() -> None:
    train.report({}, train.Checkpoint("/there/is/none"))


def _reports_what_cannot_be_sent() -> None:
    import threading

    train.report({"lock": threading.Lock()})


@pytest.mark.parametrize(
    ("function", "ranks", "message"),
    [
        (_raises, [1], r"\[Rank 1 Error Snippet\][^$]*test_trainer.py[^$]*ValueError: boom"),
        (_exits, [1], "exited with code 3"),
        (_forgets, [1], r"returned on rank 1 after 0 calls .* report\(\) at .*test_trainer.py:\d+"),
        (_mixes, [0, 1], r"barrier\(\) at .*test_trainer.py:\d+"),
        (_reports_no_dictionary, [0, 1], "takes a dictionary of metrics, not int"),
        (_reports_no_directory, [0, 1], "there is no such directory"),
        (_reports_what_cannot_be_sent, [0, 1], "cannot pickle"),
    ],
)
def test_failures_name_rank_and_reason(
    run_config: train.RunConfig, function: Any, ranks: list[int], message: str
) -> None:
    with pytest.raises(train.WorkerGroupError, match=message) as caught:
        _fit(function, run_config)
    assert sorted(caught.value.worker_failures) == ranks
    assert isinstance(caught.value, train.TrainingFailedError)


def _is_deaf(config: dict[str, str]) -> None:
    import ctypes
    import threading

    mark = Path(config["mark"])
    collective.barrier()  # all have been started, and are listened to
    if train.get_context().get_world_rank() == 1:
        mark.touch()
        ctypes.PyDLL(None).sleep(40)  # keeps the interpreter: this process answers nothing meanwhile
    while not mark.exists():
        threading.Event().wait(0.01)
    threading.Event().wait(0.5)  # as long as it takes to be looked at
    raise ValueError("boom")


def test_a_worker_that_answers_nothing_hides_no_failure(
    run_config: train.RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKATE_TRAIN_HANG_S", "0.1")
    begin = time.monotonic()
    with pytest.raises(train.WorkerGroupError, match="ValueError: boom"):
        _fit(_is_deaf, run_config, {"mark": str(tmp_path / "mark")})
    assert time.monotonic() - begin < 30


def test_who_waits_too_long_is_told_for_whom(
    run_config: train.RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", "1")
    monkeypatch.setenv("RAY_TRAIN_COLLECTIVE_WARN_INTERVAL_S", "0.2")

    def function(config: dict[str, str]) -> str | None:
        if train.get_context().get_world_rank() == 1:
            while not Path(config["mark"]).exists():
                threading.Event().wait(0.01)
            return None
        try:
            collective.barrier()
        except BroadcastCollectiveTimeoutError as error:
            return str(error)
        finally:
            Path(config["mark"]).touch()
        return None

    result = _fit(function, run_config, {"mark": str(tmp_path / "mark")})
    assert "have not joined the collective operation: [1]" in result.return_value
    assert re.search(
        r"rank 1 has not called barrier\(\) for \d+ s, in which rank 0 waits at .*:\d+", caplog.text
    )


def test_more_than_the_session_has(run_config: train.RunConfig) -> None:
    with pytest.raises(train.ControllerError, match="3 workers with {'CPU': 1} each need 3 CPU.* has 2"):
        _fit(lambda: None, run_config, scaling_config=train.ScalingConfig(num_workers=3))


def test_a_range_of_workers_begins_with_as_many_as_there_is_room_for(run_config: train.RunConfig) -> None:
    scaling = train.ScalingConfig(num_workers=(1, 8))
    assert (scaling.min_workers, scaling.max_workers, scaling.elasticity_enabled) == (1, 8, True)
    result = _fit(lambda: train.get_context().get_world_size(), run_config, scaling_config=scaling)
    assert result.return_value == 2


def test_collectives(run_config: train.RunConfig) -> None:
    def function() -> dict[str, int]:
        rank = train.get_context().get_world_rank()
        collective.barrier()
        value = collective.broadcast_from_rank_zero({"from": rank})
        _report({"got": value}, json.dumps(value))
        return value

    result = _fit(function, run_config)
    assert result.checkpoint is not None
    for rank in range(2):
        assert json.loads(Path(result.checkpoint.path, f"rank{rank}.txt").read_text()) == {"from": 0}


def test_callbacks(run_config: train.RunConfig) -> None:
    class Watch(train.UserCallback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
            self.seen.append((run_context.run_config.name, metrics, checkpoint is not None))

        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            self.seen.append(sorted(worker_exceptions))

    def function() -> None:
        rank = train.get_context().get_world_rank()
        _report({"rank": rank}, "x" if rank == 1 else None)
        if rank == 0:
            raise KeyError("after")

    watch = Watch()
    run_config.callbacks = [watch]
    with pytest.raises(train.WorkerGroupError, match="KeyError"):
        _fit(function, run_config)
    assert watch.seen == [("run", [{"rank": 0}, {"rank": 1}], True), [0]]


@pytest.mark.parametrize("concurrency", [None, 1], ids=["here", "in tasks"])
def test_shards_of_a_data_set(run_config: train.RunConfig, concurrency: int | None) -> None:
    data = pytest.importorskip("skate.data")
    dataset = data.range(10)
    if concurrency is not None:  # its tasks find no CPU that the workers do not hold
        dataset = dataset.map(lambda row: row, concurrency=concurrency)

    def function() -> None:
        shard = train.get_dataset_shard("train")
        rows = [row["id"] for row in shard.iter_rows()]
        with pytest.raises(KeyError, match="shard for 'other' not found"):
            train.get_dataset_shard("other")
        _report({}, json.dumps(rows))

    result = _fit(function, run_config, datasets={"train": dataset})
    assert result.checkpoint is not None
    rows = [json.loads(Path(result.checkpoint.path, f"rank{rank}.txt").read_text()) for rank in range(2)]
    assert [len(part) for part in rows] == [5, 5] and sorted(rows[0] + rows[1]) == list(range(10))


def test_what_is_no_data_set_is_refused(run_config: train.RunConfig) -> None:
    with pytest.raises(train.ControllerError, match="is a list, not a skate.data.Dataset"):
        _fit(lambda: None, run_config, datasets={"train": [1, 2]})


def test_what_can_be_seen_before_the_run() -> None:
    with pytest.raises(TypeError, match="not a callable"):
        DataParallelTrainer(5, run_config=None).fit()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 or 1 required arguments, but it accepts 2"):
        DataParallelTrainer(lambda a, b: None).fit()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Invalid `RunConfig` type"):
        DataParallelTrainer(lambda: None, run_config=air.RunConfig())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Invalid `ScalingConfig` type"):
        DataParallelTrainer(lambda: None, scaling_config=air.ScalingConfig())  # type: ignore[arg-type]
    with pytest.raises(DeprecationWarning, match="resume_from_checkpoint"):
        DataParallelTrainer(lambda: None, resume_from_checkpoint=train.Checkpoint("/tmp"))
    with pytest.raises(DeprecationWarning, match="metadata"):
        DataParallelTrainer(lambda: None, metadata={"a": 1})
    with pytest.raises(DeprecationWarning, match="deprecated"):
        DataParallelTrainer.restore("x")


def test_outside_of_a_run() -> None:
    with pytest.raises(RuntimeError, match="`report` cannot be used outside"):
        train.report({})
    with pytest.raises(RuntimeError, match="`get_context` cannot be used outside"):
        train.get_context()
    with pytest.raises(RuntimeError, match="`barrier` cannot be used outside"):
        collective.barrier()


def test_nothing_is_held_afterwards(run_config: train.RunConfig) -> None:
    _fit(lambda: None, run_config)
    assert skate.cluster_resources()["CPU"] == 2
    _fit(lambda: None, run_config)


def test_storage_that_cannot_rename(run_config: train.RunConfig, tmp_path: Path) -> None:
    fs = pytest.importorskip("pyarrow.fs")

    def function() -> bool:
        fresh = train.get_checkpoint() is None
        for step in range(2):
            _report({"step": step}, str(step))
        return fresh

    run_config.storage_filesystem = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    run_config.storage_path = "bucket/runs"
    run_config.checkpoint_config = train.CheckpointConfig(num_to_keep=1)
    assert _fit(function, run_config).return_value is True
    result = _fit(function, run_config)
    assert result.return_value is False and result.path == "bucket/runs/run"
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as place:
        assert sorted(os.listdir(place)) == ["rank0.txt", "rank1.txt"]
    assert len(list((tmp_path / "bucket/runs/run").glob("checkpoint_*"))) == 2, "one, and the list of them"
    again = train.Result.from_path(result.path, storage_filesystem=run_config.storage_filesystem)
    assert again.checkpoint == result.checkpoint


def test_a_checkpoint_that_was_not_brought_holds_up_nobody(run_config: train.RunConfig) -> None:
    def nowhere(checkpoint: train.Checkpoint, name: str) -> train.Checkpoint:
        raise OSError("no way there")

    def function() -> list[Any]:
        rank = train.get_context().get_world_rank()
        with tempfile.TemporaryDirectory() as place:
            try:
                train.report(
                    {"step": 0}, train.Checkpoint(place), checkpoint_upload_fn=nowhere if rank == 0 else None
                )
            except OSError:
                assert rank == 0
        _report({"step": 1}, "1")
        return [kept.metrics for kept in train.get_all_reported_checkpoints()]

    result = _fit(function, run_config)
    assert result.return_value == [{"step": 1}]
    assert result.checkpoint is not None
    assert not [name for name in os.listdir(result.path or "") if name.startswith(".partial")]
