"""This process's way to the controller, and what of Serve it must forget when the session ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import skate
from skate import _at_shutdown
from skate.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

_lock = threading.RLock()
_controller: Any = None
_forgetters: list[Callable[[], None]] = []


def controller_or_none() -> Any:
    """The controller's handle; None if Serve does not run."""
    global _controller
    with _lock:
        if _controller is None and skate.is_initialized():
            try:
                _controller = skate.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
            except ValueError:
                return None
        return _controller


def current() -> Any:
    """The controller's handle, asked for anew, as another process may have ended or started an instance; None if Serve does not run."""
    look_again()
    return controller_or_none()


def controller() -> Any:
    """The controller's handle, asked for anew.

    Raises:
        RayServeException: Serve does not run.
    """
    found = current()
    if found is None:
        from skate.serve.exceptions import RayServeException

        raise RayServeException(
            "There is no Serve instance running in this session: start one with serve.run() or serve.start()."
        )
    return found


def set_controller(handle: Any) -> None:
    """The controller has just been started by this process."""
    global _controller
    with _lock:
        _controller = handle


def when_forgotten(callback: Callable[[], None]) -> None:
    """Call `callback` whenever the instance that this process knows has ended."""
    _forgetters.append(callback)


def look_again() -> None:
    """Ask for the controller anew at the next use."""
    global _controller
    with _lock:
        _controller = None


def forget(ended: Any = None) -> None:
    """An instance has ended, by default the one that is known: what is known of it is wrong from now on."""
    global _controller
    with _lock:
        if ended is not None and _controller is not None and _controller != ended:
            return
        _controller = None
    for callback in _forgetters:
        callback()


_at_shutdown(forget)


def __getattr__(name: str) -> Any:
    """`ServeControllerClient`, where Ray's programs import it from; it stands on much that stands on this module."""
    if name == "ServeControllerClient":
        from skate.serve._private.global_client import ServeControllerClient

        return ServeControllerClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
