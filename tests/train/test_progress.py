"""What shows how far a run is: the line on a terminal, and TensorBoard's files."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from skate import train
from skate.train._run.controller import RunContext
from skate.train._run.progress import ProgressLine, described
from skate.train.backend import BackendConfig


def test_a_report_in_one_line() -> None:
    assert (
        described({"epoch": 3, "loss": 0.123456, "done": True, "name": "a", "list": [1]})
        == "epoch=3 loss=0.1235"
    )
    assert described({str(number): number for number in range(9)}).endswith("5=5 …")
    assert described({}) == ""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_it_is_drawn_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[dict[str, Any]] = []

    class Bar:
        def __init__(self, **options: Any) -> None:
            drawn.append(options)

        def set_description(self, text: str) -> None:
            drawn[-1]["desc"] = text

        def update(self, number: int) -> None:
            drawn[-1]["n"] = drawn[-1].get("n", 0) + number

        def close(self) -> None:
            drawn[-1]["closed"] = True

    monkeypatch.setattr("skate.experimental.tqdm_ray.tqdm", Bar)

    def use() -> None:
        line = ProgressLine("run")
        line.begin(2)
        for step in range(3):
            line.reported({"step": step})
        line.close()

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    use()
    assert drawn == []
    monkeypatch.setattr(sys, "stderr", _Terminal())
    use()
    assert len(drawn) == 1 and drawn[0]["n"] == 3 and drawn[0]["closed"]
    assert drawn[0]["desc"] == "run on 2 worker(s) step=2" and drawn[0]["unit"] == "report"
    monkeypatch.setenv("SKATE_TRAIN_PROGRESS", "0")
    use()
    assert len(drawn) == 1


def _context(**options: Any) -> RunContext:
    config = train.RunConfig(name="run", **options)
    return RunContext(config, None, train.ScalingConfig(), BackendConfig(), {}, train.DataConfig())


def test_tensorboard_has_the_numbers(tmp_path: Path) -> None:
    from skate.train.tensorboard import TensorBoardCallback

    callback, context = TensorBoardCallback(), _context(storage_path=str(tmp_path))
    for step in range(3):
        callback.after_report(context, [{"loss": 1 / (step + 1), "name": "a", "ok": True}, {"loss": 9}], None)
    callback.at_end(context)
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert _scalars(file) == [("loss", 1, 1.0), ("loss", 2, 0.5), ("loss", 3, pytest.approx(1 / 3))]


def _scalars(file: Path) -> list[tuple[str, int, float]]:
    from tensorboardX.proto.event_pb2 import Event

    data, found = file.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")  # a record: length, its checksum, the event, its checksum
        event = Event.FromString(data[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        data = data[16 + length :]
    return found


def test_tensorboard_needs_a_local_place() -> None:
    fs = pytest.importorskip("pyarrow.fs")
    from skate.train.tensorboard import TensorBoardCallback

    context = _context(storage_path="bucket/runs", storage_filesystem=fs._MockFileSystem())
    with pytest.raises(ValueError, match="give a local directory"):
        TensorBoardCallback().after_report(context, [{"loss": 1}], None)
