"""Reporting what Lightning logs."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from skate.air._checkpoint import Checkpoint as _Checkpoint
from skate.train._functions import report as _report
from skate.train._run.session import present_worker as _present_worker
from skate.train.collective import broadcast_from_rank_zero as _broadcast
from skate.train.lightning._library import base as _base
from skate.train.lightning._library import need as _need
from skate.train.v2.api.report_config import CheckpointUploadMode

if TYPE_CHECKING:
    from skate.train.v2.api.validation_config import ValidationTaskConfig

__all__ = [
    "RayTrainReportCallback",
]

_Base: Any = _base("callbacks", "Callback")


class RayTrainReportCallback(_Base):  # type: ignore[misc]  # known at run time only
    """Reports at the end of each epoch what is logged, with a checkpoint of the trainer's state.

    Args:
        checkpoint_upload_mode: When the checkpoint is copied to the run's storage; default: before training goes on.
        validation: Whether the checkpoint is validated, or how; see `train.report`.

    Raises:
        ImportError: Lightning is not installed.
    """

    CHECKPOINT_NAME = "checkpoint.ckpt"

    def __init__(
        self,
        checkpoint_upload_mode: CheckpointUploadMode | None = None,
        validation: bool | ValidationTaskConfig = False,
    ) -> None:
        _need("RayTrainReportCallback")
        super().__init__()
        self._mode = checkpoint_upload_mode or CheckpointUploadMode.SYNC
        self._validation = validation

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the epoch."""
        session = _present_worker("RayTrainReportCallback")
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        metrics["epoch"] = trainer.current_epoch
        metrics["step"] = trainer.global_step
        # One directory on each host, of the same name on all: sharded strategies have every worker write into it.
        directory = os.path.join(tempfile.gettempdir(), _broadcast(f"lightning-{os.urandom(8).hex()}"))
        os.makedirs(directory, exist_ok=True)
        try:
            trainer.save_checkpoint(os.path.join(directory, self.CHECKPOINT_NAME), weights_only=False)
            brings = session.local_rank == 0
            _report(
                metrics,
                _Checkpoint.from_directory(directory) if brings else None,
                checkpoint_upload_mode=self._mode,
                validation=self._validation,
            )
        finally:
            if self._mode is not CheckpointUploadMode.ASYNC and session.local_rank == 0:
                shutil.rmtree(directory, ignore_errors=True)
