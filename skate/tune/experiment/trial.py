"""One trial: what it tries, how far it has come, and what is left of it. It holds facts and runs nothing."""

from __future__ import annotations

import os
import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate.air._checkpoint import Checkpoint
from skate.air.checkpoint_manager import CheckpointManager, TrainingResult
from skate.air.config import CheckpointConfig
from skate.air.result import look_up
from skate.tune import result as _keys
from skate.tune.error import TuneError
from skate.tune.execution.placement_groups import PlacementGroupFactory, resource_dict_to_pg_factory
from skate.tune.registry import get_trainable_cls, validate_trainable
from skate.tune.utils.dictionaries import flatten_dict
from skate.tune.utils.util import date_str

if TYPE_CHECKING:
    from skate.tune.experiment.storage import ExperimentStorage

__all__ = [
    "ExportFormat",
    "Trial",
]

_LONGEST_TAG = 130


class ExportFormat:
    """The formats in which trials may export a model."""

    CHECKPOINT = "checkpoint"
    MODEL = "model"
    ONNX = "onnx"
    H5 = "h5"

    @staticmethod
    def validate(formats: list[str]) -> None:
        """Check names of formats; they are made lower case in place.

        Args:
            formats: The names.

        Raises:
            TuneError: there is no such format.
        """
        known = (ExportFormat.CHECKPOINT, ExportFormat.MODEL, ExportFormat.ONNX, ExportFormat.H5)
        for place, name in enumerate(formats):
            formats[place] = name.strip().lower()
            if formats[place] not in known:
                raise TuneError(
                    f"Unsupported import/export format: {formats[place]}. There are {list(known)}."
                )


