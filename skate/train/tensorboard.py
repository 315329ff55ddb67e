"""What rank 0 reports, for TensorBoard: `pip install tensorboardX`, and `tensorboard --logdir` on the run's directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skate.train.v2.api.callback import UserCallback as _UserCallback

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

__all__ = ["TensorBoardCallback"]


class TensorBoardCallback(_UserCallback):
    """Writes the numbers of each report as scalars, over the number of the report.

    Args:
        logdir: Where to; default: "tensorboard" in the run's directory.

    Raises:
        ImportError: tensorboardX is not installed.

    Where tensorboardX is installed, `train.RunConfig(callbacks=[TensorBoardCallback("/tmp/curves")])` is all that a run needs.
    """

    def __init__(self, logdir: str | os.PathLike[str] | None = None) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard files need tensorboardX: pip install "tensorboardX"') from error
        self._make_writer = SummaryWriter
        self._logdir = None if logdir is None else os.fspath(logdir)
        self._writer: Any = None
        self._reports = 0

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        """Write the numbers of rank 0.

        Raises:
            ValueError: the run is kept on remote storage, and no `logdir` was given.
        """
        self._reports += 1
        if self._writer is None:
            self._writer = self._make_writer(self._logdir or _beside(run_context))
        for name, value in metrics[0].items():
            number = _as_number(value)
            if number is not None:
                self._writer.add_scalar(name, number, global_step=self._reports)
        self._writer.flush()

    def at_end(self, run_context: Any) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    is_scalar = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return float(value.item()) if is_scalar else None


def _beside(run_context: Any) -> str:
    storage = run_context.get_run_config().storage_context
    if not storage.store.is_local:
        raise ValueError(
            f"the run is kept at {storage.path!r} on a {storage.store.type_name} file system, to which TensorBoard's files can't "
            "be written as they grow: give a local directory, TensorBoardCallback(logdir=…)."
        )
    return os.path.join(storage.path, "tensorboard")
