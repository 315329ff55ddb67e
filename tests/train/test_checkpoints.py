"""What is written of a run, and how an attempt takes what its workers say: without workers."""

from __future__ import annotations

import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from skate import train
from skate.train._run.attempt import Attempt, Outgrown
from skate.train._run.checkpoints import KeptCheckpoints, Report
from skate.train._run.scaling import GrowthWatch
from skate.train._run.session import ReportValue
from skate.train._run.storage import SNAPSHOT, RunStorage
from skate.train._run.validation import Validations


@pytest.fixture
def storage(tmp_path: Path) -> RunStorage:
    storage = RunStorage(str(tmp_path), "run")
    storage.prepare()
    return storage


def test_scalars_are_written_as_numbers(storage: RunStorage) -> None:
    np, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    values = [np.float32(0.5), torch.tensor(0.5), torch.ones(2), np.ones(2), {1}]
    storage.write_snapshot({"values": values})
    found = storage.read_snapshot()
    assert found == {"values": [0.5, 0.5, *(repr(each) for each in values[2:])]}
    assert json.dumps(found)


class _Told:
    """A listener, and a group of one worker that is never asked."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def reported(self, report: Report) -> None:
        self.reports.append(report)

    def __len__(self) -> int:
        return 1


def test_all_that_is_kept_is_told_before_the_group_grows(storage: RunStorage, tmp_path: Path) -> None:
    kept, told = KeptCheckpoints(storage, train.CheckpointConfig()), _Told()
    growth = GrowthWatch(60, now=0)
    growth.look(1, 60)
    group: Any = told
    attempt = Attempt(told, group, kept, Validations(None, kept), growth)  # type: ignore[arg-type]  # in part
    for step in range(2):  # two copies in the background, of which the second is there first
        kept.report([ReportValue(pickle.dumps({"step": step}), True, f"step-{step}")])
        (tmp_path / "run" / f".partial-step-{step}").mkdir()
    kept.uploaded("step-1", None)
    attempt._announce()
    assert told.reports == []
    kept.uploaded("step-0", None)
    with pytest.raises(Outgrown):
        attempt._announce(patience_s=None)
    assert [report.name for report in told.reports] == ["step-0", "step-1"]
    kept.close()


def _value(in_place: train.Checkpoint | None) -> ReportValue:
    return ReportValue(pickle.dumps({}), True, None, in_place)


def test_a_checkpoint_that_was_not_copied_is_found_again(storage: RunStorage, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere = train.Checkpoint(str(tmp_path / "elsewhere"))
    first = KeptCheckpoints(storage, train.CheckpointConfig())
    first.report([_value(elsewhere)])
    assert [report.checkpoint for report in first.take_committed()] == [elsewhere]
    first.close()
    again = KeptCheckpoints(storage, train.CheckpointConfig())
    again.load()
    assert again.latest == elsewhere


def test_ranks_copy_or_they_do_not(storage: RunStorage, tmp_path: Path) -> None:
    kept = KeptCheckpoints(storage, train.CheckpointConfig())
    with pytest.raises(ValueError, match="on every rank that brings a checkpoint"):
        kept.report([_value(train.Checkpoint(str(tmp_path))), _value(None)])


class _Slow(RunStorage):
    """Storage that does nothing before it may."""

    def __init__(self, root: str, may: threading.Event) -> None:
        super().__init__(root, "run")
        self.may = may

    def commit(self, name: str) -> None:
        assert self.may.wait(60)
        super().commit(name)


def test_slow_storage_holds_up_nobody(tmp_path: Path) -> None:
    may = threading.Event()
    storage = _Slow(str(tmp_path), may)
    storage.prepare()
    kept, told = KeptCheckpoints(storage, train.CheckpointConfig(num_to_keep=1)), _Told()
    group: Any = told
    attempt = Attempt(told, group, kept, Validations(None, kept))  # type: ignore[arg-type]  # in part
    for step in range(2):
        kept.report([ReportValue(pickle.dumps({"step": step}), True, f"step-{step}")])
        (tmp_path / "run" / f".partial-step-{step}").mkdir()
        kept.uploaded(f"step-{step}", None)
        attempt._announce(patience_s=0)
    kept.report([ReportValue(pickle.dumps({"step": 2}), False, None)])  # is taken meanwhile
    attempt._announce(patience_s=0)
    assert told.reports == [] and kept.busy and kept.pending
    may.set()
    attempt._announce(patience_s=None)
    kept.settle()
    assert [report.metrics[0]["step"] for report in told.reports] == [0, 1, 2] and not kept.pending
    assert kept.latest is not None and sorted(os.listdir(tmp_path / "run")) == [SNAPSHOT, "step-1"]
    kept.close()


class _Full(RunStorage):
    def commit(self, name: str) -> None:
        raise OSError(28, "No space left on device")


def test_what_the_storage_fails_with_is_told(tmp_path: Path) -> None:
    kept = KeptCheckpoints(_Full(str(tmp_path), "run"), train.CheckpointConfig())
    kept.report([ReportValue(pickle.dumps({}), True, "step-0")])
    kept.uploaded("step-0", None)
    with pytest.raises(OSError, match="No space left"):
        kept.take_committed()
    with pytest.raises(OSError, match="No space left"):
        kept.settle()
    kept.close()
