"""Which session of this machine an address means."""

from __future__ import annotations

import os

from skate._addresses import host_in, is_here
from skate.core import runtime
from skate.engine.local import registry

_VARIABLES = ("SKATE_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_SCHEMES = ("http", "https", "ray")


def session_of(address: str | None) -> registry.Entry:
    """The session that an address means.

    Args:
        address: A session's name or folder. None, "auto" and "local", and every URL and HOST:PORT of this machine, stand for the
            session of this program, or else the youngest that `skate start` has started, or else the youngest. SKATE_ADDRESS,
            RAY_API_SERVER_ADDRESS and RAY_ADDRESS in the environment stand in for None.

    Raises:
        ConnectionError: there is no such session on this machine.
    """
    given = address or next((found for name in _VARIABLES if (found := os.environ.get(name))), None)
    try:
        if given in (None, "auto", "local"):
            return _default()
        host = host_in(given, _SCHEMES)
        if host is None:
            return registry.find(given)
        if is_here(host):
            return _default()
    except ConnectionError as error:
        shown = "" if given is None else f" at address: {given}"
        raise ConnectionError(
            f"Failed to connect to a session{shown}. {error} `skate start` starts one that stands by itself."
        ) from error
    raise ConnectionError(
        f"Failed to connect to a session at address: {given}. {host} is another machine, and sessions take jobs from their own "
        "machine alone: submit the job there."
    )


def _default() -> registry.Entry:
    engine = runtime.engine
    if engine is not None and engine.name == "local":
        return registry.find(engine.task_info().session_dir)
    return registry.standing() or registry.find()
