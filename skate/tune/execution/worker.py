"""The actor that runs trials, one after the other."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from skate.air.checkpoint_manager import TrainingResult
from skate.tune import result as _keys
from skate.tune.trainable.function_trainable import FunctionTrainable

if TYPE_CHECKING:
    from skate.tune.trainable.facts import TrialFacts, TrialStorage
    from skate.tune.trainable.trainable import Trainable

__all__ = [
    "TrialStart",
    "TrialWorker",
]


@dataclass
class TrialStart:
    """All that a worker needs to begin a trial.

    Args:
        facts: What the trial is told about itself.
        storage: Where it keeps its checkpoints.
        config: Its parameters.
        checkpoint: The checkpoint to go on from, with its metrics.
        log_files: Where what it prints is kept, too.
        reuse: Whether the trainable that is there may become this trial, if it can.
    """

    facts: TrialFacts
    storage: TrialStorage
    config: dict[str, Any]
    checkpoint: TrainingResult | None
    log_files: tuple[str | None, str | None]
    reuse: bool


class TrialWorker:
    """Runs one trial at a time."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Trainable]] = {}
        self._trainable: Trainable | None = None
        self._name = ""
        self._start: TrialStart | None = None
        self._home = os.getcwd()
        if "" in sys.path:  # modules next to the program stay importable when a trial has its own directory
            sys.path[sys.path.index("")] = self._home

    def start(
        self, name: str, trainable_cls: type[Trainable] | None, start: TrialStart
    ) -> tuple[dict[str, Any], TrainingResult | None]:
        """Begin a trial and do its first iteration.

        Args:
            name: The trainable's name.
            trainable_cls: The trainable; None if this worker has been given it before.
            start: The trial.

        Returns:
            The first result, and the checkpoint that came with it.
        """
        if trainable_cls is not None:
            self._classes[name] = trainable_cls
        self._enter_directory(start.facts.directory)
        config = {**start.config, _keys.TRIAL_INFO: start.facts}
        before, self._start = self._start, start
        with self._printing():
            if not (start.reuse and before is not None and self._name == name and self._becomes(config)):
                self._end()
                self._trainable = self._classes[name](config, storage=start.storage)
                self._name = name
            if start.checkpoint is not None and start.checkpoint.checkpoint is not None:
                assert self._trainable is not None
                self._trainable.restore(start.checkpoint)
        return self.train()

    def _becomes(self, config: dict[str, Any]) -> bool:
        if self._trainable is None:
            return False
        assert self._start is not None
        return self._trainable.reset(config, storage=self._start.storage)

    def train(self) -> tuple[dict[str, Any], TrainingResult | None]:
        """Do one iteration.

        Returns:
            Its result, and the checkpoint that came with it.
        """
        trainable = self._trainable
        assert trainable is not None, "a trial has begun"
        with self._printing():
            result = trainable.train()
        saved = trainable.take_saved() if isinstance(trainable, FunctionTrainable) else None
        if saved is not None:
            saved = TrainingResult(saved.checkpoint, dict(result))
        return result, saved

    def save(self) -> TrainingResult:
        """Save the trial.

        Returns:
            The checkpoint, and the newest metrics.
        """
        assert self._trainable is not None, "a trial has begun"
        with self._printing():
            return self._trainable.save()

    def export(self, formats: list[str]) -> dict[str, str]:
        """Export the trial's model."""
        assert self._trainable is not None and self._start is not None, "a trial has begun"
        with self._printing():
            return self._trainable.export_model(formats, self._start.facts.directory)

    def stop(self, keep: bool) -> None:
        """End the trial.

        Args:
            keep: Whether the trainable may become the next trial.
        """
        if not keep:
            self._end()
        os.chdir(self._home)

    def _end(self) -> None:
        trainable, self._trainable = self._trainable, None
        if trainable is not None:
            with self._printing():
                trainable.stop()

    def _enter_directory(self, directory: str) -> None:
        if not os.path.isdir(directory):  # on another host than the driver's
            os.makedirs(directory, exist_ok=True)
        os.environ.setdefault("TUNE_ORIG_WORKING_DIR", self._home)
        if os.environ.get("RAY_CHDIR_TO_TRIAL_DIR", "1") != "0":
            os.chdir(directory)

    @contextlib.contextmanager
    def _printing(self) -> Iterator[None]:
        """Keep what is printed in the trial's files, too."""
        out, err = self._start.log_files if self._start else (None, None)
        if not out and not err:
            yield
            return
        assert self._start is not None
        with contextlib.ExitStack() as stack:
            for name, attribute in ((out, "stdout"), (err, "stderr")):
                if name:
                    path = os.path.join(self._start.facts.directory, name)
                    file = stack.enter_context(open(path, "a", encoding="utf-8"))
                    stack.callback(setattr, sys, attribute, getattr(sys, attribute))
                    setattr(sys, attribute, _Tee(getattr(sys, attribute), file))
            yield


class _Tee:
    """Writes to two streams."""

    def __init__(self, first: IO[str], second: IO[str]) -> None:
        self._first = first
        self._second = second

    def write(self, text: str) -> int:
        """Write to both."""
        self._second.write(text)
        return self._first.write(text)

    def flush(self) -> None:
        """Flush both."""
        self._first.flush()
        self._second.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._first, name)
