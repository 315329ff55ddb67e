"""Addresses of sessions as programs written for Ray have them: http://127.0.0.1:8265, ray://localhost:10001, 127.0.0.1:6379."""

from __future__ import annotations

from urllib.parse import urlsplit

_HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::")


def host_in(address: str, schemes: tuple[str, ...]) -> str | None:
    """The host of an address of the form SCHEME://HOST:PORT or HOST:PORT; None of one that has neither form.

    Args:
        address: The address.
        schemes: Which schemes it may have.

    Raises:
        ConnectionError: another scheme.
    """
    if "://" in address:
        parts = urlsplit(address)
        if parts.scheme not in schemes:
            known = ", ".join(f"{scheme}://" for scheme in schemes)
            raise ConnectionError(f"address={address!r}: {parts.scheme}:// is none of {known}.")
        return parts.hostname or ""
    host, colon, port = address.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else None


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host in _HERE or host.startswith("127."):
        return True
    import socket

    from skate.util.node import get_node_ip_address

    return host in (socket.gethostname(), socket.getfqdn(), get_node_ip_address())
