"""Where this machine is, as programs ask that tell machines apart or open sockets of their own."""

from __future__ import annotations

import skate


def get_node_ip_address(address: str | None = None) -> str:
    """The address under which the other machines of the session reach this one; "127.0.0.1" if there are no others.

    Args:
        address: Find the address from which this "host:port" is reached, rather than the session's own.

    Raises:
        ValueError: `address` is not of the form "host:port".

    Example:
        >>> from skate.util import get_node_ip_address
        >>> get_node_ip_address()
        '127.0.0.1'
    """
    if address is not None:
        return _from_where(address)
    if not skate.is_initialized():
        return "127.0.0.1"
    here = skate.get_runtime_context().get_node_id()
    for node in skate.nodes():
        if node["NodeID"] == here:
            return str(node["NodeManagerAddress"])
    return "127.0.0.1"


def get_node_instance_id() -> str:
    """The name of this machine.

    Example:
        >>> from skate.util import get_node_instance_id
        >>> bool(get_node_instance_id())
        True
    """
    import socket

    return socket.gethostname()


def _from_where(address: str) -> str:
    import socket

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"address={address!r}: it must be of the form 'host:port'.")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, int(port)))  # a datagram socket sends nothing by that
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


__all__ = ["get_node_instance_id", "get_node_ip_address"]
