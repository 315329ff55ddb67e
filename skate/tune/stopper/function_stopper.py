"""Stops a trial when a function says so."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from skate.tune.stopper.stopper import Stopper

__all__ = [
    "FunctionStopper",
]


class FunctionStopper(Stopper):
    """Stops a trial when a function says so.

    Args:
        function: Called with the trial's id and its newest result.

    Raises:
        ValueError: it can't be called so.
    """

    def __init__(self, function: Callable[[str, dict[str, Any]], bool]) -> None:
        if not self.is_valid_function(function):
            raise ValueError(
                f"Stop object must be either a function that takes (trial_id, result) or a Stopper, not {function!r}."
            )
        self._fn = function

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """What the function says."""
        return bool(self._fn(trial_id, result))

    def stop_all(self) -> bool:
        """No."""
        return False

    @classmethod
    def is_valid_function(cls, fn: Any) -> bool:
        """Whether something can be called as such a function."""
        if not callable(fn) or isinstance(fn, Stopper):
            return False
        if inspect.isclass(fn) and issubclass(fn, Stopper):
            raise ValueError(
                f"Stop object must be ready to be called: you passed the class {fn!r}; pass an instance of it."
            )
        return True
