"""How a training run is configured. Train's classes know a few settings more than those that Tune shares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from skate.air import config as _shared
from skate.air.config import ShortRepr
from skate.air.storage import default_storage_path

_DEPRECATED = "DEPRECATED"


@dataclass(repr=False)
class FailureConfig(_shared.FailureConfig):
    """What happens when a worker, or the run's controller, fails.

    Args:
        max_failures: How often the workers are started again from the last checkpoint; -1: without end.
        fail_fast: Accepted for Ray's programs.
        controller_failure_limit: How often the controller is started again; -1: without end.
        max_preemption_failures: How often workers that were taken away are replaced; -1: without end.
        relax_collectives_on_preemption: Whether workers may leave a collective operation when their host is taken away.
        preemption_grace_s: Seconds that a worker has to save its state when its host is taken away.
    """

    fail_fast: bool | str = _DEPRECATED
    controller_failure_limit: int = -1
    max_preemption_failures: int = -1
    relax_collectives_on_preemption: bool = False
    preemption_grace_s: float = 0.0

    def __post_init__(self) -> None:
        if self.fail_fast == _DEPRECATED:
            self.fail_fast = False
        super().__post_init__()


@dataclass(repr=False)
class CheckpointConfig(_shared.CheckpointConfig):
    """Which checkpoints of a run are kept.

    Args:
        num_to_keep: How many to keep; the newest is kept in any case. None keeps all.
        checkpoint_score_attribute: The metric by which the best are chosen; default: the newest are kept.
        checkpoint_score_order: "max" or "min".
        checkpoint_frequency: Accepted for Ray's programs: the training function decides.
        checkpoint_at_end: Accepted for Ray's programs: the training function decides.
    """

    checkpoint_frequency: Any = _DEPRECATED
    checkpoint_at_end: Any = _DEPRECATED

    def __post_init__(self) -> None:
        if self.checkpoint_frequency == _DEPRECATED:
            self.checkpoint_frequency = 0
        if self.checkpoint_at_end == _DEPRECATED:
            self.checkpoint_at_end = None
        super().__post_init__()


@dataclass
class LoggingConfig:
    """What a run writes to its log.

    Args:
        log_level: A level of the `logging` module.
    """

    log_level: str = "INFO"


@dataclass(repr=False)
class RunConfig(ShortRepr):
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
        sync_config, verbose, stop, progress_reporter, log_to_file: Accepted for Ray's programs.
    """

    name: str | None = None
    storage_path: str | None = None
    storage_filesystem: Any = None
    failure_config: _shared.FailureConfig | None = None
    checkpoint_config: _shared.CheckpointConfig | None = None
    callbacks: list[Any] | None = None
    worker_runtime_env: Any = None
    logging_config: LoggingConfig | None = None
    sync_config: Any = _DEPRECATED
    verbose: Any = _DEPRECATED
    stop: Any = _DEPRECATED
    progress_reporter: Any = _DEPRECATED
    log_to_file: Any = _DEPRECATED

    def __post_init__(self) -> None:
        if self.storage_path is None:
            self.storage_path = default_storage_path()
        else:
            self.storage_path = os.fspath(self.storage_path)
        self.failure_config = self.failure_config or FailureConfig()
        self.checkpoint_config = self.checkpoint_config or CheckpointConfig()
        self.logging_config = self.logging_config or LoggingConfig()


@dataclass(repr=False, eq=False)
class ScalingConfig(_shared.ScalingConfig):
    """How many workers a run has, and what each of them holds.

    Args:
        trainer_resources: What the run holds besides its workers.
        num_workers: How many workers; or the least and the most, for a run that may grow and shrink.
        use_gpu: Whether each worker holds a GPU.
        resources_per_worker: What each worker holds; default: one CPU, or with `use_gpu` one GPU.
        placement_strategy: How the workers are spread over hosts.
        accelerator_type: The type of accelerator that each worker must have.
        label_selector: Labels of the hosts on which workers run.
        use_tpu: Whether each worker holds a TPU host.
        topology: The topology of the TPU slice.
        elastic_resize_monitor_interval_s: Seconds between two looks at whether the run can grow.
    """

    label_selector: Any = None
    use_tpu: bool = False
    topology: str | None = None
    elastic_resize_monitor_interval_s: float = 60.0

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
