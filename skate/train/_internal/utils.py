"""What programs of Train's first generation import from here."""

from __future__ import annotations

import os
import socket
from typing import Any

import skate

__all__ = ["ActorWrapper", "get_address_and_port", "update_env_vars"]


def get_address_and_port() -> tuple[str, int]:
    """This machine's address, and a port that was free a moment ago."""
    address = skate.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind(("", 0))
        return address, int(probe.getsockname()[1])


def update_env_vars(env_vars: dict[str, Any]) -> None:
    """Set environment variables of this process; what is no text is made one."""
    os.environ.update({name: str(value) for name, value in env_vars.items()})


class ActorWrapper:
    """An actor whose methods are called as an object's: each call waits for its result.

    Args:
        actor: The actor's handle.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def __getattr__(self, item: str) -> Any:
        method = getattr(self.actor, item)
        return lambda *args, **kwargs: skate.get(method.remote(*args, **kwargs))
