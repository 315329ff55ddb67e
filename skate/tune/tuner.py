"""`Tuner`: a search, from its definition to its results, and back again after an end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.tune.impl.tuner_internal import TunerInternal, can_restore
from skate.tune.tune_config import ResumeConfig, TuneConfig

if TYPE_CHECKING:
    from skate.air.config import RunConfig
    from skate.tune.result_grid import ResultGrid
    from skate.tune.trainable import Trainable

__all__ = [
    "Tuner",
]


class Tuner:
    """A search.

    Args:
        trainable: A function of a configuration, a subclass of `Trainable`, a registered name, or a trainer.
        param_space: The search space.
        tune_config: How the search is done.
        run_config: What the run is called, where it is kept, and what happens when trials fail.

    Raises:
        ValueError, TypeError: an argument is wrong.

    Example:
        >>> import skate, tempfile
        >>> from skate import tune
        >>> def train(config):
        ...     for step in range(3):
        ...         tune.report({"score": config["x"] * step})
        >>> with tempfile.TemporaryDirectory() as directory, skate.init(num_cpus=2):
        ...     results = tune.Tuner(
        ...         train,
        ...         param_space={"x": tune.grid_search([1, 2, 3])},
        ...         tune_config=tune.TuneConfig(metric="score", mode="max"),
        ...         run_config=tune.RunConfig(storage_path=directory, verbose=0),
        ...     ).fit()
        ...     results.get_best_result().config
        {'x': 3}
    """

    def __init__(
        self,
        trainable: str | Callable[..., Any] | type[Trainable] | Any = None,
        *,
        param_space: dict[str, Any] | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | Any = None,
        _tuner_kwargs: dict[str, Any] | None = None,
        _tuner_internal: TunerInternal | None = None,
        _entrypoint: Any = None,
    ) -> None:
        self._internal = _tuner_internal or TunerInternal(
            trainable=trainable,
            param_space=param_space,
            tune_config=tune_config,
            run_config=run_config,
            _tuner_kwargs=_tuner_kwargs,
        )

    def fit(self) -> ResultGrid:
        """Do the search; after `restore`, go on with it.

        Returns:
            The results, one for each trial. A trial that failed has its error in its result.

        Raises:
            TuneError: the search can't be done.
        """
        return self._internal.fit()

    def get_results(self) -> ResultGrid:
        """The results of a search that has been done, or that has been restored.

        Returns:
            The results, one for each trial.

        Raises:
            RuntimeError: it has not been done.
        """
        return self._internal.get_results()

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        trainable: str | Callable[..., Any] | type[Trainable] | Any,
        resume_unfinished: bool = True,
        resume_errored: bool = False,
        restart_errored: bool = False,
        param_space: dict[str, Any] | None = None,
        storage_filesystem: Any = None,
        _resume_config: ResumeConfig | None = None,
    ) -> Tuner:
        """Take up a search again that has been cut short, however that came about.

        Args:
            path: The experiment's directory, where it lies now; or its URI.
            trainable: The same trainable.
            resume_unfinished: Whether trials that had not ended go on from their last checkpoints.
            resume_errored: Whether trials that failed go on from their last checkpoints.
            restart_errored: Whether trials that failed begin anew.
            param_space: The same search space, if it holds what can't be kept; default: the one that was kept.
            storage_filesystem: The file system on which the directory lies.

        Returns:
            A `Tuner` whose `fit` goes on with the search.

        Raises:
            FileNotFoundError: there is no such experiment.
            ValueError: the trainable or the search space is another.
        """
        kinds = ResumeConfig.ResumeType
        errored = kinds.RESTART if restart_errored else kinds.RESUME if resume_errored else kinds.SKIP
        config = _resume_config or ResumeConfig(
            unfinished=kinds.RESUME if resume_unfinished else kinds.SKIP, errored=errored
        )
        internal = TunerInternal(
            restore_path=os.fspath(path),
            storage_filesystem=storage_filesystem,
            resume_config=config,
            trainable=trainable,
            param_space=param_space,
        )
        return cls(_tuner_internal=internal)

    @classmethod
    def can_restore(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> bool:
        """Whether there is a search in a directory that can be taken up again.

        Args:
            path: The directory, or its URI.
            storage_filesystem: The file system on which it lies.
        """
        return can_restore(path, storage_filesystem)
