"""A trainer of the first generation whose workers are one group of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.train.data_parallel_trainer import DataParallelTrainer
from skate.train.tensorflow.config import TensorflowConfig

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.air.config import RunConfig, ScalingConfig
    from skate.train._data_config import DataConfig

__all__ = ["TensorflowTrainer"]


class TensorflowTrainer(DataParallelTrainer):
    """A `DataParallelTrainer` of the first generation whose workers are one group of TensorFlow.

    Args:
        train_loop_per_worker: The training function. It takes nothing, or `train_loop_config`.
        train_loop_config: What it is given.
        tensorflow_config: How the group is made.
        scaling_config: How many workers there are, and what each holds.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name, or functions that make them.
        dataset_config: How they are split.
        metadata: Kept with every checkpoint; `train.get_context().get_metadata()` gives it.
        resume_from_checkpoint: What `train.get_checkpoint()` gives at first.

    Raises:
        DeprecationWarning: the second generation is enabled.
        ValueError, TypeError: an argument is of the wrong kind.
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: dict[str, Any] | None = None,
        tensorflow_config: TensorflowConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        metadata: dict[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__(
            train_loop_per_worker,
            train_loop_config=train_loop_config,
            backend_config=tensorflow_config or TensorflowConfig(),
            scaling_config=scaling_config,
            dataset_config=dataset_config,
            run_config=run_config,
            datasets=datasets,
            metadata=metadata,
            resume_from_checkpoint=resume_from_checkpoint,
        )
