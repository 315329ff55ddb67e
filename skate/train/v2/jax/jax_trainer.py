"""Runs a training function of JAX on several workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from skate.train.v2.jax.config import JaxConfig

if TYPE_CHECKING:
    from skate.train._config import RunConfig, ScalingConfig
    from skate.train._data_config import DataConfig
    from skate.train.v2.api.validation_config import ValidationConfig

__all__ = [
    "JaxTrainer",
]


class JaxTrainer(DataParallelTrainer):
    """A `DataParallelTrainer` whose workers are the processes of one JAX program (`jax.distributed`).

    `jax.devices()` shows the devices of all workers, `jax.local_devices()` this one's.

    Args:
        train_loop_per_worker: The training function. It takes nothing, or `train_loop_config`.
        train_loop_config: What it is given.
        jax_config: How the workers find one another.
        scaling_config: How many workers there are, and what each holds.
        dataset_config: How data sets are split.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name.
        validation_config: How checkpoints are validated beside the training.
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: dict[str, Any] | None = None,
        jax_config: JaxConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        dataset_config: DataConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        validation_config: ValidationConfig | None = None,
    ) -> None:
        if jax_config is None:
            jax_config = JaxConfig(
                use_tpu=bool(scaling_config and scaling_config.use_tpu),
                use_gpu=bool(scaling_config and scaling_config.use_gpu),
            )
        super().__init__(
            train_loop_per_worker,
            train_loop_config=train_loop_config,
            backend_config=jax_config,
            scaling_config=scaling_config,
            dataset_config=dataset_config,
            run_config=run_config,
            datasets=datasets,
            validation_config=validation_config,
        )
