"""What workers of a run exchange outside of their framework: small values, and waiting for one another."""

from __future__ import annotations

from typing import TypeVar

import cloudpickle

from skate.train._run.session import present_worker as _present_worker

__all__ = [
    "barrier",
    "broadcast_from_rank_zero",
]

_T = TypeVar("_T")


def broadcast_from_rank_zero(data: _T) -> _T:
    """Give every worker what rank 0 passes. Every worker has to call it.

    Args:
        data: On rank 0, what the others are to have; a small value that can be pickled.

    Returns:
        What rank 0 has passed.

    Raises:
        RuntimeError: called outside of a training function.
    """
    session = _present_worker("broadcast_from_rank_zero")
    given = cloudpickle.dumps(data) if session.world_rank == 0 else None
    value: _T = cloudpickle.loads(session.meet("broadcast_from_rank_zero", given))
    return value


def barrier() -> None:
    """Wait until every worker has called it.

    Raises:
        RuntimeError: called outside of a training function.
    """
    _present_worker("barrier").meet("barrier")
