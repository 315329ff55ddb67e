"""Decorators by which a library says how stable its functions and classes are."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any


class AnnotationType(Enum):
    """What has been said about an object."""

    PUBLIC_API = "PublicAPI"
    DEVELOPER_API = "DeveloperAPI"
    DEPRECATED = "Deprecated"
    UNKNOWN = "Unknown"


class RayDeprecationWarning(DeprecationWarning):
    """Something is used that will go away. It is shown, which a plain DeprecationWarning is not."""


warnings.filterwarnings("default", category=RayDeprecationWarning)


def PublicAPI(*args: Any, **kwargs: Any) -> Any:  # noqa: N802 -- the API's name
    """Say that an object is public.

    Args:
        *args: The object, when used without parentheses.
        **kwargs: `stability`: "stable" (the default), "beta" or "alpha"; `api_group`: a heading for documentation.

    Raises:
        ValueError: another stability.

    Example:
        >>> from skate.util.annotations import PublicAPI
        >>> @PublicAPI(stability="beta")
        ... def find(): pass
        >>> find._annotated_type.value
        'PublicAPI'
    """
    stability = kwargs.get("stability", "stable")
    if stability not in ("stable", "beta", "alpha"):
        raise ValueError(f"stability={stability!r}: it must be 'stable', 'beta' or 'alpha'.")
    group = kwargs.get("api_group", "Others")
    return _decorator(args, lambda thing: _mark(thing, AnnotationType.PUBLIC_API, group, stability))


def DeveloperAPI(*args: Any, **kwargs: Any) -> Any:  # noqa: N802 -- the API's name
    """Say that an object is for developers of libraries, and may change.

    Args:
        *args: The object, when used without parentheses.
        **kwargs: `api_group`: a heading for documentation.
    """
    group = kwargs.get("api_group", "Others")
    return _decorator(args, lambda thing: _mark(thing, AnnotationType.DEVELOPER_API, group, None))


def Deprecated(*args: Any, **kwargs: Any) -> Any:  # noqa: N802 -- the API's name
    """Say that an object will go away.

    Args:
        *args: The object, when used without parentheses.
        **kwargs: `message`: what to use instead; `warning`: warn whenever it is called.

    Raises:
        ValueError: another keyword.
    """
    message, warn = kwargs.pop("message", ""), kwargs.pop("warning", False)
    if kwargs:
        raise ValueError(f"Deprecated() takes `message` and `warning`, not {sorted(kwargs)}.")

    def decorate(thing: Any) -> Any:
        text = f"{thing.__qualname__} is deprecated and will be removed. {message}".strip()
        marked = _warning(thing, text) if warn else thing
        return _mark(marked, AnnotationType.DEPRECATED, "Others", None)

    return _decorator(args, decorate)


def _decorator(args: tuple[Any, ...], decorate: Callable[[Any], Any]) -> Any:
    bare = len(args) == 1 and (inspect.isclass(args[0]) or callable(args[0]))
    return decorate(args[0]) if bare else decorate


def _warning(thing: Any, text: str) -> Any:
    is_class = inspect.isclass(thing)
    run = getattr(thing, "__init__") if is_class else thing  # noqa: B009 -- mypy forbids the plain form

    @functools.wraps(run)
    def warn_and_run(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(text, RayDeprecationWarning, stacklevel=2)
        return run(*args, **kwargs)

    if not is_class:
        return warn_and_run
    setattr(thing, "__init__", warn_and_run)  # noqa: B010 -- as above
    return thing


def _mark(thing: Any, kind: AnnotationType, group: str, stability: str | None) -> Any:
    marks = {"_annotated": thing.__name__, "_annotated_type": kind, "_annotated_api_group": group}
    for name, value in {
        **marks,
        **({} if stability is None else {"_annotated_stability": stability}),
    }.items():
        setattr(thing, name, value)
    return thing


__all__ = ["AnnotationType", "Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]
