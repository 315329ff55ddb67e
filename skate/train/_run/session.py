"""What a training function talks to, in the process of its worker."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import cloudpickle

from skate.air._checkpoint import Checkpoint
from skate.air.session import Session, get_session
from skate.train._run.failures import failed
from skate.train._run.rounds import Arrival
from skate.train.v2._internal.exceptions import CollectiveTimeoutError
from skate.train.v2.api.report_config import CheckpointConsistencyMode, CheckpointUploadMode

if TYPE_CHECKING:
    from skate.train._run.storage import RunStorage
    from skate.train.v2.api.validation_config import ValidationTaskConfig

__all__ = [
    "ReportValue",
    "TrainingSession",
    "TrialNames",
    "WorkerFacts",
    "WorkerSession",
    "present_worker",
]

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass(frozen=True)
class ReportValue:
    """What one rank brings to a report.

    Args:
        metrics: Its metrics, pickled.
        has_checkpoint: Whether it brings files.
        dir_name: The name that it asks for, if any.
        in_place: The checkpoint, if it is not to be copied.
        validation: Whether, or how, the checkpoint is to be validated.
    """

    metrics: bytes
    has_checkpoint: bool
    dir_name: str | None
    in_place: Checkpoint | None = None
    validation: bool | ValidationTaskConfig = False


@dataclass(frozen=True)
class TrialNames:
    """What the workers of a trial can ask about it."""

    experiment_name: str | None
    trial_name: str | None
    trial_id: str | None
    trial_dir: str | None
    trial_resources: Any
    metadata: dict[str, Any]


@dataclass
class WorkerFacts:
    """What a worker is told about itself and its run."""

    storage: RunStorage
    world_size: int
    world_rank: int
    local_rank: int
    local_world_size: int
    node_rank: int
    checkpoint: Checkpoint | None
    shards: dict[str, Any] = field(default_factory=dict)
    validates: bool = False
    trial: TrialNames | None = None


class TrainingSession(Session):
    """What the training function of a trainer talks to."""

    is_trial = False
    """Whether the run is a trial of Tune, and can be asked about it."""
    _shards: dict[str, Any]

    @abstractmethod
    def meet(self, kind: str, value: Any = None) -> Any:
        """Wait until every rank has made the same call; returns what rank 0 brings."""

    @abstractmethod
    def reported_checkpoints(self, mode: CheckpointConsistencyMode, timeout_s: float | None) -> list[Any]:
        """All checkpoints that the run has kept."""

    @staticmethod
    def check_report(metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        """Raise if these can't be reported.

        Raises:
            TypeError: the metrics are no dictionary, or the checkpoint is none.
            ValueError: the metrics hold tensors or modules of PyTorch.
            FileNotFoundError: the checkpoint's directory does not exist.
        """
        if not isinstance(metrics, dict):
            raise TypeError(
                f"report() takes a dictionary of metrics, not {type(metrics).__name__}: {metrics!r}. Write "
                'report({"loss": value}).'
            )
        if "torch" in sys.modules and _holds_tensor(metrics):
            raise ValueError(
                "Passing objects containing Torch tensors as metrics is not supported: pass numbers (`.item()`, `.tolist()`), or "
                "save tensors in the files of a checkpoint."
            )
        if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
            raise TypeError(
                f"report(checkpoint=…) takes a Checkpoint, not {type(checkpoint).__name__}: make one with "
                "Checkpoint.from_directory(path)."
            )
        if checkpoint is not None and not checkpoint._store.exists(checkpoint.path):
            raise FileNotFoundError(
                f"report(checkpoint={checkpoint!r}): there is no such directory. Save the files before report is called."
            )

    def get_dataset_shard(self, name: str | None = None) -> Any:
        """This worker's part of a data set.

        Raises:
            KeyError: the trainer was given none of this name.
        """
        name = "train" if name is None else name
        if name not in self._shards:
            raise KeyError(
                f"Dataset shard for {name!r} not found; there are {sorted(self._shards)}. "
                f"Pass it to the trainer: datasets={{{name!r}: …}}."
            )
        return self._shards[name]


class WorkerSession(TrainingSession):
    """Brings what a training function reports to the controller, and waits where all ranks must meet.

    Args:
        facts: What this worker is told.
        post: Sends a message to the controller.
        wait: Waits for the controller's next answer.
    """

    def __init__(
        self, facts: WorkerFacts, post: Callable[[tuple[Any, ...]], None], wait: Callable[[], Any]
    ) -> None:
        self.world_size, self.world_rank = facts.world_size, facts.world_rank
        self.local_rank, self.local_world_size = facts.local_rank, facts.local_world_size
        self.node_rank = facts.node_rank
        self.storage = facts.storage
        self.experiment_name = self.trial_name = self.trial_id = facts.storage.name
        self.trial_dir = facts.storage.path
        self.is_trial = facts.trial is not None
        if facts.trial is not None:
            vars(self).update(vars(facts.trial))
        self._shards = facts.shards
        self._checkpoint = facts.checkpoint
        self._validates = facts.validates
        self._post, self._wait = post, wait
        self._one_at_a_time = threading.Lock()
        self._background: ThreadPoolExecutor | None = None
        self._uploads: list[Future[None]] = []

    def meet(self, kind: str, value: Any = None) -> Any:
        """Wait until every rank has made the same call.

        Args:
            kind: The call's name.
            value: What this rank brings.

        Returns:
            The controller's answer.

        Raises:
            CollectiveTimeoutError: the others have not come in time.
        """
        with self._one_at_a_time:
            self._post(("arrive", Arrival(kind, _where(), value)))
            answer = self._wait()
            if isinstance(answer, CollectiveTimeoutError):
                raise answer
            return answer

    def report(self, metrics: dict[str, Any], checkpoint: Checkpoint | None = None, **options: Any) -> None:
        """Report metrics and, if there is one, a checkpoint; returns when every rank has.

        Raises:
            TypeError: the metrics are no dictionary, or the checkpoint is none.
            FileNotFoundError: the checkpoint's directory does not exist.
        """
        self._report(metrics, checkpoint, **options)

    def _report(
        self,
        metrics: dict[str, Any],
        checkpoint: Checkpoint | None,
        checkpoint_dir_name: str | None = None,
        checkpoint_upload_mode: CheckpointUploadMode = CheckpointUploadMode.SYNC,
        delete_local_checkpoint_after_upload: bool | None = None,
        checkpoint_upload_fn: Callable[[Checkpoint, str], Checkpoint] | None = None,
        validation: bool | ValidationTaskConfig = False,
    ) -> None:
        self.check_report(metrics, checkpoint)
        if validation and checkpoint is None:
            raise ValueError("Validation requires a checkpoint: report(metrics, checkpoint=…, validation=…).")
        if validation and not self._validates:
            raise ValueError(
                "`validation_config` was not set on the trainer, but a validation was requested: pass it "
                "validation_config=ValidationConfig(fn=…)."
            )
        if checkpoint is not None and delete_local_checkpoint_after_upload:
            self._check_deletion(checkpoint)
        stays = checkpoint is not None and checkpoint_upload_mode is CheckpointUploadMode.NO_UPLOAD
        if checkpoint is not None and stays:
            self._check_inside(
                checkpoint, "Your `ray.train.report(checkpoint)` is outside the experiment directory"
            )
        value = ReportValue(
            cloudpickle.dumps(metrics),
            checkpoint is not None,
            checkpoint_dir_name,
            checkpoint if stays else None,
            validation,
        )
        name = self.meet("report", value)
        if checkpoint is None or stays:
            if stays:
                self._checkpoint = checkpoint
            return
        delete = delete_local_checkpoint_after_upload
        if delete is None:
            delete = checkpoint_upload_mode.default_delete_local_checkpoint_after_upload()
        work = (name, checkpoint, delete, checkpoint_upload_fn)
        if checkpoint_upload_mode is CheckpointUploadMode.ASYNC:
            if self._background is None:
                self._background = ThreadPoolExecutor(1, thread_name_prefix="train-upload")
            self._uploads.append(self._background.submit(self._upload_aside, *work))
        else:
            with self._one_at_a_time:
                self._upload(*work, waits=True)

    def _check_inside(self, checkpoint: Checkpoint, what: str) -> None:
        store, other = self.storage.store, checkpoint._store
        same = store.is_local and other.is_local
        normal = os.path.realpath if same else os.path.normpath
        inside = PurePath(normal(checkpoint.path)).is_relative_to(normal(self.storage.path))
        if not (inside and (same or store.filesystem == other.filesystem)):
            raise ValueError(
                f"{what}: it is at {checkpoint.path!r} on a {other.type_name} file system, and the run is kept at "
                f"{self.storage.path!r} on a {store.type_name} one. Write it below ray.train.get_context().get_storage()"
                ".experiment_fs_path, or report files that say where it is."
            )

    def _check_deletion(self, checkpoint: Checkpoint) -> None:
        local = self.storage.store.is_local and checkpoint._store.is_local
        if local and PurePath(os.path.realpath(self.storage.path)).is_relative_to(
            os.path.realpath(checkpoint.path)
        ):
            raise ValueError(
                f"Ray Train's experiment directory ({self.storage.path}) is contained within the checkpoint path "
                f"({checkpoint.path}), which delete_local_checkpoint_after_upload=True would remove: write checkpoints to a "
                "directory of their own."
            )

    def _upload_aside(
        self,
        name: str,
        checkpoint: Checkpoint,
        delete: bool,
        upload_fn: Callable[[Checkpoint, str], Checkpoint] | None,
    ) -> None:
        try:
            self._upload(name, checkpoint, delete, upload_fn, waits=False)
        except BaseException as error:
            self._post(failed(error))  # at once: what waits for this checkpoint would wait in vain
            raise

    def _upload(
        self,
        name: str,
        checkpoint: Checkpoint,
        delete: bool,
        upload_fn: Callable[[Checkpoint, str], Checkpoint] | None,
        waits: bool,
    ) -> None:
        try:
            kept = self._brought(name, checkpoint, upload_fn, waits)
        except BaseException:
            self._post(("given_up", name))  # nobody is to wait for these files, whoever catches this
            raise
        self._checkpoint = kept or self.storage.checkpoint(name)
        self._post(("uploaded", name, kept, waits))
        if waits:
            self._wait()  # until the files of all ranks are there: what was reported is not lost any more
        if delete and checkpoint._store.is_local:
            shutil.rmtree(checkpoint.path, ignore_errors=True)

    def _brought(
        self,
        name: str,
        checkpoint: Checkpoint,
        upload_fn: Callable[[Checkpoint, str], Checkpoint] | None,
        waits: bool,
    ) -> Checkpoint | None:
        """Copy this worker's files; returns the checkpoint if it has been put elsewhere."""
        if upload_fn is None:
            with checkpoint.as_directory() as directory:
                self.storage.bring(directory, name)
            return None
        kept = upload_fn(checkpoint, name)
        if not isinstance(kept, Checkpoint):
            raise ValueError(
                f"checkpoint_upload_fn must return a `ray.train.Checkpoint`. Actual type is {type(kept)}"
            )
        if waits:
            self._check_inside(
                kept, "Your `checkpoint_upload_fn` returned a checkpoint outside the experiment directory"
            )
        return kept

    def finish(self) -> None:
        """Wait for uploads in the background, and raise what any of them failed with."""
        if self._background is not None:
            self._background.shutdown(wait=True)
            for upload in self._uploads:
                upload.result()

    def get_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that this worker has reported, or else the one to go on from."""
        return self._checkpoint

    def reported_checkpoints(self, mode: CheckpointConsistencyMode, timeout_s: float | None) -> list[Any]:
        """All checkpoints that the run has kept."""
        with self._one_at_a_time:
            self._post(("ask", mode, timeout_s))
            return list(pickle.loads(self._wait()))


def present_worker(name: str) -> TrainingSession:
    """The session of this process.

    Raises:
        RuntimeError: this is no training function of a trainer.
    """
    session = get_session()
    if not isinstance(session, TrainingSession):
        raise RuntimeError(
            f"`{name}` cannot be used outside of a Ray Train training function: call it in the function that a trainer runs."
        )
    return session


def _holds_tensor(value: Any) -> bool:
    torch = sys.modules["torch"]
    if isinstance(value, (torch.Tensor, torch.nn.Module)):
        return True
    if isinstance(value, dict):
        return any(_holds_tensor(each) for item in value.items() for each in item)
    return isinstance(value, (list, tuple, set)) and any(map(_holds_tensor, value))


def _where() -> str:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
