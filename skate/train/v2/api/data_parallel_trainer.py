"""Runs one function on several workers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import skate
from skate.train._config import RunConfig, ScalingConfig, refuse
from skate.train._data_config import DataConfig
from skate.train.backend import BackendConfig

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train.v2.api.result import Result
    from skate.train.v2.api.validation_config import ValidationConfig
    from skate.tune.trainable import Trainable

__all__ = [
    "DataParallelTrainer",
]

_RESTORE_IS_GONE = (
    "The `restore` and `can_restore` APIs are deprecated and will be removed in a future release. Give the run a name "
    "(RunConfig(name=…)), and call fit() again under the same name and storage path. It goes on from its newest checkpoint."
)


class DataParallelTrainer:
    """Runs a function on several workers, each with its rank and its part of the data.

    Args:
        train_loop_per_worker: The training function. It takes nothing, or `train_loop_config`.
        train_loop_config: What it is given; default: an empty dictionary.
        backend_config: How the workers are prepared for a framework.
        scaling_config: How many workers there are, and what each holds.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name, or functions that make them; `train.get_dataset_shard(name)` is a worker's part.
        dataset_config: How they are split.
        resume_from_checkpoint: No longer accepted: pass the checkpoint in `train_loop_config`.
        metadata: No longer accepted: pass it in `train_loop_config`.
        validation_config: How checkpoints are validated beside the training.

    Raises:
        ValueError: a configuration is not one of this module's classes.
        DeprecationWarning: an argument that is no longer accepted was given.

    Example:
        >>> import tempfile, skate
        >>> from skate import train
        >>> from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
        >>> def work(config):
        ...     return config["step"] * train.get_context().get_world_size()
        >>> with tempfile.TemporaryDirectory() as place:
        ...     result = DataParallelTrainer(
        ...         work,
        ...         train_loop_config={"step": 3},
        ...         scaling_config=train.ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.5}),
        ...         run_config=train.RunConfig(storage_path=place),
        ...     ).fit()
        >>> result.return_value
        6
        >>> skate.shutdown()
    """

    def __init__(
        self,
        train_loop_per_worker: Callable[[], Any] | Callable[[dict[str, Any]], Any],
        *,
        train_loop_config: dict[str, Any] | None = None,
        backend_config: BackendConfig | None = None,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        dataset_config: DataConfig | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
        metadata: dict[str, Any] | None = None,
        validation_config: ValidationConfig | None = None,
    ) -> None:
        if metadata is not None:
            refuse(
                f"{type(self).__name__}(metadata)",
                "`get_metadata` was an experimental API that accessed the metadata passed to `<Framework>Trainer(metadata=...)`; pass "
                "it to the training function in `train_loop_config`",
            )
        if resume_from_checkpoint is not None:
            refuse(
                "resume_from_checkpoint",
                "pass the checkpoint in `train_loop_config`, and load it where `train.get_checkpoint()` gives none",
            )
        self.train_loop_per_worker = train_loop_per_worker
        self.train_loop_config = train_loop_config
        self.backend_config = backend_config or BackendConfig()
        self.scaling_config = scaling_config or ScalingConfig()
        self.running_in_local_mode = self.scaling_config.num_workers == 0
        self.run_config = run_config or RunConfig()
        self.datasets = datasets or {}
        self.data_config = dataset_config or DataConfig()
        self.resume_from_checkpoint = resume_from_checkpoint
        self.validation_config = validation_config
        self._check()

    def _check(self) -> None:
        for given, kind in ((self.run_config, RunConfig), (self.scaling_config, ScalingConfig)):
            if not isinstance(given, kind):
                raise ValueError(
                    f"Invalid `{kind.__name__}` type: {type(given)}. Use `ray.train.{kind.__name__}` instead."
                )

    def fit(self) -> Result:
        """Train.

        Returns:
            What the run has ended with.

        Raises:
            TypeError: the training function cannot be called.
            ValueError: the training function takes more than one argument.
            TrainingFailedError: workers have failed more often than `FailureConfig` allows.
        """
        from skate.train._run.controller import Controller, RunContext
        from skate.train._run.local import LocalRun

        function = _bound(self.train_loop_per_worker, self.train_loop_config)
        config = self.run_config
        context = RunContext(
            config,
            self.train_loop_config,
            self.scaling_config,
            self.backend_config,
            self.datasets,
            self.data_config,
        )
        if self.scaling_config.num_workers == 0:
            return LocalRun(context).run(function)
        if not skate.is_initialized():
            skate.init()
        controller = Controller(
            context, function, config.storage_context, self.resume_from_checkpoint, self.validation_config
        )
        result: Result = controller.run()
        return result

    def as_trainable(self) -> type[Trainable]:
        """This trainer as a class that Tune runs, `Tuner(trainer, param_space={"train_loop_config": {…}})`.

        Each trial is a run whose workers are in the trial's resources. Its reports are the trial's, its checkpoints too, and so
        `Result`s are those of trials.
        """
        from skate.train._run.trainable import trainable_of
        from skate.train.data_parallel_trainer import DataParallelTrainer as Earlier

        given = {
            "train_loop_per_worker": self.train_loop_per_worker,
            "train_loop_config": self.train_loop_config or {},
            "backend_config": self.backend_config,
            "scaling_config": self.scaling_config,
            "dataset_config": self.data_config,
            "run_config": self.run_config,
            "datasets": self.datasets,
        }
        return trainable_of(Earlier, given, self.scaling_config, name=type(self).__name__)

    @classmethod
    def restore(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """No longer there: a run of the same name goes on by itself.

        Raises:
            DeprecationWarning: always.
        """
        raise DeprecationWarning(_RESTORE_IS_GONE)

    @classmethod
    def can_restore(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """No longer there: a run of the same name goes on by itself.

        Raises:
            DeprecationWarning: always.
        """
        raise DeprecationWarning(_RESTORE_IS_GONE)


def _bound(function: Callable[..., Any], config: dict[str, Any] | None) -> Callable[[], Any]:
    """The training function without arguments."""
    needed = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise ValueError(
            f"train_loop_per_worker should take in 0 or 1 required arguments, but it accepts {len(needed)} required "
            "arguments instead."
        )
    takes_config = bool(inspect.signature(function).parameters) if config is not None else bool(needed)
    if takes_config:
        return functools.partial(function, {} if config is None else config)
    return function
