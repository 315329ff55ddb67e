"""Environment variables that Tune reads."""

from __future__ import annotations

__all__ = [
    "RAY_TUNE_CALLBACKS_ENV_VAR",
    "TUNE_ENV_VARS",
]

RAY_TUNE_CALLBACKS_ENV_VAR = "RAY_TUNE_CALLBACKS"
"""Callbacks that every search has, by module and class, with commas between."""

TUNE_ENV_VARS = frozenset(
    {
        RAY_TUNE_CALLBACKS_ENV_VAR,
        "RAY_CHDIR_TO_TRIAL_DIR",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING",
        "TUNE_MAX_PENDING_TRIALS_PG",
    }
)
