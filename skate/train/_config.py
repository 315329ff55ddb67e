"""How a training run is configured. Train's classes know a few settings more than those that Tune shares."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from skate.air import config as _shared
from skate.air.storage import default_storage_path
from skate.train.v2.api.callback import RayTrainCallback

if TYPE_CHECKING:
    from skate.train._run.storage import RunStorage

_DEPRECATED = "DEPRECATED"
_LEVELS = (*logging.getLevelNamesMapping(), "TRACE")
_TUNES = "it means something to searches alone: say it to `skate.tune`, or run the trainer in a trial"
_NOT_FOR_FUNCTIONS = "it does not apply to user-defined training functions, which decide themselves when to report a checkpoint"


def refuse(what: str, why: str) -> None:
    """Raise for an argument of an earlier generation; the environment variable RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS=0 forbids it.

    Raises:
        DeprecationWarning: it is not forbidden.
    """
    if os.environ.get("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "1") != "0":
        raise DeprecationWarning(f"`{what}` is deprecated: {why}.")


@dataclass
class FailureConfig(_shared.FailureConfig):
    """What happens when a worker, or the run's controller, fails.

    Args:
        max_failures: How often the workers are started again from the last checkpoint; -1: without end.
        fail_fast: No longer accepted.
        controller_failure_limit: How often the controller is started again; -1: without end.
        max_preemption_failures: How often workers that were taken away are replaced; -1: without end.
        relax_collectives_on_preemption: Whether workers may leave a collective operation when their host is taken away.
        preemption_grace_s: Seconds that a worker has to save its state when its host is taken away.

    Raises:
        DeprecationWarning: `fail_fast` was given.
    """

    fail_fast: bool | str = _DEPRECATED
    controller_failure_limit: int = -1
    max_preemption_failures: int = -1
    relax_collectives_on_preemption: bool = False
    preemption_grace_s: float = 0.0

    def __post_init__(self) -> None:
        if self.fail_fast != _DEPRECATED:
            refuse("ray.train.FailureConfig(fail_fast)", _TUNES)


@dataclass
class CheckpointConfig:
    """Which checkpoints of a run are kept.

    Args:
        num_to_keep: How many to keep; the newest is kept in any case. None keeps all.
        checkpoint_score_attribute: The metric by which the best are chosen; default: the newest are kept.
        checkpoint_score_order: "max" or "min".
        checkpoint_frequency, checkpoint_at_end: No longer accepted: the training function decides.

    Raises:
        ValueError: a value is out of its range.
        DeprecationWarning: an argument that is no longer accepted was given.
    """

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: Literal["max", "min"] = "max"
    checkpoint_frequency: Any = _DEPRECATED
    checkpoint_at_end: Any = _DEPRECATED

    def __post_init__(self) -> None:
        for name in ("checkpoint_frequency", "checkpoint_at_end"):
            if getattr(self, name) != _DEPRECATED:
                raise DeprecationWarning(f"`{name}` is deprecated since {_NOT_FOR_FUNCTIONS}.")
        if self.num_to_keep is not None and self.num_to_keep <= 0:
            raise ValueError(
                f"Received invalid num_to_keep: {self.num_to_keep}. Must be None or an integer >= 1."
            )
        if self.checkpoint_score_order not in ("max", "min"):
            raise ValueError(
                f"Received invalid checkpoint_score_order: {self.checkpoint_score_order}. Must be 'max' or 'min'."
            )


@dataclass
class LoggingConfig:
    """What a run writes to its log.

    Args:
        log_level: The name of a level of the `logging` module.

    Raises:
        ValueError: there is no such level.
    """

    log_level: str = "INFO"

    def __post_init__(self) -> None:
        if self.log_level not in _LEVELS:
            known = ", ".join(repr(level) for level in sorted(_LEVELS))
            raise ValueError(f"Invalid log_level: {self.log_level!r}. Must be one of: {known}.")


@dataclass
class RunConfig:
    """What a training run is called, where it is kept, and what happens when it fails.

    Args:
        name: The run's name, which is its directory under `storage_path`; default: one with the time.
        storage_path: A directory or URI; default: $SKATE_RESULTS, or ~/ray_results.
        storage_filesystem: A pyarrow or fsspec file system on which `storage_path` lies.
        failure_config: What happens when a worker fails.
        checkpoint_config: Which checkpoints are kept.
        callbacks: `UserCallback` objects, called as the run goes on.
        worker_runtime_env: The environment of the workers.
        logging_config: What the run writes to its log.
        sync_config, verbose, stop, progress_reporter, log_to_file: No longer accepted: searches alone have them.

    Raises:
        ValueError: a callback is no `UserCallback`, or `checkpoint_config` is no `CheckpointConfig`.
        DeprecationWarning: an argument that is no longer accepted was given.
    """

    name: str | None = None
    storage_path: str | None = None
    storage_filesystem: Any = None
    failure_config: _shared.FailureConfig | None = None
    checkpoint_config: CheckpointConfig | _shared.CheckpointConfig | None = None
    callbacks: list[Any] | None = None
    worker_runtime_env: Any = None
    logging_config: LoggingConfig | None = None
    sync_config: Any = _DEPRECATED
    verbose: Any = _DEPRECATED
    stop: Any = _DEPRECATED
    progress_reporter: Any = _DEPRECATED
    log_to_file: Any = _DEPRECATED

    def __post_init__(self) -> None:
        for name in ("sync_config", "verbose", "stop", "progress_reporter", "log_to_file"):
            if getattr(self, name) != _DEPRECATED:
                raise DeprecationWarning(f"`RunConfig({name})` is deprecated: {_TUNES}.")
        if self.storage_path is None:
            self.storage_path = default_storage_path()
        else:
            self.storage_path = os.fspath(self.storage_path)
        self.name = self.name or f"ray_train_run-{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
        self.failure_config = self.failure_config or FailureConfig()
        self.checkpoint_config = self.checkpoint_config or CheckpointConfig()
        if not isinstance(self.checkpoint_config, (CheckpointConfig, _shared.CheckpointConfig)):
            kind = type(self.checkpoint_config)
            raise ValueError(
                f"Invalid `CheckpointConfig` type: {kind}. Use `ray.train.CheckpointConfig` instead."
            )
        self.logging_config = self.logging_config or LoggingConfig()
        self.worker_runtime_env = self.worker_runtime_env or {}
        self.callbacks = self.callbacks or []
        for callback in self.callbacks:
            if not isinstance(callback, RayTrainCallback):
                raise ValueError(
                    "All callbacks must be instances of `ray.train.UserCallback`. "
                    f"{callback!r} is a {type(callback).__name__}; callbacks of Tune belong to a Tuner."
                )

    @property
    def storage_context(self) -> RunStorage:
        """Where the run is kept."""
        from skate.train._run.storage import RunStorage

        return RunStorage(str(self.storage_path), str(self.name), self.storage_filesystem)


@dataclass
class ScalingConfig(_shared.ScalingConfig):
    """How many workers a run has, and what each of them holds.

    Args:
        trainer_resources: No longer accepted: a run holds nothing besides its workers.
        num_workers: How many workers; or the least and the most, for a run that may grow and shrink. 0: the training function
            runs in the process that calls `fit`.
        use_gpu: Whether each worker holds a GPU.
        resources_per_worker: What each worker holds; default: one CPU, or with `use_gpu` one GPU.
        placement_strategy: How the workers are spread over hosts.
        accelerator_type: The type of accelerator that each worker must have.
        label_selector: Labels of the hosts on which workers run.
        use_tpu: Whether each worker holds a TPU host.
        topology: The topology of the TPU slice.
        elastic_resize_monitor_interval_s: Seconds between two looks at whether the run can grow.

    Raises:
        ValueError: a value is out of its range, or two contradict one another.
        DeprecationWarning: `trainer_resources` was given.
    """

    label_selector: Any = None
    use_tpu: bool = False
    topology: str | None = None
    elastic_resize_monitor_interval_s: float = 60.0

    def __post_init__(self) -> None:
        if self.trainer_resources is not None:
            refuse("ray.train.ScalingConfig(trainer_resources)", "a run holds nothing besides its workers")
        self._check_workers()
        self._check_tpus()
        if self.elastic_resize_monitor_interval_s < 0:
            raise ValueError(
                "ScalingConfig(elastic_resize_monitor_interval_s) must be non-negative, "
                f"not {self.elastic_resize_monitor_interval_s}."
            )
        if isinstance(self.label_selector, list) and len(self.label_selector) != self.max_workers:
            raise ValueError(
                "If `label_selector` is a list, it must be the same length as `max_workers` (or `num_workers` when fixed): "
                f"{len(self.label_selector)} is not {self.max_workers}."
            )
        super().__post_init__()

    def _check_tpus(self) -> None:
        if self.use_gpu and self.use_tpu:
            raise ValueError("Cannot specify both `use_gpu=True` and `use_tpu=True`.")
        if not self.use_tpu:
            if self.num_tpus_per_worker > 0:
                raise ValueError(
                    "`use_tpu` is False but `TPU` was found in `resources_per_worker`. Either set `use_tpu` to True or "
                    "remove `TPU` from `resources_per_worker`."
                )
            return
        if self.num_tpus_per_worker == 0:
            raise ValueError(
                "`use_tpu` is True but `TPU` is set to 0 in `resources_per_worker`. Either set `use_tpu` to False or request a "
                "positive number of `TPU` in `resources_per_worker`."
            )
        if self.max_workers == 1:
            return
        for name in ("topology", "accelerator_type"):
            if not getattr(self, name):
                raise ValueError(
                    f"`{name}` must be specified in ScalingConfig when `use_tpu=True` and `num_workers` > 1."
                )
        if self.label_selector:
            raise ValueError(
                "Cannot set `label_selector` when `use_tpu=True`: it is set to that of the TPU slice."
            )

    def _check_workers(self) -> None:
        workers = self.num_workers
        pair = workers if isinstance(workers, tuple) else (workers, workers)
        if len(pair) != 2 or not all(isinstance(each, int) for each in pair):
            raise ValueError(
                f"ScalingConfig(num_workers) must be an int or a tuple of two ints, not {workers!r}."
            )
        if pair[0] < 0:
            raise ValueError(
                f"Invalid ScalingConfig(num_workers={workers!r}): Number of workers cannot be negative."
            )
        if pair[0] > pair[1]:
            raise ValueError(
                f"Invalid ScalingConfig(num_workers={workers!r}): min_workers={pair[0]} must be <= max_workers={pair[1]}."
            )

    @property
    def _resources_per_worker_not_none(self) -> dict[str, float]:
        if self.use_tpu and self.resources_per_worker is None:
            return {"TPU": 1}
        return super()._resources_per_worker_not_none

    @property
    def _trainer_resources_not_none(self) -> dict[str, float]:
        return {} if self.trainer_resources is None else super()._trainer_resources_not_none

    @property
    def total_resources(self) -> dict[str, float]:
        """What the whole run holds, with as many workers as it may have."""
        worker = self._resources_per_worker_not_none
        return {name: float(amount * self.max_workers) for name, amount in worker.items()}

    @property
    def elasticity_enabled(self) -> bool:
        """Whether the number of workers is a range."""
        return isinstance(self.num_workers, tuple)

    @property
    def min_workers(self) -> int:
        """The least number of workers."""
        return int(self.num_workers[0] if isinstance(self.num_workers, tuple) else self.num_workers)

    @property
    def max_workers(self) -> int:
        """The largest number of workers."""
        return int(self.num_workers[1] if isinstance(self.num_workers, tuple) else self.num_workers)

    @property
    def num_tpus_per_worker(self) -> float:
        """TPUs that each worker holds."""
        return self._resources_per_worker_not_none.get("TPU", 0)
