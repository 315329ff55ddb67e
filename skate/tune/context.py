"""What a trial can ask about itself."""

from __future__ import annotations

from skate.train.context import TrainContext

__all__ = [
    "TuneContext",
    "get_context",
]


class TuneContext(TrainContext):
    """Answers questions about the trial in which it is asked."""


def get_context() -> TuneContext:
    """What a trial can ask about itself.

    Returns:
        The context; outside of a trial its answers are None.
    """
    return TuneContext()
