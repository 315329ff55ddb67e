"""The base of loggers: callbacks that write down a trial's results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skate.tune import result as _keys
from skate.tune.callback import Callback

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "JsonEncoder",
    "LoggerCallback",
    "pretty_print",
]


class LoggerCallback(Callback):
    """Writes down results. Subclasses define what they care about."""

    def log_trial_start(self, trial: Trial) -> None:
        """A trial starts."""

    def log_trial_restore(self, trial: Trial) -> None:
        """A trial goes on from a checkpoint."""

    def log_trial_save(self, trial: Trial) -> None:
        """A trial has been saved."""

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """A trial has a result."""

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """A trial has ended."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Log it."""
        self.log_trial_result(iteration, trial, result)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Log it."""
        self.log_trial_start(trial)

    def on_trial_restore(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Log it."""
        self.log_trial_restore(trial)

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Log it."""
        self.log_trial_save(trial)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Log it."""
        self.log_trial_end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Log it."""
        self.log_trial_end(trial, failed=True)


class JsonEncoder(json.JSONEncoder):
    """Writes NumPy's numbers and arrays as JSON's, and what JSON can't express as text."""

    def default(self, o: Any) -> Any:
        """What to write in place of `o`."""
        if hasattr(o, "tolist") and type(o).__module__.partition(".")[0] in ("numpy", "torch", "jaxlib"):
            return o.tolist()
        if isinstance(o, set | frozenset | tuple):
            return list(o)
        return str(o)


def pretty_print(result: dict[str, Any], exclude: set[str] | None = None) -> str:
    """A result as text, a line a value.

    Args:
        result: The result.
        exclude: Keys to leave out, besides the configuration.

    Returns:
        The text.
    """
    hidden = {_keys.CONFIG_PREFIX, "hist_stats", *(exclude or ())}
    shown = {key: value for key, value in result.items() if value is not None and key not in hidden}
    plain = json.loads(json.dumps(shown, cls=JsonEncoder))
    return "\n".join(_lines(plain, 0)) + "\n"


def _lines(value: dict[str, Any], depth: int) -> list[str]:
    lines = []
    for key in sorted(value):
        each = value[key]
        if isinstance(each, dict) and each:
            lines += [f"{'  ' * depth}{key}:", *_lines(each, depth + 1)]
        else:
            text = each if isinstance(each, str) else json.dumps(each)
            lines.append(f"{'  ' * depth}{key}: {text}")
    return lines
