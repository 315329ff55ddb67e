"""How a run is configured: what it is called and kept, when it is saved, what happens when it fails, how far it spreads."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from skate.air.storage import default_storage_path

if TYPE_CHECKING:
    from skate.tune.execution.placement_groups import PlacementGroupFactory

__all__ = [
    "CheckpointConfig",
    "FailureConfig",
    "RunConfig",
    "ScalingConfig",
    "ShortRepr",
    "SyncConfig",
]

_DEPRECATED = "DEPRECATED"


class ShortRepr:
    """A repr that leaves out what is as it is by default."""

    def __repr__(self) -> str:
        default = type(self)()
        parts = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
            if not field.name.startswith("_") and getattr(self, field.name) != getattr(default, field.name)
        ]
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclass(repr=False)
class SyncConfig(ShortRepr):
    """How files of a run reach remote storage.

    Args:
        sync_period: Seconds between two uploads of what the run's driver writes.
        sync_timeout: Accepted for Ray's programs: the file system has time-outs of its own.
        sync_artifacts: Whether what a trial writes into its own directory is uploaded too.
        sync_artifacts_on_checkpoint: Whether that happens with each checkpoint, rather than at the trial's end.
    """

    sync_period: int = 300
    sync_timeout: int = 1800
    sync_artifacts: bool = False
    sync_artifacts_on_checkpoint: bool = True


@dataclass(repr=False)
class FailureConfig(ShortRepr):
    """What happens when a trial or a worker fails.

    Args:
        max_failures: How often a trial is started again from its last checkpoint; -1: without end.
        fail_fast: True ends the whole experiment at the first failure, "raise" also raises its error.

    Raises:
        ValueError: a value is not one of these, or both are given.
    """

    max_failures: int = 0
    fail_fast: bool | str = False

    def __post_init__(self) -> None:
        if not (isinstance(self.fail_fast, bool) or self.fail_fast == "raise"):
            raise ValueError(f"fail_fast must be one of {{bool, 'raise'}}. Got {self.fail_fast}.")
        if self.fail_fast and self.max_failures != 0:
            raise ValueError(f"max_failures must be 0 if fail_fast={self.fail_fast}.")


@dataclass(repr=False)
class CheckpointConfig(ShortRepr):
    """Which checkpoints are made and kept.

    Args:
        num_to_keep: How many to keep; the others are deleted. The newest is kept in any case, to resume from.
            None keeps all.
        checkpoint_score_attribute: The metric by which the best are chosen; default: the newest are kept.
        checkpoint_score_order: "max" keeps those of the highest score, "min" of the lowest.
        checkpoint_frequency: For class trainables: iterations between two checkpoints; 0: none are made.
        checkpoint_at_end: For class trainables: whether one is made when the trial ends.

    Raises:
        ValueError: a value is out of its range.
    """

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str | None = "max"
    checkpoint_frequency: int | None = 0
    checkpoint_at_end: bool | None = None
    _checkpoint_keep_all_ranks: bool | str | None = _DEPRECATED
    _checkpoint_upload_from_workers: bool | str | None = _DEPRECATED

    def __post_init__(self) -> None:
        if self.num_to_keep is not None and self.num_to_keep <= 0:
            raise ValueError(
                f"Received invalid num_to_keep: {self.num_to_keep}. Must be None or an integer >= 1."
            )
        if self.checkpoint_score_order not in ("max", "min"):
            raise ValueError(
                f'checkpoint_score_order must be either "max" or "min", not {self.checkpoint_score_order!r}.'
            )
        if self.checkpoint_frequency is not None and self.checkpoint_frequency < 0:
            raise ValueError(f"checkpoint_frequency must be >=0, got {self.checkpoint_frequency}")


@dataclass(repr=False)
class RunConfig(ShortRepr):
    """What a run is called, where it is kept, and when it is saved, stopped and repeated.

    Args:
        name: The run's name, which is its directory under `storage_path`; default: the trainable's name and the time.
        storage_path: A directory or URI; default: $SKATE_RESULTS, or ~/ray_results.
        storage_filesystem: A pyarrow or fsspec file system on which `storage_path` lies.
        failure_config: What happens when a trial fails.
        checkpoint_config: Which checkpoints are made and kept.
        sync_config: How files reach remote storage.
        verbose: 0 prints nothing, 1 a table now and then, 2 each result too.
        stop: When a trial is done: metrics and the values at which it stops, a function of a trial's id and a result,
            or a `Stopper`.
        callbacks: `Callback` objects, called as trials go on.
        progress_reporter: What prints the progress.
        log_to_file: Whether what trials print is kept in files of their directories; or the name of one file, or of two
            for standard output and errors.
        local_dir: No longer accepted: say `storage_path`.

    Raises:
        DeprecationWarning: `local_dir` was given.
    """

    name: str | None = None
    storage_path: str | None = None
    storage_filesystem: Any = None
    failure_config: FailureConfig | None = None
    checkpoint_config: CheckpointConfig | None = None
    sync_config: SyncConfig | None = None
    verbose: Any = None
    stop: Mapping[str, Any] | Callable[[str, Mapping[str, Any]], bool] | Any | None = None
    callbacks: list[Any] | None = None
    progress_reporter: Any = None
    log_to_file: bool | str | tuple[str, str] = False
    local_dir: str | None = None

    def __post_init__(self) -> None:
        if self.local_dir is not None:
            raise DeprecationWarning(
                "The `RunConfig(local_dir)` argument is deprecated. You should set the `RunConfig(storage_path)` instead."
            )
        if self.storage_path is None:
            self.storage_path = default_storage_path()
        elif not isinstance(self.storage_path, str):
            self.storage_path = os.fspath(self.storage_path)
        self.failure_config = self.failure_config or FailureConfig()
        self.checkpoint_config = self.checkpoint_config or CheckpointConfig()
        self.sync_config = self.sync_config or SyncConfig()
        if self.verbose is None:
            self.verbose = _default_verbosity()


@dataclass(repr=False)
class ScalingConfig(ShortRepr):
    """How many workers a training run has, and what each of them holds.

    Args:
        trainer_resources: What the run holds besides its workers; default: one CPU.
        num_workers: How many workers.
        use_gpu: Whether each worker holds a GPU.
        resources_per_worker: What each worker holds; default: one CPU, or with `use_gpu` one GPU.
        placement_strategy: How the workers are spread over hosts: "PACK", "SPREAD", "STRICT_PACK" or "STRICT_SPREAD".
        accelerator_type: The type of accelerator that each worker must have.

    Raises:
        ValueError: GPUs are asked for without `use_gpu`.
    """

    trainer_resources: Any = None
    num_workers: Any = 1
    use_gpu: Any = False
    resources_per_worker: Any = None
    placement_strategy: Any = "PACK"
    accelerator_type: str | None = None

    def __post_init__(self) -> None:
        if self.resources_per_worker and self.use_gpu is False and self.num_gpus_per_worker > 0:
            raise ValueError(
                "`use_gpu` is False but `GPU` was found in `resources_per_worker`. Either set `use_gpu` to True or "
                "remove `GPU` from `resources_per_worker`."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScalingConfig):
            return NotImplemented
        return self.as_placement_group_factory() == other.as_placement_group_factory()

    @property
    def _resources_per_worker_not_none(self) -> dict[str, float]:
        if self.resources_per_worker is None:
            worker: dict[str, float] = {"GPU": 1} if self.use_gpu else {"CPU": 1}
        else:
            worker = {name: amount for name, amount in self.resources_per_worker.items() if amount != 0}
        if self.use_gpu:
            worker.setdefault("GPU", 1)
        if self.accelerator_type:
            worker.setdefault(f"accelerator_type:{self.accelerator_type}", 0.001)
        return worker

    @property
    def _trainer_resources_not_none(self) -> dict[str, float]:
        if self.trainer_resources is None:
            return {"CPU": 1}
        return {name: amount for name, amount in self.trainer_resources.items() if amount != 0}

    @property
    def num_cpus_per_worker(self) -> float:
        """CPUs that each worker holds."""
        return self._resources_per_worker_not_none.get("CPU", 0)

    @property
    def num_gpus_per_worker(self) -> float:
        """GPUs that each worker holds."""
        return self._resources_per_worker_not_none.get("GPU", 0)

    @property
    def additional_resources_per_worker(self) -> dict[str, float]:
        """What each worker holds besides CPUs and GPUs."""
        return {
            name: amount
            for name, amount in self._resources_per_worker_not_none.items()
            if name not in ("CPU", "GPU")
        }

    @property
    def total_resources(self) -> dict[str, float]:
        """What the whole run holds."""
        total = dict(self._trainer_resources_not_none)
        for name, amount in self._resources_per_worker_not_none.items():
            total[name] = total.get(name, 0) + amount * self.num_workers
        return total

    def as_placement_group_factory(self) -> PlacementGroupFactory:
        """The bundles of a trial that is such a run: what the run holds is joined with its first worker.

        Returns:
            The bundles.
        """
        from skate.tune.execution.placement_groups import PlacementGroupFactory

        worker, first = self._resources_per_worker_not_none, dict(self._trainer_resources_not_none)
        for name, amount in worker.items():
            first[name] = first.get(name, 0) + amount
        # The trial itself takes nothing of the first bundle, so that a worker finds room there.
        bundles = [{}, first, *(dict(worker) for _ in range(self.num_workers - 1))]
        return PlacementGroupFactory(bundles, strategy=self.placement_strategy)

    @classmethod
    def from_placement_group_factory(cls, pgf: PlacementGroupFactory) -> ScalingConfig:
        """The configuration whose bundles these are.

        Args:
            pgf: The bundles.

        Returns:
            The configuration.
        """
        bundles = pgf.bundles
        worker = bundles[-1]  # of a single bundle, all is the worker's
        head = {name: amount - worker.get(name, 0) for name, amount in bundles[0].items()}
        head = {name: amount for name, amount in head.items() if not math.isclose(amount, 0)}
        return cls(
            trainer_resources=head,
            num_workers=len(bundles),
            use_gpu=bool(worker.get("GPU")),
            resources_per_worker=worker,
            placement_strategy=pgf.strategy,
        )


def _default_verbosity() -> Any:
    from skate.tune.utils.verbosity import AirVerbosity

    return AirVerbosity.DEFAULT
