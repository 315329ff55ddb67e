"""Trying once more what a store may refuse for a moment: the errors that `DataContext.retried_io_errors` names."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from skate.data.context import DataContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_T = TypeVar("_T")

_ATTEMPTS = 10
_MOST_SECONDS = 32.0

_log = logging.getLogger(__name__)


def with_retries(
    what: str,
    call: Callable[[], _T],
    match: Sequence[str] | None = None,
    attempts: int = _ATTEMPTS,
    most_seconds: float = _MOST_SECONDS,
) -> _T:
    """What a call returns; it is made again, after a while, when its error is one of those to retry.

    Args:
        what: What the call does, for the log.
        call: The call. It must leave nothing behind when it fails.
        match: Parts of the messages of errors to retry; None for those of the settings.
        attempts: How often the call is made.
        most_seconds: The longest wait.
    """
    for attempt in range(attempts):
        try:
            return call()
        except Exception as error:
            if attempt + 1 == attempts or not _is_retried(error, match):
                raise
            _wait(what, attempt, error, most_seconds)
    raise AssertionError("the last attempt returns or raises")


def iterate_with_retries(what: str, start: Callable[[], Iterator[_T]]) -> Iterator[_T]:
    """The items of an iterator, which is started again when it fails; items that were given already are passed over.

    Args:
        what: What the iterator does, for the log.
        start: Makes the iterator. It must give the same items each time.
    """
    given = 0
    for attempt in range(_ATTEMPTS):
        try:
            for number, item in enumerate(start()):
                if number >= given:
                    given += 1
                    yield item
            return
        except Exception as error:
            if attempt + 1 == _ATTEMPTS or not _is_retried(error):
                raise
            _wait(what, attempt, error)


def _is_retried(error: Exception, match: Sequence[str] | None = None) -> bool:
    patterns = DataContext.get_current().retried_io_errors if match is None else match
    return any(pattern in str(error) for pattern in patterns)


def _wait(what: str, attempt: int, error: Exception, most_seconds: float = _MOST_SECONDS) -> None:
    seconds = min(2.0**attempt, most_seconds) * random.random()
    _log.info("%s failed, and is tried again in %.1f s: %s", what, seconds, error)
    time.sleep(seconds)


__all__ = ["iterate_with_retries", "with_retries"]
