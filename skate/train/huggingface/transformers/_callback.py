"""Reporting what Transformers logs and saves."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
from typing import Any

from skate.air._checkpoint import Checkpoint as _Checkpoint
from skate.train._functions import report as _report
from skate.train._run.session import present_worker as _present_worker
from skate.train.collective import barrier as _barrier

__all__ = [
    "RayTrainReportCallback",
]

_Base: Any = object
if importlib.util.find_spec("transformers") is not None:
    _Base = importlib.import_module("transformers.trainer_callback").TrainerCallback


class RayTrainReportCallback(_Base):  # type: ignore[misc]  # known at run time only
    """Reports, whenever Transformers saves a checkpoint, that checkpoint and the newest of each metric it has logged.

    Add it with `trainer.add_callback(RayTrainReportCallback())`; how often it saves, `TrainingArguments(save_strategy=…)` says.

    Raises:
        ImportError: Transformers is not installed.
    """

    CHECKPOINT_NAME = "checkpoint"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if _Base is object:
            raise ImportError(
                "RayTrainReportCallback needs Transformers: pip install transformers accelerate"
            )
        super().__init__(*args, **kwargs)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Report what has just been saved."""
        get_last_checkpoint = importlib.import_module("transformers.trainer_utils").get_last_checkpoint
        session = _present_worker("RayTrainReportCallback")
        metrics: dict[str, Any] = {}
        for entry in state.log_history:
            metrics.update(entry)
        if session.world_size > 1:
            _barrier()  # every worker writes into the same directory: what one copies, all have finished
        saved = get_last_checkpoint(args.output_dir) if session.local_rank == 0 else None
        with tempfile.TemporaryDirectory() as directory:
            if saved is None:
                _report(metrics)
                return
            shutil.copytree(saved, os.path.join(directory, self.CHECKPOINT_NAME))
            _report(metrics, _Checkpoint.from_directory(directory))
