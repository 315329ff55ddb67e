"""What prepares a group of workers for a framework: `BackendConfig` says how, its `Backend` does it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

__all__ = [
    "Backend",
    "BackendConfig",
]


class Backend:
    """Called around the training function, in the process that called `fit`. Does nothing by itself.

    `worker_group.execute(function, *args)` runs a function on every worker and returns what they return, in the order
    of ranks; `worker_group.execute_single(rank, function, *args)` runs it on one.
    """

    share_cuda_visible_devices: bool = False
    has_replica_groups: bool = False

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """The workers are there, and their ranks are known."""

    def on_training_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """The training function is about to be called."""

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """The training function has returned everywhere; the workers are still there."""


class BackendConfig:
    """How workers are prepared. Subclass it for a framework, with a `Backend` of its own."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that does the preparing."""
        return Backend

    @property
    def train_func_context(self) -> Any:
        """What makes the context manager inside which the training function runs."""
        return nullcontext

    @property
    def framework(self) -> Any:
        """The framework, or None."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """The settings by name."""
        return dict(vars(self))
