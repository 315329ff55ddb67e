"""What a training function calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.air import session as _session
from skate.train.context import TrainContext

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint


def _present(name: str) -> _session.Session:
    session = _session.get_session()
    if session is None:
        raise RuntimeError(
            f"`train.{name}` cannot be used outside of a training function: call it in a function that a trainer or "
            "a Tuner runs."
        )
    return session


def report(metrics: dict[str, Any], checkpoint: Checkpoint | None = None, **options: Any) -> None:
    """Report metrics and, if there is one, a checkpoint. Every worker of a run has to call it equally often.

    Args:
        metrics: Values by name.
        checkpoint: A checkpoint that is kept with them.
        **options: How the checkpoint is kept, where the session knows of choices.

    Raises:
        RuntimeError: called where no training function runs.
    """
    _present("report").report(metrics, checkpoint, **options)


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint to go on from, or None if this is a fresh start.

    Raises:
        RuntimeError: called where no training function runs.
    """
    return _present("get_checkpoint").get_checkpoint()


def get_context() -> TrainContext:
    """What the training function can ask about its run."""
    return TrainContext()
