"""The journal of an experiment: what a restore needs, written as it happens.

A file of lines, each a JSON object. A trial's first line has all about it, later ones what has changed. A line is
written before anybody is told of what it says, so a driver that is killed at any moment has lost nothing that was
reported. A line that was cut short by a death is the last one, and is left out when the file is read. What JSON can't
express is pickled. A restore begins a new file, with what is left of the old ones.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from skate.air._checkpoint import Checkpoint
from skate.air.checkpoint_manager import TrainingResult
from skate.air.config import CheckpointConfig
from skate.tune.execution.placement_groups import PlacementGroupFactory
from skate.tune.experiment.trial import Trial

if TYPE_CHECKING:
    from skate.air.storage import Store
    from skate.tune.experiment.storage import ExperimentStorage

__all__ = [
    "ExperimentJournal",
    "find_newest",
    "load_trials",
]

_PREFIX = "experiment_state-"
_VERSION = 1
_EXACT = (str, int, bool, float, type(None))


class ExperimentJournal:
    """Writes the journal of one experiment.

    Args:
        storage: Where the experiment is kept.
        session: The time at which this run of it began, as it stands in the file's name.
    """

    def __init__(self, storage: ExperimentStorage, session: str) -> None:
        self._storage = storage
        self._name = f"{_PREFIX}{session}.json"
        self._file: IO[str] | None = None
        self._known: set[str] = set()

    @property
    def path(self) -> str:
        """The file on the local disk."""
        return os.path.join(self._storage.local_path, self._name)

    def open(self, trials: Iterable[Trial], facts: dict[str, Any]) -> None:
        """Begin the file.

        Args:
            trials: Those that there are already.
            facts: What is known about the experiment.
        """
        os.makedirs(self._storage.local_path, exist_ok=True)
        partial = f"{self.path}.partial"
        self._file = open(partial, "w", encoding="utf-8")  # noqa: SIM115 - open for as long as the experiment runs
        self._write({"version": _VERSION, **facts})
        for trial in trials:
            self.add(trial)
        os.replace(partial, self.path)  # only now is the older file no longer the newest

    def add(self, trial: Trial) -> None:
        """Write down a new trial."""
        self._known.add(trial.trial_id)
        self._write({"trial": trial.trial_id, "made": _fixed_facts(trial), "now": _changing_facts(trial)})

    def update(self, trial: Trial) -> None:
        """Write down how far a trial has come."""
        if trial.trial_id in self._known:
            self._write({"trial": trial.trial_id, "now": _changing_facts(trial)})

    def _write(self, record: dict[str, Any]) -> None:
        assert self._file is not None, "the journal is open"
        self._file.write(json.dumps(_encode(record)) + "\n")
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _fixed_facts(trial: Trial) -> dict[str, Any]:
    return {
        "trainable_name": trial.trainable_name,
        "evaluated_params": trial.evaluated_params,
        "stopping_criterion": trial.stopping_criterion,
        "checkpoint_config": vars(trial.checkpoint_config),
        "max_failures": trial.max_failures,
        "relative_logdir": trial.relative_logdir,
        "custom_trial_name": trial.custom_trial_name,
        "log_to_file": list(trial.log_to_file),
        "export_formats": trial.export_formats,
    }


def _changing_facts(trial: Trial) -> dict[str, Any]:
    last = dict(trial.last_result)
    if last.get("config") is trial.config or last.get("config") == trial.config:
        del last["config"]  # it is there already
    return {
        "status": trial.status,
        "config": trial.config,
        "experiment_tag": trial.experiment_tag,
        "start_time": trial.start_time,
        "last_result": last if trial.has_reported_at_least_once or len(last) > 1 else {},
        "num_failures": trial.num_failures,
        "next_checkpoint": trial.next_checkpoint,
        "checkpoints": [_checkpoint_facts(trial, each) for each in trial.checkpoints.best_and_newest],
        "start_checkpoint": _checkpoint_facts(trial, trial.start_checkpoint)
        if trial.start_checkpoint
        else None,
        "bundles": trial.placement_group_factory.bundles,
        "head_is_empty": trial.placement_group_factory.head_bundle_is_empty,
        "strategy": trial.placement_group_factory.strategy,
    }


def _checkpoint_facts(trial: Trial, saved: TrainingResult) -> list[Any]:
    """A checkpoint, by its place in the experiment: the directory may move."""
    assert saved.checkpoint is not None
    path, root = saved.checkpoint.path, trial.experiment_path
    inside = path.startswith(f"{root}/")
    metrics = {key: value for key, value in saved.metrics.items() if key != "config"}
    return [path.removeprefix(f"{root}/") if inside else path, inside, metrics]


def find_newest(store: Store, path: str) -> str | None:
    """The newest journal in an experiment's directory, or None."""
    names = [name for name in store.list_dir(path) if name.startswith(_PREFIX) and name.endswith(".json")]
    return f"{path}/{max(names)}" if names else None


