"""The callbacks that every search has."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from skate.tune.callback import Callback
from skate.tune.logger import CSVLoggerCallback, JsonLoggerCallback, LoggerCallback, TBXLoggerCallback

__all__ = [
    "with_default_callbacks",
]


def with_default_callbacks(callbacks: list[Callback] | None) -> list[Callback]:
    """The callbacks of a search: those given, and the loggers of CSV, JSON and, if it is installed, TensorBoard.

    Args:
        callbacks: Those given. A logger among them takes the default one's place.

    Returns:
        The list. The environment variable TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1 leaves the defaults out.

    Raises:
        TypeError: one of them is no callback.
    """
    found = list(callbacks or [])
    for each in found:
        if not isinstance(each, Callback):
            raise TypeError(f"callbacks must be Callback objects, not {each!r}.")
    if os.environ.get("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS") == "1":
        return found
    defaults: list[type[LoggerCallback]] = [CSVLoggerCallback, JsonLoggerCallback]
    if importlib.util.find_spec("tensorboardX") is not None:
        defaults.append(TBXLoggerCallback)
    for kind in defaults:
        if not any(isinstance(each, kind) for each in found):
            found.append(kind())
    found += _from_environment(found)
    return found


def _from_environment(known: list[Callback]) -> list[Callback]:
    """Callbacks named in RAY_TUNE_CALLBACKS, by module and class, with commas between."""
    made: list[Callback] = []
    for name in filter(None, os.environ.get("RAY_TUNE_CALLBACKS", "").split(",")):
        module, _, attribute = name.strip().rpartition(".")
        if not module:
            raise ValueError(
                f"RAY_TUNE_CALLBACKS names {name!r}: it must be a module and a class, as in my.module.Class."
            )
        cls: Any = getattr(importlib.import_module(module), attribute)
        if not any(type(each) is cls for each in known):
            made.append(cls())
    return made
