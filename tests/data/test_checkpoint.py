"""Writes that go on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import skate
import skate.data
from skate.data.checkpoint import (
    CheckpointBackend,
    CheckpointConfig,
    CheckpointFilter,
    IdColumnCheckpointManager,
    NumpyArrayBasedCheckpointFilter,
)
from skate.data.checkpoint.interfaces import InvalidCheckpointingConfig, InvalidCheckpointingOperators
from skate.data.expressions import col


@pytest.fixture
def context() -> Any:
    current = skate.data.DataContext.get_current()
    yield current
    current.checkpoint_config = None


def _ids(folder: Path, ending: str = "parquet") -> list[Any]:
    found: list[Any] = []
    for file in folder.glob(f"*.{ending}"):
        if ending == "parquet":
            found += pq.read_table(file)["id"].to_pylist()
        else:
            found += [json.loads(line)["id"] for line in file.read_text().splitlines()]
    return sorted(found)


def _fails_at(number: int) -> Any:
    def check(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == number:
            raise ValueError("interrupted")
        return row

    return check


def test_config_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_DATA_CHECKPOINT_PATH_BUCKET", raising=False)
    for wrong in (None, "", 5):
        with pytest.raises(InvalidCheckpointingConfig, match="ID column must be a non-empty string"):
            CheckpointConfig(wrong, str(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(InvalidCheckpointingConfig, match="RAY_DATA_CHECKPOINT_PATH_BUCKET"):
        CheckpointConfig("id")
    with pytest.raises(InvalidCheckpointingConfig, match="Invalid checkpoint path"):
        CheckpointConfig("id", str(tmp_path), override_backend="FILE")  # type: ignore[arg-type]
    with pytest.raises(InvalidCheckpointingConfig, match="must be a subclass of `CheckpointFilter`"):
        CheckpointConfig("id", str(tmp_path), checkpoint_filter_cls=int)  # type: ignore[arg-type]
    monkeypatch.setenv("RAY_DATA_CHECKPOINT_PATH_BUCKET", str(tmp_path))
    config = CheckpointConfig("id")
    assert config.checkpoint_path == f"{tmp_path}/ray_data_checkpoint"
    assert config.backend is CheckpointBackend.FILE_STORAGE


def test_context_takes_a_config_a_dict_or_none(context: Any, tmp_path: Path) -> None:
    context.checkpoint_config = {"id_column": "id", "checkpoint_path": str(tmp_path)}
    assert isinstance(context.checkpoint_config, CheckpointConfig)
    with pytest.raises(TypeError, match="checkpoint_config must be a CheckpointConfig instance"):
        context.checkpoint_config = "id"


@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_rerun_writes_what_is_left(context: Any, tmp_path: Path, ending: str) -> None:
    notes, out = tmp_path / "notes", tmp_path / "out"
    context.checkpoint_config = CheckpointConfig("id", str(notes))
    dataset = skate.data.range(6, override_num_blocks=6)

    def write(dataset: Any) -> None:
        (dataset.write_parquet if ending == "parquet" else dataset.write_json)(str(out))

    with pytest.raises(Exception, match="interrupted"):
        write(dataset.map(_fails_at(3)))
    done = _ids(out, ending)
    assert 3 not in done
    assert _ids(notes) == done
    calls = tmp_path / "calls"
    calls.mkdir()

    def seen(row: dict[str, Any]) -> dict[str, Any]:
        (calls / str(row["id"])).touch()
        return row

    write(dataset.map(seen))
    assert _ids(out, ending) == [0, 1, 2, 3, 4, 5]
    assert sorted(int(file.name) for file in calls.iterdir()) == sorted(set(range(6)) - set(done))
    assert list(notes.iterdir()) == []


def test_notes_are_kept_if_asked_and_nothing_is_written_twice(context: Any, tmp_path: Path) -> None:
    notes, out = tmp_path / "notes", tmp_path / "out"
    context.checkpoint_config = CheckpointConfig("id", str(notes), delete_checkpoint_on_success=False)
    dataset = skate.data.range(4, override_num_blocks=2)
    for _ in range(2):
        dataset.write_parquet(str(out))
        assert _ids(out) == _ids(notes) == [0, 1, 2, 3]
    assert dataset.count() == len(dataset.take_all()) == 4, "only writes leave rows out"


def test_what_an_interrupted_task_left_is_deleted(context: Any, tmp_path: Path) -> None:
    notes, out = tmp_path / "notes", tmp_path / "out"
    context.checkpoint_config = CheckpointConfig("id", str(notes), delete_checkpoint_on_success=False)
    skate.data.range(2, override_num_blocks=1).write_parquet(str(out))
    (valid,) = notes.glob("*.parquet")
    valid.rename(valid.with_name(valid.name.replace(".parquet", ".pending.parquet")))
    skate.data.range(2, override_num_blocks=1).write_parquet(str(out))
    assert _ids(out) == _ids(notes) == [0, 1]
    assert len(list(notes.iterdir())) == 1


def test_id_column_must_be_read_and_written(context: Any, tmp_path: Path) -> None:
    context.checkpoint_config = CheckpointConfig("key", str(tmp_path / "notes"))
    with pytest.raises(Exception, match="ID column key is absent in the block to be written"):
        skate.data.range(2).write_parquet(str(tmp_path / "out"))
    assert _ids(tmp_path / "out") == []


class _RowsAppearAtTheEnd(skate.data.Datasink[list[int]]):
    def __init__(self) -> None:
        self.started = False

    def on_write_start(self, schema: Any = None) -> None:
        self.started = True

    def write(self, blocks: Any, ctx: Any) -> list[int]:
        return [number for block in blocks for number in block["id"].to_pylist()]

    def on_write_complete(self, write_result: Any) -> None:
        self.rows = write_result.write_returns


def test_a_sink_whose_rows_appear_at_the_end_is_refused(context: Any, tmp_path: Path) -> None:
    notes, sink = tmp_path / "notes", _RowsAppearAtTheEnd()
    context.checkpoint_config = CheckpointConfig("id", str(notes))
    with pytest.raises(InvalidCheckpointingOperators, match="RowsAppearAtTheEnd makes rows visible when all"):
        skate.data.range(2).write_datasink(sink)
    assert not sink.started and not notes.exists()
    context.checkpoint_config = None
    skate.data.range(2, override_num_blocks=1).write_datasink(sink)
    assert sink.rows == [[0, 1]]


@pytest.mark.parametrize("ending", ["parquet", "json"])
def test_overwriting_that_goes_on_takes_away_what_was_there(
    context: Any, tmp_path: Path, ending: str
) -> None:
    out = tmp_path / "out"

    def write(dataset: Any, mode: str) -> None:
        (dataset.write_parquet if ending == "parquet" else dataset.write_json)(str(out), mode=mode)

    write(skate.data.range(3).map(lambda row: {"id": row["id"] + 100}), "append")
    (out / "other.txt").touch()
    context.checkpoint_config = CheckpointConfig(
        "id", str(tmp_path / "notes"), delete_checkpoint_on_success=False
    )
    write(
        skate.data.range(2), "append"
    )  # leaves what an overwriting run that is interrupted after two rows does
    assert _ids(out, ending) == [0, 1, 100, 101, 102]
    for _ in range(2):
        write(skate.data.range(6, override_num_blocks=3), "overwrite")
        assert _ids(out, ending) == [0, 1, 2, 3, 4, 5]
        assert not (out / "other.txt").exists()


@pytest.mark.parametrize("kind", ["items", "limit"])
def test_a_plan_that_can_not_go_on_begins_anew(context: Any, tmp_path: Path, kind: str) -> None:
    notes, out = tmp_path / "notes", tmp_path / "out"
    context.checkpoint_config = CheckpointConfig("id", str(notes), delete_checkpoint_on_success=False)
    skate.data.range(2).write_parquet(str(tmp_path / "noted"))
    if kind == "items":
        dataset: Any = skate.data.range(4, override_num_blocks=4).materialize()
    else:
        dataset = skate.data.range(6, override_num_blocks=6).limit(4)
    with pytest.warns(UserWarning, match="begins anew"), pytest.raises(Exception, match="interrupted"):
        dataset.map(_fails_at(3)).write_parquet(str(out))
    assert _ids(out) == []
    with pytest.warns(UserWarning, match="begins anew"):
        dataset.write_parquet(str(out))
    assert _ids(out) == [0, 1, 2, 3]
    assert _ids(notes) == [0, 1]


def test_text_ids_and_relational_operators(context: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    names = ["b", "a", "d", "c"]
    pd.DataFrame({"id": names, "n": range(4)}).to_parquet(source / "1.parquet")
    context.checkpoint_config = CheckpointConfig(
        "id", str(tmp_path / "notes"), delete_checkpoint_on_success=False
    )
    skate.data.read_parquet(str(source)).filter(expr=col("n") < 2).write_parquet(str(tmp_path / "first"))
    skate.data.read_parquet(str(source)).sort("id").write_parquet(str(out))
    assert _ids(tmp_path / "first") == ["a", "b"]
    assert _ids(out) == ["c", "d"]


class _EvenAreDone(CheckpointFilter):
    def filter_rows_for_block(self, block: Any) -> Any:
        return block.filter(pa.array([number % 2 == 1 for number in block["id"].to_pylist()]))


def test_filter_and_manager_of_ones_own(context: Any, tmp_path: Path) -> None:
    class Manager(IdColumnCheckpointManager):
        def load_checkpoint(self, data_file_dir: Any = None, data_file_filesystem: Any = None) -> Any:
            assert data_file_dir == str(tmp_path / "out")
            return skate.put("opaque"), 6

    context.checkpoint_config = CheckpointConfig(
        "id", str(tmp_path / "notes"), checkpoint_filter_cls=_EvenAreDone, checkpoint_manager_cls=Manager
    )
    skate.data.range(4).write_parquet(str(tmp_path / "out"))
    assert _ids(tmp_path / "out") == [1, 3]


def test_manager_and_filter_alone(context: Any, tmp_path: Path) -> None:
    config = CheckpointConfig("id", str(tmp_path / "notes"), delete_checkpoint_on_success=False)
    manager = IdColumnCheckpointManager(checkpoint_config=config, data_context=context)
    assert manager.load_checkpoint() == (None, 0)
    context.checkpoint_config = config
    skate.data.range(3).write_parquet(str(tmp_path / "out"))
    ref, size = manager.load_checkpoint()
    np.testing.assert_array_equal(skate.get(ref), [0, 1, 2])
    assert size == 24
    left = NumpyArrayBasedCheckpointFilter(config, ref).filter_rows_for_block(pa.table({"id": [0, 9, 2]}))  # type: ignore[arg-type]
    assert left["id"].to_pylist() == [9]
    with pytest.raises(ValueError, match="not among the columns that are read"):
        NumpyArrayBasedCheckpointFilter(config, ref).filter_rows_for_block(pa.table({"x": [0]}))  # type: ignore[arg-type]