class Trial:
    """One set of parameters that is tried.

    Args:
        trainable_name: The registered name of what is run.
        config: The parameters.
        trial_id: Default: a new one.
        storage: Where the experiment is kept.
        evaluated_params: The parameters that were chosen, by name.
        experiment_tag: Those parameters in a line, for names.
        placement_group_factory: What the trial holds; default: what its class asks for, or one CPU.
        stopping_criterion: Metrics, and the values at which the trial is done.
        checkpoint_config: Which checkpoints are made and kept.
        export_formats: Formats of a model to export at the end.
        restore_path: A checkpoint to begin from.
        trial_name_creator: Makes a name for the trial.
        trial_dirname_creator: Makes a name for the trial's directory.
        log_to_file: Names of files for standard output and errors.
        max_failures: How often the trial is started again; -1: without end.
        stub: Accept a name that is not registered, to look at a trial that is over.

    Raises:
        TuneError: the name is not registered.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    TERMINATED = "TERMINATED"
    ERROR = "ERROR"

    def __init__(
        self,
        trainable_name: str,
        *,
        config: dict[str, Any] | None = None,
        trial_id: str | None = None,
        storage: ExperimentStorage | None = None,
        evaluated_params: dict[str, Any] | None = None,
        experiment_tag: str = "",
        placement_group_factory: PlacementGroupFactory | None = None,
        stopping_criterion: dict[str, float] | None = None,
        checkpoint_config: CheckpointConfig | None = None,
        export_formats: list[str] | None = None,
        restore_path: str | None = None,
        trial_name_creator: Callable[[Trial], str] | None = None,
        trial_dirname_creator: Callable[[Trial], str] | None = None,
        log_to_file: Any = None,
        max_failures: int = 0,
        stub: bool = False,
        _setup_default_resource: bool = True,
    ) -> None:
        if not stub:
            validate_trainable(trainable_name)
        self.stub = stub
        self.trainable_name = trainable_name
        self.trial_id = trial_id or self.generate_id()
        self.config = config or {}
        self.evaluated_params = evaluated_params or {}
        self.experiment_tag = experiment_tag
        self.stopping_criterion = stopping_criterion or {}
        self.checkpoint_config = checkpoint_config or CheckpointConfig()
        self.export_formats = export_formats or []
        self.restore_path = restore_path
        self.log_to_file = log_to_file or (None, None)
        self.max_failures = max_failures
        self.storage = storage
        self.status = Trial.PENDING
        self.start_time: float | None = None
        self.num_failures = 0
        self.num_failures_after_restore = 0
        self.error: Exception | None = None
        self.pid: int | None = None
        self.node_ip: str | None = None
        self.results: list[dict[str, Any]] = []
        self.checkpoints = CheckpointManager(self.checkpoint_config)
        self.start_checkpoint: TrainingResult | None = None
        if restore_path is not None:
            self.start_checkpoint = TrainingResult(Checkpoint(restore_path), {})
        self.next_checkpoint = 0
        self._reported: dict[str, Any] = {}
        self._analysis: dict[str, dict[str, Any]] = {}
        self._recent: dict[str, tuple[deque[float], deque[float]]] = {}
        self._counts: dict[str, int] = {}
        self._made: str | None = None
        self._requested = placement_group_factory
        self.placement_group_factory = placement_group_factory or self._default_resources(
            _setup_default_resource and not stub
        )
        name = trial_name_creator(self) if trial_name_creator else None
        self.custom_trial_name = str(name) if name is not None else None
        self.relative_logdir = self._name_directory(trial_dirname_creator)

    @classmethod
    def generate_id(cls) -> str:
        """A new id."""
        return uuid.uuid4().hex[:8]

    def _default_resources(self, ask: bool) -> PlacementGroupFactory:
        asked = get_trainable_cls(self.trainable_name).default_resource_request(self.config) if ask else None
        if asked is None:
            return PlacementGroupFactory([{"CPU": 1}])
        return asked if isinstance(asked, PlacementGroupFactory) else resource_dict_to_pg_factory(asked)

    def _name_directory(self, creator: Callable[[Trial], str] | None) -> str:
        if creator is not None:
            name = str(creator(self))
            if os.path.sep in name:
                raise ValueError(
                    f"Trial dirname must not contain '/'. Got: {name}. A trial's directory lies right in its experiment's."
                )
            return name
        tag = self.experiment_tag[: _LONGEST_TAG - len(str(self)) - 21].rstrip("_,=")
        return "_".join(part for part in (str(self), tag, date_str()) if part).replace("/", "_")

    # -- what it runs ------------------------------------

    def get_trainable_cls(self) -> Any:
        """The class that is run; None for a stub."""
        return None if self.stub else get_trainable_cls(self.trainable_name)

    def set_config(self, config: dict[str, Any]) -> None:
        """Give the trial other parameters."""
        self.config = config

    def set_experiment_tag(self, experiment_tag: str) -> None:
        """Give the trial another tag."""
        self.experiment_tag = experiment_tag

    def update_resources(self, resources: dict[str, float] | PlacementGroupFactory) -> None:
        """Let the trial hold something else.

        Args:
            resources: The bundles, or one by its resources.

        Raises:
            ValueError: the trial runs; it has to be paused first.
        """
        if self.status == Trial.RUNNING:
            raise ValueError("Cannot update resources while Trial is running: pause it first.")
        if not isinstance(resources, PlacementGroupFactory):
            resources = resource_dict_to_pg_factory(resources)
        self.placement_group_factory = resources

    def get_ray_actor_ip(self) -> str | None:
        """The host that it ran on last."""
        return self.node_ip

    def create_placement_group_factory(self) -> None:
        """Ask the trainable anew what the trial holds, unless the experiment says."""
        self.placement_group_factory = self._requested or self._default_resources(not self.stub)

    def set_storage(self, new_storage: ExperimentStorage) -> None:
        """Keep the trial somewhere else: its directory has moved."""
        self.storage = new_storage

    # -- where it is kept --------------------------------

    def _experiment(self) -> ExperimentStorage:
        if self.storage is None:
            raise RuntimeError(f"the trial {self} belongs to no experiment yet, and is kept nowhere.")
        return self.storage

    @property
    def path(self) -> str | None:
        """The trial's directory on the storage file system."""
        return f"{self.storage.path}/{self.relative_logdir}" if self.storage else None

    @property
    def local_path(self) -> str | None:
        """The trial's directory on the local disk."""
        return os.path.join(self.storage.local_path, self.relative_logdir) if self.storage else None

    logdir = local_path

    @property
    def local_experiment_path(self) -> str | None:
        """The experiment's directory on the local disk."""
        return self.storage.local_path if self.storage else None

    local_dir = local_experiment_path

    @property
    def remote_experiment_path(self) -> str | None:
        """The experiment's directory on the storage file system."""
        return self.storage.path if self.storage else None

    @property
    def experiment_dir_name(self) -> str | None:
        """The name of the experiment's directory."""
        return self.storage.name if self.storage else None

    def init_local_path(self) -> None:
        """Make the trial's local directory."""
        path = self.local_path
        assert path is not None
        if self._made != path:
            os.makedirs(path, exist_ok=True)
            self._made = path

    init_logdir = init_local_path

    # -- what it reported --------------------------------

    @property
    def last_result(self) -> dict[str, Any]:
        """The newest result; before the first one, what is known about the trial."""
        return self._reported or self._before_first()

    def _before_first(self) -> dict[str, Any]:
        return {_keys.TRIAL_ID: self.trial_id, "config": self.config}

    @property
    def has_reported_at_least_once(self) -> bool:
        """Whether there has been a result."""
        return _keys.TRAINING_ITERATION in self._reported

    @property
    def metric_analysis(self) -> dict[str, dict[str, Any]]:
        """For each metric its "max", "min", "avg", "last", "last-5-avg" and "last-10-avg"."""
        return self._analysis

    @property
    def metric_n_steps(self) -> dict[str, dict[str, deque[float]]]:
        """For each metric its newest values: five of them under "5", ten under "10"."""
        return {name: {"5": five, "10": ten} for name, (five, ten) in self._recent.items()}

    def update_last_result(self, result: dict[str, Any]) -> None:
        """Take note of a result."""
        self._reported = (
            {**result, _keys.EXPERIMENT_TAG: self.experiment_tag} if self.experiment_tag else result
        )
        own = {key: value for key, value in result.items() if key not in _NOT_METRICS}
        for name, value in flatten_dict(own).items():
            if isinstance(value, int | float) or _is_number(value):
                self._note(name, value)

    def set_last_result(self, result: dict[str, Any]) -> None:
        """Put a result in place that has been taken note of before."""
        self._reported = result

    def _note(self, name: str, value: float) -> None:
        seen = self._analysis.get(name)
        if seen is None:
            self._analysis[name] = {
                "max": value,
                "min": value,
                "avg": value,
                "last": value,
                "last-5-avg": value,
                "last-10-avg": value,
            }
            self._recent[name] = (deque([value], maxlen=5), deque([value], maxlen=10))
            self._counts[name] = 1
            return
        count = self._counts[name] = self._counts[name] + 1
        seen["max"] = max(seen["max"], value)
        seen["min"] = min(seen["min"], value)
        seen["avg"] += (value - seen["avg"]) / count
        seen["last"] = value
        five, ten = self._recent[name]
        five.append(value)
        ten.append(value)
        seen["last-5-avg"] = sum(five) / len(five)
        seen["last-10-avg"] = sum(ten) / len(ten)

    # -- how far it has come -----------------------------

    def set_status(self, status: str) -> None:
        """Take note of what the trial does now."""
        self.status = status
        if status == Trial.RUNNING and self.start_time is None:
            self.start_time = time.time()

    def is_finished(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in (Trial.TERMINATED, Trial.ERROR)

    def should_stop(self, result: dict[str, Any]) -> bool:
        """Whether a result means that the trial is done.

        Args:
            result: The result.

        Raises:
            TuneError: a metric that decides it is not in the result, and never has been.
        """
        if result.get(_keys.DONE):
            return True
        for name, limit in self.stopping_criterion.items():
            value = look_up(result, name)
            if isinstance(limit, dict):
                raise ValueError(
                    f"Stopping criterion {name!r} is a nested dict: name the metric by its path, as {name}/…, instead."
                )
            if value is not None and value >= limit:
                return True
        return False

    def should_checkpoint(self) -> bool:
        """Whether it is time for a checkpoint."""
        result = self.last_result
        if result.get(_keys.DONE) and self.checkpoint_at_end:
            return True
        every = self.checkpoint_freq
        return bool(every and result.get(_keys.TRAINING_ITERATION, 0) % every == 0)

    def should_recover(self) -> bool:
        """Whether the trial is started again after a failure."""
        return self.max_failures < 0 or self.num_failures_after_restore <= self.max_failures

    @property
    def checkpoint_at_end(self) -> bool | None:
        """Whether a checkpoint is made when the trial ends."""
        return self.checkpoint_config.checkpoint_at_end

    @property
    def checkpoint_freq(self) -> int | None:
        """Iterations between two checkpoints."""
        return self.checkpoint_config.checkpoint_frequency

    # -- checkpoints -------------------------------------

    @property
    def latest_checkpoint_result(self) -> TrainingResult | None:
        """The newest checkpoint with its metrics: where the trial goes on from."""
        return self.start_checkpoint or self.checkpoints.newest

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint."""
        newest = self.latest_checkpoint_result
        return newest.checkpoint if newest else None

    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint."""
        return self.checkpoint is not None

    def on_checkpoint(self, checkpoint_result: TrainingResult) -> list[TrainingResult]:
        """Take note of a checkpoint.

        Args:
            checkpoint_result: The checkpoint with its metrics.

        Returns:
            Checkpoints that are no longer kept.
        """
        if self.status != Trial.PAUSED:  # a paused trial may have been told since to go on from another's
            self.start_checkpoint = None
        self.next_checkpoint += 1
        return self.checkpoints.register(checkpoint_result)

    def exploit(self, config: dict[str, Any], experiment_tag: str, source: TrainingResult | None) -> None:
        """Go on as another trial does: from its checkpoint, with other parameters."""
        self.set_config(config)
        self.set_experiment_tag(experiment_tag)
        self.start_checkpoint = source

    # -- failures ----------------------------------------

    @property
    def error_file(self) -> str | None:
        """The file in which failures are told, if there was one."""
        path = self.local_path
        return os.path.join(path, _keys.EXPR_ERROR_FILE) if path and self.num_failures else None

    @property
    def pickled_error_file(self) -> str | None:
        """The file with the newest error itself."""
        path = self.local_path
        return os.path.join(path, _keys.EXPR_ERROR_PICKLE_FILE) if path and self.num_failures else None

    def handle_error(self, exc: Exception | None = None) -> None:
        """Take note of a failure, in the trial's directory too."""
        self.num_failures += 1
        self.num_failures_after_restore += 1
        self.error = exc
        if exc is None or self.storage is None:
            return
        self.init_local_path()
        assert self.error_file is not None and self.pickled_error_file is not None
        with open(self.error_file, "a", encoding="utf-8") as file:
            file.write(f"Failure # {self.num_failures} (occurred at {date_str()})\n{_full_text(exc)}\n")
        with open(self.pickled_error_file, "wb") as binary:
            binary.write(_pickled(exc))

    def get_error(self) -> Exception | None:
        """What the trial failed with, or None."""
        return self.error

    def get_pickled_error(self) -> Exception | None:
        """What the trial failed with, read from its directory."""
        if self.storage is None or not self.num_failures:
            return None
        kept = f"{self.path}/{_keys.EXPR_ERROR_PICKLE_FILE}"
        if self.storage.store.exists(kept):
            data = self.storage.store.read(kept)
        else:  # not uploaded yet
            path = self.pickled_error_file
            if path is None or not os.path.exists(path):
                return None
            data = Path(path).read_bytes()
        error: Exception = pickle.loads(data)
        return error

    # -- names -------------------------------------------

    @property
    def experiment_path(self) -> str:
        """The experiment's directory on the storage file system."""
        return self._experiment().path

    def reset(self) -> Trial:
        """The same trial, not begun."""
        return Trial(
            self.trainable_name,
            config=self.config,
            trial_id=None,
            storage=self.storage,
            evaluated_params=self.evaluated_params,
            experiment_tag=self.experiment_tag,
            placement_group_factory=self._requested,
            stopping_criterion=self.stopping_criterion,
            checkpoint_config=self.checkpoint_config,
            export_formats=self.export_formats,
            restore_path=self.restore_path,
            log_to_file=self.log_to_file,
            max_failures=self.max_failures,
        )

    def __str__(self) -> str:
        return self.custom_trial_name or f"{self.trainable_name.replace('/', '_')}_{self.trial_id}"

    __repr__ = __str__

    def __hash__(self) -> int:
        return hash(self.trial_id)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Trial) and other.trial_id == self.trial_id)


_NOT_METRICS = {"config", *_keys.DEBUG_METRICS}


def _is_number(value: Any) -> bool:
    """Whether a value is one of NumPy's numbers, without importing NumPy."""
    return type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 and value.dtype.kind in "iufb"


def _full_text(error: Exception) -> str:
    import traceback

    text = str(error)
    return text if "Traceback" in text else "".join(traceback.format_exception(error))


def _pickled(error: Exception) -> bytes:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(error)
        pickle.loads(data)
    except Exception as unpicklable:  # noqa: BLE001 - pickling runs the user's code
        data = pickle.dumps(
            TuneError(f"{type(error).__name__}: {error} (it can't be pickled: {unpicklable})")
        )
    return data
