"""Runs a training function that calls XGBoost, on several workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.train._boosting import BoostingTrainer as _BoostingTrainer

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._config import RunConfig, ScalingConfig
    from skate.train._data_config import DataConfig
    from skate.train.v2.api.validation_config import ValidationConfig
    from skate.train.xgboost.config import XGBoostConfig

__all__ = [
    "XGBoostTrainer",
]


class XGBoostTrainer(_BoostingTrainer):
    """A `DataParallelTrainer` whose workers are one group of XGBoost: each trains on its own rows, all get one model.

    Args:
        train_loop_per_worker: The training function; it makes a `DMatrix` of its rows and calls `xgboost.train`.
        train_loop_config: What it is given.
        xgboost_config: How the workers find one another.
        scaling_config: How many workers there are, and what each holds.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name.
        dataset_config: How they are split.
        validation_config: How checkpoints are validated beside the training.
        metadata: No longer accepted: pass it in `train_loop_config`.
        resume_from_checkpoint: No longer accepted: pass the checkpoint in `train_loop_config`.
        label_column, params, num_boost_round: No longer accepted.

    Raises:
        DeprecationWarning: an argument that is no longer accepted was given.
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: dict[str, Any] | None = None,
        xgboost_config: XGBoostConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        validation_config: ValidationConfig | None = None,
        metadata: dict[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
        label_column: str | None = None,
        params: dict[str, Any] | None = None,
        num_boost_round: int | None = None,
    ) -> None:
        from skate.train.xgboost.config import XGBoostConfig

        super().__init__(
            train_loop_per_worker,
            train_loop_config=train_loop_config,
            backend_config=xgboost_config or XGBoostConfig(),
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            dataset_config=dataset_config,
            validation_config=validation_config,
            metadata=metadata,
            resume_from_checkpoint=resume_from_checkpoint,
            label_column=label_column,
            params=params,
            num_boost_round=num_boost_round,
        )

    @classmethod
    def get_model(cls, checkpoint: Checkpoint) -> Any:
        """The model in a checkpoint that `RayTrainReportCallback` has made.

        Args:
            checkpoint: The checkpoint.

        Returns:
            An XGBoost booster.
        """
        from skate.train.xgboost.callback import RayTrainReportCallback

        return RayTrainReportCallback.get_model(checkpoint)
