"""Ports for frameworks that open theirs themselves, some time after they were told which."""

from __future__ import annotations

import random
import socket
from pathlib import Path

__all__ = [
    "Reserved",
    "reserve",
    "reserved",
]

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


class Reserved:
    """The port of this process: it stays bound until the framework is about to open it.

    It lies below the range from which the kernel takes ports for those who ask for any, so nobody is given it in the moment
    between.
    """

    def __init__(self) -> None:
        self._holder: socket.socket | None = None

    def hold(self, address: str) -> int:
        """Bind a port; one that was held before is released.

        Args:
            address: The address of this host on which it will be opened.

        Returns:
            The port.

        Raises:
            OSError: no port is free.
        """
        self.release()
        end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
        candidates = random.SystemRandom().sample(range(_LOWEST, max(end, _LOWEST + 1_000)), 100)
        for port in candidates:
            holder = socket.socket()
            try:
                holder.bind((address, port))
            except OSError:  # somebody has it
                holder.close()
                continue
            self._holder = holder
            return port
        raise OSError(f"none of 100 ports between {_LOWEST} and {end} is free on {address}.")

    def release(self) -> None:
        """Give the port up, for the framework to open it."""
        if self._holder is not None:
            self._holder.close()
            self._holder = None


reserved = Reserved()


def reserve(alone: bool) -> tuple[str, int]:
    """In a worker: hold a port.

    Args:
        alone: Whether all workers share this host, so that it can be on loopback.

    Returns:
        The address and the port.
    """
    address = "127.0.0.1" if alone else socket.gethostbyname(socket.gethostname())
    return address, reserved.hold(address)
