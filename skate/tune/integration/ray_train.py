"""A callback of training runs that are trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.air.session import get_session as _get_session
from skate.train.v2.api.callback import UserCallback as _UserCallback

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

__all__ = [
    "CHECKPOINT_PATH_KEY",
    "TuneReportCallback",
]

CHECKPOINT_PATH_KEY = "checkpoint_path"
"""The key under which a trial's result names the newest checkpoint of its training run."""


class TuneReportCallback(_UserCallback):
    """Reports what rank 0 of a training run reports as results of the trial that has started the run.

    Make it inside the function that Tune runs, and pass it as `RunConfig(callbacks=[TuneReportCallback()])`. The run
    keeps the checkpoints; the results name the newest one.

    Raises:
        RuntimeError: made outside of a trial.
    """

    def __init__(self) -> None:
        session = _get_session()
        if session is None:
            raise RuntimeError(
                "TuneReportCallback must be used in a Tune session: make it inside the function that Tune runs."
            )
        self._session = session

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        """Report to the trial."""
        result = dict(metrics[0])
        if checkpoint is not None:
            result[CHECKPOINT_PATH_KEY] = checkpoint.path
        self._session.report(result)
