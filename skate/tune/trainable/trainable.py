"""A trial's code as a class: it is set up, steps, and can save and load what it has learned."""

from __future__ import annotations

import logging
import os
import pickle
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate.air._checkpoint import Checkpoint
from skate.air.checkpoint_manager import TrainingResult
from skate.tune import result as _keys
from skate.tune.trainable.facts import node_ip

if TYPE_CHECKING:
    from skate.tune.execution.placement_groups import PlacementGroupFactory
    from skate.tune.trainable.facts import TrialFacts

__all__ = [
    "Trainable",
]

_METADATA_FILE = ".tune_metadata"
_DICT_FILE = "_dict_checkpoint.pkl"
_logger = logging.getLogger(__name__)


class Trainable:
    """What a trial runs. Subclasses define `setup`, `step`, `save_checkpoint` and `load_checkpoint`.

    Args:
        config: What the trial is configured with.
        storage: Where the trial is kept; None outside of a trial.

    Example:
        >>> class Climb(Trainable):
        ...     def setup(self, config):
        ...         self.height = 0
        ...     def step(self):
        ...         self.height += self.config["speed"]
        ...         return {"height": self.height}
        >>> climb = Climb({"speed": 2})
        >>> climb.train()["height"], climb.train()["training_iteration"]
        (2, 2)
    """

    def __init__(self, config: dict[str, Any] | None = None, storage: Any = None) -> None:
        self.config: dict[str, Any] = config or {}
        self._facts: TrialFacts | None = self.config.pop(_keys.TRIAL_INFO, None)
        self._storage = storage
        self._start_time = time.time()
        self._time_total = 0.0
        self._iteration = 0
        self._timesteps_total: int | None = None
        self._episodes_total: int | None = None
        self._restored = False
        self._time_since_restore = 0.0
        self._iterations_since_restore = 0
        self._timesteps_since_restore = 0
        self._last_result: dict[str, Any] = {}
        start = time.monotonic()
        self.setup(dict(self.config))
        taken = time.monotonic() - start
        if taken > _SLOW_SETUP_S:
            _logger.info(
                "setup() took %.1f s. If reset_config() is defined, reuse_actors=True saves it.", taken
            )

    # -- for subclasses ----------------------------------

    def setup(self, config: dict[str, Any]) -> None:
        """Get ready; called once, before the first step.

        Args:
            config: What the trial is configured with.
        """

    def step(self) -> dict[str, Any]:
        """Do one iteration.

        Returns:
            Metrics by name. `"done": True` ends the trial.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step()")

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any] | None:
        """Save what is needed to go on later.

        Args:
            checkpoint_dir: A directory to write files into.

        Returns:
            None, or a dictionary that is pickled into the directory.
        """
        raise NotImplementedError(f"{type(self).__name__} must define save_checkpoint() to be saved")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from what was saved.

        Args:
            checkpoint: The dictionary that `save_checkpoint` returned, or the directory with its files.
        """
        raise NotImplementedError(f"{type(self).__name__} must define load_checkpoint() to be restored")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another trial without being made anew; used with `reuse_actors`.

        Args:
            new_config: What the other trial is configured with.

        Returns:
            Whether that has been done. If not, a new object is made.
        """
        return False

    def cleanup(self) -> None:
        """Let go of resources; called once, when the trial ends."""

    def log_result(self, result: dict[str, Any]) -> None:
        """Called with each result in the trial's process, before it is handed on."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory | None:
        """What a trial holds if the experiment does not say.

        Args:
            config: What the trial is configured with.

        Returns:
            The bundles; None: one CPU.
        """
        return None

    @classmethod
    def resource_help(cls, config: dict[str, Any]) -> str:
        """What to say when the trial's resources can't be had."""
        return ""

    # -- for whoever runs it -----------------------------

    def train(self) -> dict[str, Any]:
        """Do one iteration, and add what every result carries.

        Returns:
            The metrics of `step`, with the iteration, times, and where it ran.

        Raises:
            ValueError: `step` returned something else than a dictionary.
        """
        start = time.monotonic()
        stepped = self.step()
        if not isinstance(stepped, Mapping):
            raise ValueError(
                f"step() must return a dictionary of metrics, not {type(stepped).__name__}: {stepped!r}."
            )
        result = dict(stepped)
        if _keys.RESULT_DUPLICATE not in result:
            self._count(result, time.monotonic() - start)
        # What every result carries does not replace what the user reports under the same name.
        for key, value in self.get_auto_filled_metrics(time_this_iter=self._time_this_iter).items():
            result.setdefault(key, value)
        self._last_result = result
        self.log_result(result)
        return result

    def _count(self, result: dict[str, Any], seconds: float) -> None:
        result.setdefault(_keys.DONE, False)
        self._time_this_iter = result.get(_keys.TIME_THIS_ITER_S, seconds)
        self._iteration += 1
        self._iterations_since_restore += 1
        self._time_total += self._time_this_iter
        self._time_since_restore += self._time_this_iter
        steps = result.get(_keys.TIMESTEPS_THIS_ITER)
        if steps is not None:
            self._timesteps_total = (self._timesteps_total or 0) + steps
            self._timesteps_since_restore += steps
        if result.get(_keys.EPISODES_THIS_ITER) is not None:
            self._episodes_total = (self._episodes_total or 0) + result[_keys.EPISODES_THIS_ITER]
        if result.get(_keys.TIMESTEPS_TOTAL) is not None:
            self._timesteps_total = result[_keys.TIMESTEPS_TOTAL]

    _time_this_iter = 0.0

    def get_auto_filled_metrics(
        self,
        now: datetime | None = None,
        time_this_iter: float | None = None,
        timestamp: int | None = None,
        debug_metrics_only: bool = False,
    ) -> dict[str, Any]:
        """What every result carries.

        Args:
            now: The time.
            time_this_iter: Seconds that the iteration took.
            timestamp: The time, in seconds since 1970.
            debug_metrics_only: Only what says where and when.

        Returns:
            Values by name.
        """
        moment = now or datetime.now().astimezone()
        auto: dict[str, Any] = {
            _keys.TRAINING_ITERATION: self._iteration,
            _keys.TRIAL_ID: self.trial_id,
            "date": moment.strftime("%Y-%m-%d_%H-%M-%S"),
            _keys.TIMESTAMP: timestamp if timestamp is not None else int(moment.timestamp()),
            _keys.TIME_THIS_ITER_S: time_this_iter,
            _keys.TIME_TOTAL_S: self._time_total,
            _keys.PID: os.getpid(),
            _keys.HOSTNAME: platform.node(),
            _keys.NODE_IP: node_ip(),
            "config": self.config,
            "time_since_restore": self._time_since_restore,
            "iterations_since_restore": self._iterations_since_restore,
        }
        if self._timesteps_total is not None:
            auto[_keys.TIMESTEPS_TOTAL] = self._timesteps_total
            auto["timesteps_since_restore"] = self._timesteps_since_restore
        if self._episodes_total is not None:
            auto[_keys.EPISODES_TOTAL] = self._episodes_total
        if debug_metrics_only:
            auto = {key: value for key, value in auto.items() if key in _keys.DEBUG_METRICS}
        return auto

    def train_buffered(self, buffer_time_s: float, max_buffer_length: int = 1000) -> list[dict[str, Any]]:
        """Do several iterations.

        Args:
            buffer_time_s: Seconds after which no other is begun.
            max_buffer_length: The most.

        Returns:
            Their results. The last may be done, or ask for a checkpoint.
        """
        results: list[dict[str, Any]] = []
        deadline = time.monotonic() + buffer_time_s
        while len(results) < max_buffer_length:
            result = self.train()
            results.append(result)
            if result.get(_keys.DONE) or result.get(_keys.SHOULD_CHECKPOINT) or time.monotonic() >= deadline:
                break
        return results

    def get_state(self) -> dict[str, Any]:
        """The counts that a checkpoint carries."""
        return {
            "iteration": self._iteration,
            "timesteps_total": self._timesteps_total,
            "time_total": self._time_total,
            "episodes_total": self._episodes_total,
            "last_result": self._last_result,
            "skate_version": _version(),
        }

    def save(self, checkpoint_dir: str | None = None) -> TrainingResult:
        """Save a checkpoint.

        Args:
            checkpoint_dir: Where to; default: into the trial's directory, or outside of a trial a temporary one.

        Returns:
            The checkpoint, and the last result's metrics.

        Raises:
            ValueError: `save_checkpoint` returned something that is neither a dictionary nor None.
        """
        keep = self._storage if checkpoint_dir is None else None
        directory = checkpoint_dir or (
            keep.new_directory() if keep else tempfile.mkdtemp(prefix="skate-checkpoint-")
        )
        os.makedirs(directory, exist_ok=True)
        try:
            self._save_into(directory)
            checkpoint = keep.take(directory) if keep else Checkpoint(directory)
        except BaseException:
            if checkpoint_dir is None:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        return TrainingResult(checkpoint, dict(self._last_result))

    def _save_into(self, directory: str) -> None:
        saved = self.save_checkpoint(directory)
        if isinstance(saved, dict):
            with open(os.path.join(directory, _DICT_FILE), "wb") as file:
                _pickler().dump(saved, file)
        elif saved is not None and not (isinstance(saved, str) and _is_within(saved, directory)):
            raise ValueError(
                f"save_checkpoint() returned {saved!r}: it must return None, a dictionary, or the directory that it was given."
            )
        Path(directory, _METADATA_FILE).write_bytes(pickle.dumps(self.get_state()))

    def restore(self, checkpoint_path: str | os.PathLike[str] | Checkpoint | TrainingResult) -> None:
        """Go on from a checkpoint.

        Args:
            checkpoint_path: What `save` returned, or a checkpoint, or its directory.

        Raises:
            ValueError: there is no checkpoint in it.
        """
        if isinstance(checkpoint_path, TrainingResult):
            checkpoint = checkpoint_path.checkpoint
        elif isinstance(checkpoint_path, Checkpoint):
            checkpoint = checkpoint_path
        else:
            checkpoint = Checkpoint(checkpoint_path)
        if checkpoint is None:
            raise ValueError(f"{checkpoint_path!r} holds no checkpoint to restore from.")
        with checkpoint.as_directory() as directory:
            self._load(directory)
        self._restored = True
        _logger.info("Restored from %s at iteration %s", checkpoint, self._iteration)

    def _load(self, directory: str) -> None:
        metadata = Path(directory, _METADATA_FILE)
        if metadata.exists():
            self._set_state(pickle.loads(metadata.read_bytes()))
        kept = Path(directory, _DICT_FILE)
        self.load_checkpoint(pickle.loads(kept.read_bytes()) if kept.exists() else directory)

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._iteration = state["iteration"]
        self._timesteps_total = state["timesteps_total"]
        self._time_total = state["time_total"]
        self._episodes_total = state["episodes_total"]
        self._last_result = state["last_result"]
        self._time_since_restore = 0.0
        self._iterations_since_restore = 0
        self._timesteps_since_restore = 0

    def reset(self, new_config: dict[str, Any], storage: Any = None) -> bool:
        """Become another trial, if `reset_config` can.

        Args:
            new_config: What the other trial is configured with.
            storage: Where the other trial is kept.

        Returns:
            Whether that has been done.
        """
        config = dict(new_config)
        self._facts = config.pop(_keys.TRIAL_INFO, self._facts)
        self._storage = storage
        if not self.reset_config(config):
            return False
        self.config = config
        self._start_time = time.time()
        self._set_state(
            {
                "iteration": 0,
                "timesteps_total": None,
                "time_total": 0.0,
                "episodes_total": None,
                "last_result": {},
            }
        )
        self._restored = False
        return True

    def stop(self) -> None:
        """End the trial."""
        self.cleanup()

    def export_model(self, export_formats: list[str] | str, export_dir: str | None = None) -> dict[str, str]:
        """Write a model in given formats.

        Args:
            export_formats: Their names.
            export_dir: Where to; default: the trial's directory.

        Returns:
            Where each has been written.
        """
        formats = [export_formats] if isinstance(export_formats, str) else export_formats
        return self._export_model(formats, export_dir or self.logdir or os.getcwd())

    def _export_model(self, export_formats: list[str], export_dir: str) -> dict[str, str]:
        return {}

    # -- what it knows of itself -------------------------

    @property
    def iteration(self) -> int:
        """How many iterations have been done."""
        return self._iteration

    training_iteration = iteration

    @property
    def logdir(self) -> str | None:
        """The directory that the trial runs in, or None outside of a trial."""
        return self._facts.directory if self._facts else None

    @property
    def trial_id(self) -> str:
        """The trial's id."""
        return self._facts.trial_id if self._facts else "default"

    @property
    def trial_name(self) -> str:
        """The trial's name."""
        return self._facts.trial_name if self._facts else "default"

    @property
    def trial_resources(self) -> Any:
        """The bundles of resources that the trial holds."""
        return self._facts.resources if self._facts else "default"

    def get_config(self) -> dict[str, Any]:
        """What the trial is configured with."""
        return self.config

    def get_current_ip_pid(self) -> tuple[str, int]:
        """Where the trial runs."""
        return node_ip(), os.getpid()

    def is_actor(self) -> bool:
        """Whether this runs in an actor."""
        import skate

        return skate.is_initialized() and skate.get_runtime_context().get_actor_id() is not None


_SLOW_SETUP_S = 10.0


def _version() -> str:
    import skate

    return skate.__version__


def _pickler() -> Any:
    import cloudpickle

    return cloudpickle


def _is_within(path: str, directory: str) -> bool:
    return os.path.abspath(path).startswith(os.path.abspath(directory))
