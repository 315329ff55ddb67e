"""Small things that several parts of Serve need."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import string
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Any

import cloudpickle


class DEFAULT(Enum):
    """The value of an option that was not given; None is a value of its own for some."""

    VALUE = 1


def get_random_string(length: int = 8) -> str:
    """Random lower-case letters and digits."""
    letters = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(letters) for _ in range(length))


def given(**options: Any) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: value for name, value in options.items() if value is not DEFAULT.VALUE}


def import_attr(path: str) -> Any:
    """The object that "package.module:name" or "package.module.name" names.

    Raises:
        ValueError: the path has neither a colon nor a dot.
        ImportError, AttributeError: there is no such module, or no such name in it.
    """
    if ":" in path:
        module, _, name = path.partition(":")
    else:
        module, _, name = path.rpartition(".")
    if not module or not name:
        raise ValueError(
            f'Got invalid import path "{path}". It needs a dot or a colon between module and name: "module:name".'
        )
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def pickle_with_code(found: Any) -> bytes:
    """Pickle a function or class with the code of its module, which whoever unpickles it need not have."""
    module = sys.modules.get(getattr(found, "__module__", None) or "")
    everywhere = module is None or module.__name__.partition(".")[0] in ("skate", "builtins", "__main__")
    if everywhere or module.__name__ in cloudpickle.list_registry_pickle_by_value():  # type: ignore[union-attr]
        return bytes(cloudpickle.dumps(found))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(found))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def look_in(folders: Sequence[str]) -> None:
    """Look for modules in these folders first."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


def in_asyncio_loop() -> bool:
    """Whether the caller runs in an asyncio loop."""
    return asyncio._get_running_loop() is not None
