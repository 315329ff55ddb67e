"""A trainer of the first generation that runs one function on several workers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, cast

from skate.air.session import get_session
from skate.train._data_config import DataConfig
from skate.train.backend import BackendConfig
from skate.train.base_trainer import BaseTrainer
from skate.train.v2.api.callback import UserCallback
from skate.train.v2.api.data_parallel_trainer import _bound

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.air.config import RunConfig, ScalingConfig
    from skate.tune.trainable.session import TrialSession

__all__ = ["DataParallelTrainer"]


class DataParallelTrainer(BaseTrainer):
    """Runs a function on several workers, each with its rank and its part of the data, as a trial of Tune.

    It is there with `RAY_TRAIN_V2_ENABLED=0` in the environment alone.

    Args:
        train_loop_per_worker: The training function. It takes nothing, or `train_loop_config`.
        train_loop_config: What it is given. A search sets its entries: `param_space={"train_loop_config": {…}}`.
        backend_config: How the workers are prepared for a framework.
        scaling_config: How many workers there are, and what each holds.
        dataset_config: How data sets are split.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name, or functions that make them.
        metadata: Kept with every checkpoint; `train.get_context().get_metadata()` gives it.
        resume_from_checkpoint: What `train.get_checkpoint()` gives at first.

    Raises:
        DeprecationWarning: the second generation is enabled.
        ValueError, TypeError: an argument is of the wrong kind.
    """

    _scaling_config_allowed_keys = (
        *BaseTrainer._scaling_config_allowed_keys,
        "num_workers",
        "resources_per_worker",
        "use_gpu",
        "placement_strategy",
        "accelerator_type",
    )
    _fields_for_tuner_param_space = (*BaseTrainer._fields_for_tuner_param_space, "train_loop_config")

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: dict[str, Any] | None = None,
        backend_config: BackendConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        dataset_config: DataConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
    ) -> None:
        self._train_loop_per_worker = train_loop_per_worker
        self._train_loop_config = train_loop_config
        self._data_config = DataConfig() if dataset_config is None else dataset_config
        if not isinstance(self._data_config, DataConfig):
            raise ValueError(
                f"`dataset_config` must be an instance of ray.train.DataConfig, was: {dataset_config}"
            )
        self._backend_config = BackendConfig() if backend_config is None else backend_config
        super().__init__(
            scaling_config=scaling_config,
            run_config=run_config,
            datasets=datasets,
            metadata=metadata,
            resume_from_checkpoint=resume_from_checkpoint,
        )

    def _validate_attributes(self) -> None:
        super()._validate_attributes()
        _bound(self._train_loop_per_worker, self._train_loop_config)

    @classmethod
    def _validate_scaling_config(cls, scaling_config: ScalingConfig) -> ScalingConfig:
        super()._validate_scaling_config(scaling_config)
        workers = scaling_config.num_workers
        if workers is None:
            raise ValueError(
                "You must specify the 'num_workers' in `scaling_config` as either an argument of "
                f"`{cls.__name__}` or through the `param_space` of a `Tuner` (if performing hyperparameter tuning)."
            )
        if not isinstance(workers, int) or workers <= 0:
            raise ValueError(
                f"'num_workers' in `scaling_config` must be a positive integer. Received {workers}"
            )
        return scaling_config

    def get_dataset_config(self) -> DataConfig:
        """How data sets are split."""
        return self._data_config

    def training_loop(self) -> None:
        """Start the workers in the trial's resources, and let them train."""
        from skate.train._config import RunConfig as WorkersConfig
        from skate.train._config import ScalingConfig as WorkersScaling
        from skate.train._run.controller import RunContext
        from skate.train._run.trial import TrialRun

        session = cast("TrialSession", get_session())
        scaling = self._validate_scaling_config(self.scaling_config)
        callbacks = [each for each in self.run_config.callbacks or () if isinstance(each, UserCallback)]
        context = RunContext(
            WorkersConfig(name=session.experiment_name, callbacks=callbacks),
            self._train_loop_config,
            WorkersScaling(
                num_workers=scaling.num_workers,
                use_gpu=scaling.use_gpu,
                resources_per_worker=scaling.resources_per_worker,
                placement_strategy=scaling.placement_strategy,
                accelerator_type=scaling.accelerator_type,
            ),
            self._backend_config,
            self.datasets,
            self._data_config,
        )
        function = _bound(self._train_loop_per_worker, self._train_loop_config)
        TrialRun(context, function, session, session.get_checkpoint() or self.starting_checkpoint).run()

    @classmethod
    def restore(  # type: ignore[override]  # the API's own: what comes second differs
        cls,
        path: str | os.PathLike[str],
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any] | None = None,
        train_loop_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Take up a run again that has failed or was cut short.

        Args:
            path: The run's directory, or its URI.
            train_loop_per_worker: The same training function, if it holds what cannot be kept.
            train_loop_config: The same configuration, if it holds what cannot be kept.
            **kwargs: What `BaseTrainer.restore` takes.

        Returns:
            A trainer whose `fit` goes on from the last checkpoint.

        Raises:
            ValueError: there is no run of a trainer, or the data sets are not those that it was given.
        """
        return super().restore(
            path, train_loop_per_worker=train_loop_per_worker, train_loop_config=train_loop_config, **kwargs
        )
