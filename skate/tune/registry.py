"""Trainables and environments by name. Names live in this process; what they stand for travels with the trials."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from skate.tune.error import TuneError

__all__ = [
    "ENV_CREATOR",
    "KNOWN_CATEGORIES",
    "RLLIB_ACTION_DIST",
    "RLLIB_CONNECTOR",
    "RLLIB_INPUT",
    "RLLIB_MODEL",
    "RLLIB_PREPROCESSOR",
    "TEST",
    "TRAINABLE_CLASS",
    "get_registered",
    "get_trainable_cls",
    "is_function_trainable",
    "is_registered",
    "register_env",
    "register_input",
    "register_trainable",
    "registry_contains_input",
    "registry_get_input",
    "validate_trainable",
]

TRAINABLE_CLASS = "trainable_class"
ENV_CREATOR = "env_creator"
RLLIB_MODEL = "rllib_model"
RLLIB_PREPROCESSOR = "rllib_preprocessor"
RLLIB_ACTION_DIST = "rllib_action_dist"
RLLIB_INPUT = "rllib_input"
RLLIB_CONNECTOR = "rllib_connector"
TEST = "__test__"
KNOWN_CATEGORIES = (
    TRAINABLE_CLASS,
    ENV_CREATOR,
    RLLIB_MODEL,
    RLLIB_PREPROCESSOR,
    RLLIB_ACTION_DIST,
    RLLIB_INPUT,
    RLLIB_CONNECTOR,
    TEST,
)

_registered: dict[tuple[str, str], Any] = {}
_logger = logging.getLogger(__name__)


def register_trainable(name: str, trainable: Callable[..., Any] | type, warn: bool = True) -> None:
    """Give a trainable a name, by which experiments may call it.

    Args:
        name: The name.
        trainable: A function of a configuration, or a subclass of `Trainable`.
        warn: Accepted for Ray's programs.

    Raises:
        TypeError: `trainable` is neither.
        ValueError: the function's arguments are not those of a trainable.
    """
    from skate.tune.trainable import Trainable, wrap_function

    if inspect.isclass(trainable):
        if not issubclass(trainable, Trainable):
            raise TypeError(
                f"Second argument must be convertable to Trainable: {trainable!r} is no subclass of it."
            )
        registered: Any = trainable
    elif callable(trainable):
        registered = wrap_function(trainable)
    else:
        raise TypeError(
            f"Second argument must be convertable to Trainable: {trainable!r} is neither a function nor a class."
        )
    _registered[TRAINABLE_CLASS, name] = registered


def register_env(name: str, env_creator: Callable[..., Any]) -> None:
    """Give a function that makes an environment a name.

    Args:
        name: The name.
        env_creator: Called with the environment's configuration.

    Raises:
        TypeError: it can't be called.
    """
    if not callable(env_creator):
        raise TypeError(f"Second argument must be callable, not {env_creator!r}.")
    _registered[ENV_CREATOR, name] = env_creator


def register_input(name: str, input_creator: Callable[..., Any]) -> None:
    """Give a function that makes a reader of experiences a name.

    Args:
        name: The name.
        input_creator: The function.

    Raises:
        TypeError: it can't be called.
    """
    if not callable(input_creator):
        raise TypeError(f"Second argument must be callable, not {input_creator!r}.")
    _registered[RLLIB_INPUT, name] = input_creator


def registry_contains_input(name: str) -> bool:
    """Whether a name stands for a function that makes a reader of experiences."""
    return (RLLIB_INPUT, name) in _registered


def registry_get_input(name: str) -> Callable[..., Any]:
    """The function that a name stands for.

    Raises:
        KeyError: there is none.
    """
    creator: Callable[..., Any] = _registered[RLLIB_INPUT, name]
    return creator


def is_registered(category: str, name: str) -> bool:
    """Whether a name is known."""
    return (category, name) in _registered


def get_registered(category: str, name: str) -> Any:
    """What a name stands for, or None."""
    return _registered.get((category, name))


def get_trainable_cls(trainable_name: str) -> Any:
    """The class that a trainable's name stands for.

    Args:
        trainable_name: The name.

    Returns:
        A subclass of `Trainable`.

    Raises:
        TuneError: nothing has been registered under the name.
    """
    validate_trainable(trainable_name)
    return _registered[TRAINABLE_CLASS, trainable_name]


def validate_trainable(trainable_name: str) -> None:
    """Check that a name is known.

    Args:
        trainable_name: The name.

    Raises:
        TuneError: nothing has been registered under the name.
    """
    if not is_registered(TRAINABLE_CLASS, trainable_name):
        known = sorted(name for category, name in _registered if category == TRAINABLE_CLASS)
        raise TuneError(
            f"Unknown trainable: {trainable_name}. Registered are {known}: pass the function or class itself, or call "
            "register_trainable first."
        )


def is_function_trainable(trainable: Any) -> bool:
    """Whether a trainable is a function, or was one before it was wrapped."""
    from skate.tune.trainable import FunctionTrainable

    if isinstance(trainable, str):
        trainable = get_trainable_cls(trainable)
    if inspect.isclass(trainable):
        return issubclass(trainable, FunctionTrainable)
    return callable(trainable)
