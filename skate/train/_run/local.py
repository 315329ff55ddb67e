"""A run without workers (`num_workers=0`): the training function runs in the process that calls `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.air.session import inside
from skate.train._run.session import TrainingSession
from skate.train.v2.api.result import Result

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._run.controller import RunContext
    from skate.train.v2.api.report_config import CheckpointConsistencyMode

__all__ = [
    "LocalRun",
    "LocalSession",
]


class LocalSession(TrainingSession):
    """Keeps what is reported last, and copies nothing. A process that torchrun has started takes its rank from there.

    Args:
        name: The run's name.
        datasets: The data sets by name; this process reads the whole of each.
    """

    def __init__(self, name: str, datasets: dict[str, Any]) -> None:
        self.experiment_name = name
        self.world_rank = int(os.environ.get("RANK", "0"))
        self.world_size = int(os.environ.get("WORLD_SIZE", "1"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        self.node_rank = int(os.environ.get("GROUP_RANK", "0"))
        self._shards = datasets
        self.metrics: dict[str, Any] | None = None
        self.checkpoint: Checkpoint | None = None

    def meet(self, kind: str, value: Any = None) -> Any:
        """Wait for the other processes of torchrun, if there are any.

        Returns:
            What rank 0 brings.
        """
        if self.world_size == 1:
            return value
        import torch.distributed as dist

        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def report(self, metrics: dict[str, Any], checkpoint: Checkpoint | None = None, **options: Any) -> None:
        """Take note of metrics and a checkpoint, which stays where it is."""
        self.check_report(metrics, checkpoint)
        self.metrics, self.checkpoint = metrics, checkpoint

    def get_checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the last report."""
        return self.checkpoint

    def reported_checkpoints(self, mode: CheckpointConsistencyMode, timeout_s: float | None) -> list[Any]:
        """None: nothing is kept."""
        return []


class LocalRun:
    """Calls the training function. What it raises is raised as it is.

    Args:
        context: What the run is made of.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def run(self, function: Callable[[], Any]) -> Result:
        """Train.

        Args:
            function: The training function, without arguments.

        Returns:
            What was reported last, and what the function has returned. Such a run has no directory.
        """
        datasets = {name: each() if callable(each) else each for name, each in self._context.datasets.items()}
        session = LocalSession(self._context.run_config.name, datasets)
        with inside(session), self._context.backend_config.train_func_context():
            value = function()
        return Result(session.metrics, session.checkpoint, None, path=None, return_value=value)
