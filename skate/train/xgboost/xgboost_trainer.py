"""A trainer of the first generation whose workers are one group of XGBoost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.train._legacy_boosting import LegacyBoostingTrainer as _LegacyBoostingTrainer
from skate.train._legacy_boosting import frames_of as _frames_of
from skate.train._legacy_boosting import model_so_far as _model_so_far
from skate.train.xgboost.callback import RayTrainReportCallback as _RayTrainReportCallback
from skate.train.xgboost.config import XGBoostConfig

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.air.config import RunConfig, ScalingConfig
    from skate.train._data_config import DataConfig

__all__ = ["XGBoostTrainer"]


def _learn(
    config: dict[str, Any],
    label_column: str,
    rounds: int,
    names: tuple[str, ...],
    train_kwargs: dict[str, Any],
) -> None:
    """Train on this worker's rows, for as many rounds as the model lacks."""
    import xgboost

    model, done = _model_so_far(_RayTrainReportCallback.get_model, lambda found: found.num_boosted_rounds())
    matrices = {
        name: xgboost.DMatrix(features, label=labels)
        for name, (features, labels) in _frames_of(names, label_column).items()
    }
    xgboost.train(
        config,
        dtrain=next(iter(matrices.values())),
        evals=[(matrix, name) for name, matrix in matrices.items()],
        num_boost_round=rounds - done,
        xgb_model=model,
        **train_kwargs,
    )


class XGBoostTrainer(_LegacyBoostingTrainer):
    """A `DataParallelTrainer` of the first generation whose workers are one group of XGBoost.

    Args:
        train_loop_per_worker: The training function. It takes nothing, or `train_loop_config`. None: XGBoost learns
            `label_column` of the data sets.
        train_loop_config: What it is given.
        xgboost_config: How the workers find one another.
        scaling_config: How many workers there are, and what each holds.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name, or functions that make them.
        dataset_config: How they are split.
        resume_from_checkpoint: What `train.get_checkpoint()` gives at first.
        metadata: Kept with every checkpoint; `train.get_context().get_metadata()` gives it.
        label_column, params, num_boost_round: What to learn, and how, where there is no training function.
        **train_kwargs: Further arguments of `xgboost.train`, where there is no training function.

    Raises:
        DeprecationWarning: the second generation is enabled.
        ValueError, TypeError: an argument is of the wrong kind, or missing.
    """

    _callback = _RayTrainReportCallback
    _learn = staticmethod(_learn)

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any] | None = None,
        *,
        train_loop_config: dict[str, Any] | None = None,
        xgboost_config: XGBoostConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
        metadata: dict[str, Any] | None = None,
        label_column: str | None = None,
        params: dict[str, Any] | None = None,
        num_boost_round: int | None = None,
        **train_kwargs: Any,
    ) -> None:
        super().__init__(
            train_loop_per_worker,
            train_loop_config=train_loop_config,
            backend_config=xgboost_config or XGBoostConfig(),
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            dataset_config=dataset_config,
            resume_from_checkpoint=resume_from_checkpoint,
            metadata=metadata,
            label_column=label_column,
            params=params,
            num_boost_round=num_boost_round,
            train_kwargs=train_kwargs,
        )

    @classmethod
    def get_model(cls, checkpoint: Checkpoint) -> Any:
        """The model in a checkpoint that `RayTrainReportCallback` has made.

        Args:
            checkpoint: The checkpoint.
        """
        return _RayTrainReportCallback.get_model(checkpoint)
