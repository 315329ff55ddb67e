"""Helpers that libraries with connectors of their own use: lance-ray and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from skate.data.datasource.retry import with_retries
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

R = TypeVar("R")


def _check_import(obj: Any, *, module: str, package: str) -> None:
    """Check that a package is there.

    Args:
        obj: What needs it.
        module: The module to import.
        package: What to install for it.

    Raises:
        ImportError: it is missing.
    """
    require_module(module, package)


def call_with_retry(
    f: Callable[..., R],
    description: str,
    match: Sequence[str] | None = None,
    max_attempts: int = 10,
    max_backoff_s: int = 32,
    *args: Any,
    **kwargs: Any,
) -> R:
    """What a function returns; it is called again, after a while, when it fails.

    Args:
        f: The function.
        description: What it does, for the log.
        match: Parts of the messages of errors to try again after; None for all.
        max_attempts: How often to call it.
        max_backoff_s: The longest wait, in seconds.
        args: Arguments of the function.
        kwargs: Arguments of the function by name.
    """
    return with_retries(
        description, lambda: f(*args, **kwargs), [""] if match is None else match, max_attempts, max_backoff_s
    )


__all__ = ["call_with_retry"]
