"""Decorators by which Ray sends calls of a remote client to its server. Skate has no such client: they change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

is_client_mode_enabled = False


def client_mode_hook(func: _F) -> _F:
    """The function itself."""
    return func


def client_mode_wrap(func: _F) -> _F:
    """The function itself: it runs in the process that calls it."""
    return func


def client_mode_should_convert() -> bool:
    """Always False: calls are never sent to a server."""
    return False


@contextmanager
def disable_client_hook() -> Iterator[None]:
    """Changes nothing, as there is no hook."""
    yield


__all__ = [
    "client_mode_hook",
    "client_mode_should_convert",
    "client_mode_wrap",
    "disable_client_hook",
    "is_client_mode_enabled",
]
