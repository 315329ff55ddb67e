"""What can be called as a search goes on."""

from __future__ import annotations

import glob
import os
import pickle
from typing import TYPE_CHECKING, Any

import cloudpickle

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.tune.experiment.trial import Trial

__all__ = [
    "Callback",
    "CallbackList",
]


class Callback:
    """Called as a search goes on. Subclasses define what they care about.

    Every method is called in the driver, between two steps of the search, with `iteration`, the number of steps so
    far, and `trials`, all trials.

    Example:
        >>> class Shout(Callback):
        ...     def on_trial_complete(self, iteration, trials, trial, **info):
        ...         print(trial, "is done")
    """

    def setup(
        self,
        stop: dict[str, Any] | None = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Called once, before the first trial.

        Args:
            stop: The metrics and the values at which a trial stops; empty if a function or a `Stopper` decides.
            num_samples: How often each combination of the grids is tried.
            total_num_samples: How many trials there will be.
            **info: `time_budget_s`, `metric`, `mode`, `config`, `start_time`, and what may come.
        """

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called before each step of the search."""

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called after each step of the search."""

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial starts, also when it goes on after a pause or a failure."""

    def on_trial_restore(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial goes on from a checkpoint."""

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has been saved."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Called with each result."""

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has ended well."""

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has failed and will be tried again."""

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Called when a trial has failed for good."""

    def on_checkpoint(
        self, iteration: int, trials: list[Trial], trial: Trial, checkpoint: Checkpoint, **info: Any
    ) -> None:
        """Called with each checkpoint."""

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Called once, at the end."""

    def get_state(self) -> dict[str, Any] | None:
        """What to keep for a restore; None: nothing."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned."""


class CallbackList(Callback):
    """Several callbacks in one.

    Args:
        callbacks: The callbacks, in the order in which they are called.
    """

    IS_CALLBACK_CONTAINER = True
    CKPT_FILE_TMPL = "callback-states-{}.pkl"

    def __init__(self, callbacks: list[Callback]) -> None:
        self._callbacks = callbacks
        # Most callbacks define a few methods: the others are not called at all.
        self._defined = {
            name: [each for each in callbacks if _defines(each, name)]
            for name in vars(Callback)
            if name.startswith("on_") or name == "setup"
        }

    def __len__(self) -> int:
        return len(self._callbacks)

    def call(self, method: str, *args: Any, **info: Any) -> None:
        """Call a method of each callback that defines it."""
        for each in self._defined[method]:
            getattr(each, method)(*args, **info)

    def get_state(self) -> dict[str, Any] | None:
        """The states of those that have one, by their place."""
        states: dict[str, Any] = {}
        for number, each in enumerate(self._callbacks):
            state = each.get_state()
            if state is not None:
                states[f"{number}-{type(each).__name__}"] = state
        return states or None

    def set_state(self, state: dict[str, Any]) -> None:
        """Give each its state back."""
        for number, each in enumerate(self._callbacks):
            key = f"{number}-{type(each).__name__}"
            if key in state:
                each.set_state(state[key])

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save the states of those that have one.

        Args:
            checkpoint_dir: The directory.
            session_str: What tells this run of the experiment from others.
        """
        states = self.get_state()
        if states is not None:
            path = os.path.join(checkpoint_dir, self.CKPT_FILE_TMPL.format(session_str))
            with open(f"{path}.partial", "wb") as file:
                cloudpickle.dump(states, file)
            os.replace(f"{path}.partial", path)

    def _saved(self, checkpoint_dir: str) -> list[str]:
        pattern = os.path.join(glob.escape(checkpoint_dir), self.CKPT_FILE_TMPL.format("*"))
        return sorted(glob.glob(pattern))

    def can_restore(self, checkpoint_dir: str) -> bool:
        """Whether states were saved in a directory."""
        return bool(self._saved(checkpoint_dir))

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Give each its state back, as it was saved last.

        Raises:
            RuntimeError: nothing was saved there.
        """
        found = self._saved(checkpoint_dir)
        if not found:
            raise RuntimeError(f"Unable to find checkpoint in {checkpoint_dir}.")
        with open(found[-1], "rb") as file:
            self.set_state(pickle.load(file))


def _defines(callback: Any, name: str) -> bool:
    return getattr(type(callback), name, None) is not getattr(Callback, name) or name in vars(callback)
