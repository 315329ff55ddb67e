"""What a search is about: the trainable, the parameters, and how each trial is run."""

from __future__ import annotations

import datetime
import inspect
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from skate.air.config import CheckpointConfig, SyncConfig
from skate.air.storage import default_storage_path
from skate.tune.error import TuneError
from skate.tune.execution.placement_groups import PlacementGroupFactory, resource_dict_to_pg_factory
from skate.tune.experiment.storage import ExperimentStorage
from skate.tune.registry import get_trainable_cls, is_function_trainable, register_trainable
from skate.tune.search.sample import Domain
from skate.tune.stopper import CombinedStopper, FunctionStopper, NoopStopper, Stopper, TimeoutStopper
from skate.tune.utils.util import date_str

__all__ = [
    "Experiment",
    "convert_to_experiments",
]


class Experiment:
    """One trainable with one search space.

    Args:
        name: The experiment's name, and that of its directory.
        run: A function, a subclass of `Trainable`, or a registered name.
        stop: When a trial is done: metrics and the values at which it stops, a function, or a `Stopper`.
        time_budget_s: Seconds after which the whole experiment stops.
        config: The parameters: the search space.
        resources_per_trial: What each trial holds.
        num_samples: How often each combination of the grids is tried; -1: without end.
        storage_path: A directory or URI.
        storage_filesystem: A pyarrow or fsspec file system on which `storage_path` lies.
        sync_config: How files reach remote storage.
        checkpoint_config: Which checkpoints are made and kept.
        trial_name_creator: Makes a trial's name.
        trial_dirname_creator: Makes the name of a trial's directory.
        log_to_file: Whether what trials print is kept in files; or the name of one file, or of two.
        export_formats: Formats of a model to export at each trial's end.
        max_failures: How often a trial is started again; -1: without end.
        restore: A checkpoint that each trial begins from.
        local_dir: No longer accepted: say `storage_path`.

    Raises:
        ValueError: an argument makes no sense.
        TypeError: the trainable can't be pickled.
    """

    PUBLIC_KEYS: ClassVar[set[str]] = {"stop", "num_samples", "time_budget_s"}

    def __init__(
        self,
        name: str,
        run: str | Callable[..., Any] | type,
        *,
        stop: Mapping[str, Any] | Stopper | Callable[[str, Mapping[str, Any]], bool] | None = None,
        time_budget_s: float | datetime.timedelta | None = None,
        config: dict[str, Any] | None = None,
        resources_per_trial: Mapping[str, Any] | PlacementGroupFactory | None = None,
        num_samples: int = 1,
        storage_path: str | None = None,
        storage_filesystem: Any = None,
        sync_config: SyncConfig | dict[str, Any] | None = None,
        checkpoint_config: CheckpointConfig | dict[str, Any] | None = None,
        trial_name_creator: Callable[[Any], str] | None = None,
        trial_dirname_creator: Callable[[Any], str] | None = None,
        log_to_file: Any = False,
        export_formats: Sequence[str] | None = None,
        max_failures: int = 0,
        restore: str | None = None,
        local_dir: str | None = None,
    ) -> None:
        if local_dir is not None:
            raise DeprecationWarning("`local_dir` is deprecated. Pass `storage_path` instead.")
        if isinstance(checkpoint_config, dict):
            checkpoint_config = CheckpointConfig(**checkpoint_config)
        if isinstance(sync_config, dict):
            sync_config = SyncConfig(**sync_config)
        self._run_identifier = self.register_if_needed(run)
        self.name = name or f"{self._run_identifier}_{date_str()}"
        self._checkpoint_config = checkpoint_config or CheckpointConfig()
        self._refuse_what_functions_do_not_know()
        self._stopping_criteria: dict[str, Any] = {}
        self._stopper = self._make_stopper(stop, time_budget_s)
        self.storage = ExperimentStorage(
            storage_path or default_storage_path(), self.name, storage_filesystem, sync_config
        )
        if resources_per_trial is not None and not isinstance(resources_per_trial, PlacementGroupFactory):
            resources_per_trial = resource_dict_to_pg_factory(resources_per_trial)
        config = config or {}
        if not isinstance(config, dict):
            raise ValueError(f"`Experiment.config` must be a dict, got: {type(config)}: {config!r}.")
        self.spec: dict[str, Any] = {
            "run": self._run_identifier,
            "stop": self._stopping_criteria,
            "time_budget_s": time_budget_s,
            "config": config,
            "resources_per_trial": resources_per_trial,
            "num_samples": num_samples,
            "checkpoint_config": self._checkpoint_config,
            "trial_name_creator": trial_name_creator,
            "trial_dirname_creator": trial_dirname_creator,
            "log_to_file": _log_files(log_to_file),
            "export_formats": list(export_formats or []),
            "max_failures": max_failures,
            "restore": os.path.abspath(os.path.expanduser(restore)) if restore else None,
            "storage": self.storage,
        }

    def _refuse_what_functions_do_not_know(self) -> None:
        if not is_function_trainable(self._run_identifier):
            return
        trainable = get_trainable_cls(self._run_identifier)
        every = self._checkpoint_config.checkpoint_frequency
        if every and not getattr(trainable, "_handles_checkpoint_freq", False):
            raise ValueError(
                f"'checkpoint_frequency' cannot be set for a function trainable (it is {every}): report checkpoints in it, "
                "with tune.report(metrics, checkpoint=…)."
            )
        at_end = self._checkpoint_config.checkpoint_at_end
        if at_end and not getattr(trainable, "_handles_checkpoint_at_end", False):
            raise ValueError(
                "'checkpoint_at_end' cannot be used with a function trainable: report a checkpoint with its last result."
            )

    def _make_stopper(self, stop: Any, time_budget_s: Any) -> Stopper | None:
        stopper: Stopper | None = None
        if isinstance(stop, list):
            if any(not isinstance(each, Stopper) for each in stop):
                raise ValueError(
                    "If you pass a list as the `stop` argument, each element must be an instance of `Stopper`."
                )
            stopper = CombinedStopper(*stop)
        elif isinstance(stop, Mapping):
            self._stopping_criteria = dict(stop)
        elif isinstance(stop, Stopper):
            stopper = stop
        elif stop is not None:
            if not FunctionStopper.is_valid_function(stop):
                raise ValueError(
                    f"Invalid stop criteria: {stop!r}. Must be a callable or dict. Got {type(stop)}. A Stopper or a list of "
                    "them will do, too."
                )
            stopper = FunctionStopper(stop)
        if time_budget_s:
            limit = TimeoutStopper(time_budget_s)
            stopper = CombinedStopper(stopper, limit) if stopper else limit
        return stopper

    @classmethod
    def from_json(cls, name: str, spec: dict[str, Any]) -> Experiment:
        """Make an experiment from a dictionary of its arguments.

        Args:
            name: Its name.
            spec: The arguments, of which "run" is needed.

        Returns:
            The experiment.

        Raises:
            TuneError: "run" is missing.
        """
        if "run" not in spec:
            raise TuneError(f"No trainable specified: the experiment {name!r} has no 'run': {spec}.")
        known = {**spec}
        if "env" in known:
            known["config"] = {**known.get("config", {}), "env": known.pop("env")}
        run = known.pop("run")
        try:
            return cls(name, run, **known)
        except TypeError as error:
            raise TuneError(f"the experiment {name!r} can't be made from {spec}: {error}") from error

    @classmethod
    def get_trainable_name(cls, run_object: str | Callable[..., Any] | type) -> str:
        """The name by which a trainable is registered.

        Args:
            run_object: A function, a class, or a name.

        Returns:
            The name.

        Raises:
            TuneError: it is none of these.
        """
        if isinstance(run_object, str):
            return run_object
        if isinstance(run_object, Domain):
            raise TuneError("the trainable can't be a domain of a search space: pass a function or a class.")
        name = getattr(run_object, "_name", None) if inspect.isclass(run_object) else None
        name = name or getattr(run_object, "__name__", None)
        if name is None:
            name = getattr(getattr(run_object, "func", None), "__name__", None) or type(run_object).__name__
        return "lambda" if name == "<lambda>" else str(name)

    @classmethod
    def register_if_needed(cls, run_object: str | Callable[..., Any] | type) -> str:
        """Register a trainable, unless it is a name already.

        Args:
            run_object: A function, a class, or a name.

        Returns:
            The name.

        Raises:
            TypeError: it can't be pickled; the message says which part of it can't.
            TuneError: it is neither a function nor a class.
        """
        if isinstance(run_object, str):
            return run_object
        if not callable(run_object) or isinstance(run_object, Domain):
            raise TuneError(f"Improper 'run' - not string nor trainable: {run_object!r}.")
        name = cls.get_trainable_name(run_object)
        try:
            register_trainable(name, run_object)
            _check_pickles(run_object)
        except (TypeError, pickle.PicklingError) as error:
            raise TypeError(str(error)) from error
        return name

    @property
    def stopper(self) -> Stopper:
        """What stops the experiment."""
        return self._stopper or NoopStopper()

    @property
    def path(self) -> str:
        """The experiment's directory on the storage file system."""
        return self.storage.path

    @property
    def local_path(self) -> str:
        """The experiment's directory on the local disk."""
        return self.storage.local_path

    local_dir = local_path
    remote_path = path
    checkpoint_dir = local_path

    @property
    def checkpoint_config(self) -> CheckpointConfig:
        """Which checkpoints are made and kept."""
        return self._checkpoint_config

    @property
    def run_identifier(self) -> str:
        """The name by which the trainable is registered."""
        return self._run_identifier

    @property
    def public_spec(self) -> dict[str, Any]:
        """What searchers may know about the experiment."""
        return {key: value for key, value in self.spec.items() if key in self.PUBLIC_KEYS}