def load_trials(storage: ExperimentStorage, stub: bool = False) -> tuple[list[Trial], dict[str, Any]]:
    """Read the trials of an experiment.

    Args:
        storage: Where it is kept now; its directory may have moved.
        stub: Only look at them: their trainables need not be registered.

    Returns:
        The trials in the order in which they were made, and what is known about the experiment.

    Raises:
        FileNotFoundError: there is no journal.
        ValueError: it was written by another version, or is damaged.
    """
    newest = find_newest(storage.store, storage.path)
    if newest is None:
        raise FileNotFoundError(f"there is no experiment in {storage.path!r}: it has no {_PREFIX}*.json.")
    made: dict[str, dict[str, Any]] = {}
    current: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    lines = storage.store.read(newest).decode().splitlines()
    for number, line in enumerate(lines):
        try:
            record = _decode(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines) - 1:
                break  # the driver died while it wrote this
            raise ValueError(f"{newest}, line {number + 1} is damaged: {error}") from error
        if "trial" not in record:
            facts = record
            continue
        if "made" in record:
            made[record["trial"]] = record["made"]
        current[record["trial"]] = record["now"]
    if facts.get("version") != _VERSION:
        raise ValueError(
            f"{newest} has version {facts.get('version')}, and this Skate reads version {_VERSION}."
        )
    trials = [_make_trial(name, made[name], current[name], storage, stub) for name in made]
    return trials, facts


def _make_trial(
    trial_id: str, made: dict[str, Any], now: dict[str, Any], storage: ExperimentStorage, stub: bool
) -> Trial:
    bundles = [{}, *now["bundles"]] if now["head_is_empty"] else now["bundles"]
    trial = Trial(
        made["trainable_name"],
        config=now["config"],
        trial_id=trial_id,
        storage=storage,
        evaluated_params=made["evaluated_params"],
        experiment_tag=now["experiment_tag"],
        placement_group_factory=PlacementGroupFactory(bundles, now["strategy"]),
        stopping_criterion=made["stopping_criterion"],
        checkpoint_config=CheckpointConfig(**made["checkpoint_config"]),
        export_formats=made["export_formats"],
        log_to_file=tuple(made["log_to_file"]),
        max_failures=made["max_failures"],
        stub=stub,
    )
    trial.relative_logdir = made["relative_logdir"]
    trial.custom_trial_name = made["custom_trial_name"]
    trial.status = now["status"]
    trial.start_time = now["start_time"]
    trial.num_failures = now["num_failures"]
    trial.next_checkpoint = now["next_checkpoint"]
    if now["last_result"]:
        trial.set_last_result({"config": trial.config, **now["last_result"]})
    for each in now["checkpoints"]:
        trial.checkpoints.register(_make_checkpoint(each, trial))
    if now["start_checkpoint"]:
        trial.start_checkpoint = _make_checkpoint(now["start_checkpoint"], trial)
    if trial.status == Trial.ERROR:
        trial.error = trial.get_pickled_error()
    return trial


def _make_checkpoint(facts: list[Any], trial: Trial) -> TrainingResult:
    path, inside, metrics = facts
    storage = trial.storage
    assert storage is not None
    place = Checkpoint(f"{storage.path}/{path}" if inside else path, storage.storage_filesystem)
    return TrainingResult(place, {**metrics, "config": trial.config})


def _encode(value: Any) -> Any:
    """The value as JSON expresses it; what would come back as something else is pickled."""
    if type(value) in _EXACT:
        return value
    if type(value) is list:
        return [_encode(each) for each in value]
    if type(value) is dict and all(type(key) is str and key != _PICKLED for key in value):
        return {key: _encode(each) for key, each in value.items()}
    return {_PICKLED: base64.b64encode(_pickle(value)).decode()}


_PICKLED = "__pickled__"


def _pickle(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        import cloudpickle

        data: bytes = cloudpickle.dumps(value)
        return data


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if _PICKLED in value:
            return pickle.loads(base64.b64decode(value[_PICKLED]))
        return {key: _decode(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_decode(each) for each in value]
    return value
