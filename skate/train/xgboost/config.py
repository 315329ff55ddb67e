"""How XGBoost's workers find one another: over its own tracker, in the worker of rank 0."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from skate.train.backend import Backend, BackendConfig

__all__ = [
    "XGBoostConfig",
]

_arguments: dict[str, Any] = {}


@dataclass
class XGBoostConfig(BackendConfig):
    """How XGBoost's workers exchange what they have learnt.

    Args:
        xgboost_communicator: "rabit", the one there is.
    """

    xgboost_communicator: str = "rabit"

    def __post_init__(self) -> None:
        if self.xgboost_communicator != "rabit":
            raise NotImplementedError(f"Unsupported backend: {self.xgboost_communicator}. Use 'rabit'.")

    @property
    def backend_cls(self) -> type[Backend]:
        """What starts the tracker."""
        return _XGBoostBackend

    @property
    def train_func_context(self) -> Any:
        """The training function runs inside XGBoost's communicator."""
        return _communicator


@contextmanager
def _communicator() -> Iterator[None]:
    from xgboost.collective import CommunicatorContext

    with CommunicatorContext(**_arguments):
        yield


class _XGBoostBackend(Backend):
    def on_training_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Start the tracker on a port that the kernel chooses, and tell the workers."""
        host = "127.0.0.1"
        if len({member.node_id for member in worker_group.members}) > 1:
            host = worker_group.execute_single(0, _address)
        arguments = worker_group.execute_single(0, _start_tracker, len(worker_group), host)
        worker_group.wait(
            [
                worker_group.execute_single_async(
                    rank, _set_arguments, {**arguments, "dmlc_task_id": f"[{rank:08d}]"}
                )
                for rank in range(len(worker_group))
            ]
        )


_tracker: Any = None


def _address() -> str:
    import socket

    return socket.gethostbyname(socket.gethostname())


def _start_tracker(workers: int, host: str) -> dict[str, Any]:
    """On rank 0. Ranks are those of the task ids."""
    from xgboost.tracker import RabitTracker

    global _tracker
    _tracker = RabitTracker(n_workers=workers, host_ip=host, sortby="task")
    _tracker.start()
    return dict(_tracker.worker_args())


def _set_arguments(arguments: dict[str, Any]) -> None:
    _arguments.clear()
    _arguments.update(arguments)
