"""What a training function calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.air import session as _session
from skate.train.v2.api.report_config import CheckpointConsistencyMode, CheckpointUploadMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.air._checkpoint import Checkpoint
    from skate.train.v2.api.reported_checkpoint import ReportedCheckpoint
    from skate.train.v2.api.validation_config import ValidationTaskConfig


def report(
    metrics: dict[str, Any],
    checkpoint: Checkpoint | None = None,
    checkpoint_dir_name: str | None = None,
    checkpoint_upload_mode: CheckpointUploadMode = CheckpointUploadMode.SYNC,
    delete_local_checkpoint_after_upload: bool | None = None,
    checkpoint_upload_fn: Callable[[Checkpoint, str], Checkpoint] | None = None,
    validation: bool | ValidationTaskConfig = False,
) -> None:
    """Report metrics and, if there is one, a checkpoint. Every worker of a run has to call it equally often.

    Args:
        metrics: Values by name.
        checkpoint: A checkpoint that is kept with them. What several workers pass is put together as one.
        checkpoint_dir_name: The name of its directory; default: one with the time.
        checkpoint_upload_mode: When it is copied to the run's storage.
        delete_local_checkpoint_after_upload: Whether the directory is removed then; default: if it is copied in the
            background.
        checkpoint_upload_fn: Copies it, instead: called with the checkpoint and the directory's name, it returns the
            checkpoint that it has made.
        validation: Whether the checkpoint is validated beside the training, by the trainer's `ValidationConfig`; or what this
            validation is given.

    Raises:
        RuntimeError: called where no training function runs.
        ValueError: `validation` was given, but the trainer has no `validation_config`.
    """
    options: dict[str, Any] = {
        "checkpoint_dir_name": checkpoint_dir_name,
        "checkpoint_upload_mode": checkpoint_upload_mode,
        "delete_local_checkpoint_after_upload": delete_local_checkpoint_after_upload,
        "checkpoint_upload_fn": checkpoint_upload_fn,
        "validation": validation,
    }
    _session.present("report").report(metrics, checkpoint, **options)


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint to go on from, or None if this is a fresh start.

    Raises:
        RuntimeError: called where no training function runs.
    """
    return _session.present("get_checkpoint").get_checkpoint()


def get_dataset_shard(dataset_name: str | None = None) -> Any:
    """This worker's part of a data set that the trainer was given.

    Args:
        dataset_name: Its name; default: "train".

    Raises:
        RuntimeError: called where no training function runs.
        KeyError: the trainer was given none of this name.
    """
    return _session.present("get_dataset_shard").get_dataset_shard(dataset_name)


def get_all_reported_checkpoints(
    consistency_mode: CheckpointConsistencyMode = CheckpointConsistencyMode.VALIDATED,
    timeout_s: float | None = None,
) -> list[ReportedCheckpoint]:
    """All checkpoints that this run has kept. It waits until those that are reported already are kept.

    Args:
        consistency_mode: Whether it waits until their validations have ended, too.
        timeout_s: Seconds after which it waits no longer, and lists what there is; None: it waits as long as it takes.

    Returns:
        The checkpoints with their metrics, the worst first; where no score decides which are kept, the newest last.

    Raises:
        RuntimeError: called outside of a trainer's training function.
    """
    from skate.train._run.session import present_worker

    return present_worker("get_all_reported_checkpoints").reported_checkpoints(consistency_mode, timeout_s)
