"""Addresses: putting them together, taking them apart, and finding free ports."""

from __future__ import annotations

import ipaddress
import socket

from skate.util.node import get_node_ip_address


def build_address(host: str, port: int | str) -> str:
    """Host and port in one; IPv6 hosts in brackets.

    Example:
        >>> build_address("127.0.0.1", 80), build_address("::1", 80)
        ('127.0.0.1:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(address: str) -> tuple[str, str] | None:
    """Host and port of an address; None if it has no port.

    Example:
        >>> parse_address("[::1]:80"), parse_address("example.org")
        (('::1', '80'), None)
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host:
        return None
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return None if ":" in host else (host, port)


def is_ipv6(host: str) -> bool:
    """Whether a host is an IPv6 address."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def is_localhost(host: str) -> bool:
    """Whether a host is this machine's loopback, by its usual names."""
    return host in ("localhost", "127.0.0.1", "::1")


def get_localhost_ip() -> str:
    """The loopback's address."""
    return "127.0.0.1"


def get_all_interfaces_ip() -> str:
    """The address that stands for all interfaces."""
    return "0.0.0.0"


def node_ip_address_from_perspective(address: str | None = None) -> str:
    """This machine's address. `address` is accepted for Ray's programs: a session is on one machine."""
    return get_node_ip_address()


def find_free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """A port that nobody listens at just now."""
    with socket.socket(family) as sock:
        sock.bind(("", 0))
        port: int = sock.getsockname()[1]
        return port


__all__ = [
    "build_address",
    "find_free_port",
    "get_all_interfaces_ip",
    "get_localhost_ip",
    "is_ipv6",
    "is_localhost",
    "node_ip_address_from_perspective",
    "parse_address",
]
