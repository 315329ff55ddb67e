"""The session that code runs in: a trial of Tune, or a worker of Train. Outside of both there is none.

`report`, `get_checkpoint` and the questions about rank, trial and run are answered by the session of the code that asks.
Tune and Train put theirs in its place with `inside` or `enter`.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

__all__ = [
    "Session",
    "enter",
    "get_checkpoint",
    "get_dataset_shard",
    "get_experiment_name",
    "get_local_rank",
    "get_local_world_size",
    "get_metadata",
    "get_node_rank",
    "get_session",
    "get_storage",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "get_world_rank",
    "get_world_size",
    "inside",
    "present",
    "report",
    "warn_outside",
]

_own: ContextVar[Session | None] = ContextVar("skate_session", default=None)
_current: Session | None = None
_open: list[Session] = []
_lock = threading.Lock()
_logger = logging.getLogger(__name__)
_warned: set[str] = set()


class Session(ABC):
    """What code that is run by Tune or Train can ask for."""

    experiment_name: str | None = None
    trial_name: str | None = None
    trial_id: str | None = None
    trial_dir: str | None = None
    trial_resources: Any = None
    metadata: dict[str, Any] | None = None
    storage: Any = None
    world_size = 1
    world_rank = 0
    local_rank = 0
    local_world_size = 1
    node_rank = 0

    @abstractmethod
    def report(self, metrics: dict[str, Any], checkpoint: Checkpoint | None = None, **options: Any) -> None:
        """Hand metrics, and perhaps a checkpoint, to whoever runs this code."""

    @abstractmethod
    def get_checkpoint(self) -> Checkpoint | None:
        """The checkpoint to go on from."""

    def get_dataset_shard(self, name: str | None = None) -> Any:
        """This worker's part of a data set."""
        raise RuntimeError(
            f"there is no data set {name!r} here: only the workers of a Train run are given shards of one."
        )


def get_session() -> Session | None:
    """The session that this code is in, or None."""
    return _own.get() or _current


def present(name: str) -> Session:
    """The session that this process is in.

    Args:
        name: The function that needs it, for the error.

    Raises:
        RuntimeError: there is none.
    """
    if (session := get_session()) is None:
        raise RuntimeError(
            f"`{name}` cannot be used outside of a Ray Train training function: call it in a function that a trainer or "
            "a Tuner runs."
        )
    return session


def enter(session: Session | None) -> Session | None:
    """Put a session in place for the whole process; None leaves the present one.

    Args:
        session: The session that the code about to run is in.

    Returns:
        The session that was in place before.
    """
    global _current
    with _lock:
        before, _current = _current, session
    return before


@contextmanager
def inside(session: Session) -> Iterator[None]:
    """Be in a session for as long as the block lasts.

    Code that runs in the block's context is in it even if other sessions come and go meanwhile, as they do where several
    trials share one process. Threads that such code starts are in the session that has been entered last.

    Args:
        session: The session.
    """
    global _current
    token = _own.set(session)
    with _lock:
        _open.append(session)
        _current = session
    try:
        yield
    finally:
        _own.reset(token)
        with _lock:
            _open.remove(session)
            _current = _open[-1] if _open else None


def warn_outside(name: str) -> None:
    """Say once that a function was called where there is no session, and does nothing."""
    if name not in _warned:
        _warned.add(name)
        _logger.warning(
            "`%s` is meant to only be called inside a function that is executed by a Tuner or Trainer. "
            "Returning `None`.",
            name,
        )


def report(metrics: dict[str, Any], *, checkpoint: Checkpoint | None = None) -> None:
    """Report metrics and, if there is one, a checkpoint.

    Args:
        metrics: Values by name.
        checkpoint: A checkpoint that is kept with them.
    """
    session = get_session()
    if session is None:
        warn_outside("report")
        return
    session.report(metrics, checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint to go on from, or None if this is a fresh start."""
    session = get_session()
    if session is None:
        warn_outside("get_checkpoint")
        return None
    return session.get_checkpoint()


def _ask(attribute: str, function: str) -> Any:
    session = get_session()
    if session is None:
        warn_outside(function)
        return None
    return getattr(session, attribute)


def get_experiment_name() -> Any:
    """The name of the experiment."""
    return _ask("experiment_name", "get_experiment_name")


def get_trial_name() -> Any:
    """The trial's name."""
    return _ask("trial_name", "get_trial_name")


def get_trial_id() -> Any:
    """The trial's id."""
    return _ask("trial_id", "get_trial_id")


def get_trial_resources() -> Any:
    """The bundles of resources that the trial holds."""
    return _ask("trial_resources", "get_trial_resources")


def get_trial_dir() -> Any:
    """The directory that the trial runs in."""
    return _ask("trial_dir", "get_trial_dir")


def get_metadata() -> Any:
    """What the user gave the run to carry."""
    return _ask("metadata", "get_metadata")


def get_storage() -> Any:
    """Where the run is kept."""
    return _ask("storage", "get_storage")


def get_world_size() -> Any:
    """How many workers the run has."""
    return _ask("world_size", "get_world_size")


def get_world_rank() -> Any:
    """This worker's number among all."""
    return _ask("world_rank", "get_world_rank")


def get_local_rank() -> Any:
    """This worker's number among those of its host."""
    return _ask("local_rank", "get_local_rank")


def get_local_world_size() -> Any:
    """How many workers this host has."""
    return _ask("local_world_size", "get_local_world_size")


def get_node_rank() -> Any:
    """This host's number among those of the run."""
    return _ask("node_rank", "get_node_rank")


def get_dataset_shard(dataset_name: str | None = None) -> Any:
    """This worker's part of a data set."""
    session = get_session()
    if session is None:
        warn_outside("get_dataset_shard")
        return None
    return session.get_dataset_shard(dataset_name)
