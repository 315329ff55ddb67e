"""Asking a session about itself: the running one of this process, or another of this user's on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.core import runtime

if TYPE_CHECKING:
    from skate.engine.base import StateAnswer


def read(what: str, address: str | None = None, timeout: float = 30.0) -> StateAnswer:
    """All rows of a kind, unfiltered; `Engine.state` says which kinds there are.

    Args:
        what: "tasks", "actors", …
        address: The session's name or folder; None is this process's own, or else the youngest of this user's.
        timeout: Seconds to wait for an answer.

    Raises:
        ConnectionError: there is no such session.
    """
    engine = runtime.engine
    if engine is not None and address in (None, "", "auto", "local", engine.address):
        return engine.state(what, timeout)
    if engine is not None and address == engine.task_info().session_name:
        return engine.state(what, timeout)
    from skate.engine.local import observe

    return observe(what, address, timeout)