def convert_to_experiments(experiments: Any) -> list[Experiment]:
    """Make a list of experiments of what may describe some.

    Args:
        experiments: An experiment, a list of experiments, or a dictionary of specifications by name.

    Returns:
        The list.

    Raises:
        TuneError: it is none of these.
    """
    if experiments is None:
        return []
    if isinstance(experiments, Experiment):
        return [experiments]
    if isinstance(experiments, dict):
        return [Experiment.from_json(name, spec) for name, spec in experiments.items()]
    if isinstance(experiments, list) and all(isinstance(each, Experiment) for each in experiments):
        return experiments
    raise TuneError(
        f"Invalid argument: {experiments!r}. Pass an Experiment, a list of them, or a dictionary by name."
    )


def _log_files(log_to_file: Any) -> tuple[str | None, str | None]:
    if not log_to_file:
        return None, None
    if isinstance(log_to_file, bool):
        return "stdout", "stderr"
    if isinstance(log_to_file, str):
        return log_to_file, log_to_file
    if isinstance(log_to_file, Sequence) and len(log_to_file) == 2:
        return log_to_file[0], log_to_file[1]
    if isinstance(log_to_file, Sequence):
        raise ValueError(
            "If you pass a Sequence to `log_to_file` it has to have a length of 2 (for stdout and stderr, respectively). The "
            f"Sequence you passed has length {len(log_to_file)}."
        )
    raise ValueError(
        "You can pass a boolean, a string, or a Sequence of length 2 to `log_to_file`, but you passed something else "
        f"({type(log_to_file)}): {log_to_file!r}."
    )


def _check_pickles(trainable: Any) -> None:
    import cloudpickle

    try:
        cloudpickle.dumps(trainable)
    except Exception as error:
        from skate.util import inspect_serializability

        with open(os.devnull, "w") as nowhere:
            _, failures = inspect_serializability(trainable, print_file=nowhere)
        found = ", ".join(f"{each.name} ({each.obj!r}), which {each.parent!r} refers to" for each in failures)
        raise TypeError(
            "The provided trainable is not serializable, which is a requirement since it is sent to other processes. "
            f"What can't be pickled: {found or trainable!r}. Make it inside of the trainable, or bind it with "
            f"tune.with_parameters(). ({error})"
        ) from error
