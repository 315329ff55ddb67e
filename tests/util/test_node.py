"""Where this machine is."""

from __future__ import annotations

import socket

import pytest

import skate
from skate.util import get_node_instance_id, get_node_ip_address


def test_the_address_is_the_one_that_the_session_lists() -> None:
    addresses = {node["NodeManagerAddress"] for node in skate.nodes()}
    assert get_node_ip_address() in addresses
    assert skate.get(skate.remote(lambda: get_node_ip_address()).remote()) in addresses


def test_the_address_towards_another_machine_is_one_of_this() -> None:
    assert get_node_ip_address("127.0.0.1:80") == "127.0.0.1"
    with pytest.raises(ValueError, match="'host:port'"):
        get_node_ip_address("nowhere")


def test_the_machine_has_a_name() -> None:
    assert get_node_instance_id() == socket.gethostname()
