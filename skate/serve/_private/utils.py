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


def look_in(folders: Sequence[str]) -> None:
    """Look for modules in these folders first."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


def in_asyncio_loop() -> bool:
    """Whether the caller runs in an asyncio loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
