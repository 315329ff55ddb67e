"""Runs a training loop of PyTorch on several workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._config import RunConfig, ScalingConfig
    from skate.train._data_config import DataConfig
    from skate.train.torch.config import TorchConfig
    from skate.train.v2.api.validation_config import ValidationConfig

__all__ = [
    "TorchTrainer",
]


class TorchTrainer(DataParallelTrainer):
    """A `DataParallelTrainer` whose workers are a process group of PyTorch.

    Args:
        train_loop_per_worker: The training function. It takes nothing, or `train_loop_config`.
        train_loop_config: What it is given.
        torch_config: How the process group is made.
        scaling_config: How many workers there are, and what each holds.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name.
        dataset_config: How they are split.
        validation_config: How checkpoints are validated beside the training.
        metadata: No longer accepted: pass it in `train_loop_config`.
        resume_from_checkpoint: No longer accepted: pass the checkpoint in `train_loop_config`.
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: dict[str, Any] | None = None,
        torch_config: TorchConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        validation_config: ValidationConfig | None = None,
        metadata: dict[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
    ) -> None:
        from skate.train.torch.config import TorchConfig

        super().__init__(
            train_loop_per_worker,
            train_loop_config=train_loop_config,
            backend_config=torch_config or TorchConfig(),
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            dataset_config=dataset_config,
            resume_from_checkpoint=resume_from_checkpoint,
            metadata=metadata,
            validation_config=validation_config,
        )
