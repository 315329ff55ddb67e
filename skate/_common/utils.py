"""Small helpers that programs import from here: names to objects, identifiers, event loops, environment variables."""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import string
import tempfile
from collections.abc import Coroutine
from typing import Any

_background: set[asyncio.Task[Any]] = set()


def import_attr(full_path: str, *, reload_module: bool = False) -> Any:
    """What "module.name" or "module:name" names.

    Raises:
        ValueError: that is no such path.
        ImportError, AttributeError: there is no such module, or no such name in it.
    """
    module_name, colon, name = full_path.partition(":")
    if not colon:
        module_name, _dot, name = full_path.rpartition(".")
    if not module_name or not name:
        raise ValueError(f"{full_path!r}: a path such as 'module.name' or 'module:name' is needed.")
    module = importlib.import_module(module_name)
    if reload_module:
        module = importlib.reload(module)
    return getattr(module, name)


def load_class(path: str) -> Any:
    """As `import_attr`."""
    return import_attr(path)


def get_or_create_event_loop() -> asyncio.AbstractEventLoop:
    """The event loop that runs in this thread, or one that is made for it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop


def run_background_task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Run a coroutine in the event loop of the caller, and keep it until it has ended."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


def binary_to_hex(identifier: bytes) -> str:
    """Bytes in hex."""
    return identifier.hex()


def hex_to_binary(hex_identifier: str) -> bytes:
    """The inverse of `binary_to_hex`."""
    return bytes.fromhex(hex_identifier)


def get_random_alphanumeric_string(length: int) -> str:
    """So many random letters and digits."""
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(length))


def get_default_system_temp_dir() -> str:
    """This machine's directory for temporary files."""
    return tempfile.gettempdir()


def try_to_create_directory(directory_path: str) -> None:
    """Make a directory, with those above it; fine if it is there."""
    os.makedirs(os.path.expanduser(directory_path), exist_ok=True)


def env_bool(key: str, default: bool) -> bool:
    """An environment variable as a truth value: "1" and "true" are true."""
    value = os.environ.get(key)
    return default if value is None else value.strip().lower() in ("1", "true")


def env_integer(key: str, default: int) -> int:
    """An environment variable as a whole number; `default` if it is not set, or no number."""
    try:
        return int(os.environ[key])
    except (KeyError, ValueError):
        return default


def env_float(key: str, default: float) -> float:
    """An environment variable as a number; `default` if it is not set, or no number."""
    try:
        return float(os.environ[key])
    except (KeyError, ValueError):
        return default


__all__ = [
    "binary_to_hex",
    "env_bool",
    "env_float",
    "env_integer",
    "get_default_system_temp_dir",
    "get_or_create_event_loop",
    "get_random_alphanumeric_string",
    "hex_to_binary",
    "import_attr",
    "load_class",
    "run_background_task",
    "try_to_create_directory",
]
