"""Runs one function on several workers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import skate
from skate.train._config import RunConfig, ScalingConfig
from skate.train._data_config import DataConfig
from skate.train.backend import BackendConfig

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train.v2.api.result import Result

__all__ = [
    "DataParallelTrainer",
]

_RESTORE_IS_GONE = (
    "The `restore` and `can_restore` APIs are deprecated: give the run a name (RunConfig(name=…)), and call fit() again "
    "under the same name and storage path. It goes on from its newest checkpoint."
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
        resume_from_checkpoint: The checkpoint of another run that `train.get_checkpoint()` gives at the first start.
        metadata: No longer accepted: pass it in `train_loop_config`.
        validation_config: Not supported yet.

    Raises:
        TypeError: the training function cannot be called.
        ValueError: the training function takes more than one argument.

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
        validation_config: Any = None,
    ) -> None:
        if metadata is not None:
            raise DeprecationWarning(
                "`metadata` is no longer accepted by trainers: pass it to the training function in `train_loop_config`."
            )
        if validation_config is not None:
            raise NotImplementedError(
                "validation_config is not supported yet: validate in the training function, or after fit()."
            )
        self.train_loop_per_worker = train_loop_per_worker
        self.train_loop_config = train_loop_config
        self.backend_config = backend_config or BackendConfig()
        self.scaling_config = scaling_config or ScalingConfig()
        self.run_config = run_config or RunConfig()
        self.datasets = datasets or {}
        self.data_config = dataset_config or DataConfig()
        self.resume_from_checkpoint = resume_from_checkpoint
        self._check()

    def _check(self) -> None:
        workers = self.scaling_config.num_workers
        least = workers[0] if isinstance(workers, tuple) else workers
        if not isinstance(least, int) or least < 1:
            raise ValueError(
                f"ScalingConfig(num_workers={workers!r}): a run has at least one worker. Running the function in this "
                "process (num_workers=0) is not supported yet."
            )

    def fit(self) -> Result:
        """Train.

        Returns:
            What the run has ended with.

        Raises:
            TrainingFailedError: workers have failed more often than `FailureConfig` allows.
        """
        from skate.train._run.controller import Controller, RunContext
        from skate.train._run.storage import RunStorage

        function = _bound(self.train_loop_per_worker, self.train_loop_config)
        if not skate.is_initialized():
            skate.init()
        config = self.run_config
        config.name = config.name or f"ray_train_run-{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
        context = RunContext(
            config,
            self.train_loop_config,
            self.scaling_config,
            self.backend_config,
            self.datasets,
            self.data_config,
        )
        storage = RunStorage(str(config.storage_path), config.name, config.storage_filesystem)
        result: Result = Controller(context, function, storage, self.resume_from_checkpoint).run()
        return result

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
