"""Trainers of the first generation: each is a trial of Tune, alone (`fit`) or among many (`Tuner(trainer)`)."""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import cloudpickle

from skate.air.config import RunConfig, ScalingConfig
from skate.air.session import get_session
from skate.air.storage import resolve
from skate.train._generation import V2_ENABLED, v2_enabled, warn_of_migration

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.air.result import Result
    from skate.tune.trainable import Trainable

__all__ = ["BaseTrainer", "TrainingFailedError", "format_datasets_for_repr"]

_FILE = "trainer.pkl"
_RESTORE = (
    "The `restore` and `can_restore` APIs are deprecated and will be removed in a future release: in the second generation of "
    "Train, a run of the same name and storage path goes on by itself."
)


class TrainingFailedError(RuntimeError):
    """Training has failed; its `__cause__` is what was raised."""


class BaseTrainer(ABC):
    """What all trainers of the first generation share. Subclasses define `training_loop`.

    It is there with `RAY_TRAIN_V2_ENABLED=0` in the environment alone.

    Args:
        scaling_config: What a run holds.
        run_config: What the run is called, where it is kept, and what happens when it fails.
        datasets: Data sets by name, or functions that make them.
        metadata: Kept with every checkpoint; `train.get_context().get_metadata()` gives it. What JSON can express.
        resume_from_checkpoint: What `train.get_checkpoint()` gives at first.

    Raises:
        DeprecationWarning: the second generation is enabled.
        ValueError, TypeError: an argument is of the wrong kind.
    """

    _scaling_config_allowed_keys: tuple[str, ...] = ("trainer_resources",)
    _fields_for_tuner_param_space: tuple[str, ...] = ()
    _handles_checkpoints = False
    """Whether it does what `CheckpointConfig` says of when to make checkpoints."""
    _param_dict: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Take note of the arguments: a trial makes the trainer again, with those that a search has chosen."""
        trainer = super().__new__(cls)
        names = list(inspect.signature(cls.__init__).parameters)[1:]
        trainer._param_dict = {**dict(zip(names, args, strict=False)), **kwargs}
        return trainer

    def __init__(
        self,
        *,
        scaling_config: ScalingConfig | None = None,
        run_config: RunConfig | None = None,
        datasets: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        resume_from_checkpoint: Checkpoint | None = None,
    ) -> None:
        self._check_generation()
        self.scaling_config = ScalingConfig() if scaling_config is None else scaling_config
        self.run_config: Any = RunConfig() if run_config is None else copy.copy(run_config)
        self.datasets = {} if datasets is None else datasets
        self.metadata: dict[str, Any] = metadata or {}
        self.starting_checkpoint = resume_from_checkpoint
        if metadata is not None:
            warn_of_migration(
                "`metadata` is deprecated: pass it to the training function, in its configuration."
            )
        if resume_from_checkpoint is not None:
            warn_of_migration(
                "`resume_from_checkpoint` is deprecated: pass the checkpoint to the training function, in its configuration."
            )
        self._restore_path: str | os.PathLike[str] | None = None
        self._restore_filesystem: Any = None
        self._validate_attributes()

    def _check_generation(self) -> None:
        if (
            v2_enabled() and get_session() is None
        ):  # in a trial, it is a trainer that has been accepted already
            raise DeprecationWarning(
                f"Detected use of a deprecated Trainer import from `{type(self).__module__}`. This Trainer class is not "
                "compatible with Ray Train V2.\nTo fix this:\n"
                "  - Update to use the new import path. For example, `from ray.train.torch.torch_trainer import TorchTrainer` "
                "-> `from ray.train.torch import TorchTrainer`\n"
                f"  - Or, explicitly disable V2 by setting: {V2_ENABLED}=0"
            )

    def _validate_attributes(self) -> None:
        from skate.air._checkpoint import Checkpoint
        from skate.train._config import RunConfig as LaterRunConfig

        if not isinstance(self.run_config, RunConfig | LaterRunConfig):
            raise ValueError(
                "`run_config` should be an instance of `ray.train.RunConfig`, found "
                f"{type(self.run_config)} with value `{self.run_config}`."
            )
        if not isinstance(self.scaling_config, ScalingConfig):
            raise ValueError(
                "`scaling_config` should be an instance of `ScalingConfig`, found "
                f"{type(self.scaling_config)} with value `{self.scaling_config}`."
            )
        if not isinstance(self.datasets, dict):
            raise ValueError(
                "`datasets` should be a dict mapping from a string to `ray.data.Dataset` objects, found "
                f"{type(self.datasets)} with value `{self.datasets}`."
            )
        for name, dataset in self.datasets.items():
            if not callable(dataset) and not hasattr(dataset, "streaming_split"):
                raise ValueError(
                    f"The Dataset under '{name}' key is not a `ray.data.Dataset`. Received {dataset} instead."
                )
        if not isinstance(self.metadata, dict):
            raise TypeError(f"The provided metadata must be a dict, was {type(self.metadata)}.")
        try:
            self.metadata = json.loads(json.dumps(self.metadata))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The provided metadata must be JSON-serializable: {self.metadata}: {error}"
            ) from error
        if self.starting_checkpoint is not None and not isinstance(self.starting_checkpoint, Checkpoint):
            raise ValueError(
                "`resume_from_checkpoint` should be an instance of `ray.train.Checkpoint`, found "
                f"{type(self.starting_checkpoint)} with value `{self.starting_checkpoint}`."
            )

    @classmethod
    def _validate_scaling_config(cls, scaling_config: ScalingConfig) -> ScalingConfig:
        """Check the configuration that a trial is about to have.

        Raises:
            ValueError: this trainer makes nothing of what it says.
        """
        default = ScalingConfig()
        said = [
            name
            for name in (
                "trainer_resources",
                "num_workers",
                "use_gpu",
                "resources_per_worker",
                "placement_strategy",
            )
            if getattr(scaling_config, name) != getattr(default, name)
        ]
        refused = [name for name in said if name not in cls._scaling_config_allowed_keys]
        if refused:
            raise ValueError(
                f"Invalid key(s) `{refused}` in `ScalingConfig` of {cls.__name__}, which knows "
                f"{list(cls._scaling_config_allowed_keys)} alone."
            )
        return scaling_config

    # -- for subclasses ----------------------------------

    def setup(self) -> None:  # noqa: B027 -- subclasses may leave it as it is
        """Get ready; called once before `training_loop`, in the process of the trial."""

    def preprocess_datasets(self) -> None:
        """No longer there: apply preprocessors to the data sets themselves.

        Raises:
            DeprecationWarning: always.
        """
        raise DeprecationWarning(
            "`preprocess_datasets` is no longer used: a preprocessor's `fit` and `transform` work on data sets directly."
        )

    @abstractmethod
    def training_loop(self) -> None:
        """Train, in the process of the trial: `train.report` reports from here. Data sets have been made by now."""
        raise NotImplementedError

    # -- a run -------------------------------------------

    def fit(self) -> Result:
        """Train.

        Returns:
            What the run has ended with.

        Raises:
            TrainingFailedError: training has failed; its `__cause__` is what was raised.
        """
        from skate.tune import ResumeConfig, TuneError, Tuner
        from skate.tune.utils.util import date_str

        trainable, space = self.as_trainable(), self._searched()
        self.run_config.name = self.run_config.name or f"{type(self).__name__}_{date_str()}"
        if self._restore_path is not None:
            resume = ResumeConfig.ResumeType.RESUME
            tuner = Tuner.restore(
                self._restore_path,
                trainable,
                param_space=space,
                storage_filesystem=self._restore_filesystem,
                _resume_config=ResumeConfig(unfinished=resume, errored=resume),
            )
        else:
            tuner = Tuner(trainable, param_space=space, run_config=self.run_config)
        place = self._save()
        again = (
            "The Ray Train run failed. Please inspect the previous error messages for a cause. It can be continued: "
            f'`trainer = {type(self).__name__}.restore("{place}")`.'
        )
        try:
            results = tuner.fit()
        except TuneError as error:
            raise TrainingFailedError(again) from (error.__cause__ or error)
        result = results[0]
        if result.error is not None:
            raise TrainingFailedError(
                f"{again}\nA new run tries again by itself with RunConfig(failure_config=FailureConfig(max_failures)), "
                "`max_failures > 0`, or -1 for any number."
            ) from result.error
        return result

    def _searched(self) -> dict[str, Any]:
        """Arguments that the trial's configuration holds, so that loggers see them."""
        names = [name for name in self._fields_for_tuner_param_space if name in self._param_dict]
        return {name: copy.deepcopy(self._param_dict[name]) for name in names}

    def as_trainable(self) -> type[Trainable]:
        """This trainer as a class that Tune runs: a trial's configuration replaces arguments of the same name.

        Returns:
            A subclass of `Trainable`.
        """
        from skate.train._run.trainable import trainable_of

        return trainable_of(type(self), self._param_dict, self.scaling_config, self.metadata)

    # -- going on after an end ---------------------------

    def _save(self) -> str:
        """Keep what `restore` needs; data sets are passed again."""
        given = dict(self._param_dict)
        if given.get("datasets"):
            given["datasets"] = dict.fromkeys(given["datasets"])
        if self._restore_path is not None:
            store, place = resolve(self._restore_path, self._restore_filesystem)
        else:
            store, root = resolve(self.run_config.storage_path, self.run_config.storage_filesystem)
            place = f"{root}/{self.run_config.name}"
        store.make_dir(place)
        store.write(f"{place}/{_FILE}", cloudpickle.dumps((type(self), given)))
        return place

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        storage_filesystem: Any = None,
        datasets: dict[str, Any] | None = None,
        scaling_config: ScalingConfig | None = None,
        **kwargs: Any,
    ) -> Self:
        """Take up a run again that has failed or was cut short. Its directory is trusted like the program's own code.

        Args:
            path: The run's directory, or its URI.
            storage_filesystem: The file system on which it lies.
            datasets: The data sets that the run was given, which are not kept.
            scaling_config: Another size; default: the same.
            **kwargs: Other arguments of the trainer that are to be replaced.

        Returns:
            A trainer whose `fit` goes on from the last checkpoint.

        Raises:
            ValueError: there is no run of a trainer, or the data sets are not those that it was given.
        """
        warn_of_migration(_RESTORE)
        if not cls._can_restore(path, storage_filesystem):
            raise ValueError(
                f"Invalid restore path: {path}. Make sure that this path exists and is the experiment directory that results "
                "from a call to `trainer.fit()`."
            )
        store, place = resolve(path, storage_filesystem)
        kind, given = pickle.loads(store.read(f"{place}/{_FILE}"))
        if kind is not cls and kind.__qualname__ != cls.__qualname__:
            warn_of_migration(
                f"Invalid trainer type. You are attempting to restore a trainer of type {kind} with `{cls.__name__}.restore`, "
                f"which will most likely fail. Use `{kind.__name__}.restore` instead."
            )
        before = given.pop("datasets", None) or {}
        _check_datasets(cls.__name__, before, datasets or {})
        given["datasets"] = datasets or {}
        replaced = {"scaling_config": scaling_config, **kwargs}
        given.update({name: value for name, value in replaced.items() if value is not None})
        try:
            trainer = cls(**given)
        except Exception as error:
            raise ValueError(
                f"Trainer restoration failed: {error}. Make sure that you use the right trainer class to restore: "
                f"`{cls.__name__}.restore`"
            ) from error
        trainer._restore_path, trainer._restore_filesystem = path, storage_filesystem
        return trainer

    @classmethod
    def can_restore(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> bool:
        """Whether there is a run of a trainer in a directory that `restore` can take up.

        Args:
            path: The directory, or its URI.
            storage_filesystem: The file system on which it lies.
        """
        warn_of_migration(_RESTORE)
        return cls._can_restore(path, storage_filesystem)

    @staticmethod
    def _can_restore(path: str | os.PathLike[str], storage_filesystem: Any) -> bool:
        store, place = resolve(path, storage_filesystem)
        return store.exists(f"{place}/{_FILE}")

    def __repr__(self) -> str:
        defaults: dict[str, Any] = {
            "scaling_config": ScalingConfig(),
            "run_config": RunConfig(),
            "datasets": {},
            "starting_checkpoint": None,
        }
        parts = [type(self).__name__]
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != default:
                shown = format_datasets_for_repr(value) if name == "datasets" else repr(value)
                parts.append(f"{name}={shown}")
        return f"<{' '.join(parts)}>"


def _check_datasets(name: str, before: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    if before and not given:
        raise ValueError(
            f"The following datasets need to be provided again on restore: {list(before)}\nUse {name}.restore(..., "
            "datasets=datasets) with the datasets that were provided to the original trainer."
        )
    if set(before) != set(given):
        raise ValueError(
            "The provided datasets don't match the original dataset keys.\n"
            f"  Expected datasets for the keys: {list(before)}\n  Actual datasets provided: {list(given)}"
        )


def format_datasets_for_repr(datasets: Mapping[str, Any | Callable[[], Any]]) -> str:
    """Data sets by name, each in a line of its own words rather than as a table.

    Args:
        datasets: The data sets.
    """
    shown = {name: " ".join(repr(dataset).split()) for name, dataset in datasets.items()}
    return "{" + ", ".join(f"'{name}': {text}" for name, text in shown.items()) + "}"
