"""Errors of Skate Data."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from skate.exceptions import UserCodeException

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")

_log = logging.getLogger("skate.data")


class ExecutionTimeoutError(Exception):
    """A run took longer than it may."""


class SystemException(Exception):
    """An error of Skate Data itself, and not of a user's function."""


class RayDataUserCodeException(UserCodeException):
    """A user's function failed."""


def omit_traceback_stdout(fn: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function whose errors begin their traceback at its caller; the whole traceback is logged, for debugging.

    Example:
        >>> from skate.data.exceptions import omit_traceback_stdout
        >>> omit_traceback_stdout(len)([1, 2])
        2
    """

    @functools.wraps(fn)
    def quiet(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return fn(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - it is raised again
            _log.debug("Full stack trace:", exc_info=True)
            raise error.with_traceback(None) from error.__cause__

    return quiet


__all__ = [
    "ExecutionTimeoutError",
    "RayDataUserCodeException",
    "SystemException",
    "UserCodeException",
    "omit_traceback_stdout",
]
