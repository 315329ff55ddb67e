"""Checkpoints that are copied in the background hold up no step, however slow the storage is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skate import train
from skate.train.collective import barrier
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from tests.support import wait_until

fsspec_local = pytest.importorskip("fsspec.implementations.local")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.usefixtures("session")


def _wait_for(mark: Path) -> None:
    wait_until(mark.exists, timeout=30, what=f"{mark.name}: the training must not be held up")


_Local: Any = fsspec_local.LocalFileSystem


class _Held(_Local):  # type: ignore[misc]  # known at run time only
    """A disk that writes nothing before it may: neither a worker's files nor the run's list."""

    def __init__(self, place: str, **options: Any) -> None:
        super().__init__(**options)
        self.place = place

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if "w" in mode:
            kind = "list" if path.endswith(".json") else "files"
            Path(self.place, f"{kind}-begun").touch()
            _wait_for(Path(self.place, f"{kind}-may"))
        return super()._open(path, mode, **options)


def _function(config: dict[str, str]) -> int:
    place, rank = Path(config["place"]), train.get_context().get_world_rank()
    saved = place / f"saved-{rank}"
    saved.mkdir()
    (saved / f"{rank}.txt").write_text("0.5")
    mode = train.CheckpointUploadMode.ASYNC
    train.report({"step": 0}, train.Checkpoint(str(saved)), checkpoint_upload_mode=mode)
    step = 0
    for kind in ("files", "list"):
        _wait_for(place / f"{kind}-begun")
        for _ in range(3):
            step += 1
            train.report({"step": step})
        barrier()
        (place / f"{kind}-may").touch()
    return step


def test_steps_go_on_while_storage_is_at_work(tmp_path: Path) -> None:
    result = DataParallelTrainer(
        _function,
        train_loop_config={"place": str(tmp_path)},
        scaling_config=train.ScalingConfig(num_workers=2),
        run_config=train.RunConfig(
            name="run", storage_path=str(tmp_path / "runs"), storage_filesystem=_Held(str(tmp_path))
        ),
    ).fit()
    assert result.return_value == 6 and result.metrics == {"step": 0}
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as directory:
        assert sorted(file.name for file in Path(directory).iterdir()) == ["0.txt", "1.txt"]
